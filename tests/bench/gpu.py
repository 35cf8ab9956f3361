"""What a GPU gets through, in one go of under six minutes: extraction of pictures, texts and clips beside what the bare
network does, fine-tuning beside Hugging Face's Trainer, and a fit that is killed and goes on.

Networks have their usual shapes and random weights, data are made on the spot; features are not kept, and of three
passes the median is printed. Without a GPU it runs at a tiny size on the processor, so that it is tried before the day.

Usage: gpu.py [--parts pictures texts clips tuning killed] [--batches 4 16 64]
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import figure
from safetensors.torch import load_file

import graftwork as gw
from graftwork.data.pipeline import Pipeline
from graftwork.features import batch_size, extraction
from graftwork.features.examples import Examples
from graftwork.models.backbone import Backbone
from graftwork.plugins import registry

sys.path.insert(0, str(Path(__file__).parent))

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
PICTURES, TEXTS, CLIPS, TUNED = (12_000, 80_000, 3600, 4096) if GPU else (6, 24, 2, 48)
FEW = 3000
NUMBERS = torch.bfloat16 if GPU else torch.float32
PASSES, BATCH, EPOCHS = (1, 32, 3) if GPU else (0, 8, 1)
WIDTH, HEIGHT, SECONDS = 500, 375, 3


def pictures(place: Path) -> Path:
    """JPEG files of 500 x 375 pixels, of every usual kind of sampling, in two class folders."""
    from PIL import Image

    rng = np.random.default_rng(0)
    kinds = []
    for number in range(min(PICTURES, 100)):
        rough = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT))
        noisy = np.asarray(rough).astype(np.int16) + rng.normal(0, 12, (HEIGHT, WIDTH, 1)).astype(np.int16)
        (made := place / "made").mkdir(exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(made / f"{number}.jpg", quality=85)
        kinds.append((made / f"{number}.jpg").read_bytes())
    for number in range(PICTURES):
        (folder := place / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        # A comment makes each file one of its own.
        content = kinds[number % len(kinds)]
        mark = f"{number:08}".encode()
        (folder / f"{number:05}.jpg").write_bytes(content[:2] + b"\xff\xfe\x00\x0a" + mark + content[2:])
    return place / "photos"


def texts(place: Path, count: int) -> Path:
    """Short messages in eleven classes."""
    import csv

    import texts

    table = place / f"texts{count}.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((text, label.split("_")[0]) for text, label in texts.make(count, 0))
    return table


def clips(place: Path) -> Path:
    import soundfile

    rng = np.random.default_rng(0)
    for number in range(CLIPS):
        (folder := place / "clips" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        wave = rng.normal(0, 0.1, SECONDS * 16_000).astype(np.float32)
        soundfile.write(folder / f"{number:05}.wav", wave, 16_000)
    return place / "clips"


def bert(place: Path, table: Path) -> str:
    """A folder with BERT-base of random weights, and a tokenizer learned from the table's texts."""
    import csv

    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    words = BertWordPieceTokenizer()
    with table.open(encoding="utf-8") as file:
        words.train_from_iterator([row[0] for row in csv.reader(file)], vocab_size=8000, show_progress=False)
    folder = place / "bert"
    torch.manual_seed(0)
    shape = (
        {} if GPU else {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 64}
    )
    model = BertModel(BertConfig(vocab_size=words.get_vocab_size(), **shape), add_pooling_layer=False)
    model.save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return f"local:{folder}"


def examples_of(data: gw.Data, backbone: Backbone) -> Examples:
    agreement = registry.agree_on(backbone.spec, data.observed)
    return Examples(backbone, Pipeline(backbone.spec.contract, agreement, data.modality), data.raws)


def extracted(data: gw.Data, backbone: Backbone) -> tuple[float, extraction.Features, extraction.Extractor]:
    """Seconds of a pass over all examples, the median, after one that warms up."""
    last = len(backbone.spec.stages) - 1
    seconds = []
    for _ in range(PASSES + 1):
        extractor = extraction.Extractor(backbone, tap=last, precision="bf16" if GPU else "fp32", device=DEVICE)
        begun = time.perf_counter()
        found = extractor(examples_of(data, backbone))
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[min(1, PASSES) :]), found, extractor


