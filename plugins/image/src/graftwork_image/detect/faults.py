"""What is wrong with the boxes of a data set, for `graftwork check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graftwork import Boxes, Problem, show

FEW = 20
"""A label with fewer boxes is judged by a handful."""
TIMES = 20
"""From here on, the label with most boxes is called out of balance with the one with fewest."""
TINY = 8
"""Pixels of the shorter side of a box as the encoder sees it; the finest map has a position for so many."""
NAMED = 20
"""How many labels of a problem are named."""


def problems(labels: Sequence[Boxes], options: Mapping[str, Any]) -> Iterator[Problem]:
    """Labels with few boxes, or few against another; images without any; boxes too small to be seen at `size`.

    options: of the task.
    """
    counts = Counter(box.label for label in labels for box in label.boxes if not box.ignored)
    if not counts:
        return
    ranked = counts.most_common()
    few = [(name, count) for name, count in reversed(ranked) if count < FEW]
    if few:
        names = ", ".join(f"'{name}' ({count})" for name, count in few[:5]) + (" and others" if len(few) > 5 else "")
        yield Problem(
            "too_few",
            f"{show(len(few))} of {show(len(ranked))} labels {'has' if len(few) == 1 else 'have'} fewer than {FEW} "
            f"boxes: {names}.",
            "Add images with them; with so few, a figure on the held-out part says little.",
            sum(count for _, count in few),
            tuple(name for name, _ in few[:NAMED]),
        )
    (most, many), (least, rare) = ranked[0], ranked[-1]
    if many >= TIMES * rare:
        yield Problem(
            "imbalance",
            f"'{most}' has {show(many)} boxes and '{least}' has {show(rare)}.",
            f"Look at the figure of each label, and add images with '{least}'.",
            many + rare,
            (most, least),
        )
    empty = sum(not label.boxes for label in labels)
    if empty:
        yield Problem(
            "no_boxes",
            f"{show(empty)} of {show(len(labels))} images have no box; they train as images where nothing is.",
            "If nobody labelled them, leave them out.",
            empty,
        )
    yield from _tiny(labels, options)


def _tiny(labels: Sequence[Boxes], options: Mapping[str, Any]) -> Iterator[Problem]:
    """Of labels that say the size of their image."""
    tiny = every = 0
    for label in labels:
        if label.size is None:
            continue
        scale = 1.0 if options["tile"] else options["size"] / max(label.size)
        sides = [scale * min(box.xmax - box.xmin, box.ymax - box.ymin) for box in label.boxes if not box.ignored]
        tiny += sum(side < TINY for side in sides)
        every += len(sides)
    if tiny:
        seen = "at full resolution" if options["tile"] else f"once images are resized to {options['size']}"
        hint = "Look whether they can be told apart at all." if options["tile"] else (
            "Let them be seen larger: --task-option size=1024, or --task-option tile=512"
        )  # fmt: skip
        yield Problem(
            "tiny_boxes",
            f"{show(tiny)} of {show(every)} boxes are less than {TINY} pixels wide or high {seen}.",
            hint,
            tiny,
        )
