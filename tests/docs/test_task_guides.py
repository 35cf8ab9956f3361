"""The guides of tasks whose answers lie in the input name what the tasks have; test_pages.py runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graftwork.checks import annotations
from graftwork.plugins import registry
from graftwork.tasks.task import load_task

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"tagging": "tag", "transcription": "transcribe", "segmentation": "segment", "detection": "detect"}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "task"), PAGES.items())
def test_a_guide_names_each_head_option_and_figure_of_its_task(name, task) -> None:
    text, known = page(name), load_task(task)
    assert [head for head in registry.task(task).heads if f"`{head}`" not in text] == []
    assert [option for option in known.usual if not re.search(rf"`(--task-option )?{option}=", text)] == []
    assert [figure.name for figure in known.figures if f"`{figure.name}`" not in text] == []


def test_the_guides_name_each_fault_of_labels_that_check_knows() -> None:
    text = "".join(map(page, PAGES))
    assert [kind for kind in annotations.KINDS if f"`{kind}`" not in text] == []


def test_the_table_of_label_files_has_every_format_and_no_other() -> None:
    ours = ("graftwork_text.", "graftwork_audio.", "graftwork_image.")
    known = {spec.name for spec in registry.annotation_formats() if spec.factory.startswith(ours)}
    table = page("label-files").split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.M)) == known
