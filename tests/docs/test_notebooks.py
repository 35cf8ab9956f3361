"""examples/notebooks: made from the scripts, run, and printing what the scripts print."""

from __future__ import annotations

import nbformat
import pytest

from . import kept_output, notebooks


def stored(name: str) -> nbformat.NotebookNode:
    return nbformat.read(notebooks.NOTEBOOKS / f"{name}.ipynb", as_version=4)


def test_the_notebooks_are_those_that_are_made() -> None:
    assert {file.stem for file in notebooks.NOTEBOOKS.glob("*.ipynb")} == set(notebooks.NAMES)


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_notebook_says_what_its_script_says(name) -> None:
    there, made = stored(name), notebooks.made(name)
    what = [[(cell.id, cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (there, made)]
    assert what[0] == what[1], "run: python tests/docs/notebooks.py"
    assert kept_output.differences(notebooks.printed(there), kept_output.kept(name)) == []


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_notebook_runs_and_prints_what_its_script_prints(name) -> None:
    printed = notebooks.run(notebooks.made(name))
    assert kept_output.differences(printed, kept_output.kept(name)) == []


def test_each_paragraph_is_a_cell_and_its_first_comment_the_text_above_it() -> None:
    body = "a = 1\n\n# Why b\n# is two.\nb = 2\nif b:\n\n    c = 3\n"
    assert [(cell.cell_type, cell.source) for cell in notebooks.paragraphs(body)] == [
        ("code", "a = 1"),
        ("markdown", "Why b is two."),
        ("code", "b = 2\nif b:\n\n    c = 3"),
    ]
