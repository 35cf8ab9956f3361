"""Small data of each modality, and networks of a few thousand weights to pretrain on them."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graftwork as gw

FIELDS: dict[str, dict[str, Any]] = {
    "wav2vec2": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": [8] * 6,
        "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "codevector_dim": 16, "proj_codevector_dim": 16,
        "num_codevectors_per_group": 8, "num_negatives": 5,
    },
    "bert": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 200},
    "vit": {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 16,
        "patch_size": 4,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "image_size": 32},
}  # fmt: skip
MODALITY = {"wav2vec2": "audio", "bert": "text", "vit": "image", "resnet": "image"}


def tones(folder: Path, count: int = 24, seed: int = 0) -> Path:
    """Clips in two classes, a low and a high tone, a third of a second each and longer."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(seed)
    for number in range(count):
        time = np.arange(int(16_000 * rng.uniform(0.3, 0.6))) / 16_000
        label = ("low", "high")[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        samples = 0.3 * np.sin(2 * np.pi * (300, 1200)[number % 2] * rng.uniform(0.9, 1.1) * time)
        samples += 0.02 * rng.normal(size=len(time))
        soundfile.write(folder / label / f"{seed}-{number}.wav", samples.astype("float32"), 16_000)
    return folder


def melodies(folder: Path, count: int = 32) -> Path:
    """Clips without labels, three quarters of a second each, in which six notes follow each other in one order."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    time = np.arange(1_280) / 16_000
    for number in range(count):
        first = int(rng.integers(6))
        notes = [0.3 * np.sin(2 * np.pi * 200 * 2 ** ((first + place) % 6 * 0.7) * time) for place in range(10)]
        samples = np.concatenate(notes) + 0.01 * rng.normal(size=12_800)
        soundfile.write(folder / f"{number}.wav", samples.astype("float32"), 16_000)
    return folder


def colours(folder: Path, count: int = 24) -> Path:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        label = ("red", "blue")[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 90, (40, 48, 3), dtype=np.uint8)
        pixels[..., 0 if number % 2 == 0 else 2] += 150
        Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def sentences(folder: Path, count: int = 40) -> Path:
    rng = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sentences.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for number in range(count):
            thing, label = (("parcel", "delivery"), ("card", "payment"))[number % 2]
            rows.writerow([f"where is my {thing} number {rng.randint(1, 30)} please", label])
    return path


MAKE = {"audio": tones, "image": colours, "text": sentences}


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str], Path]:
    """Source data of a modality, made once for a test."""

    def make(modality: str) -> Path:
        place = tmp_path / f"{modality} source"
        found = place / "sentences.csv" if modality == "text" else place
        return found if found.exists() else MAKE[modality](place)

    return make


@pytest.fixture
def small(source: Callable[[str], Path], tmp_path: Path) -> Callable[..., gw.Pretrained]:
    """`small(architecture, objective, ...)`: a pretraining of two short epochs, into the folder `out`."""

    def run(architecture: str, objective: str, out: str = "model", data: Any = None, **options: Any) -> gw.Pretrained:
        settings = {"epochs": 2, "batch_size": 8, "allow_little": True, "precision": "fp32", **options}
        fields = {**FIELDS[architecture], **settings.pop("fields", {})}
        data = data or source(MODALITY[architecture])
        return gw.pretrain(data, architecture, objective, tmp_path / out, fields=fields, **settings)

    return run
