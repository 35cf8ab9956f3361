"""`graftwork doctor`: what is there, what is missing and the command that brings it, what is broken."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graftwork.cli import app
from graftwork.plugins import doctor, loading
from graftwork.runtime import installing
from graftwork.runtime.probe import Probed, probe

PLUGIN = "from graftwork import API_VERSION\napi_version = API_VERSION\n"


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Put a distribution on the path: its metadata, and its plugin module if it has one."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(name: str, version: str, *about: str, plugin: str | None = None) -> Path:
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *about]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        if plugin is not None:
            module = f"plugin_{name.replace('-', '_')}"
            (site / f"{module}.py").write_text(plugin)
            (info / "entry_points.txt").write_text(f"[graftwork]\n{name} = {module}\n")
        loading.use(None)
        return site

    yield put
    loading.use(None)


@pytest.fixture
def sound(monkeypatch) -> None:
    """Libraries that import; other tests do import them."""
    monkeypatch.setattr(
        doctor, "probe", lambda names: Probed(devices={"threads": 2, "gpus": [], "built_for": "CUDA 12"})
    )


def examined(capsys, code: int) -> dict:
    assert app._run(["doctor", "--json"], json=True) == code
    return json.loads(capsys.readouterr().out)


def test_here_all_is_well_and_the_keys_are_those_that_scripts_read(shell) -> None:
    found = shell.json("doctor", cold=True)
    assert found["problems"] == []
    assert list(found) == [
        "ok", "python", "versions", "plugins", "extras", "machine", "store", "problems", "notes",
    ]  # fmt: skip
    assert found["ok"] is True
    assert found["python"]["executable"] == sys.executable
    assert {"graftwork", "graftwork-text", "torch", "torchvision", "torchaudio", "transformers"} <= set(
        found["versions"]
    )
    assert {frozenset(one) for one in found["plugins"]} == {frozenset({"name", "distribution", "version", "status"})}
    assert {frozenset(one) for one in found["extras"]} == {frozenset({"name", "installed", "missing", "install"})}
    assert {one["name"]: one["installed"] for one in found["extras"]}["graftwork-text[hub]"] is True
    assert set(found["machine"]) == {
        "system", "processor", "instructions", "cores", "threads", "memory", "free_memory", "gpus", "mps",
        "torch_built_for", "unused_gpu",
    }  # fmt: skip
    assert found["machine"]["threads"] >= 1
    assert set(found["store"]) == {"folder", "writable", "free"}
    assert found["store"]["folder"] == str(Path(os.environ["GRAFTWORK_CACHE"]) / "features")


@pytest.mark.parametrize(
    ("pip", "uv", "command"),
    [
        (True, True, "{python} -m pip install '{what}'"),
        (False, True, "uv pip install --python {python} '{what}'"),
        (False, False, "{python} -m ensurepip && {python} -m pip install '{what}'"),
    ],
)
def test_a_missing_extra_comes_with_the_command_of_this_environment(
    pip, uv, command, install, sound, monkeypatch, capsys
) -> None:
    install(
        "dist-deep", "1.0", "Requires-Dist: no-such-thing>=2; extra == 'deep'", "Provides-Extra: deep",
        "Requires-Dist: numpy; extra == 'flat'", "Provides-Extra: flat", plugin=PLUGIN,
    )  # fmt: skip
    monkeypatch.setattr(installing, "find_spec", lambda name: pip or None)
    monkeypatch.setattr(installing.shutil, "which", lambda name: "/bin/uv" if uv else None)
    found = {one["name"]: one for one in examined(capsys, 0)["extras"]}
    assert found["dist-deep[deep]"] == {
        "name": "dist-deep[deep]",
        "installed": False,
        "missing": ["no-such-thing>=2"],
        "install": command.format(python=shlex.quote(sys.executable), what="dist-deep[deep]"),
    }
    assert found["dist-deep[flat]"]["installed"] is True
    assert app._run(["doctor"], json=False) == 0
    assert f"(no-such-thing>=2). Install it: {found['dist-deep[deep]']['install']}" in capsys.readouterr().out


def test_an_extra_of_an_extra_counts(install, sound, capsys) -> None:
    install("dist-inner", "1.0", "Requires-Dist: no-such-thing; extra == 'deep'", "Provides-Extra: deep")
    install(
        "dist-outer", "1.0", "Requires-Dist: dist-inner[deep]; extra == 'all'", "Provides-Extra: all", plugin=PLUGIN
    )
    (found,) = (one for one in examined(capsys, 0)["extras"] if one["name"] == "dist-outer[all]")
    assert found["missing"] == ["no-such-thing"]


def test_a_broken_plugin_is_named_with_its_cause(install, sound, capsys) -> None:
    install("dist-luckless", "1.2", plugin="raise RuntimeError('no luck')")
    found = examined(capsys, 1)
    (problem,) = found["problems"]
    assert problem["kind"] == "plugin"
    assert problem["message"] == (
        "The plugin 'dist-luckless' (dist-luckless 1.2) is broken. plugin_dist_luckless cannot be imported: RuntimeError: "
        "no luck (plugin_dist_luckless.py:1)."
    )
    assert problem["hint"].startswith("Update or uninstall dist-luckless, or disable it in ")
    assert {one["name"]: one["status"] for one in found["plugins"]}["dist-luckless"] == "error"


def test_versions_that_do_not_fit_each_other_come_with_one_command_for_all(install, sound, monkeypatch, capsys) -> None:
    monkeypatch.setattr(installing, "find_spec", lambda name: True)
    install("torchvision", "0.1", "Requires-Dist: torch (==1.0)")
    found = examined(capsys, 1)
    torch = found["versions"]["torch"]
    assert [(one["kind"], one["message"]) for one in found["problems"]] == [
        ("requirement", "graftwork-image needs torchvision<0.27,>=0.26; 0.1 is installed."),
        ("requirement", f"torchvision needs torch==1.0; {torch} is installed."),
    ]
    command = f"Install what fits: {sys.executable} -m pip install 'torchvision<0.27,>=0.26' torch==1.0"
    assert {one["hint"] for one in found["problems"]} == {command}


def test_what_is_required_and_missing_is_a_problem(install, sound, capsys) -> None:
    install("dist-needy", "1.0", "Requires-Dist: no-such-thing>=2", plugin=PLUGIN)
    found = examined(capsys, 1)
    assert [one["message"] for one in found["problems"]] == ["dist-needy needs no-such-thing>=2; it is not installed."]
    assert found["versions"]["no-such-thing"] is None


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise OSError('libcudart.so.12: cannot open shared object file\\nmore')",
         "OSError: libcudart.so.12: cannot open shared object file"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", "SIGILL ends the process"),
        ("import os\nos._exit(3)", "Python ends with status 3"),
    ],
)  # fmt: skip
def test_a_torch_that_cannot_be_imported_is_one_sentence(code, why, shell, tmp_path) -> None:
    (tmp_path / "site" / "torch").mkdir(parents=True)
    (tmp_path / "site" / "torch" / "__init__.py").write_text(code)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    done = shell.cold("doctor", PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stderr == ""
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("Broken: "))
    version = doctor.version_of("torch")
    assert line.startswith(f"Broken: torch {version} cannot be imported: {why}. Install it anew: ")
    assert "pip install" in line
    assert line.endswith("--force-reinstall --no-deps 'torch<2.12,>=2.11'")


def test_a_library_that_breaks_does_not_hide_the_next(tmp_path, monkeypatch) -> None:
    for name, code in (
        ("torch", "class version: cuda = hip = None\nraise_ = 1\n"),
        ("one", "1 / 0"),
        ("other", "import nothing_such"),
    ):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = probe(["one", "other"])
    assert found.failed == {
        "one": "ZeroDivisionError: division by zero",
        "other": "ModuleNotFoundError: No module named 'nothing_such'",
    }


def test_a_store_that_cannot_be_written_is_a_problem(sound, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRAFTWORK_CACHE", str(tmp_path / "file" / "below"))
    found = examined(capsys, 1)
    assert found["store"]["writable"] is False
    assert found["problems"] == [
        {
            "kind": "store",
            "message": f"The feature store '{tmp_path}/file/below/features' cannot be written: Not a directory.",
            "hint": "Name another folder: GRAFTWORK_CACHE=FOLDER",
        }
    ]


def test_looking_for_the_store_makes_no_folder(sound, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GRAFTWORK_CACHE", str(tmp_path / "new" / "store"))
    assert examined(capsys, 0)["store"]["writable"] is True
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_cannot_be_read_is_a_problem(sound, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "config.toml").write_text("plugins = 3")
    monkeypatch.setenv("GRAFTWORK_CONFIG", str(tmp_path / "config.toml"))
    loading.use(None)
    found = examined(capsys, 1)
    loading.use(None)
    assert [one["kind"] for one in found["problems"]] == ["config"]
    assert {one["status"] for one in found["plugins"]} == {"ok", "disabled"}


def test_a_gpu_that_torch_cannot_use_is_a_note(sound, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(doctor, "NVIDIA", tmp_path)
    (note,) = examined(capsys, 0)["notes"]
    assert note.startswith("This machine has an NVIDIA GPU, and torch ")
