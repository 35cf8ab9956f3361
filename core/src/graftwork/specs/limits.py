"""Limits on what a file may ask of memory and time, each declared once; all are checked before memory is asked for.

`GRAFTWORK_LIMITS="audio_seconds=72000,table_rows=50000000"` sets others. docs/limits.md lists them; a test compares.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

from graftwork.errors import ConfigError

VARIABLE = "GRAFTWORK_LIMITS"
CEILINGS = {"json_levels": 500}
"""Values above which a limit does not protect any more: parsers call themselves at each level, and the stack ends."""


def _limit(value: int, unit: str, what: str, why: str) -> Any:
    return field(default=value, metadata={"unit": unit, "what": what, "why": why})


@dataclass(frozen=True)
class Limits:
    """The limits in force. The metadata of each field hold its unit, what it bounds and why it has its value."""

    file_bytes: int = _limit(
        2**30, "bytes", "a file that is read into memory as one example", "1 GB: no picture or text comes near it"
    )
    packed_bytes: int = _limit(
        2**28, "bytes", "what any packed file may grow to, however small it is", "256 MB: one of them fits everywhere"
    )
    packed_ratio: int = _limit(
        100,
        "times its size",
        "what a larger packed file may grow to",
        "text is packed to a tenth",
    )
    folder_files: int = _limit(
        100_000, "files", "the files of a folder that is one example", "an hour of frames, 25 a second"
    )
    archive_files: int = _limit(2_000_000, "files", "the files of an archive", "the largest public sets of pictures")
    table_rows: int = _limit(
        20_000_000, "rows", "the rows of a table that is read whole", "a larger one is for `graftwork.stream`"
    )
    table_columns: int = _limit(
        10_000, "columns", "the columns of a table", "each is looked at to find input and label"
    )
    table_cells: int = _limit(
        100_000_000, "cells", "rows times columns of a table that is read whole", "a cell takes 4 bytes or more"
    )
    footer_bytes: int = _limit(
        10_000_000, "bytes", "the description at the end of a Parquet file", "a thousand columns in seventy row groups"
    )
    view_seconds: int = _limit(
        8, "seconds", "the time to go over a table or view of a database once", "ten million rows take three"
    )
    json_levels: int = _limit(
        100, "levels", "lists and objects within each other in JSON", "no format that is read has more than ten"
    )
    audio_seconds: int = _limit(36_000, "seconds", "the length of a sound", "ten hours: a day of work on tape")
    audio_channels: int = _limit(64, "channels", "the channels of a sound", "ambisonics of the seventh order")
    audio_lowest_rate: int = _limit(
        100, "Hz", "the lowest sampling rate", "below it there is no sound, and resampling is no sense"
    )
    audio_highest_rate: int = _limit(1_000_000, "Hz", "the highest sampling rate", "twice what records bats")
    audio_ratio: int = _limit(
        300, "times its size", "what a sound above `packed_bytes` may be decoded to", "speech in Opus reaches 250"
    )
    image_pixels: int = _limit(89_478_485, "pixels", "the pixels of a picture", "Pillow's own limit: 256 MB as RGB")
    text_characters: int = _limit(
        5_000_000, "characters", "the length of a text", "the longest novels; each token takes 100 bytes"
    )
    model_layers: int = _limit(1_000, "layers", "the layers that a config.json asks for", "five times the deepest one")
    model_width: int = _limit(
        2**24, "numbers", "a size in a config.json: widths, words, places, heads", "vocabularies reach a million"
    )
    adapter_rank: int = _limit(1_024, "", "the rank of low-rank updates (LoRA)", "four times what is in use")
    tokenizer_growth: int = _limit(
        16, "signs", "what a tokenizer's rules may make of one sign", "Unicode's own decompositions reach 18 in all"
    )
    tokenizer_seconds: int = _limit(
        5, "seconds", "the time of a tokenizer's own patterns on one text", "a page takes a thousandth of a second"
    )


def limits() -> Limits:
    """The limits in force: the defaults, and what `GRAFTWORK_LIMITS` sets.

    Raises `ConfigError` for a name that is no limit, and for a value that is no whole number above 0.
    """
    return _parsed(os.environ.get(VARIABLE, ""))


def how_to_raise(name: str, needed: int) -> str:
    """The hint of a refusal: the option that lets `needed` pass. name: of the limit."""
    return f"Leave it out, or, if you trust it, raise the limit: {VARIABLE}={name}={needed}"


def how_to_lower(name: str, needed: int) -> str:
    """The same of a limit below which nothing is read."""
    return f"Leave it out, or, if you trust it, lower the limit: {VARIABLE}={name}={needed}"


def packed_limit(size: int) -> int:
    """How many bytes may come of a packed file of `size` bytes."""
    found = limits()
    return max(found.packed_bytes, found.packed_ratio * size)


@lru_cache(maxsize=8)
def _parsed(words: str) -> Limits:
    known = [one.name for one in fields(Limits)]
    given: dict[str, int] = {}
    for word in filter(None, (part.strip() for part in words.split(","))):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in known:
            from difflib import get_close_matches  # only where there is something to say

            near = get_close_matches(name, known, 1, cutoff=0)[0]
            raise ConfigError(
                f"{VARIABLE} sets '{name}', which is no limit; the nearest is '{near}'.",
                f"Limits are {', '.join(known)}.",
            )
        digits = value.replace("_", "")
        most = CEILINGS.get(name, 10**18)
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and 0 < int(digits) <= most):
            raise ConfigError(
                f"{VARIABLE} gives '{name}' the value '{value}'; a whole number from 1 to {most} is accepted.",
                f"Write: {VARIABLE}={name}={getattr(Limits, name)}",
            )
        given[name] = int(digits)
    return Limits(**given)
