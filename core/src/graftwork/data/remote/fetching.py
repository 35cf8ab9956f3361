"""Fetching the files of an address: tried again, gone on with where a connection broke, in several threads at once."""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from graftwork.data.remote import kept
from graftwork.data.remote.addresses import Address
from graftwork.data.remote.kept import Item
from graftwork.errors import DataError
from graftwork.plugins import registry
from graftwork.runtime.locks import locked
from graftwork.runtime.parallel import prefetch_map
from graftwork.runtime.progress import track
from graftwork.specs.source import RemoteFile, Source
from graftwork.specs.weights import offline

TRIES = 6
"""How often in a row a connection may fail without a byte before it is given up."""
WAIT = 0.1
"""Seconds before the second try; twice as long before each further one."""
CONNECTIONS = 8


def fetch(address: Address) -> Path:
    """The local copy of the file or folder at an address: what is not kept is fetched.

    Raises `DataError` if nothing is there, if it cannot be fetched, or if a name would lead elsewhere.
    """
    registry.source(address.scheme)  # refuses a scheme that nothing reads
    with _refusing(address):
        if offline():
            items = _kept_before(address)
        else:
            source = connected(address)
            items = [kept.item(address, file) for file in listed(address, source)]
            _fetch_all(address, lambda item: _fetch(address, source, item), items)
            kept.remember(address, items)
        return kept.tree(address, items)


def fetch_beside(address: Address, names: Iterable[str]) -> Path:
    """The local copy of a table and of the files that it names by paths relative to it; missing ones are left out.

    Returns the folder that holds them. Raises `DataError` as `fetch` does.
    """
    parent, record = address.parent, replace(address, path=f"{address.path}/*")

    def look_up(place: str) -> tuple[Address, Source, Item] | None:
        one = address.beside(place)
        try:
            source = connected(one)
            file, *others = listed(one, source)
        except DataError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return None if file.name or others else (one, source, kept.item(one, file))

    with _refusing(address):
        if offline():
            items = _kept_before(record)
        else:
            places = [address.name, *sorted({str(PurePosixPath(name)) for name in names})]
            found = zip(places, prefetch_map(look_up, places), strict=True)
            known = {place: one for place, one in found if one is not None}
            items = [Item(replace(item.file, name=place), item.kept) for place, (_, _, item) in known.items()]
            _fetch_all(address, lambda item: _fetch(*known[item.file.name]), items)
            kept.remember(record, items)
        return kept.tree(parent, items)


def _kept_before(address: Address) -> list[Item]:
    """What was fetched of an address last. Raises `DataError` if it is not here."""
    items = kept.remembered(address)
    if items is None:
        raise DataError(
            f"'{address.shown.removesuffix('/*')}' was not fetched to this machine before, and --offline forbids "
            "fetching it.",
            "Fetch it once with a network: leave out --offline",
        )
    return items


def connected(address: Address) -> Source:
    """What reads an address. Raises `DataError` if it cannot, and what `Address.source` raises."""
    try:
        return address.source()
    except OSError as error:
        raise _unreachable(address, address.shown, error) from error


def listed(address: Address, source: Source) -> list[RemoteFile]:
    """The files at an address, sorted by name.

    Raises `DataError` if it cannot be reached, or for a name that is no path below it.
    """
    files = sorted(_retried(address, source.files), key=lambda file: file.name)
    names = {file.name for file in files}
    for name in [address.name, *names]:
        if name and any(part in ("", ".", "..") or "\0" in part for part in name.split("/")):
            raise DataError(
                f"'{address.shown}' holds the name '{name}', which is no path below it.",
                "Rename or remove that object.",
            )
    parents = {name[:place] for name in names for place, sign in enumerate(name) if sign == "/"}
    for name in sorted(names & parents):
        raise DataError(
            f"'{address.shown}' holds '{name}' as a file and as a folder, which no disk can.",
            "Rename or remove that object.",
        )
    return files


def _retried(address: Address, call: Callable[[], Sequence[RemoteFile]]) -> Sequence[RemoteFile]:
    for failed in range(1, TRIES + 1):
        try:
            return call()
        except OSError as error:
            if _is_final(error) or failed == TRIES:
                raise _unreachable(address, address.shown, error) from error
            time.sleep(WAIT * 2 ** (failed - 1))
    raise AssertionError("the last try returns or raises")


