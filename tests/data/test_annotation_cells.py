"""Labels that lie in the input, in the cells of tables and in Python objects."""

from __future__ import annotations

import io
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import graftwork as gw
from graftwork import Box, Boxes, DataError, Mask, Region, Span, Spans, UsageError
from graftwork.data.annotation_cells import LabelColumn
from graftwork.data.formats.annotation_structs import as_array
from graftwork.data.inputs import named_inputs
from graftwork.plugins import registry

TEXT = "Anna met Bo"
SPANS = Spans((Span(0, 4, "person"), Span(9, 11, "person")))
STRUCTS = [{"start": 0, "end": 4, "label": "person"}, {"start": 9, "end": 11, "label": "person"}]


@pytest.fixture(autouse=True)
def tasks(label_tasks) -> None:
    """Tasks of every kind."""


def labels(source: object, task: str, **options: object) -> list[object]:
    return list(gw.data(source, task=task, **options).labels or ())  # pyright: ignore


def cells(kind: str, *values: object) -> list[object]:
    table = pa.table({"label": pa.array(values)})
    return list(LabelColumn("label", kind, Path(), None).labels(table))


# Spans.


@pytest.mark.parametrize(
    "cell",
    [
        STRUCTS,
        json.dumps(STRUCTS),
        json.dumps([[0, 4, "person"], [9, 11, "person"]]),
        [
            {"start_offset": 0, "end_offset": 4, "label": "person"},
            {"start_offset": 9, "end_offset": 11, "label": "person"},
        ],
        {"start": [0, 9], "end": [4, 11], "label": ["person", "person"]},
    ],
)
@pytest.mark.parametrize("column", ["spans", "entities", "label"])
def test_spans_are_lists_of_structs_or_json_of_them(cell, column) -> None:
    rows = [{"text": TEXT, column: cell}] * 2
    assert labels(rows, "tag") == [SPANS] * 2


def test_a_csv_may_hold_spans_as_json_and_a_blank_cell_is_no_label(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,spans\nAnna met Bo,"[[0,4,""person""],[9,11,""person""]]"\nnobody,[]\nwho,\n')
    data = gw.data(path, task="tag")
    assert list(data.labels or ()) == [SPANS, Spans()]
    assert [bad.kind for bad in data.bad] == ["unlabelled"]


def test_words_with_tags_are_texts_with_spans() -> None:
    rows = {"tokens": [["Anna", "met", "Bo"], ["nobody"]], "ner_tags": [["B-person", "O", "B-person"], ["O"]]}
    data = gw.data(datasets.Dataset.from_dict(rows), task="tag")
    assert [raw.value for raw in data.raws] == [TEXT, "nobody"]
    assert list(data.labels or ()) == [SPANS, Spans()]


def test_tags_may_be_numbers_that_the_data_set_names() -> None:
    names = datasets.ClassLabel(names=["O", "B-person", "I-person"])
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(names),
        }
    )
    rows = {"id": ["1", "2"], "tokens": [["Anna", "met", "Bo"], ["nobody"]], "ner_tags": [[1, 0, 1], [0]]}
    assert labels(datasets.Dataset.from_dict(rows, features), "tag") == [SPANS, Spans()]


def test_tags_without_a_beginning_are_spans_of_neighbours() -> None:
    rows = [{"words": ["Anna", "Bo", "met"], "tags": ["person", "person", "O"]}]
    assert labels(rows, "tag") == [Spans((Span(0, 7, "person"),))]


def test_tags_in_a_stream_are_read_too() -> None:
    rows = [{"tokens": ["Anna", "met", "Bo"], "tags": ["B-person", "O", "B-person"]}] * 3
    stream = gw.stream(lambda: iter(rows), task="tag")
    assert [list(chunk.labels or ()) for chunk in stream.chunks()] == [[SPANS] * 3]


