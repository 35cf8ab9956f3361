"""Tables as programs write them: what is read is what was written, or a sentence says why not."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graftwork as gw
from graftwork import DataError
from graftwork.data.formats import byte_scan, csv_tables
from graftwork.data.formats.csv_tables import read_csv, read_csv_pieces

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


@settings(deadline=None)
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "^"])
def test_a_first_line_that_names_the_separator_is_heeded_and_is_no_row(separator, encoding, tmp_path) -> None:
    text = (
        f"sep={separator}\r\ntext{separator}label\r\na;b,é{separator}x\r\n".replace("a;b,", "a") + f"c{separator}y\r\n"
    )
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    found = [
        (text.decode("cp1252") if isinstance(text, bytes) else text, label) for text, label in both(tmp_path / "t.csv")
    ]
    assert found == [("aé", "x"), ("c", "y")]


def test_two_separators_that_cut_all_rows_are_refused_unless_a_line_or_quotes_tell(tmp_path) -> None:
    text = "text;label, given\na;b, c\nd;e, f\n"
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError) as refusal:
        gw.data(tmp_path / "t.csv")
    assert "may be separated by ',' into 2 or by ';' into 2 cells a row; its first rows are even both ways" in str(
        refusal.value
    )
    (tmp_path / "t.csv").write_text("sep=;\n" + text)
    assert both(tmp_path / "t.csv", label="label, given", input="text") == [("a", "b, c"), ("d", "e, f")]
    (tmp_path / "t.csv").write_text('text;"label, given"\na;b, c\nd;e, f\n')
    assert both(tmp_path / "t.csv", label="label, given", input="text") == [("a", "b, c"), ("d", "e, f")]


FILLER = "".join(f"a text about {n},{'xy'[n % 2]}\n" for n in range(20))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ('"15 inch,x\nb,y\nc,x\n20",y\n', "row 22: the cell of 'text' that begins with '15 inch,x' runs over 4 lines, and these look like rows"),
        ('"15 inch,x\n20",y\n', "row 22: the cell of 'text' that begins with '15 inch,x' runs over 2 lines"),
        ('"15 inch,x\nb,y\n20" wheel,y\n', 'row 22: the quote that opens the cell "15 inch,x is closed in the middle of a cell, 2 lines further down'),
        ('"15 inch,x\nb,y\n', 'row 22: the quote that opens the cell "15 inch,x is never closed, and 2 lines follow it'),
        ('"15 inch" wheel,x\n', 'row 22: the quote that opens the cell "15 inch" wheel,x is closed in the middle of a cell. Remove it, or'),
        ('a, "x"\n', 'row 22: the quote that opens the cell "x" has a blank before it. Remove the blank before it.'),
        ('a\rb,x\n', "line 22: a carriage return stands within the line"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("read", [gw.data, gw.stream], ids=["data", "stream"])
def test_a_stray_quote_is_named_by_its_row(read, row, sentence, tmp_path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + FILLER + row, newline="")
    with pytest.raises(DataError) as refusal:
        read(tmp_path / "t.csv")
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("cell", [
    "Dear Sir, I write\nthat I lost it, sadly\nThanks", "eggs, 3\nmilk, 1\nbread", "x,y,z\na,b,c\n", "a\n\nb", "one,\ntwo,\nthree",
    "a\r\nb", "x\ny", "she said, no\nx", "he wrote\n\"a\", then left",
])  # fmt: skip
def test_a_text_of_several_lines_with_separators_in_them_is_a_text(cell, tmp_path) -> None:
    rows = [*((f"a text about {n}", "xy"[n % 2]) for n in range(20)), (cell, "x")]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    assert both(tmp_path / "t.csv") == rows


def test_a_row_that_was_swallowed_is_found_by_numbers_too_and_wherever_its_column_is(tmp_path) -> None:
    (tmp_path / "t.csv").write_text(
        "value,text,label\n" + "".join(f"{n},a{n},x{n}\n" for n in range(9)) + '9,"b,q\n10,c,r\n11,d",s\n'
    )
    with pytest.raises(DataError, match="row 11: the cell of 'text' that begins with 'b,q' runs over 3 lines"):
        gw.data(tmp_path / "t.csv")


@settings(deadline=None)
@given(content=st.text(alphabet='ab,"\n\r\\é', min_size=1, max_size=60), size=st.integers(1, 20))
def test_what_is_known_of_the_bytes_does_not_hang_on_the_blocks_they_are_read_in(
    content, size, tmp_path_factory
) -> None:
    path = tmp_path_factory.mktemp("scan") / "t.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        whole = byte_scan.scan(path, ",")
        patch.setattr(byte_scan, "BLOCK", size)
        assert byte_scan.scan(path, ",") == whole


def test_a_quote_within_a_cell_is_a_sign(tmp_path) -> None:
    (tmp_path / "t.csv").write_text('text,label\n15" wheel,x\n6\' 2" tall,y\n"a, ""b""",x\n')
    assert both(tmp_path / "t.csv") == [('15" wheel', "x"), ("6' 2\" tall", "y"), ('a, "b"', "x")]


