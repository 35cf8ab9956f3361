"""What does not reach the encoder is counted, with an example, wherever data are read: check, fit, evaluate, predict."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import graftwork as gw
from graftwork.errors import PluginFault
from graftwork.plugins import registry
from graftwork.specs.defects import TRUNCATED, Defect, DefectCount, added, counted_by_facts, place_of

UNKNOWN = "of the tokens are unknown to the encoder's vocabulary"
KNOWN = "where is my parcel"


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def faces(path: Path) -> Path:
    return table(path, [("😍" * (1 + n % 3), "happy") if n % 2 else ("😞" * (1 + n % 3), "angry") for n in range(12)])


def problem(found: gw.Checked, kind: str) -> Any:
    return next((p for p in found.problems if p.kind == kind), None)


# Tokens.


def test_texts_that_are_all_unknown_to_the_vocabulary_are_said_to_be(tiny, tmp_path) -> None:
    data = faces(tmp_path / "faces.csv")
    found = problem(gw.check(data, backbone=tiny), "unknown_tokens")
    assert found.message == f"12 of 12 rows: 100% {UNKNOWN}; the first: row 1: 😞."
    assert (found.count, found.hint) == (12, "Choose an encoder that knows them: graftwork backbones --modality text")
    assert found.examples[:2] == ("row 1: 😞", "row 2: 😍😍")
    assert problem(gw.check(data), "unknown_tokens") is None  # without an encoder there is no vocabulary
    run = gw.fit(data, tiny, val=0.5)
    said = f"12 of 12 rows: 100% {UNKNOWN}; the first: 😞. {found.hint}"
    assert said in run.record["warnings"]
    assert run.record["defects"] == [{"name": "unknown_tokens", "examples": 12, "share": 1.0, "example": "😞"}]
    judged = run.evaluate(data)
    assert said in judged["warnings"]
    assert judged["defects"] == run.record["defects"]
    known, half = run.predict([KNOWN, "where is 🎉🎉 🎉"])
    assert "notes" not in known
    assert half["notes"] == [f"50% {UNKNOWN}"]


def test_only_the_tokenizer_is_needed_to_check_and_where_it_is_not_nothing_is_said(tmp_path, tiny_bert) -> None:
    data = faces(tmp_path / "faces.csv")
    spec = registry.backbone("text/bert-base")
    assert spec.weights.find() is None
    assert problem(gw.check(data, backbone="text/bert-base"), "unknown_tokens") is None
    assert registry.backbone(f"local:{tiny_bert}").survey == spec.survey


def test_training_by_steps_counts_as_a_solved_head_does(tiny, tmp_path) -> None:
    data = faces(tmp_path / "faces.csv")
    solved, stepped = (gw.fit(data, tiny, val=0.5, freeze=freeze) for freeze in ("head", "all"))
    assert stepped.record["defects"] == solved.record["defects"]


def test_one_strange_word_in_a_long_text_is_no_warning(tiny, tmp_path) -> None:
    rows = [(f"{KNOWN} {KNOWN} {KNOWN} 🎉", "a"), (KNOWN, "b")] * 4
    assert gw.fit(table(tmp_path / "t.csv", rows), tiny, val=0.5).record["defects"] == []


def test_a_text_of_which_no_token_is_left_is_wholly_unknown(tiny_bert) -> None:
    from graftwork_text.vocabulary import build

    survey = build(registry.backbone(f"local:{tiny_bert}"), tiny_bert)
    assert survey(["\u200b", KNOWN, f"{KNOWN} 🎉"])["unknown_tokens"] == [1.0, 0.0, pytest.approx(0.2)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), budget=st.integers(1, 300))
def test_counts_do_not_depend_on_order_batches_or_a_warm_store(tiny, tmp_path, monkeypatch, seed, budget) -> None:
    rng = random.Random(seed)
    words = ["where", "card", "🎉", "köln", "help"]
    rows = [(" ".join(rng.choices(words, k=rng.randint(1, 90))), "ab"[n % 2]) for n in range(24)]
    cold = gw.fit(table(tmp_path / "a.csv", rows), tiny, val=0.5, cache=False)
    rng.shuffle(rows)
    monkeypatch.setattr("graftwork_text.tokens.TextEncoder.batch_size", budget)
    mixed = gw.fit(table(tmp_path / "b.csv", rows), tiny, val=0.5)
    warm = gw.fit(tmp_path / "b.csv", tiny, val=0.5)
    streamed = gw.fit(gw.stream(tmp_path / "b.csv"), tiny, val=0.5)

    def counted(run: gw.Run) -> list[tuple]:
        return [(d["name"], d["examples"], d["share"]) for d in run.record["defects"]]

    assert warm.record["cache"]["misses"] == 0
    assert counted(cold) == counted(mixed) == counted(warm) == counted(streamed)
    assert mixed.record["defects"] == warm.record["defects"]
    for run in (cold, mixed):
        assert run.record["long"]["examples"] == sum(d[1] for d in counted(run) if d[0] == "truncated")


def test_what_is_cut_is_found_by_check_too_with_an_example_and_the_way_out(tiny, tmp_path) -> None:
    data = table(tmp_path / "t.csv", [(KNOWN, "a"), ("card " * 124, "b")] * 4)
    found = problem(gw.check(data, backbone=tiny), "truncated")
    first = "row 2: " + "card " * 11 + "card…"
    assert found.message == (
        f"4 of 8 rows: more than the encoder reads at once, so cut; 50% of what they hold is not read; the first: {first}."
    )
    assert (found.count, found.hint) == (4, "Read all of it: --long windows")
    run = gw.fit(data, tiny, val=0.5)
    assert run.record["defects"][0]["examples"] == 4
    assert run.predict("card " * 124)[0]["notes"] == ["more than the encoder reads at once, so cut; 50% is not read"]
    assert gw.fit(data, tiny, val=0.5, long="windows").record["defects"] == []


# Markup.


def test_texts_that_are_mostly_markup_are_counted_and_nothing_is_taken_out(tiny, tmp_path) -> None:
    rows = [(KNOWN, "a"), ("<br><img src='https://a.example/where/is/it.png'>", "b")] * 4
    data = table(tmp_path / "t.csv", rows)
    found = problem(gw.check(data), "markup")
    said = "4 of 8 rows: mostly markup: few letters are left beside tags and addresses; the first: <br><img"
    assert found.message.startswith(said)
    run = gw.fit(data, tiny, val=0.5)
    assert any(warning.startswith(said) for warning in run.record["warnings"])
    assert "mostly markup" in run.predict("https://a.example/where/is/it")[0]["notes"][0]


# Pictures.


def logo(colour: str) -> Image.Image:
    """A square on a transparent ground."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste(colour, (16, 16, 48, 48))
    return image


