"""Full fine-tuning beside Hugging Face's Trainer: the same encoder, texts, epochs, batch size, rates and precision.

Three runs of each, in turn, in processes of their own with two threads. Seconds a step are the mean over all steps but
the first five, data loading included, validation left out; accuracy is on texts that neither saw.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import figure

sys.path.insert(0, str(Path(__file__).parent))

TRAIN, TEST, EPOCHS, BATCH, RATE, SKIPPED = 800, 500, 3, 16, 5e-5, 5


def rows(seed: int) -> list[tuple[str, str, str]]:
    """Messages in 11 classes, with their split; a fifth of the training part validates ours."""
    import texts

    made = [(text, label.split("_")[0]) for text, label in texts.make(TRAIN + TEST, seed)]
    cut = TRAIN * 4 // 5
    return [
        (text, label, "train" if i < cut else "validation" if i < TRAIN else "test")
        for i, (text, label) in enumerate(made)
    ]


def ours(seed: int) -> dict:
    import csv

    import torch

    import graftwork as gw

    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "t.jsonl"
        table.write_text(
            "".join(json.dumps(dict(zip(("text", "label", "split"), r, strict=True))) + "\n" for r in rows(seed))
        )
        run = gw.fit(
            table, "text/minilm", freeze="all", epochs=EPOCHS, batch_size=BATCH, lr=RATE, precision="fp32", patience=0,
            seed=seed, out=Path(folder) / "run",
        )  # fmt: skip
        log = list(csv.DictReader((Path(folder) / "run" / "log.csv").open()))
    taken = [BATCH / float(row["examples_per_s"]) for row in log if row["loss"]]
    return {"seconds": statistics.mean(taken[SKIPPED:]), "accuracy": run.metrics["test"]["accuracy"]}


def theirs(seed: int) -> dict:
    import numpy as np
    import torch
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )  # fmt: skip

    from graftwork.plugins import registry

    torch.set_num_threads(2)
    weights = registry.backbone("text/minilm").weights.find()
    tokenizer = AutoTokenizer.from_pretrained(weights)
    found = rows(seed)
    names = sorted({label for _, label, _ in found})
    parts = {
        part: Dataset.from_list([
            {**tokenizer(text, truncation=True, max_length=256), "label": names.index(label)}
            for text, label, split in found if split == part
        ])
        for part in ("train", "test")
    }  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(weights, num_labels=len(names))
    moments: list[float] = []

    class Watch(TrainerCallback):
        def on_step_end(self, *arguments, **more):
            moments.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, learning_rate=RATE, warmup_steps=0.1,
            lr_scheduler_type="cosine", weight_decay=0.01, use_cpu=True, report_to=[], save_strategy="no", seed=seed,
            disable_tqdm=True, logging_steps=1000,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, train_dataset=parts["train"], data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[Watch()],
        )  # fmt: skip
        trainer.train()
        answers = np.asarray(trainer.predict(parts["test"]).predictions).argmax(1)
    taken = [after - before for before, after in itertools.pairwise(moments)]
    return {
        "seconds": statistics.mean(taken[SKIPPED - 1 :]),
        "accuracy": float((answers == np.array(parts["test"]["label"])).mean()),
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps({"ours": ours, "theirs": theirs}[sys.argv[1]](int(sys.argv[2]))))
        return
    found: dict[str, list[dict]] = {"ours": [], "theirs": []}
    for seed in range(3):
        for side, results in found.items():
            command = [sys.executable, __file__, side, str(seed)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout.strip().splitlines()[-1]))
            print(f"{side}, seed {seed}: {results[-1]}", flush=True)
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(found["ours"], found["theirs"], strict=True)]
    figure("a step of full fine-tuning of MiniLM, Trainer's over ours", statistics.median(ratios), "times")
    for side, results in found.items():
        scores = [result["accuracy"] for result in results]
        print(f"accuracy, {side}: {statistics.mean(scores):.3f} (deviation {statistics.stdev(scores):.3f})")


if __name__ == "__main__":
    main()
