"""Masks: from what label files say (levels, colours, polygons, runs) to the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from graftwork import DataError, Mask, Raw, Region, UsageError
from graftwork_image.geometry import Size
from graftwork_image.polygons import fill
from graftwork_image.reader import ImageReader
from graftwork_image.runs import inside_of

IGNORED = 255
"""The class number of pixels that are neither right nor wrong; so at most 255 classes can be told apart."""

BACKGROUND = "background"
"""The class of pixels that no region covers."""

GREY = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N"}
"""Pillow's modes whose pixels are one number each."""

SHOWN = 5


def class_map(mask: Mask, names: Sequence[str], size: Size) -> np.ndarray:
    """The number in `names` of the class of each pixel, `(H, W)` uint8; `IGNORED` where it is neither right nor wrong.

    size: width and height of the image that the mask was made for, as the mask has it (stored or upright, see
    `geometry.upright`).

    Raises `DataError` for a mask of another size, and for a level, colour or class that has no name or is none of
    `names`.
    """
    if len(names) > IGNORED:
        raise UsageError(
            f"{len(names)} classes of pixels were given; at most {IGNORED} are accepted.",
            "Join classes into fewer: --label-map FILE",
        )
    numbers = {name: number for number, name in enumerate(names)}
    return _of_regions(mask, numbers, size) if _is_drawn(mask) else _of_image(mask, numbers, size)


def levels(mask: Mask) -> dict[str, int]:
    """How many pixels have each grey level or palette index ("0") or colour ("#ff0000") of a mask image.

    Palette images have colours where `mask.names` names colours, else indices. Raises `DataError` for an image that
    cannot be read, or has no such levels.
    """
    found = _levels(mask)
    counts = np.bincount(found.places.ravel(), minlength=len(found.keys))
    return {key: int(count) for key, count in zip(found.keys, counts, strict=True) if count}


def classes_in(mask: Mask) -> set[str]:
    """The names of the classes in a mask, without what is ignored: those of its levels, or of its regions with
    "background". Raises `DataError` as `levels` does, and for a level that has no name.
    """
    if _is_drawn(mask):
        return {BACKGROUND, *(region.label for region in mask.regions)} - mask.ignored
    return {_name(mask, key, count) for key, count in levels(mask).items() if key not in mask.ignored}


def pixels_of(mask: Mask) -> dict[str, int]:
    """How many pixels each class in a mask has, without what is ignored; 0 for all of regions that were drawn on an
    image of a size that nobody says. Raises `DataError` as `class_map` does.
    """
    if not _is_drawn(mask):
        found: dict[str, int] = {}
        for key, count in levels(mask).items():
            if key not in mask.ignored:
                name = _name(mask, key, count)
                found[name] = found.get(name, 0) + count
        return found
    names = sorted(classes_in(mask))
    if mask.size is None:
        return dict.fromkeys(names, 0)
    counts = np.bincount(class_map(mask, names, mask.size).ravel(), minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=False) if count}


def size_of(mask: Mask) -> Size | None:
    """Width and height of a mask: of its image by the header, or as regions were drawn; None where that is unknown."""
    if _is_drawn(mask):
        return mask.size
    facts = ImageReader().facts(_raw(mask))
    return int(facts["width"]), int(facts["height"])


def inside(region: Region, size: Size) -> np.ndarray:
    """The pixels of a region, booleans `(H, W)`. Raises `DataError` for runs that are not as many pixels."""
    if region.runs:
        return _runs(region, size)
    rows, columns, part = fill(region.polygons, size)
    found = np.zeros(size[::-1], bool)
    found[rows, columns] = part
    return found


def _runs(region: Region, size: Size) -> np.ndarray:
    try:
        return inside_of(region.runs, size)
    except ValueError as error:
        raise DataError(
            f"A region '{region.label}' has {error}; runs of all of its pixels are accepted.",
            "Export the labels again.",
        ) from error


def _is_drawn(mask: Mask) -> bool:
    return mask.path is None and not mask.content


def _raw(mask: Mask) -> Raw:
    name = str(mask.path) if mask.path is not None else "a mask"
    return Raw(name, mask.path, mask.content or None)


