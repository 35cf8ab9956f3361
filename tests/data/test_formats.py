"""Every format of a table, on disk and in memory: what is read, whole and in pieces, and what is said where it cannot
be."""

from __future__ import annotations

import bz2
import datetime
import gzip
import importlib.util
import json
import lzma
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

import graftwork as gw
from graftwork import DataError, UsageError
from graftwork.data import sources, streaming
from graftwork.data.formats import tables
from graftwork.data.inputs import named_inputs
from graftwork.plugins.registry import modality

ROWS = [("bonjour", "x"), ("two\nlines, é", "y"), ("007", "x")]


def examples(data: gw.Data) -> list[tuple[Any, str]]:
    return [(raw.value, str(label)) for raw, label in zip(data.raws, data.labels, strict=True)]


def streamed(source: Any, **columns: str) -> list[tuple[Any, str]]:
    return [pair for chunk in gw.stream(source, **columns).chunks() for pair in examples(chunk)]


def both(source: Any, **columns: str) -> list[tuple[Any, str]]:
    """What `gw.data` reads, which `gw.stream` must read too."""
    found = examples(gw.data(source, **columns))
    assert streamed(source, **columns) == found
    return found


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(tables, "PIECE", 2)
    monkeypatch.setattr(sources, "PIECE", 2)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=["text", "label"])


@pytest.fixture
def sheets(tmp_path) -> Path:
    """A workbook: an empty sheet, one with a blank row and column before its table, and one with other rows."""
    import openpyxl

    book = openpyxl.Workbook()
    book.create_sheet("Data")
    book["Data"].append([])
    for row in [("text", "label", "when"), ("a", 1, datetime.datetime(2024, 1, 1)), (True, 2.5, datetime.time(10, 30)),
                ("c", "007", datetime.datetime(2024, 1, 1, 10, 30)), ("d", None, None)]:  # fmt: skip
        book["Data"].append([None, *row])
    book["Data"]["C6"].value, book["Data"]["C6"].data_type = "#DIV/0!", "e"
    book.create_sheet("Other")
    for row in [("text", "label"), ("z", "x"), ("w", "y")]:
        book["Other"].append(row)
    book.save(tmp_path / "t.xlsx")
    return tmp_path / "t.xlsx"


@pytest.fixture
def database(tmp_path) -> Path:
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE first (text, label)")
        connection.executemany("INSERT INTO first VALUES (?, ?)", ROWS)
        connection.execute("CREATE TABLE second (text TEXT, label, other INTEGER)")
        connection.executemany("INSERT INTO second VALUES (?, ?, ?)", [("a", 1, 1), ("b", "x", 2), ("c", 2.5, None)])
    connection.close()
    return tmp_path / "t.db"


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, bz2.compress, lzma.compress, lambda data: pa.compress(data, codec="zstd", asbytes=True)],
    ids=[".gz", ".bz2", ".xz", ".zst"],
)
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
def test_compressed_text_is_read_as_the_text_in_it(kind, compress, frame, tmp_path, request) -> None:
    text = (
        frame.to_json(orient="records", lines=kind == "jsonl")
        if "json" in kind
        else frame.to_csv(sep="\t" if kind == "tsv" else ",", index=False)
    )
    path = tmp_path / f"t.{kind}{request.node.callspec.id.split('-')[1]}"
    path.write_bytes(compress(text.encode("utf-16")))
    assert both(path) == ROWS
    assert gw.data(path).name == "t"


def test_a_folder_of_compressed_splits_is_a_folder_of_splits(frame, tmp_path) -> None:
    frame.to_csv(tmp_path / "train.csv.gz", index=False)
    frame.to_csv(tmp_path / "test.csv.gz", index=False)
    assert gw.data(tmp_path).splits == ["test"] * 3 + ["train"] * 3


