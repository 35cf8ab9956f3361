"""A plugin that is generated installs, registers and passes the kit as written, for every modality and a new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graftwork import UsageError
from graftwork.scaffold import new_plugin


def install(place: Path, site: Path) -> None:
    """What an editable install leaves behind, without building a wheel: its own test does that."""
    name = place.name
    package = name.replace("-", "_")
    about = site / f"{package}-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(f"[graftwork]\n{name} = {package}.plugin\n")


@pytest.mark.parametrize("modality", ["image", "text", "audio", "seismic"])
def test_what_is_written_passes_its_own_tests(tmp_path, preloaded, modality) -> None:
    place = new_plugin("my-encoder", modality, tmp_path)
    install(place, tmp_path / "site")
    path = os.pathsep.join([str(place / "src"), str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    words = ["-q", "-rs", "-p", "no:cacheprovider", "tests"]
    done = preloaded("pytest", words, place, {**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout.splitlines()[-1]
    assert all("reference" in line or "augment" in line or "likeness" in line or "padding" in line
               for line in done.stdout.splitlines() if line.startswith("SKIPPED")), done.stdout  # fmt: skip


def test_what_cannot_be_written_is_said(tmp_path) -> None:
    new_plugin("taken", "image", tmp_path)
    for name, modality, words in (
        ("taken", "image", "is there already; a plugin is written to a new folder"),
        ("My Encoder", "image", "'My Encoder' is no name of a plugin: small letters, digits and single hyphens"),
        ("fine", "../up", "'../up' is no modality of a plugin"),
    ):
        with pytest.raises(UsageError, match=words):
            new_plugin(name, modality, tmp_path)
