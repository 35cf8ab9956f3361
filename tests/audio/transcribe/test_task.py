"""`transcribe`: what it makes of texts and clips, before anything is trained."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graftwork import DataError, Piece, Seen, SequenceView, Spans, UsageError, WholeExample
from graftwork.data.inputs import Raw
from graftwork.tasks.task import Targets, load_task
from graftwork_audio.clip import Clip
from graftwork_audio.transcribe.task import Place, Transcribe

RATE = 16_000


def task(**options) -> Transcribe:
    found = load_task("transcribe", options=options)
    assert isinstance(found, Transcribe)
    return found


def seen(scores: torch.Tensor, places: list[Place], step: float = 0.1) -> Seen:
    """Outputs `(B, T, K)` of frames of `step` seconds."""
    count, frames = scores.shape[:2]
    starts = torch.arange(frames, dtype=torch.float64) * step
    spans = torch.stack([starts, starts + step], 1).expand(count, -1, -1)
    view = SequenceView(torch.zeros(count, frames, 1), torch.ones(count, frames, dtype=torch.bool), spans)
    return Seen(scores, view, [Piece(None, None, place) for place in places])


def whole(number: int = 0, name: str = "clip.wav", changed: bool = False) -> Place:
    return Place(number, 0.0, math.inf, name, 1.0, changed)


def test_the_alphabet_is_that_of_the_texts() -> None:
    known = task().encode(["ab a", "cafe\u0301"])
    assert known.names == (" ", "a", "b", "c", "f", "\u00e9")
    assert task().outputs(known) == 7
    assert task(lower=True).encode(["Ab", "aB"]).names == ("a", "b")


def test_word_pieces_are_learned_and_saved() -> None:
    spelling = task(units="pieces", pieces=40)
    known = spelling.encode(["one two", "two one"] * 5)
    loaded = Targets.from_json(known.as_json())
    assert spelling.truth("one two", loaded) == "one two"
    assert loaded.names == known.names
    assert len(known.names) < 40


def test_characters_that_occur_once_are_noted() -> None:
    assert task().encode(["ab", "ab", "xa"]).notes == (
        "the character 'x' occurs once in all texts, too seldom to be learned; other writings of the same, or upper "
        "case (--task-option lower=true), may be the reason.",
    )
    assert task().encode(["ab", "ba"]).notes == ()


def test_check_names_blank_texts_and_characters_that_occur_once() -> None:
    found = {problem.kind: problem for problem in task().problems(["ab", "ab", " ", "yx"])}
    assert found["blank_texts"].message == "1 of the texts are blank."
    assert found["rare_characters"].message == (
        "the characters 'x', 'y' occur once in all texts, too seldom to be learned."
    )
    assert task().problems(["ab", "ba"]) == []


def test_labels_that_are_no_texts_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        task().encode([Spans(), "a"])
    assert caught.value.message.startswith("The labels are no texts (the first: '")
    assert caught.value.message.endswith("); one text for each clip is accepted.")
    with pytest.raises(DataError, match="None of the 2 texts has a character, so there is nothing to learn."):
        task().encode([" ", ""])


def test_another_alphabet_is_refused_and_a_rare_character_counts_as_an_error() -> None:
    known = task().encode(["one two three"])
    assert task().unknown(["one two three" * 5 + "é"], known) == []
    with pytest.raises(DataError) as caught:
        task().unknown(["один", "one"], known)
    assert caught.value.message == (
        "The texts have the characters 'д', 'и', 'н', 'о', which no training text has, in 4 of their 7 characters; 5% "
        "are accepted, and count as errors."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": "words"}, "The task option units=words is not known; characters and pieces are."),
        ({"search": "best"}, "The task option search=best is not known; greedy and beam are."),
        ({"beam": 0}, "The task option beam=0 is not accepted; it is 1 or more."),
        ({"pieces": 1}, "The task option pieces=1 is not accepted; it is 2 or more."),
        (
            {"ngram": 3},
            "The task option ngram=3 weighs texts that a search compares, and search=greedy compares none.",
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message) -> None:
    with pytest.raises(UsageError) as caught:
        task(**options)
    assert caught.value.message == message


# Losses and answers.


def test_windows_of_a_clip_have_the_loss_of_one_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 12, 4, generator=generator)
    other = torch.randn(1, 12, 4, generator=generator)
    once = task().loss(seen(torch.cat([scores, other]), [whole(), whole()]), [[1, 2, 3], [3]])
    # Two windows of eight frames that overlap by four: six frames count of each.
    parts = torch.cat([scores[:, :8], scores[:, 4:], other[:, :8], other[:, 4:]])
    windows = [Place(0, 0.0, 0.6, "a", 1.2), Place(1, 0.2, math.inf, "a", 1.2)]
    pieces = task().loss(seen(parts, windows * 2), [[1, 2, 3], [1, 2, 3], [3], [3]])
    assert torch.allclose(pieces, once.repeat_interleave(2))


def test_windows_of_a_clip_have_the_answer_of_one_pass() -> None:
    scores = torch.randn(1, 12, 4, generator=torch.Generator().manual_seed(1)) * 5
    known = task().encode(["abc"])
    places = [Place(0, 0.0, 0.6, "a", 1.2), Place(1, 0.2, math.inf, "a", 1.2)]
    for options in ({}, {"search": "beam"}):
        one = task(**options)
        once, parts = seen(scores, [whole()]), seen(torch.cat([scores[:, :8], scores[:, 4:]]), places)
        answers = [one.join(one.decode(found, known), found.pieces, known) for found in (once, parts)]
        assert answers[0]["text"] == answers[1]["text"] != ""
        assert answers[0]["probability"] == pytest.approx(answers[1]["probability"])
        assert 0 < answers[0]["probability"] < 1


def test_a_text_that_does_not_fit_its_clip_is_refused_by_name() -> None:
    with pytest.raises(DataError) as caught:
        task().loss(seen(torch.zeros(1, 3, 4), [whole(name="short.wav")]), [[1, 1, 2]])
    assert caught.value.message == (
        "The text of 'short.wav' needs 4 frames (3 signs, and one between equal ones), and the encoder makes 3 of its "
        "1.00 s; a text that fits into its clip is accepted."
    )
    assert caught.value.hint.endswith("or spell in larger pieces: --task-option units=pieces.")


def test_a_version_that_became_too_fast_for_its_text_teaches_nothing() -> None:
    scores = torch.zeros(1, 3, 4, requires_grad=True)
    losses = task().loss(seen(scores, [whole(changed=True)]), [[1, 1, 2]])
    assert losses.tolist() == [0.0]


def test_an_ngram_is_learned_from_the_training_part_and_weighs_answers() -> None:
    plain, weighed = task(search="beam"), task(search="beam", ngram=3, lm=1.0)
    known = weighed.encode(["ab", "ac"] * 5)
    learned = Targets.from_json(weighed.learn(["ab"] * 9, known).as_json())
    chances = torch.tensor([[[0.02, 0.94, 0.02, 0.02], [0.94, 0.02, 0.02, 0.02], [0.02, 0.02, 0.47, 0.49]]])
    found = seen(chances.log(), [whole()])
    assert plain.join(plain.decode(found, known), found.pieces, known)["text"] == "ac"
    assert weighed.join(weighed.decode(found, learned), found.pieces, learned)["text"] == "ab"
    assert "ngram" not in plain.learn(["ab"], known).learned


# Pieces.


def test_a_long_clip_is_cut_into_windows_that_the_encoder_reads(tiny) -> None:
    backbone, rng = tiny("layer-stable"), np.random.default_rng(0)
    clip = Clip(rng.uniform(-0.5, 0.5, (1, 40 * RATE)).astype(np.float32), RATE)
    given = WholeExample(Raw("long.wav", value=clip), {}, clip, "ab")
    known = task().encode(["ab"])
    pieces = task().pieces(given, backbone, known)
    assert [piece.place.number for piece in pieces] == [0, 1, 2, 3]
    assert all(piece.label == [1, 2] for piece in pieces)
    for piece in pieces:
        task().prepare(backbone, [piece.value])  # which refuses what is too long
        begin = (
            round(piece.place.number * 11.64 * RATE)
            if piece.place.number < 3
            else 40 * RATE - piece.value.samples.shape[1]
        )
        assert np.array_equal(piece.value.samples[0], clip.samples[0, begin : begin + piece.value.samples.shape[1]])
    assert task().at_once(backbone) >= 1
