"""Label Studio's painted areas: an image of four channels, packed in bits.

The packing is that of thi.ng/umbrella's rle-pack: 32 bits for the count of values, 5 for the bits of a value less one,
4 times 4 for sizes less one; then runs: a bit that says whether one value is repeated, 2 for which of the sizes the
length less one is written in, the length, and the value or all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CHANNELS = 4
OPAQUE = 128
"""The least alpha of a painted pixel; brushes have soft edges."""


def painted(packed: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """The painted pixels, booleans `(H, W)`. packed: bytes. size: width and height.

    Raises `ValueError` for bytes that are cut short, or are those of another size.
    """
    values = _unpacked(np.frombuffer(bytes(packed), np.uint8), size[0] * size[1] * CHANNELS)
    return values.reshape(size[1], size[0], CHANNELS)[..., 3] >= OPAQUE


def _unpacked(packed: np.ndarray, count: int) -> np.ndarray:
    bits = np.unpackbits(packed)
    at = 0

    def take(width: int, many: int = 1) -> np.ndarray:
        nonlocal at
        found = bits[at : at + width * many]
        if len(found) < width * many:
            raise ValueError("it is cut short")
        at += width * many
        return found.reshape(many, width) @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))

    def one(width: int) -> int:
        return int(take(width)[0])

    if (told := one(32)) != count:
        raise ValueError(f"it has {told} values instead of {count}")
    width = one(5) + 1
    if width > 8:
        raise ValueError(f"it has values of {width} bits instead of 8")
    sizes = [one(4) + 1 for _ in range(4)]
    values, place = np.zeros(count, np.uint8), 0
    while place < count:
        repeated = one(1)
        end = place + 1 + one(sizes[one(2)])
        if end > count:
            raise ValueError("it is longer than it says")
        values[place:end] = one(width) if repeated else take(width, end - place)
        place = end
    return values
