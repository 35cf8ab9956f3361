"""Whatever a plugin does while it says what it brings costs that plugin alone, and is said of it in a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graftwork as gw
from graftwork.plugins.loading import MOST_SPECS, discover

HOOKS: dict[str, tuple[str, str]] = {
    "sys.exit": ("sys.exit(3)", "graftwork_tasks raised SystemExit: 3"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "graftwork_tasks raised KeyboardInterrupt: KeyboardInterrupt"),
    "GeneratorExit": ("raise GeneratorExit", "graftwork_tasks raised GeneratorExit: GeneratorExit"),
    "a type of its own": (
        "raise type('PanicException', (BaseException,), {})('called unwrap')",
        "graftwork_tasks raised PanicException: called unwrap",
    ),
    "a spec without its fields": ("yield gw.TaskSpec('x')", "graftwork_tasks raised TypeError: "),
    "nothing": ("return 3\n    yield", ""),
    "a number": ("yield 3", "graftwork_tasks yielded a int; it must yield TaskSpec"),
    "a class": ("yield gw.TaskSpec", "graftwork_tasks yielded a type; it must yield TaskSpec"),
    "without end": ("while True: yield gw.TaskSpec('x', 'x:y', 'names', ('linear',))", f"yields more than {MOST_SPECS:,} specs"),
    "a name that is no name": (
        "yield gw.TaskSpec(['x'], 'x:y', 'names', ('linear',))",
        "'['x']' of graftwork_tasks is not used: its name is ['x']; accepted: str.",
    ),
    "heads that are a word": (
        "yield gw.TaskSpec('x', 'x:y', 'names', 'linear')",
        "'x' of graftwork_tasks is not used: its heads is 'linear'; accepted: tuple[str, ...].",
    ),
    "no factory": (
        "yield gw.TaskSpec('x', None, 'names', ('linear',))",
        "'x' of graftwork_tasks is not used: its factory is None; accepted: str.",
    ),
}  # fmt: skip


def written(folder: Path, name: str, body: str, top: str = "", module: str = "", hook: str = "graftwork_tasks") -> Path:
    """Put a plugin of one module and one hook where Python finds it, as an installed distribution is found."""
    module = module or f"held_{name}"
    source = (
        f"import os, sys\nimport graftwork as gw\napi_version = 1\n{top}\n@gw.hookimpl\ndef {hook}():\n    {body}\n"
    )
    (folder / f"{module}.py").write_text(source)
    information = folder / f"dist_{name}-1.2.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.2\n")
    (information / "entry_points.txt").write_text(f"[graftwork]\nplugin-{name} = {module}\n")
    return folder


@pytest.mark.parametrize("case", HOOKS)
def test_a_hook_that_goes_wrong_costs_its_plugin_and_no_other(case, tmp_path, monkeypatch) -> None:
    body, words = HOOKS[case]
    name = case.replace(" ", "_").replace(".", "_")
    monkeypatch.syspath_prepend(written(tmp_path, name, body))
    found = discover(f"plugin-{name},text")
    report = next(r for r in found.reports if r.name == f"plugin-{name}")
    assert words in " ".join(report.errors)
    assert ("raised" in words) == any(f"(held_{name}.py:7)" in error for error in report.errors)
    assert not report.provides
    assert "text/minilm" in found.registered["backbones"]


def test_a_hook_that_gives_nothing_to_go_through_is_named(plugins) -> None:
    def graftwork_tasks() -> Any:
        return 3

    module = types.SimpleNamespace(__name__="odd", api_version=1, graftwork_tasks=gw.hookimpl(graftwork_tasks))
    found = plugins(module)
    assert found.reports[-1].errors == ["graftwork_tasks raised TypeError: 'int' object is not iterable."]


@pytest.mark.parametrize("raised", ["sys.exit(3)", "raise KeyboardInterrupt", "raise GeneratorExit", "1 / 0"])
def test_an_import_that_goes_wrong_costs_its_plugin_and_no_other(raised, tmp_path, monkeypatch) -> None:
    name = f"import_{abs(hash(raised))}"
    monkeypatch.syspath_prepend(written(tmp_path, name, "yield", top=raised))
    found = discover(f"plugin-{name},text")
    report = next(r for r in found.reports if r.name == f"plugin-{name}")
    assert report.errors[0].startswith(f"held_{name} cannot be imported: ")
    assert report.errors[0].endswith(f"(held_{name}.py:4).")
    assert "text/minilm" in found.registered["backbones"]


def test_ctrl_c_stays_the_users(tmp_path) -> None:
    """In a process of its own: an interrupt may not reach whoever runs the tests."""
    interrupt = f"os.kill(os.getpid(), {int(signal.SIGINT)}); sum(range(100))"
    written(tmp_path, "pressed", "yield", top=interrupt)
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from graftwork.plugins.loading import discover\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "try:\n    discover('plugin-pressed')\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "interrupted True\n", done.stderr


@pytest.fixture
def noisy(tmp_path: Path) -> str:
    """PYTHONPATH with plugins that print at import, in a hook and at the end, past Python too, and that fail at import
    and in hooks."""
    folder = tmp_path / "site"
    folder.mkdir()
    prints = (
        "print('printed at import'); os.write(1, b'written at import\\n'); os.system('echo echoed')\n"
        "import atexit; atexit.register(lambda: print('printed at the end'))"
    )
    written(folder, "prints", "print('printed in a hook')\n    return []", top=prints)
    for number, (body, _) in enumerate(HOOKS.values()):
        written(folder, f"hook{number}", body)
    for number, top in enumerate(("sys.exit(0)", "raise KeyboardInterrupt", "raise GeneratorExit", "import gone")):
        written(folder, f"top{number}", "yield", top=top)
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def test_every_command_gives_one_document_and_its_usual_status_with_faulty_plugins(
    shell, messages, tiny_bert, noisy, tmp_path
) -> None:
    backbone = ("--backbone", f"local:{tiny_bert}")
    small = ("--allow-little", "--set", "num_hidden_layers=1", "--set", "hidden_size=16", "--out", "OUT-model")
    commands: list[tuple[int, tuple[str, ...]]] = [
        (0, ("plugins",)),
        (0, ("backbones",)),
        (0, ("freeze", "last:1", *backbone)),
        (0, ("check", str(messages), *backbone)),
        (0, ("fit", str(messages), *backbone, "--no-cache", "--out", "OUT")),
        (0, ("predict", "OUT", "where is my parcel")),
        (0, ("evaluate", "OUT", str(messages))),
        (0, ("cache", "size")),
        (0, ("compare", str(messages), *backbone, "--epochs", "1", "--budget", "1s")),
        (0, ("pretrain", str(messages), "--architecture", "bert-small", "--objective", "mlm", "--epochs", "1", *small)),
        (0, ("demo", "vibrations")),
        (0, ("machine",)),
        (0, ("new", "plugin", "my-encoder", "--modality", "image", "--out", "OUT-new")),
        (2, ("fit", str(messages), "--backbone", "text/none")),
        (2, ("check", "nowhere")),
        (2, ("rank", "nowhere")),
        (2, ("fit", "--no-such-option")),
    ]
    changes: dict[str, Callable[[Any], Any]] = {
        "plugins": lambda said: [one["name"] for one in said if not one["name"].startswith("plugin-")],
        "backbones": lambda said: [one["name"] for one in said],
        "predict": lambda said: said[0]["label"],
        "fit": lambda said: said.get("metrics", said),
        "evaluate": lambda said: said["metrics"] if "metrics" in said else sorted(said),
        "check": lambda said: said.get("problems", said),
        "compare": sorted,
        "pretrain": sorted,
        "demo": lambda said: [(row["name"], row["accuracy"]) for row in said["demos"]],
        "new": lambda said: sorted(said),
    }
    for code, (name, *rest) in commands:
        found = []
        for number, environment in enumerate(({}, {"PYTHONPATH": noisy})):
            arguments = [word.replace("OUT", str(tmp_path / f"out{number}")) for word in rest]
            said = shell.json(name, *arguments, code=code, **environment)
            found.append(changes.get(name, lambda said: said)(said))
        assert found[0] == found[1], name


def test_what_plugins_print_goes_to_stderr(shell, noisy) -> None:
    done = shell.cold("plugins", "--json", PYTHONPATH=noisy)
    assert done.returncode == 0
    assert done.stdout.startswith("[\n")
    assert done.stdout.endswith("]\n")
    for words in ("printed at import", "written at import", "echoed", "printed in a hook", "printed at the end"):
        assert words in done.stderr
        assert words not in done.stdout


def test_in_words_too_stdout_is_for_the_result(shell, noisy) -> None:
    done = shell.cold("plugins", PYTHONPATH=noisy)
    assert "plugin-prints (dist-prints 1.2)" not in done.stdout
    assert "plugin-hook0 (dist-hook0 1.2): graftwork_tasks raised SystemExit: 3 (held_hook0.py:7)." in done.stdout
    assert "printed" not in done.stdout
