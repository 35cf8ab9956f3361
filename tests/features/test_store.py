"""The feature store: nothing is computed twice, nothing stale is found, nothing torn is believed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import graftwork as gw
from graftwork import UsageError
from graftwork.errors import StoreError
from graftwork.features import shards, store
from graftwork.features.shards import Row
from graftwork.features.store import Store

ABOUT = {"backbone": "b", "kind": "features", "precision": "fp32", "weights": "w"}


@pytest.fixture
def tiny(tiny_bert: Path, tmp_path: Path) -> str:
    return f"local:{shutil.copytree(tiny_bert, tmp_path / 'encoder')}"


def computed(messages: Any, backbone: str, **options: Any) -> tuple[int, int]:
    found = gw.fit(messages, backbone, **options).record["cache"]
    return found["hits"], found["misses"]


def test_a_second_fit_computes_nothing_and_is_the_same(messages, tiny) -> None:
    first = gw.fit(messages, tiny)
    again = gw.fit(messages, tiny)
    other = gw.fit(messages, tiny, seed=3, c=10.0)
    without = gw.fit(messages, tiny, cache=False, tap="last")
    assert first.record["cache"] == {"hits": 12, "misses": 28}  # twelve of the forty are there twice
    assert again.record["cache"] == other.record["cache"] == {"hits": 40, "misses": 0}
    assert without.record["cache"] == {"hits": 0, "misses": 40}
    assert first.metrics == again.metrics == without.metrics
    for name, tensor in first._head.state_dict().items():
        assert torch.equal(tensor, again._head.state_dict()[name])
        assert torch.equal(tensor, without._head.state_dict()[name])


def test_what_is_added_is_all_that_is_computed(messages, tiny) -> None:
    assert computed(messages, tiny) == (12, 28)
    with messages.open("a") as file:
        file.write("".join(f"where is order {number},delivery\n" for number in range(10)))
    assert computed(messages, tiny) == (40, 10)


def test_one_new_kind_of_example_leaves_the_others_found(messages, tiny) -> None:
    """A capital letter brings a conversion into the agreement; the others are read as before."""
    computed(messages, tiny)
    with messages.open("a") as file:
        file.write("Where Is It,delivery\n")
    assert computed(messages, tiny) == (40, 1)


def test_earlier_stages_are_found_where_later_ones_were_computed(messages, tiny) -> None:
    deep = [gw.fit(messages, tiny, tap=tap, cache=False) for tap in ("0", "1")]
    assert computed(messages, tiny, tap="1") == (12, 28)
    assert computed(messages, tiny, tap="2") == (12, 28)
    for tap, uncached in enumerate(deep):
        run = gw.fit(messages, tiny, tap=str(tap))
        assert run.record["cache"] == {"hits": 40, "misses": 0}
        assert run.metrics == uncached.metrics


def test_compiled_stages_agree_and_are_kept_apart(messages, tiny) -> None:
    plain, compiled = gw.fit(messages, tiny), gw.fit(messages, tiny, compile=True)
    assert compiled.record["cache"] == {"hits": 12, "misses": 28}
    assert compiled.metrics == pytest.approx(plain.metrics, abs=1e-5)
    assert gw.fit(messages, tiny, compile=True).record["cache"] == {"hits": 40, "misses": 0}
    with pytest.raises(
        UsageError, match="--compile is for what runs frozen before training; the freeze policy 'all' has"
    ):
        gw.fit(messages, tiny, compile=True, freeze="all")


@pytest.mark.parametrize("cache", [True, False])
def test_all_taps_come_of_one_pass_and_the_best_is_kept(messages, tiny, cache, monkeypatch) -> None:
    from graftwork_text.bert import Embeddings

    rows = []
    original = Embeddings.forward
    monkeypatch.setattr(
        Embeddings, "forward", lambda self, state: rows.append(len(state.hidden)) or original(self, state)
    )
    run = gw.fit(messages, tiny, tap="all", cache=cache, precision="fp32")
    assert sum(rows) == 28
    assert [row["tap"] for row in run.record["taps"]] == ["embeddings", "block1", "block2"]
    best = min(run.record["taps"], key=lambda row: (-row["accuracy"], row["log_loss"]))
    assert run.record["tap"] == best["tap"]
    assert run.metrics["log_loss"] == pytest.approx(best["log_loss"])
    alone = gw.fit(messages, tiny, tap=best["tap"], precision="fp32")
    assert alone.metrics == run.metrics
    assert alone.predict(["where is my card"]) == run.predict(["where is my card"])
    with pytest.raises(
        UsageError, match="--tap all compares heads that are solved exactly; the freeze policy 'last:1'"
    ):
        gw.fit(messages, tiny, tap="all", freeze="last:1")


def change_weight(folder: Path, monkeypatch) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.0.output.dense.bias"][0] += 1e-3
    save_file(tensors, folder / "model.safetensors")


def change_tokenizer(folder: Path, monkeypatch) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"parcel"', '"parcels"'))
    words = folder / "vocab.txt"
    if words.exists():
        words.write_text(words.read_text().replace("parcel", "parcels"))


def change_length(folder: Path, monkeypatch) -> None:
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')


def change_rounding(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.11.1+other")


def change_kernels(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


def change_code(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("graftwork.features.examples.made_by", lambda factory: "another version")


def change_core(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("graftwork.features.examples.core", lambda: "another version")


def change_reader(folder: Path, monkeypatch) -> None:
    from graftwork.data import pipeline

    monkeypatch.setattr(pipeline, "made_by", lambda factory: "another version")


@pytest.mark.parametrize(
    "change",
    [
        change_weight,
        change_tokenizer,
        change_length,
        change_rounding,
        change_kernels,
        change_code,
        change_core,
        change_reader,
    ],
    ids=lambda change: change.__name__,
)
def test_whatever_decides_a_feature_is_in_its_key(messages, tiny, monkeypatch, change) -> None:
    assert computed(messages, tiny) == (12, 28)
    change(Path(tiny.removeprefix("local:")), monkeypatch)
    assert computed(messages, tiny) == (12, 28)


def test_what_converts_an_example_is_in_its_key_and_in_no_others(messages, tiny, monkeypatch) -> None:
    from graftwork.data import pipeline

    with messages.open("a") as file:
        file.write("Where Is It,delivery\n")
    assert computed(messages, tiny) == (12, 29)
    original = pipeline.made_by
    monkeypatch.setattr(pipeline, "made_by", lambda factory: original(factory) + "+" * factory.endswith(":lower"))
    assert computed(messages, tiny) == (40, 1)


def test_other_ways_to_read_are_other_features(messages, tiny) -> None:
    assert computed(messages, tiny, tap="0") == (12, 28)
    assert computed(messages, tiny, tap="1") == (12, 28)
    assert computed(messages, tiny, tap="1", long="windows") == (12, 28)


def test_one_byte_of_a_file_and_one_number_of_its_preparation_are_seen(photos, monkeypatch) -> None:
    name = "image/efficientnet-lite0"
    assert computed(photos, name) == (0, 12)
    assert computed(photos, name) == (12, 0)
    file = photos / "dark" / "3.bmp"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    assert computed(photos, name) == (11, 1)
    from dataclasses import replace

    from graftwork.plugins import loading

    registered = loading.installed().registered["backbones"]
    spec = registered[name]
    numbers = {**spec.contract.preparation, "mean": (0.5, 0.5, 0.5001)}
    monkeypatch.setitem(registered, name, replace(spec, contract=replace(spec.contract, preparation=numbers)))
    assert computed(photos, name) == (0, 12)


def test_objects_that_look_alike_to_a_glance_are_told_apart() -> None:
    from PIL import Image

    from graftwork.specs.readers import Raw
    from graftwork_image.reader import ImageReader

    grey = Image.new("P", (2, 2), 1)
    one, two, turned = grey.copy(), grey.copy(), Image.new("RGB", (2, 2))
    one.putpalette([0, 0, 0, 255, 0, 0])
    two.putpalette([0, 0, 0, 0, 255, 0])
    straight = turned.copy()
    turned.getexif()[274] = 6
    digests = {ImageReader().identity_digest(Raw("x", value=image)) for image in (one, two, turned, straight)}
    assert len(digests) == 4


# What is on the disk.


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_happens_to_the_files_a_row_is_right_or_missing(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("store")
    rows = [Row(bytes([number]) * 16, [os.urandom(50), os.urandom(7)], number, b"half") for number in range(5)]
    with Store(folder) as kept:
        key = kept.space(ABOUT).key
        kept.space(ABOUT).write(rows)
    (shard,) = (folder / "shards").iterdir()
    content = bytearray(shard.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "shift", "none"])):
        case "flip":
            content[where] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            content = content[:where]
        case "shift":
            content = content[where:] + content[:where]
    shard.write_bytes(bytes(content))
    untouched = bytes(content) == b"".join(shards.pack(key, row) for row in rows)
    with Store(folder) as kept:
        space = kept.space(ABOUT)
        places = space.find([row.digest for row in rows])
        found = [space.read(row.digest, place) for row, place in zip(rows, places, strict=True)]
        assert all(one in (None, list(row.segments)) for one, row in zip(found, rows, strict=True))
        assert (None not in found) == untouched
        assert kept.verify() == {"rows": 5, "bad": found.count(None)}
        assert kept.verify() == {"rows": 5 - found.count(None), "bad": 0}


def test_a_row_is_never_taken_for_another(tmp_path) -> None:
    with Store(tmp_path) as kept:
        space, other = kept.space(ABOUT), kept.space({**ABOUT, "weights": "v"})
        space.write([Row(b"a" * 16, [b"one"]), Row(b"b" * 16, [b"two"])])
        places = space.find([b"a" * 16, b"b" * 16])
        assert space.read(b"a" * 16, places[1]) is None
        assert other.read(b"a" * 16, places[0]) is None
        assert other.find([b"a" * 16]) == [None]


ODD = st.one_of(st.none(), st.text(max_size=3), st.floats(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=9))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_index_says_a_row_is_right_or_missing(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("store")
    shares = np.array([0.5], "<f4").tobytes()
    rows = [Row(bytes([number]) * 16, [os.urandom(50), os.urandom(7)], 1 + number, shares) for number in range(3)]
    with Store(folder) as kept:
        first, second = kept.space(ABOUT), kept.space({**ABOUT, "weights": "v"})
        first.write(rows)
        second.write([row._replace(segments=[b"x" * 50, b"y" * 7]) for row in rows])
        first.remember(cosine=0.5)
    index = sqlite3.connect(folder / "index.sqlite", isolation_level=None)
    index.execute("PRAGMA ignore_check_constraints=ON")
    table, columns = data.draw(
        st.sampled_from(
            [
                ("rows", ["space", "shard", "offset", "bytes", "segments", "parts", "defects"]),
                ("spaces", ["id", "key", "about", "note"]),
                ("shards", ["id", "name", "bytes", "used"]),
            ]
        )
    )
    column, value = data.draw(st.sampled_from(columns)), data.draw(ODD)
    with contextlib.suppress(sqlite3.Error):  # a value that the table cannot hold
        index.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = 1" if table != "rows" else
                      f"UPDATE rows SET {column} = ? WHERE digest = ?",
                      (value,) if table != "rows" else (value, rows[0].digest))  # fmt: skip
    index.close()
    with contextlib.suppress(StoreError), Store(folder) as kept:
        space = kept.space(ABOUT)
        assert space.note in ({}, {"cosine": 0.5})
        for row, place in zip(rows, space.find([row.digest for row in rows]), strict=True):
            if place is not None and (found := space.read(row.digest, place)) is not None:
                assert found == list(row.segments)
                assert (place.parts, place.defects) == (row.parts, row.defects)


def test_the_rows_of_a_space_whose_key_changed_are_missing(tmp_path) -> None:
    with Store(tmp_path) as kept:
        mine, other = kept.space(ABOUT), kept.space({**ABOUT, "weights": "v"})
        mine.write([Row(b"a" * 16, [b"one"])])
        kept._index.execute("UPDATE spaces SET id = 99 WHERE id = ?", (mine.number,))
        kept._index.execute("UPDATE spaces SET id = ? WHERE id = ?", (mine.number, other.number))
        wrong = kept.space({**ABOUT, "weights": "v"})
        (place,) = wrong.find([b"a" * 16])
        assert place is not None
        assert wrong.read(b"a" * 16, place) is None


def test_a_torn_row_is_computed_again(messages, tiny, own_store) -> None:
    run = gw.fit(messages, tiny)
    (shard,) = (own_store / "shards").iterdir()
    with shard.open("r+b") as file:
        file.truncate(shard.stat().st_size - 5)
    again = gw.fit(messages, tiny)
    assert again.record["cache"] == {"hits": 39, "misses": 1}
    assert again.metrics == run.metrics
    assert gw.fit(messages, tiny).record["cache"]["misses"] == 0


@pytest.mark.parametrize("damage", ["index", "format"])
def test_a_damaged_index_is_begun_anew(messages, tiny, own_store, damage) -> None:
    gw.fit(messages, tiny)
    for file in own_store.glob("index.sqlite-*"):
        file.unlink()
    if damage == "index":
        (own_store / "index.sqlite").write_bytes(b"nothing that SQLite knows" * 100)
    else:
        sqlite3.connect(own_store / "index.sqlite").execute("PRAGMA user_version=99")
    assert computed(messages, tiny) == (12, 28)
    assert computed(messages, tiny) == (40, 0)


def test_the_least_recently_used_goes_first(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(store, "SHARD", 1000)
    monkeypatch.setattr(store, "TOUCH", 0.0)
    digests = [bytes([number]) * 16 for number in range(10)]
    for number, digest in enumerate(digests):
        with Store(tmp_path, limit=5000) as kept:
            kept.space(ABOUT).write([Row(digest, [b"x" * 900])])
            if number >= 3:
                kept.space(ABOUT).find(digests[:1])
            assert kept.size()["bytes"] <= 5000
    with Store(tmp_path, limit=5000) as kept:
        there = [place is not None for place in kept.space(ABOUT).find(digests)]
        assert there[0]
        assert not any(there[1:5])
        assert all(there[-3:])
        assert len(list((tmp_path / "shards").iterdir())) == kept.size()["shards"]


def test_a_limit_smaller_than_a_shard_holds_while_one_process_writes(tmp_path) -> None:
    with Store(tmp_path, limit=100_000) as kept:
        for number in range(500):
            kept.space(ABOUT).write([Row(number.to_bytes(16, "little"), [b"x" * 900])])
            assert kept.size()["bytes"] <= 100_000
        assert kept.size()["bytes"] >= 70_000


def test_shards_are_gone_on_with(tmp_path) -> None:
    for number in range(20):
        with Store(tmp_path) as kept:
            kept.space(ABOUT).write([Row(bytes([number]) * 16, [b"x"])])
    with Store(tmp_path) as kept:
        assert kept.size()["shards"] == 1
        assert kept.verify() == {"rows": 20, "bad": 0}


def test_work_is_claimed_by_one_and_free_again_when_that_one_is_gone(tmp_path) -> None:
    digests = [b"a" * 16, b"b" * 16]
    with Store(tmp_path) as other:
        with Store(tmp_path) as one:
            assert one.space(ABOUT).lease(digests) == set(digests)
            assert one.space(ABOUT).lease(digests) == set(digests)
            assert other.space(ABOUT).lease(digests) == set()
            one.space(ABOUT).write([Row(digests[0], [b"x"])])
            assert other.space(ABOUT).lease(digests) == set()
            assert other.space(ABOUT).lease(digests, least=2) == {digests[0]}
            one.space(ABOUT).release(digests[1:])
            assert other.space(ABOUT).lease(digests) == {digests[1]}
            other.release_all()
            assert one.space(ABOUT).lease(digests) == {digests[1]}
        assert other.space(ABOUT).lease(digests) == {digests[1]}


def test_a_store_that_cannot_be_written_costs_a_warning_and_nothing_else(
    messages, tiny, own_store, monkeypatch
) -> None:
    right = gw.fit(messages, tiny, cache=False)
    own_store.parent.mkdir(exist_ok=True)
    shutil.rmtree(own_store, ignore_errors=True)
    own_store.write_text("a file where the folder should be")
    run = gw.fit(messages, tiny)
    assert run.metrics == right.metrics
    assert any(
        re.fullmatch(
            rf"The feature store '{own_store}' cannot be opened: [\w ]+\. Features are computed and not kept\. "
            r"Name another folder with GRAFTWORK_CACHE, or write: --no-cache",
            words,
        )
        for words in run.record["warnings"]
    )
    own_store.unlink()
    original = shards.Writer.append
    writes = []

    def full(self, record):
        writes.append(record)
        if len(writes) > 5:
            raise OSError(28, "No space left on device")
        return original(self, record)

    monkeypatch.setattr(shards.Writer, "append", full)
    monkeypatch.setattr("graftwork_text.tokens.TextEncoder.batch_size", 60)
    run = gw.fit(messages, tiny)
    assert run.metrics == pytest.approx(right.metrics, abs=1e-6)
    assert any(
        words.startswith(f"The feature store '{own_store}' cannot be used: No space left on device.")
        for words in run.record["warnings"]
    )
    assert 28 <= run.record["cache"]["misses"] <= 40
    with Store() as kept:
        assert kept._index.execute("SELECT COUNT(*) FROM claims").fetchone() == (0,)


@pytest.mark.parametrize("freeze", ["last:1", "lpft"])
def test_a_full_disk_costs_a_fit_by_steps_a_warning_too(messages, tiny, own_store, monkeypatch, freeze) -> None:
    by_steps = {"freeze": freeze, "epochs": 1, "device": "cpu"}
    right = gw.fit(messages, tiny, cache=False, **by_steps)

    def full(self, record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.Writer, "append", full)
    run = gw.fit(messages, tiny, **by_steps)
    assert run.metrics == pytest.approx(right.metrics, abs=1e-6)
    assert any(
        words.startswith(f"The feature store '{own_store}' cannot be used: No space left on device.")
        for words in run.record["warnings"]
    )


@pytest.mark.parametrize("table", ["rows", "spaces", "claims"])
def test_an_index_that_fails_meanwhile_costs_a_warning_and_is_mended_by_clearing(
    messages, tiny, own_store, table
) -> None:
    right = gw.fit(messages, tiny)
    with Store() as kept:
        kept._index.execute(f"ALTER TABLE {table} RENAME TO gone")
    with messages.open("a") as file:
        file.write("where is one more,delivery\n")
    run = gw.fit(messages, tiny)
    assert run.record["cache"]["misses"] >= 1
    (said,) = [words for words in run.record["warnings"] if "feature store" in words]
    assert f"The feature store '{own_store}' cannot be used: no such table: {table}." in said
    assert right.metrics["accuracy"] == 1.0
    with Store() as kept:
        kept.clear()
    assert "feature store" not in " ".join(gw.fit(messages, tiny).record["warnings"])
    assert gw.fit(messages, tiny).record["cache"]["misses"] == 0


def test_a_limit_that_is_no_size_is_refused(messages, tiny, monkeypatch) -> None:
    for words, size in (("500MB", 500_000_000), ("2.5GB", 2_500_000_000), ("123", 123), ("", store.LIMIT)):
        monkeypatch.setenv("GRAFTWORK_CACHE_LIMIT", words)
        assert store.default_limit() == size
    for words in ("inf", "nan", "-1GB", "1e999MB"):
        monkeypatch.setenv("GRAFTWORK_CACHE_LIMIT", words)
        with pytest.raises(UsageError, match="a number of bytes is accepted"):
            store.default_limit()
    monkeypatch.setenv("GRAFTWORK_CACHE_LIMIT", "much")
    with pytest.raises(UsageError, match="GRAFTWORK_CACHE_LIMIT is 'MUCH'; a number of bytes is accepted"):
        gw.fit(messages, tiny)


def test_unreadable_examples_are_named_each_time_and_hold_nobody_up(tmp_path, tiny_bert, monkeypatch) -> None:
    for label in ("a", "b"):
        (tmp_path / "texts" / label).mkdir(parents=True)
        for number in range(12):
            (tmp_path / "texts" / label / f"{number}.txt").write_text(f"where is {label} {number}")
    data = gw.data(tmp_path / "texts")
    (tmp_path / "texts" / "a" / "3.txt").write_bytes(b"\x00\x01")
    monkeypatch.setenv("GRAFTWORK_PRECISION", "bf16")  # also with nothing left to compare
    for hits, misses in ((0, 23), (23, 0)):
        run = gw.fit(data, f"local:{tiny_bert}")
        assert run.record["cache"] == {"hits": hits, "misses": misses}
        assert any("3.txt" in words for words in run.record["warnings"])


# Many processes.

SCRIPT = """
import os, sys, time
from pathlib import Path
import graftwork as gw
from graftwork.features import extraction
{patch}
Path(f"ready-{{os.getpid()}}").touch()
while not Path("go").exists():
    time.sleep(0.01)
