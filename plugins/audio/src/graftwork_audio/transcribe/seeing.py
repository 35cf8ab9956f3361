"""Clips with their texts, as pages play them and as folders of answers hold them."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

from graftwork import AnswerFolder, Raw
from graftwork_audio.playing import as_flac
from graftwork_audio.reader import AudioReader

SECONDS = 20
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
    lines = "".join(f"<dt>{html.escape(word)}</dt><dd>{html.escape(text) or '&nbsp;'}</dd>" for word, text in texts)
    source = f"data:audio/flac;base64,{base64.b64encode(as_flac(AudioReader().decode(raw), SECONDS)).decode()}"
    return f'<audio controls src="{source}"></audio><dl class="texts">{lines}</dl>'
