"""README.md and every page of docs/: each command and each block runs, in the order of the page, on a little data.

A reader's folder (see conftest.py) has the data that pages speak of. What cannot run here is in ELSEWHERE, with the test that
does it; a block of a language that nothing here runs fails.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import graftwork as gw
from graftwork.cli import app

ROOT = Path(__file__).parents[2]
PAGES = {file.stem: file for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

ELSEWHERE = {
    "make demo": "tests/cli/test_demo.py::test_the_tour_fits_what_has_weights_and_shows_a_refusal",
    "make test": "what runs this",
    "source .venv/bin/activate": "a shell's own; nothing of Graftwork runs",
    "graftwork fit s3://bucket/photos/": "tests/data/test_addresses.py::test_the_fit_from_s3_is_that_of_the_local_copy_bit_for_bit",
    "graftwork fit https://host/photos.zip": "tests/data/test_archives.py::test_an_archive_at_an_address_is_fetched_and_what_lies_in_it_named",
    "graftwork fit zip://photos/2026::s3://bucket/all.zip": "tests/data/test_archives.py::test_an_archive_at_an_address_is_fetched_and_what_lies_in_it_named",
    "graftwork check gs://bucket/messages.csv": "tests/data/test_addresses.py::test_a_package_that_is_missing_is_named_with_its_extra",
    "graftwork fit hub:NAME --streaming": "tests/data/test_streaming.py::test_an_iterable_dataset_is_read_once_after_its_first_rows",
    "graftwork fit s3://bucket/shards-{0000..0099}.tar --streaming": "tests/data/test_shards.py::test_shards_on_s3_are_streamed_through_dropped_connections_and_not_kept",
    "graftwork fit photos/ --backbone torchvision:convnext_tiny": "tests/image/test_torchvision_zoo.py::test_folding_is_the_librarys_forward_up_to_its_last_layer",
    "graftwork fit messages.csv --backbone hub:OWNER/NAME": "tests/plugins/test_hub_scheme.py::test_a_model_is_described_by_small_files_and_its_weights_come_when_they_are_wanted",
    "graftwork fit photos/ --backbone timm:NAME": "tests/timm/test_timm.py::test_folding_is_the_librarys_forward_before_its_classifier",
    "graftwork fit messages.csv --precision int8": "tests/models/test_engines.py::test_int8_is_calibrated_on_the_training_part_and_answers_by_its_own_model",
    "torchrun --nproc_per_node 2 -m graftwork fit DATA --freeze all --out runs/tuned": "tests/cli/test_processes.py::test_two_processes_reach_the_loss_curve_of_one_with_the_same_batches",
    "accelerate launch --multi_gpu -m graftwork fit DATA --freeze all --out runs/tuned": "tests/cli/test_processes.py::test_two_processes_reach_the_loss_curve_of_one_with_the_same_batches",
    "from graftwork.testing import conformance": "tests/guide.py, as a test of the plugin that `graftwork new` writes",
}  # fmt: skip
"""A command, or the first line of a block of Python, to the test that does the same, or why there is none."""

BY_WHEELS = "authors"
"""The commands of this page are run by tests/guide.py, in environments of their own (`make wheels`)."""

MADE = {"examples", "hooks"}
"""These pages are made: from the scripts of examples/ and what they print, which test_examples.py runs, and from docstrings, whose
examples test_hooks_page.py runs."""

REFERENCES = {"authors", "decisions", "performance", *MADE}
"""Pages that nobody reads from the first line to the last."""


class Block(NamedTuple):
    language: str
    text: str
    behind: str

    @property
    def commands(self) -> list[str]:
        """The commands of a block of a shell, without what it says of them."""
        lines = (shlex.join(shlex.split(line, comments=True)) for line in self.text.splitlines())
        return [line for line in lines if line]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, whatever their language; and the text behind each."""
    text = page.read_text(encoding="utf-8")
    if page.stem in MADE:
        return
    assert "\n~~~" not in text, f"{page.name}: only blocks between ``` are run"
    for found in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.M):
        yield Block(found[1], found[2], text[found.end() :])


def plain(line: str) -> str:
    return shlex.join(shlex.split(line, comments=True))


@pytest.mark.parametrize("name", PAGES)
def test_each_command_and_block_of_a_page_runs(name, reader, capfd) -> None:
    space: dict[str, Any] = {}
    if name == BY_WHEELS:  # its Python is what stands in a plugin's modules
        space = authors_names()
    passed_over = {plain(line) for line in ELSEWHERE}
    for block in blocks(PAGES[name]):
        if block.language == "sh":
            for command in block.commands if name != BY_WHEELS else ():
                if command not in passed_over:
                    told(command, capfd)
        elif block.language == "python":
            if block.text.splitlines()[0] not in ELSEWHERE:
                exec(block.text, space)  # noqa: S102  the code of our own page
        elif block.language == "json":
            command = re.search(r"`(graftwork predict [^`]*--json)`", block.behind)
            assert command is not None, "the command that prints the answer stands below it"
            assert shape(json.loads(told(command[1], capfd))) == shape(json.loads(block.text))
        elif block.language == "toml":
            assert gw_config(block.text, reader) == tomllib.loads(block.text)["plugins"]["disabled"]
        else:
            assert block.language == "text", f"nothing runs a block of '{block.language}': {block.text}"


