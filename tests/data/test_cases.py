"""Kinds of input that tools like this one read wrongly, three variants of each: what is read is what was meant."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import graftwork as gw
from graftwork import DataError

WEATHER = [f"where is my parcel {n}" for n in range(12)]
COOKING = [f"i lost my card {n}" for n in range(12)]
ROWS = [
    (text, label) for pair in zip(WEATHER, COOKING, strict=True) for text, label in zip(pair, ("w", "c"), strict=True)
]
MEANT = {"w": 12, "c": 12}


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def counts(data: gw.Data) -> dict[str, int]:
    return dict(Counter(str(label) for label in data.labels or ()))


def pairs(data: gw.Data) -> list[tuple[str, str]]:
    return [(raw.value, str(label)) for raw, label in zip(data.raws, data.labels or (), strict=True)]


def streamed(path: Path, **options: str) -> list[tuple[str, str]]:
    return [pair for chunk in gw.stream(path, **options).chunks() for pair in pairs(chunk)]


def photos(folder: Path | str, count: int = 3) -> None:
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103  of names that are no UTF-8
    for number in range(count):
        Image.new("RGB", (40, 40), (20 * number, 90, 40)).save(f"{folder}/{number}.jpg")


def splits(root: Path) -> Path:
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            photos(root / split / label)
    return root


def rows_or_refusal(read: Callable[[], list[tuple[str, str]]]) -> list[tuple[str, str]] | str:
    """What is read, or the sentence of a refusal."""
    try:
        return read()
    except DataError as error:
        return error.message


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def table(rows: list[tuple[str, str]], *, heading: tuple[str, ...] = ("text", "label"), **how: str) -> str:
    made = io.StringIO()
    csv.writer(made, **{"lineterminator": "\n", **how}).writerows([heading, *rows])
    return made.getvalue()


@pytest.mark.parametrize("beside", ["__MACOSX/train/cat", "new folder", "@eaDir/train"])
def test_splits_beside_what_is_none_are_the_splits(beside, tmp_path) -> None:
    (splits(tmp_path) / beside).mkdir(parents=True)
    if beside != "new folder":
        photos(tmp_path / beside)
    data = gw.data(tmp_path)
    assert counts(data) == {"cat": 6, "dog": 6}
    assert Counter(data.splits or ()) == {"train": 6, "test": 6}


@pytest.mark.parametrize("text", ['"unfinished', 'a 5" screen', '"'])
def test_a_stray_quote_in_a_tsv_swallows_nothing_in_silence(text, tmp_path) -> None:
    rows = [*ROWS[:5], (f"{text} {5}", "w"), *ROWS[6:9], (text, "c"), *ROWS[10:]]
    path = write(tmp_path / "t.tsv", "text\tlabel\n" + "".join("\t".join(row) + "\n" for row in rows))
    for read in (lambda: pairs(gw.data(path)), lambda: streamed(path)):
        found = rows_or_refusal(read)
        assert found == rows or ("row 7" in found and text == '"')


@pytest.mark.parametrize("text", ['"unfinished', 'a "b', '"x" y'])
def test_a_stray_quote_in_a_csv_swallows_nothing_in_silence(text, tmp_path) -> None:
    rows = [*ROWS[:5], (text, "w"), *ROWS[6:9], (text, "c"), *ROWS[10:]]
    path = write(tmp_path / "t.csv", "text,label\n" + "".join(",".join(row) + "\n" for row in rows))
    for read in (lambda: pairs(gw.data(path)), lambda: streamed(path)):
        found = rows_or_refusal(read)
        assert found == rows or "row" in found


@pytest.mark.parametrize("kind", ["relative", "absolute", "a link to a link"])
def test_linked_folders_are_followed(kind, tmp_path) -> None:
    for label in ("cat", "dog"):
        photos(tmp_path / "d" / label)
        photos(tmp_path / "store" / label, 4)
        link = tmp_path / "d" / label / "batch2"
        target = Path("../../store") / label if kind == "relative" else tmp_path / "store" / label
        if kind == "a link to a link":
            (tmp_path / f"{label}-link").symlink_to(target)
            target = tmp_path / f"{label}-link"
        link.symlink_to(target)
    assert counts(gw.data(tmp_path / "d")) == {"cat": 7, "dog": 7}


@pytest.mark.parametrize(
    ("name", "label"), [(b"caf\xe9", "café"), (b"\x93big\x94", "“big”"), ("café".encode(), "café")]
)
def test_a_folder_named_in_any_encoding_is_fitted(name, label, tmp_path) -> None:
    photos(os.fsdecode(os.fsencode(tmp_path) + b"/d/" + name))
    photos(tmp_path / "d" / "other")
    assert counts(gw.data(tmp_path / "d")) == {label: 3, "other": 3}
    run = gw.fit(tmp_path / "d", "image/efficientnet-lite0", out=tmp_path / "run")
    assert run.labels == sorted([label, "other"])
    assert gw.load(tmp_path / "run").labels == run.labels


@pytest.mark.parametrize(
    "written",
    [json.dumps, lambda rows: json.dumps(rows, indent=2), lambda rows: json.dumps({"version": "1", "data": rows})],
)
def test_json_that_is_one_value_is_read(written, tmp_path) -> None:
    rows = [{"text": text, "label": label} for text, label in ROWS]
    path = write(tmp_path / "t.json", written(rows))
    assert pairs(gw.data(path)) == streamed(path) == ROWS


@pytest.mark.parametrize("label", ["2024-01-01", "12:30:00", "2024-01-01T10:00:00Z"])
@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_labels_like_dates_stay_as_written(label, ending, tmp_path) -> None:
    frame = pd.DataFrame({"text": [text for text, _ in ROWS], "label": [label, "2025-02-02"] * 12})
    path = tmp_path / f"t.{ending}"
    if ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        {"csv": frame.to_csv, "parquet": frame.to_parquet}[ending](path, index=False)
    assert counts(gw.data(path)) == {label: 12, "2025-02-02": 12}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_a_cell_of_megabytes_is_read(ending, tmp_path) -> None:
    rows = [*ROWS[:3], ("where is my parcel " * 150_000, "w"), *ROWS[3:]]
    if ending == "jsonl":
        text = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    else:
        text = table(rows, delimiter="\t" if ending == "tsv" else ",")
    path = write(tmp_path / f"t.{ending}", text)
    assert pairs(gw.data(path)) == streamed(path) == rows


@pytest.mark.parametrize("how", [{}, {"delimiter": ";"}, {"delimiter": "\t"}])
def test_lines_may_end_in_a_carriage_return_alone(how, tmp_path) -> None:
    path = write(tmp_path / "t.csv", table(ROWS, lineterminator="\r", **how))
    assert pairs(gw.data(path)) == streamed(path) == ROWS


@pytest.mark.parametrize(
    ("heading", "separator"),
    [(("Comment, as given", "Class"), ";"), (("Comment; as given", "Class"), "\t"), (("a, b, c | d", "Class"), ";")],
)
def test_the_separator_is_not_taken_from_the_heading(heading, separator, tmp_path) -> None:
    path = write(tmp_path / "t.csv", table(ROWS, heading=heading, delimiter=separator))
    columns = {"input": heading[0], "label": heading[1]}
    assert pairs(gw.data(path, **columns)) == streamed(path, **columns) == ROWS


@pytest.mark.parametrize("forms", [("NFC", "NFC"), ("NFD", "NFD"), ("NFC", "NFD")])
def test_accents_are_one_label_however_they_are_coded_also_in_evaluate(forms, tiny, tmp_path) -> None:
    rows = [
        (text, unicodedata.normalize(forms[number // 2 % 2], {"w": "météo", "c": "pâtisserie"}[label]))
        for number, (text, label) in enumerate(ROWS)
    ]
    path = write(tmp_path / "t.csv", table(rows))
    assert counts(gw.data(path)) == {"météo": 12, "pâtisserie": 12}
    run = gw.fit(path, tiny)
    for form in ("NFC", "NFD"):
        write(tmp_path / "new.csv", table([(text, unicodedata.normalize(form, label)) for text, label in rows]))
        assert run.evaluate(tmp_path / "new.csv")["n"] == 24


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_a_missing_label_is_none_in_tables_and_refused_by_estimators(missing, tiny, tmp_path) -> None:
    kind = {"dtype": "Int64"} if missing is pd.NA else {"dtype": "float64"} if missing is np.nan else {"dtype": object}
    labels = pd.Series([1, 2, missing, 1] * 3, **kind)
    frame = pd.DataFrame({"text": WEATHER, "label": labels})
    frame.to_parquet(tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", frame):
        data = gw.data(source)
        assert counts(data) == {"1": 6, "2": 3}
        assert [bad.kind for bad in data.bad] == ["unlabelled"] * 3
    with pytest.raises(ValueError, match=r"Input y contains NaN or blanks: y\[2\] is "):
        gw.sklearn.TransferClassifier(tiny).fit(WEATHER, labels)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_predict_answers_the_rows_of_a_table_and_says_that_a_file_is_missing(ending, tiny, tmp_path, shell) -> None:
    gw.fit(write(tmp_path / "base.csv", table(ROWS)), tiny, out=tmp_path / "run")
    frame = pd.DataFrame({"text": ["my parcel", "my card"]})
    path = tmp_path / f"new.{ending}"
    if ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        {"csv": frame.to_csv, "parquet": frame.to_parquet}[ending](path, index=False)
    answers = shell.json("predict", "run", path.name)
    assert [one["input"] for one in answers] == ["my parcel", "my card"]
    error = shell.json("predict", "run", f"gone.{ending}", code=2)["error"]
    assert error["message"] == f"'gone.{ending}' does not exist; files, folders, tables and texts are accepted."
    run = gw.load(tmp_path / "run")
    assert len(run.predict("my card")) == 1
    assert [one["label"] for one in run.predict(frame)] == [one["label"] for one in answers]


@pytest.mark.parametrize("text", ["😍 {}", "zyx{} qwv", "ⓐⓑⓒ {}"])
def test_what_the_vocabulary_does_not_know_is_counted_with_an_example(text, tiny, tmp_path) -> None:
    rows = [(text.format(number), label) for number, (_, label) in enumerate(ROWS)]
    path = write(tmp_path / "t.csv", table(rows))
    problems = {problem.kind: problem for problem in gw.check(path, backbone=tiny).problems}
    assert problems["unknown_tokens"].count == 24
    assert rows[0][0][:3] in problems["unknown_tokens"].message
    warnings = gw.fit(path, tiny).record["warnings"]
    assert [one for one in warnings if "unknown to the encoder's vocabulary" in one]


@pytest.mark.parametrize("split", ["val", "dev", "test"])
def test_a_label_that_only_a_split_for_judging_has_is_refused(split, tiny, tmp_path) -> None:
    rows = [(text, label, "train") for text, label in ROWS] + [("where am i", label, split) for label in ("w", "new")]
    path = write(tmp_path / "t.csv", table(rows, heading=("text", "label", "split")))
    name = "test" if split == "test" else "validation"
    with pytest.raises(DataError, match=f"The {name} split has the label 'new', which no training example has"):
        gw.fit(path, tiny)
    assert "unseen_label" in {problem.kind for problem in gw.check(path).problems}


@pytest.mark.parametrize("clutter", ["Thumbs.db", "desktop.ini", "notes.xml"])
def test_clutter_in_every_folder_is_no_example(clutter, tmp_path) -> None:
    for label in ("cat", "dog"):
        photos(tmp_path / label)
        (tmp_path / label / clutter).write_bytes(b"x")
    data = gw.data(tmp_path)
    assert counts(data) == {"cat": 3, "dog": 3}
    assert not data.bad
    assert [note for note in data.notes if clutter in note]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_files_with_a_metadata_table_in_each_split_are_read(ending, tmp_path) -> None:
    write_as: dict[str, Callable[[pd.DataFrame, Path], object]] = {
        "csv": lambda frame, path: frame.to_csv(path, index=False),
        "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda frame, path: frame.to_parquet(path),
    }
    for split in ("train", "test"):
        photos(tmp_path / split, 4)
        frame = pd.DataFrame({"file_name": [f"{n}.jpg" for n in range(4)], "label": ["a", "b"] * 2})
        write_as[ending](frame, tmp_path / split / f"metadata.{ending}")
    data = gw.data(tmp_path)
    assert (data.layout, counts(data)) == ("metadata", {"a": 4, "b": 4})
    assert Counter(data.splits or ()) == {"train": 4, "test": 4}