@pytest.mark.parametrize(
    "content", [b"text,label\n", gzip.compress(b"text,label\na,x\nb,y\n" * 50)[:-20]], ids=["plain", "cut"]
)
def test_a_file_that_is_not_compressed_as_its_ending_says_is_named(content, tmp_path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(content)
    with pytest.raises(
        DataError, match=r"t\.csv\.gz' is damaged, or not what its ending says: .*Copy or export it again"
    ):
        gw.data(tmp_path / "t.csv.gz")


@pytest.mark.parametrize("as_stream", [False, True])
def test_arrow_files_are_read_with_categories_as_words(as_stream, frame, tmp_path) -> None:
    table = pa.Table.from_pandas(frame.astype("category"), preserve_index=False)
    if as_stream:
        with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        feather.write_feather(table, str(tmp_path / "t.arrow"))
    assert both(tmp_path / "t.arrow") == ROWS
    pq.write_table(table, tmp_path / "t.parquet")
    assert both(tmp_path / "t.parquet") == ROWS


def test_cells_of_a_spreadsheet_are_the_text_that_they_stand_for(sheets) -> None:
    assert both(sheets) == [("a", "1"), ("TRUE", "2.5"), ("c", "007")]
    data = gw.data(sheets, label="when")
    assert [label for _, label in examples(data)] == ["2024-01-01", "10:30:00", "2024-01-01 10:30:00"]
    assert "The sheet 'Data' is read, not 'Other'; name another: t.xlsx?sheet=Other" in data.notes
    assert [bad.reason for bad in gw.data(sheets).bad] == ["'d' has no label."]


def test_a_sheet_is_named_after_a_question_mark(sheets) -> None:
    assert both(f"{sheets}?sheet=Other") == [("z", "x"), ("w", "y")]
    with pytest.raises(
        DataError, match=r"has no part 'sheet=Nope'; its sheets are Sheet, Data, Other\. Write: t\.xlsx\?sheet=Sheet"
    ):
        gw.data(f"{sheets}?sheet=Nope")


def test_a_spreadsheet_of_libreoffice_is_read_too(tmp_path) -> None:
    import zipfile

    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    rows = [("text", "label"), ("one", "x"), ("two", "y")]
    cells = "".join(f"<table:table-row>{''.join(map(cell.format, row))}</table:table-row>" for row in rows)
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    with zipfile.ZipFile(tmp_path / "t.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        archive.writestr(
            "content.xml",
            f'<office:document-content {spaces}><office:body><office:spreadsheet><table:table table:name="A">{cells}</table:table></office:spreadsheet></office:body></office:document-content>',
        )
    assert both(tmp_path / "t.ods") == [("one", "x"), ("two", "y")]


def test_a_spreadsheet_with_a_title_above_its_table_is_answered_with_a_sentence(tmp_path) -> None:
    pd.DataFrame([["Survey 2024", None], ["text", "label"], ["a", "x"]]).to_excel(
        tmp_path / "t.xlsx", index=False, header=False
    )
    with pytest.raises(
        DataError,
        match="has 'label' in its column 2, which has no heading; the first row that is not blank is the heading",
    ):
        gw.data(tmp_path / "t.xlsx")
    (tmp_path / "t.xlsx").write_text("text,label")
    with pytest.raises(DataError, match="cannot be read as XLSX: "):
        gw.data(tmp_path / "t.xlsx")


def test_a_spreadsheet_without_its_reader_says_what_to_install(sheets, monkeypatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "python_calamine" else find_spec(name, *rest)
    )
    with pytest.raises(
        UsageError,
        match=r"t\.xlsx' needs the package python-calamine, which is not installed\. Install it: pip install 'graftwork\[excel\]'",
    ):
        gw.data(sheets)


def test_a_table_of_a_database_is_named_after_a_question_mark_and_its_values_are_as_stored(database) -> None:
    assert both(f"{database}?table=first") == ROWS
    assert both(f"{database}?table=second", label="label", input="text") == [("a", "1"), ("b", "x"), ("c", "2.5")]
    assert both(f"{database}?query=SELECT text, label FROM first WHERE label = 'x' ORDER BY text") == [ROWS[2], ROWS[0]]
    assert both(f"{database}?query=SELECT text, other AS label FROM second; ") == [("a", "1"), ("b", "2")]
    with pytest.raises(
        DataError, match=r"t\.db' holds several tables; its tables are first, second\. Name one: 't\.db\?table=first'"
    ):
        gw.data(database)
    (part,) = named_inputs([f"{database}?table=first"], modality("text"))
    assert part.inputs[2].value == "007"


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("table=third", r"has no part 'table=third'; its tables are first, second\. Name one: 't.db\?table=first'"),
        ("query=DELETE FROM first", "cannot be read as an SQLite database: .*One statement that reads is accepted: 't.db"),
        ("query=SELECT 1) UNION SELECT 2; DROP TABLE first; --", "One statement that reads is accepted"),
        ("query=SELECT a FROM first", "no such column: a"),
        ("query=SELECT load_extension('x') AS text", "cannot be read as an SQLite database: not authorized"),
        ("query=SELECT text, label FROM first WHERE 0", "'t' has no rows"),
    ],
)  # fmt: skip
def test_a_query_that_does_more_than_read_is_refused_and_changes_nothing(part, sentence, database) -> None:
    before = database.read_bytes()
    with pytest.raises(DataError, match=sentence):
        gw.data(f"{database}?{part}")
    assert database.read_bytes() == before
    assert sorted(path.name for path in database.parent.iterdir()) == ["t.db"]


