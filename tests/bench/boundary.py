"""An epoch of `last:2` of 12 stages with the states below them kept, over the same with them computed each time.

A BERT of 11 layers and 384 dimensions with random weights, whose speed is that of a trained one; 400 messages; three fits
of each, in turn, in one process with two threads. An epoch is the sum of its steps, the first one left out.
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    import texts
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    import graftwork as gw
    from graftwork import fitting

    torch.set_num_threads(2)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "bert").mkdir()
        made = texts.make(400)
        words = sorted({word for text, _ in made for word in text.lower().replace(",", " ").replace("?", " ").split()})
        (work / "bert" / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
        BertTokenizerFast(vocab=str(work / "bert" / "vocab.txt")).save_pretrained(work / "bert")
        config = BertConfig(
            vocab_size=len(words) + 5, hidden_size=384, num_hidden_layers=11, num_attention_heads=12,
            intermediate_size=1536, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        BertModel(config, add_pooling_layer=False).save_pretrained(work / "bert")
        table = work / "t.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text, label.split("_")[0]) for text, label in made)])
        room, ratios = fitting.memory, []
        for number in range(3):
            epochs, history = {}, {}
            for way in ("kept", "computed"):
                fitting.memory = room if way == "kept" else lambda: 0
                run = gw.fit(
                    table, f"local:{work / 'bert'}", freeze="last:2", epochs=4, patience=0, dropout=0.0, precision="fp32",
                    out=work / f"{way}{number}",
                )  # fmt: skip
                assert run.record["training"]["states_kept"] == (way == "kept")
                history[way] = [row["loss"] for row in run.record["training"]["history"]]
                log = [row for row in csv.DictReader((work / f"{way}{number}" / "log.csv").open()) if row["loss"]]
                size = run.record["training"]["batch_size"]
                epochs[way] = sum(size / float(row["examples_per_s"]) for row in log if row["epoch"] != "1") / 3
            ratios.append(epochs["computed"] / epochs["kept"])
            apart = max(abs(a - b) for a, b in zip(history["kept"], history["computed"], strict=True))
            print(
                f"epoch: computed {epochs['computed']:.2f} s, kept {epochs['kept']:.2f} s; losses differ by {apart:.1e}",
                flush=True,
            )
        print(f"an epoch with states kept is {statistics.median(ratios):.2f} times faster (median of 3)")


if __name__ == "__main__":
    main()
