"""Sources by address: fetched through connections that break, kept by version, and read as a local copy is."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import graftwork as gw
from graftwork import DataError, UnknownName, UsageError
from graftwork.cli import app
from graftwork.data.remote import copies, fetching, kept
from graftwork.data.remote.addresses import Address
from graftwork.plugins.hooks import hookimpl

AGAIN = "Run the same command again: it goes on where this one stopped."


def fetched(address: str) -> Path:
    return copies.fetched(address)


def requests(web, method: str = "GET") -> list[tuple[str, str | None]]:
    return [(path, wanted) for said, path, wanted in web.asked if said == method]


# S3, with one connection in five dropped.


def test_the_fit_from_s3_is_that_of_the_local_copy_bit_for_bit(bucket, photos, same_fit) -> None:
    address = bucket.upload(photos)
    same_fit(photos, address)
    assert bucket.proxy.connections >= 12  # a file each, at the least
    assert bucket.proxy.dropped >= bucket.proxy.connections // 5 - 1


def test_a_folder_at_an_address_is_named_and_shown_by_it(bucket, photos) -> None:
    data = gw.data(bucket.upload(photos))
    assert data.name == "photos"
    assert data.observed.place == f"folder 's3://{bucket.name}/photos/'"
    assert [raw.name for raw in data.raws][:2] == ["dark/0.bmp", "dark/1.bmp"]


def test_what_is_kept_is_listed_and_not_fetched_again(bucket, photos) -> None:
    address = bucket.upload(photos)
    gw.data(address)
    before, size = bucket.proxy.sent, sum(file.stat().st_size for file in photos.rglob("*.bmp"))
    assert before > size
    gw.data(address)
    assert bucket.proxy.sent - before < size / 5


def test_a_changed_object_is_fetched_anew_and_no_other(bucket, photos) -> None:
    address = bucket.upload(photos)
    first = fetched(address)
    before = (first / "dark" / "0.bmp").read_bytes()
    bucket.put("photos/dark/0.bmp", before[::-1])
    second = fetched(address)
    assert (second / "dark" / "0.bmp").read_bytes() == before[::-1]
    assert (first / "dark" / "0.bmp").read_bytes() == before  # a fit that is reading it goes on with what it listed
    assert (first / "dark" / "1.bmp").samefile(second / "dark" / "1.bmp")


def test_a_table_at_an_address_brings_the_files_that_it_names(bucket, photos, same_fit) -> None:
    rows = [f"{file.relative_to(photos)},{file.parent.name}" for file in sorted(photos.rglob("*.bmp"))]
    (photos / "all.csv").write_text("\n".join(["file,label", *rows]))
    bucket.upload(photos)
    same_fit(photos / "all.csv", f"s3://{bucket.name}/photos/all.csv")


def test_a_file_that_a_table_names_and_nobody_has_is_left_out_by_name(bucket, photos) -> None:
    bucket.upload(photos)
    bucket.put("photos/all.csv", b"file,label\ndark/0.bmp,dark\nlight/0.bmp,light\nlight/none.bmp,light")
    data = gw.data(f"s3://{bucket.name}/photos/all.csv")
    assert len(data) == 2
    assert [bad.name for bad in data.bad] == ["light/none.bmp"]


def test_a_bucket_that_does_not_exist_is_said(bucket) -> None:
    with pytest.raises(DataError) as error:
        gw.data("s3://no-such-bucket/photos/")
    assert str(error.value) == "'s3://no-such-bucket/photos/' does not exist. Check the address."


def test_a_bucket_without_credentials_is_said_with_how_they_are_given(bucket, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError) as error:
        gw.data(f"s3://{bucket.name}/photos/")
    assert str(error.value) == (
        f"'s3://{bucket.name}/photos/' may not be read (Unable to locate credentials). Give what its server asks for: "
        "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true where everybody may read"
    )


# The web.


def test_a_file_that_breaks_off_is_gone_on_with_by_range(web, tmp_path) -> None:
    content = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "web" / "big.csv").write_bytes(content)
    web.cuts += [1_000_000, 500_000]
    assert fetched(f"{web.address}/big.csv").read_bytes() == content
    ranges = [wanted for _, wanted in requests(web)]
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0 for wanted in ranges]
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert 0 < starts[1] <= 1_000_000 < starts[2] + 1
    fetched(f"{web.address}/big.csv")
    assert len(requests(web)) == 3


def test_a_server_that_knows_no_ranges_is_read_from_the_start_again(web, tmp_path) -> None:
    content = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "web" / "big.csv").write_bytes(content)
    web.ranges = False
    web.cuts += [2_500_000]
    assert fetched(f"{web.address}/big.csv").read_bytes() == content


def test_a_file_that_cannot_be_fetched_is_named_and_the_next_command_goes_on(web, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fetching, "TRIES", 1)
    content = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "web" / "big.csv").write_bytes(content)
    web.cuts += [2_500_000]
    with pytest.raises(DataError) as error:
        gw.data(f"{web.address}/big.csv")
    assert error.value.message.startswith(f"'{web.address}/big.csv' cannot be fetched (")
    assert error.value.hint == AGAIN
    assert not list(kept.sources_folder().glob("trees/*"))
    (part,) = kept.sources_folder().glob("files/*.part")
    have = part.stat().st_size
    assert have > 0
    assert fetched(f"{web.address}/big.csv").read_bytes() == content
    assert requests(web)[-1][1] == f"bytes={have}-"


def test_a_file_that_changed_meanwhile_is_never_a_mixture(web, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fetching, "TRIES", 1)
    file = tmp_path / "web" / "big.csv"
    file.write_bytes(b"a" * 3_000_000)
    web.cuts += [2_500_000]
    address = Address.of(f"{web.address}/big.csv")
    assert address is not None
    with pytest.raises(DataError):
        fetching.fetch(address)
    source = fetching.connected(address)
    (old,) = fetching.listed(address, source)
    file.write_bytes(b"b" * 3_000_000)
    with pytest.raises(DataError, match=r"big\.csv' cannot be fetched: it changed while it was fetched\. Run the same"):
        list(fetching.pieces(address, source, old, 2_000_000))
    assert set(fetching.fetch(address).read_bytes()) == {ord("b")}


def test_offline_uses_what_was_fetched_and_refuses_the_rest(web, tmp_path, messages, monkeypatch) -> None:
    (tmp_path / "web" / "messages.csv").write_bytes(messages.read_bytes())
    address = f"{web.address}/messages.csv"
    online = gw.data(address)
    monkeypatch.setenv("GRAFTWORK_OFFLINE", "1")
    asked = len(web.asked)
    assert list(gw.data(address).raws) == list(online.raws)
    with pytest.raises(DataError) as error:
        gw.data(f"{web.address}/other.csv")
    assert str(error.value) == (
        f"'{web.address}/other.csv' was not fetched to this machine before, and --offline forbids fetching it. "
        "Fetch it once with a network: leave out --offline"
    )
    assert len(web.asked) == asked


def test_what_does_not_exist_or_may_not_be_read_is_said_at_once(web) -> None:
    with pytest.raises(DataError, match=r"none\.csv' does not exist\. Check the address\."):
        gw.data(f"{web.address}/none.csv")
    web.secret = "another"
    with pytest.raises(
        DataError,
        match=r"none\.csv' may not be read \(401 Unauthorized\)\. Give what its server asks for: http://USER:PASSWORD@HOST/PATH$",
    ):
        gw.data(f"{web.address}/none.csv")
    assert len(web.asked) == 2


def test_what_is_no_table_and_no_archive_is_said_with_its_address(web, tmp_path) -> None:
    (tmp_path / "web" / "photos.rar").write_bytes(b"x")
    with pytest.raises(DataError) as error:
        gw.data(f"{web.address}/photos.rar")
    assert error.value.message.startswith(f"'{web.address}/photos.rar' ends in '.rar'; tables end in .csv")
    assert "archives in .zip, .tar" in error.value.message


def test_a_broken_table_is_named_by_its_address(web, tmp_path) -> None:
    (tmp_path / "web" / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError) as error:
        gw.data(f"{web.address}/broken.parquet")
    assert error.value.message.startswith(f"'{web.address}/broken.parquet' cannot be read as PARQUET")
    assert str(kept.sources_folder()) not in str(error.value)


def test_several_that_fetch_the_same_at_once_get_it_whole(web, tmp_path) -> None:
    content = np.random.default_rng(0).bytes(2_000_000)
    (tmp_path / "web" / "big.csv").write_bytes(content)
    web.cuts += [100_000] * 5
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetched(f"{web.address}/big.csv").read_bytes())) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [content] * 6
    assert [file.name for file in kept.sources_folder().glob("files/*") if file.suffix == ".part"] == []


def test_an_address_in_a_table_is_refused_with_its_row(tmp_path) -> None:
    (tmp_path / "table.csv").write_text("file,label\ncat.jpg,a\nhttps://me:secret@host/dog.jpg?token=x,b\n")
    with pytest.raises(DataError) as error:
        gw.data(tmp_path / "table.csv")
    assert str(error.value) == (
        "Row 2 names 'https://host/dog.jpg', an address; a table names files by paths relative to it. "
        "Fetch them into the folder of the table, and name them there."
    )


def test_a_file_at_an_address_is_answered_and_a_text_that_holds_one_stays_a_text(web, tmp_path, photos) -> None:
    from graftwork.data.inputs import named_inputs
    from graftwork.plugins import registry

    (tmp_path / "web" / "one.bmp").write_bytes((photos / "dark" / "0.bmp").read_bytes())
    (part,) = named_inputs([f"{web.address}/one.bmp"], registry.modality("image"))
    (found,) = part.inputs
    assert found.name == f"{web.address}/one.bmp"
    assert found.content() == (photos / "dark" / "0.bmp").read_bytes()
    texts = ["see https://host/a.csv please", "https://host/login"]
    assert [part.inputs for part in named_inputs(texts, registry.modality("text"))] == [texts]


# Words.


def test_a_scheme_that_nobody_reads_is_said_with_those_that_are() -> None:
    with pytest.raises(UnknownName) as error:
        gw.data("dropbox://photos")
    assert error.value.message.startswith("No installed plugin reads addresses of dropbox://; installed ones read ")
    assert "s3://" in error.value.message
    assert error.value.hint == "Fetch the data yourself, and name the folder or file."


def test_a_package_that_is_missing_is_named_with_its_extra(online, monkeypatch) -> None:
    import importlib.util

    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gcsfs" else there(name))
    with pytest.raises(UsageError) as error:
        gw.data("gs://bucket/photos/")
    assert str(error.value) == (
        "An address of gs:// needs the package gcsfs, which is not installed. Install it: pip install 'graftwork[gs]'"
    )


def test_other_chains_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        gw.data("filecache://x::s3://me:secret@bucket/p.zip")
    assert error.value.message == (
        "'filecache://x::s3://bucket/p.zip' is no address of what lies in an archive; zip://INSIDE::ARCHIVE and "
        "tar://INSIDE::ARCHIVE are."
    )


# The hook.


class Notes(gw.Source):
    """Files in memory, whose connection breaks after every seven bytes."""

    FILES: ClassVar[dict[str, bytes]] = {}

    def files(self) -> list[gw.RemoteFile]:
        return [gw.RemoteFile(name, len(content), "1") for name, content in self.FILES.items()]

    def read(self, file: gw.RemoteFile, start: int = 0) -> Iterator[bytes]:
        yield self.FILES[file.name][start : start + 7]
        raise ConnectionResetError("reset")


@pytest.fixture
def notes(online, plugins, monkeypatch) -> dict[str, bytes]:
    """The files of notes://, a scheme of a plugin's own."""
    import graftwork_text.plugin

    @hookimpl
    def graftwork_sources() -> Iterator[gw.SourceSpec]:
        yield gw.SourceSpec("notes", f"{__name__}:Notes")

    monkeypatch.setattr(Notes, "FILES", {})
    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(Notes=Notes))
    plugins(graftwork_text.plugin, SimpleNamespace(api_version=1, graftwork_sources=graftwork_sources))
    return Notes.FILES


