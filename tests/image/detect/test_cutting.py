"""Boxes move with their image into pieces of it: turned, resized, cut, mirrored."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from graftwork import Box, Boxes, DataError
from graftwork_image.detect.cutting import LEFT, Place, changed, in_piece, resized, shown, tiles
from graftwork_image.geometry import Placement

UPRIGHT = {"width": 60, "height": 40, "orientation": 1}


def seen(image: Image.Image) -> list[int]:
    """Around the bright pixels of an image."""
    rows, columns = np.nonzero(np.asarray(image.convert("L")) > 127)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("tag", range(1, 9))
def test_boxes_of_the_stored_image_are_turned_upright_with_it(tag) -> None:
    image = Image.new("L", (60, 40))
    image.paste(255, (10, 5, 30, 15))
    exif = image.getexif()
    exif[274] = tag
    image.info["exif"] = exif.tobytes()
    turned = ImageOps.exif_transpose(image)
    facts = {**UPRIGHT, "orientation": tag}
    drawn = image.size if tag > 4 else turned.size  # of others none can say, and they are taken as upright
    left, top, right, bottom = (10, 5, 30, 15) if tag > 4 else seen(turned)
    box = Box("a", left, top, right, bottom)
    found = shown(Boxes((box,), drawn), facts)
    assert found.size == turned.size
    assert [found.boxes[0].xmin, found.boxes[0].ymin, found.boxes[0].xmax, found.boxes[0].ymax] == seen(turned)
    piece = in_piece(Boxes((box,), drawn), facts, ["a"], Placement(turned.size))
    assert piece.corners.tolist() == [seen(turned)]


def test_boxes_are_cut_at_the_edges_and_left_out_beyond_them() -> None:
    label = Boxes((Box("a", -10, 10, 20, 50), Box("b", 70, 0, 80, 10), Box("c", 1, 2, 3, 4, ignored=True)))
    assert shown(label, UPRIGHT).boxes == (Box("a", 0, 10, 20, 40), Box("c", 1, 2, 3, 4, ignored=True))


def test_boxes_of_an_image_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match="Labels drawn on an image of 61 x 40 pixels were given with one of 60 x 40"):
        shown(Boxes((), (61, 40)), UPRIGHT)


def test_a_box_of_which_too_little_is_left_is_neither_right_nor_wrong() -> None:
    label = Boxes((Box("a", 0, 0, 30, 10), Box("b", 17, 0, 29, 10), Box("b", 50, 0, 60, 10)))
    found = in_piece(label, UPRIGHT, ["a", "b"], Placement((60, 40)).cropped(0, 0, 20, 40))
    assert found.corners.tolist() == [[0, 0, 20, 10], [17, 0, 20, 10]]
    assert found.labels.tolist() == [0, 1]
    assert found.ignored.tolist() == [False, LEFT > 3 / 12]


@given(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.integers(0, 10_000), st.sampled_from([1, 2, 8]))
def test_changed_images_take_their_boxes_along(size, seed, orientations) -> None:
    placement = changed(size, 128, True, orientations, Random(seed))
    window = resized(size, 128).size
    assert placement.source == size
    assert all(a <= b for a, b in zip(sorted(placement.size), sorted(window), strict=True))
    corners = torch.tensor([[0.2, 0.1, 0.9, 0.7]]).double() * torch.tensor([*size, *size])
    back = placement.inverse().boxes(placement.boxes(corners))
    assert torch.allclose(back, corners)


def test_a_mirrored_image_has_mirrored_boxes() -> None:
    image = Image.new("RGB", (200, 100))
    image.paste((255, 255, 255), (20, 30, 90, 60))
    label = Boxes((Box("a", 20, 30, 90, 60),), (200, 100))
    facts, mirrored = {"width": 200, "height": 100, "orientation": 1}, 0
    for seed in range(40):
        placement = changed((200, 100), 200, True, 2, Random(seed))
        found = in_piece(label, facts, ["a"], placement)
        if len(found.corners) and not bool(found.ignored.any()):
            assert np.allclose(found.corners[0], seen(placement.image(image)), atol=1.5)
        x = placement.points(np.array([[0.0, 0.0], [1.0, 0.0]]))[:, 0]
        mirrored += bool(x[1] < x[0])
    assert 10 <= mirrored <= 30


@pytest.mark.parametrize("orientations", [1, 2, 8])
def test_images_are_turned_only_as_they_may_lie(orientations) -> None:
    found = set()
    for seed in range(80):
        corner, right, down = changed((50, 50), 64, True, orientations, Random(seed)).points(
            np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        )
        found.add(tuple(np.sign([*(right - corner), *(down - corner)]).astype(int).tolist()))
    assert len(found) == orientations
    assert (1, 0, 0, 1) in found
    if orientations == 2:
        assert found == {(1, 0, 0, 1), (-1, 0, 0, 1)}


@given(st.tuples(st.integers(1, 900), st.integers(1, 900)), st.sampled_from([128, 200, 256]))
def test_tiles_cover_an_image_and_overlap(size, tile) -> None:
    places = list(tiles(size, tile, None))
    covered = np.zeros(size[::-1], int)
    for place in places:
        left, top, right, bottom = place.placement.inverse().boxes(np.array([[0.0, 0.0, *place.size]]))[0].astype(int)
        covered[top:bottom, left:right] += 1
        assert place.inner == (left > 0, top > 0, right < size[0], bottom < size[1])
        assert max(place.size) <= tile
    assert covered.min() == 1
    if len(places) > 1:
        starts = sorted({p.placement.inverse().boxes(np.array([[0.0, 0.0, *p.size]]))[0][0] for p in places})
        assert all(b - a <= tile - places[0].shared + 1 for a, b in itertools.pairwise(starts))


def test_tiles_for_encoders_that_read_one_size_are_resized_to_it() -> None:
    places = list(tiles((300, 200), 256, 64))
    assert {max(place.size) for place in places} == {64}


def test_a_piece_is_as_large_as_its_placement_says() -> None:
    assert Place(resized((640, 480), 512)).size == (512, 384)
    assert Place(resized((480, 640), 512)).size == (384, 512)
    assert Place(resized((64, 1), 512)).size == (512, 8)
