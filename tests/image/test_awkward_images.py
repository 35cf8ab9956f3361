"""Images as they come from cameras, scanners and strangers: turned, transparent, torn, hostile, or of odd shape."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, PngImagePlugin

from graftwork import Raw, Unreadable, UsageError
from graftwork.plugins import registry
from graftwork_image.convert import exif_turn, to_rgb
from graftwork_image.demo import digits, pixels
from graftwork_image.plugin import graftwork_modalities
from graftwork_image.prepare import build
from graftwork_image.reader import FORMATS, ImageReader

READER = ImageReader()
SPEC = registry.backbone("image/resnet18")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(width: int = 64, height: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def refusal(raw: Raw) -> str:
    with pytest.raises(Unreadable) as refused:
        READER.decode(raw)
    return str(refused.value)


def upright_rgb(raw: Raw) -> Image.Image:
    facts, image = READER.facts(raw), READER.decode(raw)
    assert image.size == (facts["width"], facts["height"])
    if facts["orientation"] != 1:
        image = exif_turn(image, facts["orientation"], 1)
    return image if facts["mode"] == "RGB" else to_rgb(image, facts["mode"], "RGB")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_an_image_of_any_format_is_turned_exactly_once(kind, orientation) -> None:
    from PIL import ImageOps

    stored = Image.open(io.BytesIO(encoded(noise(), "PNG", exif=turned(orientation))))
    wanted = ImageOps.exif_transpose(stored)
    options = {"lossless": True} if kind == "WEBP" else {}
    got = upright_rgb(Raw("x", value=encoded(noise(), kind, exif=turned(orientation), **options)))
    assert got.size == wanted.size
    if kind != "JPEG":
        assert got.tobytes() == wanted.tobytes()


def test_the_orientation_of_a_png_is_found_behind_its_pixels() -> None:
    plain = encoded(noise(), "PNG")
    body = b"eXIf" + turned(8).tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    raw = Raw("x", value=plain[:-12] + chunk + plain[-12:])
    assert READER.facts(raw)["orientation"] == 8
    assert upright_rgb(raw).size == (32, 64)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF"])
def test_facts_decode_no_pixels(kind, monkeypatch) -> None:
    data = encoded(noise(), kind)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("the pixels were decoded"))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", lambda image: pytest.fail("the pixels were decoded"))
    assert READER.facts(Raw("x", value=data))["width"] == 64


@pytest.mark.parametrize("value", [0, 9, 4242])
def test_orientations_that_do_not_exist_count_as_upright(value) -> None:
    assert READER.facts(Raw("x", value=encoded(noise(), "JPEG", exif=turned(value))))["orientation"] == 1


@pytest.mark.filterwarnings("ignore")
def test_damaged_tags_leave_an_image_readable() -> None:
    data = encoded(noise(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert READER.facts(Raw("x", value=data))["orientation"] == 1


def test_a_step_leaves_its_image_alone_and_no_tag_that_is_no_longer_true() -> None:
    stored = READER.decode(Raw("x", value=encoded(noise().convert("RGBA"), "PNG", exif=turned(6))))
    for done in (exif_turn(stored, 6, 1), to_rgb(stored, "RGBA", "RGB")):
        assert done.getexif().get(274) is None
    assert (stored.mode, stored.size, stored.getexif()[274]) == ("RGBA", (64, 32), 6)


def test_transparency_shows_in_the_mode_however_it_is_stored() -> None:
    palette = noise().quantize(4)
    assert READER.facts(Raw("x", value=encoded(palette, "PNG")))["mode"] == "P"
    for kind in ("PNG", "GIF"):
        assert READER.facts(Raw("x", value=encoded(palette, kind, transparency=0)))["mode"] == "PA"
    assert READER.facts(Raw("x", value=encoded(noise(), "PNG", transparency=(1, 2, 3))))["mode"] == "RGBA"
    assert READER.facts(Raw("x", value=encoded(noise().convert("L"), "PNG", transparency=7)))["mode"] == "LA"
    deep = Image.fromarray(np.array([[300, 25700]], np.uint16))
    assert READER.facts(Raw("x", value=encoded(deep, "PNG", transparency=300)))["mode"] == "LA"
    assert READER.facts(Raw("x", value=Image.new("RGBA", (2, 2)).quantize(4)))["mode"] == "PA"


def test_a_colour_or_palette_that_is_transparent_becomes_white() -> None:
    colours = Image.new("RGB", (2, 1), (1, 2, 3))
    colours.putpixel((1, 0), (4, 5, 6))
    shown = upright_rgb(Raw("x", value=encoded(colours, "PNG", transparency=(1, 2, 3))))
    assert [shown.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (4, 5, 6)]
    palette = Image.new("RGBA", (1, 1), (200, 0, 0, 0)).quantize(4)
    assert palette.palette.mode == "RGBA"
    assert upright_rgb(Raw("x", value=palette)).getpixel((0, 0)) == (255, 255, 255)


def test_converting_does_not_write_into_a_palette() -> None:
    palette = Image.new("P", (1, 1))
    palette.putpalette([10, 20, 30])
    palette.info["transparency"] = 0
    to_rgb(palette, "PA", "RGB")
    assert palette.im.getpalettemode() == "RGB"


@pytest.mark.parametrize("mode", ["LA", "La"])
def test_half_transparent_grey_is_mixed_with_white(mode) -> None:
    grey = to_rgb(Image.new("LA", (1, 1), (0, 128)).convert(mode), mode, "RGB").getpixel((0, 0))
    assert abs(grey[0] - 127) <= 1


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([0.0, 0.5, 1.0], np.float32), [0, 128, 255]),
        (np.array([0.0, 128.0, 255.0], np.float32), [0, 128, 255]),
        (np.array([-10.0, 0.0, 30.0], np.float32), [0, 64, 255]),
        (np.array([0.0, 1.0, np.nan, np.inf, -np.inf], np.float32), [0, 255, 0, 255, 0]),
        (np.array([0, 32896, 65535], np.int32), [0, 128, 255]),
        (np.array([0, 2**30, 2**31 - 1], np.int32), [0, 128, 255]),
    ],
    ids=["0 to 1", "0 to 255", "wider", "not finite", "16 of 32 bits", "all 32 bits"],
)
def test_deep_grey_levels_are_scaled_and_not_clipped(levels, expected) -> None:
    image = Image.fromarray(levels[None])
    assert np.asarray(to_rgb(image, image.mode, "RGB"))[0, :, 0].tolist() == expected


def test_a_transparent_level_of_16_bits_becomes_white() -> None:
    deep = Image.fromarray(np.array([[300, 25700]], np.uint16))
    shown = upright_rgb(Raw("x", value=encoded(deep, "PNG", transparency=300)))
    assert [shown.getpixel((x, 0))[0] for x in (0, 1)] == [255, 100]


def test_an_array_that_is_a_view_and_a_tensor_are_read_as_they_look() -> None:
    array = np.asarray(noise())
    for value in (array[::-1, ::2], torch.from_numpy(array.copy()).flip(0)[:, ::2]):
        assert (np.asarray(READER.decode(Raw("x", value=value))) == array[::-1, ::2]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO", "TGA"])
def test_common_formats_are_read(kind) -> None:
    raw = Raw("x", value=encoded(noise(32, 32), kind))
    assert (READER.facts(raw)["width"], READER.decode(raw).width) == (32, 32)


def test_every_extension_belongs_to_a_format_that_is_read() -> None:
    (modality,) = graftwork_modalities()
    by_pillow = [ending for ending in modality.extensions if ending not in (".heic", ".heif", ".hif")]
    assert {Image.EXTENSION[extension] for extension in by_pillow} <= {*FORMATS, "MPO"}


def test_postscript_starts_no_other_program() -> None:
    sentence = "'a.eps' is a PostScript document; an image is accepted."
    assert refusal(Raw("a.eps", value=encoded(noise(), "EPS"))).startswith(sentence)


def test_an_animation_is_its_first_frame_and_its_file_is_closed(tmp_path) -> None:
    frames = [Image.new("L", (8, 8), level) for level in (0, 90, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image = READER.decode(Raw("a.gif", tmp_path / "a.gif"))
    (tmp_path / "b.gif").write_bytes((tmp_path / "a.gif").read_bytes()[:40])
    refusal(Raw("b.gif", tmp_path / "b.gif"))
    assert image.fp is None or image.fp.closed
    assert upright_rgb(Raw("a.gif", tmp_path / "a.gif")).getpixel((0, 0)) == (0, 0, 0)


def test_what_cannot_be_opened_is_named_with_the_reason(tmp_path) -> None:
    start = "'x' cannot be opened as an image: "
    assert refusal(Raw("x", tmp_path)) == f"{start}Is a directory."
    assert refusal(Raw("x", value=b"")) == f"{start}it is empty."
    assert refusal(Raw("x")) == f"{start}it is empty."
    assert refusal(Raw("x", value=[1])) == (
        f"{start}a list was given; a file, its bytes, a PIL image or an array is accepted."
    )
    for shape in ((2, 2, 7), (0, 2), (2,)):
        assert refusal(Raw("x", value=np.zeros(shape, np.uint8))) == (
            f"{start}an array {shape} was given; (H, W), (H, W, 3) and (H, W, 4) are accepted."
        )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_a_truncated_file_is_named(kind) -> None:
    data = encoded(noise(), kind)
    assert refusal(Raw("x", value=data[: len(data) // 2])).startswith("'x' cannot be decoded: image file is truncated")


def test_the_limit_against_bombs_can_be_lifted(monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert READER.decode(Raw("x", value=encoded(noise(), "PNG"))).size == (64, 32)


def test_reading_files_loads_neither_numpy_nor_torch_and_lets_no_warning_through(tmp_path) -> None:
    (tmp_path / "huge.png").write_bytes(encoded(Image.new("1", (10_000, 10_000)), "PNG"))
    program = (
        "import sys, graftwork\n"
        "from pathlib import Path\n"
        "from graftwork_image.reader import ImageReader\n"
        "try: ImageReader().facts(graftwork.Raw('huge.png', Path(sys.argv[1])))\n"
        "except graftwork.Unreadable as error: print(error)\n"
        "print(sorted({'numpy', 'torch'} & set(sys.modules)))"
    )
    file = str(tmp_path / "huge.png")
    ran = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "'huge.png' is refused as a decompression bomb: 10000 x 10000 pixels, over 89478485. Leave it out, or, if you trust it, raise the limit: GRAFTWORK_LIMITS=image_pixels=100000000",
        "[]",
    ]
    assert ran.stderr == ""


@pytest.mark.parametrize(("resize", "crop"), [(64, 56), (71, 64), (40, 64), (41, 64)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(300, 200), (257, 511), (8, 8), (64, 64), (1, 90), (1000, 33)])
def test_odd_sizes_are_prepared_as_torchvision_does(size, interpolation, resize, crop) -> None:
    import dataclasses

    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    preset = ImageClassification(
        resize_size=resize, crop_size=crop, interpolation=InterpolationMode(interpolation), antialias=True
    )
    changes = {"resize": resize, "crop": crop, "interpolation": interpolation}
    contract = dataclasses.replace(SPEC.contract, preparation={**SPEC.preparation, **changes})
    spec = dataclasses.replace(SPEC, contract=contract)
    assert (build(spec)([noise(*size)]).hidden[0] - preset(noise(*size))).abs().max() < 1e-6


def test_pixels_are_brought_to_the_range_of_the_contract_before_they_are_normalised() -> None:
    import dataclasses

    numbers = {**SPEC.preparation, "range": (-1.0, 3.0), "mean": (1.0,) * 3, "std": (2.0,) * 3}
    spec = dataclasses.replace(SPEC, contract=dataclasses.replace(SPEC.contract, preparation=numbers))
    hidden = build(spec)([Image.new("RGB", (9, 9), colour) for colour in ("black", "white")]).hidden
    assert hidden[:, :, 112, 112].tolist() == [[-1.0] * 3, [1.0] * 3]


def test_a_strip_one_pixel_high_does_not_fill_the_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert build(SPEC)([noise(60_000, 1)]).hidden.shape == (1, 3, 224, 224)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_an_image_that_is_not_rgb_is_not_prepared() -> None:
    with pytest.raises(UsageError) as refused:
        build(SPEC)([Image.new("L", (9, 9))])
    assert str(refused.value) == (
        "'image/resnet18' prepares RGB images; one of mode L was given. Convert it first: image.convert('RGB')"
    )


def test_the_demo_may_be_written_twice_and_into_a_new_folder(tmp_path) -> None:
    digits(tmp_path / "new" / "digits")
    digits(tmp_path / "new" / "digits")
    assert len(list(tmp_path.rglob("*.png"))) == 600


def test_baseline_pixels_scale_deep_images() -> None:
    deep = Image.fromarray(np.full((20, 30), 32896, np.uint16))
    assert pixels([deep])[0, 0] == pytest.approx(128 / 255)
