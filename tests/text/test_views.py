"""The sequence of a text: each vector stands for the characters that its span names."""

from __future__ import annotations

import pytest
import torch

import graftwork as gw
from graftwork.plugins import registry

TEXTS = ["Where is MY parcel?", "café — naïve  parcel", "I lost my card", "x"]


@pytest.mark.parametrize("name", ["tiny", "text/minilm", "text/glove-50d"])
def test_spans_name_the_characters_of_the_text_as_it_was_given(name, tiny_bert) -> None:
    backbone = gw.load_backbone(registry.backbone(f"local:{tiny_bert}" if name == "tiny" else name))
    batch = backbone.prepare(TEXTS)
    view = backbone.sequence(TEXTS, batch, backbone.stages()[0](batch))
    assert view.hidden.shape[:2] == view.mask.shape == view.spans.shape[:2]
    for text, mask, spans in zip(TEXTS, view.mask, view.spans, strict=True):
        pieces = [text[int(start) : int(end)] for start, end in spans[mask].tolist()]
        assert all(piece and piece == piece.strip() for piece in pieces)
        left = text
        for piece in pieces:  # in order, none twice
            assert piece in left
            left = left.split(piece, 1)[1]
        if "parcel" in text.split():
            assert "parcel" in pieces


def test_a_word_that_moves_takes_its_vector_along() -> None:
    backbone = gw.load_backbone(registry.backbone("text/glove-50d"))
    texts = ["parcel one two three", "one two three parcel"]
    batch = backbone.prepare(texts)
    view = backbone.sequence(texts, batch, backbone(batch))
    assert [view.spans[0, 0].tolist(), view.spans[1, 3].tolist()] == [[0, 6], [14, 20]]
    assert torch.equal(view.hidden[0, 0], view.hidden[1, 3])


def test_an_encoder_without_a_view_says_which_it_gives(tiny_bert) -> None:
    backbone = gw.load_backbone(registry.backbone(f"local:{tiny_bert}"))
    batch = backbone.prepare(TEXTS)
    for ask in (lambda: backbone.map(batch, batch), lambda: backbone.pyramid(batch, 0)):
        with pytest.raises(
            gw.UsageError, match=r"' has no view '(map|pyramid)'; it gives pooled, sequence\. Choose another"
        ):
            ask()
