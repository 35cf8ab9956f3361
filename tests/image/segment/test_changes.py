"""A picture that is changed takes its mask along."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graftwork_image.masks import IGNORED
from graftwork_image.segment.changes import changed


def shades(size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """A picture whose left part is black and whose lower right is white, with the classes 0 and 1."""
    mask = np.zeros(size[::-1], np.uint8)
    mask[size[1] // 3 :, size[0] // 2 :] = 1
    return Image.fromarray(mask * 255).convert("RGB"), mask


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 500), st.sampled_from([1, 2, 8]), st.booleans())
def test_the_mask_moves_as_the_picture_does(seed, orientations, elastic) -> None:
    image, mask = shades((96, 64))
    found, classes = changed(image, mask, (64, 64), Random(seed), orientations, elastic, Image.Resampling.BILINEAR)
    assert found.size == classes.shape[::-1]
    assert max(found.size) <= 64
    assert IGNORED not in classes
    light = np.asarray(found.convert("L")) > 100
    assert (light == (classes == 1)).mean() > 0.94


def test_changes_are_drawn_and_the_same_for_the_same_draw() -> None:
    image, mask = shades((64, 64))

    def drawn(seed: int, elastic: bool = True) -> bytes:
        found = changed(image, mask, (64, 64), Random(seed), 8, elastic, Image.Resampling.BILINEAR)
        return found[0].tobytes() + found[1].tobytes()

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1) != drawn(1, elastic=False)


@pytest.mark.parametrize(("orientations", "most"), [(1, 1), (2, 2), (8, 8)])
def test_pictures_are_turned_only_as_they_may_lie(orientations, most) -> None:
    corner = np.zeros((64, 64), np.uint8)
    corner[:20, :10] = 1
    found = set()
    for seed in range(60):
        _, mask = changed(
            Image.fromarray(corner).convert("RGB"), corner, (64, 64), Random(seed), orientations, False,
            Image.Resampling.BILINEAR,
        )  # fmt: skip
        if mask.any():
            rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
            found.add((rows[0] == 0, columns[0] == 0, len(rows) > len(columns)))
    assert len({side[:2] for side in found}) <= most
    assert len({side[:2] for side in found}) >= min(most, 2)
