"""The feature store: outputs of frozen stages, kept on disk and shared by all processes.

A *space* stands for everything besides the example that decides a result: weights, contract, rounding, code. In a space
each *row* belongs to the digest of an example. Rows lie in *shards* (see `graftwork.features.shards`); an SQLite index
in WAL mode holds their places.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graftwork.errors import StoreError, UsageError
from graftwork.features.shards import Place, Row, Writer, pack, placed, unpack
from graftwork.runtime.cache_folder import store_folder
from graftwork.runtime.locks import PATIENCE, holder, lock, locked, unlink_unless_locked

FORMAT = 5
LIMIT = 20 * 10**9
"""The largest size of a store in bytes, unless GRAFTWORK_CACHE_LIMIT sets another; the least recently used shards
are deleted first.
"""
SHARD = 64 * 2**20
"""A writer starts a new shard after this many bytes, or after a quarter of the store's limit."""
SMALLEST = 2**12
"""Bytes after which a new shard is started at the earliest, however small the limit."""
RESULTS = 64 * 2**20
"""Bytes of results that are kept; the oldest are deleted first."""
TOUCH = 60.0
"""Seconds between updates of a shard's last use."""
CHUNK = 500
"""Digests looked up at once."""

SCHEMA = """
CREATE TABLE spaces (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB UNIQUE NOT NULL, about TEXT NOT NULL, note TEXT);
CREATE TABLE shards (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, bytes INTEGER NOT NULL, used REAL NOT NULL
);
CREATE TABLE rows (
    space INTEGER NOT NULL, digest BLOB NOT NULL, shard INTEGER NOT NULL, offset INTEGER NOT NULL,
    bytes INTEGER NOT NULL, segments INTEGER NOT NULL, parts INTEGER NOT NULL, defects BLOB NOT NULL,
    PRIMARY KEY (space, digest)
) WITHOUT ROWID;
CREATE INDEX rows_of_shard ON rows (shard);
CREATE TABLE claims (
    space INTEGER NOT NULL, digest BLOB NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (space, digest)
) WITHOUT ROWID;
CREATE TABLE results (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB UNIQUE NOT NULL, found BLOB NOT NULL, sum BLOB);
"""


