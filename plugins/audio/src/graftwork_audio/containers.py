"""Sound that libsndfile does not read, decoded by FFmpeg through PyAV: AAC, ALAC, WMA, AMR, and the sound of videos.

PyAV is the extra `av`. Only the demuxers that are named here are tried, none of which opens other files or addresses.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

from graftwork_audio.limits import check_facts

MEDIA = "mov"
DEMUXERS = {
    ".m4a": MEDIA, ".mp4": MEDIA, ".mov": MEDIA, ".3gp": MEDIA, ".mkv": "matroska", ".webm": "matroska", ".aac": "aac",
    ".amr": "amr", ".wma": "asf", ".avi": "avi", ".flv": "flv", ".mpg": "mpeg", ".ts": "mpegts", ".wv": "wv",
    ".ape": "ape", ".tta": "tta", ".ac3": "ac3", ".wav": "wav", ".aiff": "aiff", ".caf": "caf", ".ogg": "ogg",
    ".mp3": "mp3", ".flac": "flac",
}  # fmt: skip
"""FFmpeg's demuxer for each format, by the usual ending of its files (`graftwork.FileFormat.ending`)."""

STATED = ("mov", "matroska", "wv", "tta", "ape", "flac")
"""Demuxers whose files state how long they are, where others are estimates."""
SLACK = 0.1
"""Seconds, and at most two frames, that may lack of the length that a file states: encoders pad by as much."""
LOSSLESS = ("wavpack", "tta", "ape")
TELEPHONE = {"pcm_mulaw": "ULAW", "pcm_alaw": "ALAW"}
PROTECTED = ("drms", "enca")
"""Codes of sound that is encrypted (ISO/IEC 14496-12, section 8.12; the first is Apple's)."""


class Undecodable(Exception):
    """Why there is no sound to decode, as the end of a sentence."""


class Silent(Undecodable):
    """A file without sound."""


class Track:
    """The sound of a file, read once from the beginning to the end, with what the reader uses of `soundfile.SoundFile`.

    samplerate: Hz. frames: samples per channel, as the file says it until all are read, then as counted. subtype:
    libsndfile's name of how samples are stored; empty where it has none. video: whether pictures go with the sound.
    most: frames that are decoded, whatever the header says.
    """

    format, extra_info = "", ""
    most = 2**62

    def __init__(self, container: Any, stated: bool) -> None:
        self._container = container
        if not container.streams.audio:
            raise Silent("it is a video without sound" if container.streams.video else "it holds no sound")
        self._stream: Any = container.streams.best("audio") or container.streams.audio[0]
        codec = self._stream.codec_context
        if codec is None or _tag(codec) in PROTECTED:
            raise Undecodable("its sound is encrypted, or in a form that FFmpeg does not know")
        pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
        self.video = bool(pictures)
        self.subtype = _subtype(codec)
        self._end = self._stated_end() if stated else 0.0
        self._frames = self._decoded()
        self._first = next(self._frames, None)
        if self._first is None:
            raise Silent("it holds no samples")
        self.samplerate: int = self._first.sample_rate
        self.channels: int = self._first.layout.nb_channels
        self.frames = max(1, round(self._length() * self.samplerate))

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the samples frame by frame, `(T, C)` float32 with full scale -1 to 1. Raises `Undecodable`."""
        read, end, longest = 0, 0.0, 0
        frame: Any = self._first
        while frame is not None:
            if (frame.sample_rate, frame.layout.nb_channels) != (self.samplerate, self.channels):
                raise Undecodable(
                    f"its sound changes from {self.channels} channels at {self.samplerate} Hz to "
                    f"{frame.layout.nb_channels} at {frame.sample_rate} Hz"
                )
            yield _samples(frame)
            read, longest = read + frame.samples, max(longest, frame.samples)
            if read > self.most:
                check_facts(self.samplerate, self.channels, read)
                raise Undecodable(f"it goes on after {self.most:,} samples, and its header says {self.frames:,}")
            end = (frame.time or 0.0) + frame.samples / self.samplerate
            frame = next(self._frames, None)
        self.frames = read
        if end < self._end - min(SLACK, 2 * longest / self.samplerate):
            raise Undecodable(f"it is cut short and holds {end:.1f} of the {self._end:.1f} seconds that it promises")

    def read(self, **_: Any) -> npt.NDArray[np.float32]:
        """All samples, `(T, C)` float32. Raises `Undecodable`."""
        return np.concatenate([*self.blocks()])

    def _decoded(self) -> Iterator[Any]:
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:
                raise Undecodable("it is damaged or cut short")
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise Undecodable("it is damaged or cut short")
                if frame.samples:
                    yield frame

    def _length(self) -> float:
        """Seconds of sound, by the header."""
        stream = self._stream
        if stream.duration:
            return float(stream.duration * stream.time_base)
        return (self._container.duration or 0) / av.time_base

    def _stated_end(self) -> float:
        """The second at which the sound ends, by the header; 0 where it does not say."""
        stream = self._stream
        if stream.duration:
            return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        written = stream.metadata.get("DURATION", "")
        if written.count(":") == 2:
            hours, minutes, seconds = written.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        alone = len(self._container.streams) == 1
        return (self._container.duration or 0) / av.time_base if alone else 0.0


@contextmanager
def opened(source: Path | bytes, ending: str) -> Iterator[Track]:
    """The sound of a file or of encoded bytes in the format whose files end in `ending`.

    Raises `Undecodable` for whatever fails while it is open.
    """
    demuxer = DEMUXERS[ending]
    # As a name with its protocol, no part of it is read as another.
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
    try:
        with av.open(file, format=demuxer, metadata_errors="replace") as container:
            yield Track(container, demuxer in STATED)
    except av.FFmpegError as error:
        raise Undecodable(f"it is damaged or cut short ({(error.strerror or 'unknown error').rstrip('.')})") from error


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _tag(codec: Any) -> str:
    try:
        return codec.codec_tag
    except UnicodeDecodeError:  # four bytes that are no letters
        return ""


def _subtype(codec: Any) -> str:
    name, about = codec.name, codec.extradata or b""
    if name == "alac" and len(about) > 17:
        return f"ALAC_{about[17]}"  # the bit depth in Apple's magic cookie (ALACSpecificConfig)
    if name == "flac" and len(about) > 13:
        return f"PCM_{((about[12] & 1) << 4 | about[13] >> 4) + 1}"  # RFC 9639, section 8.2
    if name in LOSSLESS and codec.format is not None:
        return f"PCM_{8 * codec.format.bytes}"
    coded = re.match(r"pcm_([suf])(8|16|24|32|64)", name)
    if coded:
        kind, bits = coded.groups()
        return {"f32": "FLOAT", "f64": "DOUBLE", "u8": "PCM_U8", "s8": "PCM_S8"}.get(kind + bits, f"PCM_{bits}")
    return TELEPHONE.get(name, "")


def _samples(frame: Any) -> npt.NDArray[np.float32]:
    """The samples of a decoded frame `(T, C)`; whole numbers are scaled as libsndfile scales them."""
    array = frame.to_ndarray()
    array = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if array.dtype.kind == "i":
        return array.astype(np.float32) / np.float32(2 ** (8 * array.dtype.itemsize - 1))
    return array.astype(np.float32)
