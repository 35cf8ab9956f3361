"""`graftwork compare`: whether transfer helped, and how much more data would."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graftwork.cli.fit import seconds_of
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
    takes_settings,
)
from graftwork.cli.progress import watching
from graftwork.cli.results import say_source
from graftwork.cli.terminal import answer, say, steady, table, tell
from graftwork.specs.task import DEFAULT_TASK


@takes_settings("steps", before="no_cache")
def compare(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What fit takes.")],
    backbone: Annotated[
        str | None, typer.Option(help="The encoder, by name; left out, the modality's starter.")
    ] = None,
    task: TaskName = DEFAULT_TASK,
    seed: Annotated[int, typer.Option(help="Chooses what is held out.")] = 0,
    budget: Annotated[str, typer.Option(help="The time for what trains by steps: 90s, 5m, 1h.")] = "10m",
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
    **settings: Any,
) -> None:
    """Compare raw input, the network from nothing, the encoder frozen, and tuned: start, slope and end."""
    go_offline(offline)
    from graftwork.data.options import SourceOptions
    from graftwork.data.reading import read
    from graftwork.reports.page import write_asked
    from graftwork.runs.compare import compare as run
    from graftwork.tasks.task import load_task

    options = SourceOptions.of(
        input=input, label=label, task=task, layout=layout, label_map=label_map, drop_label=drop_label,
        allow_outside=allow_outside, modality=modality, backbone=backbone, adapter=adapter,
    )  # fmt: skip
    found = read(data, options)
    say_source(found, load_task(task))

    def told(name: str, one: Any) -> None:
        say(f"  {name}: {one.scores.value:.4f} ({one.seconds:.1f} s)")

    with steady(), watching() as watch:
        compared = run(
            found, backbone, task=task, adapter=adapter or "", convert=convert or (), seed=seed, device=device,
            cache=not no_cache, budget=seconds_of(budget), watch=watch, told=told, **settings,
        )  # fmt: skip
    if html is not None:
        write_asked(html, "compare.html.j2", result=compared.as_json())
    answer(compared.as_json(), render, json)


def render(found: dict[str, Any]) -> None:
    """The ways to train as a table, what they score with fewer examples, and what that means."""
    metric = found["metric"].replace("_", " ")
    table(
        ["way", metric, "90 % of samples", "seconds"],
        [
            [row["name"], f"{row['score']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}", f"{row['seconds']:.1f}"]
            for row in found["rows"]
        ],
        (metric, "seconds"),
    )
    sizes = {name: {point["n"]: point["score"] for point in row} for name, row in found["sizes"].items()}
    counts = sorted({n for row in sizes.values() for n in row})
    table(
        ["examples of a label", *map(str, counts)],
        [[name, *(f"{row[n]:.3f}" if n in row else "-" for n in counts)] for name, row in sizes.items()],
        tuple(map(str, counts)),
    )
    for sentence in found["sentences"]:
        tell(sentence)
    tell(f"Next: graftwork fit DATA --backbone {found['backbone']} --tap auto --freeze auto")
