"""Strings of spoken digits: `transcribe` with a tuned `audio/wav2vec2-tiny`, judged by the words that are wrong of two
speakers never trained on, and of new recordings of those trained on.

Recordings of single digits (../shared/data/spoken_digits: six speakers, fifty of each digit) are joined with short
pauses, in 3 to 6 a string for both tests and 1 to 6 for training, which learns to tell them apart sooner. Recordings 0
to 36 of four speakers are trained on, 37 to 39 choose the epoch, 40 to 49 are the new ones.

usage: digit_strings.py [--data DIR] [--held SPEAKER,SPEAKER] [--strings N] [--judged N] [--epochs N] [--freeze P]
                        [--head H] [--lr R] [--head-lr R] [--batch N] [--plain] [--seed N] [--threads N]
"""

from __future__ import annotations

import argparse
import csv
import platform
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch

import graftwork as gw

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "spoken_digits"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8_000
LONGEST = 4.0
"""Seconds; what is longer would be read in windows, which the tests of the suite do."""

Samples = npt.NDArray[np.float32]
Recordings = Mapping[str, Mapping[str, Sequence[tuple[int, Samples]]]]


def recordings(folder: Path) -> Recordings:
    """By speaker and digit the numbers and samples of recordings."""
    found: dict[str, dict[str, list[tuple[int, Samples]]]] = {}
    for file in sorted(folder.glob("*.wav")):
        digit, speaker, number = file.stem.split("_")
        read, rate = soundfile.read(file)
        samples = read.astype(np.float32)
        assert rate == RATE, f"{file} has {rate} Hz"
        found.setdefault(speaker, {}).setdefault(digit, []).append((int(number), samples))
    return found


def string(rng: random.Random, digits: Mapping[str, Sequence[tuple[int, Samples]]], numbers: range, least: int):
    """A text of `least` to 6 digits that one speaker says, and its samples: 20 to 150 ms of silence around each."""
    while True:
        said = [rng.choice("0123456789") for _ in range(rng.randint(least, 6))]
        pieces = [_pause(rng)]
        for digit in said:
            pieces += [rng.choice([samples for number, samples in digits[digit] if number in numbers]), _pause(rng)]
        samples = np.concatenate(pieces)
        if len(samples) <= LONGEST * RATE:
            return " ".join(WORDS[int(digit)] for digit in said), samples / np.abs(samples).max() * 0.7


def _pause(rng: random.Random) -> Samples:
    return np.zeros(int(rng.uniform(0.02, 0.15) * RATE), np.float32)


def write(folder: Path, name: str, sets: Sequence[tuple[str, Recordings, range, int, int]], seed: int) -> Path:
    """A table of clips and texts with their split. sets: the split, the speakers, the recordings, the fewest digits and
    how many strings."""
    rng = random.Random(f"{name} {seed}")
    (folder / name).mkdir()
    with (folder / f"{name}.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "text", "split"))
        for split, speakers, numbers, least, count in sets:
            for number in range(count):
                speaker = rng.choice(sorted(speakers))
                text, samples = string(rng, speakers[speaker], numbers, least)
                path = f"{name}/{split}-{speaker}-{number}.wav"
                soundfile.write(folder / path, samples, RATE)
                rows.writerow((path, text, split))
    return folder / f"{name}.csv"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--held", default="theo,yweweler")
    asked.add_argument("--strings", type=int, default=1200)
    asked.add_argument("--judged", type=int, default=150, help="how many strings each test has")
    asked.add_argument("--epochs", type=int, default=8)
    asked.add_argument("--freeze", default="last:8")
    asked.add_argument("--head", default="ctc-conv")
    asked.add_argument("--lr", type=float, default=4e-4)
    asked.add_argument("--head-lr", type=float, default=3e-3)
    asked.add_argument("--batch", type=int, default=8)
    asked.add_argument("--plain", action="store_true", help="without augmentation")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--threads", type=int, default=2)
    options = asked.parse_args()
    torch.set_num_threads(options.threads)
    found = recordings(options.data)
    held = {speaker: found[speaker] for speaker in options.held.split(",")}
    others = {speaker: digits for speaker, digits in found.items() if speaker not in held}
    with tempfile.TemporaryDirectory() as place:
        folder, seed = Path(place), options.seed
        sets = [
            ("train", others, range(37), 1, options.strings),
            ("validation", others, range(37, 40), 3, options.judged),
            ("test", held, range(50), 3, options.judged),
        ]
        table = write(folder, "strings", sets, seed)
        same = write(folder, "same", [("test", others, range(40, 50), 3, options.judged)], seed)
        began = time.monotonic()

        def watch(progress) -> None:
            if progress.done or progress.step % 50 == 0:
                print(
                    f"epoch {progress.epoch} step {progress.step}/{progress.steps} loss {progress.loss:.3f} "
                    f"{progress.metric} {progress.value} {time.monotonic() - began:.0f} s", flush=True,
                )  # fmt: skip

        run = gw.fit(
            gw.data(table, input="file", label="text", task="transcribe"), "audio/wav2vec2-tiny", task="transcribe",
            freeze=options.freeze, head=options.head, epochs=options.epochs, lr=options.lr, head_lr=options.head_lr,
            batch_size=options.batch, augment=not options.plain, seed=seed, patience=0, watch=watch,
        )  # fmt: skip
        took = time.monotonic() - began
        known = run.evaluate(gw.data(same, input="file", label="text", task="transcribe"))["metrics"]
        print(
            f"new speakers ({options.held}): WER {run.metrics['test']['wer']:.3f}, CER {run.metrics['test']['cer']:.3f}; "
            f"new strings of speakers trained on: WER {known['wer']:.3f}, CER {known['cer']:.3f}; "
            f"validation WER {run.metrics['wer']:.3f}; {took:.0f} s of fit on {options.threads} threads of "
            f"{processor()}; certificate {run.record['certificate']['ok']}; {vars(options)}"
        )


if __name__ == "__main__":
    main()
