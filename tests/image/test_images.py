"""Reading, converting and preparing images."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import graftwork as gw
from graftwork import InputMismatch, ObservedInput, Raw, Unreadable
from graftwork.plugins import registry
from graftwork_image.convert import exif_turn, to_rgb
from graftwork_image.plugin import MODES
from graftwork_image.prepare import build
from graftwork_image.reader import ImageReader

READER = ImageReader()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def observed(*facts: dict) -> ObservedInput:
    usual = {"frames": 1, "orientation": 1, "bit_depth": 8, "mode": "RGB"}
    examples = [(f"{i}.png", {**usual, **f}) for i, f in enumerate(facts)]
    return ObservedInput.of("image", "folder 'photos'", examples, items="files")


def test_facts_come_from_the_header() -> None:
    exif = Image.Exif()
    exif[274] = 6
    raw = Raw("a.jpg", value=encoded(Image.new("L", (30, 20)), "JPEG", exif=exif))
    assert READER.facts(raw) == {
        "frames": 1, "orientation": 6, "bit_depth": 8, "mode": "L", "width": 30, "height": 20, "short_side": 20
    }  # fmt: skip
    assert set(READER.facts(raw)) == {fact.name for fact in registry.modality("image").facts}


def test_a_header_is_enough_for_the_facts_of_a_truncated_file_and_decoding_names_it() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    raw = Raw("a.png", value=encoded(noise)[:2000])
    assert READER.facts(raw)["width"] == 64
    with pytest.raises(Unreadable, match=r"^'a.png' cannot be decoded: .*\.$"):
        READER.decode(raw)


def test_arrays_and_images_in_memory_are_read() -> None:
    assert READER.facts(Raw("x", value=np.zeros((4, 5, 4), np.uint8)))["mode"] == "RGBA"
    assert READER.decode(Raw("x", value=np.zeros((4, 5), np.uint8))).size == (5, 4)
    picture = Image.new("RGB", (3, 3))
    assert READER.decode(Raw("x", value=picture)) is picture


def test_what_is_not_an_image_is_named_with_the_reason(tmp_path) -> None:
    (tmp_path / "no.png").write_text("text")
    (tmp_path / "empty.png").touch()
    cases = {
        "no.png": "'no.png' is a text ('text'); an image is accepted. Fetch the file itself again, or leave it out.",
        "empty.png": "'empty.png' cannot be opened as an image: it is empty.",
        "gone.png": "'gone.png' does not exist.",
    }
    for name, sentence in cases.items():
        with pytest.raises(Unreadable) as caught:
            READER.facts(Raw(name, tmp_path / name))
        assert str(caught.value) == sentence
    with pytest.raises(Unreadable, match="an array of float64 was given; bytes"):
        READER.facts(Raw("x", value=np.zeros((2, 2))))


def test_decompression_bombs_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for side in (12, 50):
        with pytest.raises(Unreadable, match="is refused as a decompression bomb"):
            READER.facts(Raw("bomb.png", value=encoded(Image.new("1", (side, side)))))


def test_rgb_upright_images_agree_as_they_are_and_others_by_declared_steps() -> None:
    spec = registry.backbone("image/resnet18")
    assert registry.agree_on(spec, observed({"mode": "RGB", "orientation": 1})).steps == ()
    agreement = registry.agree_on(spec, observed({"mode": "RGBA", "orientation": 1}, {"mode": "L", "orientation": 6}))
    assert {(s.converter, s.seen, s.to) for s in agreement.steps} == {
        ("to-rgb", "RGBA", "RGB"),
        ("to-rgb", "L", "RGB"),
        ("exif-turn", 6, 1),
    }
    assert agreement.warnings == ("1 of 2 files: transparency is replaced by white",)


def test_a_mode_without_a_converter_is_refused() -> None:
    with pytest.raises(InputMismatch, match="wants mode RGB; folder 'photos' has BGR;24 in 1 of 1 files"):
        registry.agree_on(registry.backbone("image/resnet18"), observed({"mode": "BGR;24", "orientation": 1}))


@pytest.mark.parametrize("mode", [m for m in MODES if m not in ("I;16B", "I;16L", "I;16N")])
def test_every_accepted_mode_becomes_rgb_of_the_same_size(mode) -> None:
    assert (to_rgb(Image.new(mode, (5, 4)), mode, "RGB").mode, to_rgb(Image.new(mode, (5, 4)), mode, "RGB").size) == (
        "RGB",
        (5, 4),
    )


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    levels = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    pixels = np.asarray(to_rgb(Image.fromarray(levels), "I;16", "RGB"))
    assert pixels[0, :, 0].tolist() == [0, 100, 255]


def test_transparent_pixels_become_white_also_in_a_palette() -> None:
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    assert to_rgb(clear, "RGBA", "RGB").getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (1, 1))
    palette.putpalette([10, 20, 30])
    assert to_rgb(palette, "P", "RGB").getpixel((0, 0)) == (10, 20, 30)
    palette.info["transparency"] = 0
    assert to_rgb(palette, "P", "RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turning_is_what_pillow_does_and_its_order_with_to_rgb_does_not_matter(orientation) -> None:
    from PIL import ImageOps

    picture = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    exif = Image.Exif()
    exif[274] = orientation
    stored = READER.decode(Raw("a.png", value=encoded(picture, exif=exif)))
    turned = exif_turn(stored, orientation, 1)
    assert np.array_equal(np.asarray(turned), np.asarray(ImageOps.exif_transpose(stored)))
    one, other = to_rgb(turned, "L", "RGB"), exif_turn(to_rgb(stored, "L", "RGB"), orientation, 1)
    assert np.array_equal(np.asarray(one), np.asarray(other))


NAMES = {
    "image/resnet18": "ResNet18_Weights.IMAGENET1K_V1",
    "image/resnet50": "ResNet50_Weights.IMAGENET1K_V2",
    "image/vit-b-16": "ViT_B_16_Weights.IMAGENET1K_V1",
    "image/vgg16": "VGG16_Weights.IMAGENET1K_V1",
    "image/inception-v3": "Inception_V3_Weights.IMAGENET1K_V1",
}


@pytest.mark.parametrize("name", NAMES)
def test_preparation_and_address_are_torchvisions_own(name) -> None:
    from torchvision.models import get_weight

    weights = get_weight(NAMES[name])
    spec = registry.backbone(name)
    assert spec.weights.describe() == weights.url
    assert spec.weights.size_bytes == pytest.approx(weights.meta["_file_size"] * 2**20, rel=1e-3)
    preset = weights.transforms()
    rng = np.random.default_rng(0)
    for size in ((500, 375), (301, 640), (20, 24)):
        picture = Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8))
        assert (build(spec)([picture]).hidden[0] - preset(picture)).abs().max() < 1e-6


def test_preparing_loads_no_torchvision() -> None:
    code = (
        "import sys; from PIL import Image; import graftwork as gw; from graftwork.plugins import registry; "
        "gw.preparer(registry.backbone('image/efficientnet-lite0'))([Image.new('RGB', (9, 9))]); "
        "assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_demo_is_sixty_of_each_digit(tmp_path) -> None:
    from graftwork_image.demo import digits, pixels

    data = gw.data(digits(tmp_path))
    assert (len(data), sorted(set(data.labels or ()))) == (600, [str(d) for d in range(10)])
    assert pixels([READER.decode(raw) for raw in data.raws[:3]]).shape == (3, 64)


def test_an_unreadable_photo_is_named_and_left_out_of_a_fit_of_real_files(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for label, shade in (("dark", 40), ("light", 200)):
        (tmp_path / label).mkdir()
        for number in range(12):
            noise = rng.integers(-30, 30, (32, 48, 3)) + shade
            Image.fromarray(noise.astype(np.uint8)).save(tmp_path / label / f"{number}.png")
    torn = tmp_path / "dark" / "3.png"
    torn.write_bytes(torn.read_bytes()[:2000])
    run = gw.fit(tmp_path, "image/efficientnet-lite0")
    assert run.metrics["accuracy"] == 1.0
    assert run.record["n_train"] + run.record["n_val"] == 23
    assert any("3.png' cannot be decoded" in warning for warning in run.record["warnings"])
    answers = run.predict([tmp_path / "light" / "0.png", Image.new("L", (40, 40), 230), torn])
    assert [answer["label"] for answer in answers] == ["light", "light", None]
    assert torch.tensor(list(answers[0]["probabilities"].values())).sum() == pytest.approx(1)


def test_large_photographs_are_decoded_in_part_and_their_features_agree() -> None:
    import sklearn.datasets

    backbone = gw.load_backbone(registry.backbone("image/efficientnet-lite0"))
    aimed = ImageReader()
    aimed.prepare_decode(backbone.spec.preparation)
    for pixels in sklearn.datasets.load_sample_images().images:
        photograph = Image.fromarray(pixels)
        for size, divided in (
            ((900, 600), 1),
            ((1648, 1100), 2),
            ((1649, 1100), 1),
            ((3148, 2100), 4),
            ((6160, 4104), 8),
        ):
            raw = Raw("a.jpg", value=encoded(photograph.resize(size, Image.Resampling.LANCZOS), "JPEG", quality=90))
            whole, part = READER.decode(raw), aimed.decode(raw)
            assert part.size == tuple(length // divided for length in size)
            with torch.inference_mode():
                features = [
                    backbone.features(backbone.prepare([image]), backbone.tap("last")) for image in (whole, part)
                ]
            assert torch.nn.functional.cosine_similarity(*features).item() >= 0.999
            assert aimed.facts(raw) == READER.facts(raw)
    mine = Image.open(io.BytesIO(raw.value))
    assert aimed.decode(Raw("mine", value=mine)).size == mine.size == whole.size
