"""`detect`: boxes around things in an image, each with a name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace as replaced
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.ops import batched_nms, generalized_box_iou_loss, sigmoid_focal_loss

from graftwork import (
    AnswerFolder,
    Backbone,
    Box,
    Boxes,
    DataError,
    DenseTask,
    Metric,
    Piece,
    Problem,
    Raw,
    RawLabel,
    Recipe,
    Scorer,
    Seen,
    State,
    Targets,
    UsageError,
    Value,
    WholeExample,
    plural,
)
from graftwork_image.augment import shaken
from graftwork_image.detect.assignment import IGNORED, PieceBoxes, Positions
from graftwork_image.detect.cutting import Place, changed, in_piece, resized, shown, tiles
from graftwork_image.detect.faults import problems
from graftwork_image.detect.head import BOX
from graftwork_image.detect.scores import SURE, BoxScores
from graftwork_image.framing import check_orientations, check_size, only_side, prepared, resampling
from graftwork_image.painting import paint_boxes
from graftwork_image.seeing import BoxFolder, boxes_of, opened, side_by_side, with_boxes

RATE = 1e-4
"""The least learning rate of an encoder that trains (ViTDet and DETR take it)."""

HEAD_RATE = 2e-3
"""The learning rate of a head, as chosen on blood cells."""

APART = 0.5
"""Of boxes of one label that overlap more (IoU), the most probable stays. The authors of FCOS take .6, which leaves
more boxes around one thing: on blood cells map_50 is up to .01 lower."""

FEW = 3
"""So many boxes of a label are told with their corners; more are counted."""

CANDIDATES = 1000
"""The most probable boxes of a piece that are compared with each other."""

FARTHEST = 8.0
"""The logarithm of a distance in strides is cut here, so that no step makes it infinite."""

TOUCH = 2.0
"""A box this near to an edge, in pixels of a piece, is cut by it."""


class Detect(DenseTask):
    """Each position of a pyramid may find a box (FCOS); of boxes that overlap the most probable one stays.

    Options: `size`, pixels of the longer side that images are resized to; `tile`, the side of tiles at full resolution
    instead, 0 for none; `threshold`, the least probability of an answer; `most`, boxes of an image; `orientations`,
    in how many an image may lie (1, 2 for mirrored ones, 8 for any quarter turn, mirrored or not), for augmentation.
    """

    figures: ClassVar = (Metric("map", "mAP"), Metric("map_50", "mAP50"))
    tie_break: ClassVar = figures[1]
    of_answers: ClassVar = frozenset({"threshold", "most"})
    applicable: ClassVar = frozenset({"min_probability"})
    usual: ClassVar = {"size": 512, "tile": 0, "threshold": 0.05, "most": 100, "orientations": 2}

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        check_size(self.options["size"])
        check_orientations(self.options["orientations"])
        self._check_options()
        self._sides: dict[str, int | None] = {}

    def _check_options(self) -> None:
        tile, threshold, most = (self.options[name] for name in ("tile", "threshold", "most"))
        for option, right, accepted, usual in (
            (f"tile={tile}", tile == 0 or 128 <= tile <= 4096, "0 (none) and 128 to 4096 pixels are", 512),
            (f"threshold={threshold:g}", 0 < threshold < 1, "numbers between 0 and 1 are", 0.05),
            (f"most={most}", 1 <= most <= 10_000, "1 to 10000 boxes are", 100),
        ):
            if not right:
                name = option.split("=")[0]
                raise UsageError(
                    f"The task option {option} is not accepted; {accepted}.", f"Write: --task-option {name}={usual}"
                )

    # Labels.

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        boxes = [checked(label) for label in raw]
        counts = Counter(box.label for some in boxes for box in some)
        if known is None and raw and not any(not box.ignored for some in boxes for box in some):
            raise DataError(
                f"None of the {len(raw)} images has a box that counts, so there is nothing to learn.",
                "Give images with boxes.",
            )
        names = known.names if known is not None else tuple(sorted(counts))
        strata = tuple(
            min((box.label for box in some), key=lambda name: (counts[name], name), default="") for some in boxes
        )
        return Targets(names, torch.zeros(len(raw)), strata=strata)

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        return sorted({box.label for label in raw for box in checked(label)} - set(known.names))

    def show(self, raw: RawLabel) -> str:
        if not isinstance(raw, Boxes):
            return super().show(raw)
        if len(raw.boxes) > FEW:
            counts = Counter(box.label for box in raw.boxes).most_common()
            return ", ".join(f"{count} {label}" for label, count in counts)
        return ", ".join(map(words, raw.boxes)) or "nothing"

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        return dict(Counter(b.label for label in raw if isinstance(label, Boxes) for b in label.boxes).most_common())

    def problems(self, raw: Sequence[RawLabel]) -> list[Problem]:
        return super().problems(raw) or list(problems([r for r in raw if isinstance(r, Boxes)], self.options))

    def samples(self) -> list[RawLabel]:
        near, far = Box("cell", 4, 8, 30, 40), Box("dot", 30.5, 20, 60, 60)
        return [Boxes((near,), (64, 64)), Boxes((), (64, 64)), Boxes((near, far), (64, 64))] * 4

    # Pieces.

    @property
    def alike(self) -> bool:
        return True

    def pieces(self, given: WholeExample, backbone: Backbone, known: Targets) -> list[Piece]:
        side, size = self._side(backbone), given.value.size
        if self.options["tile"]:
            places = list(tiles(size, self.options["tile"], side))
        else:
            places = [Place(resized(size, side or self.options["size"]))]
        total = sum(math.prod(place.size) for place in places)
        return [self._piece(given, backbone, known, place, math.prod(place.size) / total) for place in places]

    def training_pieces(
        self, given: WholeExample, backbone: Backbone, known: Targets, rng: Random | None = None
    ) -> list[Piece]:
        if rng is None:
            return self.pieces(given, backbone, known)
        side, tile = self._side(backbone), self.options["tile"]
        length = tile or side or self.options["size"]
        placement = changed(given.value.size, length, not tile, self.options["orientations"], rng)
        if tile and side:
            placement = placement.then(resized(placement.size, side))
        piece = self._piece(given, backbone, known, Place(placement), 1.0)
        return [replaced(piece, value=shaken(piece.value, rng))]

    def _piece(self, given: WholeExample, backbone: Backbone, known: Targets, place: Place, weight: float) -> Piece:
        image: Image.Image = given.value
        label = None
        if given.label is not None:
            assert isinstance(given.label, Boxes)
            label = in_piece(given.label, given.facts, known.names, place.placement)
        value = place.placement.image(image, resampling(backbone.spec))
        return Piece(value, label, place, weight)

    def prepare(self, backbone: Backbone, values: list[Any]) -> State:
        state, side = prepared(backbone.spec, values), self._side(backbone)
        if side is None:
            return state
        right, bottom = side - state.hidden.shape[-1], side - state.hidden.shape[-2]
        return State(functional.pad(state.hidden, (0, right, 0, bottom)))  # the mean colour, or less of it

    def _side(self, backbone: Backbone) -> int | None:
        """The side of the only images that an encoder reads, see `only_side`; it is found by trying, so once."""
        name = backbone.spec.name
        if name not in self._sides:
            self._sides[name] = only_side(backbone)
        return self._sides[name]

    # Training.

    def recipe(self, recipe: Recipe) -> Recipe:
        return replaced(
            recipe,
            learning_rate=max(RATE, recipe.learning_rate),
            head_learning_rate=HEAD_RATE,
            batch_size=16,
            epochs=12,
        )

    def trivial_loss(self, known: Targets) -> float:
        return 3.0  # of labels, of edges, and of the overlap, about 1 each

    def loss(self, outputs: Seen, targets: Sequence[Any], smoothing: float = 0.0) -> Tensor:
        positions, rows = flat(outputs.values)
        return torch.stack([_loss(positions, row, boxes) for row, boxes in zip(rows, targets, strict=True)])

    # Answers.

    def decode(self, outputs: Seen, known: Targets) -> list[Tensor]:
        """The boxes of each piece, the most probable first, `(n, 6)`: corners in pixels of the piece, probability,
        number of the label."""
        positions, rows = flat(outputs.values)
        return [self._boxes(positions, row, piece.place) for row, piece in zip(rows, outputs.pieces, strict=True)]

    def _boxes(self, positions: Positions, row: Tensor, place: Place) -> Tensor:
        limits = torch.tensor([*place.size, *place.size], dtype=torch.float32)
        inside = (positions.points < limits[:2]).all(1, keepdim=True)  # beyond is what other images of the batch need
        probable = (row[:, BOX:].sigmoid() * row[:, BOX - 1 : BOX].sigmoid()).sqrt() * inside
        chosen, labels = (probable > self.options["threshold"]).nonzero(as_tuple=True)
        best = probable[chosen, labels].argsort(descending=True, stable=True)[:CANDIDATES]
        chosen, labels = chosen[best], labels[best]
        corners = positions.corners(row[:, :4])[chosen].clamp(min=0).minimum(limits)
        found = torch.cat([corners, probable[chosen, labels, None], labels[:, None].float()], 1)
        return self._apart(found[(corners[:, 2:] > corners[:, :2]).all(1)])

    def _apart(self, found: Tensor) -> Tensor:
        """Boxes `(n, 6)` of which none overlaps a more probable one of its label, the most probable first."""
        kept = batched_nms(found[:, :4].float(), found[:, 4].float(), found[:, 5].long(), APART)
        return found[kept[: self.options["most"]]]

    def join(self, found: Sequence[Tensor], pieces: Sequence[Piece], known: Targets) -> dict[str, Any]:
        moved = [_moved(boxes, piece.place) for boxes, piece in zip(found, pieces, strict=True)]
        every = torch.cat(moved) if moved else torch.zeros(0, 6, dtype=torch.float64)
        every = self._apart(every) if len(pieces) > 1 else every
        boxes = []
        for *corners, probability, number in every.tolist():
            place = dict(zip(("xmin", "ymin", "xmax", "ymax"), (round(c, 2) for c in corners), strict=True))
            boxes.append({"label": known.names[int(number)], "probability": probability, **place})
        return {"boxes": boxes}

    def scorer(self, known: Targets) -> Scorer:
        return BoxScores()

    def truth(self, given: RawLabel, known: Targets, facts: Mapping[str, Value]) -> Boxes:
        assert isinstance(given, Boxes)
        return shown(given, facts)

    def as_label(self, answer: Mapping[str, Any]) -> RawLabel:
        return boxes_of(answer)

    def as_answer(self, label: RawLabel, known: Targets) -> dict[str, Any]:
        sides = ("xmin", "ymin", "xmax", "ymax")
        boxes = [box for box in checked(label) if not box.ignored]
        return {
            "boxes": [
                {"label": box.label, "probability": 1.0, **{side: getattr(box, side) for side in sides}}
                for box in boxes
            ]
        }

    # What people see.

    def draw(self, raw: Raw, answer: Mapping[str, Any] | None, label: RawLabel | None, known: Targets) -> str:
        image, facts = opened(raw)
        pictures = []
        if isinstance(label, Boxes):
            pictures.append(("true", paint_boxes(image, shown(label, facts), known.names)))
        if answer is not None:
            pictures.append(("found", with_boxes(image, answer, known.names)))
        return side_by_side(pictures)

    def answer_folder(self, folder: Path, known: Targets) -> AnswerFolder:
        return BoxFolder(folder, known.names)

    # What people read.

    def nothing(self) -> dict[str, Any]:
        return {"boxes": None}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"In {plural(count, 'held-out image')} boxes have an average precision of {metrics['map_50']:.1%} where "
            f"they must overlap by half, and of {metrics['map']:.1%} over all (COCO's mAP); finding nothing has 0."
        )

    def columns(self) -> tuple[str, ...]:
        return (f"boxes of {SURE:g} and more", "most probable")

    def cells(self, answer: Mapping[str, Any]) -> tuple[str, ...]:
        counts = Counter(box["label"] for box in answer["boxes"] if box["probability"] >= SURE).most_common()
        first = ", ".join(f"{box['label']} {box['probability']:.2f}" for box in answer["boxes"][:3])
        return ", ".join(f"{count} {label}" for label, count in counts) or "nothing", first


def words(box: Box) -> str:
    return f"{box.label} ({box.xmin:g}, {box.ymin:g}) to ({box.xmax:g}, {box.ymax:g})"


def checked(label: RawLabel) -> tuple[Box, ...]:
    """The boxes of a label. Raises `DataError` for what are no boxes, and for one that holds no pixel."""
    if not isinstance(label, Boxes):
        raise DataError(
            f"The labels are not boxes (the first: '{str(label)[:60]}'); COCO, Pascal VOC, YOLO and other label files "
            "with boxes are accepted.",
            "See: graftwork check DATA --task detect",
        )
    for box in label.boxes:
        if not all(map(math.isfinite, (box.xmin, box.ymin, box.xmax, box.ymax))):
            raise _refused(box, "has a corner that is no number")
        if box.xmin > box.xmax or box.ymin > box.ymax:
            raise _refused(box, "is turned around")
        if box.xmin == box.xmax or box.ymin == box.ymax:
            raise _refused(box, "is empty")
    return label.boxes


def _refused(box: Box, why: str) -> DataError:
    return DataError(
        f"The box {words(box)} {why}; boxes whose maxima are greater than their minima are accepted.",
        "Mend or remove it; see: graftwork check DATA --task detect",
    )


def flat(values: Mapping[int, Tensor]) -> tuple[Positions, Tensor]:
    """The positions of all maps, and the outputs of a head there, `(B, P, 5 + labels)`, with distances in pixels."""
    sizes = {stride: (one.shape[-2], one.shape[-1]) for stride, one in values.items()}
    positions = Positions.of(sizes)
    rows = torch.cat([one.flatten(2).transpose(1, 2) for one in values.values()], 1)
    distances = rows[..., :4].clamp(max=FARTHEST).exp() * positions.strides.to(rows.device)[:, None]
    return positions, torch.cat([distances, rows[..., 4:]], 2)


def _loss(positions: Positions, row: Tensor, boxes: PieceBoxes) -> Tensor:
    """The loss of one piece. row: `(P, 5 + labels)`."""
    labels, corners = (one.to(row.device) for one in positions.assigned(boxes))
    there, counts = labels >= 0, labels != IGNORED
    wanted = torch.zeros_like(row[:, BOX:])
    wanted[there, labels[there]] = 1.0
    total = sigmoid_focal_loss(row[counts, BOX:], wanted[counts], reduction="sum")
    if bool(there.any()):
        found = positions.corners(row[:, :4])[there]
        apart = generalized_box_iou_loss(found, corners[there], reduction="none")
        overlap = _overlap(found.detach(), corners[there])
        quality = functional.binary_cross_entropy_with_logits(row[there, BOX - 1], overlap, reduction="sum")
        total = total + apart.sum() + quality
    return total / max(1, int(there.sum()))


def _overlap(found: Tensor, true: Tensor) -> Tensor:
    """IoU of boxes `(n, 4)` pair by pair, `(n,)`."""
    sides = (torch.minimum(found[:, 2:], true[:, 2:]) - torch.maximum(found[:, :2], true[:, :2])).clamp(min=0)
    both = sides.prod(1)
    areas = [(one[:, 2:] - one[:, :2]).prod(1) for one in (found, true)]
    return both / (areas[0] + areas[1] - both).clamp(min=1e-6)


def _moved(boxes: Tensor, place: Place) -> Tensor:
    """Boxes of a piece `(n, 6)` in pixels of its image, float64. Without those that an inner edge cuts where the next
    tile holds all of them."""
    boxes = boxes.double()
    back = place.placement.inverse()
    if any(place.inner):
        limits = boxes.new_tensor([*place.size, *place.size])
        inner = torch.tensor(place.inner)
        cut = torch.cat([boxes[:, :2] <= TOUCH, boxes[:, 2:4] >= limits[2:] - TOUCH], 1) & inner
        sides = back.boxes(boxes[:, :4])
        small = (sides[:, 2:] - sides[:, :2]) < place.shared
        boxes = boxes[~(cut & small.repeat(1, 2)).any(1)]
    corners = back.boxes(boxes[:, :4]).clamp(min=0).minimum(boxes.new_tensor([*back.size, *back.size]))
    return torch.cat([corners, boxes[:, 4:]], 1)
