"""`graftwork backbones`: pretrained encoders and what they read."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graftwork.cli.options import Json
from graftwork.cli.terminal import answer, table, tell


def backbones(
    modality: Annotated[str | None, typer.Option(help="Only those that read this modality.")] = None, json: Json = False
) -> None:
    """Pretrained encoders and what each of them reads."""
    from graftwork.plugins import registry

    answer([spec.as_json() for spec in registry.backbones(modality)], render, json)


def render(specs: list[dict[str, Any]]) -> None:
    """The encoders as a table."""
    rows = []
    for s in specs:
        # Wishes are for those who ask with --json; what is demanded is enough to choose by.
        demanded = {k: v for k, v in s["contract"]["facts"].items() if not v.startswith("preferably ")}
        facts = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in demanded.items())
        megabytes = s["size_bytes"] / 1e6
        size = f"{megabytes:,.0f} MB" if megabytes >= 1 else f"{megabytes:.1f} MB" if megabytes else "?"
        size = "none" if s["parameters"] == 0 and not megabytes else size
        weights = "at hand" if s["at_hand"] else "to fetch"
        rows.append([s["name"], facts, str(s["feature_dim"]), str(len(s["stages"])), size, s["license"], weights])
    table(["backbone", "reads", "dims", "stages", "size", "licence", "weights"], rows, ("dims", "stages", "size"))
    tell("Next: graftwork fit DATA --backbone NAME; of a zoo: hub:OWNER/NAME, local:FOLDER, torchvision:NAME")