def test_backslashes_escape_where_only_so_the_table_is_regular(tmp_path) -> None:
    (tmp_path / "t.csv").write_text('text,label\n"she said \\"no\\", twice",x\n"a, b",y\n"end \\\\",x\n')
    assert both(tmp_path / "t.csv") == [('she said "no", twice', "x"), ("a, b", "y"), ("end \\", "x")]
    (tmp_path / "t.csv").write_text("text,label\na\\, b,x\ntwo\\\nlines,y\n")
    assert both(tmp_path / "t.csv") == [("a, b", "x"), ("two\nlines", "y")]
    (tmp_path / "t.csv").write_text('text,label\nC:\\dir\\,x\n"C:\\",y\n"a ""b"" \\n",x\n')
    assert both(tmp_path / "t.csv") == [("C:\\dir\\", "x"), ("C:\\", "y"), ('a "b" \\n', "x")]


def test_backslashes_that_may_escape_or_not_are_refused_or_said(tmp_path) -> None:
    (tmp_path / "t.csv").write_text('text,label\na,x\nhe said \\"no\\",y\n')
    with pytest.raises(DataError) as refusal:
        gw.data(tmp_path / "t.csv")
    assert (
        "row 3: the backslash in 'he said \\\"no\\\",y' may be a sign of the text, or escape the sign after it"
        in str(refusal.value)
    )
    (tmp_path / "t.csv").write_text("text,label\na,x\nb \\\\ c,y\n")
    assert both(tmp_path / "t.csv") == [("a", "x"), ("b \\\\ c", "y")]
    assert (
        "Row 3 has a doubled backslash; backslashes are read as they are written." in gw.data(tmp_path / "t.csv").notes
    )


def test_quotes_that_no_cell_of_a_tab_separated_file_needs_are_signs(tmp_path) -> None:
    (tmp_path / "t.tsv").write_text('text\tlabel\n"great"\tx\nno, no\ty\n')
    assert both(tmp_path / "t.tsv") == [('"great"', "x"), ("no, no", "y")]
    assert (
        "Row 2 has quotes that its cell does not need; they are read as signs of the text."
        in gw.data(tmp_path / "t.tsv").notes
    )
    (tmp_path / "t.tsv").write_text('"text"\t"label"\n"great"\t"x"\n"no, no"\t"y"\n')
    assert both(tmp_path / "t.tsv") == [("great", "x"), ("no, no", "y")]
    (tmp_path / "t.tsv").write_text('text\tlabel\n"great, it is"\tx\nno\ty\n')  # as Excel writes it
    assert both(tmp_path / "t.tsv") == [("great, it is", "x"), ("no", "y")]
    (tmp_path / "t.tsv").write_text('text\tlabel\n"great\tx\nb\ty\nc"\tx\n')
    with pytest.raises(
        DataError, match='row 2: the quote that opens "great\tx may belong to a cell of several lines, or be a'
    ):
        gw.data(tmp_path / "t.tsv")


