"""What spells texts is learned from them, and spells them back."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork_audio.transcribe.alphabet import Alphabet, normal, rare

TEXTS = st.lists(st.text(alphabet="abcé 我'", min_size=1, max_size=12), min_size=1, max_size=6)


@given(TEXTS)
def test_characters_spell_every_training_text_back(texts) -> None:
    texts = [normal(text) for text in texts]
    alphabet = Alphabet.of_characters(texts)
    assert [alphabet.text(alphabet.spell(text)) for text in texts] == texts
    assert 0 not in [number for text in texts for number in alphabet.spell(text)]


@settings(deadline=None, max_examples=30)
@given(TEXTS)
def test_word_pieces_spell_every_training_text_back(texts) -> None:
    texts = [normal(text) for text in texts]
    alphabet = Alphabet.of_pieces(texts, 30)
    assert [alphabet.text(alphabet.spell(text)) for text in texts] == texts
    assert [alphabet.missing(text) for text in texts] == [[]] * len(texts)


def test_word_pieces_are_fewer_than_characters_and_the_same_once_saved() -> None:
    texts = ["one two three"] * 5 + ["two one"]
    pieces = Alphabet.of_pieces(texts, 40)
    assert len(pieces.spell(texts[0])) == 3
    loaded = Alphabet(*json.loads(json.dumps([pieces.signs, pieces.merges])))
    assert loaded.spell("three two") == pieces.spell("three two")


def test_no_more_word_pieces_are_learned_than_are_asked_for() -> None:
    assert len(Alphabet.of_pieces(["one two three", "four five"], 16).signs) <= 16


def test_a_character_that_was_never_seen_is_left_out_and_named() -> None:
    for alphabet in (Alphabet.of_characters(["ab a"]), Alphabet.of_pieces(["ab a"], 10)):
        assert alphabet.missing("abé a") == ["é"]
        assert alphabet.text(alphabet.spell("aéb a")) == "ab a"


def test_texts_are_composed_and_have_one_blank_between_words() -> None:
    assert normal("  cafe\u0301\t au\nlait ") == "caf\u00e9 au lait"
    assert normal("ÉTÉ") == "ÉTÉ"
    assert normal("ÉTÉ", lower=True) == "été"


def test_characters_that_occur_once_are_rare() -> None:
    assert rare(["abca", "b"]) == ["c"]
