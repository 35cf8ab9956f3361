"""`graftwork predict`: what a saved run answers for new inputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli.options import Device, Json, Offline, go_offline
from graftwork.cli.terminal import answer, say, steady, table
from graftwork.errors import DataError, UsageError

if TYPE_CHECKING:
    from graftwork.tasks.task import Task


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Files, folders of files, or texts; - reads one a line from standard input."
        ),
    ],
    device: Device = "cpu",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """What a saved run answers for new inputs: labels with probabilities, values."""
    go_offline(offline)
    from graftwork.data import folders
    from graftwork.plugins import registry
    from graftwork.runs import run as runs

    given = [line for item in inputs for line in (_lines() if item == "-" else [item])]
    if not given:
        raise UsageError("Standard input is empty; one input a line is accepted.", "See: graftwork predict --help")
    with steady():
        loaded = runs.load(run)
        if not registry.modality(loaded.record["modality"]).inline:
            given = [str(file) for item in given for file in folders.files_below(Path(item))]
        answers = loaded.predict(given, device=device)
    if all("error" in one for one in answers):
        raise DataError(answers[0]["error"], "Give a file or text that can be read.")
    answer(answers, lambda found: render(found, loaded.task), json)


def _lines() -> list[str]:
    # Bytes that are not UTF-8 stay in the text as they do in arguments (PEP 383), for the text plugin to put right.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def render(answers: list[dict[str, Any]], task: Task) -> None:
    """The answers as a table; those that cannot be read, on stderr."""
    rows = []
    for one in answers:
        if "error" in one:
            say(one["error"])
        else:
            rows.append([one["input"], *task.cells(one)])
    table(["input", *task.columns()], rows, ("probability", "value"))
    say("Next: graftwork evaluate RUN DATA")