run = gw.fit(sys.argv[1], sys.argv[2])
print(run.record["cache"]["misses"], run.metrics["accuracy"], flush=True)
"""
SLOW = """
from graftwork_text.tokens import TextEncoder
TextEncoder.batch_size = 200
original = TextEncoder.prepare
def slow(self, values):
    time.sleep(0.05)
    return original(self, values)
TextEncoder.prepare = slow
"""


def start(folder: Path, table: Path, backbone: str, patch: str = SLOW) -> subprocess.Popen[str]:
    code = SCRIPT.format(patch=patch)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(table), backbone]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def many(path: Path, count: int) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([f"where is my {('card', 'order')[n % 2]} number {n}", "ab"[n % 2]] for n in range(count))
    return path


def test_processes_share_the_work_and_a_killed_one_loses_only_what_it_was_at(tmp_path, tiny, own_store) -> None:
    table = many(tmp_path / "many.csv", 600)
    running = [start(tmp_path, table, tiny) for _ in range(3)]
    deadline = time.monotonic() + 100
    while len(list(tmp_path.glob("ready-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    (tmp_path / "go").touch()
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if own_store.exists() and (own_store / "index.sqlite").exists():
            with Store() as kept:
                if kept.size()["rows"] > 60:
                    break
    running[0].send_signal(signal.SIGKILL)
    results = [process.communicate(timeout=100)[0].split() for process in running[1:]]
    running[0].communicate()
    with Store() as kept:
        assert kept.verify() == {"rows": 600, "bad": 0}
        assert kept._index.execute("SELECT COUNT(*) FROM claims").fetchone() == (0,)
    computed = [int(misses) for misses, _ in results]
    # A batch of some six examples was in flight, and a few more were read ahead of it.
    assert 300 < sum(computed) <= 600
    assert all(computed)
    assert len({accuracy for _, accuracy in results}) == 1


# From the command line.


def test_the_command_shows_checks_and_empties_the_store(shell, messages, tiny, own_store) -> None:
    fitted = json.loads(shell("fit", str(messages), "--backbone", tiny, "--out", "run", "--json").stdout)
    assert fitted["cache"] == {"hits": 12, "misses": 28}
    again = json.loads(
        shell("fit", str(messages), "--backbone", tiny, "--no-cache", "--tap", "last", "--out", "two", "--json").stdout
    )
    assert again["cache"] == {"hits": 0, "misses": 40}
    assert "block1" in shell("fit", str(messages), "--backbone", tiny, "--tap", "all", "--out", "three").stdout
    judged = json.loads(shell("evaluate", "run", str(messages), "--json").stdout)
    assert judged["cache"] == {"hits": 40, "misses": 0}
    (space,) = json.loads(shell("cache", "list", "--json").stdout)
    assert (space["backbone"], space["rows"], space["precision"]) == (tiny, 28, fitted["precision"]["used"])
    size = json.loads(shell("cache", "size", "--json").stdout)
    assert size["rows"] == 28
    assert size["bytes"] == sum(file.stat().st_size for file in (own_store / "shards").iterdir())
    assert "28" in shell("cache", "list").stdout
    assert str(own_store) in shell("cache", "size").stdout
    (shard,) = (own_store / "shards").iterdir()
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(bytes(content))
    assert "1 were damaged and will be computed again." in shell("cache", "verify").stdout
    assert json.loads(shell("cache", "verify", "--json").stdout) == {"rows": 27, "bad": 0}
    cleared = json.loads(shell("cache", "clear", "--json").stdout)
    assert cleared["rows"] == 27
    assert not list((own_store / "shards").iterdir())
    assert "The feature store is empty." in shell("cache", "list").stdout
    assert "graftwork fit DATA" in shell("cache", "clear").stdout


def test_listing_the_store_loads_no_torch(shell, own_store) -> None:
    code = "import sys; from graftwork.cli.app import main\ntry: main(['cache', 'size'])\nexcept SystemExit: assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
