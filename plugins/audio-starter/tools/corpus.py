"""Makes the corpus that the starter encoder is pretrained on: speech of Debian's packages, LibriSpeech, voices that are
synthesised, and noises.

    python tools/corpus.py CORPUS --read-speech FOLDER

CORPUS becomes one folder per source of 16 kHz mono FLAC clips of 0.2 to 4 seconds, about thirteen hours. Needs a Debian
or Ubuntu with ffmpeg, espeak-ng and flite; the packages of recordings are downloaded and unpacked, not installed. The
same seed and versions give the same clips.

Sources and licences: see MODEL_CARD.md. The spoken digits that the encoder is judged by are not among them.
"""

from __future__ import annotations

import argparse
import io
import pydoc_data.topics
import random
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy import signal

RATE = 16_000
SHORTEST, LONGEST = 0.2, 4.0
"""Seconds of a clip."""

RECORDINGS = {
    "asterisk-core-sounds-en-g722": "*.g722",
    "asterisk-core-sounds-es-g722": "*.g722",
    "asterisk-core-sounds-fr-g722": "*.g722",
    "asterisk-core-sounds-it-g722": "*.g722",
    "asterisk-core-sounds-ru-g722": "*.g722",
    "asterisk-prompt-it-menardi-wav": "*.wav",
    "gcin-voice": "5.ogg",
}
"""Debian packages of spoken words and sentences, and the files that hold them; of the last those under CC BY 3.0."""

SPEEDS = (0.82, 0.91, 1.1, 1.22)
"""Each recording is also played slower and faster, which changes the pitch: other voices."""

ESPEAK = {
    "en-us": 9, "en-gb": 5, "en-gb-scotland": 3, "en-029": 2, "de": 2, "fr": 2, "es": 2, "it": 1, "pt": 1, "ru": 1,
    "nl": 1, "sv": 1, "pl": 1, "tr": 1, "hi": 1,
}  # fmt: skip
"""Languages of espeak-ng and their shares. Those other than English read English words by their own rules."""
VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "croak", "whisper", "Andy",
    "Annie", "Denis", "Gene", "Jacky", "Lee", "Linda", "Mario", "Michael", "Mike", "Steph", "Storm", "Tweaky",
    "Zac", "belinda", "boris", "ed", "edward", "grandma", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4",
    "max", "michel", "pablo", "pedro", "quincy", "rob", "robert", "sandro", "steph2", "travis", "victor", "zac",
)  # fmt: skip
FLITE = ("awb", "kal16", "rms", "slt")

NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "twenty", "thirty", "forty", "fifty", "hundred", "thousand", "first", "second", "third",
)  # fmt: skip


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("out", type=Path)
    asked.add_argument("--read-speech", type=Path, required=True, help="folders of 16 kHz FLAC files, one per speaker")
    asked.add_argument("--espeak", type=int, default=9000, help="how many clips are synthesised with espeak-ng")
    asked.add_argument("--flite", type=int, default=5000, help="how many with flite")
    asked.add_argument("--noises", type=int, default=2500, help="how many noises, tones and the like")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for package, pattern in RECORDINGS.items():
            keep(options.out / package, recordings(package, pattern, Path(scratch)))
    keep(options.out / "read-speech", read_speech(options.read_speech))
    keep(options.out / "espeak-ng", each(espeak, range(options.espeak)))
    keep(options.out / "flite", each(flite, range(options.flite)))
    keep(options.out / "noises", (noise(number) for number in range(options.noises)))


def keep(folder: Path, clips: Iterator[tuple[str, np.ndarray]]) -> None:
    """Write clips, unless the folder is there already; it is there only when all of them are."""
    if folder.exists():
        return
    making = folder.with_name(f"{folder.name}.unfinished")
    making.mkdir(parents=True, exist_ok=True)
    seconds = 0.0
    for name, samples in clips:
        if len(samples) < SHORTEST * RATE or np.abs(samples).max() < 1e-3:
            continue
        samples = samples[: int(LONGEST * RATE)]
        samples = samples * min(1.0, 0.99 / np.abs(samples).max())
        soundfile.write(making / f"{name}.flac", samples.astype(np.float32), RATE)
        seconds += len(samples) / RATE
    making.rename(folder)
    print(f"{folder.name}: {seconds / 3600:.2f} h", flush=True)


