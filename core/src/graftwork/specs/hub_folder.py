"""Folder layouts: models as on the hub (config.json beside model.safetensors), and runs."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graftwork.errors import DataError
from graftwork.specs.config_fields import check_fields
from graftwork.specs.json_text import parse_json
from graftwork.specs.model_sizes import check_sizes
from graftwork.specs.weights import FolderWeights, HubWeights, Weights

HUB_WEIGHTS = "model.safetensors"
ANY_HUB_WEIGHTS = (HUB_WEIGHTS, "pytorch_model.bin")
"""The weight files that transformers writes, now and in the past."""
MOST_HEADER = 100_000_000
"""The longest header, in bytes, that the safetensors library reads: no file can ask for unlimited memory."""
UNSTATED = "as its owner states"


@dataclass(frozen=True)
class ModelFolder:
    """A model in hub layout that a user named.

    folder: holds its small files; the weights may still be missing. name: as the user wrote it. repo, commit: its
    repository and commit on the Hugging Face hub; empty for a local folder. card: the pretraining card, if `graftwork
    pretrain` made it.
    """

    name: str
    folder: Path
    repo: str = ""
    commit: str = ""
    card: Mapping[str, Any] | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The contents of config.json. Raises `DataError` for sizes that are none, or above the limits."""
        found = self.read("config.json")
        check_sizes(self.folder / "config.json", found)
        return found

    @property
    def source(self) -> str:
        return f"https://huggingface.co/{self.repo}/tree/{self.commit}" if self.repo else str(self.folder)

    @property
    def pretrained_on(self) -> str:
        """Its pretraining data by its card; `UNSTATED` without one."""
        if self.card is None:
            return UNSTATED
        data, unit = self.card["data"], self.card["data"]["unit"]
        amount = f"{data['amount']:.3g} {unit} of " if unit != "examples" else ""
        return f"{amount}{data['name']}, {data['examples']:,} examples ({self.card['objective']})"

    @property
    def license(self) -> str:
        """The licence in the metadata block of README.md; `UNSTATED` without one."""
        card = self.folder / "README.md"
        head = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0] if card.is_file() else ""
        found = re.search(r"^license: *(\S+)", head, re.M) if head.startswith("---") else None
        return found[1].strip("'\"") if found else UNSTATED

    def read(self, file: str) -> dict[str, Any]:
        """One of its config files, see `read_json`."""
        return read_json(self.folder / file)

    def want(self, *files: str) -> None:
        """Raises `DataError` naming the first of `files` that is missing; `a|b` requires one of the two."""
        for file in files:
            if not any((self.folder / part).is_file() for part in file.split("|")):
                raise DataError(
                    f"'{self.name}' has no {file.replace('|', ' or ')}.",
                    "Save the model and what prepares its input into the folder: save_pretrained(FOLDER)",
                )

    def weights(self, *files: str) -> Weights:
        """Its weights, in the first of `files` that exists."""
        size, names = self._size(files), "|".join(files)
        if self.repo:
            return HubWeights(self.repo, ("config.json", names), self.commit, size)
        return FolderWeights(self.folder, size, (names,))

    def parameters(self, belongs: Callable[[str], bool] = lambda name: True) -> int | None:
        """The number of parameters in tensors whose names belong to the encoder; None without model.safetensors."""
        return count_parameters(self.folder, belongs) if (self.folder / HUB_WEIGHTS).is_file() else None

    def _size(self, files: tuple[str, ...]) -> int:
        found = (self.folder / file for file in files)
        return next((file.stat().st_size for file in found if file.is_file()), 0)


def unfinished_folder(run: Path) -> Path:
    """The folder that keeps the checkpoints of a fit to `run` until it ends."""
    return run.with_name(f"{run.name}.unfinished")


def read_json(file: Path) -> dict[str, Any]:
    """The contents of a small config file; empty if there is no file.

    Raises `DataError` if it is no JSON object, or a setting that is known holds what it cannot hold.
    """
    if not file.is_file():
        return {}
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"'{file}' is not JSON: {error}.", "Save the model again.") from error
    except OSError as error:
        raise DataError(f"'{file}' cannot be read: {error.strerror}.", "Let this user read it.") from error
    if not isinstance(found, dict):
        raise DataError(f"'{file}' holds no settings.", "Save the model again.")
    check_fields(file, found)
    return found


def count_parameters(folder: Path, belongs: Callable[[str], bool]) -> int:
    """The number of parameters in tensors whose names belong to the encoder, from the header of model.safetensors
    alone.

    Format: 8 bytes of header length, little-endian, then JSON (as safetensors documents it).
    Raises `DataError` if the file is not in that format.
    """
    path = folder / HUB_WEIGHTS
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = parse_json(file.read(length) if length <= MOST_HEADER else b"")
        return sum(math.prod(t["shape"]) for key, t in header.items() if key != "__metadata__" and belongs(key))
    except (struct.error, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"'{path}' is not a safetensors file.", "Save or fetch the model again.") from error
