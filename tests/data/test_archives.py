"""Archives: read as the folder that they hold, and never a way out of it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import graftwork as gw
from graftwork import DataError
from graftwork.data.remote import archives, kept
from graftwork.specs.limits import limits

UNPACK = "If you trust it, unpack it yourself and name the folder."


def as_zip(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def as_tar(folder: Path, ending: str = ".tar") -> Path:
    path = folder.with_name(folder.name + ending)
    with tarfile.open(path, f"w:{ending.removeprefix('.tar').strip('.')}") as archive:
        archive.add(folder, folder.name)
    return path


def as_tar_gz(folder: Path) -> Path:
    return as_tar(folder, ".tar.gz")


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isfile() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 1) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return found


def nothing_is_unpacked() -> bool:
    return not list(kept.sources_folder().glob("unpacked/*"))


@pytest.mark.parametrize("write", [as_zip, as_tar, as_tar_gz])
def test_the_fit_of_an_archive_is_that_of_its_folder(photos, same_fit, write: Callable[[Path], Path]) -> None:
    path = write(photos)
    data = gw.data(path)
    assert (data.name, data.observed.place) == ("photos", f"folder '{path}'")
    same_fit(photos, path)


def test_a_table_alone_in_an_archive_is_that_table(messages, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        archive.write(messages, "deep/messages.csv")
        archive.writestr("__MACOSX/deep/._messages.csv", "x")
    data = gw.data(tmp_path / "download.zip")
    assert (data.name, len(data)) == ("messages", 40)


def test_an_archive_at_an_address_is_fetched_and_what_lies_in_it_named(web, photos, tmp_path, same_fit) -> None:
    as_zip(photos).rename(tmp_path / "web" / "photos.zip")
    address = f"{web.address}/photos.zip"
    assert gw.data(address).observed.place == f"folder '{address}'"
    same_fit(photos, f"zip://photos::{address}")
    same_fit(photos, address, stream=True)
    assert sum(method == "GET" for method, *_ in web.asked) == 1
    with pytest.raises(DataError) as error:
        gw.data(f"zip://none::{address}")
    assert str(error.value) == f"'{address}' holds no 'none'. Leave out what stands before ::"
    with pytest.raises(DataError, match=r"photos\.zip' holds no '\.\./\.\.'"):
        gw.data(f"zip://../..::{address}")


def test_an_archive_is_unpacked_once_and_anew_when_it_changed(photos, monkeypatch) -> None:
    path = as_zip(photos)
    unpacked: list[Path] = []
    unpack = archives._unpack
    monkeypatch.setattr(archives, "_unpack", lambda path, *rest: unpacked.append(path) or unpack(path, *rest))
    assert len(gw.data(path)) == len(gw.data(path)) == 12
    assert len(unpacked) == 1
    (photos / "dark" / "0.bmp").unlink()
    as_zip(photos)
    assert len(gw.data(path)) == 11


@pytest.mark.parametrize("name", ["../evil.csv", "/tmp/evil.csv", "a/../../evil.csv", "..\\evil.csv", "c:\\evil.csv"])
def test_a_zip_file_that_leads_outside_is_refused(tmp_path, name) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("good/1.csv", "x")
        archive.writestr(name, "evil")
    with pytest.raises(DataError) as error:
        gw.data(tmp_path / "x.zip")
    written = name.replace("\\", "/")
    assert str(error.value) == (
        f"'{tmp_path / 'x.zip'}' holds '{written}', which leads outside of its folder, so it is not unpacked. {UNPACK}"
    )
    assert nothing_is_unpacked()


@pytest.mark.parametrize("name", ["../evil.csv", "/tmp/evil.csv", "a/../../evil.csv"])
def test_a_tar_file_that_leads_outside_is_refused(tmp_path, name) -> None:
    path = tar_of(tmp_path / "x.tar", member("good/1.csv"), member(name))
    with pytest.raises(
        DataError, match=r"x\.tar' holds '.*', which leads outside of its folder, so it is not unpacked"
    ):
        gw.data(path)
    assert nothing_is_unpacked()


def test_links_and_devices_are_left_out_with_a_note(tmp_path, photos) -> None:
    path = tmp_path / "photos.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(photos, "photos")
        archive.addfile(member("photos/dark/link.bmp", tarfile.SYMTYPE, "/etc/passwd"))
        archive.addfile(member("photos/dark/away", tarfile.SYMTYPE, ".."))
        archive.addfile(member("photos/dark/device.bmp", tarfile.CHRTYPE))
        archive.addfile(member("photos/dark/pipe.bmp", tarfile.FIFOTYPE))
        archive.addfile(member("photos/dark/again.bmp", tarfile.LNKTYPE, "photos/dark/0.bmp"))
    data = gw.data(path)
    assert len(data) == 13  # a hard link is a file of the archive
    assert data.notes[0] == (
        f"Left out of '{path}': links and devices (photos/dark/link.bmp, photos/dark/away, photos/dark/device.bmp and 1 "
        "more), 4 in all."
    )


def test_a_hard_link_to_a_file_of_this_machine_is_refused(tmp_path) -> None:
    (tmp_path / "secret.csv").write_text("text,label\n")
    path = tar_of(tmp_path / "x.tar", member("a.csv", tarfile.LNKTYPE, str(tmp_path / "secret.csv")))
    with pytest.raises(DataError, match=r"x\.tar' cannot be unpacked: .*\. Fetch or pack it again\."):
        gw.data(path)
    assert nothing_is_unpacked()


def test_a_link_in_a_zip_file_is_left_out(tmp_path, photos) -> None:
    path = as_zip(photos)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("photos/dark/link.bmp")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    data = gw.data(path)
    assert len(data) == 12
    assert "links and devices (photos/dark/link.bmp), 1 in all" in data.notes[0]


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, ending) -> None:
    monkeypatch.setenv("GRAFTWORK_LIMITS", "packed_bytes=1000000")
    (tmp_path / "bomb" / "a").mkdir(parents=True)
    (tmp_path / "bomb" / "a" / "1.csv").write_bytes(b"0" * 20_000_000)
    path = as_zip(tmp_path / "bomb") if ending == ".zip" else as_tar_gz(tmp_path / "bomb")
    assert path.stat().st_size * limits().packed_ratio < 20_000_000
    with pytest.raises(DataError) as error:
        gw.data(path)
    most = max(10**6, 100 * path.stat().st_size)
    assert str(error.value) == (
        f"'{path}' grows to more than {most:,} bytes, so it is not unpacked. {UNPACK[:-1]}, or raise the limit: "
        f"GRAFTWORK_LIMITS=packed_bytes={2 * most}"
    )
    assert nothing_is_unpacked()


def test_a_size_that_the_archive_states_is_not_believed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_LIMITS", "packed_bytes=1000000")
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.csv", b"0" * 20_000_000)
    content = path.read_bytes().replace((20_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(DataError):
        gw.data(path)
    assert nothing_is_unpacked()


def test_very_many_members_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_LIMITS", "archive_files=3")
    path = tar_of(tmp_path / "x.tar", *(member(f"a/{number}.csv") for number in range(4)))
    with pytest.raises(DataError, match=r"x\.tar' holds more than 3 files, so it is not unpacked\."):
        gw.data(path)


def test_an_encrypted_archive_is_said(tmp_path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.csv", "x")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the header of the file, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        gw.data(path)
    assert str(error.value) == f"'{path}' is encrypted ('a/1.csv'), so it is not unpacked. {UNPACK}"


@pytest.mark.parametrize("write", [as_zip, as_tar_gz])
def test_a_damaged_archive_is_named_and_leaves_nothing(photos, write) -> None:
    path = write(photos)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError) as error:
        gw.data(path)
    assert error.value.message.startswith(f"'{path}' cannot be unpacked: ")
    assert error.value.hint == "Fetch or pack it again."
    assert nothing_is_unpacked()


def test_an_interrupt_leaves_nothing_half_unpacked(photos, monkeypatch) -> None:
    path = as_zip(photos)
    names: list[str] = []

    def inside(name: str, said: str) -> Path:
        names.append(name)
        if len(names) == 5:
            raise KeyboardInterrupt
        return Path(name)

    with monkeypatch.context() as patched:
        patched.setattr(archives, "_inside", inside)
        with pytest.raises(KeyboardInterrupt):
            gw.data(path)
    assert nothing_is_unpacked()
    assert len(gw.data(path)) == 12


def test_names_that_macos_wrote_without_saying_so_are_read_as_they_were(tmp_path, photos) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for label in ("dark", "light"):
            for file in (photos / label).iterdir():
                archive.write(file, f"photos/{label.replace('dark', 'cafX')}/{file.name}")
    path.write_bytes(path.read_bytes().replace(b"cafX", "fé".encode() + b"x"))
    assert set(gw.data(path).labels or ()) == {"féx", "light"}


@pytest.mark.parametrize("write", [as_zip, as_tar])
def test_a_file_in_an_archive_that_names_a_folder_is_no_link(photos, tmp_path, write: Callable[[Path], Path]) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.bmp").write_bytes((photos / "dark" / "0.bmp").read_bytes())
    for steps in range(1, 12):
        (photos / "dark" / f"link{steps}").write_text("../" * steps + str(tmp_path / "private").lstrip("/"))
    path = write(photos)
    (tmp_path / "elsewhere").mkdir()
    data = gw.data(path.rename(tmp_path / "elsewhere" / path.name))
    assert len(data) == 12
    assert not [raw for raw in data.raws if "secret" in str(raw.path)]
