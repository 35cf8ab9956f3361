"""The page on security names a test for each promise; all of them exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def defined_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [
        line for line in text.split("## Not promised")[0].splitlines() if line.startswith("| ") and "---" not in line
    ][1:]
    assert len(rows) > 10
    for row in rows:
        file, named = "", re.findall(r"`(tests/[^`:]+)?::(test_\w+)`", row)
        assert named, row
        for place, test in named:
            file = place or file
            assert test in defined_in(ROOT / file), f"{file}::{test}"
