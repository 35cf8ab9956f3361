"""Folders as people have them: what is read is what was meant, and what is left out is said."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import graftwork as gw
from graftwork import DataError, UsageError


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
    with pytest.raises(UsageError, match="can be read in two ways: as class-folders .* and as split-folders") as no:
        gw.data(tmp_path)
    assert no.value.hint == "Say which: --layout class-folders or --layout split-folders"
    data = gw.data(tmp_path, layout="split-folders")
    assert counts(data) == BY_SPLIT
    assert data.notes == ("Left out: files that lie in no label folder (extras/0.png, extras/1.png).",)
    assert counts(gw.data(tmp_path, layout="class-folders")) == {"train": 5, "test": 5, "extras": 2}


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
    assert gw.data(tmp_path).notes == ("Left out: files that are no images by their endings (.txt 1): notes.txt.",)
    photos(tmp_path, 1)
    assert gw.data(tmp_path).notes[0] == "Left out: files that lie in no label folder (0.png)."


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


def test_links_that_git_checked_out_as_files_are_followed(tmp_path) -> None:
    root = classes(tmp_path / "d")
    photos(tmp_path / "store" / "cat" / "deep", 4)
    photos(tmp_path / "store" / "dog", 1)
    (root / "cat" / "batch2").write_text("../../store/cat")
    (root / "dog" / "batch2").write_text("../../store/dog")
    (root / "dog" / "again").write_text("../../store/dog/../cat")
    data = gw.data(root)
    assert counts(data) == {"cat": 7, "dog": 3}
    assert data.notes == (
        "Followed: links to folders that were checked out as files (cat/batch2, dog/again, dog/batch2).",
        "Not followed: links to folders that are read already (dog/again).",
    )
    assert all(raw.path is not None and raw.path.is_file() for raw in data.raws)


@pytest.mark.parametrize("words", ["../../nowhere", "../../store/cat\n", "/tmp", "a text", "../../store/0.png"])
def test_a_file_that_names_no_folder_is_no_link(words, tmp_path) -> None:
    photos(tmp_path / "store" / "cat")
    photos(tmp_path / "store", 1)
    (classes(tmp_path / "d") / "cat" / "batch2").write_text(words)
    data = gw.data(tmp_path / "d")
    assert counts(data) == CLASSES
    assert [Path(bad.name).name for bad in data.bad] == ["batch2"]


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


# Layouts: found, named, refused where two fit.


def texts(folder: Path, labels: dict[str, str | None]) -> Path:
    """Pictures, and beside each that has a label a text file that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, label) in enumerate(labels.items()):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{name}.png")
        if label is not None:
            (folder / f"{name}.txt").write_text(f"{label}\n")
    return folder


LABELS = {"a": "cat", "b": "dog", "c": "cat", "d": "dog", "e": "cat"}


def test_files_with_a_text_file_each_have_its_text_as_label(tmp_path) -> None:
    texts(tmp_path / "d", {**LABELS, "f": None})
    (tmp_path / "d" / "readme.txt").write_text("x")
    data = gw.data(tmp_path / "d")
    assert (data.layout, counts(data)) == ("text-files", {"cat": 3, "dog": 2})
    assert data.notes == ("Left out: files that go with no example (readme.txt).",)
    assert [(bad.kind, Path(bad.name).name) for bad in data.bad] == [("unlabelled", "f.png")]
    for split in ("train", "test"):
        texts(tmp_path / "s" / split, LABELS)
    assert counts(gw.data(tmp_path / "s")) == {
        ("train", "cat"): 3, ("train", "dog"): 2, ("test", "cat"): 3, ("test", "dog"): 2,
    }  # fmt: skip
    assert counts(gw.data(texts(tmp_path / "w" / "images", LABELS).parent)) == {"cat": 3, "dog": 2}


def test_captions_beside_files_in_label_folders_are_left_out(tmp_path) -> None:
    for label in ("cat", "dog"):
        texts(tmp_path / label, {"a": "one", "b": "two"})
    data = gw.data(tmp_path)
    assert (data.layout, counts(data)) == ("class-folders", {"cat": 2, "dog": 2})
    assert data.notes == (
        "Left out: files that are no images by their endings (.txt 4): cat/a.txt, cat/b.txt, dog/a.txt and 1 more.",
    )


def test_files_of_other_endings_are_no_examples(tmp_path) -> None:
    for number in range(9):
        (classes(tmp_path) / "cat" / f"{number}.xml").write_text("<x/>")
    data = gw.data(tmp_path)
    assert counts(data) == CLASSES
    assert not data.bad
    assert data.notes == (
        "Left out: files that are no images by their endings (.xml 9): cat/0.xml, cat/1.xml, cat/2.xml and 6 more.",
    )


def test_two_kinds_of_examples_in_one_folder_are_refused(tmp_path) -> None:
    for number in range(4):
        (classes(tmp_path) / "cat" / f"n{number}.txt").write_text("a text")
    with pytest.raises(DataError, match="holds 5 files of images and 4 of text; one of them is accepted"):
        gw.data(tmp_path)


def table_of(folder: Path, name: str, names: dict[str, str], column: str = "file") -> None:
    (folder / name).write_text("\n".join([f"{column},label", *map(",".join, names.items())]) + "\n")


