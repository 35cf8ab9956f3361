"""`detect`: labels and their faults, losses, and answers from what a head gives."""

from __future__ import annotations

import math

import pytest
import torch

import graftwork as gw
from graftwork import Box, Boxes, DataError, MapView, Piece, Seen, Targets, UsageError
from graftwork.tasks.task import load_task
from graftwork_image.detect.assignment import RANGES, PieceBoxes, Positions
from graftwork_image.detect.cutting import Place, tiles
from graftwork_image.detect.head import BOX
from graftwork_image.detect.task import Detect, flat
from graftwork_image.geometry import Placement

KNOWN = Targets(("disc", "square"), torch.zeros(0))
SURE = 8.0


def task(**options) -> Detect:
    made = load_task("detect", options=options)
    assert isinstance(made, Detect)
    return made


def outputs(size: tuple[int, int], *found: tuple[int, list[float]], sure: float = SURE) -> dict[int, torch.Tensor]:
    """What a head would give that finds such boxes (label, corners) in a piece of this size, and nothing else."""
    made = {}
    for stride in RANGES:
        high, wide = (-(-length // stride) for length in size[::-1])
        positions = Positions.of({stride: (high, wide)})
        row = torch.full((high * wide, BOX + 2), -SURE)
        row[:, :4] = 0.0
        for label, corners in found:
            boxes = PieceBoxes(torch.tensor([corners]), torch.tensor([label]), torch.tensor([False]))
            far = max(corners[2] - corners[0], corners[3] - corners[1]) / 2
            if not RANGES[stride][0] < far <= RANGES[stride][1]:
                continue
            there = positions.assigned(boxes)[0] >= 0
            edges = torch.cat([positions.points - boxes.corners[0, :2], boxes.corners[0, 2:] - positions.points], 1)
            row[there, :4] = (edges[there] / stride).log()
            row[there, BOX - 1] = SURE
            row[there, BOX + label] = sure
        made[stride] = row.T.reshape(1, BOX + 2, high, wide)
    return made


def seen(values: dict[int, torch.Tensor], place: Place, label: PieceBoxes | None = None) -> Seen:
    count = len(values[8])
    return Seen(values, MapView(torch.zeros(count, 1, 1, 1), 8), [Piece(None, label, place)] * count)


def label(*boxes: tuple[int, list[float]], ignored: tuple[bool, ...] = ()) -> PieceBoxes:
    return PieceBoxes(
        torch.tensor([corners for _, corners in boxes]).reshape(-1, 4),
        torch.tensor([name for name, _ in boxes], dtype=torch.long),
        torch.tensor(ignored or [False] * len(boxes), dtype=torch.bool),
    )


# Labels.


@pytest.mark.parametrize(
    ("box", "why"),
    [
        (Box("a", 5, 1, 3, 4), "(5, 1) to (3, 4) is turned around"),
        (Box("a", 3, 1, 3, 4), "(3, 1) to (3, 4) is empty"),
        (Box("a", math.nan, 1, 3, 4), "(nan, 1) to (3, 4) has a corner that is no number"),
    ],
)
def test_boxes_that_hold_no_pixel_are_refused(box, why) -> None:
    with pytest.raises(DataError) as refused:
        task().encode([Boxes((Box("a", 0, 0, 1, 1), box))])
    assert refused.value.message == (f"The box a {why}; boxes whose maxima are greater than their minima are accepted.")


def test_labels_that_are_no_boxes_are_refused() -> None:
    with pytest.raises(DataError, match=r"^The labels are not boxes \(the first: 'cat'\); COCO, Pascal VOC, YOLO and"):
        task().encode(["cat"])


def test_images_without_any_box_that_counts_are_refused() -> None:
    with pytest.raises(DataError, match=r"^None of the 2 images has a box that counts, so there is nothing to learn\."):
        task().encode([Boxes(), Boxes((Box("a", 0, 0, 1, 1, ignored=True),))])


def test_names_are_learned_and_the_rarest_of_an_image_is_its_stratum() -> None:
    few, many = Box("few", 0, 0, 1, 1), Box("many", 0, 0, 1, 1)
    raw = [Boxes((many, few)), Boxes((many,)), Boxes()]
    targets = task().encode(raw)
    assert (targets.names, targets.strata) == (("few", "many"), ("few", "many", ""))
    assert task().unknown([Boxes((Box("new", 0, 0, 1, 1),))], targets) == ["new"]
    assert task().tally(raw) == {"many": 2, "few": 1}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"orientations": 4}, "orientations=4 is not accepted; 1, 2 and 8 are"),
        ({"size": 8}, "size=8 is not accepted; 32 to 8192 pixels are"),
        ({"tile": 100}, r"tile=100 is not accepted; 0 \(none\) and 128 to 4096 pixels are"),
        ({"threshold": 1}, "threshold=1 is not accepted; numbers between 0 and 1 are"),
        ({"most": 0}, "most=0 is not accepted; 1 to 10000 boxes are"),
    ],
)
def test_options_that_mean_nothing_are_refused(option, said) -> None:
    with pytest.raises(UsageError, match=f"^The task option {said}"):
        task(**option)


