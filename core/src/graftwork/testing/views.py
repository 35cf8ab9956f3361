"""What every view of a backbone promises: its shape, where its positions lie, and that padding changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from graftwork.errors import UsageError
from graftwork.models.backbone import Backbone
from graftwork.models.stages import State
from graftwork.models.views import STRIDES, MapView
from graftwork.testing.backbones import CLOSE, Encoder, apart
from graftwork.testing.cases import Nonconformance, check

VIEWS = ("pooled", "sequence", "map", "pyramid")
PLACES = (0.25, 0.5, 0.75)
"""Where inputs are changed, as fractions of their length or side."""


@check("backbones")
def it_gives_the_views_that_its_spec_names_and_no_others(encoder: Encoder) -> None:
    named = encoder.spec.views
    if "pooled" not in named or not set(named) <= set(VIEWS):
        raise Nonconformance(
            f"'{encoder.name}' names the views {', '.join(named)}; pooled and {', '.join(VIEWS[1:])} are known.",
            'Write BackboneSpec(views=("pooled", ...)).',
        )
    batch = encoder.prepare(encoder.values)
    for view in VIEWS[1:]:
        try:
            for state in _states(encoder.backbone, batch):
                _give(encoder, view, batch, state)
                break
        except UsageError as error:
            if view in named:
                raise Nonconformance(
                    f"'{encoder.name}' names the view {view} and does not give it: {error.message}",
                    "Write the method, or leave the view out of BackboneSpec(views=...).",
                ) from error
        else:
            if view not in named:
                raise Nonconformance(
                    f"'{encoder.name}' gives the view {view} and does not name it.",
                    "Name it: BackboneSpec(views=...).",
                )


@check("backbones")
def positions_of_a_sequence_lie_where_they_say(encoder: Encoder) -> None:
    if "sequence" not in encoder.spec.views:
        return
    backbone, values = encoder.backbone, encoder.values[:1]
    batch = encoder.prepare(values)
    state = next(_states(backbone, batch))
    view = backbone.sequence(values, batch, state)
    shape = tuple(state.hidden.shape[:2])
    if view.hidden.ndim != 3 or tuple(view.mask.shape) != shape or tuple(view.spans.shape) != (*shape, 2):
        raise Nonconformance(
            f"The sequence of '{encoder.name}' has {tuple(view.hidden.shape)} vectors, a mask {tuple(view.mask.shape)} "
            f"and spans {tuple(view.spans.shape)}.",
            "Give (B, T, D), (B, T) and (B, T, 2).",
        )
    spans, real = view.spans[0], view.mask[0]
    ordered = bool((spans[real][1:, 0] >= spans[real][:-1, 0]).all())
    if not ordered or bool((spans[real][:, 1] <= spans[real][:, 0]).any()) or bool(spans[~real].any()):
        raise Nonconformance(
            f"The spans of '{encoder.name}' are not from left to right, or empty, or not zero where the mask is False.",
            "Give each position the part of the input that it stands for, in order.",
        )
    end = float(spans.max())
    for place in PLACES:
        wanted = int(place * batch.hidden.shape[1])
        changed = _changed(batch, (wanted,), max(1, batch.hidden.shape[1] // (4 * shape[1])))
        other = backbone.sequence(values, changed, next(_states(backbone, changed)))
        found = int((other.hidden - view.hidden)[0].norm(dim=-1).argmax())
        if batch.hidden.shape[1] == shape[1]:
            right = found == wanted
        else:
            middle = float(spans[found].mean()) / end
            right = abs(middle - wanted / batch.hidden.shape[1]) < max(0.05, 2 / shape[1])
        if not right:
            raise Nonconformance(
                f"A change at {place:.0%} of an example changes the sequence of '{encoder.name}' most at position "
                f"{found} of {shape[1]}, whose span is {spans[found].tolist()} of {end:g}.",
                "Give the states in the order of the input, with the spans that they are computed from.",
            )


@check("backbones")
def padding_changes_no_position_of_a_sequence(encoder: Encoder) -> None:
    if "sequence" not in encoder.spec.views:
        return
    backbone, values = encoder.backbone, encoder.values
    batch = encoder.prepare(values)
    views = [backbone.sequence(values, batch, state) for state in _states(backbone, batch)]
    for row, value in enumerate(values):
        alone = encoder.prepare([value])
        for view, state in zip(views, _states(backbone, alone), strict=True):
            single = backbone.sequence([value], alone, state)
            real = single.mask[0]
            together = view.hidden[row][: len(real)][real]
            if int(view.mask[row].sum()) != int(real.sum()) or apart(together, single.hidden[0][real]) > CLOSE:
                raise Nonconformance(
                    f"Example {row} of '{encoder.name}' has another sequence in a batch than alone.",
                    "Keep padding out of every stage, and out of the mask.",
                )


@check("backbones")
def positions_of_a_map_lie_where_their_stride_says(encoder: Encoder) -> None:
    if "map" not in encoder.spec.views:
        return
    backbone = encoder.backbone
    batch = encoder.prepare(encoder.values[:1])
    state = next(_states(backbone, batch))
    view = backbone.map(batch, state)
    _check_map(encoder, view, batch.hidden)
    for place in PLACES:
        row, column = (view.stride * int(place * size) for size in view.hidden.shape[-2:])
        changed = _changed(batch, (row, column), view.stride)
        other = backbone.map(changed, next(_states(backbone, changed)))
        found = int((other.hidden - view.hidden)[0].norm(dim=0).argmax())
        at = divmod(found, view.hidden.shape[-1])
        if max(abs(at[0] - row // view.stride), abs(at[1] - column // view.stride)) > 1:
            raise Nonconformance(
                f"A change of the pixels at {row}, {column} changes the map of '{encoder.name}' most at {at}, of "
                f"stride {view.stride}.",
                "Give the map row by row, channels first, without class tokens.",
            )


@check("backbones")
def a_pyramid_has_its_strides(encoder: Encoder) -> None:
    if "pyramid" not in encoder.spec.views:
        return
    batch = encoder.prepare(encoder.values[:1])
    with torch.inference_mode():
        found = encoder.backbone.pyramid(batch, len(encoder.spec.stages) - 1)
    if tuple(found) != STRIDES:
        raise Nonconformance(
            f"The pyramid of '{encoder.name}' has the strides {', '.join(map(str, found))}.", "Give 4, 8, 16 and 32."
        )
    for view in found.values():
        _check_map(encoder, view, batch.hidden)


def _give(encoder: Encoder, view: str, batch: State, state: State) -> None:
    backbone = encoder.backbone
    match view:
        case "sequence":
            backbone.sequence(encoder.values, batch, state)
        case "map":
            backbone.map(batch, state)
        case _:
            with torch.inference_mode():
                backbone.pyramid(batch, 0)


def _states(backbone: Backbone, batch: State) -> Iterator[State]:
    """The state after each stage."""
    state = batch
    for stage in backbone.stages():
        with torch.inference_mode():
            state = stage(state)
        yield state


def _changed(batch: State, start: tuple[int, ...], size: int) -> State:
    """The batch with a part of its numbers changed, from these places on: to another token, or by much."""
    hidden = batch.hidden.clone()
    ends = (slice(None), *(slice(None) for _ in range(hidden.ndim - 1 - len(start))))
    part = (*ends, *(slice(place, place + size) for place in start))
    if hidden.is_floating_point():
        hidden[part] = hidden[part] + 3 * float(hidden.std() + 1)
    else:
        others = [token for token in hidden.unique().tolist() if token != int(hidden[0, start[0]])]
        hidden[part] = others[len(others) // 2]
    return State(hidden, batch.mask)


def _check_map(encoder: Encoder, view: MapView, pixels: Tensor) -> None:
    wanted = tuple(-(-size // view.stride) for size in pixels.shape[-2:])
    if view.hidden.ndim != 4 or tuple(view.hidden.shape[-2:]) != wanted:
        raise Nonconformance(
            f"A map of '{encoder.name}' has the shape {tuple(view.hidden.shape)} at stride {view.stride} of "
            f"{tuple(pixels.shape[-2:])} pixels.",
            f"Give (B, C, {wanted[0]}, {wanted[1]}).",
        )
