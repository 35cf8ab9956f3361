"""Augmentation: what it may change, and that the seed of an example fixes it, in any thread."""

from __future__ import annotations

import random
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import graftwork as gw
from graftwork.plugins.registry import modalities
from graftwork.specs.factories import load_factory


def build(name: str):
    return load_factory(next(m for m in modalities() if m.name == name).augment)()


def test_every_modality_of_ours_brings_an_augmentation() -> None:
    assert {m.name for m in modalities() if m.augment} >= {"image", "text", "audio"}


@given(st.text(alphabet="ab \n", max_size=40), st.integers(0, 99))
def test_a_text_keeps_some_of_its_words_in_order(text, seed) -> None:
    changed = build("text")(text, random.Random(seed))
    assert not text.split() or changed.split()
    words = iter(text.split())
    assert all(word in words for word in changed.split())


def test_a_tenth_of_the_words_is_dropped() -> None:
    text = " ".join(["word"] * 2000)
    assert len(build("text")(text, random.Random(0)).split()) == pytest.approx(1800, abs=60)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_an_image_stays_an_image_of_a_part_of_it(width, height, seed) -> None:
    image = Image.new("RGB", (width, height), (200, 30, 30))
    changed = build("image")(image, random.Random(seed))
    assert changed.mode == "RGB"
    assert changed.size == (min(width, height),) * 2
    red, green, _ = np.asarray(changed).reshape(-1, 3).mean(0)
    assert red > 2 * green


def test_a_clip_keeps_its_length_and_scale_and_loses_bands() -> None:
    from graftwork_audio.clip import Clip

    rng = np.random.default_rng(0)
    clip = Clip((0.1 * rng.standard_normal((1, 16_000))).astype(np.float32), 16_000)
    changed = build("audio")(clip, random.Random(1))
    assert (changed.rate, changed.samples.shape, changed.samples.dtype) == (16_000, (1, 16_000), np.float32)
    assert np.abs(changed.samples).max() <= 1
    assert not np.allclose(changed.samples, clip.samples, atol=1e-3)
    spectrum = np.abs(np.fft.rfft(changed.samples[0]))
    bands = spectrum[: len(spectrum) // 80 * 80].reshape(80, -1).mean(1)
    assert bands.min() < 0.2 * np.median(bands)
    short = Clip(np.full((1, 100), 0.5, np.float32), 16_000)
    assert build("audio")(short, random.Random(0)).samples.shape == (1, 100)


def test_the_same_chance_gives_the_same_in_many_threads_and_leaves_torchs_own_alone() -> None:
    image = Image.fromarray(np.arange(3 * 40 * 50, dtype=np.uint8).reshape(40, 50, 3))
    change = build("image")
    alone = [np.asarray(change(image, random.Random(seed))) for seed in range(16)]
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: np.asarray(change(image, random.Random(seed))), range(16)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len({one.tobytes() for one in alone}) == 16


def test_only_training_examples_are_changed_and_each_epoch_differently(messages, tiny_bert, monkeypatch) -> None:
    from graftwork.features.examples import AugmentedExamples, Examples

    seen = []
    original = Examples.batch

    def spy(self, numbers):
        changed = isinstance(self, AugmentedExamples)
        seen.append((changed, self._seed(7) if changed else "", set(numbers)))
        return original(self, numbers)

    monkeypatch.setattr(Examples, "batch", spy)
    gw.fit(messages, f"local:{tiny_bert}", freeze="last:1", augment=True, epochs=2, batch_size=8)
    assert {seed for changed, seed, _ in seen if changed} == {"0 0 7", "0 1 7"}
    trained, held = (set().union(*(n for changed, _, n in seen if changed == way)) for way in (True, False))
    assert len(trained) == 32
    assert not trained & held


def test_a_solved_head_sees_each_training_example_in_all_its_views(messages, tiny_bert) -> None:
    name = f"local:{tiny_bert}"
    plain, run = gw.fit(messages, name), gw.fit(messages, name, augment=True, views=3)
    assert run.record["cache"]["misses"] > 0
    assert sum(run.record["cache"].values()) == 40 + 3 * 32
    assert not all(torch.equal(t, plain._head.state_dict()[k]) for k, t in run._head.state_dict().items())
    again = gw.fit(messages, name, augment=True, views=3)
    assert again.record["cache"] == {"hits": 40 + 3 * 32, "misses": 0}
    assert all(torch.equal(t, again._head.state_dict()[k]) for k, t in run._head.state_dict().items())
    assert run.record["settings"] == {"balance": "none", "augment": True, "views": 3}
    every = gw.fit(messages, name, augment=True, views=3, tap="all")
    assert every.metrics == gw.fit(messages, name, augment=True, views=3, tap=every.record["tap"]).metrics
    with pytest.raises(gw.UsageError, match="and none is said. Say how many: --augment --views 8"):
        gw.fit(messages, name, augment=True)


@pytest.mark.parametrize("options", [{}, {"c": 3.0}, {"balance": "weights"}, {"refit": False}], ids=str)
def test_views_that_change_nothing_change_no_head(messages, tiny_bert, monkeypatch, options) -> None:
    """An example in many views weighs as much as one in none."""
    name = f"local:{tiny_bert}"
    messages.write_text(messages.read_text().replace("where is my parcel please is,delivery", "i is,card"))
    monkeypatch.setattr("graftwork_text.augment.build", lambda: lambda text, rng: text)
    plain, viewed = gw.fit(messages, name, **options), gw.fit(messages, name, augment=True, views=2, **options)
    assert viewed.metrics == pytest.approx(plain.metrics, abs=1e-3)
    for one, other in zip(*(run.predict(["where is my card", "is", "refund"]) for run in (plain, viewed)), strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-3)


def test_a_modality_without_augmentation_says_so(messages, tiny_bert, plugins) -> None:
    import dataclasses

    import graftwork_text.plugin as text

    bare = types.ModuleType("bare")
    bare.__dict__.update({k: v for k, v in vars(text).items() if k.startswith("graftwork_") or k == "api_version"})
    plain = [dataclasses.replace(m, augment="") for m in text.graftwork_modalities()]
    bare.__dict__["graftwork_modalities"] = gw.hookimpl(lambda: plain, specname="graftwork_modalities")
    plugins(bare)
    with pytest.raises(gw.UsageError, match="The modality 'text' brings no augmentation. Leave out --augment"):
        gw.fit(messages, f"local:{tiny_bert}", freeze="all", augment=True)