def bare(backbone: Backbone, data: gw.Data, rows: int) -> float:
    """Examples a second of the network alone, on batches that lie prepared on the device."""
    examples = examples_of(data, backbone)
    runner = copy.deepcopy(backbone).to(DEVICE, NUMBERS).eval()
    chosen = list(range(min(len(examples), rows * 8)))
    sizes = np.argsort(examples.sizes(chosen)).tolist()
    groups = [sizes[start : start + rows] for start in range(0, len(sizes), rows)]
    states = [runner.prepare([examples.read(i).parts[0].value for i in group]) for group in groups]
    states = [state.to(DEVICE, NUMBERS) for state in states]
    with torch.inference_mode():
        for timed in (False, True):
            wait()
            begun = time.perf_counter()
            for _ in range(4 if timed and GPU else 1):
                for state in states:
                    runner.features(state, len(backbone.spec.stages) - 1)
            wait()
    return len(chosen) * (4 if GPU else 1) / (time.perf_counter() - begun)


def wait() -> None:
    if GPU:
        torch.cuda.synchronize()


def loader(folder: Path, backbone: Backbone) -> float:
    """Pictures a second of a DataLoader with all cores and the same network, in bf16."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    numbers = backbone.spec.preparation
    change = v2.Compose(
        [
            v2.Resize(numbers["resize"]), v2.CenterCrop(numbers["crop"]), v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True), v2.Normalize(numbers["mean"], numbers["std"]),
        ]
    )  # fmt: skip
    workers = len(os.sched_getaffinity(0))
    batches = torch.utils.data.DataLoader(ImageFolder(folder, change), 128, num_workers=workers, pin_memory=GPU)
    runner = copy.deepcopy(backbone).to(DEVICE, NUMBERS).eval()
    begun = time.perf_counter()
    with torch.inference_mode():
        for pixels, _ in batches:
            state = gw.State(pixels.to(DEVICE, non_blocking=True)).to(DEVICE, NUMBERS)
            runner.features(state, len(backbone.spec.stages) - 1).float().cpu()
    return PICTURES / (time.perf_counter() - begun)


def say(what: str, *figures: Any) -> None:
    print(f"| {what} | " + " | ".join(str(figure) for figure in figures) + " |", flush=True)


def sweep(what: str, backbone: Backbone, data: gw.Data, sizes: Sequence[int], bare_rows: int) -> float:
    """Print what each size of batches gives; the best."""
    alone, best = bare(backbone, data, bare_rows), 0.0
    for times in sizes:
        batch_size.TIMES = {**batch_size.TIMES, "cuda": (times,)}
        seconds, found, extractor = extracted(data, backbone)
        rate = len(found.kept) / seconds
        best = max(best, rate)
        cosine = f", decoder agrees to {extractor.decoder.cosine:.5f}" if extractor.decoder.cosine else ""
        say(
            what,
            f"{rate:,.0f}/s",
            f"bare {alone:,.0f}/s, {rate / alone:.2f}",
            f"batches x {times}",
            found.precision + cosine,
        )
    if GPU:
        figure(what, best, "a second")
    return best


def run_pictures(place: Path, sizes: Sequence[int]) -> None:
    folder = pictures(place)
    data = gw.data(folder)
    for name in ("image/resnet50", "image/vit-b-16") if GPU else ("image/resnet18",):
        backbone = gw.load_backbone(registry.backbone(name), pretrained=False)
        if GPU:
            sweep(f"{name}, {FEW} JPEG files", backbone, data.at(range(FEW)), sizes, 256)
        best = sweep(f"{name}, {PICTURES} JPEG files", backbone, data, sizes, 256 if GPU else 8)
        if name != "image/vit-b-16":
            theirs = loader(folder, backbone)
            say("a DataLoader, all cores", f"{theirs:,.0f}/s", f"{best / theirs:.1f} times")
            if GPU:
                figure(f"{name}, over a DataLoader with all cores", best / theirs, "times")


def run_texts(place: Path, sizes: Sequence[int]) -> None:
    table = texts(place, TEXTS)
    backbone = gw.load_backbone(registry.backbone(bert(place, table)))
    sweep(f"BERT-base, {TEXTS} short messages", backbone, gw.data(table), sizes, 512 if GPU else 16)


def run_clips(place: Path, sizes: Sequence[int]) -> None:
    name = "audio/wav2vec2-base" if GPU else "audio/wav2vec2-tiny"
    backbone = gw.load_backbone(registry.backbone(name), pretrained=False)
    sweep(f"{name}, {CLIPS} clips of {SECONDS} s", backbone, gw.data(clips(place)), sizes, 64 if GPU else 2)


TRAINER = """
import csv, sys, time
import torch
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer,
                          TrainerCallback, TrainingArguments)

class Clock(TrainerCallback):
    seconds = []
    def on_step_end(self, arguments, state, control, **_):
        self.seconds.append(time.perf_counter())

