"""Shards in WebDataset's format: tar files in which `KEY.jpg`, `KEY.cls`, ... make an example; nothing is unpacked.

https://github.com/webdataset/webdataset#the-webdataset-format
"""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa

from graftwork.data.formats.tables import PIECE
from graftwork.data.labels import readable
from graftwork.data.modality_choice import by_extension
from graftwork.data.remote.addresses import Address
from graftwork.data.remote.archives import TAR
from graftwork.data.remote.fetching import connected, fetch, listed, pieces
from graftwork.data.sources import Tables
from graftwork.data.walk import is_debris
from graftwork.errors import DataError
from graftwork.specs.json_text import parse_json
from graftwork.specs.limits import how_to_raise, limits
from graftwork.specs.modality import Modality
from graftwork.specs.source import RemoteFile, Source
from graftwork.specs.splits import SPLITS
from graftwork.specs.weights import offline

BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
MOST_SHARDS = 1_000_000
LOOKED_AT = 64
"""Members by which a tar file is known to be a shard."""
LABELS = ("cls", "json", "txt")
"""Fields that can hold a label."""
ENCODED = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""A file in memory, as `datasets` keeps one."""

Sample = Mapping[str, bytes]
"""The fields of one key, by ending ("jpg", "seg.png")."""


class Shard(NamedTuple):
    """shown: in messages. name: the file's. open: gives its bytes from the start."""

    shown: str
    name: str
    open: Callable[[], IO[bytes]]


class Shards(Tables):
    """The examples of shards, a row each: a column for the kind of file that a plugin reads, the others by field.

    `.cls` is the column `label`, a `.json` its keys, a `.txt` the column `txt`. Shards are of the split that their
    names begin with (`train-0001.tar`), if there are several.
    """

    base = Path()
    path_guard = None

    def __init__(self, name: str, shards: Sequence[Shard]) -> None:
        self.name = name
        self._shards: dict[str, list[Shard]] = {}
        words = [re.split(r"[-_.\d]", shard.name.lower())[0] for shard in shards]
        splits = {SPLITS.get(word, "") for word in words}
        if "" in splits and len(splits) > 1:
            other = next(shard for shard, word in zip(shards, words, strict=True) if word not in SPLITS)
            raise DataError(
                f"'{name}' holds shards of the splits {', '.join(sorted(splits - {''}))}, and '{other.name}' of none.",
                "Move it, or name the shards of one split: train-{0000..0009}.tar",
            )
        for shard, word in zip(shards, words, strict=True):
            self._shards.setdefault(SPLITS[word] if len(splits) > 1 else "", []).append(shard)
        self.splits = tuple(self._shards)
        self._schema: pa.Schema | None = None

    def whole(self) -> dict[str, pa.Table]:
        return {split: pa.concat_tables(self.pieces(split)) for split in self.splits}

    def pieces(self, split: str) -> Iterator[pa.Table]:
        samples = (sample for shard in self._shards[split] for sample in _samples(shard))
        while piece := list(itertools.islice(samples, PIECE)):
            yield self._table(piece)

    def _table(self, samples: Sequence[tuple[str, Sample]]) -> pa.Table:
        known = by_extension()
        rows = [_row(key, sample, known) for key, sample in samples]
        if self._schema is None:  # the first samples decide, as the first rows of any table that is streamed
            columns = {name: value for row in rows for name, value in row.items()}
            self._schema = pa.schema([(name, _kind(value)) for name, value in columns.items()])
        try:
            return pa.Table.from_pylist(rows, self._schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"The shards of '{self.name}' hold a .json with other types than the first ones: {error}.",
                "Write the same keys with the same types into each.",
            ) from error


def streamed(words: str) -> Shards | None:
    """The shards at an address, read as they come and not kept; None if it holds something else."""
    if offline() or (address := Address.of(words)) is None:
        return None
    if _is_pattern(words):
        addresses = [Address.of(one) for one in _expanded(words)]
        return Shards(_name(words), [_remote(one, connected(one)) for one in addresses if one is not None])
    if TAR.search(address.path):
        shard = _remote(address, connected(address))
        return Shards(_name(address.name), [shard]) if _is_shard(shard) else None
    if not words.endswith("/"):
        return None
    source = connected(address)
    files = [file for file in listed(address, source) if not is_debris(Path(file.name))]
    if not files or not all(TAR.search(file.name) for file in files):
        return None
    return Shards(address.name, [_remote(address, source, file) for file in files])


def named(words: str) -> Shards | None:
    """The shards that a pattern of paths or addresses stands for (`shards-{0000..0009}.tar`); None if it is none.

    Raises `DataError` for one that is missing.
    """
    if not _is_pattern(words):
        return None
    found = [(one, Address.of(one)) for one in _expanded(words)]
    paths = [Path(one).expanduser() if address is None else fetch(address) for one, address in found]
    for path in paths:
        if not path.is_file():
            raise DataError(f"The shard '{path}' does not exist.", "Name those that do: shards-{0000..0009}.tar")
    return Shards(_name(words), [_local(path) for path in paths])