@pytest.fixture
def icons(tmp_path: Path) -> Path:
    """Pictures with something on them, one white on a transparent ground and one all black."""
    for number in range(8):
        place = tmp_path / "icons" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        colour = "white" if number == 3 else ("red", "blue")[number % 2]
        image = Image.new("L", (64, 64)) if number == 6 else logo(colour)
        image.save(place / f"{number}.png")
    return tmp_path / "icons"


def test_a_picture_that_vanishes_on_the_ground_behind_it_is_blank_in_check_fit_and_predict(icons) -> None:
    found = problem(gw.check(icons), "blank")
    assert found.message == (
        f"2 of 8 files: blank as the encoder sees it: one colour, or nearly; the first: {icons}/a/6.png."
    )
    assert found.examples == (f"{icons}/a/6.png", f"{icons}/b/3.png")
    run = gw.fit(icons, "image/efficientnet-lite0", val=0.5)
    assert run.record["defects"] == [{"name": "blank", "examples": 2, "share": 1.0, "example": f"{icons}/a/6.png"}]
    assert any(warning.startswith(found.message.removesuffix(".")) for warning in run.record["warnings"])
    again = gw.fit(icons, "image/efficientnet-lite0", val=0.5)
    assert again.record["cache"]["misses"] == 0
    assert again.record["defects"] == run.record["defects"]
    shown, vanished = run.predict([icons / "a/0.png", icons / "b/3.png"])
    assert "notes" not in shown
    assert vanished["notes"] == ["blank as the encoder sees it: one colour, or nearly"]


@settings(max_examples=40, deadline=None)
@given(colour=st.tuples(*[st.integers(0, 255)] * 3), alpha=st.integers(0, 255), turn=st.integers(1, 8))
def test_a_picture_on_its_own_colour_is_blank_and_another_is_not(colour, alpha, turn) -> None:
    from graftwork_image.blank import blank
    from graftwork_image.convert import exif_turn, to_rgb

    def seen(over: tuple[int, int, int]) -> bool:
        image = Image.new("RGBA", (40, 30), (*over, 255))
        image.alpha_composite(Image.new("RGBA", (12, 9), (*colour, alpha)), (3, 20))
        rgb = to_rgb(image, "RGBA", "RGB")
        return blank(exif_turn(rgb, turn, 1) if turn > 1 else rgb)

    assert seen(colour)
    other = tuple((level + 128) % 256 for level in colour)
    assert seen(other) == (alpha < 12) or 8 <= alpha <= 24  # near the limit either is right


