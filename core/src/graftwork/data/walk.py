"""The files of a folder: links to folders are followed, and what systems and archives leave behind is no example."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
LONGEST_LINK = 1024
"""Bytes of a path in a file that stands for a link."""
SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})


@dataclass(frozen=True)
class Walk:
    """files: at any depth, sorted by the parts of their paths. notes: sentences about what is not among them.

    real: where files lie that are reached through a link that was checked out as a file, which is no folder to open.
    empty: folders that hold neither files nor folders. folders: those among `files` that are an example each.
    """

    files: list[Path]
    notes: tuple[str, ...] = ()
    real: Mapping[Path, Path] = field(default_factory=dict)
    empty: tuple[Path, ...] = ()
    folders: frozenset[Path] = frozenset()

    def at(self, path: Path) -> Path:
        """The path by which a file can be opened."""
        return self.real.get(path, path)


def walk(root: Path, *, trusted: bool = True) -> Walk:
    """The files below a folder; `[root]` if it is a file.

    A link to a folder is followed unless the folder is read already or holds `root`, so that each is read once, under
    its own name where it has one; so is a link that Git checked out as a small file with the path in it, as it does on
    Windows, but not in a folder that is not the user's own word (trusted: what was fetched or unpacked), which might
    name any folder of this machine. Hidden and system files are left out, and links that lead nowhere.
    """
    if not root.is_dir():
        return Walk([root])
    found = _Found(root, trusted)
    found.enter(root, root)
    while found.links:
        link, folder = found.links.pop(0)
        if found.is_new(folder, link):
            found.enter(folder, link)
    return Walk(sorted(found.files), tuple(found.notes()), found.real, tuple(found.empty))


class _Found:
    def __init__(self, root: Path, trusted: bool) -> None:
        self.trusted = trusted
        self.root, self.seen = root, {root.resolve(), *root.resolve().parents}
        self.files: list[Path] = []
        self.real: dict[Path, Path] = {}
        self.links: list[tuple[Path, Path]] = []
        self.as_files: list[Path] = []
        self.debris: list[Path] = []
        self.dangling: list[Path] = []
        self.special: list[Path] = []
        self.empty: list[Path] = []
        self.repeated: list[Path] = []

    def is_new(self, folder: Path, named: Path) -> bool:
        real = folder.resolve()
        if real in self.seen:
            self.repeated.append(named)
            return False
        self.seen.add(real)
        return True

    def enter(self, folder: Path, named: Path) -> None:
        """Take what a folder holds. named: its path as seen from the root."""
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = named / entry.name
                if is_debris(entry):
                    self.debris.append(path)
                elif entry.is_dir():
                    if entry.is_symlink():
                        self.links.append((path, folder / entry.name))
                    elif self.is_new(folder / entry.name, path):
                        self.enter(folder / entry.name, path)
                        if not any(os.scandir(folder / entry.name)):
                            self.empty.append(path)
                elif entry.is_file():
                    if self.trusted and (target := _link_in_file(entry)) is not None:
                        self.as_files.append(path)
                        self.links.append((path, target))
                        continue
                    self.files.append(path)
                    if folder != named:
                        self.real[path] = folder / entry.name
                elif _exists(entry):
                    self.special.append(path)
                elif entry.is_symlink():
                    self.dangling.append(path)

    def notes(self) -> list[str]:
        notes = []
        if self.debris:
            names = list(dict.fromkeys(path.name for path in self.debris))
            notes.append(f"Left out: hidden and system files ({shown(names)}), {len(self.debris)} in all.")
        if self.as_files:
            names = [str(path.relative_to(self.root)) for path in self.as_files]
            notes.append(f"Followed: links to folders that were checked out as files ({shown(names)}).")
        if self.repeated:
            names = [str(path.relative_to(self.root)) for path in self.repeated]
            notes.append(f"Not followed: links to folders that are read already ({shown(names)}).")
        if self.dangling:
            names = [str(path.relative_to(self.root)) for path in self.dangling]
            notes.append(f"Left out: links that lead nowhere ({shown(names)}).")
        if self.special:
            names = [str(path.relative_to(self.root)) for path in self.special]
            notes.append(f"Left out: pipes, devices and sockets, which are never opened as data ({shown(names)}).")
        if hollow := [path for path in self.empty if path.suffix]:
            names = [str(path.relative_to(self.root)) for path in hollow]
            notes.append(f"Left out: folders that are named like files and are empty ({shown(names)}).")
        return notes


def _exists(entry: os.DirEntry[str]) -> bool:
    """Whether there is something at the end of all links."""
    try:
        return bool(entry.stat())
    except OSError:
        return False


def _link_in_file(entry: os.DirEntry[str]) -> Path | None:
    """The folder that a small file without an ending names by a relative path and nothing else."""
    if "." in entry.name or not 0 < entry.stat().st_size <= LONGEST_LINK:
        return None
    words = Path(entry.path).read_bytes()
    if not words.isascii() or b"/" not in words or any(sign in words for sign in b"\n\r\0"):
        return None
    target = Path(entry.path).parent / words.decode()
    return target if not words.startswith(b"/") and target.is_dir() else None


def is_debris(entry: os.DirEntry[str] | Path) -> bool:
    """Whether a file or folder is hidden, or left behind by a system or an archive."""
    name = entry.name.lower()
    return name.startswith(".") or name in (SYSTEM_FOLDERS if entry.is_dir() else SYSTEM_FILES)


def shown(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are ("a, b, c and 4 more")."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
