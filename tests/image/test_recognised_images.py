"""HEIC and AVIF images, and what is no image: said by its bytes, whatever its name."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from graftwork import Raw, Unreadable
from graftwork_image.convert import exif_turn
from graftwork_image.reader import ImageReader

READER = ImageReader()
heif = pytest.importorskip("pillow_heif")


def photo(width: int = 128, height: int = 64) -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def heic(monkeypatch: pytest.MonkeyPatch):
    """`heic(image, **options)`: the bytes of a HEIC file, written by pillow-heif as a plugin of Pillow."""

    def write(image: Image.Image, **options: object) -> bytes:
        with monkeypatch.context() as undone:
            for name in ("ID", "OPEN", "SAVE", "SAVE_ALL", "EXTENSION", "MIME"):
                undone.setattr(Image, name, type(getattr(Image, name))(getattr(Image, name)))
            heif.register_heif_opener()
            file = io.BytesIO()
            image.save(file, "HEIF", quality=95, **options)
            return file.getvalue()

    return write


def refusal(raw: Raw) -> str:
    said = set()
    for method in (READER.facts, READER.decode):
        with pytest.raises(Unreadable) as refused:
            method(raw)
        said.add(str(refused.value))
    assert len(said) == 1
    return said.pop()


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))


@pytest.mark.parametrize("name", ["a.heic", "a.jpg", "a"])
def test_a_heic_image_is_read_whatever_its_name(tmp_path: Path, heic, name: str) -> None:
    (tmp_path / name).write_bytes(heic(photo()))
    raw = Raw(name, tmp_path / name)
    assert READER.facts(raw) == {
        "frames": 1, "orientation": 1, "bit_depth": 8, "mode": "RGB", "width": 128, "height": 64, "short_side": 64
    }  # fmt: skip
    image = READER.decode(raw)
    assert np.abs(np.asarray(image, float) - np.asarray(photo(), float)).mean() < 9  # of 65 for another
    assert READER.picture(raw).startswith(b"\xff\xd8\xff")
    assert READER.digest(raw) == READER.digest(Raw("b", value=(tmp_path / name).read_bytes()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_it_is_turned_exactly_once(heic, kind: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[274] = orientation
    if kind == "HEIC":
        content = heic(photo(), exif=tags.tobytes())
    else:
        file = io.BytesIO()
        photo().save(file, "AVIF", quality=95, exif=tags.tobytes())
        content = file.getvalue()
    stored = io.BytesIO()
    photo().save(stored, "PNG", exif=tags)
    wanted = ImageOps.exif_transpose(Image.open(stored))
    raw = Raw("x", value=content)
    facts, image = READER.facts(raw), READER.decode(raw)
    upright = image if facts["orientation"] == 1 else exif_turn(image, facts["orientation"], 1)
    assert upright.size == wanted.size
    assert image.size == (facts["width"], facts["height"])
    assert np.abs(np.asarray(upright, float) - np.asarray(wanted, float)).mean() < 9  # of 65 for another


def test_a_tag_that_the_container_does_not_confirm_turns_nothing(heic) -> None:
    """Where the two differ, libheif and those who use it follow the container."""
    tags = Image.Exif()
    tags[274] = 6
    raw = Raw("x", value=heic(photo(), exif=tags))  # pillow-heif takes the bytes of tags only for what it turns by
    assert b"irot" not in raw.content()
    assert (READER.facts(raw)["orientation"], READER.decode(raw).size) == (1, (128, 64))


def test_facts_say_what_is_stored(heic) -> None:
    assert READER.facts(Raw("x", value=heic(photo().convert("RGBA"))))["mode"] == "RGBA"
    assert READER.facts(Raw("x", value=heic(photo().convert("L"))))["mode"] == "L"
    assert READER.facts(Raw("x", value=heic(photo(), save_all=True, append_images=[photo(64, 32)])))["frames"] == 2
    deep, file = np.random.default_rng(0).integers(0, 65_536, (64, 64, 3), np.uint16), io.BytesIO()
    heif.from_bytes("RGB;16", (64, 64), deep.tobytes()).save(file)
    assert (READER.facts(raw := Raw("x", value=file.getvalue()))["bit_depth"], READER.decode(raw).mode) == (10, "RGB")


def test_of_several_images_the_primary_one_is_read(heic) -> None:
    raw = Raw("x", value=heic(photo(), save_all=True, append_images=[photo(64, 32)], primary_index=1))
    assert (READER.facts(raw)["width"], READER.decode(raw).size) == (64, (64, 32))


def test_a_thumbnail_never_stands_for_the_image(heic) -> None:
    reader = ImageReader()
    reader.prepare_decode({"resize": 16})
    assert reader.decode(Raw("x", value=heic(photo(512, 256), thumbnails=[128]))).size == (512, 256)


@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_a_heic_image_that_broke_off_is_refused_when_it_is_decoded(heic, part: float) -> None:
    whole = heic(photo())
    with pytest.raises(
        Unreadable, match=r"'x\.heic' (is a HEIC image that is damaged or cut short|cannot be decoded): "
    ):
        READER.decode(Raw("x.heic", value=whole[: int(len(whole) * part)]))


def test_without_pillow_heif_the_sentence_says_what_to_install(heic, monkeypatch: pytest.MonkeyPatch) -> None:
    content = heic(photo())
    without("pillow_heif", monkeypatch)
    for name, inside in (("a.heic", content), ("a.jpg", content[:8] + b"mif1" + content[12:])):
        assert refusal(Raw(name, value=inside)) == (
            f"'{name}' is a HEIC image, which needs pillow-heif. Install it: pip install 'graftwork-image[heif]'"
        )


def test_where_pillow_lacks_avif_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import AvifImagePlugin, features

    file = io.BytesIO()
    photo().save(file, "AVIF")
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    monkeypatch.setattr(features, "check", lambda name: False)
    assert refusal(Raw("a.avif", value=file.getvalue())) == (
        "'a.avif' is an AVIF image, which this Pillow was built without. "
        "Install one with it: pip install --force-reinstall pillow"
    )


def test_a_png_under_the_name_of_a_jpeg_is_read(tmp_path: Path) -> None:
    photo().save(tmp_path / "a.jpg", "PNG")
    assert READER.facts(Raw("a.jpg", tmp_path / "a.jpg"))["width"] == 128


def encrypted() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.jpg", "x")
    content = bytearray(file.getvalue())
    content[6] |= 1
    return bytes(content)


SAVE = "Save what it holds as an image, or leave it out."
FETCH = "Fetch it again: a server answers with such a page where it does not give the file."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", f"is a WAV sound; an image is accepted. {SAVE}"),
        (b"\0\0\0\x1cftypisom\0\0\2\0isomiso2mp41", f"is an MP4 video; an image is accepted. {SAVE}"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\x82\x84webm", f"is a WebM video; an image is accepted. {SAVE}"),
        (b"%PDF-1.7\n", f"is a PDF document; an image is accepted. {SAVE}"),
        (b"\n<html><head><title>Sign in</title>", f"is an HTML page ('Sign in'); an image is accepted. {FETCH}"),
        (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code>', f"is an XML text; an image is accepted. {FETCH}"),
        (b'{"error": 403}', f'is a JSON text ({{"error": 403}}); an image is accepted. {FETCH}'),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "is an SVG drawing; an image is accepted. Fetch the file itself again, "),
        (encrypted(), "is an encrypted ZIP archive; an image is accepted. Unpack it first, with its password."),
        (b"7z\xbc\xaf'\x1c\0\4", "is a 7-Zip archive; an image is accepted. Unpack it first."),
        (b"Rar!\x1a\7\1\0", "is a RAR archive; an image is accepted. Unpack it first."),
        (b"\0" * 99, "is nothing but zero bytes, as a copy or download that broke off leaves them; an image is accepted. "),
        (b"\xff\n\0\0\1", "is a JPEG XL image, which Pillow does not read. Save it again, as PNG or JPEG, or leave it out."),
        (b"\x89PNG\r\n\x1a\n\0\0", "begins as a PNG image and is damaged or cut short. Fetch or save it again, or leave "),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "content",
)  # fmt: skip
def test_what_is_no_image_is_said_by_its_bytes(content: bytes, said: str) -> None:
    assert refusal(Raw("a.jpg", value=content)).startswith(f"'a.jpg' {said}")


def test_a_git_lfs_pointer_is_said_with_a_command_that_works_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")
    start = "'a.jpg' is a Git LFS pointer, not the file itself; an image is accepted."
    away = "Fetch the file from where it came, with Git LFS: https://git-lfs.com"
    assert refusal(Raw("a.jpg", path)) == f"{start} {away}"
    (tmp_path / ".git").mkdir()
    for found, hint in (
        ("/bin/git-lfs", "Fetch the file: git lfs pull"),
        (None, "Install https://git-lfs.com, then: git lfs pull"),
    ):
        monkeypatch.setattr("shutil.which", lambda name, found=found: found)
        assert refusal(Raw("a.jpg", path)) == f"{start} {hint}"


def test_an_archive_is_said_with_a_command_that_unpacks_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.jpg", "x")
    assert refusal(Raw("a.jpg", path)).endswith(f"Unpack it first: python -m zipfile -e '{path}' FOLDER")


def test_a_link_that_git_checked_out_as_a_file_is_said(tmp_path: Path) -> None:
    photo().save(tmp_path / "real.jpg")
    (tmp_path / "a.jpg").write_text("real.jpg")
    (tmp_path / "b.jpg").write_text("gone.jpg")
    start = "'a.jpg' is a link that was saved as a text file (it names 'real.jpg'); an image is accepted."
    assert refusal(Raw("a.jpg", tmp_path / "a.jpg")).startswith(start)
    assert refusal(Raw("b.jpg", tmp_path / "b.jpg")).startswith("'b.jpg' is a text ('gone.jpg'); an image is accepted.")
