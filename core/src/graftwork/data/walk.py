"""The files of a folder: links to folders are followed, and what systems and archives leave behind is no example."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})


@dataclass(frozen=True)
class Walk:
    """files: at any depth, sorted by the parts of their paths. notes: sentences about what is not among them."""

    files: list[Path]
    notes: tuple[str, ...] = ()


def walk(root: Path) -> Walk:
    """The files below a folder; `[root]` if it is a file.

    A link to a folder is followed unless the folder is read already or holds `root`, so that each is read once, under
    its own name where it has one. Hidden and system files are left out, and links that lead nowhere.
    """
    if not root.is_dir():
        return Walk([root])
    found = _Found(root)
    found.enter(root)
    while found.links:
        link = found.links.pop(0)
        if found.is_new(link):
            found.enter(link)
    return Walk(sorted(found.files), tuple(found.notes()))


class _Found:
    def __init__(self, root: Path) -> None:
        self.root, self.seen = root, {root.resolve(), *root.resolve().parents}
        self.files: list[Path] = []
        self.links: list[Path] = []
        self.debris: list[Path] = []
        self.dangling: list[Path] = []
        self.repeated: list[Path] = []

    def is_new(self, folder: Path) -> bool:
        real = folder.resolve()
        if real in self.seen:
            self.repeated.append(folder)
            return False
        self.seen.add(real)
        return True

    def enter(self, folder: Path) -> None:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = folder / entry.name
                if is_debris(entry):
                    self.debris.append(path)
                elif entry.is_dir():
                    if entry.is_symlink():
                        self.links.append(path)
                    elif self.is_new(path):
                        self.enter(path)
                elif entry.is_file():
                    self.files.append(path)
                elif entry.is_symlink():
                    self.dangling.append(path)

    def notes(self) -> list[str]:
        notes = []
        if self.debris:
            names = list(dict.fromkeys(path.name for path in self.debris))
            notes.append(f"Left out: hidden and system files ({shown(names)}), {len(self.debris)} in all.")
        if self.repeated:
            names = [str(path.relative_to(self.root)) for path in self.repeated]
            notes.append(f"Not followed: links to folders that are read already ({shown(names)}).")
        if self.dangling:
            names = [str(path.relative_to(self.root)) for path in self.dangling]
            notes.append(f"Left out: links that lead nowhere ({shown(names)}).")
        return notes


def is_debris(entry: os.DirEntry[str] | Path) -> bool:
    """Whether a file or folder is hidden, or left behind by a system or an archive."""
    name = entry.name.lower()
    return name.startswith(".") or name in (SYSTEM_FOLDERS if entry.is_dir() else SYSTEM_FILES)


def shown(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are ("a, b, c and 4 more")."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
