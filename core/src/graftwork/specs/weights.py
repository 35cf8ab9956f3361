"""Where pretrained weights live, and whether they are on this machine, without importing what reads them."""

from __future__ import annotations

import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from graftwork.errors import WeightsMismatch, WeightsUnavailable


def offline() -> bool:
    """Whether the environment forbids the network (GRAFTWORK_OFFLINE or HF_HUB_OFFLINE)."""
    return any(
        os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}
        for name in ("GRAFTWORK_OFFLINE", "HF_HUB_OFFLINE")
    )


class Weights(ABC):
    """A source of weights. size_bytes: their size on disk, 0 if unknown."""

    size_bytes: int

    @abstractmethod
    def find(self) -> Path | None:
        """The local file or folder if the weights are on this machine, else None. Never uses the network."""

    @property
    def at_hand(self) -> bool:
        """Whether nothing is left to fetch."""
        return self.find() is not None

    @abstractmethod
    def describe(self) -> str:
        """What they are and where they come from, in a few words."""

    @abstractmethod
    def remedy(self) -> str:
        """How a user gets them by hand."""

    def fetch(self) -> Path:
        """Bring them to this machine. Raises `WeightsUnavailable` if no network has them."""
        raise WeightsUnavailable(f"The weights {self.describe()} are not on this machine.", self.remedy())

    def obtain(self, backbone: str) -> Path:
        """The local path, fetched if needed.

        Raises `WeightsUnavailable`, naming `backbone` and the missing file, when offline or without network.
        """
        found = self.find()
        if found is not None:
            return found
        if offline():
            raise WeightsUnavailable(
                f"Backbone '{backbone}' wants {self.describe()}, which is not on this machine, and --offline forbids "
                "fetching it.",
                self.remedy(),
            )
        try:
            return self.fetch()
        except WeightsUnavailable as error:
            raise WeightsUnavailable(f"Backbone '{backbone}': {error.message}", error.hint) from error


@dataclass(frozen=True)
class NoWeights(Weights):
    """There are none: the encoder is code alone (hashing, a spectrum, a fixed random projection).

    Its spec says `parameters=0`, and `build` gets None for `weights`. Fixed numbers are buffers of its stages, the same
    each time it is built.
    """

    size_bytes: ClassVar[int] = 0  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def at_hand(self) -> bool:
        return True

    def find(self) -> None:
        return None

    def describe(self) -> str:
        return "code alone"

    def remedy(self) -> str:
        return "There is nothing to fetch."


@dataclass(frozen=True)
class PackagedWeights(Weights):
    """Weights inside an installed package: `path` is relative to the folder of the import name `package`."""

    package: str
    path: str
    install: str
    size_bytes: int = 0

    def find(self) -> Path | None:
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(next(iter(spec.submodule_search_locations))) / self.path
        return path if path.exists() else None

    def describe(self) -> str:
        return f"'{self.path}' of the package {self.package.replace('_', '-')}"

    def remedy(self) -> str:
        return f"Install them: {self.install}"


@dataclass(frozen=True)
class FolderWeights(Weights):
    """Weights in a folder that the user named. files: the required ones; `a|b` requires one of the two."""

    folder: Path
    size_bytes: int = 0
    files: tuple[str, ...] = ()

    def find(self) -> Path | None:
        there = all(any((self.folder / part).is_file() for part in name.split("|")) for name in self.files)
        return self.folder if there and self.folder.is_dir() else None

    def describe(self) -> str:
        return f"the folder '{self.folder}'"

    def remedy(self) -> str:
        return "Name a folder that holds config.json and model.safetensors."

    def obtain(self, backbone: str) -> Path:
        found = self.find()
        if found is None:
            names = ", ".join(self.files).replace("|", " or ") or "its files"
            raise WeightsUnavailable(
                f"Backbone '{backbone}' wants {names}, which '{self.folder}' does not hold.", self.remedy()
            )
        return found


