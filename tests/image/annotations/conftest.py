"""Images, and text files, as the label files of tests name them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def images(tmp_path: Path) -> Callable[..., None]:
    """`images("a.png", "train/b.png", size=(8, 6))`: grey images in `tmp_path`."""

    def make(*names: str, size: tuple[int, int] = (8, 6)) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", size).save(tmp_path / name)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """`write("a/b.txt", text)`: the path of that file in `tmp_path`."""

    def make(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return make
