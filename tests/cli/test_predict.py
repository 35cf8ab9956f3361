"""`graftwork predict` reads as `fit` does, and writes answers beside the rows of a table."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import graftwork as gw

ROWS = {"id": [3, 1, 2], "text": ["where is my parcel", "", "i lost my card"], "label": ["x", "y", "z"]}


@pytest.fixture
def run(messages: Path, tiny_bert: Path, tmp_path: Path) -> str:
    return str(gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run").path)


def read(path: Path) -> list[dict[str, object]]:
    match path.suffix:
        case ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        case ".parquet":
            return pq.read_table(path).to_pylist()
        case _:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_in_gives_its_rows_with_answers_beside_them(ending, run, shell, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["graftwork.data.streaming"], "MOST_ROWS", 2)
    pq.write_table(pa.table(ROWS), tmp_path / "new.parquet")
    done = shell.json("predict", run, "new.parquet", "--out", f"out.{ending}", "--top", "2")
    assert done == {"out": f"out.{ending}", "rows": 3, "unanswered": 1}
    rows = read(tmp_path / f"out.{ending}")
    assert [str(row["id"]) for row in rows] == ["3", "1", "2"]
    assert [row["label"] for row in rows] == ["x", "y", "z"]
    assert [row["predicted_label"] or None for row in rows] == ["delivery", None, "card"]
    assert [row["predicted_error"] or None for row in rows] == [None, "'row 2' is an empty text.", None]
    answers = shell.json("predict", run, "new.parquet")
    assert [one["label"] for one in answers] == ["delivery", None, "card"]
    for row, one in zip(rows, answers, strict=True):
        if one["label"]:
            assert float(row["predicted_probability"]) == pytest.approx(one["probabilities"][one["label"]])
            assert row["predicted_label_2"] in {"card", "delivery"} - {one["label"]}


def test_top_keeps_the_most_probable_labels(run, shell, tmp_path) -> None:
    (one,) = shell.json("predict", run, "my card", "--top", "1")
    assert list(one["probabilities"]) == [one["label"]] == ["card"]
    shell("predict", run, "my card", "--out", "out.csv")
    assert list(read(tmp_path / "out.csv")[0]) == [
        "input",
        "predicted_label",
        "predicted_probability",
        "predicted_error",
    ]
    assert "Answers: out2.csv (1 rows)" in shell("predict", run, "my card", "--out", "out2.csv").stderr


def test_a_long_table_is_shown_in_part_and_all_of_it_is_asked_for(run, shell, tmp_path) -> None:
    (tmp_path / "new.csv").write_text("text\n" + "my card\n" * 25)
    done = shell("predict", run, "new.csv")
    assert done.stdout.count("my card") == 20
    assert "And 5 more; to have all, write: --out answers.csv" in done.stderr
    assert len(shell.json("predict", run, "new.csv")) == 25


def test_the_column_of_the_fit_is_read_where_it_is_there(shell, tiny_bert, tmp_path) -> None:
    rows = [f"i lost my card {n},other,card\nwhere is my parcel {n},other,delivery" for n in range(9)]
    (tmp_path / "t.csv").write_text("\n".join(["comment,note,label", *rows]) + "\n")
    shell("fit", "t.csv", "--input", "comment", "--backbone", f"local:{tiny_bert}", "--out", "run")
    again = shell.json("evaluate", "run", "t.csv")
    assert again == shell.json("evaluate", "run", "t.csv", "--input", "comment", "--label", "label") | {
        "cache": again["cache"]
    }
    assert shell.json("evaluate", "run", "t.csv", "--streaming")["metrics"] == again["metrics"]
    (tmp_path / "new.csv").write_text("note,comment\nwhere is my parcel,my card\n")
    assert shell.json("predict", "run", "new.csv")[0]["input"] == "my card"
    assert shell.json("predict", "run", "new.csv", "--input", "note")[0]["input"] == "where is my parcel"
    (tmp_path / "other.csv").write_text("text\nmy card\n")
    assert shell.json("predict", "run", "other.csv")[0]["input"] == "my card"


def test_a_table_that_is_no_utf8_is_written_as_it_reads(run, shell, tmp_path) -> None:
    (tmp_path / "new.csv").write_bytes("text,who\nmy card,Zoé\n".encode("latin-1"))
    shell("predict", run, "new.csv", "--out", "out.csv")
    assert read(tmp_path / "out.csv")[0]["who"] == "Zoé"


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("out.xls", "--out 'out.xls' ends in '.xls'; .csv, .jsonl, .parquet are accepted."),
        ("there.csv", "'there.csv' is there already."),
        ("nowhere/out.csv", "'nowhere/out.csv' cannot be written: No such file or directory."),
    ],
)
def test_a_file_that_answers_cannot_be_written_to_is_refused(out, said, run, shell, tmp_path) -> None:
    (tmp_path / "there.csv").write_text("mine")
    assert shell.json("predict", run, "my card", "--out", out, code=2)["error"]["message"] == said
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_tables_of_different_columns_are_not_written_to_one_file_and_nothing_is_left(run, shell, tmp_path) -> None:
    (tmp_path / "a.csv").write_text("text\nmy card\n")
    error = shell.json("predict", run, "a.csv", "see my card", "--out", "out.csv", code=2)["error"]
    assert error["message"].startswith("Rows with the columns input, predicted_label")
    assert [path.name for path in tmp_path.glob("*out*")] == []


def test_a_table_in_memory_is_its_rows(run, tmp_path) -> None:
    import datasets

    loaded = gw.load(run)
    as_rows = [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
    frames = [datasets.Dataset.from_dict(ROWS), pa.table(ROWS), pd.DataFrame(ROWS), pl.DataFrame(ROWS), as_rows]
    for table in frames:
        answers = loaded.predict(table, top=1)
        assert [one["label"] for one in answers] == ["delivery", None, "card"]
        assert list(loaded.stream(table, top=1)) == answers
        assert loaded.predict(table, input="label")[0]["input"] == "x"
    assert loaded.predict(pl.Series(ROWS["text"]), top=1) == answers
    pq.write_table(pa.table(ROWS), tmp_path / "new.parquet")
    assert loaded.predict(tmp_path / "new.parquet", top=1) == answers
    assert list(loaded.stream(tmp_path / "new.parquet", top=1)) == answers
    with pytest.raises(gw.UsageError, match=r"new.parquet' is a table, and a string is one input\. For its rows: run"):
        loaded.predict(str(tmp_path / "new.parquet"))
    assert len(loaded.predict("gone.parquet")) == 1


def test_where_it_is_not_sure_the_cell_of_the_label_is_empty(run, shell, tmp_path) -> None:
    pq.write_table(pa.table(ROWS), tmp_path / "new.parquet")
    done = shell.json("predict", run, "new.parquet", "--out", "out.csv", "--min-probability", "1")
    assert done == {"out": "out.csv", "rows": 3, "unanswered": 1, "abstained": 2}
    rows = read(tmp_path / "out.csv")
    assert [row["predicted_label"] for row in rows] == ["", "", ""]
    assert all(float(rows[k]["predicted_probability"]) > 0.5 for k in (0, 2))
    (one,) = shell.json("predict", run, "my card", "--min-probability", "1")
    assert (one["label"], one["abstained"]) == (None, True)
    assert "(not sure)" in shell("predict", run, "my card", "--min-probability", "1").stdout
    shown = shell("predict", run, "new.parquet", "--out", "out2.csv", "--min-probability", "1").stderr
    assert "Answers: out2.csv (3 rows, 2 of them too improbable to label, 1 without an answer" in shown
    assert shell.json("predict", run, "my card", "--min-probability", "0")[0]["label"] == "card"
    error = shell.json("predict", run, "my card", "--min-probability", "1.5", code=2)["error"]
    assert error["message"] == "--min-probability 1.5 is given; a probability from 0 to 1 is accepted."
