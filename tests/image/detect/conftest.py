"""Drawn pictures with boxes in a COCO file, and an encoder so small that a fit takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import ResNetConfig, ResNetModel

from graftwork_image.geometry import UNDONE, Placement
from graftwork_image.reader import ORIENTATION

NAMES = ("disc", "square")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ResNet of four stages with random weights: maps at strides 4 to 32."""
    folder = tmp_path_factory.mktemp("tiny-resnet")
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1] * 4, layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    side = {"height": 64, "width": 64}
    about = {"image_processor_type": "ViTImageProcessor", "size": side, "resample": 2}
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**about, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]})
    )
    return f"local:{folder}"


def drawn(number: int, size: tuple[int, int], things: int = 2) -> tuple[Image.Image, list[tuple[str, list[int]]]]:
    """White discs and black squares on grained grey, apart from each other; and their names and boxes."""
    rng = np.random.default_rng(number)
    image, found = Image.new("L", size, 120), []
    while len(found) < things:
        name, side = NAMES[len(found) % 2], int(rng.integers(24, 40))
        left, top = (int(rng.integers(0, length - side)) for length in size)
        box = [left, top, left + side, top + side]
        if all(box[2] <= o[0] or o[2] <= box[0] or box[3] <= o[1] or o[3] <= box[1] for _, o in found):
            pen, corners = ImageDraw.Draw(image), (left, top, left + side - 1, top + side - 1)
            pen.ellipse(corners, fill=230) if name == "disc" else pen.rectangle(corners, fill=20)
            found.append((name, box))
    grained = np.asarray(image) + rng.normal(0, 6, (size[1], size[0]))
    return Image.fromarray(grained.clip(0, 255).astype(np.uint8)).convert("RGB"), found


def draw(folder: Path, sizes: list[tuple[int, int]], *, empty: int = 0, tag: int = 1) -> Path:
    """A folder with a drawn picture of each of these sizes, and so many more without any thing; the same ones to train
    on and to be judged by. Each is stored so that EXIF orientation `tag` turns it upright, and its boxes are those of
    the stored one."""
    folder.mkdir()
    for split in ("train", "val"):
        images, boxes = [], []
        for number, size in enumerate([*sizes, *sizes[:1] * empty], 1):
            image, found = drawn(number, size, 2 if number <= len(sizes) else 0)
            back = Placement(size).turned(UNDONE[tag])
            image, exif = back.image(image), image.getexif()
            exif[ORIENTATION] = tag
            name = f"{split}-{number}.png"
            image.save(folder / name, exif=exif)
            images.append({"id": number, "file_name": name, "width": image.width, "height": image.height})
            for label, corners in found:
                left, top, right, bottom = back.boxes(np.array([corners], float))[0].tolist()
                where = {"id": len(boxes) + 1, "image_id": number, "category_id": NAMES.index(label) + 1}
                boxes.append({**where, "bbox": [left, top, right - left, bottom - top]})
        categories = [{"id": place, "name": label} for place, label in enumerate(NAMES, 1)]
        about = {"images": images, "annotations": boxes, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(about))
    return folder
