"""Reads images with Pillow: mode, orientation and size from the header, the pixels only when decoded."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from graftwork import Raw, Reader, Unreadable

ORIENTATION = 274
"""The EXIF tag of that name."""

# What Pillow would warn of is either harmless here or named as unreadable below.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageReader(Reader):
    """Facts: `mode` as Pillow names it, `orientation` (EXIF, 1 to 8), `width` and `height` in pixels as stored.

    A value is a `PIL.Image.Image`, the first frame of an animation; `Raw.value` may also be an image, or an array
    `(H, W)` or `(H, W, 3 or 4)` of bytes.
    """

    items = "files"

    def facts(self, raw: Raw) -> Mapping[str, str | int]:
        image = self._open(raw)
        try:
            return {
                "mode": image.mode,
                "orientation": _orientation(image),
                "width": image.width,
                "height": image.height,
            }
        finally:
            if not isinstance(raw.value, Image.Image):
                image.close()

    def decode(self, raw: Raw) -> Image.Image:
        image = self._open(raw)
        try:
            image.load()
        except Exception as error:  # Pillow's format plugins raise whatever a damaged file makes them
            raise Unreadable(f"'{raw.name}' cannot be decoded: {_reason(error)}.") from error
        return image

    def _open(self, raw: Raw) -> Image.Image:
        if isinstance(raw.value, Image.Image):
            return raw.value
        try:
            image = self._from(raw)
        except UnidentifiedImageError as error:
            raise Unreadable(f"'{raw.name}' is not an image that Pillow knows.") from error
        except FileNotFoundError as error:
            raise Unreadable(f"'{raw.name}' does not exist.") from error
        except Image.DecompressionBombError as error:
            raise Unreadable(f"'{raw.name}' is refused as a decompression bomb: {_reason(error)}.") from error
        except Exception as error:  # as above
            raise Unreadable(f"'{raw.name}' cannot be opened as an image: {_reason(error)}.") from error
        limit = Image.MAX_IMAGE_PIXELS or 0
        if image.width * image.height > limit:
            raise Unreadable(
                f"'{raw.name}' is refused as a decompression bomb: {image.width} x {image.height} pixels, over {limit}."
            )
        return image

    def _from(self, raw: Raw) -> Image.Image:
        if raw.value is None and raw.path is not None:
            if raw.path.stat().st_size == 0:
                raise ValueError("it is empty")
            return Image.open(raw.path)
        if isinstance(raw.value, bytes):
            return Image.open(io.BytesIO(raw.value))
        return Image.fromarray(_array(raw.value))


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype != np.uint8:
        raise TypeError(f"an array of {array.dtype} was given; bytes (uint8) are accepted")
    return array


def _orientation(image: Image.Image) -> int:
    # Asked for its EXIF, a PNG without any would be decoded to the end to look for it there.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _reason(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