def test_noise_around_one_colour_is_blank_and_a_small_dot_is_not() -> None:
    from graftwork_image.blank import blank
    from graftwork_image.convert import to_rgb

    noise = np.random.default_rng(0).normal(40, 4, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    assert blank(Image.fromarray(noise))
    assert not blank(to_rgb(logo("black"), "RGBA", "RGB").resize((6, 6)))
    dotted = np.full((512, 512, 3), 255, np.uint8)
    dotted[100:116, 200:216] = 0
    assert not blank(Image.fromarray(dotted))
    equal = np.zeros((64, 64, 3), np.uint8)  # red and blue of one lightness
    equal[:, :32, 0], equal[:, 32:, 2] = 38, 100
    assert not blank(Image.fromarray(equal))


# Sound.


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight stereo clips, of which one cancels itself in mono, one is clipped and one is silent."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for number in range(8):
        wave = 0.4 * np.sin(np.arange(8_000) * (0.1 + 0.02 * number)) + 0.01 * rng.standard_normal(8_000)
        stereo = np.stack([wave, 0.5 * wave], 1)
        if number == 2:
            stereo[:, 1] = -stereo[:, 0]
        if number == 4:
            stereo = (10 * stereo).clip(-1, 1)
        if number == 5:
            stereo *= 0
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        soundfile.write(folder / "ab"[number % 2] / f"{number}.wav", stereo, 16_000, subtype="PCM_16")
    return folder


def test_clips_that_cancel_themselves_are_clipped_or_silent_are_counted(clips) -> None:
    checked = gw.check(clips, backbone="audio/wav2vec2-tiny")
    found = {
        p.kind: (p.count, p.examples) for p in checked.problems if p.kind in ("silent", "silent_as_mono", "clipped")
    }
    assert found == {
        "silent": (1, (f"{clips}/b/5.wav",)),
        "silent_as_mono": (1, (f"{clips}/a/2.wav",)),
        "clipped": (1, (f"{clips}/a/4.wav",)),
    }
    assert problem(checked, "silent_as_mono").message == (
        "1 of 8 files: silent, or nearly, once the channels are mixed to one: they cancel each other; the first: "
        f"{clips}/a/2.wav."
    )
    run = gw.fit(clips, "audio/wav2vec2-tiny", val=0.5)
    assert [d["name"] for d in run.record["defects"]] == ["silent", "silent_as_mono", "clipped"]
    assert (
        "2 of 8 files: sound silent, silent as mono, not audible: they hold nothing to hear; the first: "
        f"{clips}/b/5.wav"
    ) in run.record["warnings"]
    assert any("clipped: a thousandth" in warning for warning in run.record["warnings"])
    plain, cancelled = run.predict([clips / "a/0.wav", clips / "a/2.wav"])
    assert "notes" not in plain
    assert cancelled["notes"] == ["silent, or nearly, once the channels are mixed to one: they cancel each other"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), gain=st.floats(0.01, 1), noise=st.floats(0, 0.01), cut=st.integers(1, 799))
def test_a_clip_beside_its_inverse_is_silent_as_mono_however_it_is_read(seed, gain, noise, cut) -> None:
    from graftwork_audio.levels import levels

    rng = np.random.default_rng(seed)
    wave = rng.uniform(-1, 1, 800).astype(np.float32)
    wave *= np.float32(gain / np.abs(wave).max())
    loss = (noise * gain * rng.uniform(-1, 1, 800)).astype(np.float32)  # what a codec leaves of it
    apart = np.stack([wave, -wave + loss], 1)
    assert levels([apart]).sound == "silent as mono"
    assert levels([np.stack([wave, wave], 1)]).sound == "audible"
    assert levels([np.stack([wave, 0 * wave], 1)]).sound == "audible"
    assert levels([apart[:cut], apart[cut:]]) == pytest.approx(levels([apart]))


def test_only_an_encoder_of_one_channel_minds_channels_that_cancel(clips) -> None:
    modality = registry.modality("audio")
    observed = gw.data(clips).observed
    wanted = gw.InputContract("audio", {"sound": gw.OneOf(("audible", "silent as mono")), "channels": gw.Exactly(2)})
    told = [count.defect.name for count in counted_by_facts(modality.defects, observed, wanted)]
    assert told == ["silent", "clipped"]
    strict = gw.InputContract("audio", {"sound": gw.Exactly("audible")})
    with pytest.raises(gw.InputMismatch, match="silent, silent as mono in 2 of 8 files"):
        gw.agree(strict, observed)


