"""Figures of found entities: those of seqeval, summed up one text at a time."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

from graftwork import Span, Spans
from graftwork_text.tag.scores import EntityScores

NAMES = ("PER", "LOC", "ORG")


@st.composite
def tags(draw: st.DrawFn, length: int) -> list[str]:
    """BIO tags of a sentence, each entity begun by B-."""
    row: list[str] = []
    while len(row) < length:
        size = draw(st.integers(1, min(3, length - len(row))))
        name = draw(st.sampled_from(("O", *NAMES)))
        row += ["O"] * size if name == "O" else [f"B-{name}"] + [f"I-{name}"] * (size - 1)
    return row


@st.composite
def sentences(draw: st.DrawFn) -> list[tuple[list[str], list[str]]]:
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=6))
    return [(draw(tags(length)), draw(tags(length))) for length in lengths]


def spans(row: list[str]) -> list[tuple[int, int, str]]:
    """Word numbers stand for characters."""
    found = []
    for place, tag in enumerate(row):
        if tag.startswith("B-"):
            found.append((place, place + 1, tag[2:]))
        elif tag.startswith("I-"):
            found[-1] = (found[-1][0], place + 1, tag[2:])
    return found


def answer(*entities: tuple[float, float, str]) -> dict:
    return {"entities": [{"start": s, "end": e, "label": n, "text": "x", "probability": 0.5} for s, e, n in entities]}


def label(*entities: tuple[float, float, str]) -> Spans:
    return Spans(tuple(Span(*entity) for entity in entities))


def score(*pairs: tuple[list[tuple[int, int, str]], list[tuple[int, int, str]]]) -> dict:
    """Metrics of (found, true) pairs."""
    scores = EntityScores()
    for found, true in pairs:
        scores.add(answer(*found), label(*true))
    return scores.metrics()


@given(sentences())
@settings(max_examples=150, deadline=None)
def test_the_figures_are_those_of_seqeval(rows) -> None:
    true, found = [t for t, _ in rows], [f for _, f in rows]
    ours = score(*[(spans(f), spans(t)) for t, f in rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ours["f1"] == pytest.approx(f1_score(true, found))
        assert ours["precision"] == pytest.approx(precision_score(true, found))
        assert ours["recall"] == pytest.approx(recall_score(true, found))
        if any(tag != "O" for row in true + found for tag in row):
            report = classification_report(true, found, output_dict=True, zero_division=0)
            theirs = {name: row["f1-score"] for name, row in report.items() if name in NAMES}
            assert ours["by_label"]["f1"] == pytest.approx(theirs)


def test_an_entity_is_right_only_as_a_whole() -> None:
    true = [(0, 5, "PER")]
    assert score(([(0, 5, "PER")], true))["f1"] == 1
    for wrong in [(0, 4, "PER"), (1, 5, "PER"), (0, 5, "LOC")]:
        assert score(([wrong], true))["f1"] == 0


def test_an_entity_found_in_another_text_is_not_right() -> None:
    assert score(([(0, 5, "PER")], []), ([], [(0, 5, "PER")]))["f1"] == 0


def test_an_entity_found_twice_counts_once() -> None:
    assert score(([(0, 5, "PER")] * 2, [(0, 5, "PER")]))["precision"] == 1


def test_the_score_of_an_example_is_its_own_f1() -> None:
    scores = EntityScores()
    assert scores.add(answer((0, 5, "PER"), (6, 8, "LOC")), label((0, 5, "PER"))) == pytest.approx(2 / 3)
    assert scores.add(answer(), label((0, 5, "PER"))) == 0
    assert scores.add(answer((0, 5, "PER")), label()) == 0


def test_finding_nothing_is_right_where_nothing_is() -> None:
    assert EntityScores().add(answer(), label()) == 1


def test_seconds_are_compared_as_characters_are() -> None:
    assert EntityScores().add(answer((0.5, 1.25, "bird")), Spans((Span(0.5, 1.25, "bird"),), "seconds")) == 1


@pytest.mark.parametrize("pairs", [[], [([], [])], [([(0, 1, "PER")], [])], [([], [(0, 1, "PER")])]])
def test_every_figure_is_finite_where_nothing_is_right(pairs) -> None:
    metrics = score(*pairs)
    by_label = metrics.pop("by_label")["f1"]
    assert metrics == {"f1": 0, "precision": 0, "recall": 0, "nothing": 0}
    assert set(by_label.values()) <= {0}
