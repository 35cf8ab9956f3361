"""`detect` goes the whole way: from label files to boxes in pixels of the original."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTConfig, ViTModel

import graftwork as gw
from graftwork import Box, Boxes, Run, Targets, WholeExample
from graftwork.plugins import registry
from graftwork.tasks.task import load_task
from graftwork_image.detect.task import Detect

from .conftest import draw, drawn

SIZES = [(128, 96), (96, 128), (128, 128), (112, 80)]
KNOWN = Targets(("disc", "square"), torch.zeros(0))
QUICK: dict[str, Any] = {"task": "detect", "options": {"size": 128}, "epochs": 1, "batch_size": 5}
STEPS = {**QUICK, "epochs": 30, "head_lr": 3e-3, "warmup": 0.2, "patience": 0}


def task(**options) -> Detect:
    made = load_task("detect", options=options)
    assert isinstance(made, Detect)
    return made


def boxes(answer: dict) -> dict[str, list[float]]:
    """The corners of the surest box of each label."""
    found: dict[str, list[float]] = {}
    for box in answer["boxes"]:
        found.setdefault(box["label"], [box[side] for side in ("xmin", "ymin", "xmax", "ymax")])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("pictures") / "drawn", SIZES, empty=1)


@pytest.fixture(scope="module")
def run(folder: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = gw.fit(gw.data(folder, task="detect"), tiny, freeze="head", **STEPS)
    return gw.load(made.save(tmp_path_factory.mktemp("runs") / "run"))


def test_pictures_of_mixed_size_and_an_empty_one_are_learned(run) -> None:
    assert run.metrics["map_50"] > 0.9 > run.metrics["nothing"]
    assert set(run.metrics["by_label"]["ap_50"]) == {"disc", "square"}
    assert run.record["certificate"]["ok"]
    assert set(run.record["labels"]) == {"disc", "square"}
    losses = [epoch["loss"] for epoch in run.record["training"]["history"]]
    assert losses[-1] < losses[0] / 2


def test_answers_are_in_pixels_of_the_picture_as_given(run, folder) -> None:
    for number, size in enumerate(SIZES, 1):
        answer = run.predict([folder / f"val-{number}.png"])[0]
        assert set(answer) == {"input", "boxes"}
        for label, corners in drawn(number, size)[1]:
            assert np.allclose(boxes(answer)[label], corners, atol=6)
        probable = [box["probability"] for box in answer["boxes"]]
        assert probable == sorted(probable, reverse=True)


def test_a_picture_twice_as_large_has_boxes_twice_as_large(run, folder, tmp_path) -> None:
    image = Image.open(folder / "val-1.png")
    image.resize((256, 192), Image.Resampling.BICUBIC).save(tmp_path / "large.png")
    before, after = (boxes(run.predict([path])[0]) for path in (folder / "val-1.png", tmp_path / "large.png"))
    for label, corners in before.items():
        assert np.allclose(after[label], 2 * np.array(corners), atol=6)


def test_a_picture_that_is_stored_turned_has_the_boxes_of_the_upright_one(run, folder, tmp_path) -> None:
    turned = draw(tmp_path / "turned", SIZES[:2], tag=6)  # of squares none can say whether boxes are turned
    for number in (1, 2):
        upright, stored = (run.predict([place / f"val-{number}.png"])[0] for place in (folder, turned))
        assert stored["boxes"] == upright["boxes"]
    judged = run.evaluate(gw.data(turned, task="detect"))["metrics"]
    assert judged["map_50"] > 0.9


def test_nothing_is_found_where_nothing_is(run, folder) -> None:
    assert [box for box in run.predict([folder / "val-5.png"])[0]["boxes"] if box["probability"] > 0.5] == []


def test_larger_pictures_of_the_same_batch_hardly_move_the_boxes(run, folder) -> None:
    alone = boxes(run.predict([folder / "val-4.png"])[0])
    beside = boxes(run.predict([folder / "val-4.png", folder / "val-3.png"])[0])
    for label, corners in alone.items():
        assert np.allclose(beside[label], corners, atol=2)


@pytest.mark.parametrize("freeze", ["all", "last:1", "lpft", "norm"])
def test_every_policy_trains_and_proves_it(folder, tiny, freeze) -> None:
    run = gw.fit(gw.data(folder, task="detect"), tiny, freeze=freeze, **QUICK)
    assert run.record["certificate"]["ok"]


def test_states_that_are_kept_serve_training_and_answers(folder, tiny) -> None:
    run = gw.fit(gw.data(folder, task="detect"), tiny, freeze="head", **QUICK)
    assert run.record["training"]["states_kept"]
    assert run.record["training"]["states"]["misses"] == len(SIZES) + 1  # those to be judged by are the same
    again = gw.fit(gw.data(folder, task="detect"), tiny, freeze="head", **QUICK)
    assert again.record["training"]["states"]["misses"] == 0
    assert again.record["training"]["history"] == run.record["training"]["history"]


def test_the_same_seed_gives_the_same_with_changed_pictures_too(folder, tiny) -> None:
    said = {**QUICK, "augment": True, "freeze": "head"}
    first, second = (gw.fit(gw.data(folder, task="detect"), tiny, **said) for _ in range(2))
    assert first.record["training"]["history"] == second.record["training"]["history"]
    plain = gw.fit(gw.data(folder, task="detect"), tiny, **{**said, "augment": False})
    assert plain.record["training"]["history"] != first.record["training"]["history"]


def test_large_pictures_are_learned_from_tiles_changed_or_not(tmp_path, tiny) -> None:
    folder = draw(tmp_path / "large", [(200, 140), (128, 96)])
    said = {**QUICK, "options": {"tile": 128, "threshold": 0.001}, "freeze": "head"}
    for augment in (False, True):
        run = gw.fit(gw.data(folder, task="detect"), tiny, augment=augment, **said)
        found = run.predict([folder / "val-1.png"])[0]["boxes"]
        assert max(box["xmax"] for box in found) > 128
        assert all(0 <= box["xmin"] < box["xmax"] <= 200 and 0 <= box["ymin"] < box["ymax"] <= 140 for box in found)


# Pieces, and encoders that read images of one size.


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> gw.Backbone:
    """A Vision Transformer that reads 56 x 56 pixels, which is no multiple of 32."""
    folder = tmp_path_factory.mktemp("tiny-vit")
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    ViTModel(ViTConfig(image_size=56, patch_size=14, **shape), add_pooling_layer=False).save_pretrained(folder)
    about = {"image_processor_type": "ViTImageProcessor", "size": {"height": 56, "width": 56}, "resample": 2}
    about |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return gw.load_backbone(registry.backbone(f"local:{folder}"))


def whole(size: tuple[int, int], *found: Box) -> WholeExample:
    facts = {"width": size[0], "height": size[1], "orientation": 1}
    return WholeExample(gw.Raw("a.png"), facts, Image.new("RGB", size), Boxes(found, size))


def test_encoders_of_one_size_read_pictures_of_any(square) -> None:
    detect = task()
    given = [whole((100, 50), Box("disc", 10, 20, 30, 50)), whole((30, 90))]
    pieces = [detect.pieces(one, square, KNOWN)[0] for one in given]
    assert [piece.value.size for piece in pieces] == [(56, 28), (19, 56)]
    assert torch.allclose(pieces[0].label.corners, torch.tensor([[5.6, 11.2, 16.8, 28.0]]))
    state = detect.prepare(square, [piece.value for piece in pieces])
    assert state.hidden.shape == (2, 3, 56, 56)
    with torch.no_grad():
        assert set(square.pyramid(state, len(square.spec.stages) - 1)) == {4, 8, 16, 32}


def test_unlabelled_pictures_have_pieces_without_labels(square) -> None:
    given = WholeExample(gw.Raw("a.png"), {}, Image.new("RGB", (100, 50)))
    assert [piece.label for piece in task().pieces(given, square, KNOWN)] == [None]


def test_training_shows_the_pieces_that_are_asked_about_unless_they_are_changed(square) -> None:
    detect, given = task(), whole((100, 50), Box("disc", 10, 20, 30, 50))
    assert detect.alike
    asked, shown = detect.pieces(given, square, KNOWN), detect.training_pieces(given, square, KNOWN)
    assert [piece.place for piece in asked] == [piece.place for piece in shown]
    changed = {detect.training_pieces(given, square, KNOWN, Random(seed))[0].place for seed in range(20)}
    assert len(changed) > 10


def test_tiles_share_their_picture_by_area() -> None:
    detect = task(tile=128)
    detect._sides["any"] = None
    backbone: Any = type("Any", (), {"spec": gw.BackboneSpec(
        "any", gw.InputContract("image", {}, {"interpolation": "bilinear"}), "", gw.FolderWeights(Path()), (), 0, 0, "",
        "", "",
    )})()  # fmt: skip
    pieces = detect.pieces(whole((200, 128), Box("disc", 150, 0, 190, 60)), backbone, KNOWN)
    assert [piece.value.size for piece in pieces] == [(128, 128)] * 2
    assert [piece.weight for piece in pieces] == [0.5, 0.5]
    assert [piece.label.corners.tolist() for piece in pieces] == [[], [[78, 0, 118, 60]]]
