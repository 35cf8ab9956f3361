"""Labels have an identity: the same label is one however it is written, and a missing one is none."""

from __future__ import annotations

import csv
import math
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork import DataError, UsageError
from graftwork.data.labels import LabelNames, LabelRules, identity, is_missing, label_text, trimmed
from graftwork.plugins import registry

TEXTS = ["where is it", "I lost my card", "what now", "send it back"]


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def table(folder: Path, labels: Iterable[str], name: str = "t.csv", **columns: list[str]) -> Path:
    labels = list(labels)
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", *columns])
        texts = (f"{TEXTS[number % len(TEXTS)]} {number}" for number in range(len(labels)))
        rows.writerows(zip(texts, labels, *columns.values(), strict=True))
    return folder / name


def labels_of(data: gw.Data) -> list[Any]:
    return list(data.labels or ())


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (["météo", unicodedata.normalize("NFD", "météo")], "météo"),
        (["cat", " cat", "cat ", "cat\u00a0", "\u200bcat"], "cat"),
        (["1", "1.0", "01", "1e0", "+1"], "1"),
        (["0.50", ".5", "0.5"], "0.50"),
        (["True", "true", "TRUE"], "True"),
        (["123456789012345678901", "123456789012345678901.0"], "123456789012345678901"),
    ],
)
def test_one_label_written_in_several_ways_is_one(written, name, tmp_path) -> None:
    data = gw.data(table(tmp_path, [*written, "other"]))
    assert labels_of(data) == [name] * len(written) + ["other"]
    assert [note for note in data.notes if note.startswith("Labels that are the same, written in several ways")]
    streamed = list(gw.stream(tmp_path / "t.csv").chunks())
    assert [label for chunk in streamed for label in labels_of(chunk)] == labels_of(data)
    assert [note for chunk in streamed for note in chunk.notes] == list(data.notes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "2"), ("1", "True"), ("cat", "Cat"), ("a b", "ab"), ("1.5", "1,5"), ("0x1", "1"), ("1_0", "10"),
        ("123456789012345678901", "123456789012345678902"), ("é", "e"), ("1", "one"), ("-1", "1"), ("١", "1"),
    ],
)  # fmt: skip
def test_labels_that_only_look_alike_stay_two(one, other, tmp_path) -> None:
    data = gw.data(table(tmp_path, [one, other]))
    assert labels_of(data) == [one, other]
    assert data.notes == ()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.integers(0, 3), st.booleans())
def test_a_number_is_one_label_however_it_is_written(number, zeros, signed) -> None:
    plain = f"{number:f}"
    written = plain + "0" * zeros
    if signed and not plain.startswith("-"):
        written = "+" + written
    assert identity(written) == identity(plain)


@given(st.text())
def test_trimming_twice_is_trimming_once_and_keeps_what_is_between(text) -> None:
    cut = trimmed(text)
    assert trimmed(cut) == cut
    assert trimmed(f" \u200b{text}\ufeff ") == cut


@pytest.mark.parametrize(
    "value", [None, math.nan, np.nan, np.float32("nan"), np.datetime64("NaT"), pd.NA, pd.NaT]
)  # fmt: skip
def test_a_missing_value_is_no_label(value) -> None:
    assert is_missing(value)
    assert label_text(value) is None


@pytest.mark.parametrize("value", [0, "", "NA", 0.0, False, b"", np.float32(1)])
def test_a_value_that_is_there_is_not_missing(value) -> None:
    assert not is_missing(value)


def test_whole_numbers_of_a_column_with_gaps_are_whole_and_bytes_are_read_as_texts_are() -> None:
    assert [label_text(value) for value in (1.0, 1, 1.5, True, b"caf\xe9", "caf\udce9")] == [
        "1", "1", "1.5", "True", "café", "café",
    ]  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_blank_cells_are_no_label_in_any_format(ending, tmp_path) -> None:
    frame = pd.DataFrame({"text": [f"text {n}" for n in range(6)], "label": ["a", "", "  ", "\u00a0", "b", "a"]})
    {"csv": frame.to_csv, "parquet": frame.to_parquet}.get(
        ending, lambda path, index: frame.to_json(path, orient="records", lines=True)
    )(tmp_path / f"t.{ending}", index=False)
    data = gw.data(tmp_path / f"t.{ending}")
    assert labels_of(data) == ["a", "b", "a"]
    assert [bad.kind for bad in data.bad] == ["unlabelled"] * 3


