"""Faulty wheels installed together: each is named with its cause, and what is sound works as without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HEAD = (
    "from pathlib import Path\n"
    "from graftwork import API_VERSION, BackboneSpec, FolderWeights, InputContract, hookimpl\n"
    "api_version = API_VERSION\n"
)
BACKBONE = """
@hookimpl
def graftwork_backbones():
    yield BackboneSpec("sound/{name}", InputContract("sound"), "x:y", FolderWeights(Path("/no")), ("a",), 1, 1, "MIT", "x", "y")
"""

FAULTS = {
    "crashes": ("raise RuntimeError('no luck')", "cannot be imported: RuntimeError: no luck"),
    "raises": (
        HEAD + "@hookimpl\ndef graftwork_backbones():\n    raise KeyError('gone')\n    yield",
        "graftwork_backbones raised KeyError: 'gone'",
    ),
    "strays": (HEAD + "@hookimpl\ndef graftwork_backbones():\n    yield 'resnet'", "yielded a str; it must yield BackboneSpec"),
    "misspells": (HEAD + "@hookimpl\ndef graftwork_backbone():\n    yield", "It implements graftwork_backbone, and no hook is called so; did you mean graftwork_backbones? All are graftwork_adapters, graftwork_annotations, "),
    "forgets-the-mark": (
        HEAD + "def graftwork_backbones():\n    yield", "It defines graftwork_backbones and does not mark it: write @hookimpl above it",
    ),
    "is-old": ("api_version = 0", "was written for plugin API 0; this graftwork speaks API 1"),
    "claims": (
        HEAD + BACKBONE.format(name="x").replace("sound/x", "text/minilm-of-ours"),
        "'text/minilm-of-ours' (backbones) is claimed by both dist-claims and dist-claims-too, so neither is used",
    ),
    "claims-too": (
        HEAD + BACKBONE.format(name="x").replace("sound/x", "text/minilm-of-ours"),
        "is claimed by both dist-claims and dist-claims-too, so neither is used",
    ),
    "wrong-weights": (
        HEAD + BACKBONE.format(name="weightless").replace('Path("/no")', '"/no"'),
        "'sound/weightless' of graftwork_backbones is not used: its weights: folder is '/no'; accepted: Path.",
    ),
    "twin": (HEAD + BACKBONE.format(name="one"), "Its entry point is called 'twin' like that of dist-other-twin"),
    "loads-torch": ("import torch\n" + HEAD + BACKBONE.format(name="heavy"), "It imports torch where it only says what it brings, so every"),
    "hangs": ("import time\ntime.sleep(3)\n" + HEAD + BACKBONE.format(name="slow"), "It takes long to import, so every command waits 3."),
    "meddles": (
        "import warnings\nwarnings.simplefilter('ignore')\n" + HEAD + BACKBONE.format(name="loud"),
        "Importing it changes the filters of all warnings, for everybody",
    ),
}  # fmt: skip


def write_wheel(folder: Path, name: str, source: str, entry: str = "") -> Path:
    """A wheel of one module and one entry point (the binary distribution format, PEP 427)."""
    module = f"faulty_{name.replace('-', '_')}"
    whole = f"dist_{name.replace('-', '_')}-1.2"
    wheel = folder / f"{whole}-py3-none-any.whl"
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.2\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[graftwork]\n{entry or name} = {module}\n",
    }
    files = {f"{module}.py": source, **{f"{whole}.dist-info/{file}": text for file, text in about.items()}}
    files[f"{whole}.dist-info/RECORD"] = "".join(f"{file},,\n" for file in (*files, f"{whole}.dist-info/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return wheel


@pytest.fixture
def faulty(tmp_path: Path, uv: str) -> Path:
    """Where the faulty wheels are installed."""
    wheels = [write_wheel(tmp_path, name, source) for name, (source, _) in FAULTS.items()]
    wheels.append(write_wheel(tmp_path, "other-twin", HEAD + BACKBONE.format(name="two"), entry="twin"))
    command = [uv, "pip", "install", "-q", "--python", sys.executable, "--no-index", "--no-deps", "--target"]
    subprocess.run([*command, str(tmp_path / "site"), *map(str, wheels)], check=True)
    return tmp_path / "site"


def test_every_fault_is_named_and_what_is_sound_works_as_without_them(shell, messages, tiny_bert, faulty) -> None:
    path = os.pathsep.join([str(faulty), os.environ.get("PYTHONPATH", "")])
    listed = shell.cold("plugins", "--json", PYTHONPATH=path)  # what a plugin imports is of interest
    assert listed.returncode == 0, listed.stderr
    reports = {report["distribution"]: report for report in json.loads(listed.stdout)}
    for name, (_, cause) in FAULTS.items():
        report = reports[f"dist-{name}"]
        assert cause in report["error"], report
        assert (report["version"], report["status"] == "ok") == ("1.2", False)
    assert reports["graftwork-text"]["error"] is None
    timed = shell.cold("plugins", "--timing", PYTHONPATH=path)
    (row,) = (line.split() for line in timed.stdout.splitlines() if line.split()[:2] == ["hangs", "dist-hangs"])
    assert float(row[4]) >= 3
    command = ["fit", str(messages), "--backbone", f"local:{tiny_bert}", "--json", "--no-cache"]
    with_them, without = shell(*command, "--out", "a", PYTHONPATH=path), shell(*command, "--out", "b")
    assert with_them.returncode == without.returncode == 0, with_them.stderr
    one, other = (json.loads(done.stdout) for done in (with_them, without))
    assert one["metrics"] == other["metrics"]
    assert one["certificate"] == other["certificate"]
    names = [spec["name"] for spec in json.loads(shell("backbones", "--json", PYTHONPATH=path).stdout)]
    assert {"text/minilm", "sound/heavy", "sound/slow", "sound/loud", "sound/one", "sound/two"} <= set(names)
    assert "text/minilm-of-ours" not in names