def pieces(address: Address, source: Source, file: RemoteFile, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` on; where a connection breaks it is gone on with, `TRIES` times in a row.

    Raises `DataError` if it cannot be read to its end.
    """
    failed = 0
    while file.size is None or start < file.size:
        try:
            for piece in source.read(file, start):
                start, failed = start + len(piece), 0
                if file.size is not None and start > file.size:
                    raise Source.Changed(f"it holds more than {file.size} bytes")
                yield piece
            if file.size is None:
                return
            if start < file.size:
                raise ConnectionError("the connection ended early")
        except OSError as error:
            failed += 1
            if _is_final(error) or failed == TRIES:
                place = f"{address.shown.rstrip('/')}/{file.name}" if file.name else address.shown
                raise _unreachable(address, place, error) from error
            time.sleep(WAIT * 2 ** (failed - 1))


def _fetch_all(address: Address, fetch: Callable[[Item], Iterator[int]], items: Sequence[Item]) -> None:
    """Fetch those that are not kept, and show how much came."""
    missing = [item for item in items if not item.kept.exists()]
    if not missing:
        return
    sizes = [item.file.size for item in missing]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    missing[0].kept.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(missing[0].kept.parent).free
    if total is not None and total > free:
        raise DataError(
            f"'{address.shown}' holds {total / 1e9:,.1f} GB that are not here, and '{kept.sources_folder()}' has room "
            f"for {free / 1e9:,.1f} GB.",
            "Name a part of it, make room (graftwork cache clear), or name another folder with GRAFTWORK_CACHE.",
        )
    for _ in track(_in_threads(fetch, missing), f"Fetching {address.name}", total, size=lambda count: count):
        pass


def _in_threads(fetch: Callable[[Item], Iterator[int]], items: Sequence[Item]) -> Iterator[int]:
    """Yield what `fetch` yields of all items; an interrupt waits for no more than a piece of each."""
    came: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
    stopped = threading.Event()

    def one(item: Item) -> None:
        try:
            for count in fetch(item):
                came.put(count)
                if stopped.is_set():
                    return
            came.put(None)
        except BaseException as error:
            came.put(error)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            left = len(list(map(partial(pool.submit, one), items)))
            while left:
                match came.get():
                    case None:
                        left -= 1
                    case int(count):
                        yield count
                    case error:
                        raise error
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _fetch(address: Address, source: Source, item: Item) -> Iterator[int]:
    """Fetch one file, and yield how many bytes came; another process that does so is waited for."""
    with locked(item.part):
        if item.kept.exists():
            item.part.unlink(missing_ok=True)
            return
        with item.part.open("r+b") as part:
            start = part.seek(0, os.SEEK_END) if item.file.size is not None and item.file.version else 0
            part.truncate(start)
            yield start
            try:
                for piece in pieces(address, source, item.file, start):
                    part.write(piece)
                    yield len(piece)
            except DataError as error:
                if isinstance(error.__cause__, Source.Changed):
                    part.truncate(0)
                raise
            part.flush()
            os.fsync(part.fileno())
        item.part.replace(item.kept)


def _is_final(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError | PermissionError | Source.Changed)


def _unreachable(address: Address, place: str, error: OSError) -> DataError:
    reason = " ".join(address.without_secrets(str(error)).split()).rstrip(".")[:200] or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return DataError(f"'{place}' does not exist.", "Check the address.")
    if isinstance(error, PermissionError):
        hint = f"Give what its server asks for: {registry.source(address.scheme).credentials}"
        return DataError(f"'{place}' may not be read ({reason}).", hint)
    if isinstance(error, Source.Changed):
        return DataError(f"'{place}' cannot be fetched: {reason}.", "Run the same command again.")
    return DataError(
        f"'{place}' cannot be fetched ({reason}).", "Run the same command again: it goes on where this one stopped."
    )


@contextmanager
def _refusing(address: Address) -> Iterator[None]:
    """Turn the errors of this machine's disk into `DataError`."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"'{address.shown}' cannot be kept in '{kept.sources_folder()}': {error.strerror or error}.",
            "Make room, or name another folder with GRAFTWORK_CACHE.",
        ) from error
