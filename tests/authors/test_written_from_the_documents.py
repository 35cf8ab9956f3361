"""Plugins that were written from docs/authors.md and docs/hooks.md alone: they use public names, pass the kit, and fit."""

from __future__ import annotations

import ast
import importlib
import shutil
import sys
from pathlib import Path

import pytest

import graftwork as gw
from graftwork.plugins import loading
from graftwork.testing import NotChecked, cases

HERE = Path(__file__).parent
LONGEST = {"tiny_sizes": 57, "tags_task": 53}
"""Lines of code of each, without blank lines, comments and docstrings."""


@pytest.fixture
def published(tmp_path: Path, monkeypatch):
    """Make a package of this folder a plugin that is installed, beside all others."""

    def publish(name: str) -> None:
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[graftwork]\n{name} = {name}.plugin\n")
        shutil.copytree(HERE / name, tmp_path / name)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(path for path in sys.path if path)}")
        loading.use(None)
        importlib.invalidate_caches()

    yield publish
    loading.use(None)
    for name in [name for name in sys.modules if name.partition(".")[0] in LONGEST]:
        del sys.modules[name]


def lines_of_code(text: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    tree = ast.parse(text)
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and line.strip()[0] != "#" and number not in docstrings)


@pytest.mark.parametrize("name", LONGEST)
def test_a_plugin_is_short_and_imports_public_names_alone(name) -> None:
    texts = [file.read_text() for file in sorted((HERE / name).glob("*.py"))]
    assert sum(map(lines_of_code, texts)) == LONGEST[name]
    for node in (node for text in texts for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "graftwork":
            assert node.module == "graftwork"
            assert {one.name for one in node.names} <= set(gw.__all__)


@pytest.mark.parametrize(
    ("name", "ids"), [("tiny_sizes", ["tiny:64", "tiny:8"]), ("tags_task", [])], ids=["tiny_sizes", "tags_task"]
)
def test_a_plugin_passes_the_kit(published, name, ids) -> None:
    published(name)
    answered = dict.fromkeys(ids)
    found = cases(name, references=answered, reasons=dict.fromkeys(ids, "a network of its own"), ids=ids)
    assert {case.subject for case in found} >= {*ids, name}
    failed, skipped = {}, []
    for case in found:
        try:
            case()
        except NotChecked:
            skipped.append(case.name)
        except AssertionError as error:
            failed[case.name] = str(error)
    assert failed == {}
    assert not [name for name in skipped if "folding" in name or "called_as" in name]


def test_an_encoder_of_a_given_size_is_fitted(published, photos) -> None:
    published("tiny_sizes")
    run = gw.fit(photos, "tiny:32")
    assert run.record["certificate"]["ok"]
    with pytest.raises(gw.UnknownName, match="'tiny:none' names no size; tiny:1 to tiny:1024 are accepted"):
        gw.fit(photos, "tiny:none")


def test_tags_are_fitted_and_predicted(published, tmp_path) -> None:
    published("tags_task")
    rows = ["text,label"]
    for number in range(12):
        rows += [
            f"a red thing number {number},red",
            f"a blue ball number {number},blue|round",
            f"a red ball {number},red|round",
        ]
    table = tmp_path / "things.csv"
    table.write_text("\n".join(rows) + "\n")
    run = gw.fit(table, task="tags")
    assert run.record["metrics"]["f1"] > 0.8
    (answer,) = run.predict(["a blue ball number 3"])
    assert answer["tags"] == ["blue", "round"]
