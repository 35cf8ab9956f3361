"""Reads sound: the facts from a file's header, the samples when they are asked for, and why it cannot be read."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import soundfile

from graftwork import Empty, Extent, FileFormat, Raw, Reader, Unreadable, Value, check_plain, recognise
from graftwork_audio.clip import Clip, facts_of
from graftwork_audio.levels import Levels, levels
from graftwork_audio.limits import TooLarge, check_facts, check_size

if TYPE_CHECKING:
    from graftwork_audio.containers import Track

# libsndfile's log of a header, where the part that holds the samples is longer than what the file holds.
_CUT = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
# Sizes from here on are written by programs that did not know the length (a stream), and promise nothing.
_UNKNOWN = 0x7FFFFF00
# An MP3 decoder starts and stops within a frame of 1152 samples at either end.
_MP3_SLACK = 2 * 1152

DEPTHS = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64,
    "ULAW": "8-bit telephone code", "ALAW": "8-bit telephone code", "DWVW_12": 12, "DWVW_16": 16, "DWVW_24": 24,
    "ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24, "ALAC_32": 32,
}  # fmt: skip
"""Bits of a sample by libsndfile's name of the encoding; of one that is not here it has none of its own."""
BLOCK = 1 << 18
PART_SLACK = 0.1
"""Seconds that a part may go on behind the end of a sound, and is cut there: programs round, and decoders pad."""

OWN = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".caf", ".w64", ".sph", ".voc")
"""The formats that libsndfile reads, by the usual ending of their files."""
NOT_RECOGNISED, NOT_IMPLEMENTED = 1, 18
"""libsndfile's codes for a file that it does not know at all, or whose encoding it does not know."""


class AudioReader(Reader):
    """Files and encoded bytes that libsndfile reads, or else FFmpeg where PyAV is installed, and sound in memory.

    In memory, sound is a `Clip`, or as `datasets` decodes it, `{"array": (T,) or (C, T), "sampling_rate": Hz}`
    with floats whose full scale is -1 to 1.
    """

    items: ClassVar[str] = "files"
    reads_parts: ClassVar[bool] = True

    def facts(self, raw: Raw) -> Mapping[str, Value]:
        """From the header: sampling_rate (Hz), channels, duration (s, cut to milliseconds) and bit_depth ("compressed"
        where samples have none). From the samples, read block by block: amplitude (the peak, full scale being 1), sound
        ("audible", "silent", or "silent as mono" where the channels cancel each other) and clipping ("none", or
        "clipped" where one sample in a thousand is at full scale)."""
        clip = _in_memory(raw)
        if clip is not None:
            _check_finite(raw, clip.samples)
            return clip.facts()
        with _opened(raw) as file:
            if raw.part is not None:
                return _facts_of(file, _part_of(raw, file, raw.part))
            found = levels(_blocks(file), _bits(file))
            _check_finite(raw, found.peak)
            _check_complete(raw, file, found.frames)
            return _facts(file, found)

    def decode(self, raw: Raw) -> Clip:
        """The whole sound, or the part that the example is, at its own rate, every channel."""
        clip = _in_memory(raw)
        if clip is not None:
            _check_finite(raw, clip.samples)
            return clip
        with _opened(raw) as file:
            return _clip_of(raw, file)

    def read(self, raw: Raw) -> tuple[Mapping[str, Value], Clip]:
        clip = _in_memory(raw)
        if clip is not None:
            _check_finite(raw, clip.samples)
            return clip.facts(), clip
        with _opened(raw) as file:
            clip = _clip_of(raw, file)
            return _facts_of(file, clip), clip

    def extent(self, raw: Raw, facts: Mapping[str, Value]) -> Extent:
        """The length in seconds."""
        return Extent(length=float(facts["duration"]))

    def memory(self, value: Clip) -> int:
        return value.samples.nbytes

    def digest(self, raw: Raw) -> bytes:
        """Of the samples and their rate, so that a clip is the same in WAV and in FLAC."""
        clip = self.decode(raw)
        about = f"{clip.rate} {clip.samples.shape[0]}".encode()
        return hashlib.blake2b(clip.samples.tobytes(), digest_size=16, person=about[:16]).digest()

    def picture(self, raw: Raw) -> bytes:
        """A spectrogram as PNG: time to the right, frequency upwards to half the rate, 80 dB from black to white."""
        from PIL import Image  # only pages need it

        samples = self.decode(raw).samples.mean(0)
        window = 256
        samples = np.pad(samples, (0, max(0, window - len(samples))))
        starts = np.linspace(0, len(samples) - window, 160).astype(int)
        frames = samples[starts[:, None] + np.arange(window)] * np.hanning(window)
        level = 20 * np.log10(np.abs(np.fft.rfft(frames)).T[::-1] + 1e-6)
        grey = ((level - level.max() + 80).clip(0) / 80 * 255).astype(np.uint8)
        made = io.BytesIO()
        Image.fromarray(grey).resize((160, 96)).save(made, "PNG")
        return made.getvalue()

    def sound(self, raw: Raw) -> bytes:
        """The first ten seconds."""
        from graftwork_audio.playing import as_flac  # torchaudio is slow to import, and headers do not need it

        return as_flac(self.decode(raw), 10)

    def size(self, raw: Raw) -> int:
        """Samples per channel, by the header."""
        clip = _in_memory(raw)
        if clip is not None:
            return clip.samples.shape[1]
        with _opened(raw) as file:
            first, last = (0, file.frames) if raw.part is None else _frames(raw, raw.part, file.samplerate, file.frames)
            return last - first


