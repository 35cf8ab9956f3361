"""Reads images with Pillow: mode, orientation and size from the header, the pixels only when decoded."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from PIL import Image, UnidentifiedImageError, features

from graftwork import (
    Empty,
    Extent,
    FileFormat,
    Limits,
    Raw,
    Reader,
    Unreadable,
    Value,
    check_plain,
    how_to_raise,
    limits,
    recognise,
)
from graftwork_image.plugin import EXTENSIONS

Image.init()
NOT_READ = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
FORMATS = tuple(name for name in Image.OPEN if name not in NOT_READ)
"""What Pillow decodes by itself: not EPS, for which it starts another program, nor formats that it only recognises."""

ORIENTATION = 274
"""The EXIF tag of that name."""
BITS_PER_SAMPLE = 258
"""The TIFF tag of that name (TIFF 6.0, section 8)."""

SPARE = 2
"""How many times the size that an encoder resizes to a JPEG is decoded at least. With 2 the features of
EfficientNet-Lite0 have a cosine of at least .999 with those of the whole photograph, with 1 of .987."""

AGAIN = "Fetch or save it again, or leave it out."

WITH_ALPHA = {"1": "LA", "L": "LA", "I;16": "LA", "P": "PA", "RGB": "RGBA"}
"""The fact `mode` of an image that names a colour as transparent, or whose palette has an alpha."""

if limits().image_pixels != Limits.image_pixels:
    Image.MAX_IMAGE_PIXELS = limits().image_pixels  # else Pillow's, which the user's own code may have set

# What Pillow would warn of is either harmless here or named as unreadable below.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageReader(Reader):
    """Facts: `frames` of an animation or pages of a document, `orientation` (EXIF, 1 to 8; 1 where it is missing or
    wrong), `bit_depth` (bits of a channel as stored), `mode` as Pillow names it (with an alpha where transparency is
    stored in another way), `width`, `height` and `short_side` (pixels as decoded).

    A value is a loaded `PIL.Image.Image`, the first frame of an animation (of a HEIC file its primary image); a JPEG of
    far more pixels than an encoder reads is decoded at a half, quarter or eighth of its size (see `SPARE`). `Raw.value`
    may also be an image, or a uint8 array `(H, W)`, `(H, W, 3)` or `(H, W, 4)`.
    """

    items = "files"
    _least = 0

    def prepare_decode(self, preparation: Mapping[str, Any]) -> None:
        resize = preparation.get("resize", 0)
        self._least = SPARE * (max(resize) if isinstance(resize, tuple) else resize)

    def facts(self, raw: Raw) -> Mapping[str, str | int]:
        with _opened(raw) as image:
            return {
                "frames": getattr(image, "n_frames", 1),
                "orientation": orientation(image),
                "bit_depth": _bit_depth(image),
                "mode": WITH_ALPHA.get(image.mode, image.mode) if image.has_transparency_data else image.mode,
                "width": image.width,
                "height": image.height,
                "short_side": min(image.size),
            }

    def decode(self, raw: Raw) -> Image.Image:
        with _opened(raw) as image:
            if self._least and image is not raw.value:
                width, height = image.size
                # A part of a pixel more or less would move the whole image.
                even = (
                    by for by in (8, 4, 2) if width % by == height % by == 0 and min(image.size) >= by * self._least
                )
                by = next(even, 1)
                _draft(image, (width // by, height // by))
            image.load()
            return image

    def extent(self, raw: Raw, facts: Mapping[str, Value]) -> Extent:
        """The size in pixels, turned upright, and as stored."""
        width, height = int(facts["width"]), int(facts["height"])
        return Extent((width, height) if int(facts["orientation"]) < 5 else (height, width), (width, height))

    def defects(self, value: Image.Image) -> Mapping[str, float]:
        """`blank`, of the image as it was converted: over the background that a converter put behind it."""
        from graftwork_image.blank import blank  # numpy is slow to import, and headers do not need it

        return {"blank": 1.0} if blank(value) else {}

    def memory(self, value: Image.Image) -> int:
        return value.width * value.height * len(value.getbands())

    def digest(self, raw: Raw) -> bytes:
        if raw.value is None or isinstance(raw.value, bytes):
            return super().digest(raw)
        image = self.decode(raw)
        palette = image.getpalette("RGBA") if image.mode in ("P", "PA") else None
        about = (image.mode, image.size, orientation(image), palette, image.info.get("transparency"))
        return hashlib.blake2b(repr(about).encode() + image.tobytes(), digest_size=16).digest()

    def picture(self, raw: Raw) -> bytes:
        """A JPEG of 160 pixels at the most, upright."""
        from graftwork_image.convert import TURNS, to_rgb  # numpy is slow to import, and headers do not need it

        image, turn = small(raw, 160)
        made = io.BytesIO()
        rgb = to_rgb(image, image.mode, "RGB")
        rgb.thumbnail((160, 160))
        (rgb.transpose(TURNS[turn]) if turn in TURNS else rgb).save(made, "JPEG", quality=80)
        return made.getvalue()


def small(raw: Raw, side: int) -> tuple[Image.Image, int]:
    """The image, decoded at a fraction of its size where the format can (at least `side` pixels), and its orientation.

    Raises `Unreadable`.
    """
    with _opened(raw) as image:
        turn = orientation(image)
        _draft(image, (side, side))
        image.load()
        return image, turn


def _draft(image: Image.Image, size: tuple[int, int]) -> None:
    # That of a HEIC image would be its thumbnail, which another program may have made of something else.
    if image.format != "HEIF":
        image.draft(None, size)


@contextmanager
def _opened(raw: Raw) -> Iterator[Image.Image]:
    """The image with its header read; its file is closed afterwards. Whatever fails inside raises `Unreadable`."""
    try:
        if isinstance(raw.value, bytes) or raw.value is None:
            with io.BytesIO(raw.value) if isinstance(raw.value, bytes) else _file(raw) as file:
                yield _within_limits(raw, _identified(raw, file))
        else:
            yield _within_limits(raw, _in_memory(raw))
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(
            f"'{raw.name}' is refused as a decompression bomb: {_reason(error)}.",
            how_to_raise("image_pixels", int(next(re.finditer(r"\d+", _reason(error)))[0])),
        ) from error
    except Exception as error:  # Pillow's format plugins raise whatever a damaged file makes them
        raise Unreadable(f"'{raw.name}' cannot be decoded: {_reason(error)}.") from error


def _file(raw: Raw) -> IO[bytes]:
    if raw.path is None:
        raise Empty(f"'{raw.name}' cannot be opened as an image: it is empty.")
    try:
        check_plain(raw.path, raw.name)
        return raw.path.open("rb")
    except FileNotFoundError as error:
        raise Unreadable(f"'{raw.name}' does not exist.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreadable(f"'{raw.name}' cannot be opened as an image: {reason}.") from error


def _identified(raw: Raw, file: IO[bytes]) -> Image.Image:
    if not file.read(1):
        raise Empty(f"'{raw.name}' cannot be opened as an image: it is empty.")
    file.seek(0)
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        found = recognise(raw)
        if found is not None and found.ending == ".heic" and importlib.util.find_spec("pillow_heif"):
            return _heic(raw, file)
        raise _not_read(raw, found) from error


def _heic(raw: Raw, file: IO[bytes]) -> Image.Image:
    """A HEIC image as pillow-heif gives it: upright, and with an orientation tag that says so."""
    from pillow_heif import HeifImageFile  # few files need it

    file.seek(0)
    try:
        return HeifImageFile(file)
    except SyntaxError as error:
        raise Unreadable(
            f"'{raw.name}' is a HEIC image that is damaged or cut short: {_reason(error)}.", AGAIN
        ) from error


def _not_read(raw: Raw, found: FileFormat | None) -> Unreadable:
    """The error for a file that Pillow does not know."""
    if found is None:
        return Unreadable(f"'{raw.name}' is not an image that Pillow knows.")
    if found.kind != "image":
        return found.instead_of(raw.name, "an image")
    if found.ending == ".heic":
        needs, install = "which needs pillow-heif", "Install it: pip install 'graftwork-image[heif]'"
    elif found.ending == ".avif" and not features.check("avif"):
        needs, install = (
            "which this Pillow was built without",
            "Install one with it: pip install --force-reinstall pillow",
        )
    elif found.ending in EXTENSIONS:
        return Unreadable(f"'{raw.name}' begins as {found.name} and is damaged or cut short.", AGAIN)
    else:
        needs, install = "which Pillow does not read", "Save it again, as PNG or JPEG, or leave it out."
    return Unreadable(f"'{raw.name}' is {found.name}, {needs}.", install)


def _in_memory(raw: Raw) -> Image.Image:
    if isinstance(raw.value, Image.Image):
        return raw.value
    return Image.fromarray(_array(raw))


def _array(raw: Raw) -> Any:
    value = raw.value
    if hasattr(value, "__array__") and not hasattr(value, "__array_interface__"):
        import numpy as np  # slow to import, and files do not need it

        value = np.asarray(value)
    array = getattr(value, "__array_interface__", {})
    shape, kind = array.get("shape", ()), array.get("typestr", "")
    if kind == "|u1" and all(shape) and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
        return value
    if not array:
        given = f"a {type(value).__name__} was given; a file, its bytes, a PIL image or an array is accepted"
    elif kind != "|u1":
        given = f"an array of {getattr(value, 'dtype', kind)} was given; bytes (uint8) are accepted"
    else:
        given = f"an array {shape} was given; (H, W), (H, W, 3) and (H, W, 4) are accepted"
    raise Unreadable(f"'{raw.name}' cannot be opened as an image: {given}.")


def _within_limits(raw: Raw, image: Image.Image) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Unreadable(
            f"'{raw.name}' is refused as a decompression bomb: {image.width} x {image.height} pixels, over {limit}.",
            how_to_raise("image_pixels", image.width * image.height),
        )
    return image


def orientation(image: Image.Image) -> int:
    """How an image is to be turned (EXIF, 1 to 8): 1 where it stands upright, or does not say."""
    if image.format == "TIFF":
        return 1  # Pillow turns these upright itself while it decodes them
    try:
        # Asked for its EXIF, a PNG without any would be decoded to the end to look for it there.
        eager = image.format != "PNG" or "exif" in image.info or _exif_behind_pixels(image)
        value = (image.getexif() if eager else Image.Image.getexif(image)).get(ORIENTATION, 1)
    except Exception:  # damaged tags leave the pixels as good as they were
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _bit_depth(image: Image.Image) -> int:
    """Bits of a channel: of the file where it says so, else of the pixel mode."""
    if image.format == "HEIF":
        return image.info.get("bit_depth", 8)
    tags = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags is not None:
        bits = tags.get(BITS_PER_SAMPLE, 1)
        return max(bits) if isinstance(bits, tuple) else int(bits)
    rawmodes = (str(argument) for tile in getattr(image, "tile", ()) for argument in _arguments(tile))
    if any(";16" in rawmode for rawmode in rawmodes):
        return 16
    return 32 if image.mode in ("I", "F") else 16 if image.mode.startswith("I;16") else 1 if image.mode == "1" else 8


def _arguments(tile: Any) -> tuple[Any, ...]:
    arguments = tile[3] if len(tile) > 3 else ()
    return arguments if isinstance(arguments, tuple) else (arguments,)


def _exif_behind_pixels(image: Image.Image) -> bool:
    """Whether a PNG has an eXIf chunk, which may come after the pixels (PNG specification, section 5.6)."""
    file = getattr(image, "fp", None)
    if file is None:
        return True
    here, position = file.tell(), file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] not in (b"eXIf", b"IEND"):
        position = file.seek(position + 12 + struct.unpack(">I", head[:4])[0])
    file.seek(here)
    return head[4:] == b"eXIf"


def _reason(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
