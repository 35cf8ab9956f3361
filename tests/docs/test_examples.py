"""The scripts in examples/: each prints what is kept beside it, and one sentence where its plugin is missing."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import graftwork as gw

from . import examples_page, kept_output

MOST_LINES = 60
WITHOUT_PLUGINS = {"a_new_modality"}
"""Those that need none: it brings its own."""

WRITTEN = {
    "tagging": {"found/entities.conll", "found/entities.jsonl"},
    "transcription": {"heard/metadata.csv"},
    "segmentation": {"painted/masks/001.png", "painted/masks/classes.txt", "painted/drawn/003.jpg"},
    "detection": {"found/annotations.json", "found/drawn/001.jpg"},
}
"""Guides of dense tasks, on fewer examples here; `make wheels` runs them whole."""

HIDDEN = """
import importlib.metadata, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("graftwork_") or name == "soundfile":
            raise ModuleNotFoundError(f"No module named '{name}'")

sys.meta_path.insert(0, Missing())
every, one = importlib.metadata.distributions, importlib.metadata.distribution
importlib.metadata.distributions = lambda **asked: [d for d in every(**asked) if not d.name.startswith("graftwork-")]

def distribution(name):
    if name.startswith("graftwork-"):
        raise importlib.metadata.PackageNotFoundError(name)
    return one(name)

importlib.metadata.distribution = distribution
"""
"""Makes a process one in which the core is installed without any plugin."""


def test_what_every_example_prints_is_kept_and_nothing_else() -> None:
    assert {file.stem for file in kept_output.OUTPUT.iterdir()} == kept_output.SCRIPTS.keys()


def test_the_page_is_made_of_every_example_and_what_it_prints() -> None:
    assert examples_page.WORDS.keys() == kept_output.SCRIPTS.keys()
    assert examples_page.PAGE.read_text(encoding="utf-8") == examples_page.made(), (
        "run: python tests/docs/examples_page.py"
    )
    assert "  - Examples: examples.md\n" in (examples_page.PAGE.parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
    assert "](examples.md)" in (examples_page.PAGE.parent / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", kept_output.SCRIPTS)
def test_an_example_is_short_and_imports_public_names_alone(name) -> None:
    script = kept_output.SCRIPTS[name]
    files = [script] if script.parent == kept_output.EXAMPLES else sorted(script.parent.rglob("*.py"))
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MOST_LINES, file
        imported = [
            one
            for node in ast.walk(ast.parse(text))
            for one in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        ]
        assert [one for one in imported if one.startswith(("graftwork.", "graftwork_"))] == []


@pytest.mark.parametrize("name", sorted(kept_output.SCRIPTS.keys() - {*kept_output.LONGEST}))
def test_an_example_prints_what_is_kept(name) -> None:
    done = kept_output.run(name)
    assert done.returncode == 0, done.stderr
    assert kept_output.differences(done.stdout, kept_output.kept(name)) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_an_example_fits_predicts_and_writes_its_answers(name, quick, tmp_path, capsys) -> None:
    runpy.run_path(str(kept_output.SCRIPTS[name]))["main"](tmp_path / "made")
    run, printed = gw.load(tmp_path / "made" / "run"), capsys.readouterr().out
    for figure in run.task.figures:
        assert f"{figure.words}: {run.metrics[figure.name]:.3f}\n" in printed
        assert f"{figure.words}: " in kept_output.kept(name)
    for place in WRITTEN[name]:
        assert (tmp_path / "made" / place).stat().st_size > 0


def test_fifty_pictures_and_three_hundred_are_fitted_by_each_policy(quick, tmp_path, capsys) -> None:
    """On fewer pictures and for one epoch; the figures are those of `make wheels`."""
    runpy.run_path(str(kept_output.SCRIPTS["fifty_pictures"]))["main"](tmp_path)
    kept = kept_output.kept("fifty_pictures")
    assert re.sub(r"\d\.\d\d", "#", capsys.readouterr().out) == re.sub(r"\d\.\d\d", "#", kept)


def ended(name: str, folder: Path, **environment: str) -> str:
    """The one line by which an example ends that cannot begin."""
    done = subprocess.run(
        [sys.executable, str(kept_output.SCRIPTS[name])],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("name", sorted(kept_output.SCRIPTS.keys() - WITHOUT_PLUGINS))
def test_without_its_plugin_an_example_ends_in_the_command_that_installs_it(name, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    line = ended(name, tmp_path, PYTHONPATH=path)
    assert re.search(r"^This needs graftwork-.* not installed\. Install (it|them): pip install '?graftwork-", line), (
        line
    )


@pytest.mark.parametrize("name", sorted(kept_output.SCRIPTS.keys() - WITHOUT_PLUGINS))
def test_where_its_plugin_is_left_out_an_example_says_so(name, tmp_path) -> None:
    line = ended(name, tmp_path, GRAFTWORK_PLUGINS="")
    assert re.search(
        r"^This needs graftwork-.* GRAFTWORK_PLUGINS='' leaves out\. Load all: unset GRAFTWORK_PLUGINS$", line
    ), line


def test_words_and_counts_are_compared_and_figures_within_the_tolerance() -> None:
    kept = "head: accuracy 0.85, 92.5% of 120\n  took 3.2 s\nfolder '/tmp/abc/commands' holds 3 files"
    same = "head: accuracy 0.88, 90.0% of 120\n  took 12.9 s\nfolder '/var/x/y/commands' holds 3 files"
    assert kept_output.differences(same, kept) == []
    for wrong in (
        kept.replace("0.85", "0.97"),
        kept.replace("92.5%", "79.1%"),
        kept.replace("120", "121"),
        kept.replace("head", "all"),
        kept.replace("commands", "digits"),
        f"{kept}\nmore",
    ):
        assert len(kept_output.differences(wrong, kept)) == 1
