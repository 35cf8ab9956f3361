"""The settings of a task's own: `--task-option size=640`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graftwork.errors import UsageError


def options_of(name: str, usual: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the task `name`: `usual` values, and what is given in their place, read as of the same type.

    Raises `UsageError` for an option that the task has not, and for a value of another type.
    """
    found = dict(usual)
    for option, value in given.items():
        if option not in usual:
            said = ", ".join(f"{key} (usually {value})" for key, value in usual.items()) or "none"
            raise UsageError(f"The task '{name}' has no option '{option}'; it has {said}.", "Leave it out.")
        found[option] = _read(option, value, usual[option])
    return found


def _read(option: str, value: Any, usual: Any) -> Any:
    try:
        if isinstance(usual, bool):
            return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
        made = type(usual)(value)
        if isinstance(usual, int) and float(value) != made:
            raise ValueError
        return made
    except (KeyError, TypeError, ValueError):
        words = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(usual), "a word")
        raise UsageError(
            f"The task option {option}={value} is not accepted; it is {words}.",
            f"Write: --task-option {option}={usual}",
        ) from None
