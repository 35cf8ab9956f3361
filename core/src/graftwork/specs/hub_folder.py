"""How folders are laid out: models as the hub has them (config.json beside model.safetensors), and runs."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graftwork.errors import DataError
from graftwork.specs.weights import FolderWeights, HubWeights, Weights

HUB_WEIGHTS = "model.safetensors"
ANY_HUB_WEIGHTS = (HUB_WEIGHTS, "pytorch_model.bin")
"""The files that transformers saves weights in, now and in the past."""
MOST_HEADER = 100_000_000
"""Bytes of a header that the safetensors library reads, so that no file can ask for any amount of memory."""
UNSTATED = "as its owner states"


@dataclass(frozen=True)
class ModelFolder:
    """A model in hub layout that a user named: `folder` holds its small files, and its weights or not yet.

    name: as the user wrote it. repo, commit: what of the Hugging Face hub it is; empty for a folder of the user's own.
    card: what `graftwork pretrain` wrote of it, where that made it.
    """

    name: str
    folder: Path
    repo: str = ""
    commit: str = ""
    card: Mapping[str, Any] | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """What config.json says."""
        return self.read("config.json")

    @property
    def source(self) -> str:
        return f"https://huggingface.co/{self.repo}/tree/{self.commit}" if self.repo else str(self.folder)

    @property
    def pretrained_on(self) -> str:
        """What its card says it was trained on, where it has one of ours."""
        if self.card is None:
            return UNSTATED
        data, unit = self.card["data"], self.card["data"]["unit"]
        amount = f"{data['amount']:.3g} {unit} of " if unit != "examples" else ""
        return f"{amount}{data['name']}, {data['examples']:,} examples ({self.card['objective']})"

    @property
    def license(self) -> str:
        """The licence in the head of the model card, where there is one."""
        card = self.folder / "README.md"
        head = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0] if card.is_file() else ""
        found = re.search(r"^license: *(\S+)", head, re.M) if head.startswith("---") else None
        return found[1].strip("'\"") if found else UNSTATED

    def read(self, file: str) -> dict[str, Any]:
        """One of its config files, see `read_json`."""
        return read_json(self.folder / file)

    def want(self, *files: str) -> None:
        """Raises `DataError` naming the first of `files` that is missing; `a|b` wants one of them."""
        for file in files:
            if not any((self.folder / part).is_file() for part in file.split("|")):
                raise DataError(
                    f"'{self.name}' has no {file.replace('|', ' or ')}.",
                    "Save the model and what prepares its input into the folder: save_pretrained(FOLDER)",
                )

    def weights(self, *files: str) -> Weights:
        """Its weights, in the first of `files` that there is."""
        size, wanted = self._size(files), "|".join(files)
        if self.repo:
            return HubWeights(self.repo, ("config.json", wanted), self.commit, size)
        return FolderWeights(self.folder, size, (wanted,))

    def parameters(self, belongs: Callable[[str], bool] = lambda name: True) -> int:
        """Numbers in the tensors whose names belong to the encoder; 0 where model.safetensors is not here."""
        return count_parameters(self.folder, belongs) if (self.folder / HUB_WEIGHTS).is_file() else 0

    def _size(self, files: tuple[str, ...]) -> int:
        found = (self.folder / file for file in files)
        return next((file.stat().st_size for file in found if file.is_file()), 0)


def unfinished_folder(run: Path) -> Path:
    """Where the checkpoints of a fit to `run` are kept until it ends."""
    return run.with_name(f"{run.name}.unfinished")


def read_json(file: Path) -> dict[str, Any]:
    """A small config file; empty when it does not exist. Raises `DataError` when it is not a JSON object."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"'{file}' is not JSON: {error}.", "Save the model again.") from error
    if not isinstance(found, dict):
        raise DataError(f"'{file}' holds no settings.", "Save the model again.")
    return found


def count_parameters(folder: Path, belongs: Callable[[str], bool]) -> int:
    """Numbers in the tensors whose names belong to the encoder, from the header of model.safetensors alone.

    Format: 8 bytes of header length, little-endian, then JSON (safetensors' own description of it).
    Raises `DataError` for a file that is none.
    """
    path = folder / HUB_WEIGHTS
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length) if length <= MOST_HEADER else b"")
        return sum(math.prod(t["shape"]) for key, t in header.items() if key != "__metadata__" and belongs(key))
    except (struct.error, ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is not a safetensors file.", "Save or fetch the model again.") from error
