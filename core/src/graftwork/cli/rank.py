"""`graftwork rank`: candidate encoders and depths, scored on a sample of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graftwork.cli.options import (
    Adapter,
    AllowOutside,
    Convert,
    Device,
    DropLabel,
    Input,
    Json,
    Label,
    LabelMap,
    Layout,
    ModalityName,
    NoCache,
    Offline,
    TaskName,
    go_offline,
)
from graftwork.cli.results import say_source
from graftwork.cli.terminal import answer, say, steady, table, tell
from graftwork.reports.sentences import stages
from graftwork.specs.task import DEFAULT_TASK


def rank(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What fit takes.")],
    backbone: Annotated[
        list[str] | None,
        typer.Option(help="A candidate; repeatable. Left out, all that read the data and have their weights here."),
    ] = None,
    task: TaskName = DEFAULT_TASK,
    sample: Annotated[int, typer.Option(help="The most examples that candidates are compared on.")] = 2000,
    seed: Annotated[int, typer.Option(help="Chooses the sample and its folds.")] = 0,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with charts.")] = None,
    adapter: Adapter = None,
    convert: Convert = None,
    input: Input = None,
    label: Label = None,
    layout: Layout = "",
    label_map: LabelMap = None,
    drop_label: DropLabel = None,
    allow_outside: AllowOutside = False,
    modality: ModalityName = "",
    no_cache: NoCache = False,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Compare encoders, and how deep to read them, on a sample of the data; says when it is a tie."""
    go_offline(offline)
    from graftwork.data.options import SourceOptions
    from graftwork.data.reading import read
    from graftwork.reports.page import write_asked
    from graftwork.runs.rank import Candidate
    from graftwork.runs.rank import rank as compare
    from graftwork.tasks.task import load_task

    options = SourceOptions.of(
        input=input, label=label, task=task, layout=layout, label_map=label_map, drop_label=drop_label,
        allow_outside=allow_outside, modality=modality, backbone=backbone[0] if backbone else None, adapter=adapter,
    )  # fmt: skip
    found = read(data, options)
    say_source(found, load_task(task))

    def told(one: Candidate) -> None:
        say(f"  {one.spec.name}: {one.depth.scores.value:.4f} after {stages(one.depth.name(one.spec.stages))}")

    with steady():
        ranking = compare(
            found, backbone or (), task=task, adapter=adapter or "", convert=convert or (), sampled=sample, seed=seed,
            device=device, cache=not no_cache, told=told,
        )  # fmt: skip
    if html is not None:
        write_asked(html, "rank.html.j2", result=ranking.as_json())
    answer(ranking.as_json(), render, json)


def render(found: dict[str, Any]) -> None:
    """Candidates as a table, the one to take first, and what was left out."""
    rows = [
        [
            one["backbone"], stages(one["tap"]), f"{one['score']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}",
            "tie" * (one["tie"] and sum(c["tie"] for c in found["candidates"]) > 1), str(one["sampled"]),
            f"{1000 * one['seconds_per_example']:.1f}", f"{one['size_bytes'] / 1e6:.0f}", one["licence"],
        ]
        for one in found["candidates"]
    ]  # fmt: skip
    metric = found["metric"].replace("_", " ")
    table(
        ["encoder", "read after", metric, "90 % of samples", "", "examples", "ms each", "MB", "licence"],
        rows,
        (metric, "examples", "ms each", "MB"),
    )
    for one in found["left_out"]:
        tell(f"Left out: {one['backbone']}: {one['reason']}")
    if found["interrupted"]:
        tell("Interrupted: these are the candidates that were compared by then.")
    tell(found["verdict"])
    first = found["candidates"][0]
    tell(f"Next: graftwork fit DATA --backbone {first['backbone']} --tap auto")
