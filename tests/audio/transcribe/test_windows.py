"""Windows of a long clip cover it, overlap, and count each frame once."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork_audio.transcribe.windows import GRID, cuts

LONGEST = st.floats(0.5, 30)


@given(st.floats(0.01, 300), LONGEST)
def test_every_moment_counts_in_one_window_that_holds_it(duration, longest) -> None:
    found = cuts(duration, longest)
    assert found[0].first == 0.0
    assert found[-1].last == math.inf
    assert all(one.last == other.first for one, other in itertools.pairwise(found))
    for cut in found:
        assert cut.end - cut.begin <= longest + 1e-9
        assert cut.begin <= cut.first <= min(cut.last, cut.end)
    assert found[0].begin == 0.0
    assert found[-1].end == duration


@given(st.floats(0.01, 300), LONGEST, st.sampled_from((0.01, 0.02, 0.024, 0.03)))
def test_windows_begin_where_frames_do(duration, longest, step) -> None:
    for cut in cuts(duration, longest):
        assert cut.begin / step == pytest.approx(round(cut.begin / step), abs=1e-6)


def test_a_clip_that_fits_is_one_window() -> None:
    (only,) = cuts(4.0, 4.0)
    assert (only.begin, only.end) == (0.0, 4.0)


def test_no_frame_is_read_without_what_is_around_it() -> None:
    found = cuts(60.0, 4.0)
    assert len(found) > 10
    for cut in found[1:-1]:
        assert cut.first - cut.begin > 0.4
        assert cut.end - cut.last > 0.4


@given(st.integers(20, 4_000), st.sampled_from((1.0, 2.5, 4.0)), st.sampled_from((0.02, 0.024)))
def test_frames_of_windows_in_a_row_are_those_of_one_pass(frames, longest, step) -> None:
    """What a frame says depends on its own samples here, so windows must change nothing."""
    duration = frames * step
    row = []
    for cut in cuts(duration, longest):
        begin = round(cut.begin / step)
        middles = (np.arange(int((cut.end - cut.begin) / step + 1e-6)) + 0.5) * step
        here = (middles >= cut.first - cut.begin) & (middles < cut.last - cut.begin)
        row += (begin + np.flatnonzero(here)).tolist()
    assert row == list(range(len(row)))
    assert frames - 1 <= len(row) <= frames


def test_the_grid_is_a_whole_number_of_usual_frames() -> None:
    for milliseconds in (10, 12, 15, 20, 24, 30, 40, 60):
        assert GRID * 1000 / milliseconds == pytest.approx(round(GRID * 1000 / milliseconds))
