"""Words, windows, legal paths, and texts that are converted."""

from __future__ import annotations

import itertools
import unicodedata

import regex
import torch
from hypothesis import given
from hypothesis import strategies as st

from graftwork_text.tag.legal import best_path, spans_of, tags
from graftwork_text.tag.words import Moved, windows, words_of

texts = st.text(st.sampled_from("ab é,.'\n-"), max_size=80)


@given(texts, st.integers(1, 30))
def test_every_word_is_asked_about_once_and_lies_in_its_window(text, room) -> None:
    words = words_of(text)
    found = windows(text, words, lambda rest: rest[:room])
    asked = [number for piece in found for number in range(piece.first, piece.last)]
    assert asked == list(range(len(words)))
    assert found[0].begin == 0
    assert found[-1].end == len(text)
    assert all(piece.end - piece.begin <= room for piece in found)
    for one, other in itertools.pairwise(found):
        assert one.begin < other.begin <= one.end


def test_windows_overlap_and_a_word_is_read_where_most_stands_around_it() -> None:
    text = " ".join(f"w{number:02d}" for number in range(40))
    words = words_of(text)
    first, second, *_ = windows(text, words, lambda rest: rest[:80])
    assert second.begin < first.end
    left, right = words[first.last - 1], words[first.last]
    middle = (second.begin + first.end) / 2
    assert left[0] < middle <= right[0]


@given(st.text(max_size=40))
def test_words_are_runs_of_letters_or_single_signs(text) -> None:
    spans = words_of(text)
    cuts = [0, *(place for span in spans for place in span), len(text)]
    assert cuts == sorted(cuts)
    assert all(a < b for a, b in spans)
    assert all(regex.fullmatch(r"\s*", text[b:a]) for b, a in zip(cuts[::2], cuts[1::2], strict=True))


@given(st.lists(st.sampled_from(["e\u0301", "a", " ", "\u00e9", "o\u0308"]), max_size=20))
def test_a_span_of_a_composed_text_leads_back_to_what_was_given(signs) -> None:
    before = "".join(signs)
    after = unicodedata.normalize("NFC", before)
    moved = Moved(before, after)
    starts = list(itertools.accumulate(map(len, signs), initial=0))
    for start in starts:
        composed = len(unicodedata.normalize("NFC", before[:start]))
        assert moved.there(start) == composed
        assert moved.back(composed) == start


def test_a_text_that_was_not_converted_keeps_its_places() -> None:
    moved = Moved("a b", "a b")
    assert [moved.there(place) for place in range(4)] == [moved.back(place) for place in range(4)] == [0, 1, 2, 3]


@given(st.lists(st.lists(st.floats(-3, 3), min_size=5, max_size=5), min_size=1, max_size=4))
def test_the_best_path_is_the_best_of_all_legal_ones(rows) -> None:
    scores = torch.tensor(rows, dtype=torch.float64)

    def legal(path: tuple[int, ...]) -> bool:
        return all(now not in (2, 4) or before in (now - 1, now) for before, now in itertools.pairwise((0, *path)))

    def total(path) -> float:
        return float(sum(scores[place, tag] for place, tag in enumerate(path)))

    best = max(total(path) for path in itertools.product(range(5), repeat=len(rows)) if legal(path))
    found = best_path(scores, 2)
    assert legal(tuple(found))
    assert abs(total(found) - best) < 1e-9


def test_a_path_is_read_as_entities_with_the_mean_probability_of_their_words() -> None:
    assert tags(["x", "y"]) == ["O", "B-x", "I-x", "B-y", "I-y"]
    scores = torch.full((5, 5), 0.5, dtype=torch.float64).log()
    scores[1, 1] = 0.0
    found = list(spans_of([0, 1, 2, 1, 3], scores, ["x", "y"]))
    assert [entity[:3] for entity in found] == [(1, 2, "x"), (3, 3, "x"), (4, 4, "y")]
    assert found[0][3] == 0.75
    assert best_path(scores[:0], 2) == []