def _of_regions(mask: Mask, numbers: Mapping[str, int], size: Size) -> np.ndarray:
    if mask.size is not None and mask.size != size:
        raise _other_size("Outlines", mask.size, size)
    bare = 254 if BACKGROUND not in numbers and BACKGROUND not in mask.ignored else None
    if bare is not None and len(numbers) > 254:
        raise UsageError("255 classes and none called 'background' were given; 254 are accepted.")
    found = np.full(size[::-1], numbers.get(BACKGROUND, IGNORED) if bare is None else bare, np.uint8)
    for region in mask.regions:
        number = IGNORED if region.label in mask.ignored else numbers.get(region.label)
        if number is None:
            raise _unknown(f"A region has the class '{region.label}'", numbers)
        if region.runs:
            found[_runs(region, size)] = number
        else:
            rows, columns, part = fill(region.polygons, size)
            found[rows, columns][part] = number
    if bare is not None and (left := int((found == bare).sum())):
        raise _unknown(f"{left} pixels lie in no region, so that their class is '{BACKGROUND}'", numbers)
    return found


def _of_image(mask: Mask, numbers: Mapping[str, int], size: Size) -> np.ndarray:
    found = _levels(mask)
    if found.size != size:
        raise _other_size(f"The mask '{_raw(mask).name}'", found.size, size)
    counts = np.bincount(found.places.ravel(), minlength=len(found.keys))
    table = np.full(len(found.keys), IGNORED, np.uint8)
    for place, (key, count) in enumerate(zip(found.keys, counts, strict=True)):
        if not count or key in mask.ignored:
            continue
        name = _name(mask, key, int(count))
        if name not in numbers:
            said = "" if name == key else f" ({key})"
            raise _unknown(f"The mask '{_raw(mask).name}' has the class '{name}'{said}", numbers)
        table[place] = numbers[name]
    return table[found.places]


def _name(mask: Mask, key: str, count: int) -> str:
    if not mask.names:
        return key
    if key not in mask.names:
        listed = [f"{level} ({name})" for level, name in mask.names.items()]
        named = ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
        what = "colour" if key.startswith("#") else "level"
        pixels = "1 pixel" if count == 1 else f"{count} pixels"
        raise DataError(
            f"The mask '{_raw(mask).name}' has the {what} {key} in {pixels}, which has no name; named are {named}.",
            "Add it to the table beside the masks, or correct the mask.",
        )
    return mask.names[key]


def _unknown(said: str, numbers: Mapping[str, int]) -> DataError:
    return DataError(
        f"{said}, which is none of those to tell apart: {', '.join(numbers)}.",
        "Name it as one of them: --label-map FILE, or leave it out: --drop-label NAME",
    )


def _other_size(what: str, given: Size, wanted: Size) -> DataError:
    has = "have" if what == "Outlines" else "has"
    return DataError(
        f"{what} {has} {given[0]} x {given[1]} pixels, and the image {wanted[0]} x {wanted[1]}; a mask of the size of "
        "its image is accepted.",
        "Put back the image that was labelled, or export the masks again.",
    )


@dataclass(frozen=True)
class _Levels:
    """keys: levels or colours. places: of each pixel's in `keys`, `(H, W)`."""

    keys: list[str]
    places: np.ndarray

    @property
    def size(self) -> Size:
        return self.places.shape[1], self.places.shape[0]


def _levels(mask: Mask) -> _Levels:
    raw = _raw(mask)
    image = ImageReader().decode(raw)
    by_colour = any(key.startswith("#") for key in mask.names)
    if image.mode in ("LA", "RGBA"):
        image = _opaque(image, raw.name)
    if image.mode in GREY and not (by_colour and image.mode in ("1", "L", "P")):
        return _numbered(np.asarray(image), str)
    if image.mode not in (*GREY, "RGB"):
        raise DataError(
            f"The mask '{raw.name}' is an image of mode {image.mode}; grey levels, a palette and RGB are accepted.",
            "Export the masks again, as PNG.",
        )
    red, green, blue = (channel.astype(np.int32) for channel in np.moveaxis(np.asarray(image.convert("RGB")), 2, 0))
    if mask.names and not by_colour and (red == green).all() and (red == blue).all():
        return _numbered(red, str)
    return _numbered(red << 16 | green << 8 | blue, "#{:06x}".format)


def _opaque(image: Image.Image, name: str) -> Image.Image:
    if image.getchannel("A").getextrema() != (255, 255):
        raise DataError(
            f"The mask '{name}' is partly transparent, so that its colours are not those of classes; an opaque one "
            "is accepted.",
            "Export the masks again, without transparency.",
        )
    return image.convert(image.mode[:-1])


def _numbered(pixels: np.ndarray, key) -> _Levels:
    if pixels.dtype in (np.uint8, np.bool_):
        return _Levels([key(level) for level in range(256)], pixels.astype(np.uint8))
    found, places = np.unique(pixels, return_inverse=True)
    return _Levels([key(int(level)) for level in found], places.reshape(pixels.shape))
