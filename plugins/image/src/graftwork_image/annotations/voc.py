"""Pascal VOC: an XML file per image, lists of the images of each split, and masks in the colours of the challenge.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", and the development kit of 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graftwork import Annotated, AnnotatedExamples, AnnotationReader, Box, Boxes, DataError, Mask, split_of
from graftwork_image.annotations.colours import table_in
from graftwork_image.annotations.faults import fault, text_of
from graftwork_image.annotations.places import by_stem, images_in, listed, named, split_folders
from graftwork_image.annotations.xml_tree import Element, parse, root_of

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The classes of the challenge, by the palette index of its masks."""

BORDER = frozenset({"255", "#e0e0c0"})
"""The border around things in masks of the challenge, as palette index and as colour: neither right nor wrong."""


class VocReader(AnnotationReader):
    """A folder with Annotations/ and JPEGImages/, XML files beside their images, or a folder of either kind per split.

    Splits by ImageSets/Main (for masks ImageSets/Segmentation): train.txt, val.txt, test.txt; of trainval.txt what is
    in neither of the first two trains. Difficult objects are ignored. An image without an XML file (in a list, or in
    the folder where there are no lists) is unlabelled; a file without objects is a declared empty one.

    Coordinates stay as written, and the maxima are taken as excluded. The challenge counted pixels from 1 and included
    the last, but nearly all tools that write the format today (LabelImg, CVAT, Roboflow) count from 0 and exclude it;
    nothing in a file tells which, and the difference is one pixel.
    """

    def fits(self, place: Path) -> bool:
        return any(_has_files(folder) for folder in (place, *(folder for _, folder in split_folders(place))))

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        folders = [("", place)] if _has_files(place) else split_folders(place)
        examples: list[Annotated] = []
        notes: list[str] = []
        for split, folder in folders:
            read = _Folder(folder, split).masks() if kind == "mask" else _Folder(folder, split).boxes()
            examples += read.examples
            notes += read.notes
        return AnnotatedExamples(tuple(examples), tuple(notes))


def _has_files(folder: Path) -> bool:
    inside = folder / "Annotations"
    return any(
        root_of(path) == "annotation"
        for place in (inside, folder)
        for path in [path for path in listed(place) if path.suffix.lower() == ".xml"][:1]
    )


class _Folder:
    """One folder of the format. split: what all of its examples are in; empty where lists say it."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        inside = folder / "Annotations"
        self.files = inside if inside.is_dir() else folder
        places = (folder / "JPEGImages", folder / "images", folder)
        self.images = next(place for place in places if place.is_dir())
        self.notes: list[str] = []

    def boxes(self) -> AnnotatedExamples:
        files = {path.stem: path for path in listed(self.files) if path.suffix.lower() == ".xml"}
        return self._examples("Main", files, _boxes)

    def masks(self) -> AnnotatedExamples:
        place = self.folder / "SegmentationClass"
        files = by_stem(images_in(place), place)
        if not files:
            raise DataError(
                f"'{self.folder}' has boxes and no folder 'SegmentationClass'; for masks an image of each mask in it "
                "is accepted.",
                "Train on the boxes instead: --task detect",
            )
        names = self._names()
        return self._examples(
            "Segmentation", files, lambda path, _: (Mask(path=path, names=names, ignored=BORDER), None)
        )

    def _examples(self, lists: str, files: dict[str, Path], label) -> AnnotatedExamples:
        splits = self._splits(lists)
        images = by_stem(images_in(self.images), self.images)
        stems: Sequence[str] = list(splits or files)
        found: dict[Path, Annotated] = {}
        for stem in stems:
            file = files.get(stem)
            value, filename = label(file, stem) if file is not None else (None, None)
            image = images.get(stem)
            if image is None:
                name = filename or f"{stem}.jpg"
                image = named(name, [self.images], file or self.folder / "ImageSets" / lists, "filename")
            if image in found:
                raise fault(file or self.files, "filename", image.name, "another label file has that image already")
            found[image] = Annotated(image, value, splits.get(stem, self.split))
        if left := len(files.keys() - set(stems)):
            said = "1 label file is" if left == 1 else f"{left} label files are"
            self.notes.append(f"{said} left out, since no list in 'ImageSets/{lists}' has them.")
        if not splits:
            found.update({image: Annotated(image, None, self.split) for image in images.values() if image not in found})
        return AnnotatedExamples(tuple(found.values()), tuple(self.notes))

    def _splits(self, lists: str) -> dict[str, str]:
        """The split of each name in the lists, in their order; empty where there are none."""
        place = self.folder / "ImageSets" / lists
        found: dict[str, str] = {}
        for word in ("train", "val", "test", "trainval"):
            if not (file := place / f"{word}.txt").is_file():
                continue
            split = split_of(word) or "train"
            for line, text in enumerate(text_of(file).splitlines(), 1):
                if not (stem := text.strip()):
                    continue
                before = found.setdefault(stem, split)
                if before != split and word != "trainval":
                    raise fault(file, f"Line {line}", stem, f"it is in '{before}' already, and one split is accepted")
        return found

    def _names(self) -> dict[str, str]:
        """The class of each level: by a colour table, or as in the challenge if all named objects are its classes."""
        table = table_in(self.folder)
        if table:
            return table
        files = [path for path in listed(self.files) if path.suffix.lower() == ".xml"]
        seen = {name for path in files for thing in parse(path).all("object") if (name := thing.text_of("name"))}
        if other := sorted(seen - set(CLASSES)):
            raise DataError(
                f"'{self.folder}' has masks and no colour table, and things called '{other[0]}', which is no class of "
                "the Pascal VOC challenge; classes of the challenge, or a colour table, are accepted.",
                f"Write one line per class, as name:red,green,blue::, into '{self.folder / 'labelmap.txt'}'.",
            )
        return {str(level): name for level, name in enumerate(CLASSES)}


def _boxes(file: Path, stem: str) -> tuple[Boxes, str | None]:
    root = parse(file)
    if root.tag != "annotation":
        raise fault(file, f"The element in line {root.line}", root.tag, "annotation is accepted")
    boxes = tuple(_box(thing, file) for thing in root.all("object"))
    return Boxes(boxes, _size(root, file)), root.text_of("filename")


def _size(root: Element, file: Path) -> tuple[int, int] | None:
    element = root.first("size")
    if element is None:
        return None
    width, height = (int(element.number(tag, file)) for tag in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None  # some tools write 0 where they do not know


def _box(thing: Element, file: Path) -> Box:
    name, box = thing.text_of("name"), thing.first("bndbox")
    if not name:
        raise fault(file, f"The name of the object in line {thing.line}", name, "the name of its class is accepted")
    if box is None:
        raise fault(
            file, f"The bndbox of the object in line {thing.line}", None, "xmin, ymin, xmax and ymax are accepted"
        )
    sides = (box.number(tag, file) for tag in ("xmin", "ymin", "xmax", "ymax"))
    return Box(name, *sides, ignored=thing.text_of("difficult") not in (None, "", "0"))
