"""Texts are found in probabilities of signs: greedily, by a beam, with what is likely to be said."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork_audio.transcribe.ngram import Ngram
from graftwork_audio.transcribe.search import PAUSE, STRETCH, Prior, beam, greedy, likelihood, stretches


def drawn(seed: int, frames: int, signs: int, sharp: float = 1.0) -> np.ndarray:
    scores = torch.randn(frames, 1 + signs, generator=torch.Generator().manual_seed(seed)).double() * sharp
    return scores.log_softmax(-1).numpy()


def certain(path: str, signs: str = "ab") -> np.ndarray:
    """Frames that say each of these, `-` for none, with nine parts in ten."""
    chances = np.full((len(path), 1 + len(signs)), 0.1 / len(signs))
    for frame, sign in enumerate(path):
        chances[frame, 1 + signs.find(sign) if sign != "-" else 0] = 0.9
    return np.log(chances)


def test_equal_frames_in_a_row_are_one_sign_and_a_blank_parts_two() -> None:
    assert greedy(certain("-aa-ab-b-")) == (1, 1, 2, 2)
    assert greedy(np.zeros((0, 3))) == ()


@given(st.text(alphabet="-ab", max_size=12))
def test_a_beam_of_one_finds_what_is_greedy_where_every_frame_is_certain(path) -> None:
    assert beam([certain(path)], 1) == [greedy(certain(path))]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(1, 4), st.integers(1, 6))
def test_a_beam_never_finds_less_likely_signs_than_the_greedy_ones(seed, frames, signs, width) -> None:
    logs = drawn(seed, frames, signs)
    assert likelihood(logs, beam([logs], width)[0]) >= likelihood(logs, greedy(logs)) - 1e-9


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_wide_beam_finds_the_likeliest_signs_of_all(seed, frames) -> None:
    logs = drawn(seed, frames, 2)
    every = [signs for size in range(frames + 1) for signs in itertools.product((1, 2), repeat=size)]
    assert likelihood(logs, beam([logs], 1000)[0]) == pytest.approx(max(likelihood(logs, signs) for signs in every))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 10), st.lists(st.integers(1, 3), min_size=1, max_size=6))
def test_likelihood_is_what_the_loss_of_torch_says(seed, frames, signs) -> None:
    logs = drawn(seed, frames, 3)
    wanted = torch.nn.functional.ctc_loss(
        torch.from_numpy(logs), torch.tensor(signs), torch.tensor(frames), torch.tensor(len(signs)), reduction="none"
    )
    assert likelihood(logs, signs) == pytest.approx(-float(wanted))


def test_likelihoods_of_all_texts_sum_to_one() -> None:
    logs = drawn(3, 4, 2)
    every = [signs for size in range(5) for signs in itertools.product((1, 2), repeat=size)]
    assert sum(math.exp(likelihood(logs, signs)) for signs in every) == pytest.approx(1)


def test_an_ngram_decides_what_is_heard_either_way() -> None:
    logs = np.log(np.array([[0.02, 0.96, 0.01, 0.01], [0.9, 0.04, 0.03, 0.03], [0.02, 0.01, 0.49, 0.48]]))
    assert beam([logs], 8) == [(1, 2)]
    ngram = Ngram.of(2, 3, [[1, 3]] * 20 + [[2, 1]] * 3)
    assert beam([logs], 8, Prior(ngram, 1.0, 0.5)) == [(1, 3)]


def test_an_ngram_knows_the_stretch_before() -> None:
    said, either = np.log([[0.02, 0.96, 0.01, 0.01]]), np.log([[0.02, 0.01, 0.49, 0.48]])
    prior = Prior(Ngram.of(2, 3, [[1, 3]] * 20 + [[2]] * 20), 1.0, 0.5)
    assert beam([said, either], 8, prior) == [(1,), (3,)]
    assert beam([either], 8, prior) == [(2,)]


@given(st.lists(st.lists(st.integers(1, 3), max_size=5), max_size=5), st.integers(1, 3), st.lists(st.integers(1, 3)))
def test_chances_of_an_ngram_sum_to_one_and_are_the_same_once_saved(texts, order, before) -> None:
    ngram = Ngram.of(order, 3, texts)
    assert sum(map(math.exp, ngram.logs(before))) == pytest.approx(1)
    assert Ngram.from_json(json.loads(json.dumps(ngram.as_json()))).logs(before) == ngram.logs(before)


def test_what_followed_more_often_is_likelier() -> None:
    ngram = Ngram.of(2, 3, [[1, 2], [1, 2], [1, 3]])
    assert ngram.logs([1])[2] > ngram.logs([1])[3] > ngram.logs([1])[1]
    assert ngram.logs([])[1] > ngram.logs([])[2]  # the beginning is a context too


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 80), st.integers(0, 12)), max_size=12), st.integers(0, 100))
def test_stretches_are_all_frames_cut_where_nothing_is_said(runs, seed) -> None:
    rows = [np.log(np.full((1, 3), 1 / 3))]
    for loud, quiet in runs:
        rows += [drawn(seed, loud, 2, 0.1), np.repeat(np.log([[0.998, 0.001, 0.001]]), quiet, 0)]
    logs = np.concatenate(rows)
    parts = list(stretches(logs))
    assert np.array_equal(np.concatenate(parts), logs)
    assert sum((greedy(part) for part in parts), ()) == greedy(logs)
    assert all(len(part) > STRETCH - PAUSE for part in parts[:-1])


def test_a_long_clip_is_searched_in_parts() -> None:
    loud, quiet = certain("ab" * 60), np.repeat(np.log([[0.998, 0.001, 0.001]]), 6, 0)
    assert len(list(stretches(np.concatenate([loud, quiet] * 5)))) == 6
