"""Labels that lie in the input (spans, boxes, masks), and readers of the files that annotation tools write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graftwork.specs.returns import Checked


@dataclass(frozen=True)
class Span:
    """A part of a text or a clip. start, end: characters of the text (end excluded), or seconds of the clip."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Spans:
    """The spans of one text or clip; none where nothing is there. unit: "characters" or "seconds"."""

    spans: tuple[Span, ...] = ()
    unit: str = "characters"


@dataclass(frozen=True)
class Box:
    """A thing in an image, in pixels from its top left corner; the maxima are excluded.

    ignored: neither right nor wrong where it is found (crowds in COCO, difficult ones in Pascal VOC).
    """

    label: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    ignored: bool = False


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image; none where nothing is there.

    size: the width and height in pixels that the coordinates were drawn on, where the file says them. It tells whether
    they are those of the image as stored, or turned upright by its EXIF tag.
    """

    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Region:
    """A painted part of an image: polygons (x1, y1, x2, y2, ... in pixels, together by the even-odd rule), or runs.

    runs: the lengths of runs of pixels that are outside and inside in turn, column by column (COCO's RLE, not
    compressed).
    """

    label: str
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mask:
    """The class of each pixel of one image: by a mask image, or by regions.

    path, content: the mask image, as a file or as its encoded bytes. names: the class of each grey level or palette
    index ("0", "255") or colour ("#ff0000"); empty names each by its level. ignored: levels or colours that are neither
    right nor wrong (the border of Pascal VOC). regions: painted in order over "background". size: the width and height
    in pixels that regions were drawn on.
    """

    path: Path | None = None
    content: bytes = b""
    names: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    regions: tuple[Region, ...] = ()
    size: tuple[int, int] | None = None


Annotation = Spans | Boxes | Mask


@dataclass(frozen=True)
class Extent:
    """How far labels may reach in an input; None where that is not known.

    size: the width and height of an image in pixels, turned upright. stored: the same as the file has them, which an
    EXIF tag may turn. length: of a text in characters, of a clip in seconds. text: the text itself.
    """

    size: tuple[int, int] | None = None
    stored: tuple[int, int] | None = None
    length: float | None = None
    text: str | None = None


@dataclass(frozen=True)
class AnnotationSpec:
    """A format of label files, or a way in which a folder holds them.

    name: as --layout takes it ("coco"). factory: names a `graftwork.AnnotationReader` subclass. kinds: what it can give
    labels as: "spans", "boxes", "mask", "transcript" or "name" (one name per example).
    modality: of its inputs. words: what such a file or folder is, in a sentence ("a COCO file, with its images beside
    it").
    """

    name: str
    factory: str
    kinds: tuple[str, ...]
    modality: str
    words: str


@dataclass(frozen=True)
class Annotated:
    """An example with its label: the input as a file, or as the text itself.

    label: None where nobody labelled it (which is not the same as a label that holds nothing). seconds: the part of a
    clip that the example is, from and to; None for all of it.
    """

    input: Path | str
    label: Annotation | str | None
    split: str = ""
    seconds: tuple[float, float] | None = None


@dataclass(frozen=True)
class AnnotatedExamples:
    """What a reader found. notes: sentences about what was left out, or read in one way of several."""

    examples: tuple[Annotated, ...]
    notes: tuple[str, ...] = ()


class AnnotationReader(Checked, ABC, returns={"read": (AnnotatedExamples,)}):
    """Reads one format of label files."""

    @abstractmethod
    def fits(self, place: Path) -> bool:
        """Whether a file or folder is of this format, for certain; reads no more of it than that takes."""

    @abstractmethod
    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        """The examples, with labels of a kind that its spec names.

        Raises `DataError` with the file and the line (or the field) for what does not keep to the format.
        """
