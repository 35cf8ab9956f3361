"""What a tokenizer makes of whole texts: how long they are, where they are cut, and what of them it does not know.

Nothing here needs the encoder's weights, or torch.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork import BackboneSpec, Unreadable, Window
from graftwork_text.rules import has_own_patterns, try_text
from graftwork_text.tokenizer import load

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNKNOWN = "unknown_tokens"
"""The name of the defect, see `graftwork_text.plugin`."""


class Vocabulary:
    """A tokenizer that never cuts. longest: how many tokens the encoder reads, special ones among them."""

    def __init__(self, tokenizer: Tokenizer, longest: int) -> None:
        self.given, self.longest = tokenizer, longest
        self.special = tokenizer.num_special_tokens_to_add(is_pair=False)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """A copy of the one that was given; made when the first text is read, since it takes its time."""
        copy = deepcopy(self.given)
        copy.no_padding()
        copy.no_truncation()
        return copy

    @cached_property
    def unknown(self) -> int | None:
        """The id of the token that stands for what is unknown; None where bytes or letters make up for it."""
        model = self.given.model
        if hasattr(model, "unk_token"):
            return self.given.token_to_id(model.unk_token) if model.unk_token else None
        return json.loads(self.given.to_str())["model"].get("unk_id")  # of Unigram, whose class does not say

    def survey(self, values: list[str]) -> tuple[list[int], Mapping[str, Sequence[float]]]:
        """The tokens of each text that are read, and the share of them that stands for what the vocabulary does not
        know: 1 for a text of which no token is left.
        """
        sizes, shares = [], []
        for row in self.tokenizer.encode_batch_fast(values):
            ids = row.ids
            if len(ids) > self.longest:
                ids = ids[: self.longest]
            sizes.append(len(ids))
            words = len(ids) - self.special
            shares.append(ids.count(self.unknown) / words if words > 0 else 1.0)
        return sizes, {UNKNOWN: shares}

    @cached_property
    def tried(self) -> str:
        """The tokenizer as JSON where each text is tried first, since its patterns may not end; else empty."""
        parts = [part for part in (self.given.normalizer, self.given.pre_tokenizer) if part is not None]
        own = any(has_own_patterns(json.loads(part.__getstate__())) for part in parts)
        return self.tokenizer.to_str() if own else ""

    def windows(self, value: str) -> list[Window]:
        """A text over `longest` tokens in parts of at most that many, cut between words; shares by characters.

        Raises `Unreadable` for a text that a tokenizer with patterns of its own does not read in time.
        """
        if self.tried:
            try_text(self.tried, value)
        room = self.longest - self.special
        # A character becomes at most 4 tokens (canonical decomposition, UAX 15), one of ASCII one and perhaps a mark of
        # where a word begins: a short text need not be read.
        if (2 if value.isascii() else 4) * len(value) + 2 <= room:
            return [Window(value, 1.0)]
        found = self.tokenizer.encode(value, add_special_tokens=False)
        starts = [0]
        while len(found.ids) - starts[-1] > room:
            end = starts[-1] + room
            words = range(end, starts[-1], -1)
            starts.append(next((i for i in words if found.word_ids[i] != found.word_ids[i - 1]), end))
        cuts = [0, *(found.offsets[start][0] for start in starts[1:]), len(value)]
        parts = [value[a:b] for a, b in itertools.pairwise(cuts)]
        return [Window(part, len(part) / len(value)) for part in parts]


def _cut(vocabulary: Vocabulary, value: str) -> float:
    """The share of a text that is not read; all of one that the tokenizer does not end with."""
    try:
        return 1 - vocabulary.windows(value)[0].weight
    except Unreadable:
        return 1.0


def build(spec: BackboneSpec, weights: Path) -> Callable[[list[str]], Mapping[str, Sequence[float]]]:
    """Make `survey(texts)` of the tokenizer in a folder: the share of each text that is unknown, and that is cut.

    Raises `DataError` when the files are not those of a tokenizer.
    """
    longest = spec.preparation["max_length"]
    vocabulary = Vocabulary(load(weights, longest), longest)

    def survey(values: list[str]) -> Mapping[str, Sequence[float]]:
        cut = [_cut(vocabulary, value) for value in values]
        read = [value for value, lost in zip(values, cut, strict=True) if lost < 1]
        unknown = iter(vocabulary.survey(read)[1][UNKNOWN] if read else ())
        return {UNKNOWN: [next(unknown) if lost < 1 else 1.0 for lost in cut], "truncated": cut}

    return survey
