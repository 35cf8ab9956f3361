"""From what a user names to a path on this machine: addresses are fetched, archives unpacked; and back, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from graftwork.data.listing import Listing, Part
from graftwork.data.path_guard import PathGuard
from graftwork.data.remote import archives, kept
from graftwork.data.remote.addresses import Address, chained, is_address
from graftwork.data.remote.fetching import fetch, fetch_beside
from graftwork.errors import DataError, GraftworkError


def fetched(words: str) -> Path:
    """The path that words are, or the local copy of what lies at an address, also of what lies in an archive there.

    Raises `DataError` if it cannot be fetched or unpacked, `UsageError` for a chain of other addresses.
    """
    words, inside = chained(words)
    address = Address.of(words)
    path = Path(words).expanduser() if address is None else fetch(address)
    if not inside:
        return path
    if not (path.is_file() and archives.is_archive(path)):
        raise DataError(f"'{shown(path)}' is no archive.", f"Archives end in {', '.join(archives.ENDINGS)}.")
    folder = archives.unpacked(path, shown(path))
    root = folder.parent if folder.is_file() else folder
    found = root / inside
    if not found.exists() or not found.resolve().is_relative_to(root.resolve()):
        raise DataError(f"'{shown(path)}' holds no '{inside}'.", "Leave out what stands before ::")
    return found


def unpacked(path: Path) -> Path:
    """What an archive holds; another path as it is. Raises `DataError` if it cannot be unpacked."""
    return archives.unpacked(path, shown(path)) if path.is_file() and archives.is_archive(path) else path


def is_copy(path: Path) -> bool:
    """Whether a path is, or lies in, what was fetched or unpacked."""
    return kept.copy_at(path) is not None


def shown(path: Path) -> str:
    """A path in messages: the address of what it is a copy of."""
    copy = kept.copy_at(path)
    if copy is None:
        return str(path)
    below = path.relative_to(copy.content).parts[1:]
    return "/".join([copy.address.rstrip("/") if below else copy.address, *below])


def as_named(listing: Listing, folder: Path) -> Listing:
    """The listing of a folder or table that is a copy, in the words of what it is a copy of."""
    copy = kept.copy_at(folder)
    if copy is None:
        return listing
    listing = replace(listing, notes=(*copy.notes, *listing.notes))
    if listing.rows:
        return listing
    inputs = [_below(folder, item) for item in listing.inputs]
    return replace(listing, place=f"folder '{shown(folder)}'", inputs=inputs, base=folder)


def _below(folder: Path, item: object) -> object:
    """An input as seen from a folder; a text, and a path that leads elsewhere, as it is."""
    if isinstance(item, Part):
        return Part(Path(str(_below(folder, item.path))), item.seconds)
    return item.relative_to(folder) if isinstance(item, Path) and item.is_relative_to(folder) else item


def with_files(listing: Listing, source: object) -> Listing:
    """The listing of a table at an address, with the files that it names beside it fetched too."""
    copy = kept.copy_at(listing.base)
    address = Address.of(str(source))
    if copy is None or address is None or not (copy.content / address.name).is_file():
        return listing
    inline = listing.modality.inline
    names = {path for one in listing.inputs if (path := _file(one, inline)) and _is_below(path)}
    if not names:
        return listing
    base = fetch_beside(address, names)
    return replace(listing, base=base, path_guard=listing.path_guard and PathGuard(listing.name, base))


def _file(cell: object, inline: bool) -> str | None:
    """The path in a cell: of a struct without bytes; a string is one unless the modality reads it as it is."""
    if isinstance(cell, Mapping):
        return cell.get("path") if cell.get("bytes") is None else None
    return cell if isinstance(cell, str) and not inline else None


def _is_below(path: str) -> bool:
    return (
        bool(path.strip()) and not is_address(path) and not path.startswith(("/", "~")) and ".." not in path.split("/")
    )


@contextmanager
def in_words() -> Iterator[None]:
    """Names addresses in messages where they name local copies."""
    try:
        yield
    except GraftworkError as error:
        error.message, error.hint = _in_words(error.message), _in_words(error.hint)
        raise


def _in_words(message: str) -> str:
    root = re.escape(str(kept.sources_folder()))
    return re.sub(rf"{root}/\w+/[0-9a-f]+/content/[^/'\n]+", lambda found: shown(Path(found[0])), message)
