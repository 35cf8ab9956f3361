"""Heads with neighbours: padding has no influence, and neighbours have."""

from __future__ import annotations

import pytest
import torch

from graftwork import SequenceView
from graftwork_audio.transcribe.heads import CtcConv, CtcLstm


def view(hidden: torch.Tensor, length: int) -> SequenceView:
    mask = torch.arange(hidden.shape[1])[None].expand(len(hidden), -1) < length
    return SequenceView(hidden, mask, torch.zeros(*hidden.shape[:2], 2))


@pytest.mark.parametrize("kind", [CtcLstm, CtcConv])
def test_padding_has_no_influence_and_a_neighbour_has(kind) -> None:
    torch.manual_seed(0)
    head, hidden = kind(6, 4).eval(), torch.randn(2, 12, 6)
    head.fit_scaler(view(hidden, 9))
    alone = head(view(hidden[:, :9], 9))
    assert alone.shape == (2, 9, 4)
    padded = hidden.clone()
    padded[:, 9:] = 100.0
    assert torch.allclose(head(view(padded, 9))[:, :9], alone, atol=1e-5)
    moved = hidden.clone()
    moved[:, 5] += 1
    assert not torch.allclose(head(view(moved, 9))[:, 4], alone[:, 4], atol=1e-5)
