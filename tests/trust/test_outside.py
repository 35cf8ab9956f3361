"""Paths that stand in a data file lead to files of its folder and to no others, unless the user allows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graftwork as gw
from graftwork import DataError, Modality
from graftwork.cli import app
from graftwork.data import sources
from graftwork.data.listing import Listing
from graftwork.data.path_guard import PathGuard
from graftwork.data.raws import Raws

HINT = "If you trust who wrote it, allow that: --allow-outside (in Python allow_outside=True)"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder `set` with a text, a link out of it and one that stays inside; beside it a text that is none of it."""
    (tmp_path / "set" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "set" / "own.txt").write_text("own")
    (tmp_path / "set" / "deep" / "own.txt").write_text("own")
    (tmp_path / "out" / "foreign.txt").write_text("foreign")
    (tmp_path / "set" / "link.txt").symlink_to(tmp_path / "out" / "foreign.txt")
    (tmp_path / "set" / "away").symlink_to(tmp_path / "out")
    (tmp_path / "set" / "near").symlink_to("deep")
    return tmp_path / "set"


def as_jsonl(path: Path, files: list[str]) -> Path:
    path = path.with_suffix(".jsonl")
    rows = ({"file": {"bytes": None, "path": file}, "label": "x"} for file in files)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def as_parquet(path: Path, files: list[str]) -> Path:
    path = path.with_suffix(".parquet")
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = pa.array([{"bytes": None, "path": file} for file in files], kind)
    pq.write_table(pa.table({"file": cells, "label": ["x"] * len(files)}), path)
    return path


@pytest.mark.parametrize(
    "said", ["../out/foreign.txt", "{out}/foreign.txt", "link.txt", "away/foreign.txt", "deep/../link.txt"]
)
@pytest.mark.parametrize("write", [as_jsonl, as_parquet])
def test_a_path_that_leads_outside_is_refused_by_its_row_and_read_when_allowed(place, write, said) -> None:
    out = place.parent / "out"
    said = said.format(out=out)
    table = write(place / "table", ["own.txt", said])
    for read in (gw.data, gw.stream, gw.check):
        with pytest.raises(DataError) as caught:
            read(table)
        assert caught.value.message == (
            f"Row 2 of 'table' names '{said}', which leads to '{out / 'foreign.txt'}', outside of '{place}'; paths that "
            "stay inside are accepted."
        )
        assert caught.value.hint == HINT
    allowed = (
        gw.data(table, allow_outside=True),
        gw.stream(table, allow_outside=True).head,
        gw.check(table, allow_outside=True).data,
    )
    assert [data.raws[1].content() for data in allowed] == [b"foreign"] * 3


def test_a_csv_of_file_paths_is_held_to_its_folder_too(tmp_path) -> None:
    from PIL import Image

    (tmp_path / "set").mkdir()
    for file in ("set/a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / file)
    table = tmp_path / "set" / "t.csv"
    table.write_text("file,label\na.png,x\n../b.png,y\n")
    with pytest.raises(DataError, match="Row 2 of 't' names '../b.png', which leads to "):
        gw.data(table)
    assert len(gw.data(table, allow_outside=True)) == 2
    table.write_text("file,label\n~/b.png,y\n~no-such-user/b.png,x\n")
    with pytest.raises(
        DataError, match=f"Row 1 of 't' names '~/b.png', which leads to '{Path.home().resolve()}/b.png'"
    ):
        gw.data(table)


def test_a_table_in_the_working_folder_or_behind_a_link_reads_what_lies_beside_it(place, monkeypatch) -> None:
    table = as_jsonl(place / "table", ["own.txt", "near/own.txt", "deep/../own.txt", str(place / "own.txt")])
    assert len(gw.data(table)) == 4
    monkeypatch.chdir(place)
    assert len(gw.data("table.jsonl")) == 4
    (place.parent / "alias").symlink_to(place)
    assert len(gw.data(place.parent / "alias" / "table.jsonl")) == 4


SEGMENTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "own.txt",
        "link.txt",
        "foreign.txt",
        "deep",
        "away",
        "near",
        "set",
        "out",
        "nowhere",
        "~",
        "..\\..",
        "{tmp}",
        "\0",
    ]
)


@given(st.lists(SEGMENTS, max_size=9))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_whatever_its_segments_reads_what_lies_outside(place, monkeypatch, segments: list[str]) -> None:
    monkeypatch.setenv("HOME", str(place.parent / "out"))
    said = "/".join(segments).format(tmp=place.parent)
    modality = Modality("leaf", "leaves", "x:y", extensions=(".txt",))
    raws = Raws.of(Listing("t", "column 'file'", modality, [said], None, None, place, path_guard=PathGuard("t", place)))
    try:
        content = raws[0].content()
    except (DataError, OSError, ValueError):  # refused, or there is no such file
        return
    assert content == b"own"


