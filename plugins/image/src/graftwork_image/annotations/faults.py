"""The sentence for a label file that does not keep to its format."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from graftwork import DataError

CORRECT = "Correct it there, or export the labels again."
LONGEST = 40


def fault(file: Path, where: str, given: object, accepted: str, hint: str = CORRECT) -> DataError:
    """where: the line or field, as a noun. given: what stands there; None where nothing does. accepted: a clause."""
    said = repr(given) if isinstance(given, str) else str(given)
    shown = "missing" if given is None else said if len(said) <= LONGEST else f"{said[:LONGEST]}..."
    return DataError(f"{where} of '{file}' is {shown}; {accepted}.", hint)


def unread(file: Path, error: OSError | UnicodeDecodeError) -> DataError:
    """The error for a label file that cannot be opened, or is no UTF-8."""
    reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
    return DataError(f"'{file}' cannot be read as a label file: {reason}.", "Export the labels again.")


def text_of(file: Path) -> str:
    """The text of a label file; a byte order mark is no part of it. Raises `DataError` where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise unread(file, error) from error


def number(value: Any, file: Path, where: str, accepted: str = "a number is accepted") -> float:
    """A finite number, from JSON or from text. Raises `DataError` for anything else."""
    try:
        found = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise fault(file, where, value, accepted)
    return found


def needs_outline(file: Path, where: str) -> DataError:
    """The error for a box among the labels that a mask is wanted of."""
    return DataError(
        f"{where} of '{file}' has a box and no outline; for masks an outline of each thing is accepted.",
        "Train on the boxes instead: --task detect",
    )
