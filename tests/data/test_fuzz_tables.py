"""2 000 random tables, written by the programs that people use: each is read as it was written, or a sentence says that
it cannot be.

`python tests/data/test_fuzz_tables.py` prints how many were read, were read with a note, and were refused, by writer.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from graftwork import GraftworkError
from graftwork.data.formats.metadata import NOTES
from graftwork.data.formats.tables import read_pieces, read_table
from graftwork.data.labels import readable

TABLES, CHUNKS = 2000, 20
CELLS = [
    "bonjour", "a, b", "x; y", "one|two", "tab\there", 'she said "no"', '"quoted"', '15" wheel', "two\nlines", "win\r\nlines",
    "mac\rline", "", " lead", "trail ", " ", "😀 👩‍👩‍👧", "naïve café", "日本語", "NA", "null", "NaN", "None", "007", "1e5", "1.0", "-3",
    "3,5", "1,234", "2024-01-01", "10:30:00", "true", "'single'", "it's", "\x07bell\x1b[0m", "\x85next", "\u2028sep", "nb\xa0sp",
    "long " * 300, "=SUM(A1)", "#hash", "sep=;", "back\\slash", "end\\", "\\", "a \\\\ b", '\\"', "\\N", '""', '"', "a,b\nc,d", "row,spam\nham,ham",
    "{\"a\": [1, \"b\"]}", "http://x.y/?a=b&c", "e\u0301", "\ufeffmark", "tab\tline\nquote\"", ",", ";", "|", "-", "<b>x</b>",
]  # fmt: skip
LABELS = [
    "spam",
    "ham",
    "x",
    "y",
    "007",
    "7",
    "1.0",
    "NA",
    "true",
    "2024-01-01",
    "a, b",
    "météo",
    '"q"',
    "très bien",
    "",
]

Rows = list[dict[str, str]]
Written = tuple[str, bytes]


class CannotBeWritten(Exception):
    """The writer itself refuses these cells."""


def make_rows(rng: random.Random) -> Rows:
    extra = rng.choice([[], [], ["id"], ["note"], ["id", "note"]])
    names = rng.sample(names := ["text", "label", *extra], len(names))
    awkward = rng.choice([0.1, 0.4, 0.9])
    cells = rng.sample(CELLS, rng.randrange(3, 12))
    labels = rng.sample(LABELS, rng.randrange(2, 4))

    def cell(name: str, number: int) -> str:
        if name == "id":
            return str(number)
        if name == "label":
            return rng.choice(labels)
        word = rng.choice(cells) if rng.random() < awkward else f"message {rng.randrange(100)}"
        return word + rng.choice(cells) if rng.random() < awkward / 4 else word

    return [{name: cell(name, number) for name in names} for number in range(rng.randrange(1, 15))]


def lines(rows: Rows) -> list[list[str]]:
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def encoded(text: str, rng: random.Random, *encodings: str) -> bytes:
    encoding = rng.choice(encodings)
    if encoding == "latin-1" and re.search("[\x80-\x9f]", text):
        raise CannotBeWritten  # control signs, where Windows-1252 has others
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise CannotBeWritten from None


def compressed(name: str, content: bytes, rng: random.Random) -> Written:
    import bz2
    import gzip
    import lzma

    import pyarrow as pa

    compress = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    }
    if rng.random() < 0.8 or not content:
        return name, content
    kind = rng.choice(sorted(compress))
    return name + kind, compress[kind](content)


def by_csv_module(rows: Rows, rng: random.Random) -> Written:
    separator, quoting = rng.choice(",;\t|"), rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    options = {"delimiter": separator, "quoting": quoting, "lineterminator": rng.choice(["\n", "\r\n", "\r"])}
    buffer = io.StringIO()
    csv.writer(buffer, **options).writerows(lines(rows))
    content = encoded(buffer.getvalue(), rng, "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252")
    return compressed("t.tsv" if separator == "\t" and rng.random() < 0.7 else "t.csv", content, rng)


def by_csv_module_with_escapes(rows: Rows, rng: random.Random) -> Written:
    separator = rng.choice(",;\t|")
    how = rng.choice([{"quoting": csv.QUOTE_NONE}, {"doublequote": False}, {"doublequote": True}])
    buffer = io.StringIO()
    try:
        csv.writer(buffer, delimiter=separator, escapechar="\\", lineterminator="\n", **how).writerows(lines(rows))
    except csv.Error:
        raise CannotBeWritten from None
    return "t.tsv" if separator == "\t" else "t.csv", buffer.getvalue().encode()


def by_joining(rows: Rows, rng: random.Random) -> Written:
    """A tab between cells and nothing else, as many programs write TSV."""
    if any(sign in cell for row in lines(rows) for cell in row for sign in "\t\n\r"):
        raise CannotBeWritten
    return "t.tsv", "\n".join(map("\t".join, lines(rows))).encode()


def by_pandas_csv(rows: Rows, rng: random.Random) -> Written:
    import pandas as pd

    options = {"sep": rng.choice(",;\t|"), "index": rng.random() < 0.3, "decimal": rng.choice(".,")}
    if rng.random() < 0.3:
        options["escapechar"] = "\\"
    text = pd.DataFrame(rows).to_csv(**options, lineterminator=rng.choice(["\n", "\r\n"]))
    content = encoded(text, rng, "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1")
    return compressed("t.csv", content, rng)


def by_pandas_json(rows: Rows, rng: random.Random) -> Written:
    import pandas as pd

    options = rng.choice([{"lines": True, "orient": "records"}, {"orient": "records"}, {"orient": "table"}])
    text = pd.DataFrame(rows).to_json(**options, force_ascii=rng.random() < 0.5, indent=rng.choice([0, 2]) if "lines" not in options else 0)  # fmt: skip
    return compressed("t.json", encoded(text, rng, "utf-8", "utf-8-sig", "utf-16"), rng)


def by_json_module(rows: Rows, rng: random.Random) -> Written:
    whole = rng.choice([None, rows, {"data": rows}, {"version": "1", "examples": rows, "tags": []}])
    ascii_only = rng.random() < 0.5
    if whole is None:
        text = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows) + rng.choice(["", "\n", "\n\n"])
    else:
        text = json.dumps(whole, ensure_ascii=ascii_only, indent=rng.choice([None, 1]))
    return compressed(f"t.{rng.choice(['json', 'jsonl'])}", encoded(text, rng, "utf-8", "utf-8-sig", "utf-16"), rng)


def by_polars(rows: Rows, rng: random.Random) -> Written:
    polars = pytest.importorskip("polars")
    frame, buffer, kind = polars.DataFrame(rows), io.BytesIO(), rng.choice(["csv", "csv", "jsonl", "parquet", "arrow"])
    if kind == "csv":
        options = {
            "separator": rng.choice(",;\t|"),
            "quote_style": rng.choice(["necessary", "always", "non_numeric"]),
            "line_terminator": rng.choice(["\n", "\r\n"]),
            "include_bom": rng.random() < 0.3,
        }
        frame.write_csv(buffer, **options)
    else:
        {"jsonl": frame.write_ndjson, "parquet": frame.write_parquet, "arrow": frame.write_ipc}[kind](buffer)
    return f"t.{kind}", buffer.getvalue()


def by_arrow(rows: Rows, rng: random.Random) -> Written:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    table, buffer = pa.Table.from_pylist(rows), io.BytesIO()
    if rng.random() < 0.5:
        table = pa.Table.from_pandas(pd.DataFrame(rows).astype(rng.choice(["category", "string", "object"])))
    if rng.random() < 0.5:
        pyarrow.parquet.write_table(table, buffer)
        return "t.parquet", buffer.getvalue()
    pyarrow.feather.write_feather(table, buffer)
    return "t.feather", buffer.getvalue()


def by_pandas_excel(rows: Rows, rng: random.Random) -> Written:
    import pandas as pd

    pytest.importorskip("openpyxl")
    cells = [cell for row in rows for cell in row.values()]
    if any(
        cell.isspace() or cell.startswith("=") or re.search("[\x00-\x08\x0b-\x1f]|_x[0-9A-F]{4}_", cell)
        for cell in cells
    ):
        raise CannotBeWritten  # blanks that calamine drops, formulas, and signs that a sheet cannot hold
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_excel(buffer, index=False, startrow=rng.choice([0, 2]), startcol=rng.choice([0, 1]))
    return "t.xlsx", buffer.getvalue()


def by_sqlite(rows: Rows, rng: random.Random) -> Written:
    import sqlite3

    database = sqlite3.connect(":memory:")
    names = ", ".join(rows[0])
    database.execute(f"CREATE TABLE t ({names})")
    database.executemany(
        f"INSERT INTO t VALUES ({', '.join('?' * len(rows[0]))})", [tuple(row.values()) for row in rows]
    )
    database.commit()
    return "t.db", database.serialize()


def by_excel(rows: Rows, rng: random.Random) -> Written:
    """As Excel saves text: a `sep=` line, semicolons, UTF-16 with tabs, blank columns and rows where cells were."""
    separator, padding = rng.choice(",;\t"), rng.choice([0, 0, 1, 2])
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\r\n")
    writer.writerows([*row, *[""] * padding] for row in lines(rows))
    writer.writerows([[""] * (len(rows[0]) + padding)] * padding)
    if separator == "\t":
        return "t.txt.tsv", buffer.getvalue().encode("utf-16")
    line = f"sep={separator}\r\n" if rng.random() < 0.5 else ""
    return "t.csv", encoded(line + buffer.getvalue(), rng, "utf-8", "utf-8-sig", "cp1252", "utf-16")


WRITERS: list[Callable[[Rows, random.Random], Written]] = [
    by_csv_module, by_csv_module, by_csv_module_with_escapes, by_joining, by_pandas_csv, by_pandas_csv, by_pandas_json,
    by_json_module, by_polars, by_polars, by_arrow, by_pandas_excel, by_sqlite, by_excel, by_excel,
]  # fmt: skip


def words(table, names: list[str]) -> list[list[str]]:
    """The cells under these names as text; a missing cell is a blank one."""
    columns = [table.column(name).to_pylist() for name in names]
    rows = [["" if cell is None else readable(cell if isinstance(cell, bytes) else str(cell)) for cell in row]
            for row in zip(*columns, strict=True)]  # fmt: skip
    while rows and not any(rows[-1]):
        rows.pop()
    return rows


def outcome(seed: int, folder: Path) -> tuple[str, str, str]:
    """The writer, what came of reading, and what was different or said."""
    rng = random.Random(seed)
    while True:
        writer, rows = rng.choice(WRITERS), make_rows(rng)
        try:
            name, content = writer(rows, rng)
            break
        except CannotBeWritten:
            continue
    path = folder / f"{seed}-{name}"
    path.write_bytes(content)
    expected = [list(row.values()) for row in rows]
    while expected and not any(expected[-1]):
        expected.pop()
    found = []
    for read in (lambda: [read_table(path)], lambda: list(read_pieces(path))):
        try:
            tables = read()
            missing = set(rows[0]) - set(tables[0].column_names)
            notes = json.loads((tables[0].schema.metadata or {}).get(NOTES, b"[]"))
            cells = [row for table in tables for row in words(table, list(rows[0]))] if not missing else []
            while cells and not any(cells[-1]):
                cells.pop()
            same = cells == expected and not missing
            found.append(
                ("same", "") if same else ("said", str(notes)) if notes else ("silent", f"{cells} for {expected}")
            )
        except GraftworkError as error:
            found.append(("refused", str(error)))
    if found[0][0] != found[1][0]:
        return writer.__name__, "silent", f"{path.name}: whole {found[0]}, in pieces {found[1]}"
    return writer.__name__, found[0][0], f"{path.name}: {found[0][1]}"


NAMED = re.compile(r"[Rr]ow \d+|line \d+|may be separated by '.' into \d+ or by")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_table_is_read_as_it_was_written_or_a_sentence_names_the_row(chunk, tmp_path) -> None:
    found = [outcome(seed, tmp_path) for seed in range(chunk, TABLES, CHUNKS)]
    assert [item for item in found if item[1] == "silent"] == []
    assert [item for item in found if item[1] == "refused" and not NAMED.search(item[2])] == []
    assert sum(item[1] == "same" for item in found) > 0.8 * len(found)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        outcomes = [outcome(seed, Path(place)) for seed in range(int(sys.argv[1]) if sys.argv[1:] else TABLES)]
    if "-v" in sys.argv:
        print(*(item for item in outcomes if item[1] != "same"), sep="\n")
    print(Counter(kind for _, kind, _ in outcomes))
    for writer in sorted({writer for writer, _, _ in outcomes}):
        print(f"{writer:28}", dict(Counter(kind for name, kind, _ in outcomes if name == writer)))
