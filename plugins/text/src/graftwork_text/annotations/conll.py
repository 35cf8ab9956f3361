"""Columns of words and tags, one word a line and a blank line after each sentence, as CoNLL shared tasks have them.

Tjong Kim Sang and De Meulder 2003 (arXiv:cs/0306050): the word stands in the first column and the tag in the last, with
blanks or tabs between; `-DOCSTART-` begins a document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from graftwork import (
    BIO_TAG,
    Annotated,
    AnnotatedExamples,
    AnnotationReader,
    DataError,
    Spans,
    spans_of_tags,
    tags_of_spans,
)
from graftwork_text.annotations.places import by_split

ENDINGS = (".conll", ".bio", ".iob", ".iob2", ".bioes", ".tsv", ".txt")
LOOKED_INTO = 2_000
"""How many lines of a file are looked into, at most, to tell whether it is of this format."""
DOCUMENT = "-DOCSTART-"


class ConllReader(AnnotationReader):
    """A file of columns, or a folder with one for each split."""

    def fits(self, place: Path) -> bool:
        files = by_split(place, ENDINGS)
        return bool(files) and all(_is_columns(file) for file, _ in files)

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """The sentences, each with its spans.

        Raises `DataError` for bytes that are no UTF-8, a line without a tag, and a tag of no known scheme.
        """
        examples = [
            Annotated(text, Spans(spans), split)
            for file, split in by_split(place, ENDINGS)
            for text, spans in (spans_of_tags(*sentence) for sentence in sentences(file))
        ]
        return AnnotatedExamples(tuple(examples))


def sentences(file: Path) -> Iterator[tuple[list[str], list[str]]]:
    """The words and the tags of each sentence. Raises as `ConllReader.read` does."""
    words: list[str] = []
    tags: list[str] = []
    separator = _separator(file)
    for number, line in enumerate(_lines(file), 1):
        if not line.strip() or line.startswith(DOCUMENT):
            if words:
                yield words, tags
                words, tags = [], []
            continue
        cells = _cells(line, separator)
        if len(cells) < 2 or not cells[0]:
            raise DataError(
                f"Line {number} of '{file}' is '{line.strip()[:60]}'; a word and its tag are accepted, or a blank line "
                "between sentences.",
                "Mend the line.",
            )
        if not BIO_TAG.fullmatch(cells[-1]):
            raise DataError(
                f"Line {number} of '{file}' ends in the tag '{cells[-1][:60]}'; O and B-, I-, E-, S-, L- and U- with a "
                "label are accepted.",
                "Write the tag in the last column.",
            )
        words.append(cells[0])
        tags.append(cells[-1])
    if words:
        yield words, tags


def written(sentences: Sequence[tuple[str, Spans]]) -> str:
    """Texts with their spans as columns of words and BIO tags; what is no word of its own is tagged with its word."""
    blocks = []
    for text, label in sentences:
        words, tags = tags_of_spans(text, label.spans)
        blocks.append("".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True)))
    return "\n".join(blocks)


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="\n") as lines:
            yield from (line.rstrip("\r\n") for line in lines)
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{file}' is not written in UTF-8: {error.reason}.", "Save it as UTF-8, and name it again."
        ) from error


def _cells(line: str, separator: str | None) -> list[str]:
    """The columns of a line. A word may hold blanks where tabs part the columns."""
    return [cell.strip() for cell in line.strip("\r\n").split(separator)] if separator else line.split()


def _separator(file: Path) -> str | None:
    """A tab if each line has one, else blanks."""
    head = [line for line in islice(_lines(file), LOOKED_INTO) if line.strip() and not line.startswith(DOCUMENT)]
    return "\t" if head and all("\t" in line.strip() for line in head) else None


def _is_columns(file: Path) -> bool:
    """Whether each line of the first ones is blank, or has two columns or more, the last of them a tag; one at least
    begins a span or is parted from others by a blank line, which prose that ends in O would not be."""
    try:
        head = list(islice(_lines(file), LOOKED_INTO))
    except DataError:
        return False
    filled = [line for line in head if line.strip() and not line.startswith(DOCUMENT)]
    separator = "\t" if filled and all("\t" in line.strip() for line in filled) else None
    rows = [_cells(line, separator) for line in filled]
    tags = {row[-1] for row in rows if len(row) > 1}
    return (
        bool(rows)
        and all(len(row) > 1 and BIO_TAG.fullmatch(row[-1]) for row in rows)
        and (len(tags) > 1 or tags != {"O"} or len(filled) < len(head))
    )
