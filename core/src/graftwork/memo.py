"""Features and encoders kept for the life of a process, for those who fit many heads on the same examples."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graftwork import freeze
from graftwork.backbone import Backbone, load_backbone
from graftwork.examples import Examples, Long
from graftwork.extraction import Features, extract
from graftwork.parallel import ahead
from graftwork.reading import Bad
from graftwork.specs import BackboneSpec

MOST_BYTES = 2**30


class Loaded(NamedTuple):
    """An encoder that nobody trains, and the digests of its stages."""

    backbone: Backbone
    digests: dict[str, dict[str, str]]


class _Row(NamedTuple):
    feature: Tensor
    parts: int
    unread: float


class Memo:
    """What was computed of examples, by their content and by all that decides how: the least recently used goes first
    once it takes more than `most` bytes. hits, misses: examples that were found, and that were computed."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.hits = self.misses = 0
        self._most = most
        self._bytes = 0
        self._rows: OrderedDict[tuple[str, bytes], _Row] = OrderedDict()
        self._loaded: tuple[BackboneSpec, Loaded] | None = None

    def backbone(self, spec: BackboneSpec) -> Loaded:
        """The encoder of a spec, loaded when it is not the last one that was asked for. It must not be trained."""
        if self._loaded is None or self._loaded[0] != spec:
            model = load_backbone(spec).requires_grad_(False)
            self._loaded = spec, Loaded(model, freeze.stage_digests(model.stages()))
        return self._loaded[1]

    def extract(
        self, backbone: Backbone, examples: Examples, how: Mapping[str, Any], *, tap: int, device: torch.device | str
    ) -> Features:
        """As `graftwork.extraction.extract` in fp32. how: all that decides what is computed besides the arguments."""
        key = json.dumps({**how, "tap": tap, "device": str(device), "long": examples.long}, sort_keys=True, default=str)
        keys = [(key, digest) for digest in ahead(examples.digest, range(len(examples)))]
        # The first of those that hold the same is computed for all.
        first = {row: number for number, row in reversed(list(enumerate(keys))) if row not in self._rows}
        wanted = sorted(first.values())
        found = extract(backbone, examples, tap=tap, precision="fp32", device=device, numbers=wanted)
        self.misses += len(wanted)
        self.hits += len(keys) - len(wanted)
        for place, number in enumerate(found.kept):
            self._rows[keys[number]] = _Row(found.values[place].clone(), *found.seen[place])
            self._bytes += found.values[place].nbytes
        reasons = {keys[number]: bad.reason for number, bad in found.bad}
        rows, bad = {}, []
        for number, row in enumerate(keys):
            if row in reasons:
                bad.append((number, Bad(examples.raws[number].name, reasons[row])))
            else:
                rows[number] = self._rows[row]
                self._rows.move_to_end(row)
        while self._bytes > self._most:
            self._bytes -= self._rows.popitem(last=False)[1].feature.nbytes
        seen = [(row.parts, row.unread) for row in rows.values()]
        values = torch.stack([row.feature for row in rows.values()]) if rows else found.values
        return Features(values, list(rows), bad, "fp32", None, Long.of(examples.long, seen), seen)
