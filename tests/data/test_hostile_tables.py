"""Tables that are small as files and vast in memory, or nested or wide beyond measure: refused before they are read."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import resource
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import graftwork as gw
from graftwork import DataError
from graftwork.data.formats.byte_scan import scan_lines
from graftwork.data.formats.tables import read_pieces, read_table
from graftwork.specs.json_text import is_deeper, parse_json

LONG = "a" * 10**6


def constant_parquet(path: Path) -> Path:
    """2 * 10^8 rows of one number, run-length encoded."""
    piece = pa.table({"x": np.zeros(10**7, np.int64)})
    with pq.ParquetWriter(path, piece.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(piece)
    return path


def text_parquet(path: Path) -> Path:
    """6 GB: one long text in 6 000 rows, as 6 000 indices."""
    texts = pa.chunked_array([pa.array([LONG] * 200)] * 30)
    pq.write_table(pa.table({"text": texts}), path, compression="zstd")
    return path


def nested_parquet(path: Path) -> Path:
    """6 GB: one row, whose list holds one long text 6 000 times."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(6_000, np.int32)), pa.array([LONG]))
    pq.write_table(pa.table({"texts": pa.ListArray.from_arrays(pa.array([0, 6_000]), texts)}), path, compression="zstd")
    return path


def lying_parquet(path: Path) -> Path:
    """The same as `constant_parquet` in one page, of whose values the footer says nothing."""
    whole = io.BytesIO()
    pq.write_table(
        pa.table({"x": [[0] * 10**7] * 12}), whole, compression="zstd", data_page_size=2**30, write_statistics=False
    )
    content = bytearray(whole.getvalue())
    size = int.from_bytes(content[-8:-4], "little")
    footer, count = content[-8 - size : -8], b"\x16" + varint(2 * 12 * 10**7)
    assert footer.count(count) == 1
    footer = footer.replace(count, b"\x16" + varint(2 * 1)[:1])
    path.write_bytes(bytes(content[: -8 - size]) + bytes(footer) + len(footer).to_bytes(4, "little") + b"PAR1")
    return path


def varint(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def footer_parquet(path: Path) -> Path:
    """A footer with twelve fields that nobody knows: lists of empty structs."""
    whole = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), whole)
    content = whole.getvalue()
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") : -9]
    unknown = [bytes([0x09, 100 + 2 * number, 0xFC]) + varint(900_000) + bytes(900_000) for number in range(12)]
    more = footer + b"".join(unknown) + b"\x00"
    path.write_bytes(content[: -9 - len(footer)] + more + len(more).to_bytes(4, "little") + b"PAR1")
    return path


def wide_parquet(path: Path) -> Path:
    pq.write_table(pa.table({f"c{number}": [1] for number in range(10_001)}), path)
    return path


def packed_feather(path: Path) -> Path:
    """320 MB of zeros in buffers that are packed."""
    numbers = np.zeros(10**7, np.int64)
    pyarrow.feather.write_feather(pa.table(dict.fromkeys("abcd", numbers)), str(path), compression="zstd")
    return path


def categories_feather(path: Path) -> Path:
    """6 GB once each category is its value."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 6_000, pa.int32()), pa.array([LONG]))
    pyarrow.feather.write_feather(pa.table({"text": texts}), str(path), compression="zstd")
    return path


def packed_stream(path: Path) -> Path:
    batch = pa.record_batch({"x": np.zeros(10**8, np.int64)})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return path


def bomb(opened: Callable[..., object]) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        with opened(path, "wb") as file:  # pyright: ignore
            file.write(b"text,label\n")
            for _ in range(300):
                file.write(b"aaaaaaaa,b\n" * 10**5)
        return path

    return make


def wide_csv(path: Path) -> Path:
    path.write_text(",".join(f"c{n}" for n in range(10**5)) + "\n" + ",".join("1" * 10**5) + "\n")
    return path


def many_rows(path: Path) -> Path:
    path.write_bytes(b"a,b\n" + b",\n" * 20_000_001)
    return path


def spreadsheet(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/x.xml", "w") as file:
        for _ in range(300):
            file.write(bytes(10**6))
    return path


def endless_view(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        database.execute(f"CREATE VIEW v AS {rows} SELECT zeroblob(1000000) AS text, 'b' AS label FROM n")
    return path


def large_view(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)"
        database.execute(f"CREATE VIEW v AS {rows} SELECT zeroblob(1000000) AS text, 'b' AS label FROM n")
    return path


def lying_spreadsheet(path: Path) -> Path:
    """400 MB of blanks in a sheet, of which the archive says that they are 1 000 bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/a.xml", "w") as file:
        for _ in range(400):
            file.write(b" " * 10**6)
    content = path.read_bytes()
    size = (400 * 10**6).to_bytes(4, "little")
    assert content.count(size) >= 1
    path.write_bytes(content.replace(size, (1_000).to_bytes(4, "little")))
    return path


