"""Where the sounds lie that label files name, and which split their folder says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graftwork import DataError, split_of
from graftwork_audio.plugin import EXTENSIONS


def split_below(root: Path, path: Path) -> str:
    """The split that the first folder on the way from `root` to `path` with such a name says."""
    return next((split for part in path.relative_to(root).parts[:-1] if (split := split_of(part))), "")


def sound(folder: Path, name: str) -> Path:
    """The file of this name in a folder, whatever its ending; where there is none, the path that was looked for first.

    Raises `DataError` for a name that leads out of the folder.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(
            f"The label files in '{folder}' name '{name}', which leads out of it; names of files in it are accepted.",
            "Put the sounds there.",
        )
    path = folder / name
    if path.is_file():
        return path
    known = path.suffix.lower() in EXTENSIONS
    bare = [path.with_suffix(""), path] if known else [path]
    found = (each.parent / f"{each.name}{ending}" for each in bare for ending in EXTENSIONS)
    return next((each for each in found if each.is_file()), path if known else path.parent / f"{path.name}.wav")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers. Raises `DataError` for bytes that are no
    UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not written in UTF-8: {error.reason}.", "Save it as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def first_line(path: Path) -> str:
    """The first line of a file; empty where it is no text in UTF-8."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.readline(100_000)
    except (UnicodeDecodeError, OSError):
        return ""
