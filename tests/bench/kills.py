"""Kills fits with SIGKILL at random times, goes on with each to its end, and compares with one that was never killed.

Prints for each task how many of COUNT (50) end with the weights, the history and the metrics of the unbroken fit, bit for
bit, the freeze policies in turn. Children are forked from a process that has loaded everything and computed nothing, so
that a kill falls into the fit and not into imports.

usage: kills.py [COUNT] [--tasks classify,tag,transcribe,segment,detect]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import runpy
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from figures import figure

os.environ.setdefault("OMP_NUM_THREADS", "2")
POLICIES = ["all", "lpft", "gradual:1", "last:1", "bitfit+norm"]
FIT: dict[str, Any] = {"epochs": 4, "batch_size": 4, "patience": 0, "checkpoint_every": 0.0}


class Case(NamedTuple):
    """Data, a tiny encoder, and what is asked of a fit."""

    data: Path
    backbone: str
    asked: dict[str, Any]


def case(task: str, folder: Path) -> Case:
    """A task's case; those of answers within an input are the ones that tests/training/test_dense.py makes."""
    if task in ("classify", "tag"):
        backbone = encoder(folder / "encoder")
        if task == "classify":
            return Case(folder / "messages.csv", backbone, {"augment": True, "balance": "sampling"})
    made = runpy.run_path(str(Path(__file__).resolve().parents[1] / "training/test_dense.py"))
    if task == "tag":
        return Case(made["texts"](folder / "texts.conll"), backbone, {})
    if task == "transcribe":
        return Case(made["clips"](folder / "clips"), made["tiny_wav2vec2"](folder / "wav2vec2"), {"augment": True})
    kind = {"segment": "masks", "detect": "boxes"}[task]
    asked = {"augment": True, "options": {"size": 64}}
    return Case(made["pictures"](folder / kind, kind), made["tiny_resnet"](folder / "resnet"), asked)


def encoder(folder: Path) -> str:
    """A BERT of 2 layers with random weights."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    words = [
        "where",
        "is",
        "my",
        "card",
        "parcel",
        "refund",
        "the",
        "lost",
        "order",
        "please",
        "help",
        "money",
        "back",
        "i",
    ]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=19, **shape), add_pooling_layer=False).save_pretrained(folder)
    rows = [f"where is my parcel {word},delivery\ni lost my card {word},card" for word in words * 2]
    (folder.parent / "messages.csv").write_text("\n".join(["text,label", *rows]))
    return f"local:{folder}"


def child(task: str, given: Case, out: Path, policy: str, resume: bool) -> int:
    """Fork a fit; returns its process id."""
    number = os.fork()
    if number:
        return number
    import graftwork as gw

    try:
        gw.fit(given.data, given.backbone, task=task, freeze=policy, out=out, resume=resume, **FIT, **given.asked)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(1)
    os._exit(0)


def result(out: Path) -> tuple:
    record = json.loads((out / "run.json").read_text())
    files = [(out / f"{file}.safetensors").read_bytes() for file in ("head", "backbone")]
    return files, record["training"]["history"], record["metrics"], record["certificate"]["stages"]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("count", type=int, nargs="?", default=50)
    asked.add_argument("--tasks", default="classify")
    said = asked.parse_args()
    import graftwork_text.bert  # noqa: F401  loaded here, so that the children need not

    for task in said.tasks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            killed(task, Path(folder), said.count)


def killed(task: str, work: Path, count: int) -> None:
    rng = random.Random(0)
    reader, writer = os.pipe()
    maker = os.fork()
    if not maker:
        data, backbone, asked = case(task, work)
        os.write(writer, json.dumps([str(data), backbone, asked]).encode())
        os._exit(0)
    os.waitpid(maker, 0)
    data, backbone, asked = json.loads(os.read(reader, 1 << 16))
    given = Case(Path(data), backbone, asked)
    whole, seconds = {}, {}
    for policy in POLICIES:
        begun = time.perf_counter()
        os.waitpid(child(task, given, work / f"whole-{policy}", policy, False), 0)
        seconds[policy] = time.perf_counter() - begun
        whole[policy] = result(work / f"whole-{policy}")
    equal = kills = into = 0
    for trial in range(count):
        policy, out, resume = POLICIES[trial % len(POLICIES)], work / f"run{trial}", False
        while True:
            process = child(task, given, out, policy, resume)
            # The first time it is killed for certain; when it goes on, it may be again.
            if not resume or rng.random() < 0.3:
                time.sleep(rng.uniform(0, seconds[policy]))
                os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            if os.WIFSIGNALED(status):
                kills += 1
                unfinished = out.with_name(f"{out.name}.unfinished")
                into += any(unfinished.glob("step-*"))
                resume = True
                continue
            break
        same = out.exists() and result(out) == whole[policy]
        equal += same
        if not same:
            print(f"{task}, trial {trial} ({policy}) differs", flush=True)
        shutil.rmtree(out, ignore_errors=True)
    figure(f"killed fits of {task} that end with the bits of the unbroken one", 100 * equal / count, "%")
    print(
        f"{task}: {equal} of {count} fits equal the unbroken one bit for bit, after {kills} kills, {into} with "
        "checkpoints",
        flush=True,
    )


if __name__ == "__main__":
    main()