def test_a_label_that_reads_as_a_missing_value_is_asked_about(tmp_path) -> None:
    data = gw.data(table(tmp_path, ["a", "nan", "N/A", "b"]))
    assert labels_of(data) == ["a", "nan", "N/A", "b"]
    assert data.notes == (
        "The label 'nan' reads as a missing value. It counts as a label; to leave it out: --drop-label 'nan'",
        "The label 'N/A' reads as a missing value. It counts as a label; to leave it out: --drop-label 'N/A'",
    )


def test_labels_of_a_set_are_folded_one_by_one(tmp_path) -> None:
    data = gw.data(table(tmp_path, ["a|1.0", "1| a", "b", ""]), task="multilabel")
    assert labels_of(data) == ["a|1.0", "1.0|a", "b", ""]


def test_values_are_no_names(tmp_path) -> None:
    data = gw.data(table(tmp_path, ["1", "1.0", " 2 "]), task="regress")
    assert labels_of(data) == ["1", "1.0", "2"]
    assert data.notes == ()


def test_the_same_label_in_two_splits_is_one_and_in_folders_too(tmp_path) -> None:
    for split, label in (
        ("train", "café"),
        ("test", unicodedata.normalize("NFD", "café")),
        ("train", "b"),
        ("test", "b "),
    ):
        (tmp_path / split / label).mkdir(parents=True)
        (tmp_path / split / label / "x.txt").write_text(f"{split} {label}")
    data = gw.data(tmp_path)
    assert sorted(labels_of(data)) == ["b", "b", "café", "café"]


# Rules of the user's.


def test_labels_are_mapped_and_dropped(tmp_path) -> None:
    path = table(tmp_path, ["cat", "Cat", "dog", "unclear", "1.0"])
    (tmp_path / "map.csv").write_text("old,new\nCat,cat\n1,one\n")
    options = {"label_map": tmp_path / "map.csv", "drop_label": "unclear"}
    data = gw.data(path, **options)
    assert labels_of(data) == ["cat", "cat", "dog", "one"]
    assert [raw.value for raw in data.raws] == [f"{TEXTS[n % 4]} {n}" for n in (0, 1, 2, 4)]
    assert not data.bad
    streamed = list(gw.stream(path, **options).chunks())
    assert [label for chunk in streamed for label in labels_of(chunk)] == labels_of(data)


def test_a_dropped_label_leaves_its_set(tmp_path) -> None:
    data = gw.data(table(tmp_path, ["a|b", "b", "c|a"]), task="multilabel", drop_label=["b"], label_map={"c": "C"})
    assert labels_of(data) == ["a", "", "C|a"]


@pytest.mark.parametrize("options", [{"drop_label": "unclaer"}, {"label_map": {"unclaer": "x"}}])
@pytest.mark.parametrize("read", [gw.data, lambda *given, **options: list(gw.stream(*given, **options).chunks())])
def test_a_rule_for_a_label_that_nothing_has_is_refused(options, read, tmp_path) -> None:
    with pytest.raises(
        DataError,
        match="No example has the label 'unclaer', which is to be mapped or dropped; the labels are 'a', 'unclear'",
    ):
        read(table(tmp_path, ["a", "unclear"]), **options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from,to\na,b\n", "has the columns from, to; old and new are accepted"),
        ("old,new\na,\n", "Row 2 of the label map '.*' has a blank cell"),
        ("old,new\na,b\na ,c\n", "Row 3 of the label map '.*' maps 'a' to 'c', and a row before it to 'b'"),
    ],
)
def test_a_label_map_that_cannot_be_used_is_refused(text, said, tmp_path) -> None:
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        gw.data(table(tmp_path, ["a", "b"]), label_map=tmp_path / "map.csv")


def test_a_label_map_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(
        UsageError, match=r"The label map 'map\.csv' does not exist\. Write a CSV file with the columns old,new"
    ):
        gw.data(table(tmp_path, ["a", "b"]), label_map="map.csv")
    (tmp_path / "map.txt").write_text("a")
    with pytest.raises(UsageError, match=r"ends in '\.txt'; tables end in \.csv"):
        gw.data(tmp_path / "t.csv", label_map=tmp_path / "map.txt")