def test_what_is_not_refused_stays_readable_after_choosing_a_split(place) -> None:
    raws = gw.data(as_jsonl(place / "table", ["own.txt", "deep/own.txt"])).raws
    (place / "deep" / "own.txt").unlink()
    (place / "deep" / "own.txt").symlink_to(place.parent / "out" / "foreign.txt")
    assert raws.at([0])[0].content() == b"own"
    with pytest.raises(DataError, match="outside"):  # each time that it becomes a file, not only the first
        _ = raws.at([1])[0]


def test_a_saved_set_is_held_to_its_folder_in_its_paths_and_in_its_own_files(place) -> None:
    outside = {"bytes": None, "path": "../../out/foreign.txt"}
    datasets.Dataset.from_dict({"file": [outside], "label": ["x"]}).save_to_disk(place / "paths")
    rows = datasets.Dataset.from_dict({"text": ["a b", "c d"], "label": ["x", "y"]})
    rows.save_to_disk(place.parent / "elsewhere")
    rows.save_to_disk(place / "files")
    file = place / "files" / "state.json"
    state = json.loads(file.read_text())
    (name,) = (item["filename"] for item in state["_data_files"])
    state["_data_files"] = [{"filename": f"../../elsewhere/{name}"}]
    file.write_text(json.dumps(state))
    with pytest.raises(DataError, match="Row 1 of 'paths' names '../../out/foreign.txt', which leads to "):
        gw.data(place / "paths")
    with pytest.raises(DataError, match="state.json of 'files' names .*, which leads to .*elsewhere/.*, outside of "):
        gw.data(place / "files")
    assert [len(gw.data(place / name, allow_outside=True)) for name in ("paths", "files")] == [1, 2]


def test_a_set_of_the_hub_reads_what_was_fetched_and_nothing_of_the_users(place, monkeypatch) -> None:
    cells = [{"bytes": b"in the table", "path": "a.txt"}, {"bytes": None, "path": "own.txt"}]
    monkeypatch.setattr(sources, "offline", lambda: False)
    monkeypatch.setattr(sources, "hub_unreachable", lambda: "")
    monkeypatch.setattr(sources, "_kept", lambda: (place / "deep",))
    monkeypatch.setattr(
        sources, "_loaded", lambda *_, **__: datasets.Dataset.from_dict({"file": cells, "label": ["x", "y"]})
    )
    monkeypatch.chdir(place.parent / "out")
    assert [raw.content() for raw in gw.data("hub:a/b").raws] == [b"in the table", b"own"]
    cells[1]["path"] = str(place / "own.txt")
    with pytest.raises(DataError, match="Row 2 of 'hub:a/b' names "):
        gw.data("hub:a/b")
    assert len(gw.data("hub:a/b", allow_outside=True)) == 2


def test_what_the_user_names_is_read_wherever_it_is(place) -> None:
    for label in ("x", "y"):
        (place / "folders" / label).mkdir(parents=True)
        (place / "folders" / label / "1.txt").symlink_to(place.parent / "out" / "foreign.txt")
    assert [raw.content() for raw in gw.data(place / "folders").raws] == [b"foreign"] * 2
    cells = [{"bytes": None, "path": str(place.parent / "out" / "foreign.txt")}]
    given = datasets.Dataset.from_dict({"file": cells, "label": ["x"]})
    assert gw.data(given).raws[0].content() == b"foreign"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """The command line in this process: its exit status, and what it prints with --json."""

    def run(*arguments: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as ended:
            app.main([*arguments, "--json"])
        return int(str(ended.value.code)), json.loads(capsys.readouterr().out)

    return run


def test_every_command_that_reads_a_table_refuses_and_takes_the_option(place, tiny_bert, command) -> None:
    rows = []
    for number in range(12):
        words, label = ("where is my parcel", "delivery") if number % 2 else ("i lost my card", "card")
        (place.parent / "out" / f"{number}.txt").write_text(f"{words} {number}")
        rows.append({"file": {"bytes": None, "path": f"../out/{number}.txt"}, "label": label})
    table, run = place / "table.jsonl", str(place / "run")
    table.write_text("\n".join(map(json.dumps, rows)))
    for arguments in (
        ("check", str(table)),
        ("fit", str(table), "--backbone", f"local:{tiny_bert}", "--out", run),
        ("evaluate", run, str(table)),
        ("evaluate", run, str(table), "--streaming"),
    ):
        code, said = command(*arguments)
        assert (code, said["error"]["type"], said["error"]["hint"]) == (2, "DataError", HINT)
        assert said["error"]["message"].startswith("Row 1 of 'table' names '../out/0.txt', which leads to ")
        assert command(*arguments, "--allow-outside")[0] == 0
    code, answers = command("predict", run, str(place.parent / "out" / "0.txt"))
    assert (code, answers[0]["label"] in ("delivery", "card")) == (0, True)
