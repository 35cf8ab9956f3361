"""Damaged tables, media files and folders in hub layout: read as something, or refused in a sentence of ours."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork.errors import GraftworkError
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory
from graftwork.specs.readers import Raw
from tests.fuzz.conftest import damaged, tries

ROWS = [{"text": f"message {n}", "label": "ab"[n % 2]} for n in range(20)]


def table() -> Any:
    import pyarrow as pa

    found = pa.Table.from_pylist([{**row, "tags": ["x", "y"][: number % 3]} for number, row in enumerate(ROWS)])
    return found.append_column("kind", found.column("label").dictionary_encode())


def parquet() -> bytes:
    import pyarrow.parquet as pq

    made = io.BytesIO()
    pq.write_table(table(), made)
    return made.getvalue()


def feather() -> bytes:
    import pyarrow.feather

    made = io.BytesIO()
    pyarrow.feather.write_feather(table(), made, compression="zstd")
    return made.getvalue()


def stream() -> bytes:
    import pyarrow as pa

    made = io.BytesIO()
    with pa.ipc.new_stream(made, table().schema) as file:
        file.write_table(table())
    return made.getvalue()


def spreadsheet() -> bytes:
    import openpyxl

    book, made = openpyxl.Workbook(), io.BytesIO()
    for row in (("text", "label"), *((row["text"], row["label"]) for row in ROWS)):
        book.active.append(row)  # pyright: ignore[reportOptionalMemberAccess]
    book.save(made)
    return made.getvalue()


def database() -> bytes:
    import sqlite3

    with sqlite3.connect(":memory:") as base:
        base.execute("create table t (text, label)")
        base.executemany("insert into t values (:text, :label)", ROWS)
        return base.serialize()


TABLES = {
    "csv": ("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS)).encode(),
    "json": json.dumps(ROWS).encode(),
    "jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "parquet": parquet(),
    "feather": feather(),
    "arrow": stream(),
    "xlsx": spreadsheet(),
    "db": database(),
}


@pytest.mark.parametrize("ending", TABLES)
@tries(40)
@given(data=st.data())
def test_a_damaged_table_is_read_or_refused(tmp_path_factory, ending, data) -> None:
    folder = tmp_path_factory.mktemp("table")
    (folder / f"t.{ending}").write_bytes(data.draw(damaged(TABLES[ending])))
    with suppress(GraftworkError):
        found = gw.data(folder / f"t.{ending}")
        assert len(found) >= 0
    shutil.rmtree(folder)


def picture(kind: str) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, kind)
    return made.getvalue()


def sound(kind: str) -> bytes:
    import soundfile

    made = io.BytesIO()
    soundfile.write(made, np.sin(np.arange(4000) / 9), 16_000, format=kind)
    return made.getvalue()


MEDIA = {
    "png": ("image", picture("PNG")),
    "jpeg": ("image", picture("JPEG")),
    "gif": ("image", picture("GIF")),
    "tiff": ("image", picture("TIFF")),
    "wav": ("audio", sound("WAV")),
    "flac": ("audio", sound("FLAC")),
    "ogg": ("audio", sound("OGG")),
}


@pytest.mark.parametrize("kind", MEDIA)
@tries(60)
@given(data=st.data())
def test_a_damaged_picture_or_clip_is_read_or_refused(kind, data) -> None:
    modality, content = MEDIA[kind]
    reader: Any = load_factory(registry.modality(modality).reader)()
    raw = Raw(f"x.{kind}", value=data.draw(damaged(content)))
    with suppress(GraftworkError):
        reader.facts(raw)
        reader.size(raw)
        reader.identity_digest(raw)
        reader.read(raw)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "vocab.txt"]
)
@tries(12)
@given(data=st.data())
def test_a_damaged_folder_in_hub_layout_is_loaded_or_refused(tiny_bert: Path, tmp_path_factory, name, data) -> None:
    if not (tiny_bert / name).is_file():
        pytest.skip(f"the tiny encoder has no {name}")
    folder = shutil.copytree(tiny_bert, tmp_path_factory.mktemp("hub") / "encoder")
    (folder / name).write_bytes(data.draw(damaged((tiny_bert / name).read_bytes())))
    with suppress(GraftworkError):
        spec = registry.backbone(f"local:{folder}")
        gw.load_backbone(spec).prepare(["a card"])
    shutil.rmtree(folder.parent)


CONFIGS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.floats(), st.text(max_size=4), st.just([]), st.just({}),
    st.just(10**6), st.just(1e-300),
)  # fmt: skip


@tries(40)
@given(data=st.data())
def test_a_config_with_odd_values_is_loaded_or_refused(tiny_bert: Path, tmp_path_factory, data) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path_factory.mktemp("hub") / "encoder")
    config = json.loads((folder / "config.json").read_text())
    key = data.draw(st.sampled_from(sorted(config)))
    config[key] = data.draw(CONFIGS)
    (folder / "config.json").write_text(json.dumps(config))
    with suppress(GraftworkError):
        spec = registry.backbone(f"local:{folder}")
        gw.load_backbone(spec).prepare(["a card"])
    shutil.rmtree(folder.parent)
