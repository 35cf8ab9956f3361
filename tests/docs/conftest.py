"""Pages and examples as they stand, on a few examples and for one epoch."""

from __future__ import annotations

import csv
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COUNTS = {
    "graftwork_text.tag.demo.MESSAGES": 30, "graftwork_audio.transcribe.demo.CLIPS": 12, "graftwork_image.shapes.PICTURES": 12,
    "graftwork_image.demo.EACH": 12,
}  # fmt: skip
SIDE = 96
BY_STEPS = ("transcribe", "segment", "detect")
"""Tasks whose usual heads are trained by steps over a frozen encoder too."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small demo sets, small pictures, one epoch and seconds instead of minutes, in a folder of its own."""
    from graftwork import demo
    from graftwork.pretraining import pretrain
    from graftwork.runs import compare, fitting

    fit: Callable[..., Any] = fitting.fit

    def short(*given: Any, **named: Any) -> Any:
        task, head = named.get("task"), named.get("head")
        if task in ("segment", "detect"):
            named["options"] = {**(named.get("options") or {}), "size": SIDE}
        if named.get("freeze", "head") != "head" or (task in BY_STEPS and head != "map-linear"):
            named["epochs"] = 1
        return fit(*given, **{**named, "budget": 5.0})

    monkeypatch.setattr(fitting, "fit", short)
    monkeypatch.setattr(demo, "fit", short)
    monkeypatch.setattr(compare, "compare", with_these(compare.compare, budget=5.0, epochs=1))
    monkeypatch.setattr(pretrain, "pretrain", with_these(pretrain.pretrain, epochs=1, allow_little=True))
    for place, count in COUNTS.items():
        monkeypatch.setattr(place, count)
    monkeypatch.setattr("graftwork.training.cross_validation.DRAWS", 10)
    monkeypatch.setattr(compare, "SIZES", (8,))
    monkeypatch.chdir(tmp_path)


def with_these(function: Callable[..., Any], **these: Any) -> Callable[..., Any]:
    return lambda *given, **named: function(*given, **{**named, **these})


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data that pages speak of, each as small as its commands allow."""
    folder = tmp_path_factory.mktemp("reader")
    tables(folder)
    pictures(folder)
    clips(folder)
    return folder


@pytest.fixture
def reader(quick: None, made_data: Path, tmp_path: Path) -> Iterator[Path]:
    """The folder of somebody who follows a page: a checkout, and data of their own."""
    shutil.copytree(made_data, tmp_path, dirs_exist_ok=True)
    for part in ("plugins", "examples"):
        (tmp_path / part).symlink_to(ROOT / part)
    (tmp_path / "path" / "to").mkdir(parents=True)
    model = ROOT / "plugins" / "audio-starter" / "src" / "graftwork_audio_starter" / "model"
    (tmp_path / "path" / "to" / "folder").symlink_to(model)
    return tmp_path


def table(place: Path, *rows: tuple[Any, ...]) -> None:
    with place.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def tables(folder: Path) -> None:
    """Messages of two kinds and others, with and without labels, as CSV and Parquet."""
    import pyarrow.csv
    import pyarrow.parquet

    asked = {"delivery": "where is my {}", "card": "i lost my card near the {}", "other": "tell me of the {} please"}
    things = ["parcel", "letter", "box", "gift", "bag", "chair", "lamp", "book", "phone", "ring", "coat", "hat"]
    rows = [(words.format(thing), label) for thing in things for label, words in asked.items()]
    table(folder / "messages.csv", ("text", "label"), *rows)
    table(folder / "more.csv", ("text", "label"), *((f"{text} today", label) for text, label in rows[:9]))
    table(folder / "new.csv", ("text",), *((f"{text} now",) for text, _ in rows[:3]))
    table(folder / "survey.csv", ("number", "remark", "verdict"), *((n, *row) for n, row in enumerate(rows)))
    table(folder / "names.csv", ("old", "new"), ("card", "lost card"))
    stars = itertools.cycle((1, 2, 3, 4, 5))
    table(folder / "reviews.csv", ("text", "stars"), *((text, next(stars)) for text, _ in rows))
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(folder / "messages.csv"), folder / "messages.parquet")


def pictures(folder: Path) -> None:
    """Dark cats and light dogs in folders, loose, in a table with tags, and shapes with boxes in COCO's layout."""
    import numpy as np
    from PIL import Image

    from graftwork_image.shapes import boxes

    rng = np.random.default_rng(0)

    def draw(place: Path, low: int) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(low, low + 120, (48, 48, 3), dtype=np.uint8)).save(place)

    for label, low in (("cat", 0), ("dog", 128)):
        for number in range(12):
            draw(folder / "photos" / label / f"{number}.png", low)
        for number in range(3):
            draw(folder / "more-photos" / label / f"{number}.png", low)
        draw(folder / "new-photos" / f"{label}.png", low)
    tags = {"cat": "cat|dark", "dog": "dog"}
    rows = [(f"photos/{label}/{number}.png", tags[label]) for number in range(12) for label in tags]
    table(folder / "photos.csv", ("file", "tags"), *rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graftwork_image.shapes.PICTURES", 12)
        boxes(folder / "coco-folder")


def clips(folder: Path) -> None:
    """Low and high tones, in folders and loose."""
    import numpy as np
    import soundfile

    rng, rate = np.random.default_rng(0), 16_000

    def play(place: Path, pitch: float, seconds: float) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        times = np.arange(int(seconds * rate)) / rate
        sound = 0.3 * np.sin(2 * np.pi * pitch * times) + 0.02 * rng.standard_normal(len(times))
        soundfile.write(place, sound.astype("float32"), rate)

    for number in range(8):
        play(folder / "labelled" / "low" / f"{number}.wav", 200 + 10 * number, 0.5)
        play(folder / "labelled" / "high" / f"{number}.wav", 900 + 10 * number, 0.5)
    for number in range(16):
        play(folder / "recordings" / f"{number}.wav", 300 + 50 * number, 1.0)
    play(folder / "clip.flac", 300, 1.0)
