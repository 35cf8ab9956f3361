"""Labels that cannot be true of their input: boxes outside of an image, spans that end before they start."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from graftwork.errors import Unreadable
from graftwork.specs.annotations import Box, Boxes, Extent, Mask, Region, Span, Spans
from graftwork.specs.contracts import Value
from graftwork.specs.readers import Raw, Reader
from graftwork.specs.task import RawLabel

PIXEL = 1.0
"""How far a label may lie outside of an image: programs count from 0 or from 1, and round."""
SECONDS = 0.1
"""How far a span may end behind a clip: decoders pad and cut."""


def fault(label: RawLabel | None, raw: Raw, reader: Reader, facts: Mapping[str, Value]) -> str:
    """Why the label cannot be true of the example, as a part of a sentence; empty if it can. facts: of the example."""
    if isinstance(label, Spans | Boxes | Mask):
        extent = reader.extent(raw, facts)
        return next(_faults(label, extent, reader), "")
    return ""


def _faults(label: Spans | Boxes | Mask, extent: Extent, reader: Reader) -> Iterator[str]:
    if isinstance(label, Spans):
        yield from _of_spans(label, extent)
    elif isinstance(label, Boxes):
        size = _frame(label.size, extent)
        if label.size is not None and size is None:
            yield _drawn_on("its boxes were", label.size, extent)
        for box in label.boxes:
            yield from _of_box(box, size or extent.size)
    else:
        yield from _of_mask(label, extent, reader)


def _of_spans(label: Spans, extent: Extent) -> Iterator[str]:
    unit, slack = (" s", SECONDS) if label.unit == "seconds" else ("", 0)
    length, what = extent.length, "clip" if label.unit == "seconds" else "text"
    for span in label.spans:
        said = f"its span {_named(span)} from {span.start:g} to {span.end:g}{unit}"
        if not (math.isfinite(span.start) and math.isfinite(span.end)):
            yield f"{said} has no finite place"
        elif not span.label.strip():
            yield f"{said} has no name"
        elif span.end < span.start:
            yield f"{said} ends before it starts"
        elif span.end == span.start:
            yield f"{said} is empty"
        elif span.start < 0:
            yield f"{said} starts before the {what}"
        elif length is not None and span.end > length + slack:
            of = f"{length:g} s" if label.unit == "seconds" else f"{length:g} characters"
            yield f"{said} lies outside of the {what} of {of}"


def _of_box(box: Box, size: tuple[int, int] | None) -> Iterator[str]:
    ends = (box.xmin, box.ymin, box.xmax, box.ymax)
    said = f"its box {_named(box)} from {box.xmin:g}, {box.ymin:g} to {box.xmax:g}, {box.ymax:g}"
    if not all(map(math.isfinite, ends)):
        yield f"{said} has no finite place"
    elif not box.label.strip():
        yield f"{said} has no name"
    elif box.xmax < box.xmin or box.ymax < box.ymin:
        yield f"{said} is turned: a maximum is below its minimum"
    elif size is not None and not _inside(ends, size):
        yield f"{said} lies outside of the image of {_sized(size)}"


def _of_mask(label: Mask, extent: Extent, reader: Reader) -> Iterator[str]:
    size = _frame(label.size, extent)
    if label.size is not None and size is None:
        yield _drawn_on("its mask was", label.size, extent)
    size = size or extent.size
    for region in label.regions:
        yield from _of_region(region, size)
    if label.path is None and not label.content:
        return
    name = str(label.path) if label.path is not None else "in memory"
    mask = Raw(name, label.path, label.content or None)
    try:
        found = reader.extent(mask, reader.facts(mask))
    except Unreadable as error:
        yield f"its mask cannot be read ({error.message.rstrip('.')})"
        return
    if found.size is not None and extent.size is not None and found.size not in (extent.size, extent.stored):
        yield f"its mask '{name}' is of {_sized(found.size)}, and the image of {_sized(extent.size)}"


def _of_region(region: Region, size: tuple[int, int] | None) -> Iterator[str]:
    if not region.label.strip():
        yield "a region of its mask has no name"
    for polygon in region.polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            yield f"a polygon of '{region.label}' has {len(polygon)} numbers, where three points or more are accepted"
        elif size is not None and not _inside(
            (min(polygon[::2]), min(polygon[1::2]), max(polygon[::2]), max(polygon[1::2])), size
        ):
            yield f"a polygon of '{region.label}' lies outside of the image of {_sized(size)}"
    if region.runs and size is not None and sum(region.runs) != size[0] * size[1]:
        yield f"the runs of '{region.label}' are of {sum(region.runs)} pixels, and the image of {_sized(size)}"


def _frame(drawn: tuple[int, int] | None, extent: Extent) -> tuple[int, int] | None:
    """The size of the image that labels were drawn on, turned upright or as stored; None if it is neither."""
    if drawn is None or extent.size is None:
        return extent.size
    return drawn if drawn in (extent.size, extent.stored) else None


def _drawn_on(what: str, drawn: tuple[int, int], extent: Extent) -> str:
    assert extent.size is not None, "an image of known size"
    return f"{what} drawn on {_sized(drawn)}, and the image is of {_sized(extent.size)}"


def _inside(ends: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    left, top, right, bottom = ends
    return left >= -PIXEL and top >= -PIXEL and right <= size[0] + PIXEL and bottom <= size[1] + PIXEL


def _named(one: Span | Box) -> str:
    return f"'{one.label}'"


def _sized(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"


def without_empty(label: RawLabel) -> RawLabel:
    """The label without boxes that hold no pixel, which are slips of the hand and nothing to be found."""
    if not isinstance(label, Boxes) or not any(map(is_empty, label.boxes)):
        return label
    return replace(label, boxes=tuple(box for box in label.boxes if not is_empty(box)))


def is_empty(box: Box) -> bool:
    return box.xmax == box.xmin or box.ymax == box.ymin


def overlaps(label: Spans) -> list[tuple[Span, Span]]:
    """The spans that begin before the one before them has ended, with that one."""
    ordered = sorted(label.spans, key=lambda span: (span.start, span.end))
    return [(one, other) for one, other in pairwise(ordered) if other.start < one.end]
