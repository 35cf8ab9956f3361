"""Clips with their texts, as pages play them and as folders of answers hold them."""

from __future__ import annotations

import base64
import html
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np

from graftwork import AnswerFolder, Raw
from graftwork_audio.clip import Clip
from graftwork_audio.convert import downmix, resample
from graftwork_audio.reader import AudioReader

RATE, SECONDS = 16_000, 20
"""Of a clip on a page: it is read by ears, and twelve of them are one file."""


class TextFolder(AnswerFolder):
    """metadata.csv: a clip's name and its text a line, with | between, as LJSpeech has them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lines: list[str] = []

    def add(self, raw: Raw, answer: dict[str, Any]) -> None:
        text = " ".join(str(answer["text"]).replace("|", " ").split())
        self._lines.append(f"{self.name_for(raw)}|{text}\n")

    def close(self) -> None:
        (self.folder / "metadata.csv").write_text("".join(self._lines), encoding="utf-8")


def heard(raw: Raw, texts: list[tuple[str, str]]) -> str:
    """A clip as HTML that plays, with texts below it, each with a word for what it is. Raises `Unreadable`."""
    clip = AudioReader().decode(raw)
    clip = downmix(clip, clip.samples.shape[0], 1)
    if clip.rate > RATE:
        clip = resample(clip, clip.rate, RATE)
    lines = "".join(f"<dt>{html.escape(word)}</dt><dd>{html.escape(text) or '&nbsp;'}</dd>" for word, text in texts)
    source = f"data:audio/wav;base64,{base64.b64encode(_as_wav(clip)).decode()}"
    return f'<audio controls src="{source}"></audio><dl class="texts">{lines}</dl>'


def _as_wav(clip: Clip) -> bytes:
    """The first seconds of a clip as a WAV file of 16 bits."""
    samples = (clip.samples[0, : SECONDS * clip.rate].clip(-1, 1) * 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(np.dtype("<i2").itemsize)
        out.setframerate(clip.rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()
