"""`transcribe` goes the whole way on a tiny encoder: letters that are tones are learned, and clips say them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import graftwork as gw
from graftwork_audio.plugin import reads

RATE = 16_000
TONES = {"a": 700.0, "b": 1_500.0, "c": 3_100.0}
TEXTS = ("abc", "cab", "aac", "bcb")
STEPS: dict[str, Any] = {
    "head": "ctc-conv", "epochs": 50, "batch_size": 2, "lr": 3e-3, "head_lr": 5e-3, "dropout": 0.0, "patience": 0,
}  # fmt: skip


def spoken(text: str, seed: int = 0, gap: int = 120) -> np.ndarray:
    """A tone of 25 ms for each letter, with pauses, in a little noise."""
    time = np.arange(400) / RATE
    parts = [part for letter in text for part in (0.4 * np.sin(2 * np.pi * TONES[letter] * time), np.zeros(gap))]
    samples = np.concatenate(parts)
    return samples + np.random.default_rng(seed).normal(0, 0.005, len(samples))


def table(folder: Path, rows: dict[str, str], name: str = "clips.csv", said: dict[str, str] | None = None) -> gw.Data:
    """Clips that say the first text of each row, and are said to say it, or what `said` has for it; each is trained on
    and judged."""
    lines = ["file,text,split"]
    for file, text in rows.items():
        soundfile.write(folder / file, spoken(text), RATE)
        lines += [f"{file},{(said or {}).get(file, text)},{split}" for split in ("train", "validation")]
    (folder / name).write_text("\n".join(lines) + "\n")
    return gw.data(folder / name, input="file", label="text", task="transcribe")


@pytest.fixture
def clips(tmp_path: Path) -> gw.Data:
    return table(tmp_path, {f"{text}.wav": text for text in TEXTS})


@pytest.fixture
def tiny(saved) -> str:
    return f"local:{saved('layer-stable')}"


def test_clips_are_learned_by_heart_and_the_run_says_them_once_loaded(clips, tiny, tmp_path) -> None:
    run = gw.fit(clips, tiny, task="transcribe", freeze="all", **STEPS)
    assert run.metrics["wer"] == run.metrics["cer"] == 0.0
    assert run.metrics["sentence_accuracy"] == 1.0
    assert run.record["certificate"]["ok"]
    history = run.record["training"]["history"]
    assert history[-1]["loss"] < 0.1 * history[0]["loss"]
    answers = run.predict([tmp_path / f"{text}.wav" for text in TEXTS])
    assert [answer["text"] for answer in answers] == list(TEXTS)
    assert all(set(answer) == {"input", "text", "probability"} for answer in answers)
    loaded = gw.load(run.save(tmp_path / "run"))
    assert loaded.predict([tmp_path / "abc.wav"]) == answers[:1]
    other = table(tmp_path, {"abc.wav": "abc"}, "other.csv", {"abc.wav": "один"})
    with pytest.raises(gw.DataError, match="which no training text has, in 8 of their 8 characters"):
        loaded.evaluate(other)


def test_a_frozen_encoder_does_not_move_its_states_are_kept_and_a_seed_gives_the_same(clips, tiny) -> None:
    steps = {**STEPS, "epochs": 3, "head": "ctc-lstm"}
    one, same, other = (gw.fit(clips, tiny, task="transcribe", freeze="head", seed=seed, **steps) for seed in (0, 0, 1))
    assert one.record["certificate"]["ok"]
    assert one.record["training"]["states_kept"]
    losses = [[row.get("loss") for row in run.record["training"]["history"]] for run in (one, same, other)]
    assert losses[0] == losses[1] != losses[2]


def test_a_clip_longer_than_the_encoder_reads_is_learned_in_windows(tiny, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("graftwork_audio.resolve.reads", partial(reads, longest=0.4))
    long = "abc" * 8
    data = table(tmp_path, {"long.wav": long, **{f"{text}.wav": text for text in TEXTS}})
    run = gw.fit(data, tiny, task="transcribe", freeze="all", **STEPS)
    assert [step["converter"] for step in run.record["agreement"]["steps"]] == ["windows"]
    heard = run.predict([tmp_path / "long.wav"])[0]["text"]
    assert run.metrics["cer"] < 0.5
    assert len(heard) > 13  # a window holds 12 letters


def test_augmented_clips_and_an_ngram_train_too(clips, tiny) -> None:
    options = {"search": "beam", "ngram": 2}
    steps = {**STEPS, "epochs": 2, "augment": True}
    run = gw.fit(clips, tiny, task="transcribe", freeze="all", options=options, **steps)
    assert run.record["certificate"]["ok"]
    assert run.metrics["nothing"] == 1.0


def test_a_text_that_does_not_fit_its_clip_is_refused_by_name(tiny, tmp_path) -> None:
    data = table(tmp_path, {"abc.wav": "abc", "short.wav": "ab"}, said={"short.wav": "ab" * 60})
    with pytest.raises(gw.DataError) as caught:
        gw.fit(data, tiny, task="transcribe", freeze="all", **{**STEPS, "epochs": 1})
    assert caught.value.message.startswith("The text of 'short.wav' needs 120 frames")