def test_a_table_beside_a_folder_of_files(tmp_path) -> None:
    photos(tmp_path / "images", 4)
    names = {"0.png": "a", "1.png": "b", "2.png": "a"}
    table_of(tmp_path, "labels.csv", names)
    for source in (tmp_path, tmp_path / "labels.csv"):
        data = gw.data(source)
        assert counts(data) == {"a": 2, "b": 1}
        assert "The file names of column 'file' are looked up in the folder 'images'." in data.notes
        assert sum(len(chunk) for chunk in gw.stream(source).chunks()) == 3
    (tmp_path / "labels.csv").unlink()
    shutil.rmtree(tmp_path / "images")
    for split in ("train", "test"):
        photos(tmp_path / split, 3)
        table_of(tmp_path, f"{split}.csv", names)
    assert counts(gw.data(tmp_path)) == {(s, k): n for s in ("train", "test") for k, n in (("a", 2), ("b", 1))}


def test_a_table_that_names_no_files_is_not_the_labels_of_the_folders_beside_it(tmp_path) -> None:
    table_of(classes(tmp_path), "names.csv", {"cat": "Katze", "dog": "Hund"}, "label_name")
    data = gw.data(tmp_path)
    assert (data.layout, counts(data)) == ("class-folders", CLASSES)
    assert data.notes == ("Left out: files that are no images by their endings (.csv 1): names.csv.",)


def test_files_that_no_metadata_table_names_are_left_out(tmp_path) -> None:
    photos(tmp_path, 4)
    table_of(tmp_path, "metadata.csv", {"0.png": "a", "1.png": "b"}, "file_name")
    assert gw.data(tmp_path).notes == ("Left out: files that no table names (2.png, 3.png), 2 in all.",)


def test_a_folder_that_fits_two_layouts_is_refused_and_either_can_be_named(tmp_path) -> None:
    table_of(classes(tmp_path), "metadata.csv", {"cat/0.png": "x", "dog/0.png": "y"}, "file_name")
    with pytest.raises(
        UsageError, match=r"can be read in two ways: as class-folders \(one folder per label\) and as metadata \("
    ) as no:
        gw.data(tmp_path)
    assert no.value.hint == "Say which: --layout class-folders or --layout metadata"
    assert counts(gw.data(tmp_path, layout="metadata")) == {"x": 1, "y": 1}
    assert counts(gw.data(tmp_path, layout="class-folders")) == CLASSES
    assert sum(len(chunk) for chunk in gw.stream(tmp_path, layout="metadata").chunks()) == 2


def test_a_split_alone_is_a_split_and_no_label(tmp_path) -> None:
    classes(tmp_path / "test")
    data = gw.data(tmp_path)
    assert (data.layout, counts(data)) == ("split-folders", {("test", label): n for label, n in CLASSES.items()})


def test_splits_of_files_without_label_folders_have_no_labels(tmp_path) -> None:
    photos(tmp_path / "train")
    photos(tmp_path / "test")
    with pytest.raises(DataError, match="holds 4 files and no class folders; one folder per label is accepted"):
        gw.data(tmp_path)
    assert counts(gw.data(tmp_path, layout="class-folders")) == {"train": 2, "test": 2}


def test_layouts_that_are_not_known_do_not_fit_or_mean_nothing_are_refused(tmp_path) -> None:
    classes(tmp_path / "d")
    with pytest.raises(
        UsageError, match=r"--layout imagefolder is not known; known are class-folders \(one folder per label\); "
    ):
        gw.data(tmp_path / "d", layout="imagefolder")
    with pytest.raises(UsageError, match="is not laid out as split-folders: a folder per split"):
        gw.data(tmp_path / "d", layout="split-folders")
    table_of(tmp_path, "t.csv", {"a b": "x"}, "text")
    with pytest.raises(UsageError, match="'t' is a table; --layout is for folders"):
        gw.data(tmp_path / "t.csv", layout="tables")


def test_several_tables_without_splits_are_to_be_named(tmp_path) -> None:
    table_of(tmp_path, "a.csv", {"x": "1"}, "text")
    table_of(tmp_path, "b.csv", {"x": "1"}, "text")
    with pytest.raises(DataError) as no:
        gw.data(tmp_path)
    assert no.value.hint == f"Name one of its tables: {tmp_path}/a.csv"
    (tmp_path / "b.csv").unlink()
    assert gw.data(tmp_path).layout == "tables"


@pytest.mark.parametrize("beside", ["docs/readme.md", "annotations/cat/0.xml", "README.txt", "labels.json"])
def test_what_holds_no_examples_is_neither_a_label_nor_a_layout(beside, tmp_path) -> None:
    for number, root in enumerate(
        (classes(tmp_path / "a"), splits(tmp_path / "b"), classes(tmp_path / "c" / "wrap").parent)
    ):
        (root / beside).parent.mkdir(parents=True, exist_ok=True)
        (root / beside).write_text("x")
        data = gw.data(root)
        assert counts(data) == (BY_SPLIT if number == 1 else CLASSES)
        assert len(data.notes) == 1
        assert beside in data.notes[0]


def test_a_split_without_label_folders_is_left_out_and_named(tmp_path) -> None:
    classes(tmp_path / "train")
    photos(tmp_path / "test")
    data = gw.data(tmp_path)
    assert counts(data) == {("train", label): n for label, n in CLASSES.items()}
    assert data.notes == ("Left out: files that lie in no label folder (test/0.png, test/1.png).",)


def test_texts_beside_clips_of_the_same_name_are_no_examples_whatever_their_order(tmp_path) -> None:
    for label in ("go", "stop"):
        (tmp_path / label).mkdir()
        for number in range(3):
            (tmp_path / label / f"{number}.wav").write_bytes(b"RIFF")
            (tmp_path / label / f"{number}.txt").write_text("spoken words")
    with pytest.raises(DataError, match="None of the 6 examples of folder .* can be used; the first: .*0.wav"):
        gw.data(tmp_path)
