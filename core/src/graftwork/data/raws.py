"""Examples as given, each made on demand: files, texts, encoded bytes, objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, overload

from graftwork.data.labels import readable
from graftwork.data.listing import Listing, Part
from graftwork.data.path_guard import PathGuard
from graftwork.data.remote.addresses import Address
from graftwork.errors import DataError
from graftwork.specs.example_files import files_in
from graftwork.specs.limits import limits
from graftwork.specs.modality import Modality
from graftwork.specs.readers import Raw


class Raws(Sequence[Raw]):
    """The examples of a listing, each made on demand, so that a large table costs no object per row.

    numbers: the place of each in the listing. begin: how many examples came before the listing. path_guard: where paths
    among the inputs may lead, see `Listing`; checked each time that an input becomes a file.
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        modality: Modality,
        base: Path,
        numbers: Sequence[int] | None = None,
        begin: int = 0,
        path_guard: PathGuard | None = None,
    ) -> None:
        self._inputs, self._modality, self._base, self._begin, self._path_guard = (
            inputs,
            modality,
            base,
            begin,
            path_guard,
        )
        self.numbers: Sequence[int] = range(len(inputs)) if numbers is None else numbers

    @classmethod
    def of(cls, listing: Listing, numbers: Sequence[int] | None = None) -> Raws:
        """The examples of a listing, or those at the places `numbers` in it."""
        return cls(listing.inputs, listing.modality, listing.base, numbers, listing.begin, listing.path_guard)

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, numbers: Sequence[int]) -> Raws:
        """The examples at these places of the listing."""
        return Raws(self._inputs, self._modality, self._base, numbers, self._begin, self._path_guard)

    @overload
    def __getitem__(self, index: int) -> Raw: ...
    @overload
    def __getitem__(self, index: slice) -> Raws: ...
    def __getitem__(self, index: int | slice) -> Raw | Raws:
        if isinstance(index, slice):
            return self.at(self.numbers[index])
        number = self.numbers[index]
        return as_raw(self._begin + number, self._inputs[number], self._modality, self._base, self._path_guard)


def as_raw(number: int, item: Any, modality: Modality, base: Path, path_guard: PathGuard | None) -> Raw:
    """Make an example of an input as given: a path, a text, encoded bytes (as `datasets` keeps them), or an object.

    Raises `DataError` for a path that leads outside of the allowed folders.
    """

    if isinstance(item, Raw):
        return item
    if isinstance(item, str) and modality.inline:
        return Raw(readable(item) if item.strip() else f"row {number + 1}", value=item)

    def file(given: str, noun: str = "Row") -> Path:
        if (address := Address.of(given)) is not None:
            raise DataError(
                f"Row {number + 1} names '{address.shown}', an address; a table names files by paths relative to it.",
                "Fetch them into the folder of the table, and name them there.",
            )
        path = base / os.path.expanduser(given)  # noqa: PTH111  pathlib's raises for an unknown user
        if "\\" in given and not os.path.exists(path):  # noqa: PTH110  pathlib's raises for a very long one
            path = _from_windows(given, base) or path
        if path_guard is not None:
            path_guard.check(path, f"{noun} {number + 1}", given)
        return path

    def example(given: str, noun: str = "Row") -> Raw:
        path = file(given, noun)
        beside = companions(path, modality)
        if path_guard is not None:
            _check_files(path, beside, modality, path_guard, f"{noun} {number + 1}")
        return Raw(readable(given), path, companions=beside)

    if isinstance(item, Part):
        whole = as_raw(number, item.path, modality, base, path_guard)
        start, end = item.seconds
        return replace(whole, name=f"{whole.name} from {start:.2f} to {end:.2f} s", part=item.seconds)
    if isinstance(item, Path | str):
        return example(str(item), "Example" if isinstance(item, Path) else "Row")
    if isinstance(item, bytes) and modality.inline:
        return Raw(f"row {number + 1}", value=item)
    if isinstance(item, Mapping) and "bytes" in item:
        path = item.get("path")
        return (
            example(path) if path and item["bytes"] is None else Raw(path or f"row {number + 1}", None, item["bytes"])
        )
    if item is None:
        return Raw(f"row {number + 1}")
    return Raw(f"input {number + 1}", value=item)


def companions(path: Path, modality: Modality) -> tuple[Path, ...]:
    """The files beside an example that belong to it, in the order in which the modality declares them."""
    if not modality.companions or not path.name:
        return ()
    found = (path.with_name(path.stem + ending) for ending in modality.companions)
    return tuple(place for place in found if os.path.isfile(place))  # noqa: PTH113  pathlib's raises for a very long one


def _check_files(path: Path, beside: Sequence[Path], modality: Modality, guard: PathGuard, where: str) -> None:
    """Check the files of an example that is more than one, right before they are used. Raises as `PathGuard.check`."""
    inside = files_in(path) if modality.folders and os.path.isdir(path) else ()  # noqa: PTH112  as above
    for place in (*beside, *islice(inside, limits().folder_files)):
        guard.check(place, where, str(place))


def _from_windows(given: str, base: Path) -> Path | None:
    """The file that a path written with backslashes names, if there is one when they are read as slashes."""
    path = base / given.replace("\\", "/")
    return path if os.path.exists(path) else None  # noqa: PTH110


def files_among(inputs: Iterable[Any], modality: Modality) -> list[Any]:
    """The inputs; a string that names an existing file of an inline modality becomes a path instead of a text."""
    return [Path(item) if isinstance(item, str) and _names_file(item, modality) else item for item in inputs]


def _names_file(item: str, modality: Modality) -> bool:
    plausible = len(item) < 1024 and "\n" not in item and Path(item).suffix.lower() in modality.extensions
    return plausible and Path(item).is_file()
