"""Tables as programs write them: what is read is what was written, or a sentence says why not."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork import DataError
from graftwork.data import csv_tables
from graftwork.data.csv_tables import read_csv, read_csv_pieces

WORDS = ["bonjour", "a, b; c", 'she said "no"', "two\nlines", "tab\there", "1|2", "é"]


def examples(data: gw.Data) -> list[tuple[str, str]]:
    return [(raw.value, str(label)) for raw, label in zip(data.raws, data.labels, strict=True)]


def streamed(path, **columns: str) -> list[tuple[str, str]]:
    return [pair for chunk in gw.stream(path, **columns).chunks() for pair in examples(chunk)]


def both(path, **columns: str) -> list[tuple[str, str]]:
    """What `gw.data` reads, which `gw.stream` must read too."""
    found = examples(gw.data(path, **columns))
    assert streamed(path, **columns) == found
    return found


@given(
    rows=st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["x", "y"])), min_size=1, max_size=30),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_back(rows, separator, quoting, end, tmp_path_factory) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator=end).writerows([("text", "label"), *rows])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    assert both(path) == rows


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_the_separator_is_decided_on_rows_and_not_on_signs_in_the_heading(separator, tmp_path) -> None:
    other = ";" if separator == "," else ","
    heading = f'"Comment{other} as{other} given{other} by you"{separator}label'
    (tmp_path / "t.csv").write_text("\n".join([heading, f"one{separator}x", f"two{separator}y"]))
    columns = {"input": f"Comment{other} as{other} given{other} by you", "label": "label"}
    assert both(tmp_path / "t.csv", **columns) == [("one", "x"), ("two", "y")]


def test_quotes_in_a_tab_separated_file_are_signs_like_others(tmp_path) -> None:
    rows = [(f'"{i} inch wheel' if i % 3 == 0 else f"wheel {i}", "xy"[i % 2]) for i in range(60)]
    (tmp_path / "t.tsv").write_text("\n".join(["text\tlabel", *map("\t".join, rows)]) + "\n")
    assert both(tmp_path / "t.tsv") == rows


def test_a_quoted_cell_of_a_tab_separated_file_is_still_unquoted(tmp_path) -> None:
    (tmp_path / "t.tsv").write_text('text\tlabel\n"a, b"\tx\n"two\nlines"\ty\n')
    assert both(tmp_path / "t.tsv") == [("a, b", "x"), ("two\nlines", "y")]


def test_a_stray_quote_far_down_leaves_no_row_out_of_a_stream(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(csv_tables, "LEAST_BLOCK", 4096)
    rows = [(f"wheel {i}", "xy"[i % 2]) for i in range(2000)]
    rows[1500] = ('"cut', "x")
    rows[1503] = ('15" wheel', "y")
    (tmp_path / "t.tsv").write_text("\n".join(["text\tlabel", *map("\t".join, rows)]) + "\n")
    pieces = [list(zip(*(column.to_pylist() for column in t.columns), strict=True)) for t in
              read_csv_pieces(tmp_path / "t.tsv")]  # fmt: skip
    assert len(pieces) > 1
    assert [row for piece in pieces for row in piece] == rows
    assert len(read_csv(tmp_path / "t.tsv")) == 2000


@pytest.mark.parametrize("read", [gw.data, lambda path: list(gw.stream(path).chunks())], ids=["data", "stream"])
def test_a_row_of_another_width_is_named_by_its_number(read, tmp_path) -> None:
    (tmp_path / "t.csv").write_text("text,label\none,x\ntwo, or three,y\nfour,x\nfive\n")
    with pytest.raises(DataError) as refusal:
        read(tmp_path / "t.csv")
    sentence = "row 3: 'two, or three,y' has 3 cells, and the heading has 2; so has 1 more."
    assert refusal.value.message == f"'{tmp_path / 't.csv'}', {sentence}"


def test_a_carriage_return_is_kept_in_a_quoted_cell_and_named_in_another(tmp_path) -> None:
    (tmp_path / "t.csv").write_text('text;label\none;x\n"a\rb";y\n', newline="")
    assert both(tmp_path / "t.csv") == [("one", "x"), ("a\rb", "y")]
    (tmp_path / "t.csv").write_text('text;label\none;x\n"a\rb";y\nc\rd;x\n', newline="")
    with pytest.raises(DataError, match="line 4: a carriage return stands within the line"):
        gw.data(tmp_path / "t.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_that_end_in_a_carriage_return_are_lines(encoding, tmp_path) -> None:
    (tmp_path / "t.csv").write_bytes("text,label\rbonjour,x\rsalut é,y\r".encode(encoding))
    assert both(tmp_path / "t.csv") == [("bonjour", "x"), ("salut é", "y")]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_cell_may_be_of_any_length(kind, tmp_path) -> None:
    rows = [("long " * 600_000, "x"), ("short", "y")]
    path = tmp_path / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    else:
        separator = "\t" if kind == "tsv" else ","
        path.write_text("\n".join(map(separator.join, [("text", "label"), *rows])))
    assert both(path) == rows


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"text": "one", "label": "2024-01-01"}, {"text": "two", "label": "7"}]),
        json.dumps([{"text": "one", "label": "2024-01-01"}, {"text": "two", "label": "7"}], indent=2),
        json.dumps({"version": "1", "data": [{"text": "one", "label": "2024-01-01"}, {"text": "two", "label": "7"}]}),
        json.dumps({"data": [{"text": "one", "label": "2024-01-01"}, {"text": "two", "label": "7"}]}, indent=2),
        '{"text": "one", "label": "2024-01-01"}\n{"text": "two", "label": "7"}\n',
        '{"text": "one", "label": "2024-01-01", "data": [{"a": 1}]}\n{"text": "two", "label": "7"}\n',
    ],
    ids=["array", "indented array", "object", "indented object", "lines", "lines with lists"],
)
def test_json_is_lines_an_array_or_one_object_with_an_array(content, tmp_path) -> None:
    (tmp_path / "t.json").write_text(content)
    assert both(tmp_path / "t.json") == [("one", "2024-01-01"), ("two", "7")]


def test_what_looks_like_dates_stays_as_written(tmp_path) -> None:
    rows = [("one", "2024-01-01"), ("two", "2024-02-01T10:00:00"), ("2024-03-01", "2024-01-01")]
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    assert both(tmp_path / "t.jsonl") == rows


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[1, 2, 3]', "holds no list of objects; an object a line, an array of them"),
        ('[{"text": "one", "label": "x"},', "cannot be read as JSON"),
        ('{\n "a": 1,\n "b": 2\n}', "holds no list of objects"),
    ],
)  # fmt: skip
def test_json_without_rows_is_answered_with_a_sentence(content, sentence, tmp_path) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(DataError, match=sentence):
        gw.data(tmp_path / "t.json")


def test_labels_that_print_alike_are_one_label(tmp_path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "météo") for form in ("NFC", "NFD"))
    (tmp_path / "t.csv").write_text(f"text,label\na,{composed}\nb,{decomposed}\nc,sport\n", encoding="utf-8")
    assert [label for _, label in both(tmp_path / "t.csv")] == [composed, composed, "sport"]


def test_folders_that_print_alike_are_one_label(tmp_path) -> None:
    for form in ("NFC", "NFD"):
        folder = tmp_path / "d" / unicodedata.normalize(form, "météo")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{form}.txt").write_text(f"text {form}")
    (tmp_path / "d" / "sport").mkdir()
    (tmp_path / "d" / "sport" / "a.txt").write_text("goal")
    data = gw.data(tmp_path / "d")
    assert set(data.labels) == {unicodedata.normalize("NFC", "météo"), "sport"}


def test_labels_in_lists_that_print_alike_are_one_label(tmp_path) -> None:
    rows = [{"text": "a", "label": [unicodedata.normalize("NFD", "é")]}, {"text": "b", "label": ["é", "x"]}]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    assert gw.data(tmp_path / "t.parquet").labels == [("é",), ("é", "x")]


def test_nan_is_no_label(tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = pa.array([1.0, float("nan"), 2.0, 1.0], from_pandas=False)
    pq.write_table(pa.table({"text": ["a", "b", "c", "d"], "label": labels}), tmp_path / "t.parquet")
    data = gw.data(tmp_path / "t.parquet")
    assert examples(data) == [("a", "1"), ("c", "2"), ("d", "1")]
    assert [bad.kind for bad in data.bad] == ["unlabelled"]
