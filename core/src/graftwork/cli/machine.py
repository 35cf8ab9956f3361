"""`graftwork machine`: what this machine is fast at, as measured."""

from __future__ import annotations

from typing import Any

from graftwork.cli.options import Json
from graftwork.cli.terminal import answer, say, steady, table, tell


def machine(json: Json = False) -> None:
    """What this machine is fast at, as measured: precisions, and engines for each encoder that was used here."""
    with steady():
        from graftwork.runs.machine import described

        found = described()
    answer(found, render, json)


def render(found: dict[str, Any]) -> None:
    """The machine, its engines, and a row for each way that an encoder was timed in."""
    about = found["machine"]
    flags = ", ".join(about["flags"]) or "none for bf16 or int8"
    tell(
        f"{about['processor'] or 'A processor'}: {about['cores']} cores, torch uses {about['threads']} threads; "
        f"instructions: {flags}."
    )
    took = found["matmul"]
    if took is None:
        tell("Training: fp32; this processor has no instructions for bf16 that torch may use.")
    else:
        tell(
            f"Training: a layer of BERT-base takes {took['fp32']:.1f} ms in fp32 and {took['bf16']:.1f} ms in bf16; "
            f"auto takes {found['training']}."
        )
    table(
        ["engine", "computes in", "installed", "about"],
        [
            [one["name"], ", ".join(one["precisions"]), one["version"] or "no", one["summary"]]
            for one in found["engines"]
        ],
    )
    rows = [
        [encoder["encoder"], name, f"{1 / seconds:,.1f}", f"{encoder['cosines'].get(name, 1.0):.5f}",
         "yes" if name == encoder["chosen"] else ""]
        for encoder in found["encoders"]
        for name, seconds in encoder["seconds"].items()
    ]  # fmt: skip
    if rows:
        table(["encoder", "computed by", "examples/s", "agreement", "chosen"], rows, ("examples/s", "agreement"))
    rows = [
        [one["backbone"], one["computed_by"], f"{times} times", f"{1 / seconds:,.1f}"]
        for one in found["batches"]
        for times, seconds in one["batches"].items()
    ]
    if rows:
        table(["encoder", "computed by", "batches", "examples/s"], rows, ("examples/s",))
    for encoder in found["encoders"]:
        for name, why in encoder["failed"].items():
            say(f"{encoder['encoder']}, {name}: {why}")
    for note in found["notes"]:
        say(note)
    tell("Next: graftwork fit DATA")