TABLES = {
    "constant.parquet": (constant_parquet, "has 200,000,000 rows; at most 20,000,000 are read at once.", "table_rows"),
    "text.parquet": (text_parquet, " bytes or more in memory; at most 268,435,456 are accepted", "packed_bytes"),
    "nested.parquet": (nested_parquet, "where each category is its value; at most 268,435,456", "packed_bytes"),
    "lying.parquet": (lying_parquet, " bytes or more in memory; at most 268,435,456 are accepted", "packed_bytes"),
    "footer.parquet": (footer_parquet, "bytes that describe it; at most 10,000,000 are read.", "footer_bytes"),
    "wide.parquet": (wide_parquet, "has 10,001 columns; at most 10,000 are read.", "table_columns=10001"),
    "packed.feather": (packed_feather, " bytes or more in memory; at most 268,435,456 are accepted", "packed_bytes"),
    "categories.feather": (categories_feather, "where each category is its value; at most 268,435,456", "packed_bytes"),
    "stream.arrow": (packed_stream, "grows to 800,000,000 bytes or more in memory; at most", "packed_bytes=800000000"),
    "bomb.csv.gz": (bomb(gzip.open), "grows to more than 268,435,456 bytes.", "packed_bytes=536870912"),
    "bomb.csv.xz": (
        bomb(partial(lzma.open, preset=0)),
        "grows to more than 268,435,456 bytes.",
        "packed_bytes=536870912",
    ),
    "wide.csv": (wide_csv, "has 100,000 columns; at most 10,000 are read.", "table_columns=100000"),
    "rows.csv": (many_rows, "has 20,000,002 rows; at most 20,000,000 are read at once.", "table_rows=20000002"),
    "bomb.xlsx": (spreadsheet, "grows to 300,000,000 bytes or more in memory; at most", "packed_bytes=300000000"),
    "lying.xlsx": (lying_spreadsheet, "in memory; at most 268,435,456 are accepted", "packed_bytes"),
    "view.db": (endless_view, "holds a view that is not at its end after 8 s.", "view_seconds=80"),
    "large.db": (large_view, " bytes or more in memory; at most 268,435,456 are accepted", "packed_bytes"),
}


