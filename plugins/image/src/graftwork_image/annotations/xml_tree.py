"""XML of annotation tools as a tree whose elements know their lines. Nothing in it can be expanded or fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from graftwork import DataError
from graftwork_image.annotations.faults import CORRECT, number, unread

DEEPEST = 100
HEAD = 4096
"""Bytes in which the root element of a label file begins."""


@dataclass
class Element:
    """tag, attributes and text of an element, what lies in it, and the line on which it begins."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Element]:
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Element | None:
        return next(self.all(tag), None)

    def text_of(self, tag: str) -> str | None:
        """The text of the first element of that name in it, trimmed; None where there is none."""
        child = self.first(tag)
        return None if child is None else child.text.strip()

    def number(self, tag: str, file: Path) -> float:
        """The number in the first element of that name. Raises `DataError` with the line where there is none."""
        child = self.first(tag)
        line = self.line if child is None else child.line
        return number(self.text_of(tag), file, f"{tag} in line {line}")

    def attribute(self, name: str, file: Path) -> float:
        """The number in an attribute. Raises `DataError` with the line where there is none."""
        return number(self.attributes.get(name), file, f"{name} in line {self.line}")


def parse(file: Path) -> Element:
    """The root element of a file.

    Raises `DataError` with the line for what is no XML, and for a document type, which could name other files and
    entities that grow without end.
    """
    top = Element("", {}, 0)
    open_elements = [top]
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > DEEPEST:
            raise DataError(
                f"Line {parser.CurrentLineNumber} of '{file}' is nested too deep; {DEEPEST} levels are accepted.",
                CORRECT,
            )
        element = Element(tag, attributes, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(tag: str) -> None:
        open_elements.pop()

    def text(data: str) -> None:
        open_elements[-1].text += data

    def doctype(*_: object) -> None:
        raise DataError(
            f"Line {parser.CurrentLineNumber} of '{file}' is a DOCTYPE, which could name other files; XML without one "
            "is accepted.",
            "Remove that line if you trust who wrote it.",
        )

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DataError(f"Line {error.lineno} of '{file}' is not XML: {reason}.", CORRECT) from error
    except OSError as error:
        raise unread(file, error) from error
    return top.children[0]


def root_of(file: Path) -> str:
    """The name of the root element, of which only the beginning is read; empty for what is no XML."""

    class Found(Exception):
        """Ends the parsing, so that nothing inside the root is looked at."""

    def start(tag: str, _: dict[str, str]) -> None:
        raise Found(tag)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        with file.open("rb") as opened:
            parser.Parse(opened.read(HEAD), False)
    except Found as found:
        return found.args[0]
    except (expat.ExpatError, OSError, ValueError):
        pass
    return ""
