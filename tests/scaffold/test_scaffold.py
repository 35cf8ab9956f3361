"""A plugin that is generated installs, registers and passes the kit as written, for every modality, a new one, and what else a
plugin may bring."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from graftwork import UsageError
from graftwork.scaffold import plugin as scaffold
from graftwork.scaffold.plugin import BROUGHT, new_part, new_plugin

MODALITIES = ("image", "text", "audio", "seismic")


def install(place: Path, site: Path) -> None:
    """What an editable install leaves behind, without building a wheel: its own test does that."""
    project = tomllib.loads((place / "pyproject.toml").read_text())["project"]
    about = site / f"{project['name'].replace('-', '_')}-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    entries = "\n".join(f"{name} = {module}" for name, module in project["entry-points"]["graftwork"].items())
    (about / "entry_points.txt").write_text(f"[graftwork]\n{entries}\n")


def written(word: str, folder: Path, name: str = "my-plugin") -> Path:
    return new_part(name, word, folder) if word in BROUGHT else new_plugin(name, word, folder)


@pytest.mark.parametrize("word", [*MODALITIES, *BROUGHT])
def test_what_is_written_passes_its_own_tests(tmp_path, preloaded, word) -> None:
    place = written(word, tmp_path)
    install(place, tmp_path / "site")
    path = os.pathsep.join([str(place / "src"), str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    words = ["-q", "-rs", "-p", "no:cacheprovider", "tests"]
    done = preloaded("pytest", words, place, {**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout.splitlines()[-1]
    reasons = ("augment", "likeness", "padding", "solved exactly", "lie in the input", "as a whole", "has weights")
    assert all(any(reason in line for reason in reasons)
               for line in done.stdout.splitlines() if line.startswith("SKIPPED")), done.stdout  # fmt: skip


@pytest.mark.parametrize("word", [*MODALITIES, *BROUGHT])
def test_what_is_written_is_clean_to_linters_and_to_the_strictest_of_types(tmp_path, word) -> None:
    """mypy is not among this checkout's tools; `mypy --strict` is what CI of a new plugin runs too."""
    place = written(word, tmp_path, "graftwork-a-plugin-with-a-rather-long-name")
    for command in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["pyright", "--pythonpath", sys.executable],
    ):
        tool = shutil.which(command[0], path=str(Path(sys.executable).parent)) or command[0]
        done = subprocess.run([tool, *command[1:]], cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("word", [*MODALITIES, *BROUGHT])
def test_a_package_has_what_a_published_one_needs(tmp_path, word) -> None:
    place = written(word, tmp_path, "graftwork-my-part")
    files = {str(file.relative_to(place).as_posix()) for file in place.rglob("*") if file.is_file()}
    assert {"LICENSE", "README.md", "src/graftwork_my_part/py.typed", ".github/workflows/test.yml"} <= files
    assert ("tools/weights.py" in files) == (word in MODALITIES)
    assert "Apache License" in (place / "LICENSE").read_text()
    project = tomllib.loads((place / "pyproject.toml").read_text())["project"]
    assert list(project["entry-points"]["graftwork"]) == ["my-part"], "names of what it brings have no prefix"
    needed = {requirement.partition(">")[0].replace("-", "_") for requirement in project["dependencies"]}
    imported = {
        line.split()[1].partition(".")[0]
        for file in (place / "src").rglob("*.py")
        for line in file.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) <= needed
    workflow = (place / ".github" / "workflows" / "test.yml").read_text()
    assert "[ubuntu-latest, macos-latest, windows-latest]" in workflow
    assert "${{ matrix.os }}" in workflow


def test_the_script_writes_the_weights_that_the_spec_speaks_of(tmp_path) -> None:
    place = written("image", tmp_path)
    file = place / "src" / "my_plugin" / "weights.safetensors"
    before = file.read_bytes()
    file.unlink()
    path = os.pathsep.join([str(place / "src"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "tools/weights.py"]
    done = subprocess.run(
        command, cwd=place, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert file.read_bytes() == before
    spec = (place / "src" / "my_plugin" / "plugin.py").read_text()
    for said in done.stdout.strip().partition("In plugin.py: ")[2].split(", "):
        assert f"{said}," in spec


def test_what_cannot_be_written_is_said(tmp_path) -> None:
    new_plugin("taken", "image", tmp_path)
    for name, modality, words in (
        ("taken", "image", "is there already; a plugin is written to a new folder"),
        ("My Encoder", "image", "'My Encoder' is no name of a plugin: small letters, digits and single hyphens"),
        ("class", "image", "'class' is no name of a plugin"),
        (
            "graftwork-text",
            "image",
            "'graftwork-text' would be imported as graftwork_text, which is a module of an installed package",
        ),
        ("json", "image", "'json' would be imported as json, which is a module of Python itself"),
        ("fine", "../up", "'../up' is no modality of a plugin"),
    ):
        with pytest.raises(UsageError, match=words):
            new_plugin(name, modality, tmp_path)
    with pytest.raises(
        UsageError, match="No template is for a plugin that brings 'tasks'; task, source, policy are accepted"
    ):
        new_part("fine", "tasks", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch) -> None:
    def fails(*_: object) -> dict[str, str]:
        raise OSError("no room")

    monkeypatch.setattr(scaffold, "_weights", fails)
    with pytest.raises(OSError, match="no room"):
        new_plugin("half", "image", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_name_on_the_path_is_no_module(tmp_path, monkeypatch) -> None:
    (tmp_path / "beside").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert new_plugin("beside", "image", tmp_path / "plugins").is_dir()


def test_the_command_writes_what_it_is_asked_for(shell, tmp_path) -> None:
    assert shell.json("new", "plugin", "my-policy", "--brings", "policy") == {"plugin": "my-policy"}
    assert (tmp_path / "my-policy" / "src" / "my_policy" / "policy.py").is_file()
    for words in ([], ["--brings", "task", "--modality", "image"]):
        error = shell.json("new", "plugin", "other", *words, code=2)["error"]
        assert error["message"].startswith("A plugin is begun with one of --modality, --brings and the --weights")
