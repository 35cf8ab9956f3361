"""`graftwork freeze`: what a freeze policy trains, before anything is trained."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graftwork.cli.options import Json, Offline, go_offline, takes_settings
from graftwork.cli.terminal import answer, steady, table, tell


@takes_settings("steps", only=("epochs", "lr"), before="offline")
def freeze(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="What fit --freeze takes.")],
    backbone: Annotated[str, typer.Option(help="The encoder.")],
    tap: Annotated[str, typer.Option(help="The stage that the head reads: last, a name or a number.")] = "last",
    offline: Offline = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """What a freeze policy trains of an encoder: stages, parameters and rates, epoch by epoch."""
    go_offline(offline)
    from graftwork.freeze import planning

    with steady():
        found = planning.explain(backbone, policy, tap=tap, **settings)
    answer(found.as_json(), render, json)


def render(found: dict[str, Any]) -> None:
    """The phases of the training, a table of stages each."""
    name, solved = found["backbone"], found["solved"]
    if solved:
        tell(f"{found['freeze']}: no stage of {name} trains, and the head is solved exactly, without epochs.")
    elif found["head_first"]:
        tell("The head is solved exactly on frozen features first.")
    for phase in found["phases"]:
        if not solved:
            epochs = f"Epochs {phase['first']} to {phase['last']}"
            if phase["first"] == phase["last"]:
                epochs = f"Epoch {phase['first']}"
            tell(f"{epochs}, head at rate {phase['head_lr']:.1e}:")
        rows = [
            [s["stage"], f"{s['trained']:,}", f"{s['frozen']:,}", f"{s['lr']:.1e}" if s["trained"] else "-"]
            for s in phase["stages"]
        ]
        trained, frozen = (sum(s[k] for s in phase["stages"]) for k in ("trained", "frozen"))
        table(
            ["stage", "trained", "frozen", "rate"],
            [*rows, ["all", f"{trained:,}", f"{frozen:,}", ""]],
            ("trained", "frozen", "rate"),
        )
    if not solved:
        tell(f"Peak rates, after warm-up; recipe: {found['source']}.")
    tell(f"Next: graftwork fit DATA --backbone {name} --freeze {found['freeze']}")
