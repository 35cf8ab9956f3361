"""Drawn pictures with their masks, and an encoder so small that a fit takes seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ResNet of two stages with random weights: maps at strides 4 and 8."""
    folder = tmp_path_factory.mktemp("tiny-resnet")
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return f"local:{folder}"


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Vision Transformer with random weights that reads 32 x 32 pixels alone, in patches of 8."""
    folder = tmp_path_factory.mktemp("tiny-vit")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    ViTModel(ViTConfig(**shape, image_size=32, patch_size=8), add_pooling_layer=False).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return f"local:{folder}"


def drawn(number: int, size: tuple[int, int] = (64, 64)) -> tuple[Image.Image, Image.Image]:
    """Bright discs (level 1) and dark squares (2) on a grey, grained ground (0), and the mask of it."""
    numbers = np.random.default_rng(number)
    image, mask = Image.new("L", size, 120), Image.new("L", size, 0)
    for level, colour in ((1, 220), (2, 30)):
        for _ in range(2):
            side = int(numbers.integers(12, 22))
            x, y = (int(numbers.integers(0, length - side)) for length in size)
            for picture, value in ((image, colour), (mask, level)):
                pen = ImageDraw.Draw(picture)
                (pen.ellipse if level == 1 else pen.rectangle)((x, y, x + side, y + side), fill=value)
    grain = numbers.normal(0, 8, (size[1], size[0]))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8)).convert("RGB"), mask


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """`pictures(6, size=(64, 64))`: a folder with so many drawn pictures in images/ and their masks in masks/."""

    def make(count: int, size: tuple[int, int] = (64, 64), name: str = "drawn") -> Path:
        for folder in ("images", "masks"):
            (tmp_path / name / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image, mask = drawn(number, size)
            image.save(tmp_path / name / "images" / f"{number}.png")
            mask.save(tmp_path / name / "masks" / f"{number}.png")
        return tmp_path / name

    return make
