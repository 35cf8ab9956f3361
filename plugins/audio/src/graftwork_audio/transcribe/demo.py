"""Digit strings to try `transcribe` on, spoken by a small formant synthesiser, so that no one's voice is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

CLIPS = 96
SEED = 7
RATE = 16_000
FRAME = 80
"""Samples between two settings of the synthesiser: 5 ms."""
HIGHEST = 5_000.0
"""Hz, the end of voiced sound."""

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sound:
    """A speech sound. formants: Hz; voice, hiss: how loud its two sources are, 0..1; around: Hz, the hiss's centre."""

    formants: tuple[float, float, float]
    voice: float = 1.0
    hiss: float = 0.0
    around: float = 4000.0


@dataclass(frozen=True)
class Voice:
    """A speaker. pitch: Hz; size: of the formants, 1 a man's; slowness: of speech, 1 the usual."""

    pitch: float
    size: float
    slowness: float


VOICES = (
    *(Voice(98, 0.96, 1.0), Voice(122, 1.0, 0.9), Voice(140, 1.05, 1.15)),
    *(Voice(178, 1.12, 1.05), Voice(204, 1.16, 0.9), Voice(236, 1.22, 1.0)),
)

SOUNDS = {
    # Vowels: means of 33 men (Peterson and Barney 1952, table II).
    "i": Sound((270, 2290, 3010)), "I": Sound((390, 1990, 2550)), "E": Sound((530, 1840, 2480)),
    "A": Sound((730, 1090, 2440)), "O": Sound((570, 840, 2410)), "U": Sound((440, 1020, 2240)),
    "u": Sound((300, 870, 2240)), "V": Sound((640, 1190, 2390)),
    # Consonants: near those of Klatt 1980, table III.
    "n": Sound((250, 1450, 2300), 0.4), "w": Sound((290, 610, 2150), 0.7), "r": Sound((310, 1060, 1380), 0.7),
    "v": Sound((220, 1100, 2080), 0.3, 0.08, 3000), "z": Sound((240, 1390, 2530), 0.25, 0.25, 5500),
    "s": Sound((320, 1390, 2530), 0.0, 0.4, 5800), "f": Sound((340, 1100, 2080), 0.0, 0.15, 2800),
    "T": Sound((320, 1290, 2540), 0.0, 0.12, 4500), "t": Sound((400, 1600, 2600), 0.0, 0.5, 4200),
    "k": Sound((300, 1990, 2850), 0.0, 0.5, 1900), "_": Sound((400, 1500, 2500), 0.0),
}  # fmt: skip

DIGITS = {
    "zero": "z9 I7 r6 O8 U9", "one": "w7 V12 n10", "two": "_3 t4 u18", "three": "T9 r6 i17", "four": "f9 O14 r8",
    "five": "f9 A11 I8 v7", "six": "s11 I9 _5 k3 s11", "seven": "s10 E9 v6 V6 n9", "eight": "E8 I9 _6 t5",
    "nine": "n8 A12 I8 n9",
}  # fmt: skip
"""The sounds of each digit, and for how many hundredths of a second."""


def digit_strings(folder: Path) -> Path:
    """Write 96 clips of 3 to 6 digits (16 kHz, 16 bits) to `folder/wavs`, and what is said in them to
    `folder/metadata.csv` as LJSpeech has it: `v1-001|three one four|three one four`. Returns the folder.

    Six voices, named in front of the number of the clip, of sixteen clips each. The same ones whenever it is called.
    """
    import soundfile

    (folder / "wavs").mkdir(parents=True, exist_ok=True)
    lines = []
    for name, text, samples in clips():
        soundfile.write(folder / "wavs" / f"{name}.wav", samples, RATE, subtype="PCM_16")
        lines.append(f"{name}|{text}|{text}\n")
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return folder