def test_words_of_a_table_are_texts_to_predict_for(tmp_path) -> None:
    pq.write_table(pa.table({"tokens": [["Anna", "met", "Bo"]], "id": [1]}), tmp_path / "a.parquet")
    (found,) = named_inputs([str(tmp_path / "a.parquet")], registry.modality("text"), column="tokens")
    assert [raw.value for raw in found.inputs] == [TEXT]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a", "spans": "person"}, "Row 1 has 'person' in its column 'spans'; accepted is a list of {start, end, label}, as such or as JSON, or of BIO tags beside a list of words."),
        ({"text": "a", "spans": [{"start": 0, "label": "x"}]}, "in its column 'spans' (no 'end'); accepted is"),
        ({"text": "a", "spans": [{"start": 0, "end": "1", "label": "x"}]}, "in its column 'spans'; accepted is"),
        ({"text": "a", "spans": [{"start": 0, "end": 1, "label": None}]}, "in its column 'spans' (no 'label'); accepted is"),
        ({"text": "a", "spans": 3}, "Row 1 has '3' in its column 'spans'; accepted is"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "Row 1 has '['O']' in its column 'tags' (1 tags of 2 words); accepted is"),
        ({"text": "a b", "tags": ["O", "O"]}, "The column 'tags' of 'the table' holds tags, and 'text' no lists of words. Name the column of words: --input COLUMN"),
    ],
)  # fmt: skip
def test_a_cell_that_holds_no_spans_is_named(row, said) -> None:
    with pytest.raises(DataError) as error:
        gw.data([row], task="tag")
    assert said in str(error.value)


def test_a_number_of_a_tag_without_a_name_is_named() -> None:
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "tags": datasets.List(datasets.ClassLabel(names=["O"]))}
    )
    table = datasets.Dataset.from_dict({"tokens": [["a"]], "tags": [[0]]}, features).with_format("arrow")[:]
    table = table.set_column(1, table.schema.field("tags"), pa.array([[7]]))
    with pytest.raises(DataError, match=r"Row 1 has '\[7\]' in its column 'tags' \(the number 7, and 1 names\)"):
        gw.data(table, task="tag")


def test_two_columns_of_spans_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        gw.data([{"text": TEXT, "a": STRUCTS, "b": STRUCTS}], task="tag", label=["a", "b"])
    assert str(error.value) == (
        "The labels are the columns 'a', 'b' of 'the table'; one column of spans is accepted. Name one: --label COLUMN"
    )


# Boxes.

BOXES = Boxes((Box("cat", 1, 2, 11, 22), Box("dog", 0, 0, 5, 5)))


@pytest.mark.parametrize(
    "cell",
    [
        [
            {"xmin": 1, "ymin": 2, "xmax": 11, "ymax": 22, "label": "cat"},
            {"xmin": 0, "ymin": 0, "xmax": 5, "ymax": 5, "label": "dog"},
        ],
        [{"bbox": [1, 2, 10, 20], "category": "cat"}, {"bbox": [0.0, 0.0, 5.0, 5.0], "category": "dog"}],
        {"bbox": [[1, 2, 10, 20], [0, 0, 5, 5]], "category": ["cat", "dog"]},
        {"bbox": [[1, 2, 10, 20], [0, 0, 5, 5]], "categories": ["cat", "dog"], "area": [200, 25], "id": [1, 2]},
        json.dumps([{"bbox": [1, 2, 10, 20], "label": "cat"}, {"bbox": [0, 0, 5, 5], "label": "dog"}]),
    ],
)
def test_boxes_are_structs_of_ends_or_of_a_corner_and_a_size(cell) -> None:
    assert cells("boxes", cell) == [BOXES]


def test_categories_may_be_numbers_that_the_data_set_names(tmp_path) -> None:
    names = datasets.ClassLabel(names=["cat", "dog"])
    inner = {"bbox": datasets.List(datasets.Value("float32"), length=4), "category": names}
    features = datasets.Features({"image": datasets.Image(), "objects": datasets.List(inner)})
    image = np.zeros((30, 40, 3), np.uint8)
    objects = [{"bbox": [1, 2, 10, 20], "category": 0}, {"bbox": [0, 0, 5, 5], "category": 1}]
    data = datasets.Dataset.from_dict({"image": [image] * 2, "objects": [objects, []]}, features)
    assert labels(data, "detect") == [BOXES, Boxes()]


