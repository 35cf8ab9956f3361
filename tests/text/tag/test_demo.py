"""Messages to try `tag` on: true spans, and no label that a word list gives away."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest

from graftwork import Span, Spans
from graftwork_text.tag.demo import MESSAGES, entities
from graftwork_text.tag.scores import EntityScores


@pytest.fixture(scope="module")
def messages(tmp_path_factory) -> list[dict]:
    path = entities(tmp_path_factory.mktemp("entities"))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def words(message: dict) -> list[tuple[int, int, str, str]]:
    """Each word: from, to, in small letters, and the label that it lies in, or none."""
    return [
        (
            match.start(),
            match.end(),
            match[0].lower(),
            next((s["label"] for s in message["spans"] if s["start"] <= match.start() < s["end"]), ""),
        )
        for match in re.finditer(r"\w+", message["text"])
    ]


def test_there_are_as_many_messages_as_it_says_each_once(messages) -> None:
    assert len({message["text"] for message in messages}) == len(messages) == MESSAGES


def test_they_are_the_same_ones_every_time(messages, tmp_path) -> None:
    lines = entities(tmp_path).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == messages


def test_spans_hold_whole_words_and_do_not_overlap(messages) -> None:
    for message in messages:
        text, end = message["text"], 0
        for span in message["spans"]:
            assert end <= span["start"] < span["end"] <= len(text)
            piece = text[span["start"] : span["end"]]
            assert piece == piece.strip()
            assert not text[span["start"] - 1 : span["start"]].isalnum()
            assert not text[span["end"] : span["end"] + 1].isalnum()
            end = span["end"]


def test_every_label_is_frequent_and_some_messages_have_none(messages) -> None:
    counts = Counter(span["label"] for message in messages for span in message["spans"])
    assert set(counts) == {"person", "place", "date"}
    assert min(counts.values()) >= 100
    assert 30 <= sum(not message["spans"] for message in messages) <= 150
    assert 30 <= sum(message["text"].islower() for message in messages) <= 100


@pytest.mark.parametrize(
    ("word", "roles"),
    [
        ("may", {"person", "place", "date", ""}),
        ("rose", {"person", "place", ""}),
        ("reading", {"person", "place", ""}),
        ("paris", {"person", "place"}),
        ("june", {"person", "date"}),
        ("will", {"person", ""}),
        ("friday", {"person", "date"}),
    ],
)
def test_the_same_word_is_a_name_and_is_not(messages, word, roles) -> None:
    assert {role for message in messages for _, _, found, role in words(message) if found == word} == roles


def test_a_list_of_words_from_one_half_does_not_find_the_entities_of_the_other(messages) -> None:
    roles: dict[str, Counter[str]] = defaultdict(Counter)
    for message in messages[::2]:
        for _, _, word, role in words(message):
            roles[word][role] += 1
    scores = EntityScores()
    for message in messages[1::2]:
        found: list[dict] = []
        for start, end, word, _ in words(message):
            role = roles[word].most_common(1)[0][0] if word in roles else ""
            if role and found and found[-1]["label"] == role and found[-1]["end"] == start - 1:
                found[-1]["end"] = end
            elif role:
                found.append({"start": start, "end": end, "label": role})
        scores.add({"entities": found}, Spans(tuple(Span(**span) for span in message["spans"])))
    assert 0.4 < scores.metrics()["f1"] < 0.75
