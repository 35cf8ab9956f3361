"""Boxes and masks drawn over images, for reports and for people who look at answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graftwork import Boxes
from graftwork_image.masks import BACKGROUND

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (230, 159, 0), (0, 114, 178), (240, 228, 66), (0, 158, 115), (86, 180, 233), (213, 94, 0), (204, 121, 167),
    (51, 34, 136), (136, 34, 85), (68, 170, 153), (153, 153, 51), (221, 204, 119),
)  # fmt: skip
"""Colours that people with any kind of colour vision can tell apart: those of Okabe and Ito 2008 without black, then of
Tol's scheme "muted" (2021) those that are none of them. The first four differ in brightness too. More classes begin
again.
"""

GREY: Colour = (128, 128, 128)
OPACITY = 0.5

SMALLEST_TEXT = 11
"""Pixels of the height of letters, at least; larger on large images."""


def palette(names: Sequence[str]) -> dict[str, Colour]:
    """A colour for each class; black for "background"."""
    shown = [name for name in names if name != BACKGROUND]
    found = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(shown)}
    return {name: found.get(name, (0, 0, 0)) for name in names}


def paint_boxes(
    image: Image.Image, boxes: Boxes, names: Sequence[str], probabilities: Sequence[float] = ()
) -> Image.Image:
    """A copy of an image (as RGB) with boxes drawn on it, each with its class above it, or inside where the image ends.

    names: all classes, in the order that decides their colours; a box of another class is grey, as one that is ignored
    is. probabilities: 0..1 of each box, written behind its class; none for true boxes.
    """
    painted = image.convert("RGB")
    draw, colours = ImageDraw.Draw(painted), palette(names)
    font, width = _font(image.size), max(1, round(min(image.size) / 200))
    # Likely boxes last, so that they lie above the others.
    order = sorted(range(len(boxes.boxes)), key=lambda place: probabilities[place] if probabilities else 0.0)
    for place in order:
        box = boxes.boxes[place]
        colour = GREY if box.ignored else colours.get(box.label, GREY)
        xs, ys = sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax))
        draw.rectangle((xs[0], ys[0], max(xs[1] - 1, xs[0]), max(ys[1] - 1, ys[0])), outline=colour, width=width)
        text = f"{box.label} {probabilities[place]:.2f}" if probabilities else box.label
        _tag(draw, (xs[0], ys[0]), text, colour, font, image.size)
    return painted


def paint_mask(image: Image.Image, classes: np.ndarray, names: Sequence[str]) -> Image.Image:
    """A copy of an image (as RGB) with each class but "background" in its colour over it, and below the image which
    colour is which class.

    classes: the number of each pixel's class in `names`, `(H, W)`, as `masks.class_map` gives it; ignored pixels are
    grey. Raises `ValueError` for another size than the image's.
    """
    if classes.shape != image.size[::-1]:
        raise ValueError(f"a mask of {classes.shape[::-1]} cannot be painted on an image of {image.size}")
    table = _table(palette(names), names)
    opacity = np.full(256, OPACITY)
    opacity[[place for place, name in enumerate(names) if name == BACKGROUND]] = 0
    share = opacity[classes][..., None]
    pixels = np.asarray(image.convert("RGB")) * (1 - share) + table[classes] * share
    painted = Image.fromarray(pixels.round().astype(np.uint8))
    seen = set(np.unique(classes).tolist())
    shown = {name: colour for place, (name, colour) in enumerate(palette(names).items()) if place in seen}
    shown.pop(BACKGROUND, None)
    return _with_legend(painted, shown)


def mask_image(classes: np.ndarray, names: Sequence[str]) -> Image.Image:
    """A palette image of class numbers `(H, W)`: its indices are the numbers, its colours those of `palette`, and
    255 is what is ignored. Saved as PNG it is read back by `Mask(path=..., names={"0": names[0], ...})`.
    """
    image = Image.fromarray(np.ascontiguousarray(classes, np.uint8)).convert("P")
    image.frombytes(np.ascontiguousarray(classes, np.uint8).tobytes())  # the indices, not the nearest colours
    image.putpalette(_table(palette(names), names).ravel().tolist())
    return image


def _table(colours: Mapping[str, Colour], names: Sequence[str]) -> np.ndarray:
    table = np.full((256, 3), GREY, np.uint8)
    table[: len(names)] = np.array([colours[name] for name in names], np.uint8).reshape(-1, 3)
    return table


def _font(size: tuple[int, int]) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(SMALLEST_TEXT, round(min(size) / 40)))


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, colour: Colour, font, size) -> None:
    """A text on its colour, with its lower left corner there, moved so that it lies inside the image."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0, min(corner[0], size[0] - width))
    above = corner[1] - height
    y = max(0, min(above if above >= 0 else corner[1], size[1] - height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    draw.text((x + 2 - left, y + 2 - top), text, fill=_on(colour), font=font)


def _on(colour: Colour) -> str:
    """Black or white, whichever is read better on a colour (Rec. 601's weights of brightness)."""
    return "black" if np.dot(colour, (0.299, 0.587, 0.114)) > 128 else "white"


def _with_legend(image: Image.Image, colours: Mapping[str, Colour]) -> Image.Image:
    """The image with lines of tags below it, as many as it takes."""
    if not colours:
        return image
    font = _font(image.size)
    measure = ImageDraw.Draw(image)
    boxes = {name: measure.textbbox((0, 0), name, font=font) for name in colours}
    height = max(round(box[3] - box[1]) for box in boxes.values()) + 8
    places, x, y = {}, 0, 0
    for name, box in boxes.items():
        width = round(box[2] - box[0]) + 8
        if x and x + width > image.width:
            x, y = 0, y + height
        places[name] = x, y
        x += width
    whole = Image.new("RGB", (image.width, image.height + y + height), "white")
    whole.paste(image)
    draw = ImageDraw.Draw(whole)
    for name, (left, top) in places.items():
        corner = left + 2, image.height + top + height
        _tag(draw, corner, name, colours[name], font, whole.size)
    return whole
