"""What a file is by its first bytes: formats, stand-ins, and texts that begin as a format does."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graftwork import Raw, recognise, refusal
from graftwork.specs.signatures import HEAD, file_format, kind_of_ending

MADE = {
    "PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif",
    "JPEG2000": ".jp2", "PPM": ".pnm", "ICO": ".ico", "DDS": ".dds", "ICNS": ".icns",
}  # fmt: skip


@pytest.mark.parametrize("kind", MADE)
def test_images_that_pillow_writes_are_recognised(kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file, kind)
    found = file_format(file.getvalue()[:HEAD])
    assert found is not None
    assert (found.kind, found.ending) == ("image", MADE[kind])


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64", "RF64", "VOC", "NIST"])
def test_sounds_that_libsndfile_writes_are_recognised(format: str) -> None:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, 8_000), 16_000, format=format)
    found = file_format(file.getvalue()[:HEAD])
    assert found is not None
    assert found.kind == "sound"


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        made.addfile(tarfile.TarInfo("a"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (zipped("a.txt"), "a ZIP archive"),
        (zipped("[Content_Types].xml", "word/document.xml"), "a Word document"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
        (tarred(), "a tar archive"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "an AVIF image"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC image"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "a QuickTime video"),
        (b"\0\0\0\x14ftyp3gp4\0\0\2\x003gp4", "a 3GP video"),
        (b"\xff\xf1\x50\x80\x22\x5f", "an AAC sound"),
        (b"\xff\xfb\x90\x64\0\0", "an MP3 sound"),
        ("words".encode("utf-16"), "a text in UTF-16"),
        ("words here".encode("utf-16-be"), "a text in UTF-16 without its byte order mark"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file itself"),
        (b"  <!-- made -->\n<html lang='en'>", "an HTML page"),
        (b'\xef\xbb\xbf{"a": 1}', 'a JSON text ({"a": 1})'),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "content",
)
def test_formats_are_named(content: bytes, name: str) -> None:
    found = file_format(content)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "words",
    [
        "MAC addresses",
        "BMW and Audi",
        "GIF87a is a format",
        "RIFF",
        "icns",
        "[section]\nkey = 1",
        "{braces}",
        "ID3 tags",
        "BZh",
    ],
)
def test_a_text_that_begins_as_a_format_does_is_a_text(words: str) -> None:
    found = file_format(words.encode())
    assert found is not None
    assert (found.kind, found.ending) == ("text", ".txt")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_no_text_is_taken_for_an_image_a_sound_or_an_archive(text: str) -> None:
    found = file_format(text.encode())
    assert found is None or found.kind in ("text", "document", "stand-in")


@given(st.binary(max_size=600))
def test_any_bytes_are_recognised_or_not_and_nothing_is_raised(content: bytes) -> None:
    found = recognise(Raw("x", value=content))
    assert found is None or (found.name and "\n" not in found.name)


def test_an_object_in_memory_and_a_missing_file_say_nothing(tmp_path) -> None:
    assert recognise(Raw("x", value=object())) is None
    assert recognise(Raw("x", tmp_path / "gone")) is None
    assert recognise(Raw("x", tmp_path)) is None


def test_what_is_of_an_accepted_kind_is_not_refused() -> None:
    raw = Raw("x", value=b"plain words")
    assert refusal(raw, "text", ("text",)) is None
    assert str(refusal(raw, "an image", ("image",))).startswith("'x' is a text ('plain words'); an image is accepted.")


def test_endings_have_kinds() -> None:
    found = [kind_of_ending(ending) for ending in (".jpeg", ".heic", ".opus", ".webm", ".txt", ".gz", ".xyz")]
    assert found == ["image", "image", "sound", "video", "text", "archive", ""]
