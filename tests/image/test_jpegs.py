"""JPEG files decoded many at once: as Pillow decodes them, or not at all."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import graftwork as gw
from graftwork.data.pipeline import Pipeline
from graftwork.features.examples import AugmentedExamples, Examples
from graftwork.features.extraction import Cache, Extractor, Features
from graftwork.features.store import Store
from graftwork.models import transfer
from graftwork.models.engines.runner import Runner
from graftwork.models.transfer import Forked, pieces
from graftwork.plugins import registry
from graftwork_image.plugin import EXTENSIONS  # noqa: F401  the plugin is installed

NAME = "image:torchvision"


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 255, (max(2, size[1] // 16), max(2, size[0] // 16), 3), dtype=np.uint8)
    return Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC)


def saved(image: Image.Image, **how) -> bytes:
    made = io.BytesIO()
    image.save(made, "JPEG", **how)
    return made.getvalue()


@pytest.fixture(scope="module")
def small() -> gw.Backbone:
    """EfficientNet-Lite0, whose weights lie in an installed package."""
    return gw.load_backbone(registry.backbone("image/efficientnet-lite0"))


def decoder(backbone: gw.Backbone) -> gw.BatchDecoder:
    from graftwork_image.jpegs import build

    return build(backbone.spec, torch.device("cpu"))


def folder_of(place: Path, contents: dict[str, bytes]) -> gw.Data:
    for number, (name, content) in enumerate(contents.items()):
        (label := place / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (label / name).write_bytes(content)
    return gw.data(place / "photos")


def examples_of(backbone: gw.Backbone, data: gw.Data) -> Examples:
    agreement = registry.agree_on(backbone.spec, data.observed, may_leave_out=1.0)
    return Examples(backbone, Pipeline(backbone.spec.contract, agreement, data.modality), data.raws)


def extracted(
    backbone: gw.Backbone, data: gw.Data, name: str, cache: Cache | None = None
) -> tuple[Extractor, Features]:
    by = Extractor(backbone, tap=1, precision="fp32", decoder=name, cache=cache)
    return by, by(examples_of(backbone, data))


@settings(max_examples=15, deadline=None)
@given(
    width=st.integers(20, 420), height=st.integers(20, 420), sampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(), quality=st.integers(40, 95),
)  # fmt: skip
def test_pictures_are_prepared_as_pillow_prepares_them(small, width, height, sampling, progressive, quality) -> None:
    content = saved(picture((width, height)), quality=quality, subsampling=sampling, progressive=progressive)
    decode = decoder(small)
    assert decode.takes(content)
    made = decode([torch.frombuffer(bytearray(content), dtype=torch.uint8)])
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        exact = small.prepare([image])
    assert made.rows == [0]
    assert made.hidden.shape == exact.hidden.shape
    # Levels of 255, normalised by a deviation of some 0.22: one or two apart where decoders round otherwise.
    assert float((made.hidden - exact.hidden).abs().mean()) < 0.03


def test_what_is_out_of_the_ordinary_is_left_to_the_reader(small) -> None:
    decode, image = decoder(small), picture((60, 40))
    sound = saved(image)
    assert decode.takes(sound)
    assert not decode.takes(saved(image.convert("L")))
    assert not decode.takes(saved(image.convert("CMYK")))
    assert not decode.takes(saved(image, keep_rgb=True))
    assert not decode.takes(sound[:-40])
    assert not decode.takes(sound + b"behind the end")
    assert not decode.takes(sound[2:])
    png = io.BytesIO()
    image.save(png, "PNG")
    assert not decode.takes(png.getvalue())


def test_features_agree_and_one_bad_file_costs_itself(small, tmp_path) -> None:
    contents = {f"{i}.jpg": saved(picture((90 + 10 * (i % 3), 70), i)) for i in range(9)}
    turned = Image.Exif()
    turned[274] = 6
    contents["turned.jpg"] = saved(picture((80, 60), 20), exif=turned)
    contents["grey.jpg"] = saved(picture((80, 60), 21).convert("L"))
    head = saved(picture((80, 60), 22))
    contents["bad.jpg"] = head[: head.index(b"\xff\xda")] + b"\xff\xd9"
    data = folder_of(tmp_path, contents)
    _, exact = extracted(small, data, "reader")
    by, found = extracted(small, data, NAME)
    assert by.decoder.name == NAME
    assert by.decoder.cosine is not None
    assert by.decoder.cosine > 0.999
    assert found.kept == exact.kept
    assert [bad.name for _, bad in found.bad] == [bad.name for _, bad in exact.bad]
    assert len(found.bad) == 1
    assert float(torch.cosine_similarity(found.values, exact.values).min()) > 0.999


def test_blank_pictures_are_counted_as_the_reader_counts_them(small, tmp_path) -> None:
    contents = {f"{i}.jpg": saved(picture((90, 70), i)) for i in range(3)}
    contents["blank.jpg"] = saved(Image.new("RGB", (90, 70), (200, 10, 10)))
    data = folder_of(tmp_path, contents)
    counts = [
        [(one.defect.name, one.examples) for one in extracted(small, data, name)[1].defects]
        for name in ("reader", NAME)
    ]
    assert counts[0] == counts[1] == [("blank", 1)]


def test_what_is_decoded_in_another_way_is_kept_apart(small, tmp_path) -> None:
    data = folder_of(tmp_path, {f"{i}.jpg": saved(picture((90, 70), i)) for i in range(4)})
    with Store(tmp_path / "store") as store:
        cache = Cache(store, "weights")
        assert extracted(small, data, "reader", cache)[1].misses == 4
        assert extracted(small, data, NAME, cache)[1].misses == 4
        by, again = extracted(small, data, NAME, cache)
        assert (again.hits, again.misses) == (4, 0)
        assert by.decoder.cosine is not None, "remembered"
        assert extracted(small, data, "reader", cache)[1].hits == 4


def test_changed_pictures_are_never_decoded_as_they_are_stored(small, tmp_path) -> None:
    data = folder_of(tmp_path, {f"{i}.jpg": saved(picture((90, 70), i)) for i in range(4)})

    def mirrored(image: Image.Image, _) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    by = Extractor(small, tap=1, precision="fp32", decoder=NAME)
    plain = by(examples_of(small, data)).values
    changed = by(AugmentedExamples(examples_of(small, data), mirrored, str)).values
    exact = Extractor(small, tap=1, precision="fp32", decoder="reader")(
        AugmentedExamples(examples_of(small, data), mirrored, str)
    ).values
    assert torch.equal(changed, exact)
    assert not torch.allclose(changed, plain)


class Wrong(gw.BatchDecoder):
    """Gives noise for whatever it is asked for."""

    version = "1"

    def takes(self, content: bytes) -> bool:
        return content[:2] == b"\xff\xd8"

    def __call__(self, files) -> gw.Decoded:
        return gw.Decoded(list(range(len(files))), torch.randn(len(files), 3, 224, 224))


def build(spec: gw.BackboneSpec, device: torch.device) -> Wrong:
    return Wrong()


def missing(spec: gw.BackboneSpec, device: torch.device) -> Wrong:
    raise ImportError("no such library")


class wrong(ModuleType):
    api_version = gw.API_VERSION

    @gw.hookimpl
    def graftwork_decoders():
        yield gw.DecoderSpec("image:wrong", "image", f"{__name__}:build", ("cpu",))
        yield gw.DecoderSpec("image:absent", "image", f"{__name__}:missing", ("cpu",), default=("cpu",))


@pytest.fixture
def third_party(plugins):
    import graftwork_image.plugin
    from graftwork_efficientnet_lite import plugin as encoder

    plugins(graftwork_image.plugin, encoder, wrong)


def test_a_decoder_that_does_not_agree_is_not_used(small, tmp_path, third_party) -> None:
    data = folder_of(tmp_path, {f"{i}.jpg": saved(picture((90, 70), i)) for i in range(4)})
    _, exact = extracted(small, data, "reader")
    by, found = extracted(small, data, "image:wrong")
    assert by.decoder.name == ""
    assert by.decoder.cosine is not None
    assert by.decoder.cosine < 0.999
    assert torch.equal(found.values, exact.values)


def test_a_default_whose_library_is_missing_is_passed_over(small, third_party, monkeypatch) -> None:
    monkeypatch.delenv("GRAFTWORK_DECODER")
    assert Extractor(small, tap=1, precision="fp32", decoder="auto").decoder.name == ""


def test_unknown_decoders_and_those_of_other_devices_are_refused(small) -> None:
    with pytest.raises(gw.UnknownName, match="No decoder is called 'image:nvjpg'; the nearest are image:nvjpeg"):
        Extractor(small, tap=1, decoder="image:nvjpg")
    with pytest.raises(gw.UsageError, match="'image:nvjpeg' decodes image on cuda; here it is image on cpu"):
        Extractor(small, tap=1, decoder="image:nvjpeg")


def test_a_decoder_whose_library_is_missing_is_named(small, third_party) -> None:
    with pytest.raises(gw.UsageError, match="The decoder 'image:absent' cannot be loaded: no such library"):
        Extractor(small, tap=1, precision="fp32", decoder="image:absent")


def test_a_run_says_what_decoded_its_pictures(tmp_path, monkeypatch) -> None:
    data = folder_of(tmp_path, {f"{i}.jpg": saved(picture((90, 70), i)) for i in range(8)})
    assert gw.fit(data, device="cpu").record["decoder"] == "reader"
    monkeypatch.setenv("GRAFTWORK_DECODER", NAME)
    run = gw.fit(data, device="cpu")
    assert run.record["decoder"] == NAME
    monkeypatch.setenv("GRAFTWORK_DECODER", "image:nvjpeg")
    assert gw.fit(data, device="cpu").record["decoder"] == "reader", "which is for GPUs"
    monkeypatch.setenv("GRAFTWORK_DECODER", "image:jpeg")
    with pytest.raises(gw.UnknownName, match="No decoder is called 'image:jpeg'"):
        gw.fit(data, device="cpu")


def test_processes_read_what_threads_read(small, tmp_path) -> None:
    from graftwork.features.feeding import Feed

    contents = {f"{i}.jpg": saved(picture((90, 70), i)) for i in range(7)}
    contents["6.jpg"] = contents["6.jpg"][: contents["6.jpg"].index(b"\xff\xda")]
    data = folder_of(tmp_path, contents)
    feed = Feed(examples_of(small, data), range(7), 2, torch.device("cpu"))
    groups = feed.groups(range(7))
    alone = list(feed.batches(groups, len(groups)))
    feed._pool = Forked(read=feed._read, measure=feed.examples.measured)
    try:
        together = list(feed.batches(iter(groups), len(groups)))
    finally:
        feed._pool.close()
    assert [read.places for read in together] == [read.places for read in alone]
    assert [read.bad for read in together] == [read.bad for read in alone]
    assert sum(len(read.bad) for read in alone) == 1
    for one, two in zip(alone, together, strict=True):
        for (state, *rows), (other, *others) in zip(one.states, two.states, strict=True):
            assert torch.equal(state.hidden, other.hidden)
            assert rows == others


def ended(number: int) -> int:
    """Ends the process that it runs in, unless that is the first."""
    if os.getpid() != FIRST and number == 3:
        os._exit(1)
    return 2 * number


FIRST = os.getpid()


def test_a_process_that_is_ended_from_outside_costs_nothing() -> None:
    pool = Forked(double=ended)
    try:
        assert list(pool.map("double", range(9))) == list(range(0, 18, 2))
    finally:
        pool.close()


def hanging(number: int) -> int:
    """Hangs in every process but the first."""
    if os.getpid() != FIRST and number == 3:
        time.sleep(600)
    return 2 * number


def test_a_process_that_hangs_is_ended_and_its_work_done_here(monkeypatch) -> None:
    monkeypatch.setattr(transfer, "HANGS", 1)
    pool, begun = Forked(double=hanging), time.monotonic()
    try:
        assert list(pool.map("double", range(9))) == list(range(0, 18, 2))
    finally:
        pool.close()
    assert time.monotonic() - begun < 30


def test_a_gpu_without_memory_computes_in_smaller_batches(small, tmp_path, monkeypatch) -> None:
    data = folder_of(tmp_path, {f"{i}.jpg": saved(picture((90, 70), i)) for i in range(7)})
    _, exact = extracted(small, data, "reader")
    run = Runner.__call__

    def little(self, state):
        if len(state.hidden) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, state)

    monkeypatch.setattr(Runner, "__call__", little)
    by, found = extracted(small, data, "reader")
    assert by.smaller == 4
    assert torch.allclose(found.values, exact.values, atol=1e-5)


def test_a_state_is_cut_with_its_mask() -> None:
    mask = torch.arange(5)[:, None] >= torch.arange(3)
    parts = pieces(gw.State(torch.arange(15.0).view(5, 3), mask), 2)
    assert [len(part.hidden) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([part.mask for part in parts]), mask)
