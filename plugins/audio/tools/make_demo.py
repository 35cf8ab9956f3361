"""Speak the demo commands of the audio plugin with ``espeak-ng``.

Writes ``<word>/<word>-<voice>-<speed>.flac`` below the demo folder: eight
commands, each spoken by ten voices at three speeds. Nothing is random, so the
same ``espeak-ng`` version gives the same clips. Needs the ``espeak-ng`` program,
``numpy`` and ``soundfile``::

    python plugins/audio/tools/make_demo.py
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf

WORDS = ("yes", "no", "stop", "go", "up", "down", "left", "right")
VOICES = (
    "en-us",
    "en-us+f2",
    "en-us+m3",
    "en-gb",
    "en-gb+f4",
    "en-gb-scotland+m1",
    "en-gb-scotland+f2",
    "en-029+m3",
    "en-gb-x-rp+f4",
    "en-gb-x-rp+m1",
)
SPEEDS = (140, 170, 200)  # words per minute
PITCHES = (38, 50, 64)  # espeak-ng's scale runs from 0 to 99
RATE = 22_050  # espeak-ng's own sample rate
MARGIN_S = 0.030  # silence kept before and after each word
SILENCE = 0.01  # quieter than this share of the peak counts as silence
DEFAULT_OUT = Path(__file__).parents[1] / "src/graftwork_audio/demo/commands"


def speak(word: str, voice: str, speed: int, pitch: int) -> npt.NDArray[np.int16]:
    """Return ``word`` as spoken by ``espeak-ng``: mono, 16 bit, 22 050 Hz."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "clip.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch)]
        subprocess.run([*command, "-w", str(wav), word], check=True)
        samples, rate = sf.read(wav, dtype="int16")
    if rate != RATE or samples.ndim != 1:
        raise RuntimeError(f"expected mono at {RATE} Hz, espeak-ng gave {rate} Hz")
    return np.asarray(samples, dtype=np.int16)


def trim(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Cut the silence at both ends down to ``MARGIN_S``, padding if there is less."""
    level = np.abs(samples.astype(np.int32))
    loud = np.flatnonzero(level > SILENCE * level.max())
    margin = round(MARGIN_S * RATE)
    padded = np.pad(samples, margin)
    return padded[loud[0] : loud[-1] + 1 + 2 * margin]


def make(out: Path) -> list[Path]:
    """Write every clip below ``out`` and return the paths."""
    paths: list[Path] = []
    for word in WORDS:
        folder = out / word
        folder.mkdir(parents=True, exist_ok=True)
        for i, voice in enumerate(VOICES):
            for j, speed in enumerate(SPEEDS):
                # Rotate the pitch so that it does not simply follow the speed.
                pitch = PITCHES[(i + j) % len(PITCHES)]
                samples = trim(speak(word, voice, speed, pitch))
                name = f"{word}-{voice.replace('+', '-')}-{speed}.flac"
                sf.write(folder / name, samples, RATE, subtype="PCM_16")
                paths.append(folder / name)
    return paths


def main() -> None:
    """Write the clips and print how many there are and what they weigh."""
    parser = argparse.ArgumentParser(description="Speak the demo commands.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="demo folder")
    paths = make(parser.parse_args().out)
    size = sum(path.stat().st_size for path in paths)
    print(f"{len(paths)} clips, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
