"""The guides of tasks whose answers lie in the input: each command and each block of Python runs, in the order of the page, on
fewer examples and for one epoch."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graftwork.checks import annotations
from graftwork.cli.app import main
from graftwork.plugins import registry
from graftwork.tasks.task import load_task

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"tagging": "tag", "transcription": "transcribe", "segmentation": "segment", "detection": "detect"}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """The language of each block, what is in it, and the text behind it."""
    for found in re.finditer(r"^```(sh|python|json)\n(.*?)^```", text, re.S | re.M):
        yield found[1], found[2], text[found.end() :]


@pytest.mark.parametrize("name", PAGES)
def test_each_command_of_a_guide_runs(name, quick, capfd) -> None:
    space: dict[str, Any] = {}
    for language, block, behind in blocks(page(name)):
        if language == "python":
            exec(block, space)  # noqa: S102  the code of our own page
        elif language == "sh":
            for line in filter(None, block.splitlines()):
                told(line, capfd)
        else:
            command = re.search(r"`(graftwork predict [^`]*--json)`", behind)
            assert command is not None, "the command that prints the answer stands below it"
            assert shape(json.loads(told(command[1], capfd))) == shape(json.loads(block))
    assert any(Path("runs").glob("*/report.html"))


def told(line: str, capfd: pytest.CaptureFixture[str]) -> str:
    """What a command prints, which ends well."""
    words = shlex.split(line)
    assert words[0] == "graftwork"
    with pytest.raises(SystemExit) as ended:
        main(words[1:])
    out, err = capfd.readouterr()
    assert ended.value.code == 0, f"{line}\n{err}{out}"
    return out


def shape(said: Any) -> Any:
    """The keys of an answer and the kinds of their values, whatever and how much was found."""
    if isinstance(said, list):
        return (
            [shape(item) for item in said[:1]]
            if said and isinstance(said[0], dict) and "input" in said[0]
            else "a list"
        )
    if isinstance(said, dict):
        return {key: "by class" if key == "counts" else shape(value) for key, value in said.items()}
    return type(said).__name__


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


@pytest.mark.parametrize("name", [*PAGES, "label-files"])
def test_a_guide_is_in_the_navigation_and_its_links_lead_somewhere(name) -> None:
    assert f": {name}.md\n" in (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([a-z-]+)\.md(#[a-z-]+)?\)", page(name)):
        heads = [
            re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-")
            for line in page(target).splitlines()
            if line.startswith("#")
        ]
        assert not anchor or anchor[1:] in heads