def _blocks(file: soundfile.SoundFile | Track) -> Iterator[Any]:
    """The samples `(T, C)`, block by block. `SoundFile.blocks` would fill up what a file lacks of its stated length."""
    if not isinstance(file, soundfile.SoundFile):
        yield from file.blocks()
        return
    left = file.frames
    while left > 0 and len(block := file.read(min(BLOCK, left), dtype="float32", always_2d=True)):
        yield block
        left -= len(block)


def _clip_of(raw: Raw, file: soundfile.SoundFile | Track) -> Clip:
    if raw.part is not None:
        return _part_of(raw, file, raw.part)
    samples = file.read(dtype="float32", always_2d=True)
    _check_complete(raw, file, len(samples))
    _check_finite(raw, samples)
    return Clip(np.ascontiguousarray(samples.T, dtype=np.float32), file.samplerate)


def _part_of(raw: Raw, file: soundfile.SoundFile | Track, part: tuple[float, float]) -> Clip:
    """The samples of a part, from and to in seconds. Raises `Unreadable` for one that the sound does not hold."""
    first, last = _frames(raw, part, file.samplerate, file.frames)
    if isinstance(file, soundfile.SoundFile) and file.seekable():
        file.seek(first)
        samples = file.read(last - first, dtype="float32", always_2d=True)
    else:
        samples = file.read(dtype="float32", always_2d=True)[first:last]
    if len(samples) < last - first:
        raise _cut(raw, len(samples), last - first, "samples")
    _check_finite(raw, samples)
    return Clip(np.ascontiguousarray(samples.T, dtype=np.float32), file.samplerate)


def _frames(raw: Raw, part: tuple[float, float], rate: int, frames: int) -> tuple[int, int]:
    """The first sample of a part and the one behind its last."""
    first, last = (round(seconds * rate) for seconds in part)
    if first < 0 or last > frames + PART_SLACK * rate:
        raise _unreadable(raw, f"the sound lasts {frames / rate:.2f} s, and the part goes on to {part[1]:.2f} s")
    last = min(last, frames)
    if last <= first:
        raise Empty(*_sentence(raw, "the part holds no samples"))
    return first, last


def _facts_of(file: soundfile.SoundFile | Track, clip: Clip) -> dict[str, Value]:
    """The facts of samples that were read from a file."""
    found = levels([clip.samples.T], _bits(file))
    depth, video = DEPTHS.get(file.subtype, "compressed"), getattr(file, "video", False)
    return facts_of(file.samplerate, file.channels, clip.samples.shape[1], found, depth, video)


def _facts(file: soundfile.SoundFile | Track, found: Levels) -> dict[str, Value]:
    video = getattr(file, "video", False)
    return facts_of(file.samplerate, file.channels, file.frames, found, DEPTHS.get(file.subtype, "compressed"), video)


