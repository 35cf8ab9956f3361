"""Training heads whose answers lie in the input: every policy with every task, the certificate, what is kept, and going
on after a kill."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import graftwork as gw
from graftwork.features.view_cache import stacked
from graftwork.training.progress import TrainState

POLICIES = (
    "head", "all", "last:1", "last:1+bitfit", "lpft", "gradual:1", "layerwise:0.5", "bitfit", "norm", "lora:r=2",
    "params:*.weight",
)  # fmt: skip
FAST: dict[str, Any] = {"epochs": 2, "lr": 1e-3, "head_lr": 1e-2, "checkpoint_every": 0.0, "patience": 0}
TASKS = ("tag", "transcribe", "segment", "detect")


class Case(NamedTuple):
    """Data of a task, and a tiny encoder that reads them."""

    data: Path
    backbone: str
    asked: dict[str, Any]


class Killed(BaseException):
    """As sudden as a kill, for this process."""


def stop_at(step: int) -> Callable[..., None]:
    def watch(progress: Any) -> None:
        if progress.step == step and not progress.done:
            raise Killed

    return watch


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("cases")
    vit = tiny_resnet(folder / "resnet")
    return {
        "tag": Case(texts(folder / "texts.conll"), f"local:{tiny_bert}", {"batch_size": 8}),
        "transcribe": Case(
            clips(folder / "clips"), tiny_wav2vec2(folder / "wav2vec2"), {"batch_size": 4, "head_lr": 2e-3}
        ),
        "segment": Case(pictures(folder / "masks", "masks"), vit, {"batch_size": 4, "options": {"size": 64}}),
        "detect": Case(pictures(folder / "boxes", "boxes"), vit, {"batch_size": 4, "options": {"size": 64}}),
    }


def texts(path: Path) -> Path:
    rng, lines = random.Random(0), []
    for _ in range(20):
        lines += [f"{rng.choice(['where', 'is', 'my'])} O", f"{rng.choice(['card', 'parcel'])} B-thing", "help O", ""]
    path.write_text("\n".join(lines) + "\n")
    return path


def clips(folder: Path) -> Path:
    """Tones, one for each letter of a text."""
    (folder / "wavs").mkdir(parents=True)
    rng, rows = random.Random(0), []
    for number in range(10):
        text = "".join(rng.choice("ab") for _ in range(3))
        time = np.arange(4000) / 16_000
        tones = [np.sin(2 * np.pi * {"a": 300, "b": 900}[letter] * time) for letter in text]
        soundfile.write(folder / "wavs" / f"{number}.wav", 0.3 * np.concatenate(tones), 16_000)
        rows.append(f"{number}|{text}|{text}\n")
    (folder / "metadata.csv").write_text("".join(rows))
    return folder


def pictures(folder: Path, kind: str, level: int = 1) -> Path:
    """Bright squares on grey, with their boxes or masks. level: of the squares in a mask, and in the name of a box."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    images, found = [], []
    for number in range(10):
        rng = random.Random(number)
        left, top, side = rng.randint(0, 30), rng.randint(0, 30), rng.randint(16, 30)
        image, mask = Image.new("RGB", (64, 64), (90, 90, 90)), Image.new("L", (64, 64))
        for picture, colour in ((image, (230, 230, 200)), (mask, level)):
            ImageDraw.Draw(picture).rectangle((left, top, left + side - 1, top + side - 1), fill=colour)
        image.save(folder / "images" / f"{number}.png")
        mask.save(folder / "masks" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 64})
        found.append({"id": number, "image_id": number, "category_id": 1, "bbox": [left, top, side, side]})
    if kind == "boxes":
        for file in (folder / "masks").iterdir():
            file.unlink()
        (folder / "masks").rmdir()
        about = {"images": images, "annotations": found, "categories": [{"id": 1, "name": f"square {level}"}]}
        (folder / "annotations.json").write_text(json.dumps(about))
    return folder


