"""Reports and cards of real runs, on tiny encoders: examples are seen, heard and read, and nothing needs the network."""

from __future__ import annotations

import base64
import io
import json
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import graftwork as gw
from graftwork.reports import shown
from graftwork.reports.charts import figure
from graftwork.reports.check_page import write_check
from graftwork.reports.shown import Viewer

SCRIPT = "<script>alert(1)<"


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """Pictures of two labels that cannot be told apart, some grey; one cannot be read."""
    rng = np.random.default_rng(0)
    for label in ("left", SCRIPT):
        (tmp_path / "d" / label).mkdir(parents=True)
        for number in range(20):
            mode = "L" if number == 7 else "RGB"
            size = 300 + 10 * number, 240 + number
            picture = Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)
            picture.save(tmp_path / "d" / label / f"{number}.png")
    (tmp_path / "d" / "left" / "torn.png").write_bytes(b"no picture")
    return tmp_path / "d"


def embedded(page, tag: str) -> list[bytes]:
    return [base64.b64decode(one["src"].split(",", 1)[1]) for one in page.all(tag)]


def test_mistakes_and_conversions_are_seen(noisy, sound, tmp_path) -> None:
    run = gw.fit(noisy, out=tmp_path / "run")
    wrong = round((1 - run.metrics["accuracy"]) * run.record["n_val"])
    assert 0 < wrong <= 12
    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    page = sound(text)
    pictures = [Image.open(io.BytesIO(content)) for content in embedded(page, "img")]
    assert len(pictures) == wrong + 1  # and one of those that were converted
    assert all(max(picture.size) <= 160 for picture in pictures)
    assert len(text) < 200_000
    for words in (SCRIPT, "answered:", "mode L to RGB by to-rgb", "torn.png", "median 390", "unreadable"):
        assert words in page.words, words
    kept = json.loads((tmp_path / "run/run.json").read_text())["validation"]
    assert [one["kind"] for one in kept["parts"]] == ["heat_map", "table"]
    assert len(kept["mistakes"]) == wrong
    assert sum(map(sum, kept["parts"][0]["counts"])) == run.record["n_val"]
    assert kept["figures"][0] == {"name": "accuracy", "words": "accuracy", "higher_is_better": True}


def test_a_run_that_was_loaded_names_its_mistakes_without_pictures(noisy, sound, tmp_path) -> None:
    gw.fit(noisy, out=tmp_path / "run")
    gw.load(tmp_path / "run").save(tmp_path / "again")
    page = sound((tmp_path / "again/report.html").read_text(encoding="utf-8"))
    assert not page.all("img")
    for one in json.loads((tmp_path / "run/run.json").read_text())["validation"]["mistakes"]:
        assert one["name"] in page.words
        assert one["note"] in page.words


