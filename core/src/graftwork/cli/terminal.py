"""What leaves the process: results on stdout, messages to the person on stderr, and nothing that steers a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, TypeVar

from graftwork.errors import DataError
from graftwork.runtime.visible import json_text, visible

Result = TypeVar("Result")

_results: TextIO | None = None


def results() -> TextIO:
    """Where results go: stdout as it was when the command began."""
    return _results or sys.stdout


def tell(words: str) -> None:
    """A part of the result, on stdout."""
    with _room():
        print(visible(words), file=results())


def say(words: str) -> None:
    """A message to the person, on stderr."""
    print(visible(words), file=sys.stderr)


def document(value: Any) -> None:
    """A result as one JSON document, on stdout."""
    with _room():
        print(json_text(value, results().encoding or "utf-8"), file=results())


def answer(result: Result, render: Callable[[Result], None], json: bool) -> None:
    """The result of a command: one JSON document, or in words."""
    if json:
        document(result)
    else:
        render(result)


def upper(words: str) -> str:
    """The first letter large, the rest as it is."""
    return words[:1].upper() + words[1:]


def table(columns: list[str], rows: list[list[str]], numbers: tuple[str, ...] = ()) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    grid = Table(*[], box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(visible, row))
    console = Console(file=results(), markup=False, highlight=False, soft_wrap=False)
    # Piped to a file there is no width to fit, so nothing is folded.
    if not console.is_terminal:
        console.width = 240
    with _room():
        console.print(grid)


@contextmanager
def results_alone() -> Iterator[None]:
    """Keep stdout for results: what plugins and libraries print, also past Python, goes to stderr."""
    global _results
    stdout = sys.stdout
    stdout.flush()
    try:
        number = stdout.fileno()
    except (OSError, ValueError):  # a test's or a notebook's stdout is no file
        number = None
    kept = None if number is None else os.dup(number)
    out = stdout
    if number is not None and kept is not None:
        out = open(kept, "w", encoding=stdout.encoding, errors="backslashreplace")  # noqa: PTH123, SIM115
        os.dup2(sys.stderr.fileno(), number)
    _results, sys.stdout = out, sys.stderr
    try:
        yield
        with _room():
            out.flush()
    finally:
        _results, sys.stdout = None, stdout
        if number is not None and kept is not None:
            os.dup2(kept, number)
            with suppress(OSError):
                out.close()


@contextmanager
def _room() -> Iterator[None]:
    """Raises `DataError` where results find no room, and BrokenPipeError where nobody reads them."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(
            f"The results cannot be written to stdout: {error.strerror}.", "Make room, or name another file."
        ) from error


@contextmanager
def steady() -> Iterator[None]:
    """Keep stdout for the result: whatever a library prints meanwhile goes to stderr.

    What C libraries write past Python (libtiff, of each torn strip) is dropped, unless GRAFTWORK_DEBUG is set; what is
    wrong with a file is said in our own words.
    """
    stdout, stderr = sys.stdout, sys.stderr
    if os.environ.get("GRAFTWORK_DEBUG"):
        sys.stdout = stderr
        try:
            yield
        finally:
            sys.stdout = stdout
        return
    stderr.flush()
    kept = os.dup(2)
    with open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1) as clean:  # noqa: PTH123
        sys.stdout = sys.stderr = clean
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            clean.flush()
            os.dup2(kept, 2)
            os.close(kept)
            sys.stdout, sys.stderr = stdout, stderr