def at(path: Path) -> Shards | None:
    """The shards in a folder that holds nothing else, or the one at a path; None if there is something else."""
    if path.is_dir():
        files: list[Path] = []
        for entry in path.iterdir():
            if TAR.search(entry.name) and entry.is_file():
                files.append(entry)
            elif not is_debris(entry):
                return None
        return Shards(path.resolve().name, [_local(file) for file in sorted(files)]) if files else None
    if not TAR.search(path.name) or not path.is_file() or not _is_shard(_local(path)):
        return None
    return Shards(_name(path.name), [_local(path)])


def _is_pattern(words: str) -> bool:
    return BRACES.search(words) is not None and TAR.search(words) is not None and not Path(words).exists()


def _expanded(words: str) -> list[str]:
    """The names that a pattern with braces stands for. Raises `DataError` for more than `MOST_SHARDS`."""
    found = BRACES.search(words)
    if found is None:
        return [words]
    first, last, listed = found.groups()
    if listed is not None:
        inner: Sequence[str] = listed.split(",")
    elif abs(int(last) - int(first)) < MOST_SHARDS:
        inner = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    else:
        raise DataError(f"'{words}' stands for more than {MOST_SHARDS:,} shards.", "Name fewer.")
    before, after = words[: found.start()], words[found.end() :]
    return [one for part in inner for one in _expanded(f"{before}{part}{after}")]


def _name(words: str) -> str:
    """Of the data: that of the file, without what counts."""
    stem = TAR.sub("", Path(words).name)
    return BRACES.sub("", stem).strip("-_.") or "shards"


def _local(path: Path) -> Shard:
    return Shard(str(path), path.name, lambda: path.open("rb"))


def _remote(address: Address, source: Source, file: RemoteFile | None = None) -> Shard:
    """A shard at an address, or the one of its files that is named."""

    def read() -> IO[bytes]:
        known = file or listed(address, source)[0]
        return io.BufferedReader(_Pieces(pieces(address, source, known)), 2**20)

    place = f"{address.shown.rstrip('/')}/{file.name}" if file else address.shown
    return Shard(place, (file.name if file else address.name).rpartition("/")[2], read)


class _Pieces(io.RawIOBase):
    """A file of the bytes that are yielded."""

    def __init__(self, yielded: Iterator[bytes]) -> None:
        self._yielded, self._rest = yielded, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._yielded, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _members(shard: Shard) -> Iterator[tuple[str, str, bytes]]:
    """Yield the key, the field and the content of each member. Raises `DataError` for a damaged shard."""
    most = limits().file_bytes
    try:
        with shard.open() as opened, tarfile.open(fileobj=opened, mode="r|*") as archive:
            for info in archive:
                folder, _, name = info.name.rpartition("/")
                stem, _, field = name.partition(".")
                if not info.isfile() or not field or name.startswith("."):
                    continue
                if info.size > most:
                    raise DataError(
                        f"'{shard.shown}' holds '{info.name}' of {info.size:,} bytes; at most {most:,} are read.",
                        how_to_raise("file_bytes", info.size),
                    )
                content = archive.extractfile(info)
                yield f"{folder}/{stem}" if folder else stem, field.lower(), content.read() if content else b""
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            f"'{shard.shown}' cannot be read as a shard: {reason[:200]}.", "Fetch or write it again."
        ) from error


def _samples(shard: Shard) -> Iterator[tuple[str, Sample]]:
    """Yield the key and the fields of each example: members of one key follow each other."""
    for key, members in itertools.groupby(_members(shard), key=lambda member: member[0]):
        yield key, {field: content for _, field, content in members}


def _is_shard(shard: Shard) -> bool:
    """Whether the first members are examples with labels beside them; class folders in a tar file are not."""
    fields: dict[str, set[str]] = {}
    with suppress(DataError):  # what is damaged further on is said by whoever reads it
        for key, field, _ in itertools.islice(_members(shard), LOOKED_AT):
            fields.setdefault(key, set()).add(field)
    complete = [found for found in fields.values() if len(found) > 1 and found & set(LABELS)]
    return len(complete) > len(fields) / 2


def _row(key: str, sample: Sample, known: Mapping[str, Modality]) -> dict[str, Any]:
    """The columns of an example. known: the modality that reads each ending."""
    modalities = {field: known.get(f".{field.rpartition('.')[2]}") for field in sample}
    has_files = any(modality is not None and not modality.inline for modality in modalities.values())
    row: dict[str, Any] = {}
    for field, modality in modalities.items():
        if field == "cls":
            row["label"] = readable(sample[field]).strip()
        elif modality is not None and not (modality.inline and has_files):
            alone = not modality.inline and "." not in field and modality.name not in row
            row[modality.name if alone else field] = {"bytes": sample[field], "path": f"{key}.{field}"}
        elif field == "txt":
            row[field] = readable(sample[field])
    return {**(_said(key, sample["json"]) if "json" in sample else {}), **row}


def _said(key: str, content: bytes) -> dict[str, Any]:
    """What a .json says in single words and numbers, as written, or in lists of them."""
    try:
        found = parse_json(content, parse_int=str, parse_float=str)
    except ValueError as error:
        raise DataError(f"'{key}.json' in a shard is not JSON: {error}.", "Mend or write it again.") from error
    said = {name: str(value) if isinstance(value, bool) else value for name, value in dict(found).items()}
    return {
        name: value
        for name, value in said.items()
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
    }


def _kind(value: Any) -> pa.DataType:
    if isinstance(value, Mapping):
        return ENCODED
    return pa.list_(pa.string()) if isinstance(value, list) else pa.string()