def tiny_resnet(folder: Path) -> str:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ).save_pretrained(folder)
    about = {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}, "resample": 2}
    about |= {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return f"local:{folder}"


def tiny_wav2vec2(folder: Path) -> str:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, conv_dim=(8, 12, 12),
        conv_kernel=(10, 8, 4), conv_stride=(5, 8, 4), num_conv_pos_embeddings=6, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(folder)
    about = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16_000, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return f"local:{folder}"


def fitted(case: Case, task: str, freeze: str, **options: Any) -> gw.Run:
    by_steps = {} if freeze == "head" and task == "tag" else {**FAST, **case.asked}
    return gw.fit(case.data, case.backbone, task=task, freeze=freeze, **{**by_steps, **options})


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("freeze", POLICIES)
def test_every_policy_trains_what_it_says_of_every_task_and_proves_it(cases, task, freeze) -> None:
    if freeze == "lora:r=2" and task in ("segment", "detect"):
        with pytest.raises(gw.UsageError, match="adapts linear layers, and the stages .* have none"):
            fitted(cases[task], task, freeze)
        return
    run = fitted(cases[task], task, freeze)
    certificate = run.record["certificate"]
    assert certificate["ok"]
    assert any(stage["trained"] for stage in certificate["stages"].values()) == (freeze != "head")
    assert run.metrics[run.task.primary.name] >= 0
    if freeze in ("head", "last:1"):
        assert run.record["training"]["states_kept"]
        assert not run.record["certificate"]["moved"][:-1]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("freeze", ["all", "last:1", "lpft"])
def test_a_kill_is_gone_on_from_to_the_same_bits(cases, task, tmp_path, freeze) -> None:
    case = cases[task]
    augment = freeze == "all" and task != "tag"  # whose texts are shown as they are
    whole = fitted(case, task, freeze, out=tmp_path / "whole", augment=augment)
    steps = random.Random(f"{task} {freeze}").sample(range(1, whole.record["training"]["steps"]), 2)
    asked = {"out": tmp_path / "stopped", "augment": augment}
    for number, step in enumerate(sorted(steps)):
        with pytest.raises(Killed):
            fitted(case, task, freeze, watch=stop_at(step), resume=number > 0, **asked)
    resumed = fitted(case, task, freeze, resume=True, **asked)
    assert resumed.metrics == whole.metrics
    for name in ("head.safetensors", "backbone.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_run_and_a_saved_one_the_same_answers(cases, task, tmp_path) -> None:
    case = cases[task]
    one, other = (fitted(case, task, "last:1", out=tmp_path / name) for name in ("one", "other"))
    assert one.metrics == other.metrics
    data = gw.data(case.data, task=task)
    inputs = [data.raws[number].path or data.raws[number].value for number in range(3)]
    known = [one.task.as_json(answer) for answer in one.predict(inputs)]
    assert known == [one.task.as_json(answer) for answer in gw.load(tmp_path / "one").predict(inputs)]
    assert "Validation examples, the worst first." in (tmp_path / "one/report.html").read_text()
    json.dumps(known)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_frozen_is_computed_once_ever_and_may_be_computed_in_every_epoch(
    cases, task, monkeypatch, tmp_path
) -> None:
    case = cases[task]
    kept = fitted(case, task, "last:1", precision="fp32")
    again = fitted(case, task, "last:1", precision="fp32")
    assert again.record["training"]["states"]["misses"] == 0
    assert again.metrics == kept.metrics
    monkeypatch.setenv("GRAFTWORK_CACHE", str(tmp_path / "small"))
    monkeypatch.setenv("GRAFTWORK_CACHE_LIMIT", "1KB")
    anew = fitted(case, task, "last:1", precision="fp32")
    assert not anew.record["training"]["states_kept"]
    assert any("so what is frozen runs in every epoch" in warning for warning in anew.record["warnings"])
    primary = kept.task.primary.name
    assert anew.metrics[primary] == pytest.approx(kept.metrics[primary], abs=0.25)


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_written_into_a_folder(cases, task, tmp_path, shell) -> None:
    case = cases[task]
    fitted(case, task, "head", out=tmp_path / "run", **({} if task == "tag" else {"epochs": 1}))
    data = gw.data(case.data, task=task)
    inputs = [str(data.raws[number].path or data.raws[number].value) for number in range(2)]
    done = shell("predict", str(tmp_path / "run"), *inputs, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    written = sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert (
        written
        == {
            "tag": ["entities.conll", "entities.jsonl"],
            "transcribe": ["metadata.csv"],
            "segment": ["drawn/0.jpg", "drawn/1.jpg", "masks/0.png", "masks/1.png", "masks/classes.txt"],
            "detect": ["annotations.json", "drawn/0.jpg", "drawn/1.jpg"],
        }[task]
    )
    table = shell("predict", str(tmp_path / "run"), *inputs, "--out", str(tmp_path / "out.csv"))
    assert table.returncode == 0, table.stderr
    assert len(list(csv.DictReader((tmp_path / "out.csv").open()))) == 2
    assert len(shell.json("predict", str(tmp_path / "run"), *inputs)) == 2


@pytest.mark.parametrize(("task", "kind", "label"), [("segment", "masks", "2"), ("detect", "boxes", "square 2")])
def test_a_class_that_the_validation_split_alone_has_is_named(cases, task, kind, label, tmp_path) -> None:
    pictures(tmp_path / "train", kind)
    pictures(tmp_path / "validation", kind, level=2)
    sentence = f"The validation split has the label '{label}', which no training example has."
    with pytest.raises(gw.DataError, match=sentence):
        gw.fit(tmp_path, cases[task].backbone, task=task)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4))
def test_pieces_of_different_sizes_are_padded_with_zeros_at_the_end(sizes) -> None:
    rows = [torch.ones(size) for size in sizes]
    found = stacked(rows)
    for row, (high, wide) in zip(found, sizes, strict=True):
        assert bool((row[:high, :wide] == 1).all())
        assert float(row.sum()) == high * wide


def test_patience_is_lost_only_once_something_is_found() -> None:
    state = TrainState()
    key = lambda row: -row["wer"]  # noqa: E731
    for epoch in range(6):
        state.record_validation({"epoch": epoch, "wer": 1.0}, key, begun=False)
    assert not state.out_of_patience(3)
    state.record_validation({"epoch": 6, "wer": 0.5}, key)
    for epoch in range(3):
        state.record_validation({"epoch": 7 + epoch, "wer": 0.6}, key)
    assert state.out_of_patience(3)