@pytest.mark.parametrize(
    "cell", ["cat", [{"bbox": [1, 2, 3], "label": "x"}], [{"xmin": 1, "label": "x"}], [{"bbox": [1, 2, 3, 4]}], 3]
)
def test_a_cell_that_holds_no_boxes_is_named(cell) -> None:
    with pytest.raises(
        DataError,
        match=r"Row 1 has .* in its column 'label'.*; accepted is a list of \{xmin, ymin, xmax, ymax, label\} or of",
    ):
        cells("boxes", cell)


# Masks.


def png(size: tuple[int, int] = (40, 30)) -> bytes:
    made = io.BytesIO()
    Image.new("L", size).save(made, "PNG")
    return made.getvalue()


def test_masks_are_paths_beside_the_table_or_images(tmp_path) -> None:
    for name in ("a.png", "m.png"):
        (tmp_path / name).write_bytes(png())
    (tmp_path / "t.csv").write_text("image,mask\na.png,m.png\n")
    assert labels(tmp_path / "t.csv", "segment") == [Mask(tmp_path / "m.png")]
    rows = [{"image": {"bytes": png(), "path": "a.png"}, "mask": {"bytes": png(), "path": "m.png"}}]
    assert labels(rows, "segment") == [Mask(content=png())]


def test_a_mask_outside_of_the_folder_of_the_table_is_guarded(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.png", "m.png"):
        (tmp_path / name).write_bytes(png())
    (tmp_path / "in" / "t.csv").write_text("image,mask\na.png,../m.png\n")
    with pytest.raises(DataError, match=r"Row 1 of 't' names '\.\./m\.png', which leads to '.*', outside of"):
        gw.data(tmp_path / "in" / "t.csv", task="segment")


def test_a_cell_that_holds_no_mask_is_named() -> None:
    with pytest.raises(
        DataError, match="Row 2 has '3' in its column 'label'; accepted is the path of a mask image, or an image."
    ):
        LabelColumn("label", "mask", Path(), None).labels(pa.table({"label": [3]}), 1)


# Transcripts.


def test_transcripts_are_texts_beside_files(tmp_path) -> None:
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 800), 8000)
    (tmp_path / "t.csv").write_text("path,speaker,sentence\na.wav,1,Hello there\nb.wav,2, 007 \n")
    assert labels(tmp_path / "t.csv", "transcribe") == ["Hello there", "007"]
    with pytest.raises(DataError, match="Row 1 has .* in its column 'label'; accepted is text"):
        cells("transcript", ["a"])


# Python objects.

NUMBERS = st.integers(0, 500)
NAMES = st.text("abc ", min_size=1, max_size=5)
SIZES = st.none() | st.tuples(st.integers(1, 900), st.integers(1, 900))
REGIONS = st.builds(
    Region,
    NAMES,
    st.lists(st.lists(st.floats(0, 99), min_size=6, max_size=8).map(tuple), max_size=2).map(tuple),
    st.lists(NUMBERS, max_size=4).map(tuple),
)
ANNOTATIONS = {
    "spans": st.builds(Spans, st.lists(st.builds(Span, NUMBERS, NUMBERS, NAMES), max_size=4).map(tuple)),
    "boxes": st.builds(Boxes, st.lists(st.builds(Box, NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.booleans()), max_size=4).map(tuple), SIZES),
    "mask": st.builds(
        Mask, st.none() | st.just(Path("a/m.png")), st.binary(max_size=5), st.dictionaries(NAMES, NAMES, max_size=3),
        st.frozensets(NAMES, max_size=2), st.lists(REGIONS, max_size=2).map(tuple), SIZES,
    ).filter(lambda mask: not (mask.path and mask.content)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANNOTATIONS)
@given(st.data())
def test_objects_come_out_of_a_table_as_they_went_in(kind, data) -> None:
    values = data.draw(st.lists(ANNOTATIONS[kind], min_size=1, max_size=3))
    table = pa.table({"label": as_array([*values, None])})
    assert LabelColumn("label", kind, Path(), None).labels(table) == [*values, None]


def test_objects_in_a_list_of_dicts_are_labels() -> None:
    assert labels([{"text": TEXT, "spans": SPANS}, {"text": "nobody", "spans": Spans()}], "tag") == [SPANS, Spans()]
    rows = [{"image": {"bytes": png(), "path": "a.png"}, "boxes": boxes} for boxes in (BOXES, Boxes())]
    assert labels(rows, "detect") == [BOXES, Boxes()]