def _bits(file: soundfile.SoundFile | Track) -> int:
    bits = DEPTHS.get(file.subtype)
    return bits if isinstance(bits, int) else 16


def _check_finite(raw: Raw, samples: Any) -> None:
    if not np.isfinite(samples).all():
        raise _unreadable(raw, "some of its samples are not finite numbers")


@contextmanager
def _opened(raw: Raw) -> Iterator[soundfile.SoundFile | Track]:
    """The open file, known to hold samples. Whatever the library raises while it is open becomes `Unreadable`."""
    if isinstance(raw.value, bytes):
        source: Any = io.BytesIO(raw.value)
    elif raw.path is None:
        raise _unreadable(raw, "it is neither a file nor sound")
    elif not raw.path.exists():
        raise _unreadable(raw, "the file does not exist")
    elif raw.path.is_dir():
        raise _unreadable(raw, "it is not a file")
    else:
        check_plain(raw.path, raw.name)
        source = str(raw.path)
    try:
        try:
            file = soundfile.SoundFile(source)
        except (soundfile.LibsndfileError, TypeError) as error:  # the latter for files that are named .raw
            if (found := _for_ffmpeg(raw, getattr(error, "code", NOT_RECOGNISED))) is None:
                raise
        else:
            with file:
                _check_header(raw, file)
                yield file
            return
        with _by_ffmpeg(raw, found) as track:
            _check_limits(raw, track)
            yield track
    except TooLarge as error:
        raise Unreadable(f"'{raw.name}' is not read: {error}.", error.hint) from error
    except soundfile.LibsndfileError as error:
        raise _unreadable(raw, _plain(error.error_string)) from error
    except (TypeError, OSError, RuntimeError, ValueError, MemoryError) as error:
        raise _unreadable(raw, _plain(str(error) or type(error).__name__)) from error


def _for_ffmpeg(raw: Raw, code: int) -> FileFormat | None:
    """The format of a file that FFmpeg may read where libsndfile could not; None if what libsndfile says is all.

    code: that of libsndfile's error.

    Raises `Unreadable` for what is no sound, and where PyAV is missing.
    """
    if (raw.path is not None and raw.path.stat().st_size == 0) or raw.value == b"":
        raise Empty(*_sentence(raw, "it is empty"))
    found = recognise(raw)
    if found is None:
        return None
    if found.kind not in ("sound", "video"):
        raise found.instead_of(raw.name, "audio")
    if found.ending in OWN and code not in (NOT_RECOGNISED, NOT_IMPLEMENTED):
        return None
    if importlib.util.find_spec("av") is not None:
        return found
    if found.ending in OWN and code == NOT_RECOGNISED:
        return None
    raise Unreadable(
        f"'{raw.name}' is {found.name} that libsndfile does not read; FFmpeg does, through PyAV.",
        "Install it: pip install 'graftwork-audio[av]'",
    )


@contextmanager
def _by_ffmpeg(raw: Raw, found: FileFormat) -> Iterator[Track]:
    from graftwork_audio.containers import Silent, Undecodable, opened  # PyAV is an extra

    source = raw.value if isinstance(raw.value, bytes) else raw.path
    assert source is not None
    try:
        with opened(source, found.ending) as track:
            yield track
    except Silent as error:
        raise Empty(*_sentence(raw, str(error))) from error
    except Undecodable as error:
        raise _unreadable(raw, str(error)) from error


def _check_header(raw: Raw, file: soundfile.SoundFile) -> None:
    if file.frames <= 0 or file.samplerate <= 0:
        raise Empty(*_sentence(raw, "it holds no samples"))
    if file.frames >= 2**62:
        raise _unreadable(raw, "its header does not say how long it is")
    _check_limits(raw, file)
    for promised, held in _CUT.findall(file.extra_info):
        # A writer may count padding of less than one sample; that is not a loss.
        if int(held) < int(promised) < _UNKNOWN and int(promised) - int(held) > int(held) / file.frames:
            raise _cut(raw, int(held), int(promised), "bytes")


