"""What the detector makes of a pyramid."""

from __future__ import annotations

import pytest
import torch

from graftwork import MapView
from graftwork.plugins import registry
from graftwork.tasks.heads import build_dense_head
from graftwork_image.detect.head import BOX, FAR, RARE, READ, Fcos

WIDTHS = {8: 6, 16: 10, 32: 12}


def pyramid(height: int, width: int, count: int = 2, seed: int = 0) -> dict[int, MapView]:
    torch.manual_seed(seed)
    sizes = {stride: (-(-height // stride), -(-width // stride)) for stride in READ}
    return {s: MapView(5 + 3 * torch.randn(count, WIDTHS[s], *size), s) for s, size in sizes.items()}


def test_it_gives_a_map_at_each_stride_from_8_to_128() -> None:
    torch.manual_seed(0)
    head = build_dense_head("fcos", WIDTHS, 3)
    assert isinstance(head, Fcos)
    assert registry.head("fcos").strides == READ
    found = head(pyramid(96, 160))
    sizes = {stride: (-(-96 // stride), -(-160 // stride)) for stride in (8, 16, 32, 64, 128)}
    assert {stride: tuple(one.shape) for stride, one in found.items()} == {
        stride: (2, BOX + 3, *size) for stride, size in sizes.items()
    }


def test_a_fresh_head_finds_nothing_probable_and_edges_four_strides_away() -> None:
    torch.manual_seed(0)
    head = Fcos(WIDTHS, 3)
    views = pyramid(128, 128)
    head.fit_scaler(views)
    with torch.no_grad():
        found = head(views).values()
    probable = torch.cat([one[:, BOX:].sigmoid().flatten() for one in found])
    assert float(probable.mean()) == pytest.approx(RARE, rel=0.5)
    distances = torch.cat([one[:, :4].exp().flatten() for one in found])
    assert float(distances.mean()) == pytest.approx(FAR, rel=0.2)


def test_maps_of_other_scale_give_the_same_where_the_scaler_has_met_them() -> None:
    torch.manual_seed(0)
    head, views = Fcos(WIDTHS, 2).eval(), pyramid(64, 64)
    head.fit_scaler(views)
    with torch.no_grad():
        first = head(views)
        larger = {stride: MapView(view.hidden * 1000 + 7, stride) for stride, view in views.items()}
        head.fit_scaler(larger)
        again = head(larger)
    assert all(torch.allclose(first[stride], again[stride], rtol=1e-3, atol=1e-3) for stride in first)


def test_a_channel_that_never_moves_gives_finite_numbers() -> None:
    head = Fcos(WIDTHS, 2)
    head.fit_scaler({stride: MapView(torch.full((1, WIDTHS[stride], 2, 2), 3.0), stride) for stride in READ})
    assert all(bool(one.isfinite().all()) for one in head(pyramid(64, 64)).values())


def test_what_lies_far_away_in_the_same_batch_changes_nothing() -> None:
    torch.manual_seed(0)
    head, views = Fcos(WIDTHS, 2).eval(), pyramid(1024, 64, 1)
    moved = {stride: MapView(view.hidden.clone(), stride) for stride, view in views.items()}
    for stride, view in moved.items():
        view.hidden[:, :, 960 // stride :] += 50
    with torch.no_grad():
        before, after = head(views)[8], head(moved)[8]
    assert torch.equal(before[:, :, :32], after[:, :, :32])
    assert not torch.equal(before[:, :, 120:], after[:, :, 120:])


def test_gradients_of_small_pictures_are_the_same_in_half_precision() -> None:
    """Of which the coarsest map is one position wide. What nobody wrote is not always wrong, hence the repetitions."""
    torch.manual_seed(0)
    head, views = Fcos(WIDTHS, 2), pyramid(64, 64)
    found = []
    for half in (False, *[True] * 20):
        head.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = head(views)
        sum(one.float().square().sum() for one in outputs.values()).backward()  # pyright: ignore
        found.append(
            [one.weight.grad.clone() for block in head.coarser for one in block if hasattr(one, "kernel_size")]
        )
    assert len(found[0]) == 2
    for half in found[1:]:
        for one, other in zip(found[0], half, strict=True):
            assert float((one - other).norm() / one.norm()) < 0.1
