"""The proof of what was trained and what was not, and a leak that it catches: python examples/prove_it.py"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn.modules.module import register_module_forward_hook

import graftwork as gw


def main(folder: Path) -> None:
    # The last stage of the encoder trains; the others are frozen.
    gw.require_plugins("graftwork-text[starter]")
    messages = gw.data(gw.demo_data("messages", folder))
    run = gw.fit(messages, "text/minilm", freeze="last:1", epochs=1, out=folder / "run")

    # The certificate holds digests of every stage, before and after.
    print("The certificate of a run that trains the last stage alone:")
    for name, stage in run.record["certificate"]["stages"].items():
        moved = "moved" if stage["before"] != stage["after"] else "stood still"
        print(f"{name}: {len(stage['trained'])} tensors may move, {stage['frozen']} may not, it {moved}")

    # Nobody has to believe it: the saved run, beside the encoder as it was published.
    tuned, published = gw.load(folder / "run").backbone(), gw.load_backbone(run.spec)
    for mine, stage in zip(tuned.stages(), published.stages(), strict=True):
        state = stage.state_dict()
        changed = [name for name, tensor in mine.state_dict().items() if not torch.equal(tensor, state[name])]
        print(f"{stage.name}: {len(changed)} of {len(state)} tensors differ")

    # Now a fault: something in the process changes what should stand still.
    def leak(module: torch.nn.Module, *_: object) -> None:
        """What a careless line anywhere in a process may do: a layer norm drifts each time that it is run."""
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data.mul_(1.0001)

    # The digests catch it, and there is no run.
    print("The same fit with a leak planted:")
    planted = register_module_forward_hook(leak)
    try:
        gw.fit(messages, "text/minilm", freeze="last:1", epochs=1, cache=False)
    except gw.GraftworkError as error:
        print(error.message)
    finally:
        planted.remove()


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder))
    except gw.GraftworkError as error:
        sys.exit(str(error))
