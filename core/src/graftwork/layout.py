"""How folders are laid out: models as the hub has them (config.json beside model.safetensors), and runs."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graftwork.errors import DataError

WEIGHTS = "model.safetensors"


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


def want_files(name: str, folder: Path, *files: str) -> None:
    """Raises `DataError` naming the first of `files` that `folder` lacks."""
    for file in files:
        if not (folder / file).is_file():
            raise DataError(
                f"'{name}' has no {file}.",
                "Save the model and what prepares its input into the folder: save_pretrained(FOLDER)",
            )


def count_parameters(folder: Path, belongs: Callable[[str], bool]) -> int:
    """Numbers in the tensors whose names belong to the encoder, from the header of model.safetensors alone.

    Format: 8 bytes of header length, little-endian, then JSON (safetensors' own description of it).
    """
    with (folder / WEIGHTS).open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return sum(math.prod(t["shape"]) for key, t in header.items() if key != "__metadata__" and belongs(key))
