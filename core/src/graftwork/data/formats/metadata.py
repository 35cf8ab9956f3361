"""What a table says of how it was read, in the metadata of its schema: notes, and cells in an unknown encoding."""

from __future__ import annotations

import json

import pyarrow as pa

from graftwork.data.labels import label_text

TEXT_AS_BYTES = b"graftwork: text as bytes"
"""A key where cells are bytes since the file is not UTF-8, so that each can be read in its own encoding."""
NOTES = b"graftwork: notes"
"""A key for sentences about how the table was read, as a JSON list."""


def with_notes(table: pa.Table, *notes: str) -> pa.Table:
    """The table, its metadata holding these sentences."""
    metadata = table.schema.metadata or {}
    return table.replace_schema_metadata({**metadata, NOTES: json.dumps(notes).encode()}) if notes else table


def notes_of(table: pa.Table) -> list[str]:
    """The sentences about how a table was read."""
    return json.loads((table.schema.metadata or {}).get(NOTES, b"[]"))


def text_is_bytes(table: pa.Table) -> bool:
    """Whether cells are bytes that stand for text."""
    return TEXT_AS_BYTES in (table.schema.metadata or {})


def as_text(table: pa.Table) -> pa.Table:
    """The table with its cells as text where they are bytes."""
    if not text_is_bytes(table):
        return table
    columns = [pa.array([label_text(cell) for cell in column.to_pylist()], pa.string()) for column in table.columns]
    return pa.table(columns, names=table.column_names)
