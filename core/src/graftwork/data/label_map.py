"""A table of new labels for old ones: `--label-map FILE`."""

from __future__ import annotations

from pathlib import Path

from graftwork.data.formats.tables import SUFFIXES, ending, read_table
from graftwork.data.labels import label_text, trimmed
from graftwork.errors import DataError, UsageError


def read_label_map(path: Path) -> dict[str, str]:
    """The new label of each old one, from a table with the columns old and new.

    Raises `UsageError` for a file that is missing or no table, and `DataError` for other columns, blank labels, and an
    old label with two new ones.
    """
    if not path.is_file():
        raise UsageError(f"The label map '{path}' does not exist.", "Write a CSV file with the columns old,new.")
    if not ending(path):
        raise UsageError(
            f"The label map '{path}' ends in '{path.suffix}'; tables end in {', '.join(SUFFIXES)}.",
            "Write a CSV file with the columns old,new.",
        )
    table = read_table(path)
    if sorted(table.column_names) != ["new", "old"]:
        raise DataError(
            f"The label map '{path}' has the columns {', '.join(table.column_names)}; old and new are accepted.",
            "Make its first line: old,new",
        )
    found: dict[str, str] = {}
    for number, (old, new) in enumerate(zip(table["old"].to_pylist(), table["new"].to_pylist(), strict=True), 2):
        before, after = (trimmed(label_text(cell) or "") for cell in (old, new))
        if not before or not after:
            raise DataError(
                f"Row {number} of the label map '{path}' has a blank cell; an old and a new label are accepted.",
                "To leave a label out, write: --drop-label LABEL",
            )
        if found.setdefault(before, after) != after:
            raise DataError(
                f"Row {number} of the label map '{path}' maps '{before}' to '{after}', and a row before it to "
                f"'{found[before]}'.",
                "Remove one of them.",
            )
    return found
