"""Sounds for the example: seconds to learn from, and a stream with commands at known places."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE, WINDOW = 22_050, 1.0  # Hz, seconds
SPOKEN = ["go", "left", "stop", "up", "no", "right", "yes", "down"]


def window(word: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """A second of a quiet room with a word somewhere in it, or with a piece of one at its edge."""
    room = 0.003 * chance.standard_normal(round(WINDOW * RATE))
    word = word[: len(room)]
    start = chance.integers(len(room) - len(word) + 1)
    room[start : start + len(word)] += word
    return room


def training_data(commands: Path, folder: Path) -> Path:
    """A second around each command, and seconds in which no whole command is heard, as class folders."""
    import soundfile  # comes with the audio plugin

    chance = np.random.default_rng(0)
    for split in ("train", "validation"):
        for file in sorted((commands / split).glob("*/*.flac")):
            word, _ = soundfile.read(file)
            cut = word[: len(word) // 3] if chance.random() < 0.5 else word[-len(word) // 3 :]
            for label, sound in ((file.parent.name, word), ("nothing", cut * (chance.random() < 0.7))):
                place = folder / split / label
                place.mkdir(parents=True, exist_ok=True)
                soundfile.write(place / f"{file.stem}.flac", window(sound, chance), RATE)
    return folder


def stream(commands: Path) -> tuple[np.ndarray, list[float]]:
    """Eight commands by a voice that was not learned from, in a quiet room; and the second at which each begins."""
    import soundfile

    chance, parts, begins = np.random.default_rng(1), [], []
    for word in SPOKEN:
        parts.append(np.zeros(round(chance.uniform(0.8, 1.6) * RATE)))
        begins.append(sum(map(len, parts)) / RATE)
        parts.append(soundfile.read(commands / "validation" / word / f"{word}-en-us-f2-170.flac")[0])
    sound = np.concatenate([*parts, np.zeros(RATE)])
    return sound + 0.003 * chance.standard_normal(len(sound)), begins


def listen() -> np.ndarray:
    """Ten seconds from the microphone."""
    import sounddevice  # pyright: ignore[reportMissingImports]

    print("Listening for ten seconds ...")
    return sounddevice.rec(10 * RATE, samplerate=RATE, channels=1, blocking=True)[:, 0]
