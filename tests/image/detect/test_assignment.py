"""Positions find boxes as FCOS says, and no box is lost."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork_image.detect.assignment import BACKGROUND, IGNORED, RADIUS, RANGES, PieceBoxes, Positions

SIZE = 512
GRID = Positions.of({stride: (SIZE // stride, SIZE // stride) for stride in RANGES})


@st.composite
def boxes(draw, least: float = 1.0) -> list[float]:
    left, top = (draw(st.floats(0, SIZE - least)) for _ in range(2))
    return [left, top, draw(st.floats(left + least, SIZE)), draw(st.floats(top + least, SIZE))]


def marked(*corners: list[float], labels: list[int] | None = None, ignored: tuple[bool, ...] = ()) -> PieceBoxes:
    count = len(corners)
    return PieceBoxes(
        torch.tensor(corners).reshape(-1, 4),
        torch.tensor(labels or list(range(count)), dtype=torch.long),
        torch.tensor(ignored or [False] * count, dtype=torch.bool),
    )


def test_positions_lie_in_the_middle_of_their_squares() -> None:
    found = Positions.of({8: (2, 3), 16: (1, 2)})
    assert found.points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8], [24, 8]]
    assert found.strides.tolist() == [8] * 6 + [16] * 2


@given(boxes())
@settings(deadline=None)
def test_every_box_has_a_position_however_small_or_thin(box) -> None:
    labels, corners = GRID.assigned(marked(box, labels=[3]))
    there = labels >= 0
    assert there.any()
    assert (labels[there] == 3).all()
    assert torch.allclose(corners[there], torch.tensor(box))
    assert not corners[~there].any()


@given(st.lists(boxes(least=20.0), min_size=1, max_size=8))
@settings(deadline=None)
def test_positions_are_central_inside_and_of_the_map_for_the_size(some) -> None:
    labels, corners = GRID.assigned(marked(*some))
    for place in (labels >= 0).nonzero()[:, 0].tolist():
        point, stride, box = GRID.points[place], int(GRID.strides[place]), corners[place]
        edges = torch.cat([point - box[:2], box[2:] - point])
        far, (least, most) = float(edges.max()), RANGES[stride]
        central = float((point - (box[:2] + box[2:]) / 2).abs().max()) < RADIUS * stride
        alone = (labels == labels[place]).sum() == 1  # the nearest of a box that no position would find
        assert alone or (float(edges.min()) > 0 and least < far <= most and central)


def test_the_smaller_of_two_boxes_wins() -> None:
    small, large = [200.0, 200.0, 240.0, 240.0], [180.0, 180.0, 260.0, 260.0]
    labels, _ = GRID.assigned(marked(large, small))
    middle = int((GRID.points[GRID.strides == 8] - 220).abs().sum(1).argmin())
    assert labels[middle] == 1
    assert (labels == 0).any()


def test_of_boxes_one_within_the_other_each_keeps_a_position() -> None:
    labels, _ = GRID.assigned(marked([100.0, 100.0, 106.0, 106.0], [101.0, 101.0, 105.0, 105.0]))
    assert (labels >= 0).sum() >= 1
    labels, _ = GRID.assigned(marked([96.0, 96.0, 120.0, 120.0], [90.0, 90.0, 126.0, 126.0]))
    assert {0, 1} <= set(labels.tolist())


def test_positions_in_ignored_boxes_are_neither_right_nor_wrong() -> None:
    near, crowd = [40.0, 40.0, 80.0, 80.0], [20.0, 20.0, 300.0, 300.0]
    labels, _ = GRID.assigned(marked(near, crowd, ignored=(False, True)))
    inside = ((GRID.points > 20) & (GRID.points < 300)).all(1)
    assert set(labels[inside].tolist()) == {0, IGNORED}
    assert set(labels[~inside].tolist()) == {BACKGROUND}


def test_nothing_is_to_be_found_where_nothing_is() -> None:
    labels, corners = GRID.assigned(marked())
    assert (labels == BACKGROUND).all()
    assert not corners.any()


@given(boxes())
def test_distances_to_the_edges_make_the_box(box) -> None:
    corners = torch.tensor(box)
    distances = torch.cat([GRID.points - corners[:2], corners[2:] - GRID.points], 1)
    assert torch.allclose(GRID.corners(distances), corners.expand(len(GRID.points), 4), atol=1e-3)
