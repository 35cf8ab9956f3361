"""What an image's header says beyond its mode: depth, frames, size; and every awkward file through the whole way."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graftwork import Raw, Unreadable
from graftwork.data.modality_choice import by_extension, has_ending
from graftwork.data.pipeline import Pipeline
from graftwork.plugins import registry
from graftwork_image.convert import to_8_bit, to_rgb
from graftwork_image.plugin import EXTENSIONS
from graftwork_image.prepare import build
from graftwork_image.reader import FORMATS, ImageReader

READER = ImageReader()
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "dirty"
DIRTY = Path(os.environ.get("GRAFTWORK_HOSTILE_IMAGES", SHARED / "images"))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> Raw:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Raw("x", value=file.getvalue())


def test_the_bit_depth_is_that_of_the_file_and_not_of_what_pillow_makes_of_it() -> None:
    grey = np.arange(6, dtype=np.uint16).reshape(2, 3) * 10_000
    assert READER.facts(encoded(Image.fromarray(grey)))["bit_depth"] == 16
    assert READER.facts(encoded(Image.new("1", (2, 2))))["bit_depth"] == 1
    assert READER.facts(encoded(Image.new("RGB", (2, 2)), "JPEG"))["bit_depth"] == 8
    assert READER.facts(encoded(Image.new("F", (2, 2)), "TIFF"))["bit_depth"] == 32
    assert READER.facts(deep_rgb())["bit_depth"] == 16
    assert READER.facts(deep_rgb())["mode"] == "RGB"


def deep_rgb() -> Raw:
    """A PNG of 16 bits a channel in colour, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00" + struct.pack(">6H", 65_535, 0, 257 * 100, 0, 65_535, 300))
    return Raw("x", value=b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def test_sixteen_bit_colours_are_scaled_and_not_clipped() -> None:
    image = to_8_bit(READER.decode(deep_rgb()), 16, 8)
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 100), (0, 255, 1)]


def test_twelve_bits_are_scaled_by_their_own_white() -> None:
    levels = Image.fromarray(np.array([[0, 2_048, 4_095]], np.uint16))
    assert np.asarray(to_8_bit(levels, 12, 8))[0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_depth_and_mode_may_be_converted_in_either_order(mode) -> None:
    levels = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    image = Image.fromarray((np.linspace(0, 255, 6) * (1 if mode == "F" else 257)).astype(levels).reshape(2, 3))
    assert image.mode == mode
    one = to_rgb(to_8_bit(image, 16, 8), mode, "RGB")
    other = to_8_bit(to_rgb(image, mode, "RGB"), 16, 8)
    assert one.mode == other.mode == "RGB"
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_frames_are_counted_and_the_first_is_read(kind) -> None:
    frames = [Image.new("RGB", (8, 8), (level, level, level)) for level in (0, 90, 200)]
    raw = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert READER.facts(raw)["frames"] == 3
    assert to_rgb(READER.decode(raw), "P", "RGB").getpixel((4, 4)) == (0, 0, 0)


def test_an_image_in_memory_has_a_digest_of_its_pixels_and_shape() -> None:
    flat = READER.digest(Raw("x", value=Image.new("L", (4, 2))))
    assert flat == READER.digest(Raw("y", value=np.zeros((2, 4), np.uint8)))
    assert flat != READER.digest(Raw("x", value=Image.new("L", (2, 4))))
    assert flat != READER.digest(Raw("x", value=Image.new("L", (4, 2), 1)))


@pytest.mark.skipif(not DIRTY.is_dir(), reason="the awkward image files of Pillow's own tests are not at hand")
@pytest.mark.filterwarnings("ignore")
def test_every_awkward_file_is_used_converted_or_named_within_seconds() -> None:
    spec = registry.backbone("image/resnet18")
    modality = registry.modality("image")
    prepare = build(spec)
    used, named = 0, 0
    for path in sorted(DIRTY.iterdir()):
        raw = Raw(path.name, path)
        begun = time.perf_counter()
        try:
            observed = modality.observed("the file", [(path.name, READER.facts(raw))], "files")
            agreement = registry.agree_on(spec, observed, may_leave_out=1.0)
            (window,) = Pipeline(spec.contract, agreement, modality)(raw)
            assert prepare([window.value]).hidden.isfinite().all()
            used += 1
        except Unreadable as error:
            assert path.name in str(error)  # noqa: PT017
            named += 1
        assert time.perf_counter() - begun < 5, path.name
    assert used + named == len(list(DIRTY.iterdir()))
    assert used > 4 * named


def test_every_ending_that_pillow_reads_is_one_of_images() -> None:
    known = {ending for ending, name in Image.registered_extensions().items() if name in FORMATS} - {".iim"}
    assert known <= set(EXTENSIONS)


@pytest.mark.skipif(not DIRTY.is_dir(), reason="the awkward image files of Pillow's own tests are not at hand")
def test_the_check_of_awkward_files_says_nothing_but_its_result() -> None:
    command = [sys.executable, "-m", "graftwork", "check", str(DIRTY.parent), "--backbone", "image/resnet18", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    problems = {problem["kind"]: problem for problem in found["problems"]}
    total = found["observed"]["count"] + sum(problems[k]["count"] for k in ("unreadable", "empty") if k in problems)
    ours = [
        path for path in DIRTY.iterdir() if path.suffix.lower() in EXTENSIONS or not has_ending(path, by_extension())
    ]
    assert total == len(ours)
    assert any("decompression bomb" in reason for reason in named(problems))
    assert found["agreement"]["steps"]


def named(problems: dict) -> list[str]:
    reasons = []
    for path in DIRTY.iterdir():
        if "bomb" in path.name:
            try:
                READER.facts(Raw(path.name, path))
            except Unreadable as error:
                reasons.append(str(error))
    return reasons
