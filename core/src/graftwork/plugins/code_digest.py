"""What code made a result: the sources and the libraries behind a factory, as a digest.

A version number would do for what was released; sources that are being worked on change without one.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from graftwork.plugins.loading import installed

FOLDERS = ("specs", "data", "models", "features")
"""The folders of the core that decide what an example becomes. A module that moves between them stays in the digest."""


def core() -> str:
    """A digest of what the core itself does between an example and its features."""
    root = Path(__file__).parents[1]
    return _digest([file for folder in FOLDERS for file in (root / folder).rglob("*.py")], root)


@cache
def made_by(factory: str) -> str:
    """A digest of the package that `module:attribute` lies in, and of the versions of what it requires."""
    package = factory.partition(":")[0].partition(".")[0]
    module = sys.modules.get(package) or importlib.import_module(package)
    roots = [Path(root) for root in getattr(module, "__path__", [])]
    files = [file for root in roots for file in root.rglob("*.py")]
    if not files and getattr(module, "__file__", None):
        files = [Path(str(module.__file__))]
    found = f"{_digest(files, *roots)} {sorted(_libraries(package).items())}"
    return hashlib.blake2b(found.encode(), digest_size=16).hexdigest()


def _digest(files: list[Path], *roots: Path) -> str:
    sha = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        name = next((str(file.relative_to(root)) for root in roots if file.is_relative_to(root)), file.name)
        content = file.read_bytes()
        sha.update(f"{name} {len(content)} ".encode() + content)
    return sha.hexdigest()


def _libraries(package: str) -> dict[str, str]:
    """The installed versions of what the distribution of a plugin's package requires."""
    owner = installed().distribution(package)
    try:
        wanted = distribution(owner).requires or [] if owner else []
    except PackageNotFoundError:
        return {}
    found = {}
    for requirement in wanted:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
    return found
