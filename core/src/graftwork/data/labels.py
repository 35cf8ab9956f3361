"""What makes two labels one: the same letters, the same number, the same truth value, however they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, TypeVar

from graftwork.errors import DataError, UsageError
from graftwork.specs.annotations import Annotation, Box, Boxes, Mask, Span, Spans
from graftwork.specs.task import RawLabel, TaskSpec

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
"""How a number may be written."""
TRUTH = frozenset({"true", "false"})
MISSING_WORDS = frozenset({"na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none"})
"""What programs write for a missing value, in lower case. A label of these letters stays one, with a warning."""
MISSING_TYPES = frozenset({"NAType", "NaTType"})
"""The types of pandas' missing values, by name so that pandas is not imported for them."""
INVISIBLE = "\u200b\u2060\ufeff"
"""Signs without width: zero-width space, word joiner, byte order mark."""


def readable(words: str | bytes) -> str:
    """Text that can be shown: bytes, also those kept in a string (PEP 383), are read as Windows-1252 if not UTF-8."""
    stored = words if isinstance(words, bytes) else words.encode("utf-8", "surrogateescape")
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored.decode("cp1252", errors="replace")


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one: None, NaN and NaT also of NumPy, `pandas.NA`."""
    if value is None or type(value).__name__ in MISSING_TYPES:
        return True
    return (isinstance(value, float) or getattr(value, "shape", None) == ()) and bool(value != value)


def label_text(value: Any) -> str | None:
    """A label as text, as written; None for a missing value. A float that is a whole number becomes one ("1" for 1.0,
    as a column of whole numbers with gaps has them)."""
    if is_missing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return readable(value if isinstance(value, bytes) else str(value))


def trimmed(text: str) -> str:
    """Text with its accents composed (Unicode NFC) and without blanks at its ends, also those that have no width."""
    while (cut := text.strip().strip(INVISIBLE)) != text:
        text = cut
    return unicodedata.normalize("NFC", text)


def identity(label: str) -> Hashable:
    """Equal for labels that are one: equal numbers ("1", "1.0", "01"), truth values in any case, and equal text."""
    if NUMBER.fullmatch(label):
        return Decimal(label)
    lowered = label.lower()
    return lowered if lowered in TRUTH else label


def similar(label: str) -> str:
    """The label with case and blanks folded: equal for labels that differ only by them."""
    return " ".join(label.split()).casefold()


@dataclass(frozen=True)
class LabelRules:
    """What a user says of labels. rename: new names by old ones; drop: labels whose examples are left out, or in sets
    of labels and in annotations, labels that are left out of them."""

    rename: Mapping[str, str] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.rename or self.drop)


NO_RULES: Final = LabelRules()


class Dropped:
    """In the place of the label of an example that `LabelRules.drop` leaves out."""


DROPPED: Final = Dropped()


def renamed(labels: Iterable[RawLabel], spec: TaskSpec, known: Iterable[str]) -> list[RawLabel]:
    """Labels under the names in `known` that are the same; others as they are."""
    names = LabelNames(spec, known=known)
    found = ((label, names(label)) for label in labels)
    return [label if name is None or isinstance(name, Dropped) else name for label, name in found]


_Labelled = TypeVar("_Labelled", Span, Box)


class LabelNames:
    """The labels of one source, each under one name: that of `known` that is the same, else its first writing.

    spec: of the task, which says whether labels are names, and what separates several in one cell.
    """

    def __init__(self, spec: TaskSpec, rules: LabelRules = NO_RULES, known: Iterable[str] = ()) -> None:
        self._spec, self._rules = spec, rules
        self._rename = {identity(trimmed(old)): trimmed(new) for old, new in rules.rename.items()}
        self._drop = {identity(trimmed(label)): label for label in rules.drop}
        self._unused = {**{identity(trimmed(old)): old for old in rules.rename}, **self._drop}
        self._names = {identity(name): name for name in known}
        self._writings: dict[str, dict[str, None]] = {}
        self._told: dict[str, int] = {}
        self._seen: dict[Any, RawLabel | Dropped | None] = {}
        self._inner: dict[str, str | None] = {}
        self._are_names = spec.names and spec.annotation != "transcript"
        if rules and not self._are_names:
            raise UsageError(
                f"The labels of the task '{spec.name}' are {spec.labels}, which have no names to map or drop.",
                "Leave out --label-map and --drop-label.",
            )

    def __call__(self, raw: RawLabel | None) -> RawLabel | Dropped | None:
        """The label by its name; None for a missing one, `DROPPED` for one that the rules leave out."""
        if raw is None:
            return None
        if isinstance(raw, Spans | Boxes | Mask):
            return self._annotation(raw)
        if isinstance(raw, Mapping):
            return self._cells(raw)
        key = raw if isinstance(raw, str) else tuple(raw)
        if key not in self._seen:
            self._seen[key] = self._named(key)
        return self._seen[key]

    def _cells(self, raw: Mapping[str, str]) -> RawLabel | None:
        cells = {column: trimmed(cell) for column, cell in raw.items()}
        return cells if self._spec.blank_is_label or all(cells.values()) else None

    def _named(self, raw: str | tuple[str, ...]) -> RawLabel | Dropped | None:
        spec = self._spec
        if isinstance(raw, str):
            text = trimmed(raw)
            if not text and not spec.blank_is_label:
                return None
            if not self._are_names:
                return text
            if not spec.separator:
                name = self._name(raw)
                return DROPPED if name is None else name
            names = [self._name(part) for part in raw.split(spec.separator) if trimmed(part)]
            return spec.separator.join(name for name in names if name is not None)
        if not self._are_names:
            return tuple(trimmed(part) for part in raw)
        found = (self._name(part) for part in raw if trimmed(part))
        return tuple(name for name in found if name is not None)

    def _annotation(self, raw: Annotation) -> Annotation:
        """The annotation with its labels under their names. What the rules drop is taken out; in a mask it becomes
        ignored, since something else cannot be said of its pixels."""
        if isinstance(raw, Spans):
            return replace(raw, spans=self._within(raw.spans))
        if isinstance(raw, Boxes):
            return replace(raw, boxes=self._within(raw.boxes))
        levels = raw.names
        if not levels and not raw.regions:  # a mask image whose levels are their own names
            levels = {trimmed(level): level for level in (*self._rules.rename, *self._rules.drop)}
        names = {level: self._name_within(label) for level, label in levels.items()}
        dropped = {level for level, name in names.items() if name is None}
        painted = {region.label: self._name_within(region.label) for region in raw.regions}
        if None in painted.values():
            dropped.add("")  # no class is called so, while another may be renamed to what is dropped
        return replace(
            raw,
            names={level: name for level, name in names.items() if name is not None},
            ignored=raw.ignored | dropped,
            regions=tuple(replace(region, label=painted[region.label] or "") for region in raw.regions),
        )

    def _within(self, items: tuple[_Labelled, ...]) -> tuple[_Labelled, ...]:
        named = ((item, self._name_within(item.label)) for item in items)
        return tuple(
            item if item.label == name else replace(item, label=name) for item, name in named if name is not None
        )

    def _name_within(self, written: str) -> str | None:
        if written not in self._inner:
            self._inner[written] = self._name(written)
        return self._inner[written]

    def _name(self, written: str) -> str | None:
        """The name of a label as written; None if the rules drop it."""
        text = trimmed(written)
        key = identity(text)
        self._unused.pop(key, None)
        if key in self._drop:
            return None
        if key in self._rename:
            text = self._rename[key]
            return self._names.setdefault(identity(text), text)
        name = self._names.setdefault(key, text)
        self._writings.setdefault(name, {})[written] = None
        return name

    def check_used(self) -> None:
        """Raises `DataError` for a label that the rules name and the data never had."""
        if not self._unused:
            return
        known = sorted(self._writings)
        more = " and others" if len(known) > 10 else ""
        raise DataError(
            f"No example has the label '{next(iter(self._unused.values()))}', which is to be mapped or dropped; the "
            f"labels are {', '.join(repr(name) for name in known[:10])}{more}.",
            "Write it as the data have it.",
        )

    def notes(self) -> tuple[str, ...]:
        """What was folded together since the last call, and which labels read as missing values; a sentence each."""
        fresh = {name: ways for name, ways in self._writings.items() if self._told.get(name, 1) < len(ways)}
        folded = [[name, *(way for way in ways if way != name)] for name, ways in fresh.items()]
        missing = [name for name in self._writings if name.lower() in MISSING_WORDS and name not in self._told]
        self._told = {name: len(ways) for name, ways in self._writings.items()}
        notes = []
        if folded:
            shown = "; ".join(" = ".join(f"'{way}'" for way in ways[:4]) for ways in folded[:3])
            more = f" and {len(folded) - 3} more" if len(folded) > 3 else ""
            notes.append(f"Labels that are the same, written in several ways, count as one: {shown}{more}.")
        notes += [
            f"The label '{name}' reads as a missing value. It counts as a label; to leave it out: --drop-label '{name}'"
            for name in missing
        ]
        return tuple(notes)
