"""Folders and files with companions as examples, and tables of paths: what is an example, what is not, and what is refused."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import graftwork as gw
import graftwork_text.plugin
from graftwork.specs.example_files import files_of_folder

MODULE = "graftwork_scans_for_tests"


class Scans(gw.Reader):
    """The bytes of all files; a file that says "bad" cannot be read."""

    items = "scans"

    def decode(self, raw: gw.Raw) -> bytes:
        if isinstance(raw.value, str):
            return raw.value.encode()
        found = b"+".join(one.content() for one in raw.files())
        if b"bad" in found:
            raise gw.Unreadable(f"'{raw.name}' is bad.")
        return found

    def facts(self, raw: gw.Raw) -> dict[str, gw.Value]:
        return {"bytes": len(self.decode(raw))}


def scans(name: str, **fields: Any) -> gw.Modality:
    return gw.Modality(name, f"{name}s", f"{MODULE}:Scans", (gw.Fact("bytes", "the files"),), **fields)


@pytest.fixture
def installed(plugins) -> Iterator[Any]:
    """Call with modalities to have them, beside that of texts."""

    def install(*modalities: gw.Modality, texts: bool = True) -> None:
        module: Any = types.ModuleType(MODULE)
        module.api_version, module.Scans = gw.API_VERSION, Scans
        module.graftwork_modalities = gw.hookimpl(lambda: iter(modalities), specname="graftwork_modalities")
        sys.modules[MODULE] = module
        found = plugins(module, *([graftwork_text.plugin] if texts else []))
        assert not [report.errors for report in found.reports if report.errors]

    yield install
    sys.modules.pop(MODULE, None)


def write(root: Path, *names: str, content: str = "") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content or name)
    return root


def names(data: gw.Data, root: Path) -> list[str]:
    return [str(Path(raw.name).relative_to(root)) for raw in data.raws]


SERIES = scans("series", examples=("folder",), members=(".dcm", ""), extensions=(".zarr",))
PAIRED = scans("pair", extensions=(".png",), companions=("_mask.png", ".dat"))


def test_folders_are_examples_by_what_they_hold_or_by_their_names(installed, tmp_path) -> None:
    installed(SERIES)
    write(
        tmp_path, "ill/1/IM1", "ill/1/IM2", "ill/2/a.dcm", "ill/2/more/b.dcm", "well/3.zarr/c/0.0", "well/3.zarr/x/IM1"
    )
    write(tmp_path, "well/4/a.dcm", "well/4/notes.txt", "well/read.me", "well/5/.DS_Store")
    data = gw.data(tmp_path)
    # What holds an example is none: ill/2 is the folder of ill/2/more.
    assert names(data, tmp_path) == ["ill/1", "ill/2/more", "well/3.zarr", "well/4"]
    assert data.labels == ["ill", "ill", "well", "well"]
    assert [bad.reason for bad in data.bad] == []
    assert any("Left out: files that are no seriess by their endings (.dcm 1, .me 1)" in note for note in data.notes)
    assert [bytes(Scans().decode(raw)) for raw in data.raws][3] == b"well/4/a.dcm+well/4/notes.txt"


def test_files_of_one_stem_are_one_example(installed, tmp_path) -> None:
    installed(PAIRED)
    write(tmp_path, "a/1.png", "a/1_mask.png", "a/1.dat", "a/2.png", "b/3.png", "b/3.dat", "b/4_mask.png")
    data = gw.data(tmp_path)
    assert names(data, tmp_path) == ["a/1.png", "a/2.png", "b/3.png"]
    assert [one.name for one in data.raws[0].files()] == [
        f"{tmp_path}/a/{name}" for name in ("1.png", "1_mask.png", "1.dat")
    ]
    assert data.notes == ("Left out: files that belong to an example that is not there (b/4_mask.png).",)
    reader = Scans()
    before = [(reader.identity_digest(raw), reader.digest(raw)) for raw in data.raws]
    write(tmp_path, "a/1_mask.png", content="another")
    after = [(reader.identity_digest(raw), reader.digest(raw)) for raw in data.raws]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True]
    assert gw.data(pairs(tmp_path)).raws[0].companions == (tmp_path / "a/1_mask.png", tmp_path / "a/1.dat")


def pairs(root: Path) -> Path:
    (root / "pairs.csv").write_text("file,label\na/1.png,x\nb/3.png,y\n")
    return root / "pairs.csv"


def test_a_companion_of_a_row_may_not_lead_outside(installed, tmp_path) -> None:
    installed(PAIRED)
    write(tmp_path, "set/a/1.png", "set/b/3.png", "secret")
    (tmp_path / "set/a/1_mask.png").symlink_to(tmp_path / "secret")
    with pytest.raises(gw.DataError, match=r"1_mask\.png', which leads to .*secret"):
        gw.data(pairs(tmp_path / "set"))


def test_a_moved_folder_is_the_same_example_and_the_order_of_its_names_counts(installed, tmp_path) -> None:
    reader = Scans()

    def digest(folder: str) -> bytes:
        return reader.identity_digest(gw.Raw(folder, tmp_path / folder))

    write(tmp_path, "one/1.dcm", "two/1.dcm", content="x")
    write(tmp_path, "one/2.dcm", "two/2.dcm", content="y")
    assert digest("one") == digest("two")
    assert reader.digest(gw.Raw("one", tmp_path / "one")) == digest("one")
    write(tmp_path, "one/.DS_Store", "one/._1.dcm")
    assert digest("one") == digest("two")
    write(tmp_path, "two/1.dcm", content="y")
    write(tmp_path, "two/2.dcm", content="x")
    assert digest("one") != digest("two")
    write(tmp_path, "one/.zarray")
    assert [one.name for one in gw.Raw("one", tmp_path / "one").files()] == ["one/1.dcm", "one/2.dcm", "one/.zarray"]


def test_bytes_of_one_file_do_not_pass_for_those_of_the_next(installed, tmp_path) -> None:
    write(tmp_path / "one", "1", content="ab")
    write(tmp_path / "one", "2", content="c")
    write(tmp_path / "two", "1", content="a")
    write(tmp_path / "two", "2", content="bc")
    one, two = (gw.Raw(name, tmp_path / name) for name in ("one", "two"))
    assert Scans().identity_digest(one) != Scans().identity_digest(two)
    with pytest.raises(IsADirectoryError):  # a reader that knows no folders reads none
        one.content()


def test_files_come_in_the_order_of_their_numbers(tmp_path) -> None:
    write(tmp_path, "f10", "f9", "f009", "a/b2", "a/b10", "f", "10.x", "9.x")
    found = [str(path.relative_to(tmp_path)) for path in files_of_folder(tmp_path, "it")]
    assert found == ["9.x", "10.x", "a/b2", "a/b10", "f", "f009", "f9", "f10"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_what_is_no_plain_file_in_a_folder_costs_that_example(installed, tmp_path, monkeypatch) -> None:
    installed(SERIES)
    write(tmp_path, *(f"{label}/{number}/{file}.dcm" for label in "ab" for number in range(12) for file in (1, 2)))
    os.mkfifo(tmp_path / "a/0/3.dcm")
    (tmp_path / "a/1/3.dcm").symlink_to(tmp_path / "gone")
    write(tmp_path, "a/2/3.dcm", "a/2/4.dcm")
    monkeypatch.setenv("GRAFTWORK_LIMITS", "folder_files=3")
    (tmp_path / "a/3/again").symlink_to(tmp_path / "a/3")  # read once
    reasons = [bad.reason for bad in gw.data(tmp_path).bad]
    assert reasons == [
        f"'{tmp_path}/a/0' holds '3.dcm', a pipe, which is never opened as data. Leave it out.",
        f"'{tmp_path}/a/1' cannot be read: '{tmp_path}/a/1/3.dcm': No such file or directory. Mend it.",
        f"'{tmp_path}/a/2' holds more than 3 files; at most that many are one example. Leave it out, or, if you trust it, "
        "raise the limit: GRAFTWORK_LIMITS=folder_files=6",
    ]
    monkeypatch.setenv("GRAFTWORK_LIMITS", "file_bytes=10")
    assert len(gw.data(tmp_path).bad) == 2  # of each file, not of them all
    write(tmp_path, "b/0/2.dcm", content="more than that")
    with pytest.raises(gw.Unreadable, match=r"b/0/2.dcm' holds 14 bytes; at most 10 are read"):
        Scans().decode(gw.Raw("b/0", tmp_path / "b/0"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"examples": ("archive",)}, r"examples of 'it' are \('archive',\); 'file', 'folder' or both are accepted"),
        ({"members": (".png",)}, "'it' has members, and its examples are no folders; add 'folder' to examples"),
        (
            {"examples": ("file", "folder"), "members": (".dcm",), "extensions": (".dcm",)},
            "'.dcm' ends examples of 'it' and members of its folders; name it in one of them",
        ),
    ],
)  # fmt: skip
def test_a_modality_whose_examples_cannot_be_told_apart_is_refused(fields, words) -> None:
    with pytest.raises(ValueError, match=words):
        scans("it", **fields)


def table(root: Path, *cells: str) -> Path:
    (root / "table.csv").write_text("\n".join(["what,label", *(f"{cell},{n % 2}" for n, cell in enumerate(cells))]))
    return root / "table.csv"


def test_a_table_of_folders_is_that_of_who_reads_them(installed, tmp_path) -> None:
    installed(SERIES)
    write(tmp_path, "some scans/one/IM1", "some scans/two/IM1", "three/IM1", "four/IM1")
    given = table(tmp_path, "some scans/one", "some scans/two", "three", "four")
    assert gw.data(given, input="what").modality.name == "series"
    streamed = list(gw.stream(given, input="what").chunks())
    assert [len(chunk) for chunk in streamed] == [4]
    (tmp_path / "set").mkdir()
    write(tmp_path / "set", "one/IM1", "two/IM1")
    (tmp_path / "set" / "metadata.csv").write_text("file_name,label\none,a\ntwo,b\n")
    data = gw.data(tmp_path / "set", layout="metadata")
    assert (data.labels, data.notes) == (["a", "b"], ())


def test_folders_that_two_modalities_read_need_a_word(installed, tmp_path) -> None:
    installed(SERIES, scans("stack", examples=("folder",), members=(".dcm",)))
    write(tmp_path, "a/1/x.dcm", "b/2/x.dcm")
    with pytest.raises(gw.UsageError, match=r"read what column 'what' names: series .* and stack .*--modality series"):
        gw.data(table(tmp_path, "a/1", "b/2"))
    with pytest.raises(gw.UsageError, match=r"Two modalities read the files of folder .* series .* and stack"):
        gw.data(tmp_path / ".", layout="class-folders")
    assert gw.data(table(tmp_path, "a/1", "b/2"), modality="stack").modality.name == "stack"


def test_folders_that_nothing_reads_are_not_texts(installed, tmp_path) -> None:
    installed(PAIRED)
    write(tmp_path, "clips/1/x.mov", "clips/2/x.mov")
    with pytest.raises(
        gw.DataError, match=r"column 'what' names folders \('clips/1'\), and no installed plugin reads these"
    ):
        gw.data(table(tmp_path, "clips/1", "clips/2", "clips/3"))
    (tmp_path / "one").mkdir()
    with pytest.raises(gw.DataError, match=r"names folders \('one'\)"):
        gw.data(table(tmp_path, "one", "two", "three", "four"))
    with pytest.raises(gw.DataError, match="names files .* would be read as texts"):
        gw.data(table(tmp_path, "clips/1", "clips/2"), modality="text")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["clips/1", "clips/2", "clips/3"], "'clips/1'; nothing is there"),
        (["a.dcm", "b.dcm", "c.dcm"], "'a.dcm'; nothing is there"),
        (["C:\\clips\\1", "C:\\clips\\2"], ".*nothing is there"),
    ],
)
def test_missing_paths_are_not_texts(installed, tmp_path, cells, said) -> None:
    installed(PAIRED)
    with pytest.raises(
        gw.DataError, match=rf"holds what look like paths \({said}.* if they are texts: --modality text"
    ):
        gw.data(table(tmp_path, *cells))
    data = gw.data(table(tmp_path, *cells), modality="text")
    assert data.modality.name == "text"
    assert any("holds what look like paths" in note and "read as texts" in note for note in data.notes)


@pytest.mark.parametrize(
    "cells",
    [
        ["good and/or bad", "fine", "so so"],
        ["1/2", "3/4", "01/02/2024"],
        ["https://a.example/x/y", "https://b.example/z"],
        ["yes", "n/a", "no", "maybe"],
        ["stopped.", "done.", "U.S.A"],
    ],
)
def test_texts_stay_texts(installed, tmp_path, cells) -> None:
    installed(PAIRED, SERIES)
    data = gw.data(table(tmp_path, *cells))
    assert (data.modality.name, data.notes) == ("text", ())


def test_missing_paths_of_a_named_modality_are_named_one_by_one(installed, tmp_path) -> None:
    installed(SERIES)
    with pytest.raises(gw.DataError, match=r"None of the 2 examples .* 'scans/1' does not exist\."):
        gw.data(table(tmp_path, "scans/1", "scans/2"), modality="series")


def test_two_modalities_of_texts_need_a_word(installed, tmp_path) -> None:
    installed(scans("code", inline=True))
    with pytest.raises(gw.UsageError, match=r"read the text in column 'what': code \(codes\) and text"):
        gw.data(table(tmp_path, "one thing", "another"))
    assert gw.data(table(tmp_path, "one thing", "another"), modality="code").modality.name == "code"
