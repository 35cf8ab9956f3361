"""`graftwork pretrain`: a source model of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graftwork.cli.options import Device, Json, NoCache, Offline, OnBad, go_offline, takes_settings
from graftwork.cli.progress import watching
from graftwork.cli.terminal import answer, say, steady, table, tell
from graftwork.errors import UsageError


@takes_settings("pretrain", before="resume")
def pretrain(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What fit takes, or a folder of files without labels.")],
    architecture: Annotated[str, typer.Option(help="The network, and its size (bert-small): {architectures}.")],
    objective: Annotated[str, typer.Option(help="What it learns: {objectives}.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder for the model.")],
    teacher: Annotated[str | None, typer.Option(help="For distill: the encoder to learn from.")] = None,
    teacher_tap: Annotated[
        list[str] | None, typer.Option(help="For distill: the teacher's stage to be told, more than once for several.")
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field of config.json, as JSON.")
    ] = None,
    license: Annotated[str, typer.Option(help="Of the weights, for the card.")] = "",
    allow_little: Annotated[
        bool, typer.Option("--allow-little", help="Go on with less data than the objective wants.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Write the weights in float16.")] = False,
    seed: Annotated[int, typer.Option(help="Decides all that chance does.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or (on a GPU) fp16.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was stopped.")] = False,
    long: Annotated[
        str | None, typer.Option(help="Examples longer than the network reads at once: truncate or windows.")
    ] = None,
    on_bad: OnBad = "skip",
    no_cache: NoCache = False,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Train a source model of your own from nothing, in hub layout, for fit --backbone local:FOLDER."""
    go_offline(offline)
    from graftwork.pretraining import pretrain

    with steady(), watching() as watch:
        made = pretrain.pretrain(
            data, architecture, objective, out, fields=_fields(set or []), teacher=teacher,
            taps=tuple(teacher_tap or ["last"]), license=license, allow_little=allow_little, half=half, seed=seed,
            long=long, on_bad=on_bad, precision=precision, device=device, cache=not no_cache, resume=resume,
            watch=watch, **settings,
        )  # fmt: skip
    answer(made.as_json(), render, json)


def _fields(said: list[str]) -> dict[str, Any]:
    """`FIELD=VALUE` as JSON has it; what is no JSON is a word."""
    import json

    found = {}
    for item in said:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {item} is not FIELD=VALUE.", "Write: --set hidden_size=192")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def render(made: dict[str, Any]) -> None:
    """The model: how its training went, and where it was saved."""
    for warning in made["warnings"]:
        say(f"Warning: {warning}")
    history = made["figures"]["history"]
    names = [name for name in history[-1] if name != "epoch"]
    shown = history if len(history) <= 10 else [history[round(i * (len(history) - 1) / 9)] for i in range(10)]
    table(
        ["epoch", *(name.replace("_", " ") for name in names)],
        [[str(row["epoch"]), *(f"{row[name]:.4f}" for name in names)] for row in shown],
        tuple(name.replace("_", " ") for name in names),
    )
    tell(
        f"{made['architecture']}, {made['parameters']:,} parameters, {made['objective']} on "
        f"{made['data']['examples']:,} examples, {made['figures']['seconds']:.0f} s. Saved: {made['folder']}"
    )
    tell(f"Next: graftwork fit DATA --backbone {made['name']}")