def test_a_file_whose_name_has_a_question_mark_is_a_file(database, tmp_path) -> None:
    odd = tmp_path / "t.db?table=first"
    database.rename(odd)
    with pytest.raises(DataError, match=r"ends in '\.db\?table=first'; tables end in \.csv, "):
        gw.data(odd)


def test_a_file_that_is_no_database_is_named(tmp_path) -> None:
    (tmp_path / "t.db").write_text("no")
    with pytest.raises(DataError, match="cannot be read as an SQLite database: file is not a database"):
        gw.data(tmp_path / "t.db")


def test_tables_in_memory_are_read_as_files_are(frame, tmp_path) -> None:
    polars = pytest.importorskip("polars")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    sources = [
        frame, frame.set_axis([5, 5, 1]), frame.astype("category"), frame.astype("string"), table, table.to_batches()[0],
        polars.DataFrame(table), polars.DataFrame(table).with_columns(polars.all().cast(polars.Categorical)),
        table.to_pylist(), tuple(table.to_pylist()),
    ]  # fmt: skip
    for source in sources:
        assert both(source) == ROWS, type(source)


def test_whole_numbers_of_a_frame_stay_whole_and_what_is_missing_is_no_label() -> None:
    polars = pytest.importorskip("polars")
    words = ["a", "b", "c", "d"]
    labels = [
        pd.array([1, 2, None, 1], dtype="Int64"),
        pd.Series([1, 2, np.nan, 1]),
        pd.Series(["1", "2", pd.NA, "1"], dtype=object),
        pd.Series(["1", "2", None, "1"], dtype="category"),
        pd.Series([1, 2, pd.NaT, 1], dtype=object),
    ]
    for source in [
        *(pd.DataFrame({"text": words, "label": column}) for column in labels),
        polars.DataFrame({"text": words, "label": [1, 2, None, 1]}),
    ]:
        assert both(source) == [("a", "1"), ("b", "2"), ("d", "1")]
        assert [bad.reason for bad in gw.data(source).bad] == ["'c' has no label."]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (pd.DataFrame([["a", "b", "x"]], columns=["text", "text", "label"]), "The DataFrame has the column 'text' more than once"),
        (pd.DataFrame({"text": ["a", "b", "c"], "label": pd.Series([1, None, "x"], dtype=object)}),
         "Row 3 of the DataFrame has text in 'label', where row 1 has a number; one kind a column is accepted"),
        ([{"text": "a", "label": True}, {"text": "b", "label": 1}], "Row 2 of the list has a number in 'label', where row 1 has true or false"),
        ([{"text": "a", "label": object()}], r"Row 1 of the list has object in 'label', which no table holds"),
        ([], "'the table' has no rows"),
        (["a", "b"], "list is no data; a folder, a table, hub:NAME, a DataFrame, an Arrow table, a list of dicts and"),
        (7, "int is no data; a folder"),
        (iter([{"text": "a", "label": "x"}]), "the function that makes it is accepted. Write graftwork.stream"),
        (lambda: iter([{"text": "a", "label": "x"}]), r"Rows that are made as they are read are a stream. Write: graftwork.stream"),
    ],
)  # fmt: skip
def test_an_object_that_is_no_table_is_answered_with_a_sentence(source, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        gw.data(source)


def test_a_stream_is_made_by_a_function_or_by_rows_that_can_be_gone_over_again(monkeypatch) -> None:
    monkeypatch.setattr(streaming, "MOST_ROWS", 4)
    calls = []

    def make() -> Iterator[dict[str, Any]]:
        calls.append(1)
        for number in range(10):
            yield {"text": f"m {number}", "label": number % 2} if number != 5 else {"text": "m 5"}

    class Rows:
        def __iter__(self) -> Iterator[dict[str, Any]]:
            return make()

    expected = [(f"m {number}", str(number % 2)) for number in range(10) if number != 5]
    for source in (make, Rows()):
        stream = gw.stream(source)
        calls.clear()
        for _ in range(2):
            chunks = list(stream.chunks())
            assert [pair for chunk in chunks for pair in examples(chunk)] == expected
        assert len(chunks) > 1
        assert len(calls) == 2


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: iter([1, 2]), "Row 1 of the stream is a number; dicts are accepted"),
        (lambda: iter([]), "'the stream' has no rows"),
        (lambda: ({"text": "a", "label": n if n < 2 else "x"} for n in range(4)), "Rows 3 to 4 of the stream have other types than the rows before them"),
        ((row for row in [{"text": "a", "label": "x"}]), "A generator can be read once"),
    ],
)  # fmt: skip
def test_a_stream_of_other_rows_is_answered_with_a_sentence(make, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        list(gw.stream(make).chunks())


@pytest.mark.parametrize("wrap", [lambda frame: frame, lambda frame: frame.to_dict("records")], ids=["frame", "list"])
def test_a_fit_on_a_frame_is_that_on_its_file(wrap: Callable[[pd.DataFrame], Any], messages, tiny_bert) -> None:
    frame = pd.read_csv(messages)
    at_hand, in_memory = gw.fit(messages, f"local:{tiny_bert}"), gw.fit(wrap(frame), f"local:{tiny_bert}")
    assert at_hand.metrics == in_memory.metrics
    assert in_memory.evaluate(wrap(frame))["n"] == len(frame)


def test_datasets_writes_arrow_that_is_read(frame, tmp_path) -> None:
    datasets.Dataset.from_pandas(frame).save_to_disk(tmp_path / "saved")
    assert both(next((tmp_path / "saved").glob("*.arrow"))) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("whole", [True, False])
def test_json_is_read_in_every_unicode_encoding(encoding, whole, tmp_path) -> None:
    rows = [dict(zip(("text", "label"), row, strict=True)) for row in ROWS]
    text = json.dumps(rows) if whole else "\n".join(map(json.dumps, rows))
    (tmp_path / "t.json").write_bytes(text.encode(encoding))
    assert both(tmp_path / "t.json") == ROWS


def test_columns_that_come_later_are_columns(tmp_path) -> None:
    (tmp_path / "t.json").write_text(json.dumps([{"text": "a"}, {"text": "b", "label": "x"}]))
    assert both(tmp_path / "t.json", label="label") == [("b", "x")]


def test_a_type_that_comes_later_is_the_type_of_the_column(tmp_path, monkeypatch) -> None:
    from graftwork.data.formats import json_tables

    monkeypatch.setattr(json_tables, "LEAST_BLOCK", 200)
    rows = [
        {"text": f"message {n}", "label": n if n < 50 else n + 0.5, **({"more": "x"} if n > 50 else {})}
        for n in range(60)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert len(both(tmp_path / "t.jsonl")) == 60


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"text": "a", "label": 1}\n\n{"text": "b", "label": "x"}\n', "line 3 has text in 'label', where line 1 has a number; one kind is accepted"),
        ('{"text": "a", "label": 1},\n{"text": "b", "label": 2},\n', "line 1 is no JSON: '{\"text\": \"a\", \"label\": 1},' (Extra data at sign 26)"),
        ('{"text": "a", "label": 1}\n{"text": "b" "label": 2}\n', "line 2 is no JSON: '{\"text\": \"b\" \"label\": 2}' (Expecting ',' delimiter at sign 14)"),
        ('{"text": "a", "label": 1}\n{"text": "b", "text": "c", "label": 2}\n', "it has the key 'text' more than once"),
        ('{"text": "a", "label": 1}\n[1, 2]\n', "line 2 holds a list; one object a line is accepted"),
        ('{"text": "a", "label": 1}\n{"text": "\\ud83d", "label": 2}\n', "line 2 holds half of a surrogate pair"),
        ('[{"text": "a", "label": 1}, {"text": "b", "label": "x"}]', "has text in 'label', where row 1 has a number"),
        ('[{"text": "a", "text": "b", "label": 1}]', "it has the key 'text' more than once"),
        ('{"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}}', 'in pandas: to_json(path, orient="records", lines=True)'),
        ('{"columns": ["text", "label"], "index": [0], "data": [["a", "x"]]}', "holds no list of objects"),
    ],
)  # fmt: skip
def test_json_that_is_broken_is_named_by_its_line(content, sentence, tmp_path) -> None:
    (tmp_path / "t.json").write_text(content)
    for read in (gw.data, gw.stream):
        with pytest.raises(DataError) as refusal:
            read(tmp_path / "t.json")
        assert sentence in str(refusal.value)


def test_strings_like_dates_stay_as_written_also_in_lists(tmp_path) -> None:
    rows = [{"text": "a", "label": ["2024-01-01"]}, {"text": "b", "label": ["x", "2024-01-02"]}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert gw.data(tmp_path / "t.jsonl").labels == [("2024-01-01",), ("x", "2024-01-02")]


def test_nan_in_json_is_no_label_and_whole_numbers_that_lose_digits_are_said(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a", "label": NaN}\n{"text": "b", "label": 12345678901234567890123}\n')
    data = gw.data(tmp_path / "t.jsonl")
    assert [bad.reason for bad in data.bad] == ["'a' has no label."]
    assert "Whole numbers above 2^53 in 'label' lose digits; write them as text." in data.notes