def default_limit() -> int:
    """GRAFTWORK_CACHE_LIMIT in bytes, given as 500MB, 20GB or a number. Raises `UsageError` for anything else."""
    given = os.environ.get("GRAFTWORK_CACHE_LIMIT", "").strip().upper()
    units = {"GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1}
    unit = next((unit for unit in units if given.endswith(unit)), "")
    try:
        limit = int(float(given.removesuffix(unit)) * units.get(unit, 1)) if given else LIMIT
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise UsageError(
            f"GRAFTWORK_CACHE_LIMIT is '{given}'; a number of bytes is accepted, or one of MB or GB.",
            "Write: GRAFTWORK_CACHE_LIMIT=20GB",
        )
    return limit


class Store:
    """A folder of features. Many processes may use it at the same time; threads of one process may share it for
    reading, not for writing.

    Raises `StoreError` if the folder cannot be written.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = folder or store_folder()
        self.limit = default_limit() if limit is None else limit
        self._shard_size = min(SHARD, max(SMALLEST, self.limit // 4))
        self._shards = self.folder / "shards"
        self._owners = self.folder / "owners"
        self._open: dict[int, int | None] = {}
        self._owner: tuple[str, int] | None = None
        self._writer: Writer | None = None
        try:
            for folder_ in (self._shards, self._owners):
                folder_.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                self._index = self._connected()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"The feature store '{self.folder}' cannot be opened: {getattr(error, 'strerror', None) or error}.",
                "Name another folder with GRAFTWORK_CACHE, or write: --no-cache",
            ) from error

    def _connected(self) -> sqlite3.Connection:
        """The index; a new one if there is none, or if it is damaged or of another format."""
        for _ in range(2):
            index = sqlite3.connect(self.folder / "index.sqlite", timeout=PATIENCE, isolation_level=None)
            try:
                index.execute("PRAGMA journal_mode=WAL")
                index.execute("PRAGMA synchronous=NORMAL")
                found = index.execute("PRAGMA user_version").fetchone()[0]
                if found == FORMAT:
                    return index
                if found == 0:
                    index.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={FORMAT}; COMMIT;")
                    return index
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
            index.close()
            for file in self.folder.glob("index.sqlite*"):
                file.unlink()
        raise OSError("its index cannot be made anew")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.release_all()
        for handle in self._open.values():
            if handle is not None:
                os.close(handle)
        self._open.clear()
        self._index.close()

    # Spaces.

    def space(self, about: Mapping[str, Any]) -> Space:
        """The space of everything computed in one way. about: all that decides the result, as JSON values."""
        words = json.dumps(about, sort_keys=True, default=str)
        key = hashlib.blake2b(words.encode(), digest_size=16).digest()
        with self._guarded():
            self._index.execute("INSERT OR IGNORE INTO spaces (key, about) VALUES (?, ?)", (key, words))
            number, note = self._index.execute("SELECT id, note FROM spaces WHERE key = ?", (key,)).fetchone()
        return Space(self, number, key, _noted(note))

    # Results that follow from features: see `graftwork.features.results`.

    def result(self, key: bytes) -> bytes | None:
        """What was kept under a key; None if nothing was, or it is damaged."""
        with self._guarded():
            row = self._index.execute("SELECT found, sum FROM results WHERE key = ?", (key,)).fetchone()
        found, checksum = row or (None, None)
        return found if isinstance(found, bytes) and _checksum(key + found) == checksum else None

    def keep_result(self, key: bytes, found: bytes) -> None:
        """Keep a small result under a key, in the place of the oldest where there are `RESULTS` bytes."""
        with self._guarded(), self._transaction():
            self._index.execute(
                "INSERT OR REPLACE INTO results (key, found, sum) VALUES (?, ?, ?)",
                (key, found, _checksum(key + found)),
            )
            self._index.execute(
                "DELETE FROM results WHERE id IN (SELECT id FROM (SELECT id, SUM(LENGTH(found)) OVER "
                "(ORDER BY id DESC) AS newer FROM results) WHERE newer > ?)",
                (RESULTS,),
            )

    # For the command line.

    def size(self) -> dict[str, Any]:
        """`{folder, bytes, limit, rows, shards}`."""
        taken, shards = self._index.execute("SELECT COALESCE(SUM(bytes), 0), COUNT(*) FROM shards").fetchone()
        rows = self._index.execute("SELECT COUNT(*) FROM rows").fetchone()[0]
        return {"folder": str(self.folder), "bytes": taken, "limit": self.limit, "rows": rows, "shards": shards}

    def list(self) -> list[dict[str, Any]]:
        """For each space with rows: its `about`, the number of rows, their bytes, and the last use."""
        found = self._index.execute(
            "SELECT about, COUNT(*), SUM(rows.bytes), MAX(shards.used) FROM rows JOIN spaces ON spaces.id = rows.space "
            "JOIN shards ON shards.id = rows.shard GROUP BY rows.space ORDER BY MAX(shards.used) DESC"
        )
        return [{**json.loads(about), "rows": rows, "bytes": taken, "used": used} for about, rows, taken, used in found]

    def verify(self) -> dict[str, int]:
        """Read every row and forget the damaged ones. Returns `{rows, bad}`."""
        rows = bad = 0
        for number, key in self._index.execute("SELECT id, key FROM spaces").fetchall():
            digests = [d for (d,) in self._index.execute("SELECT digest FROM rows WHERE space = ?", (number,))]
            here = Space(self, number, key, {})
            for start in range(0, len(digests), CHUNK):
                chunk = digests[start : start + CHUNK]
                found = zip(chunk, here.find(chunk), strict=True)
                broken = [d for d, place in found if place is None or here.read(d, place) is None]
                here.forget(broken)
                rows, bad = rows + len(chunk), bad + len(broken)
        self._sweep()
        return {"rows": rows, "bad": bad}

    def clear(self) -> dict[str, int]:
        """Forget everything. Returns the `{rows, bytes}` that were there, 0 if the index cannot be read."""
        before = {"rows": 0, "bytes": 0}
        try:
            before = self.size()
            with self._transaction():
                for table in ("rows", "claims", "shards", "spaces", "results"):
                    self._index.execute(f"DELETE FROM {table}")
        except sqlite3.DatabaseError:
            self._index.close()
            for file in self.folder.glob("index.sqlite*"):
                file.unlink(missing_ok=True)
            self._index = self._connected()
        self._sweep()
        return {"rows": before["rows"], "bytes": before["bytes"]}

    # Reading and writing rows.

    def read(
        self, space: bytes, digest: bytes, place: Place, segments: Sequence[int] | None = None
    ) -> list[bytes] | None:
        """The segments of a row (all, or those with these numbers); None if the row is missing or damaged. space: the
        key of its space."""
        handle = self._handle(place.shard)
        return None if handle is None else unpack(handle, space, digest, place, segments)

    def _handle(self, shard: int) -> int | None:
        """An open file for a shard; None if the shard was evicted."""
        if shard not in self._open:
            name = self._index.execute("SELECT name FROM shards WHERE id = ?", (shard,)).fetchone()
            file = self._file(name[0]) if name else None
            try:
                self._open[shard] = None if file is None else os.open(file, os.O_RDONLY)
            except OSError:
                self._open[shard] = None
        return self._open[shard]

    def _file(self, name: Any) -> Path | None:
        """The file of a shard; None for what a writer names none, as a damaged index may."""
        return self._shards / name if isinstance(name, str) and re.fullmatch("[0-9a-f]{32}", name) else None

    def write(self, space: Space, rows: Sequence[Row]) -> None:
        """Append rows, add them to the index, and make room. Raises `StoreError` if the disk is full or fails."""
        with self._guarded():
            writer = self._writing()
            written = [(row, *writer.append(pack(space.key, row))) for row in rows]
            with self._transaction():
                self._index.execute(
                    "INSERT INTO shards (name, bytes, used) VALUES (?, ?, ?) "
                    "ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes, used = excluded.used",
                    (writer.name, writer.bytes, time.time()),
                )
                shard = self._index.execute("SELECT id FROM shards WHERE name = ?", (writer.name,)).fetchone()[0]
                self._index.executemany(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (space.number, row.digest, shard, offset, taken, len(row.segments), row.parts, row.defects)
                        for row, offset, taken in written
                    ],
                )
                self._index.executemany(
                    "DELETE FROM claims WHERE space = ? AND digest = ?", [(space.number, row.digest) for row in rows]
                )
            self._make_room()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn the errors of a full or failing disk into `StoreError`."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            # The index never refers to a half-written row.
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            raise StoreError(
                f"The feature store '{self.folder}' cannot be used: {getattr(error, 'strerror', None) or error}.",
                "Begin it anew: graftwork cache clear, or write: --no-cache",
            ) from error

    def _writing(self) -> Writer:
        """The shard to append to: this process's own, an abandoned one with room, or a new one."""
        if self._writer is not None and self._writer.bytes >= self._shard_size:
            self._writer.close()
            self._writer = None
        if self._writer is None:
            left = self._index.execute(
                "SELECT name FROM shards WHERE bytes < ? ORDER BY used DESC LIMIT 3", (self._shard_size // 2,)
            )
            names = [name for (name,) in left.fetchall()]
            made = (Writer.take(file) for name in names if (file := self._file(name)))
            self._writer = next((writer for writer in made if writer), None) or Writer.new(self._shards)
        return self._writer

    def _make_room(self) -> None:
        """Delete the least recently used shards that no process writes to, until the store is within its limit."""
        taken = self._index.execute("SELECT COALESCE(SUM(bytes), 0) FROM shards").fetchone()[0]
        if taken <= self.limit:
            return
        for shard, name, size in self._index.execute("SELECT id, name, bytes FROM shards ORDER BY used").fetchall():
            if taken <= self.limit:
                break
            file = self._file(name)
            if file is None or unlink_unless_locked(file):
                with self._transaction():
                    self._index.execute("DELETE FROM rows WHERE shard = ?", (shard,))
                    self._index.execute("DELETE FROM shards WHERE id = ?", (shard,))
                taken -= size

    def _sweep(self) -> None:
        """Delete shards that are not in the index, and the owner files and leases of processes that are gone."""
        known = {name for (name,) in self._index.execute("SELECT name FROM shards")}
        for file in self._shards.iterdir():
            if file.name not in known:
                unlink_unless_locked(file)
        for file in self._owners.iterdir():
            if self._owner is None or file.name != self._owner[0]:
                self._reap(file.name)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._index.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._index.execute("ROLLBACK")
            raise
        self._index.execute("COMMIT")

    # Leases.

    def owner(self) -> str:
        """This store's name as an owner of leases: a file that stays locked until the leases are released or the
        process ends.
        """
        if self._owner is None:
            name = uuid.uuid4().hex
            handle = os.open(self._owners / name, os.O_CREAT | os.O_RDWR)
            lock(handle)
            self._owner = (name, handle)
        return self._owner[0]

    def release_all(self) -> None:
        """Release all leases, so that others may compute the rows."""
        if self._owner is None:
            return
        name, handle = self._owner
        self._owner = None
        with contextlib.suppress(sqlite3.Error):
            self._index.execute("DELETE FROM claims WHERE owner = ?", (name,))
        (self._owners / name).unlink(missing_ok=True)
        os.close(handle)

    def _reap(self, name: str) -> bool:
        """Whether an owner is gone, or is this store itself; deletes the leases of an owner that is gone."""
        if self._owner is not None and name == self._owner[0]:
            return True
        gone = unlink_unless_locked(self._owners / name)
        if gone:
            self._index.execute("DELETE FROM claims WHERE owner = ?", (name,))
        return gone


SUM = 16
"""Characters of a checksum."""


def _checksum(found: bytes) -> bytes:
    return hashlib.blake2b(found, digest_size=8).digest()


def _noted(note: Any) -> dict[str, Any]:
    """The note of a space as it was kept; empty if there is none, or it is damaged."""
    words = note if isinstance(note, str) else ""
    found = words[SUM:].encode(errors="surrogatepass")
    return json.loads(found) if words and _checksum(found).hex() == words[:SUM] else {}


class Space:
    """The rows of everything computed in one way. key: the digest of what that is. note: a small JSON object that its
    users keep with it."""

    def __init__(self, store: Store, number: int, key: bytes, note: dict[str, Any]) -> None:
        self.store, self.number, self.key, self.note = store, number, key, note

    def remember(self, **note: Any) -> None:
        self.note.update(note)
        words = json.dumps(self.note)
        kept = _checksum(words.encode()).hex() + words
        with self.store._guarded():
            self.store._index.execute("UPDATE spaces SET note = ? WHERE id = ?", (kept, self.number))

    def find(self, digests: Sequence[bytes]) -> list[Place | None]:
        """The places of these rows, None for a missing one."""
        with self.store._guarded():
            return self._found(digests)

    def _found(self, digests: Sequence[bytes]) -> list[Place | None]:
        index = self.store._index
        found: list[Place | None] = []
        for start in range(0, len(digests), CHUNK):
            chunk = digests[start : start + CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = {
                digest: placed(place)
                for digest, *place in index.execute(
                    f"SELECT digest, shard, offset, bytes, segments, parts, defects FROM rows WHERE space = ? "
                    f"AND digest IN ({marks})",
                    (self.number, *chunk),
                )
            }
            found += map(rows.get, chunk)
        used = {place.shard for place in found if place is not None}
        if used:
            for shard in used:
                self.store._handle(shard)  # open now, so that threads can read without the index
            now = time.time()
            marks = ",".join("?" * len(used))
            with contextlib.suppress(sqlite3.OperationalError):  # not worth waiting for
                index.execute(
                    f"UPDATE shards SET used = ? WHERE used < ? AND id IN ({marks})", (now, now - TOUCH, *used)
                )
        return found

    def read(self, digest: bytes, place: Place, segments: Sequence[int] | None = None) -> list[bytes] | None:
        """See `Store.read`."""
        return self.store.read(self.key, digest, place, segments)

    def write(self, rows: Sequence[Row]) -> None:
        """See `Store.write`."""
        if rows:
            self.store.write(self, rows)

    def forget(self, digests: Sequence[bytes]) -> None:
        with self.store._guarded():
            self.store._index.executemany(
                "DELETE FROM rows WHERE space = ? AND digest = ?", [(self.number, digest) for digest in digests]
            )

    def lease(self, digests: Sequence[bytes], least: int = 1) -> set[bytes]:
        """Lease the rows that this process is to compute. Returns the digests that have neither a row of `least`
        segments nor a lease of a live process.
        """
        with self.store._guarded():
            free = self._unclaimed(digests, least)
        if not free:  # checked before locking the index, since processes that wait ask often
            return free
        with self.store._guarded(), self.store._transaction():
            free = self._unclaimed(list(free), least)
            self.store._index.executemany(
                "INSERT OR IGNORE INTO claims VALUES (?, ?, ?)",
                [(self.number, digest, self.store.owner()) for digest in free],
            )
        return free

    def _unclaimed(self, digests: Sequence[bytes], least: int) -> set[bytes]:
        store, free = self.store, set(digests)
        marks, values = ",".join("?" * len(digests)), (self.number, *digests)
        these = f"WHERE space = ? AND digest IN ({marks})"
        rows = store._index.execute(f"SELECT digest FROM rows {these} AND segments >= {least:d}", values)
        free.difference_update(digest for (digest,) in rows)
        claims = store._index.execute(f"SELECT digest, owner FROM claims {these}", values).fetchall()
        gone = {owner: store._reap(owner) for owner in {owner for _, owner in claims}}
        free.difference_update(digest for digest, owner in claims if not gone[owner])
        return free

    def holders(self, digests: Sequence[bytes]) -> str:
        """The process that has leased the first of these rows, in words."""
        with self.store._guarded():
            row = self.store._index.execute(
                "SELECT owner FROM claims WHERE space = ? AND digest = ?", (self.number, digests[0])
            ).fetchone()
        with contextlib.suppress(OSError):
            if row is not None and isinstance(row[0], str) and row[0].isalnum():
                handle = os.open(self.store._owners / row[0], os.O_RDONLY)
                try:
                    return holder(handle)
                finally:
                    os.close(handle)
        return "another process"

    def release(self, digests: Iterable[bytes]) -> None:
        """Release leases whose rows will not be written."""
        with self.store._guarded():
            self.store._index.executemany(
                "DELETE FROM claims WHERE space = ? AND digest = ? AND owner = ?",
                [(self.number, digest, self.store.owner()) for digest in digests],
            )


@contextlib.contextmanager
def temporary() -> Iterator[Store]:
    """A store in a temporary folder, deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="graftwork-") as folder, Store(Path(folder)) as store:
        yield store


@contextlib.contextmanager
def opened(wanted: bool, notes: list[str]) -> Iterator[Store | None]:
    """The user's store if it is wanted and can be opened; else None, with the reason added to `notes`."""
    try:
        store = Store() if wanted else None
    except StoreError as error:
        notes.append(f"{error.message} Features are computed and not kept. {error.hint}")
        store = None
    try:
        yield store
    finally:
        if store is not None:
            store.close()
