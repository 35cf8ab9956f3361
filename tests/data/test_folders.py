"""Folders as people have them: what is read is what was meant, and what is left out is said."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import graftwork as gw
from graftwork import DataError


def photos(folder: Path, count: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i}.png")


def classes(root: Path) -> Path:
    photos(root / "cat", 3)
    photos(root / "dog", 2)
    return root


def splits(root: Path) -> Path:
    classes(root / "train")
    classes(root / "test")
    return root


def counts(data: gw.Data) -> dict[object, int]:
    assert data.labels is not None
    keys = data.labels if data.splits is None else zip(data.splits, data.labels, strict=True)
    return dict(Counter(keys))


CLASSES = {"cat": 3, "dog": 2}
BY_SPLIT = {(split, label): count for split in ("train", "test") for label, count in CLASSES.items()}


def test_what_archives_and_systems_leave_behind_is_counted_and_no_example(tmp_path) -> None:
    splits(tmp_path)
    photos(tmp_path / "__MACOSX" / "train" / "cat")
    photos(tmp_path / "train" / "cat" / ".ipynb_checkpoints")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (tmp_path / "train" / "dog" / name).write_bytes(b"x")
    data = gw.data(tmp_path)
    assert counts(data) == BY_SPLIT
    assert data.notes == (
        "Left out: hidden and system files (__MACOSX, .ipynb_checkpoints, .DS_Store and 3 more), 6 in all.",
    )


def test_an_empty_folder_beside_splits_is_nothing(tmp_path) -> None:
    (splits(tmp_path) / "new folder" / "deep").mkdir(parents=True)
    assert counts(gw.data(tmp_path)) == BY_SPLIT


def test_splits_beside_another_folder_are_refused(tmp_path) -> None:
    photos(splits(tmp_path) / "extras")
    with pytest.raises(
        DataError, match="holds the splits test, train, and beside them extras, which is no split"
    ) as no:
        gw.data(tmp_path)
    assert no.value.hint.endswith(f"mv {tmp_path}/extras {tmp_path.parent}")


def test_train_may_be_the_name_of_a_label(tmp_path) -> None:
    for label in ("train", "car", "bus"):
        photos(tmp_path / label)
    assert counts(gw.data(tmp_path)) == {"train": 2, "car": 2, "bus": 2}


@pytest.mark.parametrize("wrapped", ["photos", "archive/photos"])
def test_wrapping_folders_are_passed_through(wrapped, tmp_path) -> None:
    classes(tmp_path / "a" / wrapped)
    splits(tmp_path / "b" / wrapped)
    assert counts(gw.data(tmp_path / "a")) == CLASSES
    assert counts(gw.data(tmp_path / "b")) == BY_SPLIT


def test_files_beside_label_folders_are_named(tmp_path) -> None:
    (classes(tmp_path) / "notes.txt").write_text("x")
    assert gw.data(tmp_path).notes == ("Left out: files that lie in no label folder (notes.txt).",)


def test_links_to_folders_are_followed_once_each(tmp_path) -> None:
    root = classes(tmp_path / "d")
    photos(tmp_path / "store" / "more", 4)
    (root / "cat" / "batch2").symlink_to("../../store")
    (root / "cat" / "again").symlink_to("../../store/more")
    (root / "cat" / "up").symlink_to("../..")
    (root / "cat" / "other").symlink_to("../dog")
    (root / "dog" / "gone").symlink_to("nowhere")
    data = gw.data(root)
    assert counts(data) == {"cat": 7, "dog": 2}
    assert data.notes == (
        "Not followed: links to folders that are read already (cat/batch2/more, cat/other, cat/up).",
        "Left out: links that lead nowhere (dog/gone).",
    )


def test_a_folder_named_in_another_encoding_has_a_readable_label(tmp_path) -> None:
    for name in (b"caf\xe9", b"th\xe9"):
        photos(tmp_path / os.fsdecode(name))
    assert counts(gw.data(tmp_path)) == {"café": 2, "thé": 2}


@pytest.mark.parametrize("places", [("",), ("train", "test")])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_metadata_table_names_files_and_labels(places, ending, tmp_path) -> None:
    for place in places:
        photos(tmp_path / place, 3)
        names = [("0.png", "a"), ("1.png", "b"), ("2.png", "a")]
        lines = [f'{{"file_name": "{name}", "label": "{label}"}}' for name, label in names]
        if ending == "csv":
            lines = ["file_name,label", *map(",".join, names)]
        (tmp_path / place / f"metadata.{ending}").write_text("\n".join(lines) + "\n")
    data = gw.data(tmp_path)
    expected = {(place, label): count for place in places for label, count in (("a", 2), ("b", 1))}
    assert counts(data) == (expected if places[0] else {"a": 2, "b": 1})
    assert len({raw.path for raw in data.raws}) == 3 * len(places)
    assert sum(len(chunk) for chunk in gw.stream(tmp_path).chunks()) == 3 * len(places)


def test_a_table_that_names_no_files_is_not_the_labels_of_a_folder(tmp_path) -> None:
    (classes(tmp_path) / "metadata.csv").write_text("camera,lens\nx,y\n")
    assert counts(gw.data(tmp_path)) == CLASSES


def test_a_metadata_table_may_not_lead_out_of_its_folder(tmp_path) -> None:
    photos(tmp_path / "d")
    photos(tmp_path / "e")
    (tmp_path / "d" / "metadata.csv").write_text("file_name,label\n0.png,a\n../e/0.png,b\n")
    with pytest.raises(DataError, match=r"Row 2"):
        gw.data(tmp_path / "d")


def test_a_folder_of_split_tables(tmp_path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,y\n")
    (tmp_path / "dev.jsonl").write_text('{"text": "c", "label": "x"}\n')
    data = gw.data(tmp_path)
    assert counts(data) == {("train", "x"): 1, ("train", "y"): 1, ("validation", "x"): 1}
    (tmp_path / "dev.jsonl").write_text('{"text": "c", "topic": "x"}\n')
    for read in (gw.data, gw.stream):
        with pytest.raises(DataError, match=r"train.csv' has the columns text, label, and '.*dev.jsonl' text, topic"):
            read(tmp_path)
    (tmp_path / "train.jsonl").write_text('{"text": "c", "label": "x"}\n')
    with pytest.raises(DataError, match="holds two tables for the same examples"):
        gw.data(tmp_path)


@pytest.mark.parametrize("seed", range(100))
def test_a_random_tree_is_read_as_meant(seed, tmp_path) -> None:
    dice = random.Random(seed)
    root = tmp_path / "d"
    inner = root.joinpath(*["wrap"] * dice.randint(0, 2))
    meant: Counter[object] = Counter()
    for split in ["train", "val", "test"][: dice.randint(2, 3)] if dice.random() < 0.5 else [""]:
        for label in ("a", "b", "c")[: dice.randint(2, 3)]:
            folder = inner / split / label
            for number in range(dice.randint(1, 3)):
                place = folder / "deep" if dice.random() < 0.3 else folder
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{number}.txt").write_text(f"{split} {label} {number}")
                meant[({"val": "validation"}.get(split, split), label) if split else label] += 1
            if dice.random() < 0.3:
                (folder / dice.choice(["Thumbs.db", ".DS_Store", "._0.txt", "desktop.ini"])).write_text("x")
            if dice.random() < 0.2:
                (folder / "gone").symlink_to("nowhere")
            if dice.random() < 0.2:
                (folder / "loop").symlink_to(root.resolve())
            if dice.random() < 0.2:
                store = tmp_path / "store" / split / label
                store.mkdir(parents=True)
                (store / "more.txt").write_text(f"more {split} {label}")
                (folder / "linked").symlink_to(store)
                meant[({"val": "validation"}.get(split, split), label) if split else label] += 1
    for name in dice.sample(["__MACOSX", ".git", "new folder"], dice.randint(0, 3)):
        (inner / name).mkdir()
        if name != "new folder":
            (inner / name / "0.txt").write_text("x")
    assert counts(gw.data(root)) == meant
