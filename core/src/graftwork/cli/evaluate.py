"""`graftwork evaluate`: metrics of a saved run on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli.options import (
    AllowOutside,
    Device,
    DropLabel,
    Input,
    Json,
    Label,
    LabelMap,
    Layout,
    NoCache,
    Offline,
    OnBad,
    Streaming,
    go_offline,
    read_data,
)
from graftwork.cli.results import metrics_table, say_conversions
from graftwork.cli.terminal import answer, say, steady, tell

if TYPE_CHECKING:
    from graftwork.tasks.task import Task


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Labelled data; their test split is used where they bring one.")
    ],
    input: Input = None,
    label: Label = None,
    layout: Layout = "",
    label_map: LabelMap = None,
    drop_label: DropLabel = None,
    allow_outside: AllowOutside = False,
    streaming: Streaming = False,
    on_bad: OnBad = "skip",
    no_cache: NoCache = False,
    device: Device = "cpu",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Metrics of a saved run on labelled data."""
    go_offline(offline)
    from graftwork.runs import run as runs

    loaded = runs.load(run)
    with steady():
        options = loaded.source_options(
            input=input, label=label, layout=layout, label_map=label_map, drop_label=drop_label,
            allow_outside=allow_outside,
        )  # fmt: skip
        found = read_data(data, options, streaming)
        result = loaded.evaluate(found, on_bad=on_bad, device=device, cache=not no_cache)
    answer({"run": str(run), **result}, lambda found: render(found, loaded.task), json)


def render(result: dict[str, Any], task: Task) -> None:
    """The metrics."""
    say_conversions(result["agreement"])
    for warning in result["warnings"]:
        say(f"Warning: {warning}")
    metrics_table([[result["on"], result["n"], result["metrics"]]], task)
    tell(f"Next: graftwork predict {result['run']} INPUT")