def test_values_cannot_be_mapped(tmp_path) -> None:
    with pytest.raises(
        UsageError, match="The labels of the task 'regress' are numbers, which have no names to map or drop"
    ):
        gw.data(table(tmp_path, ["1", "2"]), task="regress", drop_label="1")


def test_names_that_are_known_are_used() -> None:
    names = LabelNames(registry.task("classify"), LabelRules({"x": "1.0"}), known=["1", "météo"])
    assert [names(raw) for raw in ("1.0", "x", unicodedata.normalize("NFD", "météo"), "new")] == [
        "1",
        "1",
        "météo",
        "new",
    ]


# From a fit to its evaluation.


def test_evaluate_matches_labels_by_identity_and_maps_them_as_the_fit_did(tmp_path, tiny) -> None:
    labels = ["1", "2", "zwei", "?"] * 6
    run = gw.fit(gw.data(table(tmp_path, labels), label_map={"zwei": "2"}, drop_label="?"), tiny)
    assert run.labels == ["1", "2"]
    assert run.record["data"]["rules"] == {"label_map": {"zwei": "2"}, "drop_label": ["?"]}
    for written in (labels, ["1.0", "2.00"] * 4):
        result = run.evaluate(table(tmp_path, written, "new.csv"))
        assert result["n"] == len([label for label in written if label != "?"])
    streamed = run.evaluate(gw.stream(tmp_path / "new.csv"))
    assert streamed["metrics"] == result["metrics"]


def test_what_evaluate_says_of_an_unknown_label_is_true(tmp_path, tiny) -> None:
    run = gw.fit(gw.data(table(tmp_path, ["card", "money"] * 8)), tiny)
    with pytest.raises(
        DataError,
        match="The run never saw the label 'Card'; it knows 'card', 'money'. Map 'Card' to 'card' with --label-map FILE",
    ):
        run.evaluate(table(tmp_path, ["Card", "money"], "new.csv"))
    with pytest.raises(
        DataError,
        match="never saw the label 'other'.* Leave it out with --drop-label 'other', map it with --label-map FILE, or fit again",
    ):
        run.evaluate(table(tmp_path, ["other", "money"], "new.csv"))
    assert run.evaluate(gw.data(table(tmp_path, ["other", "money"], "new.csv"), drop_label="other"))["n"] == 1


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_lacks_is_one_sentence_everywhere(split, tmp_path, tiny) -> None:
    parts = ["train"] * 12 + [split] * 4
    path = table(tmp_path, ["a", "b"] * 6 + ["a", "b", "c", "c"], split=parts)
    sentence = f"The {split} split has the label 'c', which no training example has."
    with pytest.raises(DataError) as refused:
        gw.fit(gw.data(path), tiny)
    assert refused.value.message == sentence
    with pytest.raises(DataError) as refused:
        gw.fit(gw.stream(path), tiny)
    assert refused.value.message == sentence
    (problem,) = (one for one in gw.check(path).problems if one.kind == "unseen_label")
    assert (problem.message, problem.count) == (sentence, 2)
    assert gw.fit(gw.data(path, drop_label="c"), tiny).labels == ["a", "b"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.binary()])
def test_every_column_type_of_text_gives_the_same_labels(kind, tmp_path) -> None:
    labels = (
        pa.array(["a", "b ", None, "a"], pa.string()).cast(kind)
        if not pa.types.is_dictionary(kind)
        else pa.array(["a", "b ", None, "a"]).dictionary_encode()
    )
    pq.write_table(pa.table({"text": TEXTS, "label": labels}), tmp_path / "t.parquet")
    assert labels_of(gw.data(tmp_path / "t.parquet")) == ["a", "b", "a"]


@pytest.mark.parametrize("values", [[True, False, True], [1, 0, 1], [1.0, 0.0, 1.0]])
def test_typed_labels_are_evaluated_against_text_labels(values, tmp_path) -> None:
    pq.write_table(pa.table({"text": TEXTS[:3], "label": values}), tmp_path / "t.parquet")
    found = labels_of(gw.data(tmp_path / "t.parquet"))
    assert [identity(label) for label in found] == [identity(str(value)) for value in values]
