"""What is doubtful of labels that lie in the input: spans that overlap, boxes that hold nothing, rare characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graftwork.data.label_faults import is_empty, overlaps
from graftwork.data.listing import Listing
from graftwork.data.reading import Data
from graftwork.specs.annotations import Boxes, Spans
from graftwork.specs.contracts import plural, show
from graftwork.specs.problem import Problem
from graftwork.specs.readers import Reader
from graftwork.specs.task import TaskSpec

NAMED = 20
"""The most examples of a problem that are named."""

KINDS: Mapping[str, tuple[str, str]] = {
    "overlapping_spans": ("spans that overlap", "A place has one label: keep one of the spans."),
    "blank_edges": (
        "spans that begin or end with a blank",
        "Move their ends to the words: answers would never have the same ends.",
    ),
    "empty_boxes": ("boxes that hold no pixel", "These boxes are left out of a fit; draw them again."),
    "repeated_boxes": ("boxes that are there twice, with one label", "Remove one of each: it can be found once."),
    "nothing_labelled": (
        "no box",
        "They count as pictures where nothing is. If nobody has drawn boxes there yet, leave them out.",
    ),
}
"""The problems, each with what the examples have, and what to do."""


def problems(
    data: Data, listing: Listing, task: TaskSpec, reader: Reader, namer: Callable[[int], str]
) -> Iterable[Problem]:
    """The problems with labels of data that were read from a listing. namer: the name of an example by its number."""
    if data.labels is None or listing.labels is None:
        return
    if task.annotation == "transcript":
        yield from _rare_characters(data, namer)
    found: dict[str, dict[int, str]] = {kind: {} for kind in KINDS}
    for place, number in enumerate(data.raws.numbers):
        label = listing.labels[number]
        if isinstance(label, Boxes):
            _look_at_boxes(label, number, found)
        elif isinstance(label, Spans):
            _look_at_spans(label, number, found, lambda place=place: reader.extent(data.raws[place], {}).text)
    for kind, examples in found.items():
        if examples and not (kind == "nothing_labelled" and len(examples) == len(data)):
            yield _problem(kind, examples, data, namer)


def _look_at_boxes(label: Boxes, number: int, found: Mapping[str, dict[int, str]]) -> None:
    if not label.boxes:
        found["nothing_labelled"][number] = ""
    for box in label.boxes:
        if is_empty(box):
            found["empty_boxes"].setdefault(number, f"'{box.label}' at {box.xmin:g}, {box.ymin:g}")
    for box, times in Counter(label.boxes).items():
        if times > 1 and not is_empty(box):
            found["repeated_boxes"].setdefault(number, f"'{box.label}' at {box.xmin:g}, {box.ymin:g}")


def _look_at_spans(
    label: Spans, number: int, found: Mapping[str, dict[int, str]], text_of: Callable[[], str | None]
) -> None:
    for one, other in overlaps(label):
        said = f"'{one.label}' to {one.end:g} and '{other.label}' from {other.start:g}"
        found["overlapping_spans"].setdefault(number, said)
    text = (text_of() or "") if label.unit == "characters" and label.spans else ""
    for span in label.spans:
        words = text[int(span.start) : int(span.end)]
        if words != words.strip():
            found["blank_edges"].setdefault(number, f"'{span.label}' is {words!r}")


def _problem(kind: str, examples: Mapping[int, str], data: Data, namer: Callable[[int], str]) -> Problem:
    words, hint = KINDS[kind]
    numbers = sorted(examples)
    names = [namer(number) for number in numbers[:NAMED]]
    about = examples[numbers[0]]
    first = f"{names[0]} ({about})" if about else names[0]
    message = f"{show(len(examples))} of {show(len(data))} {data.observed.items} have {words}; the first: {first}."
    groups = tuple((number,) for number in numbers[:NAMED])
    return Problem(kind, message, hint, len(examples), tuple(names), groups)


def _rare_characters(data: Data, namer: Callable[[int], str]) -> Iterable[Problem]:
    """Characters that a single text holds, once: there is nothing to learn them from."""
    texts: Sequence[Any] = data.labels or ()
    counts = Counter(sign for text in texts for sign in str(text))
    rare = sorted(sign for sign, times in counts.items() if times == 1)
    if not rare:
        return
    places = {sign: place for place, text in enumerate(texts) for sign in set(str(text)) & set(rare)}
    numbers = sorted({data.raws.numbers[place] for place in places.values()})
    shown = ", ".join(f"'{sign}'" for sign in rare[:10]) + (f" and {len(rare) - 10} more" if len(rare) > 10 else "")
    message = (
        f"{plural(len(rare), 'character')} stand once in all {show(len(texts))} texts: {shown}; the first: "
        f"{namer(data.raws.numbers[places[rare[0]]])}."
    )
    hint = "Write them as other texts do (signs, accents, numbers in words), or add texts with them."
    groups = tuple((number,) for number in numbers[:NAMED])
    yield Problem("rare_characters", message, hint, len(numbers), tuple(map(namer, numbers[:NAMED])), groups)