def test_a_scaled_peak_is_not_clipped_and_eight_bits_have_their_own_full_scale() -> None:
    from graftwork_audio.levels import levels

    wave = np.sin(np.arange(4_000) * 0.05).astype(np.float32)[:, None]
    scaled = wave / np.abs(wave).max()
    scaled[scaled < 1] *= 0.99
    assert levels([scaled]).clipping == "none"
    assert levels([(3 * wave).clip(-1, 1)]).clipping == "clipped"
    assert levels([(3 * wave).clip(-1, 127 / 128)], bits=8).clipping == "clipped"
    assert levels([3 * wave]).clipping == "none"  # floats beyond full scale are not cut there


# What people and other programs read.


def test_the_terminal_says_it_on_stderr_and_never_that_the_data_fit_as_they_are(shell, tiny, tmp_path) -> None:
    faces(tmp_path / "faces.csv")
    said = shell("check", "faces.csv", "--backbone", tiny).stdout
    assert "unknown tokens" in said
    assert f"The data fit {tiny}, but not all that they hold reaches it (see the problems)." in said
    fitted = shell("fit", "faces.csv", "--backbone", tiny, "--val", "0.5", "--out", "run")
    assert f"Warning: 12 of 12 rows: 100% {UNKNOWN}" in fitted.stderr
    asked = shell("predict", "run", "🎉", KNOWN)
    assert f"Note on 🎉: 100% {UNKNOWN}." in asked.stderr
    assert asked.stderr.count("Note on") == 1
    answers = shell.json("predict", "run", "🎉", KNOWN)
    assert [answer.get("notes") for answer in answers] == [[f"100% {UNKNOWN}"], None]
    assert json.loads((tmp_path / "run/run.json").read_text())["defects"][0]["name"] == "unknown_tokens"


def test_the_page_does_not_say_that_they_fit_as_they_are(tiny, tmp_path) -> None:
    from graftwork.reports.check_page import write_check

    write_check(gw.check(faces(tmp_path / "faces.csv"), backbone=tiny), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "They fit, but not all that they hold reaches it." in page
    assert "as they are" not in page


def test_what_is_silent_is_said_behind_an_adapter_too(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        (tmp_path / "d" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        wave = np.zeros(8_000) if number == 1 else 0.1 * rng.standard_normal(8_000)
        soundfile.write(tmp_path / "d" / "ab"[number % 2] / f"{number}.wav", wave, 16_000)
    run = gw.fit(tmp_path / "d", "image/efficientnet-lite0", adapter="audio:image-logmel", val=0.5)
    assert [d["name"] for d in run.record["defects"]] == ["silent"]
    assert run.predict(tmp_path / "d/b/1.wav")[0]["notes"] == ["silent: nothing to hear"]


# The pieces.


def test_a_defect_that_is_not_declared_is_the_plugins_fault() -> None:
    with pytest.raises(PluginFault) as caught:
        place_of("dull", (TRUNCATED,), "'series/x'")
    assert (caught.value.message, caught.value.hint) == (
        "'series/x' measures the defect 'dull', which its modality does not declare.",
        "Declare it: Modality(defects=(Defect(...),)).",
    )


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0.01, 1)), min_size=1, max_size=6))
def test_counts_of_parts_add_up_to_the_count_of_the_whole(parts) -> None:
    defect = Defect("dull", "dull: {share}")
    total: tuple[DefectCount, ...] = ()
    for number, (count, share) in enumerate(parts):
        total = added(total, [DefectCount(defect, count, share, str(number))])
    (found,) = total
    assert (found.examples, found.example) == (sum(count for count, _ in parts), "0")
    assert found.share == pytest.approx(sum(count * share for count, share in parts) / found.examples)


def test_a_trace_is_not_nothing_and_all_but_a_trace_is_not_all() -> None:
    said = Defect("dull", "{share} dull").said
    assert [said(share) for share in (0.001, 0.2, 0.999, 1.0)] == [
        "under 1% dull",
        "20% dull",
        "over 99% dull",
        "100% dull",
    ]


def test_encoded_bytes_and_files_have_the_same_defects(icons) -> None:
    run = gw.fit(icons, "image/efficientnet-lite0", val=0.5)
    made = io.BytesIO()
    logo("white").save(made, "PNG")
    assert [a.get("notes") for a in run.predict([made.getvalue(), icons / "b/3.png"])] == [
        ["blank as the encoder sees it: one colour, or nearly"]
    ] * 2
    assert torch.is_grad_enabled()
