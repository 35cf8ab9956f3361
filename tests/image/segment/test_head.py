"""The U-shaped decoder: full resolution out, no batch statistics."""

from __future__ import annotations

import torch

import graftwork as gw
from graftwork_image.segment import head as decoder
from graftwork_image.segment.head import Unet

CHANNELS = {1: 3, 4: 5, 8: 6, 16: 7, 32: 9}


def pyramid(*sizes: tuple[int, int], seed: int = 0) -> dict[int, gw.MapView]:
    """Random maps of pictures of one size `(H, W)`, one for each named."""
    torch.manual_seed(seed)
    high, wide = sizes[0]
    return {
        stride: gw.MapView(torch.randn(len(sizes), width, -(-high // stride), -(-wide // stride)), stride)
        for stride, width in CHANNELS.items()
    }


def test_outputs_are_at_the_resolution_of_the_pixels() -> None:
    assert Unet(CHANNELS, 4)(pyramid((64, 96), (64, 96))).shape == (2, 4, 64, 96)


def test_an_answer_does_not_depend_on_what_shares_the_batch() -> None:
    head = Unet(CHANNELS, 3).train()
    both = pyramid((64, 64), (64, 64))
    alone = {stride: gw.MapView(view.hidden[:1], stride) for stride, view in both.items()}
    torch.testing.assert_close(head(both)[:1], head(alone), atol=1e-5, rtol=1e-4)


def test_padding_hardly_changes_what_the_decoder_makes_of_a_picture(monkeypatch) -> None:
    head, alone = Unet(CHANNELS, 3).eval(), pyramid((64, 64))
    torch.manual_seed(1)
    padded = {}
    for stride, view in alone.items():
        hidden = torch.zeros(2, view.hidden.shape[1], 128 // stride, 96 // stride)
        if stride > 1:  # an encoder makes something of padding
            hidden += torch.randn_like(hidden)
        else:
            hidden[1] = torch.randn_like(hidden[1])
        hidden[:1, :, : view.hidden.shape[2], : view.hidden.shape[3]] = view.hidden
        padded[stride] = gw.MapView(hidden, stride)
    expected = head(alone)[..., :32, :32].detach()

    def moved() -> float:
        return float((head(padded).detach()[:1, :, :32, :32] - expected).abs().mean())

    # Enlarging blends what lies at an edge with what is beyond it, and that is seen in the mean that a norm takes.
    hardly = moved()
    monkeypatch.setattr(decoder, "_there", lambda pixels: None)
    assert hardly < 0.05
    assert moved() > 4 * hardly


def test_every_map_counts() -> None:
    head, views = Unet(CHANNELS, 2).eval(), pyramid((64, 64))
    before = head(views)
    for stride, view in views.items():
        changed = {**views, stride: gw.MapView(view.hidden + torch.randn_like(view.hidden), stride)}
        assert not torch.allclose(head(changed), before, atol=1e-4)


def test_maps_are_scaled_by_what_they_are_like() -> None:
    head, views = Unet(CHANNELS, 2), pyramid((64, 64))
    before = head(views)
    moved = {
        stride: view if stride == 1 else gw.MapView(view.hidden * 30 + 7, stride) for stride, view in views.items()
    }
    for one in (moved, views):
        head.fit_scaler(one)
        scaled = head(one)
    head.fit_scaler(moved)
    torch.testing.assert_close(head(moved), scaled, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(before, scaled)
