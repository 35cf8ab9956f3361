"""What an encoder without weights promises: it is the same each time that it is built, in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import torch

from graftwork.plugins import registry
from graftwork.specs.weights import NoWeights
from graftwork.testing.backbones import CLOSE, SEED, Encoder, apart
from graftwork.testing.cases import Given, Nonconformance, NotChecked, check

ELSEWHERE = "import sys; from graftwork.testing.weightless import say; say(sys.argv[1])"


@check("backbones")
def without_weights_it_is_the_same_each_time(encoder: Encoder) -> None:
    if not isinstance(encoder.spec.weights, NoWeights):
        raise NotChecked(f"'{encoder.name}' has weights.")
    first, other = (encoder.build(seed=seed) for seed in (SEED, SEED + 1))
    tensors = dict(other.named_buffers())
    moved = [name for name, tensor in first.named_buffers() if not torch.equal(tensor, tensors[name])]
    if moved:
        raise Nonconformance(
            f"'{encoder.name}' has no weights, and its buffer '{moved[0]}' differs each time that it is built.",
            "Draw it from a torch.Generator with a seed of its own.",
        )
    if unsaved := sorted({name for name, _ in first.named_buffers()} - set(first.state_dict())):
        raise Nonconformance(
            f"The buffer '{unsaved[0]}' of '{encoder.name}' is not saved, so no run can tell whether it has changed.",
            "Leave out persistent=False.",
        )
    given = dict(os.environ) | {"PYTHONHASHSEED": "0" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    found = subprocess.run([sys.executable, "-c", ELSEWHERE, encoder.name], capture_output=True, text=True, env=given)
    if found.returncode:
        lines = found.stderr.strip().splitlines() or ["it ended without a word"]
        raise Nonconformance(f"'{encoder.name}' does not work in another process: {lines[-1]}.", "Install its plugin.")
    there = torch.tensor(json.loads(found.stdout.splitlines()[-1]))
    if (far := apart(there, encoder.features(encoder.values, first)[-1])) > CLOSE:
        raise Nonconformance(
            f"'{encoder.name}' has no weights, and in another process its features differ by {far:.1e} of the greatest "
            "number.",
            "Let the input alone decide them; for words take hashlib or zlib.crc32, since hash() differs by process.",
        )


def say(name: str) -> None:
    """Print the last features of the kit's examples, as a process of its own does."""
    encoder = Encoder(name, registry.backbone(name), Given())
    print(json.dumps(encoder.features(encoder.values)[-1].tolist()))