def authors_names() -> dict[str, Any]:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    names = {name: getattr(gw, name) for name in gw.__all__}
    return {**names, "Callable": Callable, "Iterator": Iterator, "Sequence": Sequence, "Tensor": Tensor}


def gw_config(text: str, folder: Path) -> list[str]:
    """What a configuration disables."""
    from graftwork.plugins import config

    (folder / "config.toml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFTWORK_CONFIG", str(folder / "config.toml"))
        return list(config.read().disabled)


def told(line: str, capfd: pytest.CaptureFixture[str]) -> str:
    """What a command prints, which ends well."""
    words = shlex.split(line)
    said = [word.partition("=") for word in itertools.takewhile(lambda word: re.match(r"[A-Z_]+=", word), words)]
    words = words[len(said) :]
    assert words[0] == "graftwork", f"nothing runs this: {line}"
    with pytest.MonkeyPatch.context() as patch:
        for variable, _, value in said:
            patch.setenv(variable, value)
        with pytest.raises(SystemExit) as ended:
            app.main(words[1:])
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


def test_what_is_not_run_here_stands_on_a_page_and_names_a_test_that_does_it() -> None:
    every = [block for page in PAGES.values() for block in blocks(page)]
    commands = {command for block in every if block.language == "sh" for command in block.commands}
    firsts = {block.text.splitlines()[0] for block in every if block.language == "python"}
    for line, reason in ELSEWHERE.items():
        assert plain(line) in commands | firsts, f"no page says: {line}"
        file, _, test = reason.partition("::")
        if test:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, reason


def test_how_many_commands_and_blocks_the_pages_have_and_how_many_run(capsys) -> None:
    run, elsewhere, wheels = 0, 0, 0
    for name, page in PAGES.items():
        for block in blocks(page):
            for one in block.commands if block.language == "sh" else block.text.splitlines()[:1]:
                if block.language == "sh" and name == BY_WHEELS:
                    wheels += 1
                elif {one, plain(one) if block.language == "sh" else one} & {*ELSEWHERE, *map(plain, ELSEWHERE)}:
                    elsewhere += 1
                elif block.language != "text":
                    run += 1
    with capsys.disabled():
        print(
            f"\nPages: {run} commands and blocks run here, {wheels} by tests/guide.py, {elsewhere} by tests of their own."
        )
    assert elsewhere <= len(ELSEWHERE) + 4, "a command that is on several pages counts on each"
    assert run > 100
    assert run > 5 * elsewhere


@cache
def options() -> dict[str, set[str]]:
    """The options of each command, as they are typed."""
    found, whole = {}, typer.main.get_command(app.command_line())
    for name, command in whole.commands.items():
        for path, one in {
            name: command,
            **{f"{name} {n}": c for n, c in getattr(command, "commands", {}).items()},
        }.items():
            found[path] = {"--help"}.union(*((*option.opts, *option.secondary_opts) for option in one.params))
    return found


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_options_that_stand_in_a_sentence_exist(name) -> None:
    text = re.sub(r"^```.*\n((?:.*\n)*?)```$", "", PAGES[name].read_text(encoding="utf-8"), flags=re.M)
    for span in re.findall(r"`([^`]+)`", text):
        words = span.split()
        if words[0] == "graftwork" and len(words) > 1 and words[1] != "COMMAND" and not words[1].startswith("-"):
            two = " ".join(words[1:3])
            command = two if two in options() else words[1]
            assert command in options(), span
            known = options()[command]
        elif words[0].startswith("--") and name != "examples":  # scripts have options of their own
            known = set().union(*options().values())
        else:
            continue
        given = {word.partition("=")[0].rstrip(",;:.") for word in words if re.match(r"--[a-z]", word)}
        assert given <= known, f"{span}: {sorted(given - known)}"


def test_a_page_is_in_the_navigation_once_and_guides_are_short() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name in PAGES.keys() - {"README"}:
        assert navigation.count(f": {name}.md\n") == 1, name
    for name in PAGES.keys() - REFERENCES:
        most = 120 if name == "README" else 150
        assert len(PAGES[name].read_text(encoding="utf-8").splitlines()) < most, name


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings_that_exist(name) -> None:
    page = PAGES[name]
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file) if file else page
        assert place.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in headings(place.resolve()), f"{page.name}: {target}"


@cache
def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as mkdocs and GitHub make them."""
    lines = re.sub(r"^```.*\n((?:.*\n)*?)```$", "", page.read_text(encoding="utf-8"), flags=re.M).splitlines()
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
        for line in lines
        if line.startswith("#")
    }