def _check_limits(raw: Raw, file: soundfile.SoundFile | Track) -> None:
    """Check what the header says, before samples are read. Raises `TooLarge`."""
    rate, channels = file.samplerate, file.channels
    check_facts(rate, channels, file.frames)
    whole = raw.part is None or not (isinstance(file, soundfile.SoundFile) and file.seekable())
    frames = file.frames if whole or raw.part is None else round((raw.part[1] - raw.part[0]) * rate)
    size = len(raw.value) if isinstance(raw.value, bytes) else raw.path.stat().st_size if raw.path else 0
    most = check_size(rate, channels, frames, size)
    if not isinstance(file, soundfile.SoundFile):
        file.most = most


def _check_complete(raw: Raw, file: soundfile.SoundFile | Track, read: int) -> None:
    if read == 0:
        raise Empty(*_sentence(raw, "it holds no samples"))
    # The length of an MP3 file is an estimate unless its first frame states it.
    if file.format != "MP3" and not file.subtype.startswith("MPEG"):
        slack = 0
    elif any(mark in raw.content()[:16_384] for mark in (b"Xing", b"Info", b"VBRI")):
        slack = _MP3_SLACK
    else:
        return
    if read < file.frames - slack:
        raise _cut(raw, read, file.frames, "samples")


def _in_memory(raw: Raw) -> Clip | None:
    """The clip that an example holds as an object, None for files and encoded bytes."""
    value = raw.value
    if value is None or isinstance(value, bytes):
        return None
    if isinstance(value, Clip):
        clip = value
    elif isinstance(value, Mapping) and value.get("array") is not None and value.get("sampling_rate"):
        clip = _clip(raw, value["array"], value["sampling_rate"])
    else:
        raise _unreadable(
            raw, f"a {type(value).__name__} does not say its rate; {{'array': ..., 'sampling_rate': ...}} is accepted"
        )
    if clip.samples.size == 0:
        raise Empty(*_sentence(raw, "it holds no samples"))
    try:
        check_facts(clip.rate, *clip.samples.shape)
    except TooLarge as error:
        raise Unreadable(f"'{raw.name}' is not read: {error}.", error.hint) from error
    if raw.part is not None:
        first, last = _frames(raw, raw.part, clip.rate, clip.samples.shape[1])
        return Clip(np.ascontiguousarray(clip.samples[:, first:last]), clip.rate)
    return clip


def _clip(raw: Raw, array: Any, rate: Any) -> Clip:
    try:
        samples = np.asarray(array)
    except (TypeError, ValueError) as error:
        raise _unreadable(raw, f"its array cannot be read: {_plain(str(error))}") from error
    if samples.dtype.kind != "f":
        raise _unreadable(raw, f"its array holds {samples.dtype}; floats from -1 to 1 are accepted")
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or samples.shape[0] > max(samples.shape[1], 1):
        raise _unreadable(
            raw, f"its array has the shape {samples.shape}; (samples,) or (channels, samples) is accepted"
        )
    if not isinstance(rate, (int, float, np.number)) or rate <= 0 or not float(rate).is_integer():
        raise _unreadable(raw, f"its sampling rate is {rate!r}; a whole number of Hz is accepted")
    return Clip(np.ascontiguousarray(samples, dtype=np.float32), int(rate))


def _plain(text: str) -> str:
    """A library's message as the end of a sentence: one line, no full stop, a small first letter before small ones."""
    line = (
        next(iter(text.strip().splitlines()), "unknown error").removeprefix("Error : ").rstrip(" .").replace(". ", ": ")
    )
    return line[:1].lower() + line[1:] if line[1:2].islower() else line


def _cut(raw: Raw, held: int, promised: int, unit: str) -> Unreadable:
    return _unreadable(raw, f"it is cut short and holds {held} of the {promised} {unit} that its header promises")


def _unreadable(raw: Raw, reason: str) -> Unreadable:
    return Unreadable(*_sentence(raw, reason))


def _sentence(raw: Raw, reason: str) -> tuple[str, str]:
    return f"'{raw.name}' cannot be read as audio: {reason}.", "Save it again, as WAV or FLAC, or leave it out."
