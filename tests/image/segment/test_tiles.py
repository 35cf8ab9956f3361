"""Tiles cover a picture and become one again without a seam."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork_image.geometry import ORIENTATIONS, Placement
from graftwork_image.segment.tiles import Place, joined, read_at, starts, tiled

sides = st.integers(1, 400)


@given(sides, st.integers(8, 128), st.floats(0, 0.9))
def test_tiles_cover_every_pixel_and_overlap(length, tile, overlap) -> None:
    found = starts(length, tile, overlap)
    assert found[0] == 0
    assert max(found[-1] + tile, length) == max(length, tile)
    for one, other in itertools.pairwise(found):
        assert one < other <= one + max(1, tile * (1 - overlap))


@settings(deadline=None, max_examples=40)
@given(sides, sides, st.sampled_from([64, 128]), st.sampled_from([1, 2, 8]), st.integers(0, 2))
def test_a_constant_picture_gives_a_constant_mask(width, height, tile, orientations, best) -> None:
    places = tiled((width, height), (width, height), tile, 0.25)
    places = [Place(p.source, p.whole, p.left, p.top, p.size, t) for p in places for t in ORIENTATIONS[orientations]]
    chances = np.array([0.2, 0.2, 0.2])
    chances[best] = 0.6
    found = [np.broadcast_to(chances[:, None, None], (3, *place.shown[::-1])).astype(np.float16) for place in places]
    mask = joined(found, places)
    assert mask.shape == (height, width)
    assert (mask == best).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(33, 150), st.integers(33, 150), st.sampled_from([1, 2, 8]), st.integers(0, 99))
def test_pieces_of_a_mask_join_into_it(width, height, orientations, seed) -> None:
    mask = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    chances = np.stack([mask == number for number in range(3)]).astype(np.float16)
    found, places = [], []
    for place in tiled((width, height), (width, height), 64, 0.25):
        for turn in ORIENTATIONS[orientations]:
            moved = Placement((width, height)).cropped(place.left, place.top, *place.size).turned(turn)
            found.append(np.stack([moved.mask(one, 0) for one in chances]))
            places.append(Place(place.source, place.whole, place.left, place.top, place.size, turn))
    assert np.array_equal(joined(found, places), mask)


def test_a_tile_counts_less_towards_a_side_that_others_share() -> None:
    places = tiled((96, 32), (96, 32), 64, 0.5)
    assert [place.left for place in places] == [0, 32]
    left = np.zeros((2, 32, 64), np.float16)
    left[0] = 1.0
    assert (joined([left, 1 - left], places)[0] == 1).nonzero()[0].min() == pytest.approx(48, abs=1)


def test_a_picture_is_read_with_a_longer_side_of_so_many_pixels() -> None:
    assert read_at((1000, 500), 512) == (512, 256)
    assert read_at((50, 100), 512) == (256, 512)
    assert read_at((1000, 3), 64) == (64, 1)
    assert read_at((71, 45), 0) == (71, 45)
