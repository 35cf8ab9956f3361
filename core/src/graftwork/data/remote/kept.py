"""What was fetched or unpacked, as it lies on this machine. Whatever is there under its name is whole.

sources/files/KEY             a file of one version; KEY.part is one that is being fetched
sources/trees/KEY/content     the files of an address as they were listed: links to those, which cost no room
sources/unpacked/KEY/content  what an archive holds
sources/listings/KEY.json     what an address held last, for --offline
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, NamedTuple

from graftwork.data.remote.addresses import Address
from graftwork.runtime.cache_folder import cache_folder
from graftwork.specs.source import RemoteFile


class Item(NamedTuple):
    """A file at an address, and where it is kept."""

    file: RemoteFile
    kept: Path

    @property
    def part(self) -> Path:
        return self.kept.with_name(f"{self.kept.name}.part")


class Copy(NamedTuple):
    """What a folder is a copy of, and notes on it. content: that folder."""

    address: str
    notes: list[str]
    content: Path


def sources_folder() -> Path:
    return cache_folder() / "sources"


def item(address: Address, file: RemoteFile) -> Item:
    """A file at an address. The same object has one place, whichever address it was listed below."""
    version = file.version or uuid.uuid4().hex  # nothing says whether it is the same
    place = replace(address, path=f"{address.path.rstrip('/')}/{file.name}") if file.name else address
    return Item(file, sources_folder() / "files" / _digest(place.key, version, file.size))


def tree(address: Address, items: Sequence[Item]) -> Path:
    """The folder or file at an address with these contents."""
    single = [item.file.name for item in items] == [""]

    def fill(content: Path) -> None:
        root = content / address.name
        for item in items:
            target = root if single else root / item.file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(item.kept, target)
            except OSError:  # a file system without hard links
                shutil.copyfile(item.kept, target)

    key = _digest(address.key, [(item.file.name, item.kept.name) for item in items])
    return made("trees", key, address.shown, fill) / address.name


def made(kind: str, key: str, shown: str, fill: Callable[[Path], Sequence[str] | None]) -> Path:
    """The folder of this key, filled if it is not there: whole, or not at all.

    shown: what it is a copy of, in messages. fill: writes into a folder, and may return notes on it.
    """
    folder = sources_folder() / kind / key
    if not folder.exists():
        unfinished = folder.with_name(f"{key}.{uuid.uuid4().hex}")
        try:
            (unfinished / "content").mkdir(parents=True)
            notes = fill(unfinished / "content") or ()
            about = {"address": shown, "notes": list(notes)}
            (unfinished / "about.json").write_text(json.dumps(about), encoding="utf-8")
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was first
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder / "content"


def copy_at(path: Path) -> Copy | None:
    """The copy that a path lies in; None for a path that lies in none."""
    for folder in (path, *path.parents):
        if folder.name == "content" and folder.parent.parent.parent == sources_folder():
            about = json.loads((folder.parent / "about.json").read_text(encoding="utf-8"))
            return Copy(about["address"], about["notes"], folder)
    return None


def key_of(path: Path) -> str:
    """A key of a local file as it is now: of its place, size and times."""
    about = path.stat()
    return _digest(str(path.resolve()), about.st_ino, about.st_size, about.st_mtime_ns)


def remember(address: Address, items: Sequence[Item]) -> None:
    """Keep what an address holds."""
    file = _listing(address)
    files = [(*astuple(item.file), item.kept.name) for item in items]
    known = {"address": address.shown, "fetched": time.time(), "files": files}
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
    unfinished.write_text(json.dumps(known), encoding="utf-8")
    unfinished.replace(file)


def remembered(address: Address) -> list[Item] | None:
    """What was fetched of an address last; None if any of it is not here."""
    with suppress(FileNotFoundError):
        known = json.loads(_listing(address).read_text(encoding="utf-8"))["files"]
        items = [Item(RemoteFile(*about), sources_folder() / "files" / kept) for *about, kept in known]
        return items if all(item.kept.exists() for item in items) else None
    return None


def _listing(address: Address) -> Path:
    return sources_folder() / "listings" / f"{_digest(address.key)}.json"


def addresses() -> list[dict[str, Any]]:
    """The addresses that were fetched: files, bytes, and when, the last first."""
    known = [json.loads(file.read_text(encoding="utf-8")) for file in (sources_folder() / "listings").glob("*.json")]
    return [
        {
            "address": one["address"],
            "files": len(one["files"]),
            "bytes": sum(size or 0 for _, size, *_ in one["files"]),
            "fetched": one["fetched"],
        }
        for one in sorted(known, key=lambda one: -one["fetched"])
    ]


def size() -> int:
    """The bytes of everything that was fetched or unpacked, parts included."""
    root = sources_folder()
    files = (file for kind in ("files", "unpacked") for file in (root / kind).rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


def clear() -> int:
    """Forget everything. Returns how many bytes that were."""
    count = size()
    shutil.rmtree(sources_folder(), ignore_errors=True)
    return count


def _digest(*words: object) -> str:
    return hashlib.blake2b(repr(words).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
