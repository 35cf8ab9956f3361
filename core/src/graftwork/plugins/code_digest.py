"""A digest of the code behind a result: the sources of a package and the versions of its libraries.

A version number alone would miss sources that are being worked on, since they change without a new version.
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
"""The folders of the core that decide the features of an example. A module that moves between them stays in the digest.
"""


def core() -> str:
    """A digest of the core's own code between an example and its features."""
    root = Path(__file__).parents[1]
    return _digest([file for folder in FOLDERS for file in (root / folder).rglob("*.py")], root)


@cache
def made_by(factory: str) -> str:
    """A digest of the package that holds `module:attribute`, and of the versions of its requirements."""
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
    """The installed versions of the requirements of a plugin's distribution."""
    owner = installed().distribution(package)
    try:
        requirements = distribution(owner).requires or [] if owner else []
    except PackageNotFoundError:
        return {}
    versions = {}
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # belongs to an extra that is not installed
            continue
    return versions
