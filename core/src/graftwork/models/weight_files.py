"""Weight files hold tensors only: a file that would have to run code to be read is refused."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor

from graftwork.errors import WeightsMismatch


def load_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors, by name, of a file that `torch.save` wrote (.pth, .bin), in main memory.

    Raises `WeightsMismatch` for a file that is damaged, or holds anything but tensors.
    """
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
            raise TypeError("it holds something else than tensors by name")
        return found
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise WeightsMismatch(
            f"'{file}' cannot be read as weights: {failure_reason(error)}.",
            "Delete it so that it is fetched again, or get it from whom it comes as safetensors.",
        ) from error


def failure_reason(error: BaseException) -> str:
    """Why weights could not be read, in one line. Leaves out torch's advice to run the code in the file."""
    if isinstance(error, pickle.UnpicklingError):
        named = re.search(r"GLOBAL (\S+)", str(error))
        return f"it holds code ({named[1]}), which is never run" if named else "it is not a file of tensors"
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