def each(make: Callable[[Any], Any], given: Iterable[Any]) -> Iterator[Any]:
    """What `make` makes of each, in their order; two at a time, and none before the first is asked for."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(make, given)


# What was recorded.


def recordings(package: str, pattern: str, scratch: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The clips of a Debian package, as they are and at other speeds."""
    subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package], cwd=scratch, check=True)
    (archive,) = scratch.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, scratch / package], check=True)
    # Files of the same content are links to one another in some packages.
    files = sorted({file.resolve() for file in (scratch / package).rglob(pattern)})
    for number, samples in enumerate(each(ffmpeg, files)):
        yield from spoken(f"{number:05}", samples)


def read_speech(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for file in sorted(folder.rglob("*.flac")):
        samples, rate = soundfile.read(file)
        assert rate == RATE, f"{file} has {rate} Hz"
        yield from spoken(file.stem, samples)


def spoken(name: str, samples: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Pieces of one recording, cut where it is quiet, and each at other speeds."""
    rng = random.Random(name)
    for place, piece in enumerate(pieces(samples, rng)):
        yield f"{name}-{place}", piece
        for speed in rng.sample(SPEEDS, 2):
            changed = signal.resample(piece, int(len(piece) / speed))
            yield f"{name}-{place}-{speed}", changed


def pieces(samples: np.ndarray, rng: random.Random) -> Iterator[np.ndarray]:
    """Parts of 0.3 to 4 seconds without long silence: single words as often as whole sentences."""
    frame = RATE // 100
    count = len(samples) // frame
    if not count:
        return
    loud = np.sqrt((samples[: count * frame].reshape(count, frame) ** 2).mean(1))
    voiced = loud > 0.05 * np.quantile(loud, 0.98)
    voiced = signal.convolve(voiced.astype(float), np.ones(9), "same") > 0.5  # gaps below 90 ms are inside words
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    spans = [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True) if end - begin >= 15]
    at = 0
    while at < len(spans):
        wanted = rng.choice((30, 60, 120, 250, 400))
        begin, end = spans[at]
        at += 1
        while at < len(spans) and spans[at][1] - begin <= wanted:
            end = spans[at][1]
            at += 1
        for start in range(begin, end, 400):
            yield samples[start * frame : min(end, start + 400) * frame]


def ffmpeg(file: Path) -> np.ndarray:
    command = ["ffmpeg", "-v", "error", "-i", file, "-f", "f32le", "-ac", "1", "-ar", str(RATE), "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32)


# What is synthesised.


def words(rng: random.Random) -> str:
    """One word as often as a few; of the words in Python's own manual, and numbers."""
    count = rng.choice((1, 1, 1, 2, 3, 5))
    return " ".join(rng.choice(NUMBERS if rng.random() < 0.15 else VOCABULARY) for _ in range(count))


VOCABULARY = sorted(
    {word.lower() for word in re.findall(r"\b[A-Za-z]{2,12}\b", " ".join(pydoc_data.topics.topics.values()))}
)


def espeak(number: int) -> tuple[str, np.ndarray]:
    rng = random.Random(f"espeak {number}")
    language = rng.choices(list(ESPEAK), list(ESPEAK.values()))[0]
    voice = f"{language}+{rng.choice(VARIANTS)}"
    speed, pitch = rng.randint(110, 220), rng.randint(15, 85)
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", words(rng)]
    return f"{number:05}", _said(command, rng)


def flite(number: int) -> tuple[str, np.ndarray]:
    rng = random.Random(f"flite {number}")
    stretch = f"duration_stretch={rng.uniform(0.7, 1.3):.2f}"
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        voice = rng.choice(FLITE)
        subprocess.run(["flite", "-voice", voice, "--setf", stretch, "-t", words(rng), "-o", file.name], check=True)
        return f"{number:05}", _said(["cat", file.name], rng)


def _said(command: list[str], rng: random.Random) -> np.ndarray:
    done = subprocess.run(command, capture_output=True, check=True)
    if len(done.stdout) < 1_000:  # some voices say nothing of some words
        return np.zeros(0)
    samples, rate = soundfile.read(io.BytesIO(done.stdout))
    speed = rng.uniform(0.85, 1.2)
    samples = signal.resample(samples, int(len(samples) * RATE / rate / speed))
    return trimmed(room(samples, rng))


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Without the quiet at both ends."""
    loud = np.flatnonzero(np.abs(samples) > 0.03 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def room(samples: np.ndarray, rng: random.Random) -> np.ndarray:
    """As a room and a microphone would give it, half of the time: noise that dies away, and a filter."""
    if rng.random() < 0.5:
        return samples
    random_numbers = np.random.default_rng(rng.randrange(2**32))
    length = int(RATE * rng.uniform(0.05, 0.4))
    tail = random_numbers.normal(size=length) * np.exp(-np.linspace(0, 7, length)) * rng.uniform(0.02, 0.15)
    tail[0] = 1
    heard = signal.fftconvolve(samples, tail)[: len(samples) + length // 4]
    low, high = rng.uniform(60, 300), rng.uniform(3_000, 7_900)
    return signal.sosfilt(signal.butter(2, [low, high], "band", fs=RATE, output="sos"), heard)


def noise(number: int) -> tuple[str, np.ndarray]:
    """Coloured noise, tones, sweeps, clicks, plucked strings, buzzes, and mixtures of them."""
    rng = random.Random(f"noise {number}")
    seconds = rng.uniform(0.3, 3.0)
    found = sum(
        rng.uniform(0.2, 1) * shaped(rng.choice(NOISES)(seconds, rng), rng) for _ in range(rng.choice((1, 1, 2, 3)))
    )
    return f"{number:05}", room(np.asarray(found), rng) * rng.uniform(0.05, 0.9)


def shaped(samples: np.ndarray, rng: random.Random) -> np.ndarray:
    """Of amplitude 1, with an onset, an end, or beats."""
    time = np.linspace(0, 1, len(samples))
    envelope = rng.choice((
        np.ones_like(time), np.exp(-rng.uniform(2, 12) * time), time, np.sin(np.pi * time),
        0.5 + 0.5 * signal.square(2 * np.pi * rng.uniform(1, 12) * time, rng.uniform(0.2, 0.8)),
        0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 30) * time),
    ))  # fmt: skip
    return samples / (np.abs(samples).max() + 1e-9) * envelope


def _times(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * RATE)) / RATE


def coloured(seconds: float, rng: random.Random) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(rng.randrange(2**32)).normal(size=int(seconds * RATE)))
    frequency = np.maximum(np.fft.rfftfreq(int(seconds * RATE), 1 / RATE), 20)
    return np.fft.irfft(spectrum * frequency ** rng.uniform(-1.5, 0.5), int(seconds * RATE))


def band(seconds: float, rng: random.Random) -> np.ndarray:
    centre = 2 ** rng.uniform(7.5, 12.5)
    sos = signal.butter(2, [centre * 0.8, min(centre * 1.25, 7_900)], "band", fs=RATE, output="sos")
    return signal.sosfilt(sos, coloured(seconds, rng))


def tone(seconds: float, rng: random.Random) -> np.ndarray:
    base, time = 2 ** rng.uniform(6, 11), _times(seconds)
    steep = rng.uniform(0.5, 2.5)
    partials = (k for k in range(1, 20) if k * base < 7_900 and rng.random() < 0.8)
    tones = (k**-steep * np.sin(2 * np.pi * k * base * time + rng.uniform(0, 6.28)) for k in partials)
    return np.asarray(sum(tones, np.zeros_like(time)))


def sweep(seconds: float, rng: random.Random) -> np.ndarray:
    begin, end = 2 ** rng.uniform(6.5, 12.5), 2 ** rng.uniform(6.5, 12.5)
    return signal.chirp(_times(seconds), begin, seconds, end, method=rng.choice(("linear", "logarithmic")))


def clicks(seconds: float, rng: random.Random) -> np.ndarray:
    found = np.zeros(int(seconds * RATE))
    found[:: int(RATE / rng.uniform(2, 60))] = 1
    centre = 2 ** rng.uniform(8, 12)
    sos = signal.butter(1, [centre * 0.7, min(centre * 1.4, 7_900)], "band", fs=RATE, output="sos")
    return signal.sosfilt(sos, found)


def plucked(seconds: float, rng: random.Random) -> np.ndarray:
    """A string by Karplus and Strong 1983: a delay line that is averaged each time round."""
    delay = int(RATE / 2 ** rng.uniform(6, 10))
    begin = np.zeros(int(seconds * RATE))
    begin[:delay] = np.random.default_rng(rng.randrange(2**32)).normal(size=min(delay, len(begin)))
    feedback = np.zeros(delay + 2)
    feedback[0], feedback[delay], feedback[delay + 1] = 1, -0.498, -0.498
    return signal.lfilter([1.0], feedback, begin)


def buzz(seconds: float, rng: random.Random) -> np.ndarray:
    time = _times(seconds)
    rate = 2 ** rng.uniform(5, 9) * (1 + rng.uniform(0, 0.05) * np.sin(2 * np.pi * rng.uniform(1, 8) * time))
    return signal.sawtooth(2 * np.pi * np.cumsum(rate) / RATE)


NOISES = (coloured, band, tone, sweep, clicks, plucked, buzz)

if __name__ == "__main__":
    main()
