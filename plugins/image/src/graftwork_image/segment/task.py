"""`segment`: the class of each pixel of an image."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from graftwork import (
    AnswerFolder,
    Backbone,
    DataError,
    DenseTask,
    Loss,
    MapView,
    Mask,
    Metric,
    Piece,
    Problem,
    Raw,
    RawLabel,
    Recipe,
    Region,
    Scorer,
    Seen,
    Softmax,
    State,
    Targets,
    UsageError,
    Value,
    View,
    WholeExample,
    plural,
    show,
)
from graftwork_image.framing import DEEPEST, check_orientations, check_size, only_side, prepared, resampling
from graftwork_image.geometry import ORIENTATIONS, Placement, Size, upright
from graftwork_image.masks import IGNORED, class_map, size_of
from graftwork_image.painting import paint_mask
from graftwork_image.seeing import MaskFolder, opened, side_by_side
from graftwork_image.segment.answers import as_runs
from graftwork_image.segment.changes import changed
from graftwork_image.segment.classes import Painted, PixelCounts, as_mask, class_weights, ordered, total
from graftwork_image.segment.scores import MaskScores
from graftwork_image.segment.tiles import Place, joined, read_at, tiled

EPOCHS, BATCH, RATE = 40, 2, 2e-3
"""Of the decoder. Pictures are few and each has many pixels, so that steps of two tell enough."""

ROWS = 256
"""The most positions of a piece that a linear head is solved on; neighbours say nearly the same."""

RARE = 0.001
"""The share of pixels below which `check` names a class."""

AT_ONCE = 4


class Segment(DenseTask):
    """Each pixel has one class of those that the masks name.

    Options: size, the longer side in pixels at which a picture is read (0 leaves it as it is); tile, the longest side
    that is read at once, and overlap, the part of a tile that the next one shares; crop, the longest side of what
    --augment cuts out of a picture (0: as large as a tile); orientations, in how many a picture may lie (1, 2 for
    mirrored ones, 8 for any quarter turn, mirrored or not), for --augment and for averaged, where an answer is the mean
    over all of them; elastic, whether --augment bends pictures; class_weights, how much more a pixel of a rare class
    counts (0: as one of any other; 1: each class counts the same).
    """

    figures: ClassVar = (
        Metric("mean_iou", "mean IoU"),
        Metric("dice", "dice"),
        Metric("pixel_accuracy", "pixel accuracy"),
    )
    tie_break: ClassVar = figures[2]
    of_answers: ClassVar[frozenset[str]] = frozenset({"class_weights"})
    applicable: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "c"})
    usual: ClassVar[Mapping[str, Any]] = {
        "size": 512, "tile": 1024, "overlap": 0.25, "crop": 0, "orientations": 2, "averaged": False, "elastic": False,
        "class_weights": 0.5,
    }  # fmt: skip

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        _check_options(self.options)
        self._counts = PixelCounts()
        self._sides: WeakKeyDictionary[Backbone, int | None] = WeakKeyDictionary()

    # Labels.

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        counts = self._counts(raw)
        strata = _strata(counts)
        if known is not None:
            return Targets(known.names, torch.zeros(len(raw)), known.learned, strata)
        pixels = total(counts)
        names = ordered(pixels)
        if len(names) < 2:
            said = f"one class, '{names[0]}'" if names else "no class"
            raise DataError(
                f"The {len(raw)} masks have {said}, so there is nothing to tell apart; two or more are accepted.",
                "Give masks with another class; a level that is to count as one must not be ignored.",
            )
        learned = {"weights": class_weights([pixels[name] for name in names], self.options["class_weights"])}
        return Targets(names, torch.zeros(len(raw)), learned, strata)

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        return sorted(set(total(self._counts(raw))) - set(known.names))

    def show(self, raw: RawLabel) -> str:
        if not isinstance(raw, Mask):
            return super().show(raw)
        (counts,) = self._counts([raw])
        every = max(1, sum(counts.values()))
        return ", ".join(f"{name} {count / every:.0%}" for name, count in counts.items()) or "nothing"

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        masks = [label for label in raw if isinstance(label, Mask)]
        return dict(Counter(name for counts in self._counts(masks) for name in ordered(counts)).most_common())

    def problems(self, raw: Sequence[RawLabel]) -> list[Problem]:
        found = super().problems(raw)
        if found:
            return found
        counts = self._counts(raw)
        pixels = total(counts)
        every = sum(pixels.values())
        for name in ordered(pixels):
            if every and pixels[name] < RARE * every:
                found.append(
                    Problem(
                        "rare_class",
                        f"The class '{name}' has {pixels[name] / every:.2%} of the pixels; a class of so few is seldom "
                        "learned.",
                        "Add images with it, cut them around it, or join it with another: --label-map FILE",
                        sum(name in one for one in counts),
                    )
                )
        alone = sum(len(one) == 1 for one in counts)
        if 2 * alone > len(counts):
            found.append(
                Problem(
                    "one_class",
                    f"{show(alone)} of {show(len(counts))} masks have one class alone.",
                    "See whether they are labelled to the end.",
                    alone,
                )
            )
        return found

    def samples(self) -> list[RawLabel]:
        square, corner = (1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0), (0.0, 0.0, 3.0, 0.0, 0.0, 3.0)
        masks = [
            Mask(regions=(Region("cell", (square,)),), size=(8, 6)),
            Mask(regions=(Region("wall", (corner,)), Region("cell", (square,))), size=(8, 6)),
            Mask(size=(8, 6)),
        ]
        return [mask for _ in range(4) for mask in masks]

    # Pieces.

    @property
    def alike(self) -> bool:
        return not self.options["averaged"]

    def pieces(self, given: WholeExample, backbone: Backbone, known: Targets) -> list[Piece]:
        turns = ORIENTATIONS[self.options["orientations"] if self.options["averaged"] else 1]
        return self._pieces(given, backbone, known, turns)

    def training_pieces(
        self, given: WholeExample, backbone: Backbone, known: Targets, rng: Random | None = None
    ) -> list[Piece]:
        if rng is None:
            return self._pieces(given, backbone, known, (1,))
        image, mask = self._as_read(given, backbone, known)
        assert mask is not None, "training examples are labelled"
        side = self.options["crop"] or self._tile(backbone)
        window = min(side, image.width), min(side, image.height)  # a larger one would only cost time
        image, mask = changed(
            image, mask, window, rng, self.options["orientations"], self.options["elastic"],
            resampling(backbone.spec),
        )  # fmt: skip
        label = Painted.of(mask, known.learned["weights"])
        return [Piece(self._filled(image, backbone), label, Place(image.size, image.size, 0, 0, image.size))]

    def _pieces(
        self, given: WholeExample, backbone: Backbone, known: Targets, turns: Sequence[int]
    ) -> list[Piece]:  # fmt: skip
        image, mask = self._as_read(given, backbone, known)
        made = []
        for place in tiled(given.value.size, image.size, self._tile(backbone), self.options["overlap"]):
            cut = Placement(image.size).cropped(place.left, place.top, *place.size)
            for turn in turns:
                moved = cut.turned(turn)
                value = self._filled(moved.image(image), backbone)
                label = None if mask is None else Painted.of(moved.mask(mask, IGNORED), known.learned["weights"])
                made.append(Piece(value, label, replace(place, turn=turn), place.size[0] * place.size[1]))
        return made

    def _as_read(
        self, given: WholeExample, backbone: Backbone, known: Targets
    ) -> tuple[Image.Image, np.ndarray | None]:  # fmt: skip
        """The picture at the size at which it is read, and the classes of its pixels."""
        image: Image.Image = given.value
        placement = Placement(image.size)
        if (size := read_at(image.size, self.options["size"])) != image.size:
            placement = placement.resized(size)
        mask = None
        if given.label is not None:
            mask = placement.mask(self.truth(given.label, known, given.facts), IGNORED)
        return placement.image(image, resampling(backbone.spec)), mask

    def _tile(self, backbone: Backbone) -> int:
        return self._only_side(backbone) or self.options["tile"]

    def _only_side(self, backbone: Backbone) -> int | None:
        if backbone not in self._sides:
            self._sides[backbone] = only_side(backbone)
        return self._sides[backbone]

    def _filled(self, image: Image.Image, backbone: Backbone) -> Image.Image:
        """Made as large as an encoder needs it that reads one size alone."""
        side = self._only_side(backbone)
        return image if side is None else Placement(image.size).cropped(0, 0, side, side).image(image)

    def prepare(self, backbone: Backbone, values: list[Any]) -> State:
        return prepared(backbone.spec, values)

    def at_once(self, backbone: Backbone) -> int:
        return AT_ONCE

    # Training.

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, epochs=max(EPOCHS, recipe.epochs), batch_size=BATCH, head_learning_rate=RATE)

    def solver_loss(self) -> Loss:
        return Softmax()

    def trivial_loss(self, known: Targets) -> float:
        return math.log(len(known.names)) + 1.0

    def loss(self, outputs: Seen, targets: Sequence[Painted], smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of pixels by the weight of their class, and the dice loss (Milletari et al. 2016,
        arXiv:1606.04797) over the classes that a piece has."""
        logits = full(outputs).float()
        classes = torch.full((len(targets), *logits.shape[2:]), IGNORED)
        for row, painted in enumerate(targets):
            width, height = painted.size
            classes[row, :height, :width] = torch.from_numpy(painted.classes()).long()
        classes = classes.to(logits.device)
        weights = torch.tensor(targets[0].weights, device=logits.device)
        losses = functional.cross_entropy(
            logits, classes, weights, ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
        )
        counted = classes != IGNORED
        weight = weights[classes.where(counted, 0)] * counted
        entropy = losses.sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
        there = functional.one_hot(classes.where(counted, 0), logits.shape[1]).movedim(3, 1) * counted[:, None]
        chances = logits.softmax(1) * counted[:, None]
        size = there.sum((2, 3))
        overlap = (2 * (chances * there).sum((2, 3)) + 1) / (chances.sum((2, 3)) + size + 1)
        has = size > 0
        return entropy + ((1 - overlap) * has).sum(1) / has.sum(1).clamp(min=1)

    def rows(self, view: View, pieces: Sequence[Piece]) -> tuple[Tensor, Tensor]:
        """At most 256 positions of each piece, evenly spread, each with the class of the pixel in its middle."""
        assert isinstance(view, MapView)
        features, found = [], []
        for hidden, piece in zip(view.hidden, pieces, strict=True):
            classes = torch.from_numpy(piece.label.classes()).long()
            middle = view.stride // 2
            down = torch.arange(min(hidden.shape[1], -(-(classes.shape[0] - middle) // view.stride)))
            across = torch.arange(min(hidden.shape[2], -(-(classes.shape[1] - middle) // view.stride)))
            here = classes[down * view.stride + middle][:, across * view.stride + middle]
            chosen = (here != IGNORED).flatten().nonzero()[:, 0]
            chosen = chosen[:: max(1, -(-len(chosen) // ROWS))]
            features.append(hidden[:, : len(down), : len(across)].flatten(1).T[chosen.to(hidden.device)])
            found.append(here.flatten()[chosen])
        return torch.cat(features), torch.cat(found)

    # Answers.

    def decode(self, outputs: Seen, known: Targets) -> list[np.ndarray]:
        """The probabilities of the classes in each piece, `(K, h, w)` float16."""
        chances = full(outputs).softmax(1).half().numpy()
        shown = [piece.place.shown for piece in outputs.pieces]
        return [one[:, :height, :width].copy() for one, (width, height) in zip(chances, shown, strict=True)]

    def join(self, found: Sequence[np.ndarray], pieces: Sequence[Piece], known: Targets) -> dict[str, Any]:
        return self._answer(joined(found, [piece.place for piece in pieces]), known)

    def _answer(self, mask: np.ndarray, known: Targets) -> dict[str, Any]:
        counts = np.bincount(mask.ravel(), minlength=len(known.names))[: len(known.names)]
        shares = {name: int(count) / mask.size for name, count in zip(known.names, counts, strict=True)}
        return {"mask": mask, "shares": shares}

    def scorer(self, known: Targets) -> Scorer:
        return MaskScores(known.names)

    def truth(self, given: RawLabel, known: Targets, facts: Mapping[str, Value]) -> np.ndarray:
        """The classes of the pixels of the upright picture, `(H, W)`."""
        mask = as_mask(given)
        stored: Size = (int(facts["width"]), int(facts["height"]))
        placement = upright(size_of(mask), stored, int(facts["orientation"]))
        return placement.mask(class_map(mask, known.names, placement.source), IGNORED)

    def as_label(self, answer: Mapping[str, Any]) -> RawLabel:
        file = io.BytesIO()
        Image.fromarray(answer["mask"]).save(file, "PNG")
        return Mask(content=file.getvalue(), names={str(number): name for number, name in enumerate(answer["shares"])})

    def as_answer(self, label: RawLabel, known: Targets) -> dict[str, Any]:
        mask = as_mask(label)
        size = size_of(mask)
        assert size is not None, "a mask that says its size"
        return self._answer(class_map(mask, known.names, size), known)

    def as_json(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        if answer.get("mask") is None:
            return dict(answer)
        return {**answer, "mask": as_runs(answer["mask"], list(answer["shares"]))}

    # What people see.

    def draw(self, raw: Raw, answer: Mapping[str, Any] | None, label: RawLabel | None, known: Targets) -> str:
        image, facts = opened(raw)
        pictures = []
        if label is not None:
            pictures.append(("true", paint_mask(image, self.truth(label, known, facts), known.names)))
        if answer is not None:
            pictures.append(("found", paint_mask(image, answer["mask"], known.names)))
        return side_by_side(pictures)

    def answer_folder(self, folder: Path, known: Targets) -> AnswerFolder:
        return MaskFolder(folder, known.names)

    # What people read.

    def nothing(self) -> dict[str, Any]:
        return {"mask": None, "shares": None}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"In {plural(count, 'held-out image')} {metrics['pixel_accuracy']:.1%} of the pixels have the right class "
            f"(always the most frequent one: {metrics['majority']:.1%}), and what is found and what is there "
            f"overlap with a mean IoU of {metrics['mean_iou']:.3f}, a dice of {metrics['dice']:.3f}."
        )

    def columns(self) -> tuple[str, ...]:
        return ("shares",)

    def cells(self, answer: Mapping[str, Any]) -> tuple[str, ...]:
        shares = sorted(answer["shares"].items(), key=lambda item: -item[1])
        return (", ".join(f"{name} {share:.1%}" for name, share in shares if share),)

    def as_row(self, answer: Mapping[str, Any], top: int = 1) -> dict[str, Any]:
        """The share of each class; masks are files of their own."""
        return {f"share_{name}": share for name, share in answer["shares"].items()}


def full(outputs: Seen) -> Tensor:
    """The outputs of a head `(B, K, H, W)` at the resolution of the prepared pixels."""
    logits: Tensor = outputs.values
    view = outputs.view
    if isinstance(view, MapView):
        high, wide = (side * view.stride for side in view.hidden.shape[-2:])
    else:
        stride = min(view)  # pyright: ignore[reportArgumentType]
        high, wide = (side * stride for side in view[stride].hidden.shape[-2:])  # pyright: ignore
    # Sides of prepared pixels are a multiple of 32, and maps of strides that are none reach beyond them.
    if logits.shape[-2:] != (high, wide):
        logits = functional.interpolate(logits.float(), size=(high, wide), mode="bilinear", align_corners=False)
    return logits[..., : high // DEEPEST * DEEPEST or high, : wide // DEEPEST * DEEPEST or wide]


def _strata(counts: Sequence[Mapping[str, int]]) -> tuple[str, ...]:
    """For each picture its class that the fewest pictures have, so that each split gets some of it."""
    pictures = Counter(name for one in counts for name in one)
    return tuple(min(one, key=lambda name: (pictures[name], name), default="") for one in counts)


def _check_options(said: Mapping[str, Any]) -> None:
    if said["size"]:
        check_size(said["size"])
    if said["tile"] < DEEPEST or said["tile"] % DEEPEST:
        raise UsageError(
            f"The task option tile={said['tile']} is not accepted; a multiple of {DEEPEST} pixels is.",
            "Write: --task-option tile=1024",
        )
    if said["crop"] and (said["crop"] < DEEPEST or said["crop"] % DEEPEST):
        raise UsageError(
            f"The task option crop={said['crop']} is not accepted; 0 and a multiple of {DEEPEST} pixels are.",
            "Write: --task-option crop=256",
        )
    if not 0 <= said["overlap"] <= 0.9:
        raise UsageError(
            f"The task option overlap={said['overlap']} is not accepted; 0 to 0.9 is.",
            "Write: --task-option overlap=0.25",
        )
    check_orientations(said["orientations"])
    if not 0 <= said["class_weights"] <= 1:
        raise UsageError(
            f"The task option class_weights={said['class_weights']} is not accepted; 0 to 1 is.",
            "Write: --task-option class_weights=0.5",
        )
    if said["averaged"] and said["orientations"] == 1:
        raise UsageError(
            "The task option averaged=true takes the mean over orientations, and orientations=1 has one.",
            "Write: --task-option orientations=2",
        )
