"""A network that forgets has the shape of the one it was, and nothing else of it."""

from __future__ import annotations

import pytest
import torch

from graftwork.models.forget import forget
from graftwork.plugins import registry


@pytest.mark.parametrize("name", ["text/minilm", "image/efficientnet-lite0", "audio/wav2vec2-tiny"])
def test_no_weights_are_left_of_a_network_that_forgets(name) -> None:
    from graftwork import load_backbone

    spec = registry.backbone(name)
    if spec.weights.find() is None:
        pytest.skip(f"the weights of {name} are not installed")
    known, one, same, other = (load_backbone(spec) for _ in range(4))
    before = {key: value.clone() for key, value in known.named_parameters()}
    for model, seed in ((one, 0), (same, 0), (other, 1)):
        forget(model, seed)
    after = dict(one.named_parameters())
    assert all(torch.equal(value, dict(same.named_parameters())[key]) for key, value in after.items())
    matrices = [key for key, value in before.items() if value.ndim > 1 and not key.endswith("original0")]
    assert matrices
    assert not any(torch.equal(before[key], after[key]) for key in matrices)
    assert not all(torch.equal(after[key], dict(other.named_parameters())[key]) for key in matrices)
    assert all(value.isfinite().all() for value in after.values())