def test_a_scheme_of_a_plugin_is_fetched_with_tries_and_all(notes, messages) -> None:
    notes["messages.csv"] = messages.read_bytes()
    folder = fetched("notes://all/mine")
    assert (folder / "messages.csv").read_bytes() == messages.read_bytes()
    assert copies.shown(folder / "messages.csv") == "notes://all/mine/messages.csv"


def test_the_kit_refuses_a_scheme_whose_factory_is_no_source(plugins) -> None:
    from graftwork.testing.cases import Nonconformance
    from graftwork.testing.kit import cases

    @hookimpl
    def graftwork_sources() -> Iterator[gw.SourceSpec]:
        yield gw.SourceSpec("notes", "graftwork:Raw")

    plugins(SimpleNamespace(api_version=1, graftwork_sources=graftwork_sources, __name__="notes"))
    from graftwork.plugins.loading import installed

    (report,) = (report for report in installed().reports if report.name != "core")
    (case,) = (case for case in cases(report.name) if case.kind == "sources")
    with pytest.raises(Nonconformance, match="The factory of 'notes://', graftwork:Raw, is no graftwork.Source."):
        case()


@pytest.mark.parametrize("name", ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "a//b.csv", "a/./b.csv"])
def test_a_name_that_leads_elsewhere_is_refused(notes, name) -> None:
    notes[name] = b"evil"
    with pytest.raises(DataError) as error:
        fetched("notes://all/mine")
    assert str(error.value) == (
        f"'notes://all/mine' holds the name '{name}', which is no path below it. Rename or remove that object."
    )
    assert not list(kept.sources_folder().rglob("*"))


