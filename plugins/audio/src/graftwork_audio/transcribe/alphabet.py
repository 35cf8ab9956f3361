"""The signs of which transcripts are spelled: characters, or word pieces that occur in the training texts."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEGIN = "\u2581"
"""Stands for the blank before a word in its first piece (as in SentencePiece)."""


def normal(text: str, lower: bool = False) -> str:
    """A text as it is learned and judged: accents composed (Unicode NFC), one blank between words, none at the ends."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return unicodedata.normalize("NFC", text.lower()) if lower else text


def rare(texts: Iterable[str]) -> list[str]:
    """The characters that occur once in all texts, sorted."""
    counts = Counter(character for text in texts for character in text)
    return sorted(character for character, count in counts.items() if count == 1)


@dataclass(frozen=True)
class Alphabet:
    """The signs of texts, numbered from 1 in their order; 0 is the blank of CTC.

    merges: of word pieces, in the order in which they are joined (Sennrich et al. 2016, arXiv:1508.07909); None where
    signs are characters.
    """

    signs: tuple[str, ...]
    merges: tuple[tuple[str, str], ...] | None = None
    _numbers: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _pieces: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", {sign: number for number, sign in enumerate(self.signs, 1)})
        object.__setattr__(self, "_pieces", None if self.merges is None else _tokenizer(self.signs, self.merges))

    @classmethod
    def of_characters(cls, texts: Iterable[str]) -> Alphabet:
        return cls(tuple(sorted({character for text in texts for character in text})))

    @classmethod
    def of_pieces(cls, texts: Sequence[str], count: int) -> Alphabet:
        """`count` word pieces that join what stands side by side most often, or as many as there are; all characters
        are among them."""
        from tokenizers.trainers import BpeTrainer

        learning = _tokenizer((), ())
        learning.train_from_iterator(texts, BpeTrainer(vocab_size=count, show_progress=False))
        said = json.loads(learning.to_str())["model"]
        signs = sorted(said["vocab"], key=said["vocab"].__getitem__)
        return cls(tuple(signs), tuple((first, second) for first, second in said["merges"]))

    def spell(self, text: str) -> list[int]:
        """The numbers of the signs of a text, without the characters that it has not."""
        if self._pieces is None:
            return [self._numbers[character] for character in text if character in self._numbers]
        return [self._numbers[piece] for piece in self._pieces.encode(text).tokens]

    def missing(self, text: str) -> list[str]:
        """The characters of a text that cannot be spelled, sorted."""
        words = text.replace(" ", BEGIN) if self.merges is not None else text
        return sorted(character for character in set(words) - self._numbers.keys() if character != BEGIN)

    def text(self, numbers: Iterable[int]) -> str:
        """The text that some signs spell, without blanks at its ends."""
        said = "".join(self.signs[number - 1] for number in numbers)
        return (said.replace(BEGIN, " ") if self.merges is not None else said).strip()


def _tokenizer(signs: Sequence[str], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(
        models.BPE(
            vocab={sign: place for place, sign in enumerate(signs)}, merges=[(one, other) for one, other in merges]
        )
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=BEGIN, prepend_scheme="always")  # pyright: ignore
    return made
