"""Damage: bytes that are flipped, cut, moved or put in. `GRAFTWORK_FUZZ=10000` tries so many of each family; without it as
many as a minute allows."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy], object]


def tries(usual: int) -> settings:
    """How often a family is tried; the same inputs in each run, unless more are asked for."""
    asked = int(os.environ.get("GRAFTWORK_FUZZ", "0"))
    return settings(
        max_examples=asked or usual,
        deadline=None,
        derandomize=not asked,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@st.composite
def damaged(draw: Callable[..., object], content: bytes) -> bytes:
    """Bytes with one to three places damaged, most of them near the beginning, where headers are."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):  # pyright: ignore[reportArgumentType]
        last = max(0, len(found) - 1)
        place = draw(st.one_of(st.integers(0, min(last, 128)), st.integers(0, last)))
        assert isinstance(place, int)
        match draw(st.sampled_from(["flip", "cut", "insert", "repeat", "number"])):
            case "flip" if found:
                bit = draw(st.integers(0, 7))
                assert isinstance(bit, int)
                found[place] ^= 1 << bit
            case "cut":
                del found[place:]
            case "insert":
                more = draw(st.binary(min_size=1, max_size=8))
                assert isinstance(more, bytes)
                found[place:place] = more
            case "repeat":
                found[place:place] = found[place : place + 64]
            case "number":
                value = draw(st.sampled_from([b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]))
                assert isinstance(value, bytes)
                found[place : place + 4] = value
            case _:
                pass
    return bytes(found)