def test_a_name_of_a_file_and_a_folder_is_refused(notes) -> None:
    notes.update({"a": b"1", "a/b": b"2"})
    with pytest.raises(DataError, match="'notes://all/mine' holds 'a' as a file and as a folder, which no disk can."):
        fetched("notes://all/mine")


def test_more_than_the_disk_holds_is_refused_before_it_is_fetched(notes, monkeypatch) -> None:
    notes.update({"a.txt": b"x" * 100, "b.txt": b"x" * 100})
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: SimpleNamespace(free=199))
    with pytest.raises(DataError) as error:
        fetched("notes://all/mine")
    assert str(error.value) == (
        f"'notes://all/mine' holds 0.0 GB that are not here, and '{kept.sources_folder()}' has room for 0.0 GB. Name a "
        "part of it, make room (graftwork cache clear), or name another folder with GRAFTWORK_CACHE."
    )
    assert not list(kept.sources_folder().glob("files/*"))


def test_an_interrupted_fetch_leaves_nothing_that_counts(notes, monkeypatch) -> None:
    notes.update({f"{number}.txt": b"x" * 100 for number in range(20)})

    def interrupted(*_: object, **__: object) -> Iterator[int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "track", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetched("notes://all/mine")
    assert not list(kept.sources_folder().glob("trees/*"))
    assert not list(kept.sources_folder().glob("listings/*"))
    monkeypatch.undo()


def test_what_was_fetched_is_listed_and_cleared(web, tmp_path, messages, capsys) -> None:
    (tmp_path / "web" / "messages.csv").write_bytes(messages.read_bytes())
    gw.data(f"{web.address}/messages.csv")

    def said(command: str) -> dict[str, Any]:
        capsys.readouterr()
        assert app._run(["cache", command, "--json"], json=True) == 0
        return json.loads(capsys.readouterr().out)

    (one,) = said("sources")["addresses"]
    assert (one["address"], one["files"], one["bytes"]) == (
        f"{web.address}/messages.csv", 1, messages.stat().st_size,
    )  # fmt: skip
    assert said("size")["fetched"] == messages.stat().st_size
    assert said("clear")["fetched"] == messages.stat().st_size
    assert not kept.sources_folder().exists()


def test_what_may_be_a_password_is_never_kept_or_said(web, tmp_path, messages, tiny_bert) -> None:
    import base64

    (tmp_path / "web" / "messages.csv").write_bytes(messages.read_bytes())
    web.secret = "Basic " + base64.b64encode(b"me:hush hush").decode()
    address = f"{web.address}/messages.csv".replace("://", "://me:hush%20hush@") + "?token=sesame"
    gw.fit(address, f"local:{tiny_bert}", out=tmp_path / "run")
    web.secret = "another"
    with pytest.raises(DataError) as error:
        gw.data(address)
    written = [file for root in (tmp_path / "run", kept.sources_folder()) for file in root.rglob("*") if file.is_file()]
    assert len(written) > 4
    said = [str(error.value), repr(error.value.__cause__), *(file.read_text(errors="replace") for file in written)]
    said += map(str, written)
    assert not [
        words for words in said for secret in ("hush", "sesame", "me:") if secret in re.sub("time:|scheme:", "", words)
    ]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["name"] == "messages"
