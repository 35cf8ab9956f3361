"""Figures of transcripts: those of jiwer, summed up one clip at a time."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork_audio.transcribe.scores import TranscriptScores, edit_distance

WORDS = st.lists(st.sampled_from(("one", "two", "too", "three", "thr", "é")), max_size=7)
SAID = st.lists(st.sampled_from(("one", "two", "too", "three", "thr", "é")), min_size=1, max_size=7)


def score(*pairs: tuple[str, str]) -> dict[str, float]:
    """Metrics of (heard, said) pairs."""
    scores = TranscriptScores()
    for heard, said in pairs:
        scores.add({"text": heard}, said)
    return scores.metrics()


@given(st.lists(st.tuples(WORDS.map(" ".join), SAID.map(" ".join)), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_the_rates_are_those_of_jiwer(pairs) -> None:
    heard, said = [h for h, _ in pairs], [s for _, s in pairs]
    ours = score(*pairs)
    assert ours["wer"] == pytest.approx(jiwer.wer(said, heard))
    assert ours["cer"] == pytest.approx(jiwer.cer(said, heard))


@given(WORDS, WORDS, WORDS)
def test_the_edit_distance_is_a_metric(a, b, c) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("", "", 0), ("flaw", "lawn", 2)],
)
def test_edits_are_counted(a, b, edits) -> None:
    assert edit_distance(a, b) == edits


def test_long_texts_weigh_more_than_short_ones() -> None:
    assert score(("nine", "one"), ("a b c", "a b c"))["wer"] == 0.25


def test_blanks_at_the_ends_and_in_a_row_are_no_errors() -> None:
    assert score((" one   two ", "one two")) == {"wer": 0, "cer": 0, "sentence_accuracy": 1, "nothing": 1}


def test_case_and_punctuation_are_errors() -> None:
    assert score(("One.", "one"))["wer"] == 1


def test_sentence_accuracy_is_the_share_of_texts_without_an_error() -> None:
    assert score(("one", "one"), ("one two", "one"), ("", ""), ("", "two"))["sentence_accuracy"] == 0.5


def test_empty_answers_have_every_word_wrong() -> None:
    pairs = [("", "one two"), ("", "three")]
    assert score(*pairs)["wer"] == score(*pairs)["nothing"] == 1


def test_the_score_of_an_example_falls_with_its_errors() -> None:
    scores = TranscriptScores()
    assert scores.add({"text": "two"}, "two") == 1
    assert scores.add({"text": "too"}, "two") == pytest.approx(2 / 3)
    assert scores.add({"text": "a great deal more"}, "two") == 0
    assert scores.add({"text": ""}, "") == 1
    assert scores.add({"text": "x"}, "") == 0


@pytest.mark.parametrize(("pairs", "wer"), [([], 0), ([("", "")], 0), ([("one two", "")], 2)])
def test_rates_are_finite_where_nothing_was_said(pairs, wer) -> None:
    metrics = score(*pairs)
    assert metrics["wer"] == wer
    assert metrics["nothing"] == 0