table, folder, out = sys.argv[1:4]
rows = list(csv.reader(open(table, encoding="utf-8")))[1:]
names = sorted({label for _, label in rows})
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer([text for text, _ in rows], truncation=True)["input_ids"]
examples = [{"input_ids": i, "labels": names.index(label)} for i, (_, label) in zip(ids, rows)]
gpu = torch.cuda.is_available()
arguments = TrainingArguments(
    out, num_train_epochs=int(sys.argv[5]), per_device_train_batch_size=int(sys.argv[4]), learning_rate=2e-5, bf16=gpu, use_cpu=not gpu,
    save_strategy="no", report_to=[], disable_tqdm=True, train_sampling_strategy="group_by_length",
)
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(names))
trainer = Trainer(model, arguments, train_dataset=examples, data_collator=DataCollatorWithPadding(tokenizer),
                  callbacks=[Clock()])
trainer.train()
if gpu:
    torch.cuda.synchronize()
first = min(5, len(Clock.seconds) - 2)
done = len(Clock.seconds) - 1 - first
print(int(sys.argv[4]) * done / (time.perf_counter() - Clock.seconds[first]))
"""


def run_tuning(place: Path, _: Sequence[int]) -> None:
    table = texts(place, TUNED)
    name = bert(place, table)
    seconds = []

    def watch(at: Any) -> None:
        seconds.append((at.step, time.perf_counter()))

    precision = "bf16" if GPU else "fp32"
    gw.fit(
        table, name, freeze="all", epochs=EPOCHS, batch_size=BATCH, lr=2e-5, precision=precision, patience=0, val=0.02,
        device=DEVICE.type, watch=watch,
    )  # fmt: skip
    skipped = min(5, len(seconds) - 2)
    ours = BATCH * (seconds[-1][0] - seconds[skipped][0]) / (seconds[-1][1] - seconds[skipped][1])
    (script := place / "trainer.py").write_text(TRAINER)
    given = (script, table, name.removeprefix("local:"), place / "trainer", BATCH, EPOCHS)
    command = [sys.executable, *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        say(f"tuning BERT-base, batches of {BATCH}", f"{ours:,.0f}/s", done.stderr.splitlines()[-1:])
        return
    theirs = float(done.stdout.split()[-1])
    say(
        f"tuning BERT-base, batches of {BATCH}",
        f"{ours:,.0f}/s",
        f"Trainer {theirs:,.0f}/s",
        f"{ours / theirs:.2f} times",
    )
    if GPU:
        figure("fine-tuning BERT-base in batches of 32, over Trainer", ours / theirs, "times")


def run_killed(place: Path, _: Sequence[int]) -> None:
    table = texts(place, 600 if GPU else 48)
    name = bert(place, table)
    command = [
        sys.executable, "-m", "graftwork", "fit", str(table), "--backbone", name, "--freeze", "all", "--epochs", "3",
        "--batch-size", "8", "--device", DEVICE.type, "--checkpoint-every", "0.2",
    ]  # fmt: skip
    heads = []
    for out, after in ((place / "whole", None), (place / "killed", 4.0 if GPU else 2.0)):
        going = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if after is not None:
            until = time.time() + 60
            while not list(place.glob("killed*/**/*.safetensors")) and time.time() < until and going.poll() is None:
                time.sleep(0.05)
            time.sleep(after / 8)
            going.send_signal(signal.SIGKILL)
            going.wait()
            going = subprocess.Popen([*command, "--out", str(out), "--resume"], stdout=subprocess.DEVNULL)
        going.wait()
        heads.append(load_file(out / "head.safetensors"))
    one, two = (torch.cat([tensor.flatten().float() for tensor in head.values()]) for head in heads)
    say("killed, and gone on", f"heads differ by {float((one - two).abs().max()):.1e} at most")


PARTS: dict[str, Callable[[Path, Sequence[int]], None]] = {
    "pictures": run_pictures, "texts": run_texts, "clips": run_clips, "tuning": run_tuning, "killed": run_killed,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--batches", nargs="+", type=int, default=[batch_size.TIMES["cuda"][0]])
    said = parser.parse_args()
    where = torch.cuda.get_device_name() if GPU else "a processor, at a tiny size"
    print(f"{where}, torch {torch.__version__}, {len(os.sched_getaffinity(0))} cores", flush=True)
    for part in said.parts:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            os.environ["GRAFTWORK_CACHE"] = str(Path(place) / "store")
            PARTS[part](Path(place), said.batches)
        print(f"  {part}: {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
