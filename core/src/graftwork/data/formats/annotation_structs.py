"""Annotations as Arrow structs, so that a table in memory can hold what was given as Python objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from graftwork.specs.annotations import Annotation, Boxes, Mask, Spans

_REGION = pa.struct({"label": pa.string(), "polygons": pa.list_(pa.list_(pa.float64())), "runs": pa.list_(pa.int64())})
SPANS = pa.list_(pa.struct({"start": pa.float64(), "end": pa.float64(), "label": pa.string()}))
BOXES = pa.struct(
    {
        "boxes": pa.list_(
            pa.struct(
                {
                    "label": pa.string(),
                    **{end: pa.float64() for end in ("xmin", "ymin", "xmax", "ymax")},
                    "ignored": pa.bool_(),
                }
            )
        ),
        "size": pa.list_(pa.int64()),
    }
)
MASK = pa.struct(
    {
        "path": pa.string(),
        "bytes": pa.binary(),
        "names": pa.list_(pa.struct({"level": pa.string(), "label": pa.string()})),
        "ignored": pa.list_(pa.string()),
        "regions": pa.list_(_REGION),
        "size": pa.list_(pa.int64()),
    }
)


def are_annotations(values: Sequence[Any]) -> bool:
    """Whether all values are annotations of one kind, or missing."""
    kinds = {type(value) for value in values if value is not None}
    return len(kinds) == 1 and kinds <= {Spans, Boxes, Mask}


def as_array(values: Sequence[Annotation | None]) -> pa.Array:
    """The column of annotations, all of one kind."""
    first = next(value for value in values if value is not None)
    kind = SPANS if isinstance(first, Spans) else BOXES if isinstance(first, Boxes) else MASK
    return pa.array([None if value is None else _struct(value) for value in values], kind)


def _struct(value: Annotation) -> Any:
    if isinstance(value, Spans):
        return [{"start": span.start, "end": span.end, "label": span.label} for span in value.spans]
    if isinstance(value, Boxes):
        boxes = [{name: getattr(box, name) for name in box.__dataclass_fields__} for box in value.boxes]
        return {"boxes": boxes, "size": value.size}
    regions = [{"label": r.label, "polygons": r.polygons, "runs": r.runs} for r in value.regions]
    return {
        "path": None if value.path is None else str(value.path),
        "bytes": value.content or None,
        "names": [{"level": level, "label": label} for level, label in value.names.items()],
        "ignored": sorted(value.ignored),
        "regions": regions,
        "size": value.size,
    }