def measured(code: str) -> None:
    """Run code in a process of its own: at most 1 GB above what it takes to import, and ten seconds."""
    start = """
import resource, time
from pathlib import Path
from graftwork import DataError
from graftwork.data.formats.tables import read_table
from graftwork.data.formats import parquet_tables
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, begin = peak(), time.process_time()
"""
    end = "\nassert peak() - before < 1e9, (peak() - before) / 1e6\nassert time.process_time() - begin < 10"

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (30, 30))

    done = subprocess.run(
        [sys.executable, "-c", start + code + end],
        capture_output=True, text=True, timeout=120, preexec_fn=bounded, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_would_fill_the_memory_is_refused_before_it_does(tmp_path, name) -> None:
    make, reason, option = TABLES[name]
    path = make(tmp_path / name)
    measured(f"""
try:
    read_table(Path({str(path)!r}))
except DataError as error:
    said = str(error)
    assert {path.stem!r} in said or 'column' in said, said
    assert {reason!r} in said and 'GRAFTWORK_LIMITS={option}' in said, said
else:
    raise AssertionError('read')
""")


def test_a_higher_limit_lets_a_table_pass(tmp_path, monkeypatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "a,b\n" * 10)
    monkeypatch.setenv("GRAFTWORK_LIMITS", "table_rows=5")
    with pytest.raises(DataError, match=r"has 11 rows; at most 5 are read at once\. Read it in a stream"):
        read_table(path)
    monkeypatch.setenv("GRAFTWORK_LIMITS", "table_rows=11")
    assert len(read_table(path)) == 10
    monkeypatch.setenv("GRAFTWORK_LIMITS", "table_cells=21")
    with pytest.raises(DataError, match=r"has 11 rows of 2 columns; at most 21 cells are read at once"):
        read_table(path)


def test_a_stream_has_any_number_of_rows(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_LIMITS", "table_rows=5")
    table = pa.table({"text": ["a", "b"] * 500, "label": ["x"] * 1000})
    pq.write_table(table, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(table, str(tmp_path / "t.feather"))
    for name in ("t.parquet", "t.feather"):
        assert sum(map(len, read_pieces(tmp_path / name))) == 1000


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_an_ordinary_parquet_file_is_read_as_before(tmp_path, compression) -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "text": [f"text {number} {rng.integers(10**9)}" for number in range(50_000)],
            "label": pa.array(rng.choice(["one", "two", None], 50_000).tolist()),
            "number": rng.normal(size=50_000),
            "list": [[1, 2]] * 50_000,
            "kind": pa.array(["a", "b"] * 25_000).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", compression=compression, row_group_size=20_000)
    found = read_table(tmp_path / "t.parquet")
    assert found.column("kind").type == pa.string()
    assert found.to_pylist() == table.to_pylist()
    assert pa.concat_tables(read_pieces(tmp_path / "t.parquet")).to_pylist() == table.to_pylist()


DEEP = "[" * 20_000 + "1" + "]" * 20_000
FINE = '{"text": "good", "label": "x"}\n'
NESTED = {
    "line.jsonl": FINE * 50 + '{"text": ' + DEEP + "}\n",
    "objects.jsonl": FINE * 50 + '{"a": ' * 20_000 + "1" + "}" * 20_000 + "\n",
    "line.jsonl.gz": FINE * 50 + '{"text": ' + DEEP + "}\n",
    "array.json": '[{"text": ' + DEEP + "}]",
    "object.json": '{"data": ' + DEEP + "}",
    "coco.json": '{"images": [], "annotations": ' + DEEP + ', "categories": []}',
    "prodigy.jsonl": '{"text": "a", "spans": [{"start": 0, "end": 1, "label": "x"}], "x": ' + DEEP + "}\n",
}


@pytest.mark.parametrize("name", NESTED)
def test_json_that_is_nested_too_deep_is_refused_and_ends_no_process(tmp_path, name) -> None:
    path = tmp_path / name
    if name.endswith(".gz"):
        with gzip.open(path, "wt") as file:
            file.write(NESTED[name])
    else:
        path.write_text(NESTED[name])
    code = f"""
import graftwork as gw
for task in ("classify", "tag", "detect"):
    for read in (gw.data, gw.stream):
        try:
            read({str(path)!r}, task=task)
        except gw.GraftworkError as error:
            print(task, error)
        else:
            raise AssertionError(task)
print("END")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("END\n")
    assert "nested deeper than 100 levels (GRAFTWORK_LIMITS=json_levels=200 allows more)" in done.stdout


def test_the_line_that_is_nested_too_deep_is_numbered(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text(NESTED["line.jsonl"])
    with pytest.raises(DataError) as caught:
        gw.data(tmp_path / "t.jsonl")
    assert str(caught.value) == (
        f"'{tmp_path / 't.jsonl'}', line 51: its lists and objects are nested deeper than 100 levels "
        "(GRAFTWORK_LIMITS=json_levels=200 allows more). Mend the line."
    )


@pytest.mark.parametrize(
    ("text", "deeper"),
    [
        ("[" * 100 + "]" * 100, False),
        ("[" * 101 + "]" * 101, True),
        ('{"a":' * 101 + "1" + "}" * 101, True),
        (json.dumps({"a": "[" * 500, "b": "}" * 500}), False),
        (json.dumps({"a": '\\"' + "[{" * 500}), False),
        (json.dumps([[[{"x": [1, 2]}] * 50] * 50]), False),
        ("[[]," * 101 + "1" + "]" * 101, True),
        ("[" * 5000, True),
    ],
)
def test_levels_are_counted_outside_of_strings(text, deeper) -> None:
    assert is_deeper(text.encode(), 100) == deeper


def test_json_within_the_limit_is_parsed(monkeypatch) -> None:
    text = "[" * 150 + "]" * 150
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        parse_json(text)
    monkeypatch.setenv("GRAFTWORK_LIMITS", "json_levels=200")
    assert json.dumps(parse_json(text)) == text


def test_lines_of_json_are_measured_across_blocks(tmp_path) -> None:
    lines = [b"{" * 3, b"x" * 300_000 + b"[" * 150, b"[" * 300_000, b"", b"[]" * 60]
    (tmp_path / "x").write_bytes(b"\n".join(lines))
    found = scan_lines(tmp_path / "x", 100)
    assert (found.longest, found.lines, found.brackets) == (300_150, 5, 300_000)


def test_a_csv_file_of_very_many_columns_below_the_limit_is_read_fast(tmp_path) -> None:
    names = ["text", "label", *(f"c{number}" for number in range(9_000))]
    (tmp_path / "t.csv").write_text(",".join(names) + "\n" + (",".join(["a b", "x", *["1"] * 9_000]) + "\n") * 20)
    measured(f"""
import graftwork as gw
assert len(gw.data({str(tmp_path / "t.csv")!r}, input="text", label="label")) == 20
""")
