"""The sequence of a clip: each frame stands for the seconds that its span names."""

from __future__ import annotations

import numpy as np
import pytest

import graftwork as gw
from graftwork.plugins import registry
from graftwork_audio.clip import Clip
from graftwork_audio.frames import geometry


@pytest.mark.parametrize("name", ["audio/wav2vec2-tiny", "audio/wav2vec2-base"])
@pytest.mark.parametrize("at", [0.2, 0.75, 1.3])
def test_a_click_is_heard_in_the_frames_whose_spans_hold_it(name, at) -> None:
    backbone = gw.load_backbone(registry.backbone(name), pretrained=name.endswith("tiny"))
    quiet = np.random.default_rng(0).normal(0, 0.01, (1, 24_000)).astype(np.float32)
    loud = quiet.copy()
    loud[0, int(at * 16_000)] = 0.05
    values = [Clip(quiet, 16_000), Clip(loud, 16_000)]
    batch = backbone.prepare(values)
    view = backbone.sequence(values, batch, backbone.stages()[0](batch))
    most = int((view.hidden[0] - view.hidden[1]).norm(dim=-1).argmax())
    start, end = view.spans[0, most].tolist()
    assert start - 0.02 <= at <= end + 0.02
    assert 1.4 < float(view.spans.max()) <= 1.5


def test_the_geometry_of_wav2vec2_is_the_published_one() -> None:
    kernels = zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True)
    assert geometry(kernels) == (320, 400)  # 20 ms and 25 ms at 16 kHz (Baevski et al. 2020, section 4.1)