def clips() -> Iterator[tuple[str, str, Samples]]:
    """The name, the text and the samples `(T,)`, -1..1, of each clip."""
    for number in range(CLIPS):
        rng = np.random.default_rng((SEED, number))
        which = number % len(VOICES)
        words = [str(word) for word in rng.choice(list(DIGITS), rng.integers(3, 7))]
        pieces = [_pause(rng, 0.1, 0.3)]
        for word in words:
            pieces += [spoken(word, VOICES[which], rng), _pause(rng, 0.03, 0.2)]
        samples = np.concatenate((*pieces, _pause(rng, 0.05, 0.2)))
        samples *= rng.uniform(0.3, 0.8) / np.abs(samples).max()
        samples += rng.normal(0, 10 ** rng.uniform(-3.5, -2.5), len(samples))  # a room, -70 to -50 dB
        yield f"v{which + 1}-{number + 1:03}", " ".join(words), samples


def spoken(word: str, voice: Voice, rng: np.random.Generator) -> Samples:
    """A digit in this voice, a little otherwise each time: samples `(T,)`, some 0.3 to 0.6 seconds."""
    parts = [(SOUNDS[part[0]], int(part[1:])) for part in DIGITS[word].split()]
    counts = [round(2 * size * voice.slowness * rng.uniform(0.85, 1.2)) for _, size in parts]  # 5 ms each
    settings = np.array([(*sound.formants, sound.voice, sound.hiss, sound.around) for sound, _ in parts])
    track = _smooth(np.repeat(settings, counts, axis=0), 7)
    track[:, :3] *= voice.size * rng.normal(1, 0.02)
    loud = _smooth(np.pad(np.ones((len(track) - 6, 1)), ((3, 3), (0, 0))), 5)[:, 0]
    fall = np.linspace(1.08, 0.9, len(track)) * rng.normal(1, 0.04)
    return _voiced(track[:, :3], track[:, 3] * loud, voice.pitch * fall) + _hiss(
        track[:, 5] * voice.size, track[:, 4] * loud, rng
    )


def _voiced(formants: Samples, loud: Samples, pitch: Samples) -> Samples:
    """Harmonics of a pitch, each as loud as the formants `(F, 3)` near it make it; F frames of 5 ms."""
    length = len(pitch) * FRAME
    frames, at = np.arange(len(pitch)) * FRAME, np.arange(length)
    phase = 2 * np.pi * np.cumsum(np.interp(at, frames, pitch)) / RATE
    before, wave, twice = np.zeros(length), np.sin(phase), 2 * np.cos(phase)
    out = np.zeros(length)
    for number in range(1, int(HIGHEST / pitch.max()) + 1):
        away = (number * pitch[:, None] - formants) / (60, 90, 130)  # half the bandwidths, Hz
        gain = ((1, 0.6, 0.3) / (1 + away**2)).sum(1) / number**0.5
        out += np.interp(at, frames, gain * loud) * wave
        before, wave = wave, twice * wave - before  # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x)
    return out


def _hiss(around: Samples, loud: Samples, rng: np.random.Generator) -> Samples:
    """Noise in a band of some 3 kHz about a centre that moves; overlapping windows of 10 ms."""
    window = np.hanning(2 * FRAME + 1)[:-1]
    frequencies = np.fft.rfftfreq(2 * FRAME, 1 / RATE)
    band = np.exp(-(((frequencies - around[:, None]) / 1500) ** 2)) * loud[:, None]
    pieces = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, (len(loud), 2 * FRAME))) * band) * window
    out = np.zeros((len(loud) + 1) * FRAME)
    out[:-FRAME] += pieces[:, :FRAME].ravel()
    out[FRAME:] += pieces[:, FRAME:].ravel()
    return out[:-FRAME]


def _smooth(track: Samples, width: int) -> Samples:
    """Each column averaged over a window of frames, as a mouth moves from sound to sound."""
    window = np.hanning(width + 2)[1:-1]
    half = width // 2
    padded = np.pad(track, ((half, half), (0, 0)), mode="edge")
    columns = [np.convolve(column, window / window.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)


def _pause(rng: np.random.Generator, least: float, most: float) -> Samples:
    return np.zeros(int(rng.uniform(least, most) * RATE))
