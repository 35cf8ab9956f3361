"""Data read once, in chunks: what comes of them is what comes of the same data at hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import graftwork as gw
from graftwork import DataError, InputMismatch, UsageError
from graftwork.data import streaming
from graftwork.data.formats import tables
from graftwork.features import dataset
from graftwork.runtime.parallel import prefetch


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr(streaming, "MOST_ROWS", 12)
    monkeypatch.setattr(tables, "PIECE", 5)
    from graftwork.data import sources

    monkeypatch.setattr(sources, "PIECE", 5)


def rows_of(messages: Path) -> list[dict[str, str]]:
    with messages.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_csv(messages: Path) -> Path:
    return messages


def as_latin(messages: Path) -> Path:
    text = messages.read_text(encoding="utf-8").replace("lost", "lôst")
    messages.write_bytes(text.encode("latin-1"))
    return messages


def as_utf16(messages: Path) -> Path:
    messages.write_bytes(messages.read_text(encoding="utf-8").encode("utf-16"))
    return messages


def as_jsonl(messages: Path) -> Path:
    path = messages.with_suffix(".jsonl")
    path.write_text("\n".join(json.dumps(row) for row in rows_of(messages)))
    return path


def as_parquet(messages: Path) -> Path:
    path = messages.with_suffix(".parquet")
    pq.write_table(pa.Table.from_pylist(rows_of(messages)), path, row_group_size=9)
    return path


def as_split_column(messages: Path) -> Path:
    lines = messages.read_text(encoding="utf-8").splitlines()
    words = ["split", *["train", "train", "train", "val", "test"] * 8]
    messages.write_text("\n".join(f"{line},{word}" for line, word in zip(lines, words, strict=True)))
    return messages


def as_saved(messages: Path) -> Path:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = [{"text": row["text"], "label": int(row["label"] == "card")} for row in rows_of(messages)]
    path = messages.parent / "saved"
    found = datasets.Dataset.from_list(rows, features=features)
    datasets.DatasetDict({"train": found.select(range(30)), "test": found.select(range(30, 40))}).save_to_disk(path)
    return path


def same(one: gw.Run, other: gw.Run) -> None:
    """All but how long it took, what was found in the store, and what examples are called, of which a stream keeps no
    names."""
    records = [{k: v for k, v in run.record.items() if k not in ("timings", "cache")} for run in (one, other)]
    mistakes = [record.pop("validation")["mistakes"] for record in records]
    assert records[0] == records[1]
    said = [[(row["true"], row["said"], row["note"]) for row in rows] for rows in mistakes]
    assert said[0] == said[1]
    assert all(torch.equal(t, other._head.state_dict()[name]) for name, t in one._head.state_dict().items())


@pytest.mark.parametrize(
    "source", [as_csv, as_latin, as_utf16, as_jsonl, as_parquet, as_split_column, as_saved], ids=lambda f: f.__name__
)
def test_a_stream_comes_to_what_data_at_hand_come_to(messages, tiny, source: Callable[[Path], Path]) -> None:
    path = source(messages)
    at_hand, streamed = gw.fit(path, tiny, tap="last"), gw.fit(gw.stream(path), tiny)
    same(at_hand, streamed)
    assert streamed.record["cache"] == {"hits": 40, "misses": 0}
    whole, parts_ = at_hand.evaluate(path), streamed.evaluate(gw.stream(path))
    assert {**whole, "cache": None} == {**parts_, "cache": None}


def test_a_stream_of_files_does_too(photos) -> None:
    name = "image/efficientnet-lite0"
    (photos / "dark" / "broken.bmp").write_bytes(b"no picture")
    with pytest.raises(DataError, match="1 of 13 examples cannot be used"):
        gw.fit(gw.stream(photos), name)
    (photos / "dark" / "broken.bmp").unlink()
    same(gw.fit(photos, name, tap="last"), gw.fit(gw.stream(photos), name))


def test_an_iterable_dataset_is_read_once_after_its_first_rows(messages, tiny) -> None:
    rows, read = rows_of(messages), []

    def generate() -> Iterator[dict[str, str]]:
        for row in rows:
            read.append(row["text"])
            yield row

    source = datasets.IterableDataset.from_generator(generate)
    streamed = gw.fit(gw.stream(source), tiny, seed=1)
    at_hand = gw.fit(messages, tiny, tap="last", seed=1)
    assert streamed.metrics == at_hand.metrics
    assert streamed.labels == at_hand.labels
    begun, whole = read[:-40], read[-40:]
    assert whole == [row["text"] for row in rows]
    assert len(begun) < 40
    with pytest.raises(DataError, match="the data set is an IterableDataset, which is read in a stream. Write: graft"):
        gw.fit(source, tiny)


def test_no_more_than_a_few_chunks_are_alive_at_a_time(messages, tiny, monkeypatch) -> None:
    import gc
    import weakref

    alive: list[weakref.ref[Any]] = []
    most = []
    original = streaming.observe

    def spy(listing, **options):
        gc.collect()
        alive.append(weakref.ref(listing.inputs))
        most.append(sum(ref() is not None for ref in alive))
        return original(listing, **options)

    monkeypatch.setattr(streaming, "MOST_ROWS", 4)
    stream = gw.stream(messages)
    monkeypatch.setattr(streaming, "observe", spy)
    gw.fit(stream, tiny)
    assert len(most) == 10
    assert max(most) <= 3


def test_what_cannot_be_used_is_named_by_its_place_in_the_whole(tmp_path, tiny) -> None:
    lines = ["text,label", *(f"where is my parcel {n},{'ab'[n % 2]}" for n in range(40))]
    lines[31] = '" ",a'
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    at_hand, streamed = gw.fit(tmp_path / "t.csv", tiny, tap="last"), gw.fit(gw.stream(tmp_path / "t.csv"), tiny)
    assert "row 31" in streamed.record["data"]["left_out"][0]["name"]
    same(at_hand, streamed)
    with pytest.raises(DataError, match="and none is allowed with --on-bad error; the first: 'row 31' is an empty"):
        gw.fit(gw.stream(tmp_path / "t.csv"), tiny, on_bad="error")


def test_a_stream_sorted_by_label_is_fine_and_one_of_a_single_label_is_not(tmp_path, tiny) -> None:
    lines = ["text,label", *(f"where is my parcel {n},{'ab'[n // 20]}" for n in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    same(gw.fit(tmp_path / "t.csv", tiny, tap="last"), gw.fit(gw.stream(tmp_path / "t.csv"), tiny))
    (tmp_path / "t.csv").write_text("\n".join(line.replace(",b", ",a") for line in lines))
    with pytest.raises(DataError, match="All 40 examples have the label 'a'"):
        gw.fit(gw.stream(tmp_path / "t.csv"), tiny)


def test_what_cannot_be_done_is_said_before_anything_is_loaded(messages, tiny, photos, monkeypatch) -> None:
    from graftwork.runs import steps

    monkeypatch.setattr(steps, "load_frozen", lambda spec: pytest.fail("the backbone was loaded"))
    stream = gw.stream(messages)
    for options, words in (
        ({"freeze": "lpft"}, "--streaming reads the data once, which is for heads that are solved exactly; the freeze"),
        ({"tap": "all"}, "--tap all looks at the examples again, and --streaming reads them once"),
        ({"augment": True, "views": 2}, "--views looks at the examples again, and --streaming reads them once"),
        ({"val": 3.0}, "--val 3 is not a part of the data"),
    ):
        with pytest.raises(UsageError, match=words):
            gw.fit(stream, tiny, **options)
    with pytest.raises(InputMismatch, match="reads text; folder '.*photos' holds images"):
        gw.fit(gw.stream(photos), tiny)
    with pytest.raises(UsageError, match=r"has no column 'words'; its columns are 'text', 'label'"):
        gw.stream(messages, input="words")
    with pytest.raises(UsageError, match="is a folder of files, which has no columns"):
        gw.stream(photos, label="label")
    messages.write_text("text,label\n")
    with pytest.raises(DataError, match="'messages' has no rows"):
        gw.stream(messages)


def test_a_stream_that_breaks_off_is_gone_on_with(messages, tiny) -> None:
    rows = [{"text": f"{row['text']} {number}", "label": row["label"]} for number, row in enumerate(rows_of(messages))]
    broken = [True]

    def generate() -> Iterator[dict[str, str]]:
        for number, row in enumerate(rows):
            if number == 30 and broken[0]:
                raise ConnectionError("the line is dead")
            yield row

    source = datasets.IterableDataset.from_generator(generate)
    with pytest.raises(DataError, match="'the data set' cannot be loaded as a data set: .*"):
        gw.fit(gw.stream(source), tiny)
    broken[0] = False
    assert gw.fit(gw.stream(source), tiny).record["cache"] == {"hits": 30, "misses": 10}


def test_the_precision_of_the_first_chunk_is_that_of_all(messages, tiny, monkeypatch) -> None:
    tried = []
    monkeypatch.setenv("GRAFTWORK_PRECISION", "bf16")
    monkeypatch.setattr(
        "graftwork.models.engines.runner.cosines",
        lambda *_: tried.append(1) or torch.tensor([0.9995], dtype=torch.double),
    )
    run = gw.fit(gw.stream(messages), tiny, tap="embeddings")
    assert run.record["precision"] == {"used": "bf16", "asked": "auto", "cosine": 0.9995}
    assert len(tried) == 1


def test_rows_that_are_added_to_a_matrix_are_its_rows_wherever_they_lie(monkeypatch) -> None:
    blocks = [torch.randn(rows, 3) for rows in (5, 0, 7, 2)]
    for room in (0, 100, 10**6):
        monkeypatch.setattr(dataset, "IN_MEMORY", room)
        growing = dataset.RowBuffer()
        for block in blocks:
            growing.add(block)
        assert torch.equal(growing.done(), torch.cat(blocks))


def test_items_made_beside_their_use_come_in_order_and_with_their_errors() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("over")

    found = prefetch(items())
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="over"):
        next(found)


def test_the_command_line_streams_too(shell, messages, tiny) -> None:
    done = shell("fit", str(messages), "--backbone", tiny, "--streaming", "--out", "run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_train"] == 32
    done = shell("evaluate", "run", str(messages), "--streaming", "--json")
    assert json.loads(done.stdout)["n"] == 40
    done = shell("fit", str(messages), "--backbone", tiny, "--streaming", "--freeze", "all", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["type"] == "UsageError"
