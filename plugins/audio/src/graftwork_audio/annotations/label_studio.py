"""Label Studio's export of labelled sounds as JSON: tasks with `data` and `annotations`.

Label Studio's documentation, "Export annotations". Places are seconds. A name that Label Studio gave to an uploaded
file ("/data/upload/1/0a1b2c3d-NAME") is looked for as it is, and without the part in front.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, DataError, Span, Spans, parse_json
from graftwork_audio.plugin import EXTENSIONS

HEAD = 65_536
"""Bytes of a file that are looked into before it is read as a whole."""
UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
FOLDERS = ("", "audio", "wavs", "clips", "sounds")
"""The folders in which sounds are looked for, beside the file."""


class LabelStudioSoundReader(AnnotationReader):
    """A JSON file, with its sounds beside it; or a folder that holds one."""

    def fits(self, place: Path) -> bool:
        file = _file(place)
        if file is None:
            return False
        with file.open("rb") as opened:
            head = opened.read(HEAD).lstrip(b"\xef\xbb\xbf \r\n\t")
        if not head.startswith(b"[") or b'"annotations"' not in head:
            return False
        try:
            tasks = _tasks(file)
        except DataError:
            return False
        return any(_address(task) for task in tasks) and any(_spans(task) or _text(task) for task in tasks)

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """By "spans" the regions of each sound, by "transcript" its text. One that nobody labelled is unlabelled.

        Raises `DataError` for a task without a sound, and for a file where nothing is of the kind.
        """
        file = _file(place)
        assert file is not None, "a file that fits"
        examples = []
        for number, task in enumerate(_tasks(file), 1):
            address = _address(task)
            if address is None:
                raise DataError(f"Task {number} of '{file}' names no sound.", "Export its data with it, as JSON.")
            label = None
            if _done(task) is not None:
                label = _text(task) if kind == "transcript" else Spans(tuple(_spans(task)), "seconds")
            examples.append(Annotated(_sound(file.parent, address), label or None if kind == "transcript" else label))
        if not any(_filled(example.label) for example in examples):
            nothing = "text" if kind == "transcript" else "labelled region"
            raise DataError(f"'{file}' holds no {nothing} of a sound.", "Export a project that has some.")
        return AnnotatedExamples(tuple(examples))


def _filled(label: Any) -> bool:
    return bool(label.spans) if isinstance(label, Spans) else bool(label)


def _file(place: Path) -> Path | None:
    if place.is_file():
        return place if place.suffix.lower() == ".json" else None
    files = sorted(place.glob("*.json"))
    return files[0] if len(files) == 1 else None


def _tasks(file: Path) -> list[dict[str, Any]]:
    try:
        found = parse_json(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"'{file}' cannot be read as JSON: {error}.", "Export it again.") from error
    if not isinstance(found, list) or not all(isinstance(task, dict) for task in found):
        raise DataError(f"'{file}' is no list of tasks.", "Export it again, as JSON.")
    return found


def _done(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The results of the annotation that counts: the ground truth, or else the first; None where there is none."""
    given = [one for one in task.get("annotations") or [] if isinstance(one, dict) and not one.get("was_cancelled")]
    chosen = next((one for one in given if one.get("ground_truth")), given[0] if given else None)
    if chosen is None:
        return None
    results = chosen.get("result") or []
    return [item for item in results if isinstance(item, dict) and isinstance(item.get("value"), dict)]


def _spans(task: dict[str, Any]) -> list[Span]:
    found = []
    for item in _done(task) or ():
        value = item["value"]
        start, end = value.get("start"), value.get("end")
        if item.get("type") != "labels" or "text" in value:
            continue
        if isinstance(start, int | float) and isinstance(end, int | float):
            found += [Span(start, end, str(label)) for label in value.get("labels") or ()]
    return found


def _text(task: dict[str, Any]) -> str:
    """The text that was written of the whole sound."""
    for item in _done(task) or ():
        words = item["value"].get("text")
        if item.get("type") == "textarea" and words and "start" not in item["value"]:
            return " ".join(words) if isinstance(words, list) else str(words)
    return ""


def _address(task: dict[str, Any]) -> str | None:
    """What the data of a task name as their sound."""
    data = task.get("data")
    words = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return next((word for word in words if Path(_name(word)).suffix.lower() in EXTENSIONS), None)


def _name(address: str) -> str:
    """The path of an address, or the one that it asks for (`/data/local-files/?d=PATH`)."""
    parts = urlsplit(address)
    asked = parse_qs(parts.query).get("d")
    return asked[0] if asked else unquote(parts.path)


def _sound(folder: Path, address: str) -> Path:
    name = Path(_name(address)).name
    bare = UPLOADED.fullmatch(name)
    names = [name, bare[1]] if bare else [name]
    places = [folder / below / each for below in FOLDERS for each in names]
    return next((path for path in places if path.is_file()), places[0])