def test_a_label_and_an_answer_say_themselves_in_words() -> None:
    answer = {"boxes": [{"label": "a", "probability": 0.9, "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4.5}]}
    assert task().show(task().as_label(answer)) == "a (1, 2) to (3, 4.5)"
    assert task().show(Boxes()) == "nothing"
    assert task().show(Boxes((Box("a", 0, 0, 1, 1), *[Box("b", 0, 0, 1, 1)] * 4))) == "4 b, 1 a"
    assert task().cells(answer) == ("1 a", "a 0.90")
    assert task().columns() == ("boxes of 0.5 and more", "most probable")
    assert task().cells({"boxes": [{**answer["boxes"][0], "probability": 0.4}]}) == ("nothing", "a 0.40")
    assert (
        task()
        .headline({"map": 0.5, "map_50": 0.75}, 1200)
        .startswith("In 1 200 held-out images boxes have an average precision of 75.0% where they must overlap by half")
    )


def test_encoders_train_faster_than_their_recipe_says_where_it_is_for_names() -> None:
    usual = gw.Recipe(learning_rate=2e-5)
    found = task().recipe(usual)
    assert (found.learning_rate, found.head_learning_rate, found.batch_size) == (1e-4, 2e-3, 16)
    assert task().recipe(gw.Recipe(learning_rate=5e-4)).learning_rate == 5e-4


# What check says.


def found(raw: list[Boxes], **options) -> dict[str, str]:
    return {problem.kind: problem.message for problem in task(**options).problems(raw)}


def test_rare_labels_are_named() -> None:
    raw = [Boxes(tuple([Box("many", 0, 0, 90, 90)] * 60 + [Box("few", 0, 0, 90, 90)] * 3))]
    assert found(raw) == {
        "too_few": "1 of 2 labels has fewer than 20 boxes: 'few' (3).",
        "imbalance": "'many' has 60 boxes and 'few' has 3.",
    }


def test_images_without_boxes_are_counted() -> None:
    raw = [Boxes((Box("a", 0, 0, 90, 90),) * 20), Boxes(), Boxes()]
    assert found(raw) == {"no_boxes": "2 of 3 images have no box; they train as images where nothing is."}


def test_boxes_too_small_to_be_seen_are_counted_at_the_size_that_is_asked_for() -> None:
    raw = [Boxes((Box("a", 0, 0, 20, 20),) * 3 + (Box("a", 0, 0, 200, 200),) * 20, (2048, 1000))]
    assert found(raw) == {
        "tiny_boxes": "3 of 23 boxes are less than 8 pixels wide or high once images are resized to 512."
    }
    assert found(raw, size=1024) == found(raw, tile=512) == {}


def test_a_box_that_cannot_be_taken_is_the_only_problem() -> None:
    assert list(found([Boxes((Box("a", 3, 1, 3, 4),))])) == ["labels"]


# Losses.


def test_the_loss_is_least_where_each_box_is_found_and_nothing_else() -> None:
    box, place = [30.0, 40.0, 70.0, 90.0], Place(Placement((128, 128)))
    values, empty = outputs((128, 128), (0, box)), outputs((128, 128))

    def loss(values, label) -> float:
        return float(task().loss(seen(values, place, label), [label])[0])

    right = loss(values, label((0, box)))
    assert right < 0.1
    assert loss(values, label((1, box))) > right + 1
    assert loss(values, label((0, [20.0, 40.0, 70.0, 90.0]))) > right + 0.1
    assert loss(empty, label((0, box))) > right + 1
    assert loss(empty, label()) < 0.01
    assert loss(values, label()) > 1
    assert loss(values, label((0, box), ignored=(True,))) < 0.01


def test_each_piece_has_a_loss_of_its_own() -> None:
    box, place = (0, [30.0, 40.0, 70.0, 90.0]), Place(Placement((128, 128)))
    one, none = outputs((128, 128), box), outputs((128, 128))
    both = {stride: torch.cat([one[stride], none[stride]]) for stride in one}
    losses = task().loss(seen(both, place), [label(box), label()])
    assert losses.shape == (2,)
    assert torch.allclose(losses[0], task().loss(seen(one, place), [label(box)])[0])
    assert torch.allclose(losses[1], task().loss(seen(none, place), [label()])[0])


def test_outputs_and_positions_lie_in_the_same_order() -> None:
    values = {stride: torch.randn(2, 7, 256 // stride, 128 // stride) for stride in RANGES}
    positions, rows = flat(values)
    place = int(
        ((positions.points == torch.tensor([24.0, 40.0])) & (positions.strides == 16)[:, None]).all(1).nonzero()
    )
    assert torch.equal(rows[:, place, 4:], values[16][:, 4:, 2, 1])
    assert torch.allclose(rows[:, place, :4], 16 * values[16][:, :4, 2, 1].exp())


# Answers.


def answer(values, places: list[Place], **options) -> list[dict]:
    asked = task(**options)
    pieces = [Piece(None, None, place) for place in places]
    boxes = [asked.decode(seen(one, place), KNOWN)[0] for one, place in zip(values, places, strict=True)]
    return asked.join(boxes, pieces, KNOWN)["boxes"]


def corners(box: dict) -> list[float]:
    return [box[side] for side in ("xmin", "ymin", "xmax", "ymax")]


def test_a_box_found_by_many_positions_is_one_answer_in_pixels_of_the_original() -> None:
    place = Place(Placement((400, 200)).resized((200, 100)))
    found = answer([outputs((200, 100), (1, [20.0, 30.0, 60.0, 80.0]))], [place])
    assert len(found) == 1
    assert found[0]["label"] == "square"
    assert found[0]["probability"] > 0.99
    assert corners(found[0]) == pytest.approx([40, 60, 120, 160], abs=0.1)


def test_answers_are_sorted_cut_at_the_threshold_and_at_most_so_many() -> None:
    place, near, far = Place(Placement((256, 128))), [20.0, 30.0, 60.0, 80.0], [120.0, 30.0, 180.0, 80.0]
    values = outputs((256, 128), (0, near))
    less = outputs((256, 128), (1, far), sure=-1.0)
    both = {stride: torch.maximum(values[stride], less[stride]) for stride in values}
    assert [box["label"] for box in answer([both], [place])] == ["disc", "square"]
    assert [box["label"] for box in answer([both], [place], threshold=0.9)] == ["disc"]
    assert [box["label"] for box in answer([both], [place], most=1)] == ["disc"]
    assert answer([outputs((256, 128))], [place]) == []


def test_what_is_found_beyond_the_image_is_no_answer() -> None:
    place = Place(Placement((64, 64)))
    values = outputs((128, 128), (0, [80.0, 80.0, 120.0, 120.0]))
    assert answer([values], [place]) == []
    cut = answer([outputs((128, 128), (0, [20.0, 20.0, 80.0, 70.0]))], [place])
    assert corners(cut[0]) == pytest.approx([20, 20, 64, 64], abs=0.1)


def test_a_box_in_two_tiles_is_one_answer_and_its_cut_half_none() -> None:
    places = list(tiles((400, 256), 256, None))
    assert len(places) == 2
    whole = [180.0, 50.0, 230.0, 90.0]  # in both tiles
    cut = [230.0, 120.0, 280.0, 160.0]  # the first tile ends at 256
    first = outputs((256, 256), (0, whole), (1, [230.0, 120.0, 256.0, 160.0]))
    shift = 400 - 256
    second = outputs((256, 256), *((k, [b[0] - shift, b[1], b[2] - shift, b[3]]) for k, b in ((0, whole), (1, cut))))
    found = answer([first, second], places)
    assert {box["label"]: pytest.approx(corners(box), abs=0.1) for box in found} == {"disc": whole, "square": cut}
    assert len(found) == 2