@pytest.mark.parametrize(
    ("encoding", "name", "rows"),
    [
        ("shift_jis", "SHIFT_JIS", ["こんにちは、世界", "さようなら"]),
        ("euc-jp", "EUC-JP", ["こんにちは、世界", "さようなら"]),
        ("gb18030", "GB18030", ["你好世界，今天天气很好", "再见朋友"]),
        ("euc-kr", "EUC-KR", ["안녕하세요 세계", "친구야 안녕"]),
        ("cp1251", "CP1251", ["привет мир", "пока, друзья"]),
        ("koi8-r", "KOI8-R", ["привет мир", "пока друзья"]),
        ("cp1253", "CP1253", ["γεια σου κόσμε", "αντίο φίλε"]),
    ],
)  # fmt: skip
def test_text_in_another_script_than_windows_1252_is_refused_by_the_name_of_its_encoding(
    encoding, name, rows, tmp_path
) -> None:
    (tmp_path / "t.csv").write_bytes("\n".join(["text\tlabel", *(f"{row}\tx" for row in rows)]).encode(encoding))
    with pytest.raises(DataError) as refusal:
        gw.data(tmp_path / "t.csv")
    assert (
        f"it is not UTF-8, and no Windows-1252 either, as which it says '{rows[0].encode(encoding).decode('cp1252', errors='replace')[:10]}"
        in str(refusal.value)
    )
    likely, _, hint = str(refusal.value).partition("it may be ")[2].partition(". ")
    assert name in likely.split(" or ")
    assert hint == f"Convert it from its own encoding: iconv -f {likely.split()[0]} -t UTF-8 t.csv > utf8-t.csv"


def test_a_cell_that_was_cut_within_a_letter_makes_no_other_encoding_of_utf_8(tmp_path) -> None:
    cut = "日本語の文章です".encode()[:-1]
    (tmp_path / "t.csv").write_bytes("text,label\n日本語,x\n".encode() + cut + b",y\n")
    found = both(tmp_path / "t.csv")
    assert found == [("日本語".encode(), "x"), (cut, "y")]


def test_western_text_is_read_cell_by_cell_its_heading_too(tmp_path) -> None:
    (tmp_path / "t.csv").write_bytes(
        "texte,été\nnaïve “façade”…,x\npoêle à frire,007\nÇA, DÉJÀ VU,x\n".replace("ÇA,", "ÇA").encode("cp1252")
    )
    found = [(text.decode("cp1252"), label) for text, label in both(tmp_path / "t.csv", label="été", input="texte")]
    assert found == [("naïve “façade”…", "x"), ("poêle à frire", "007"), ("ÇA DÉJÀ VU", "x")]


def test_bytes_that_are_no_text_are_refused(tmp_path) -> None:
    (tmp_path / "t.csv").write_bytes(b"PK\x03\x04\x00\x00\x00\x00\x08\x00" * 20)
    with pytest.raises(DataError, match=r"t\.csv' is no text: 100 of its first 200 bytes are zero"):
        gw.data(tmp_path / "t.csv")


def test_columns_without_a_heading_are_left_out_and_said_unless_they_are_blank(tmp_path) -> None:
    (tmp_path / "t.csv").write_text(",text,label,\n0,a,x,\n1,b,y,\n")
    assert both(tmp_path / "t.csv") == [("a", "x"), ("b", "y")]
    assert gw.data(tmp_path / "t.csv").notes == ("Column 1 has no heading and is left out.",)


def test_line_ends_of_two_kinds_are_said(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("text,label\na,x\r\nb,y\nc,x\n", newline="")
    assert both(tmp_path / "t.csv") == [("a", "x"), ("b", "y"), ("c", "x")]
    assert gw.data(tmp_path / "t.csv").notes == (
        "1 of 4 lines end in CR LF, the others in LF; a CR there is no part of a cell.",
    )


def test_carriage_returns_and_line_feeds_in_quotes_stay_where_carriage_returns_end_lines(tmp_path) -> None:
    (tmp_path / "t.csv").write_text('text,label\r"two\nlines",x\r"a\rb",y\r', newline="")
    assert both(tmp_path / "t.csv") == [("two\nlines", "x"), ("a\rb", "y")]


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
