"""Files without an ending, paths from Windows, stand-ins for tables, and hints that are true of this machine."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import pytest

import graftwork as gw
from graftwork import DataError


def copied(photos: Path, folder: Path, name: str) -> Path:
    """The pictures of `photos` under names made of their number by the pattern `name`."""
    for number, path in enumerate(sorted(photos.rglob("*.bmp"))):
        target = folder / path.parent.name / name.format(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("name", ["{}", "IMG.{}", "0{}.7c53336b37003a9286aba55d2945844c"])
def test_files_without_an_ending_are_looked_into(photos: Path, tmp_path: Path, name: str) -> None:
    found = gw.data(copied(photos, tmp_path / "bare", name))
    assert (found.modality.name, len(found), found.bad) == ("image", 12, [])


def test_texts_without_an_ending_are_texts(tmp_path: Path) -> None:
    for label, number in (("a", 101), ("a", 102), ("b", 103)):
        (tmp_path / "posts" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "posts" / label / str(number)).write_text(f"From: someone\n\nMAC or PC, number {number}?")
    found = gw.data(tmp_path / "posts")
    assert (found.modality.name, len(found)) == ("text", 3)


def test_few_files_without_an_ending_do_not_outweigh_the_others(photos: Path) -> None:
    (photos / "dark" / "LICENSE").write_text("words")
    assert gw.data(photos).modality.name == "image"


def test_only_a_sample_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graftwork.data import modality_choice

    seen = []
    read = modality_choice.head_of
    monkeypatch.setattr(modality_choice, "head_of", lambda raw: seen.append(raw) or read(raw))
    files = [tmp_path / str(number) for number in range(1_000)]
    for file in files:
        file.write_text("words")
    assert modality_choice.modality_of_files(files, "here").name == "text"
    assert len(seen) <= modality_choice.LOOKED_INTO


def test_a_wrong_ending_is_said_with_the_right_one(photos: Path, tmp_path: Path) -> None:
    folder = copied(photos, tmp_path / "odd", "{}.dat")
    with pytest.raises(DataError) as refused:
        gw.data(folder)
    assert "(endings: .dat; '0.dat' is a BMP image); installed plugins read: " in refused.value.message
    first = folder / "dark" / "0.dat"
    assert refused.value.hint == f"Name them by what they are, for example: mv '{first}' '{first.with_suffix('.bmp')}'"


def no_plugin_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> DataError:
    from graftwork.data import modality_choice

    monkeypatch.setattr(modality_choice, "modalities", list)
    with pytest.raises(DataError) as refused:
        modality_choice.modality_of_files(sorted(folder.rglob("*.*")), "here")
    return refused.value


def test_a_plugin_is_to_be_installed_only_where_it_is_not(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graftwork.data import modality_choice

    error = no_plugin_reads(photos, monkeypatch)
    assert error.hint == "See which plugins are disabled or broken: graftwork plugins"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(modality_choice, "version", missing)
    error = no_plugin_reads(photos, monkeypatch)
    assert error.hint == "Install the plugin that reads them: pip install graftwork-image"


def test_what_no_plugin_of_ours_reads_is_not_promised(tmp_path: Path) -> None:
    (tmp_path / "d" / "a").mkdir(parents=True)
    (tmp_path / "d" / "a" / "x.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(DataError) as refused:
        gw.data(tmp_path / "d")
    assert refused.value.hint.startswith("Save them in a format that an installed plugin reads, or install one")


def table(photos: Path, sign: str) -> Path:
    rows = [f"{path.parent.name}{sign}{path.name},{path.parent.name}" for path in sorted(photos.rglob("*.bmp"))]
    (photos / "t.csv").write_text("\n".join(["file,label", *rows]))
    return photos / "t.csv"


def test_paths_written_on_windows_are_read_and_that_is_said_once(photos: Path) -> None:
    here, there = gw.data(table(photos, "/")), gw.data(table(photos, "\\"))
    assert [raw.path for raw in there.raws] == [raw.path for raw in here.raws]
    assert here.notes == ()
    assert there.notes == (
        "Paths with backslashes, as Windows writes them, are read with slashes where only that file exists.",
    )
    streamed = gw.stream(photos / "t.csv").head
    assert streamed.notes == there.notes


@pytest.mark.skipif(os.sep != "/", reason="a backslash is a letter of a name only elsewhere")
def test_a_name_that_holds_a_backslash_is_that_file(photos: Path) -> None:
    (photos / "dark\\0.bmp").write_bytes((photos / "light" / "0.bmp").read_bytes())
    found = gw.data(table(photos, "\\"))
    assert found.raws[0].path == photos / "dark\\0.bmp"


def test_a_path_from_windows_that_leads_nowhere_is_named_as_written(photos: Path) -> None:
    path = table(photos, "\\")
    path.write_text(path.read_text() + "\ndark\\gone.bmp,dark\nC:\\photos\\9.bmp,dark")
    said = [bad.reason for bad in gw.data(path).bad]
    assert said == ["'dark\\gone.bmp' does not exist.", "'C:\\photos\\9.bmp' does not exist."]


def test_a_path_from_windows_leads_no_further_than_another(photos: Path) -> None:
    (photos.parent / "secret.bmp").write_bytes((photos / "dark" / "0.bmp").read_bytes())
    path = table(photos, "\\")
    path.write_text(path.read_text() + "\n..\\secret.bmp,dark")
    with pytest.raises(DataError, match="which leads to .*secret.bmp', outside of"):
        gw.data(path)


@pytest.mark.parametrize("name", ["{}", "{}.txt"])
def test_names_of_files_are_never_learned_as_texts(photos: Path, tmp_path: Path, name: str) -> None:
    folder = copied(photos, tmp_path / "bare", name)
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.rglob("*")) if path.is_file()]
    (folder / "t.csv").write_text("\n".join(["file,label", *rows]))
    sentence = f"The column 'file' names files \\('dark/{name.format(0)}'\\), whose names would be read as texts"
    for read in (gw.data, lambda path: gw.stream(path).head):
        with pytest.raises(DataError, match=sentence):
            read(folder / "t.csv")


def test_words_that_happen_to_name_a_file_are_texts(tmp_path: Path) -> None:
    (tmp_path / "spam").touch()
    (tmp_path / "t.csv").write_text("text,label\nspam,a\neggs,b\n")
    assert len(gw.data(tmp_path / "t.csv")) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer, not the file itself; a table is accepted."),
        ("<!doctype html><title>Sign in</title>", "is an HTML page ('Sign in'); a table is accepted."),
        ("\0" * 40, "is nothing but zero bytes, as a copy or download that broke off leaves them; a table is accepted."),
    ],
)  # fmt: skip
def test_what_lies_in_place_of_a_table_is_said(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError) as refused:
        gw.data(tmp_path / "t.csv")
    assert refused.value.message == f"'{tmp_path / 't.csv'}' {said}"


def test_check_fit_and_predict_say_the_same_sentence(photos: Path) -> None:
    clip = photos / "dark" / "clip.jpg"
    clip.write_bytes(b"\0\0\0\x1cftypisom\0\0\2\0isomiso2mp41")
    sentence = f"'{clip}' is an MP4 video; an image is accepted."
    checked = gw.check(photos)
    assert any(sentence in str(problem) for problem in checked.problems)
    with pytest.raises(DataError) as refused:
        gw.fit(gw.data(photos), backbone="image/efficientnet-lite0", on_bad="error")
    assert sentence in refused.value.message
    clip.rename(photos.parent / "clip.jpg")
    run = gw.fit(gw.data(photos), backbone="image/efficientnet-lite0")
    (answer,) = run.predict([str(photos.parent / "clip.jpg")])
    assert "clip.jpg' is an MP4 video; an image is accepted." in answer["error"]
