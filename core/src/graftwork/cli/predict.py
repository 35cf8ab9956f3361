"""`graftwork predict`: labels with probabilities for new inputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from graftwork.cli.options import Device, Json, Offline, go_offline
from graftwork.cli.terminal import answer, say, steady, table
from graftwork.errors import DataError, UsageError


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
    """Labels with probabilities for new inputs."""
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
    if all(one["label"] is None for one in answers):
        raise DataError(answers[0]["error"], "Give a file or text that can be read.")
    answer(answers, render, json)


def _lines() -> list[str]:
    # Bytes that are not UTF-8 stay in the text as they do in arguments (PEP 383), for the text plugin to put right.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def render(answers: list[dict[str, Any]]) -> None:
    """The answers as a table; those that cannot be read, on stderr."""
    rows = []
    for one in answers:
        if one["label"] is None:
            say(one["error"])
            continue
        ranked = sorted(one["probabilities"].items(), key=lambda item: -item[1])
        rest = ", ".join(f"{label} {p:.3f}" for label, p in ranked[1:3])
        rows.append([one["input"], one["label"], f"{ranked[0][1]:.3f}", rest])
    table(["input", "label", "probability", "then"], rows, ("probability",))
    say("Next: graftwork evaluate RUN DATA")