@dataclass(frozen=True)
class UrlWeights(Weights):
    """One file at a URL, kept in torch's cache of downloads (TORCH_HOME).

    sha256: the digest or its beginning, as torchvision writes it into file names.
    """

    url: str
    sha256: str
    size_bytes: int = 0

    @property
    def cached(self) -> Path:
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        home = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()
        return home / "hub" / "checkpoints" / self.url.rsplit("/", 1)[-1]

    def find(self) -> Path | None:
        return self.cached if self.cached.is_file() else None

    def describe(self) -> str:
        return self.url

    def remedy(self) -> str:
        return f"Fetch it on a machine with a network and put it at {self.cached}"

    def fetch(self) -> Path:
        import urllib.error  # slow to import, and only a download needs it
        import urllib.request

        target = self.cached
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        import hashlib  # loads OpenSSL, which listing does not need

        digest = hashlib.sha256()
        try:
            with urllib.request.urlopen(self.url, timeout=10) as reply, partial.open("wb") as file:
                while chunk := reply.read(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
            if not digest.hexdigest().startswith(self.sha256):
                raise WeightsMismatch(
                    f"{self.url} gave a file with SHA-256 {digest.hexdigest()[:16]}…, not {self.sha256}….",
                    "Try again; if it stays so, the address no longer holds these weights.",
                )
            partial.replace(target)
        except (urllib.error.URLError, OSError) as error:
            raise WeightsUnavailable(
                f"{self.url} cannot be fetched ({_reason(error)}).", f"{self.remedy()}."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return target


SMALL = ("*.json", "*.txt", "README.md")
"""The files that describe a model in its repository: configuration, vocabulary, model card."""


@dataclass(frozen=True)
class HubWeights(Weights):
    """A model repository on the Hugging Face hub, kept in its cache (HF_HOME).

    files: the required ones, besides `SMALL`; `a|b` requires one of the two and prefers the first.
    revision: a branch, a tag or a commit. sha256: digests by file name, compared after a download.
    """

    repo: str
    files: tuple[str, ...]
    revision: str = "main"
    size_bytes: int = 0
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def _cache(self) -> Path:
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        home = os.environ.get("HF_HOME", f"{cache}/huggingface")
        return (
            Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser() / f"models--{self.repo.replace('/', '--')}"
        )

    def find(self) -> Path | None:
        reference = self._cache / "refs" / self.revision
        commit = reference.read_text().strip() if reference.is_file() else self.revision
        snapshot = self._cache / "snapshots" / commit
        present = [any((snapshot / part).exists() for part in name.split("|")) for name in self.files]
        return snapshot if present and all(present) else None

    def describe(self) -> str:
        return f"{', '.join(self.files).replace('|', ' or ')} of '{self.repo}' on the Hugging Face hub"

    def remedy(self) -> str:
        return f"Fetch it on a machine with a network and copy its cache over: hf download {self.repo}"

    def fetch(self) -> Path:
        if reason := hub_unreachable():
            raise WeightsUnavailable(f"{self.describe()} cannot be fetched ({reason}).", f"{self.remedy()}.")
        try:
            from huggingface_hub import list_repo_files, snapshot_download  # pyright: ignore[reportMissingImports]

            published = set(list_repo_files(self.repo, revision=self.revision))
            names = [
                next((part for part in name.split("|") if part in published), name.split("|")[0]) for name in self.files
            ]
            snapshot_download(self.repo, revision=self.revision, allow_patterns=[*names, *SMALL])
        except Exception as error:  # the hub's client raises a wide family of its own and of its transport
            raise WeightsUnavailable(
                f"{self.describe()} cannot be fetched ({_reason(error)}).", f"{self.remedy()}."
            ) from error
        found = self.find()
        if found is None:
            raise WeightsUnavailable(f"{self.describe()}: the download left no complete copy.", f"{self.remedy()}.")
        for name, stated in self.sha256.items():
            self._compare(found / name, stated)
        return found

    def _compare(self, file: Path, stated: str) -> None:
        import hashlib

        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != stated:
            file.resolve().unlink()  # the cache holds files as links to what they contain
            file.unlink(missing_ok=True)
            raise WeightsMismatch(
                f"'{file.name}' of '{self.repo}' has SHA-256 {digest[:16]}…, not {stated[:16]}….",
                "Try again; if it stays so, the repository no longer holds these weights.",
            )


def hub_unreachable() -> str:
    """Why the Hugging Face hub cannot be reached; empty if it can, or if a proxy is set.

    Checked first because the hub's own client retries for half a minute.
    """
    import socket
    from urllib.parse import urlsplit

    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return ""
    hub = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        socket.create_connection((hub.hostname, hub.port or (80 if hub.scheme == "http" else 443)), timeout=5).close()
    except OSError as error:
        return _reason(error)
    return ""


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
