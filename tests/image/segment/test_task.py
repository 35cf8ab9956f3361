"""`segment` goes the whole way, from pictures with masks to the class of each pixel of new ones."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import graftwork as gw
from graftwork.tasks.task import load_task
from graftwork_image.masks import IGNORED
from graftwork_image.reader import ORIENTATION
from graftwork_image.segment.answers import from_runs
from graftwork_image.segment.classes import Painted, class_weights, ordered
from graftwork_image.segment.task import Segment
from graftwork_image.segment.tiles import Place

QUICK = {"size": 64, "tile": 64}
STEPS: dict[str, Any] = {"epochs": 2, "batch_size": 3, "patience": 0}
FIGURES = {"mean_iou", "dice", "pixel_accuracy", "majority", "by_label"}


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def task(**options) -> Segment:
    made = load_task("segment", options=options)
    assert isinstance(made, Segment)
    return made


def seen(logits: torch.Tensor, pieces: list[gw.Piece]) -> gw.Seen:
    """Outputs `(B, K, H, W)` of a head that reads the pixels themselves."""
    return gw.Seen(logits, {1: gw.MapView(torch.zeros(len(logits), 3, *logits.shape[2:]), 1)}, pieces)


def painted(classes: np.ndarray, weights: tuple[float, ...] = (1.0, 1.0)) -> gw.Piece:
    size = classes.shape[1], classes.shape[0]
    return gw.Piece(None, Painted.of(classes, weights), Place(size, size, 0, 0, size))


def losses(logits: torch.Tensor, *classes: np.ndarray, weights: tuple[float, ...] = (1.0, 1.0)) -> list[float]:
    pieces = [painted(one, weights) for one in classes]
    return task().loss(seen(logits, pieces), [piece.label for piece in pieces]).tolist()


# Fits.


@pytest.mark.parametrize("freeze", ["head", "all", "last:1", "lpft"])
def test_a_fit_with_any_policy_is_proved_and_answers_the_same_when_loaded(tiny, pictures, tmp_path, freeze) -> None:
    folder = pictures(5)
    run = gw.fit(folder, tiny, task="segment", freeze=freeze, options=QUICK, **STEPS)
    assert set(run.metrics) >= FIGURES
    assert run.record["certificate"]["ok"]
    assert run.labels == ["0", "1", "2"]
    (answer,) = run.predict([folder / "images" / "0.png"])
    assert answer["mask"].shape == (64, 64)
    assert sum(answer["shares"].values()) == pytest.approx(1)
    loaded = gw.load(run.save(tmp_path / "run"))
    (again,) = loaded.predict([folder / "images" / "0.png"])
    assert np.array_equal(again["mask"], answer["mask"])
    assert loaded.evaluate(folder)["metrics"]["pixel_accuracy"] > 0


def test_three_pictures_are_learned_by_heart(tiny, pictures) -> None:
    folder = pictures(3, name="drawn/train").parent
    pictures(3, name="drawn/val")
    run = gw.fit(folder, tiny, task="segment", options=QUICK, epochs=70, batch_size=3, patience=0, head_lr=5e-3)
    history = run.record["training"]["history"]
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]
    assert run.metrics["mean_iou"] > 0.9


def test_the_linear_head_is_solved_exactly(tiny, pictures) -> None:
    run = gw.fit(pictures(5), tiny, task="segment", head="map-linear", options=QUICK)
    assert run.record["training"]["converged"]
    assert run.metrics["pixel_accuracy"] >= run.metrics["majority"] - 0.05
    assert run.metrics["mean_iou"] > 0.3


def test_the_same_seed_gives_the_same_masks(tiny, pictures) -> None:
    folder = pictures(4)
    runs = [
        gw.fit(folder, tiny, task="segment", options=QUICK, augment=True, views=2, cache=False, seed=3, **STEPS)
        for _ in range(2)
    ]
    assert runs[0].metrics == runs[1].metrics


def test_augmented_views_are_kept_and_differ_from_the_pictures(tiny, pictures) -> None:
    options = {**QUICK, "orientations": 8, "elastic": True}
    run = gw.fit(pictures(4), tiny, task="segment", options=options, augment=True, views=2, **STEPS)
    assert run.record["training"]["states_kept"]
    assert run.record["training"]["states"]["misses"] == 3 * 2 + 1


@pytest.mark.parametrize(("crop", "side"), [(0, 96), (64, 64), (256, 96)])
def test_what_training_cuts_out_is_as_large_as_crop_says(tiny, pictures, monkeypatch, crop, side) -> None:
    """A picture of 96 pixels; answers read all of it."""
    sizes: dict[str, set[tuple[int, int]]] = {"training_pieces": set(), "pieces": set()}
    for name, found in sizes.items():
        cut = getattr(Segment, name)

        def noted(self, *args, cut=cut, found=found) -> list[gw.Piece]:
            made = cut(self, *args)
            found |= {piece.value.size for piece in made}
            return made

        monkeypatch.setattr(Segment, name, noted)
    options = {"size": 96, "tile": 96, "crop": crop}
    gw.fit(pictures(4, size=(96, 96)), tiny, task="segment", options=options, augment=True, cache=False, **STEPS)
    largest = [tuple(max(size[side] for size in found) for side in (0, 1)) for found in sizes.values()]
    assert largest == [(side, side), (96, 96)]


def test_what_is_frozen_is_computed_once_for_training_and_answers(tiny, pictures) -> None:
    folder = pictures(4)
    run = gw.fit(folder, tiny, task="segment", options=QUICK, **STEPS)
    assert run.record["training"]["states"]["misses"] == 4
    again = gw.fit(folder, tiny, task="segment", head="map-linear", options=QUICK)
    assert again.metrics["pixel_accuracy"] > 0


# Pictures of any size, turned, in tiles.


def test_answers_have_the_size_of_the_picture_however_odd(tiny, pictures) -> None:
    folder = pictures(4, size=(71, 45))
    run = gw.fit(folder, tiny, task="segment", options=QUICK, **STEPS)
    wide, narrow = np.zeros((45, 71, 3)), np.zeros((130, 7, 3))
    assert [answer["mask"].shape for answer in run.predict([png(wide), png(narrow)])] == [(45, 71), (130, 7)]


def turned(image: Image.Image, tag: int) -> Image.Image:
    """The pixels as a camera stores them that writes the EXIF tag."""
    back = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180}
    return image.transpose(back[tag])


@pytest.mark.parametrize("stored", [True, False])
def test_masks_of_turned_pictures_are_read_as_stored_and_as_upright(tiny, pictures, stored) -> None:
    folder = pictures(4, size=(64, 40))
    plain = gw.fit(folder, tiny, task="segment", head="map-linear", options=QUICK)
    for path in (folder / "images").iterdir():
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        turned(Image.open(path), 6).save(path, exif=exif)
        mask = folder / "masks" / path.name
        if stored:
            turned(Image.open(mask), 6).save(mask)
    run = gw.fit(folder, tiny, task="segment", head="map-linear", options=QUICK)
    assert run.metrics == plain.metrics
    assert run.predict([folder / "images" / "0.png"])[0]["mask"].shape == (40, 64)


def test_a_linear_head_answers_the_same_with_and_without_tiles(tiny, pictures) -> None:
    folder = pictures(3, size=(160, 96))
    made = [
        gw.fit(folder, tiny, task="segment", head="map-linear", options={"size": 0, "tile": tile, "overlap": 0.5})
        for tile in (64, 256)
    ]
    whole, head = made[1], made[0]
    head._head.load_state_dict(whole._head.state_dict())
    for path in (folder / "images").iterdir():
        one, other = (run.predict([path])[0]["mask"] for run in made)
        assert (one == other).mean() > 0.97


@pytest.mark.parametrize("head", ["unet", "map-linear"])
def test_an_encoder_that_reads_one_size_alone_reads_tiles_of_it(tiny_vit, pictures, head) -> None:
    folder = pictures(4, size=(80, 50))
    steps = {} if head == "map-linear" else STEPS
    run = gw.fit(folder, tiny_vit, task="segment", head=head, options={"size": 0}, **steps)
    small = np.zeros((20, 25, 3))
    assert [one["mask"].shape for one in run.predict([folder / "images" / "0.png", png(small)])] == [(50, 80), (20, 25)]


def test_answers_may_be_the_mean_over_orientations(tiny, pictures) -> None:
    folder = pictures(4)
    options = {**QUICK, "orientations": 8, "averaged": True}
    run = gw.fit(folder, tiny, task="segment", options=options, **STEPS)
    image = Image.open(folder / "images" / "0.png")
    plain, flipped = (
        run.predict([picture])[0]["mask"] for picture in (image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    )
    assert (plain == flipped[:, ::-1]).mean() > 0.995


# The loss.


def test_ignored_pixels_change_nothing() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 2, 32, 32)
    classes = np.zeros((32, 32), np.uint8)
    classes[:, 10:] = 1
    classes[5:9] = IGNORED
    changed = logits.clone()
    changed[:, :, 5:9] = 50 * torch.randn(1, 2, 4, 32)
    assert losses(changed, classes) == pytest.approx(losses(logits, classes))
    assert losses(logits, np.full((32, 32), IGNORED, np.uint8)) == [0.0]


def test_the_loss_of_a_piece_is_its_own_and_padding_is_ignored() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 64, 64)
    small, large = np.eye(20, 30).astype(np.uint8), np.eye(64).astype(np.uint8)
    both = losses(logits, small, large)
    assert both == pytest.approx(losses(logits[:1], small) + losses(logits[1:], large))
    logits[0, :, 20:] = 9.0
    assert losses(logits, small, large) == pytest.approx(both)


def test_a_right_answer_costs_nothing_and_rare_classes_weigh_more() -> None:
    classes = np.zeros((32, 32), np.uint8)
    classes[:2] = 1
    right = 20 * torch.nn.functional.one_hot(torch.from_numpy(classes).long(), 2).movedim(2, 0)[None].float()
    assert losses(right, classes)[0] < 1e-3
    missed = torch.zeros(1, 2, 32, 32)
    missed[:, 0] = 3.0
    assert losses(missed, classes, weights=(0.5, 4.0))[0] > losses(missed, classes)[0] + 0.2


def test_weights_are_inverse_square_roots_and_one_on_average() -> None:
    assert class_weights([900, 100]) == pytest.approx([0.8333, 2.5])
    assert class_weights([10**9, 1]) == [1.0, 10.0]
    assert class_weights([0, 0]) == [1.0, 1.0]
    assert class_weights([900, 100], 0.0) == [1.0, 1.0]
    assert class_weights([900, 100], 1.0) == pytest.approx([0.5556, 5.0])
    assert task(class_weights=0.0).encode([mask(0, 0, 0, 1)]).learned["weights"] == [1.0, 1.0]


# Labels.


def mask(*levels: int, **said) -> gw.Mask:
    return gw.Mask(content=png(np.array([levels])), **said)


def test_the_background_is_the_first_class_and_levels_follow_by_number() -> None:
    assert ordered({"10", "9", "wall", "background"}) == ("background", "9", "10", "wall")


def test_weights_are_learned_from_the_pixels_of_all_masks() -> None:
    known = task().encode([mask(0, 0, 0, 1), mask(0, 0, 0, 7, ignored=frozenset({"7"}))])
    assert known.names == ("0", "1")
    assert known.learned["weights"] == class_weights([6, 1])
    assert task().unknown([mask(0, 2)], known) == ["2"]


def test_masks_of_one_class_are_refused() -> None:
    with pytest.raises(
        gw.DataError,
        match=r"The 2 masks have one class, '0', so there is nothing to tell apart; two or more are accepted\. Give",
    ):
        task().encode([mask(0, 0), mask(0, 0)])


def test_labels_that_are_no_masks_are_refused() -> None:
    with pytest.raises(
        gw.DataError,
        match=r"The labels are not masks of the images \(the first: 'cat'\); mask images, polygons and runs are acc",
    ):
        task().encode(["cat", "dog"])


def test_a_mask_of_another_size_than_its_picture_is_refused_in_a_fit(tiny, pictures) -> None:
    folder = pictures(4)
    Image.new("L", (30, 20)).save(folder / "masks" / "1.png")
    with pytest.raises(gw.DataError, match=r"is of 30 x 20 pixels, and the image of 64 x 64 pixels"):
        gw.fit(folder, tiny, task="segment", options=QUICK, **STEPS)


def test_check_names_rare_classes_and_masks_of_one_class() -> None:
    masks = [gw.Mask(content=png(np.zeros((50, 50)))) for _ in range(3)]
    dot = np.zeros((50, 50))
    dot[0, :3] = 4
    found = {problem.kind: problem for problem in task().problems([*masks, gw.Mask(content=png(dot))])}
    assert found["rare_class"].message.startswith("The class '4' has 0.03% of the pixels; a class of so few is seldom")
    assert found["rare_class"].count == 1
    assert found["one_class"].message == "3 of 4 masks have one class alone."
    assert not task().problems([mask(0, 1)] * 3)


def test_a_mask_in_words_and_how_many_pictures_have_each_class() -> None:
    assert task().show(mask(0, 0, 0, 1)) == "0 75%, 1 25%"
    assert task().tally([mask(0, 1), mask(0, 0)]) == {"0": 2, "1": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 20}, r"The task option size=20 is not accepted; 32 to 8192 pixels are\."),
        ({"tile": 100}, r"The task option tile=100 is not accepted; a multiple of 32 pixels is\."),
        ({"crop": 100}, r"The task option crop=100 is not accepted; 0 and a multiple of 32 pixels are\."),
        ({"overlap": 1.5}, r"The task option overlap=1\.5 is not accepted; 0 to 0\.9 is\."),
        ({"class_weights": -1.0}, r"The task option class_weights=-1\.0 is not accepted; 0 to 1 is\."),
        ({"orientations": 4}, r"The task option orientations=4 is not accepted; 1, 2 and 8 are\."),
        ({"averaged": True, "orientations": 1}, r"averaged=true takes the mean over orientations, and orientations=1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said) -> None:
    with pytest.raises(gw.UsageError, match=said):
        task(**options)


# Answers.


def test_the_json_of_an_answer_holds_its_mask_in_runs() -> None:
    numbers = np.random.default_rng(0).integers(0, 3, (13, 7)).astype(np.uint8)
    answer = {"mask": numbers, "shares": {"a": 0.5, "b": 0.3, "c": 0.2}}
    said = json.loads(json.dumps(task().as_json(answer)))
    assert said["shares"] == answer["shares"]
    assert np.array_equal(from_runs(said["mask"], ("a", "b", "c")), numbers)
    assert task().as_json(task().nothing()) == {"mask": None, "shares": None}


def test_an_answer_is_a_label_too() -> None:
    answer = {"mask": np.array([[0, 1]], np.uint8), "shares": {"ground": 0.5, "wall": 0.5}}
    label = task().as_label(answer)
    known = gw.Targets(("ground", "wall"), torch.zeros(0))
    facts = {"width": 2, "height": 1, "orientation": 1}
    assert task().truth(label, known, facts).tolist() == [[0, 1]]


def test_what_people_read_of_an_answer() -> None:
    answer = {"input": "a.png", "mask": np.zeros((1, 4)), "shares": {"wall": 0.25, "cell": 0.75, "gap": 0.0}}
    assert task().cells(answer) == ("cell 75.0%, wall 25.0%",)
    assert task().as_row(answer) == {"share_wall": 0.25, "share_cell": 0.75, "share_gap": 0.0}
    figures = {"mean_iou": 0.5, "dice": 0.61, "pixel_accuracy": 0.912, "majority": 0.7}
    assert task().headline(figures, 3) == (
        "In 3 held-out images 91.2% of the pixels have the right class (always the most frequent one: 70.0%), and "
        "what is found and what is there overlap with a mean IoU of 0.500, a dice of 0.610."
    )


def test_the_command_line_fits_and_answers_in_json(tiny, pictures, tmp_path: Path, shell) -> None:
    folder = pictures(4)
    run = tmp_path / "run"
    said = shell.json(
        "fit", folder, "--task", "segment", "--backbone", tiny, "--head", "map-linear", "--task-option", "size=64",
        "--out", run,
    )  # fmt: skip
    assert said["metrics"]["mean_iou"] > 0.2
    (answer,) = shell.json("predict", run, folder / "images" / "0.png")
    assert from_runs(answer["mask"], list(answer["shares"])).shape == (64, 64)
