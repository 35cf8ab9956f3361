"""An epoch of `last:2` of 12 stages with the states below them kept, over the same with them computed each time.

A BERT of 11 layers with random weights, whose speed is that of a trained one: of 384 dimensions on 400 messages in batches
of 16 and of 64, and of BERT-base's 768 on 64 texts of 128 tokens in batches of 16. Some fits of each, in turn, in one process
with two threads. An epoch is the sum of its steps, the first one left out.

Usage: boundary.py [ROUNDS [small|base [fp32|bf16]]]
"""

from __future__ import annotations

import csv
import os
import statistics
import sys
import tempfile
from pathlib import Path

from figures import figure

sys.path.insert(0, str(Path(__file__).parent))

CASES = {"small": ((384, 400, 0, 16), (384, 400, 0, 64)), "base": ((768, 64, 126, 16),)}
"""Width, texts, words in each (0: as they are), batch size."""


def main(rounds: int, cases: str = "", precision: str = "fp32") -> None:
    for name in [cases] if cases else CASES:
        for case in CASES[name]:
            measure(rounds, *case, precision)


def measure(rounds: int, width: int, count: int, length: int, size: int, precision: str) -> None:
    import texts
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    import graftwork as gw
    from graftwork.features import activation_cache

    torch.set_num_threads(2)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "bert").mkdir()
        made = texts.make(count)
        if length:
            made = [(" ".join((text.split() * length)[:length]), label) for text, label in made]
        words = sorted({word for text, _ in made for word in text.lower().replace(",", " ").replace("?", " ").split()})
        (work / "bert" / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
        BertTokenizerFast(vocab=str(work / "bert" / "vocab.txt")).save_pretrained(work / "bert")
        config = BertConfig(
            vocab_size=len(words) + 5, hidden_size=width, num_hidden_layers=11, num_attention_heads=12,
            intermediate_size=4 * width, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        BertModel(config, add_pooling_layer=False).save_pretrained(work / "bert")
        table = work / "t.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text, label.split("_")[0]) for text, label in made)])
        os.environ["GRAFTWORK_CACHE"] = str(work / "cache")
        hold = activation_cache.ActivationCache.precompute
        ratios = []
        for number in range(rounds):
            epochs, history, error = {}, {}, 0.0
            for way in ("kept", "computed"):
                activation_cache.ActivationCache.precompute = (
                    hold if way == "kept" else lambda self, train, others: "computed"
                )
                out = work / f"{way}{size}-{number}"
                run = gw.fit(
                    table, f"local:{work / 'bert'}", freeze="last:2", epochs=4, patience=0, dropout=0.0,
                    precision=precision, batch_size=size, out=out,
                )  # fmt: skip
                about = run.record["training"]
                assert about["states_kept"] == (way == "kept")
                history[way] = [row["loss"] for row in about["history"]]
                log = [row for row in csv.DictReader((out / "log.csv").open()) if row["loss"]]
                epochs[way] = sum(size / float(row["examples_per_s"]) for row in log if row["epoch"] != "1") / 3
                error = about["states"]["error"] if way == "kept" else error
            ratios.append(epochs["computed"] / epochs["kept"])
            apart = max(abs(a - b) for a, b in zip(history["kept"], history["computed"], strict=True))
            print(
                f"{width} dimensions, batches of {size}, {precision}: computed {epochs['computed']:.2f} s, kept {epochs['kept']:.2f} s; losses differ "
                f"by {apart:.1e}, states by at most {error:.1e} of their root mean square",
                flush=True,
            )
        ratio = statistics.median(ratios)
        figure(
            f"an epoch of last:2 of 12 stages, states kept: {width} wide, batches of {size}, {precision}",
            ratio,
            "times",
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, *sys.argv[2:])