def test_clips_are_seen_and_heard(sound, tmp_path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        (tmp_path / "d" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        samples = rng.uniform(-0.3, 0.3, (44_100 * (11 if number < 2 else 1), 2))
        soundfile.write(tmp_path / "d" / "ab"[number % 2] / f"{number}.wav", samples, 44_100)
    write_check(gw.check(tmp_path / "d", backbone="audio/wav2vec2-tiny"), tmp_path / "check.html")
    checked = sound((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert "sampling rate 44 100 to 16 000 by resample" in checked.words
    reader = gw.data(tmp_path / "d").modality.reader
    from graftwork.specs.factories import load_factory

    viewer = Viewer(load_factory(reader)())
    long = viewer.sound(gw.Raw("0.wav", tmp_path / "d" / "a" / "0.wav"))
    assert long is not None
    samples, rate = soundfile.read(io.BytesIO(long))
    assert (rate, samples.shape) == (16_000, (160_000,))  # ten seconds, one channel
    run = gw.fit(tmp_path / "d", out=tmp_path / "run")
    wrong = len(run.record["validation"]["mistakes"])
    page = sound((tmp_path / "run/report.html").read_text(encoding="utf-8"))
    assert len(page.all("audio")) == wrong > 0
    assert all(content.startswith(b"fLaC") for content in embedded(page, "audio"))
    assert sum(content.startswith(b"\x89PNG") for content in embedded(page, "img")) >= wrong


def test_texts_are_read_at_some_length_by_their_row(tiny_bert, sound, tmp_path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        {
            "text": f"{' '.join(rng.choice(['parcel', 'card', 'help'], 20))} {number} </blockquote>{SCRIPT}",
            "label": "ab"[rng.integers(2)],
        }
        for number in range(60)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = gw.fit(tmp_path / "t.jsonl", f"local:{tiny_bert}", out=tmp_path / "run")
    page = sound((tmp_path / "run/report.html").read_text(encoding="utf-8"))
    first = run.record["validation"]["mistakes"][0]
    number = int(first["name"].removeprefix("row ")) - 1
    assert rows[number]["label"] == first["true"] != first["said"]
    assert rows[number]["text"] in page.texts["blockquote"]


def test_a_page_stays_small_however_much_there_is_to_hear() -> None:
    class Loud(gw.Reader):
        def facts(self, raw: gw.Raw) -> dict[str, gw.Value]:
            return {}

        def decode(self, raw: gw.Raw) -> bytes:
            return b""

        def sound(self, raw: gw.Raw) -> bytes:
            return b"fLaC" + b"x" * 600_000

    viewer = Viewer(Loud())
    heard = [viewer.sound(gw.Raw(str(number))) for number in range(12)]
    assert sum(len(content) for content in heard if content) <= shown.MEDIA
    assert [content is not None for content in heard] == [True] * 3 + [False] * 9


def test_an_example_that_is_gone_is_named_only() -> None:
    from graftwork_image.reader import ImageReader

    viewer = Viewer(ImageReader())
    assert viewer.picture(gw.Raw("gone.png", Path("gone.png"))) is None
    assert Viewer(None).picture(gw.Raw("a")) is None


def test_a_streamed_fit_has_a_report_too(tiny_bert, messages, sound, tmp_path) -> None:
    gw.fit(gw.stream(messages), f"local:{tiny_bert}", out=tmp_path / "run")
    assert "Confusion." in sound((tmp_path / "run/report.html").read_text(encoding="utf-8")).words


def test_the_card_has_the_figures_of_the_report_and_no_picture_without_matplotlib(
    tiny_bert, messages, tmp_path
) -> None:
    run = gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run")
    card = (tmp_path / "run/README.md").read_text()
    assert run.record["headline"] in card
    assert f"| log loss (less is better) | {figure(run.metrics['log_loss'])} |" in card
    assert "![" not in card


def test_the_card_has_a_picture_of_confusions_where_matplotlib_is_installed(
    tiny_bert, messages, tmp_path, monkeypatch
) -> None:
    asked = {}

    class Axes:
        def __getattr__(self, name: str):
            return lambda *given, **how: asked.setdefault(name, (given, how))

    class Figure:
        def __init__(self, **how: object) -> None: ...

        def subplots(self) -> Axes:
            return Axes()

        def savefig(self, path: Path) -> None:
            path.write_bytes(b"png")

    package, module = types.ModuleType("matplotlib"), types.ModuleType("matplotlib.figure")
    package.__spec__ = ModuleSpec("matplotlib", None)
    module.Figure = Figure
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", module)
    gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run")
    assert "![All 8 answers are right.](card-1.png)" in (tmp_path / "run/README.md").read_text()
    assert (tmp_path / "run/card-1.png").read_bytes() == b"png"
    assert asked["imshow"][0][0] == [[1, 0], [0, 1]]
    assert asked["set_xticks"][0][1] == ["card", "delivery"]


def test_a_task_that_fails_to_say_what_its_answers_are_like_costs_no_run(
    tiny_bert, messages, sound, tmp_path, monkeypatch
) -> None:
    from graftwork.tasks.classify import Classify

    def parts(*given: object) -> list:
        raise ValueError("no parts")

    monkeypatch.setattr(Classify, "parts", parts)
    run = gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run")
    warning = (
        "The task 'classify' could not say what its answers are like (ValueError: no parts), so the report lacks it; the "
        "plugin that brings it must mend its 'parts' or 'mistakes'."
    )
    assert run.record["warnings"] == [warning]
    assert warning in sound((tmp_path / "run/report.html").read_text(encoding="utf-8")).words
