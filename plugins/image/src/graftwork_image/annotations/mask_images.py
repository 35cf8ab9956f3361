"""Mask images: a folder of images, and one of masks whose files are named as the images are."""

from __future__ import annotations

from pathlib import Path

from graftwork import SPLITS, Annotated, AnnotatedExamples, AnnotationReader, DataError, Mask
from graftwork_image.annotations.colours import table_in
from graftwork_image.annotations.places import images_in, listed, split_folders, walked

IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "label", "annotations", "segmentation", "segmentations", "seg", "gt")
"""The names of the two folders, as written in small letters."""

SUFFIXES = ("", "_mask", "-mask", "_masks", "_seg", "-seg", "_label", "_labels", "_gt", "_segmentation", "_l", "_p")
"""What may stand behind an image's name in that of its mask."""

EXACT = (".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".webp")
"""Endings of formats that keep levels as they are."""

LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif")


class MaskImagesReader(AnnotationReader):
    """images/ and masks/ (or labels/, annotations/, segmentation/) side by side, in the place itself or in each split;
    or the splits in each of the two (images/train, masks/train).

    Classes are named by a table (see `colours.read_table`) in the place or beside the masks, else by the levels. An
    image without a mask is unlabelled.
    """

    def fits(self, place: Path) -> bool:
        return any(_pair(folder) for folder in (place, *(folder for _, folder in split_folders(place))))

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        pair = _pair(place)
        pairs = [("", *pair)] if pair else []
        if not pair:
            pairs = [(split, *found) for split, folder in split_folders(place) if (found := _pair(folder))]
        examples: list[Annotated] = []
        for split, images, masks in pairs:
            names = table_in(place, images.parent, masks)
            examples += _examples(images, masks, split, names)
        return AnnotatedExamples(tuple(examples))


def _pair(folder: Path) -> tuple[Path, Path] | None:
    """The two folders in one, if both are there and the second holds images (and not, as YOLO's does, texts)."""
    inside = {path.name.lower(): path for path in listed(folder) if path.is_dir()}
    images = next((inside[name] for name in IMAGES if name in inside), None)
    if images is None:
        return None
    for name in MASKS:
        if name in inside and next(walked(inside[name], (*EXACT, *LOSSY)), None) is not None:
            return images, inside[name]
    return None


def _examples(images: Path, masks: Path, split: str, names: dict[str, str]) -> list[Annotated]:
    found = {}
    for path in walked(masks, (*EXACT, *LOSSY)):
        stem = path.relative_to(masks).with_suffix("").as_posix()
        if path.suffix.lower() in LOSSY:
            raise DataError(
                f"The mask '{path}' is a JPEG, which blurs the levels that stand for classes; PNG, TIFF and BMP "
                "are accepted.",
                "Export the masks again, as PNG.",
            )
        if stem in found:
            raise DataError(
                f"'{found[stem]}' and '{path}' are masks of one name; one mask of an image is accepted.",
                "Remove or rename one of them.",
            )
        found[stem] = path
    examples, used = [], {}
    for image in images_in(images):
        stem = image.relative_to(images).with_suffix("")
        mask = _mask_of(stem.as_posix(), found)
        if mask is not None and used.setdefault(mask, image) != image:
            raise DataError(
                f"'{used[mask]}' and '{image}' are both named as the mask '{mask}'; one image of a mask is accepted.",
                "Remove or rename one of them.",
            )
        top = stem.parts[0].lower() if len(stem.parts) > 1 else ""
        label = None if mask is None else Mask(path=mask, names=names)
        examples.append(Annotated(image, label, split or SPLITS.get(top, "")))
    if left := sorted(path for path in found.values() if path not in used):
        raise DataError(
            f"'{left[0]}' is the mask of no image in '{images}' ({len(left)} of {len(found)} are not); an image of the "
            "same name is accepted.",
            f"Name each mask as its image, or with one of these behind: {', '.join(filter(None, SUFFIXES))}.",
        )
    return examples


def _mask_of(stem: str, masks: dict[str, Path]) -> Path | None:
    return next((masks[stem + suffix] for suffix in SUFFIXES if stem + suffix in masks), None)
