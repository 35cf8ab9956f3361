"""A fault in a plugin's code is said to be the plugin's: which, of which distribution, in which of its functions, on
which line, and what the user does next. Only the core's own faults are 'a fault of graftwork's'."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import graftwork as gw
from graftwork.cli import app

SOURCE = Path(__file__).with_name("planted_plugin.py")

FIT = ("fit", "DATA", "--task", "planted", "--no-cache", "--out", "OUT")
STEPS = (*FIT, "--freeze", "planted", "--epochs", "1")
# What fails, the function that is named for it, and the command that meets it.
FAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "reader.facts": ("Reader.facts", FIT),
    "reader.decode": ("Reader.decode", FIT),
    "reader.decode exits": ("Reader.decode", FIT),
    "reader.defects": ("Reader.defects", FIT),
    "reader.digest": ("Reader.digest", ("check", "DATA")),
    "likeness": ("Likeness.signature", ("check", "DATA")),
    "survey": ("survey", ("check", "DATA", "--backbone", "planted/one")),
    "preparer": ("prepare", FIT),
    "prepare": ("prepare.<locals>.batch", FIT),
    "build": ("build", FIT),
    "stage.forward": ("Stage.forward", FIT),
    "pool": ("Backbone.pool", FIT),
    "converter": ("convert", ("fit", "FAST", "--task", "planted", "--no-cache", "--out", "OUT")),
    "adapter": ("adapt", ("fit", "WORDS", "--adapter", "words:made", "--no-cache", "--out", "OUT")),
    "augment build": ("augment", (*STEPS, "--augment")),
    "augment": ("augment.<locals>.change", (*STEPS, "--augment")),
    "task.encode": ("Task.encode", FIT),
    "task.loss": ("Task.loss", STEPS),
    "task.metrics": ("Task.metrics", FIT),
    "head": ("Head.__init__", FIT),
    "head.forward": ("Head.forward", FIT),
    "policy": ("policy", STEPS),
    "policy.plan": ("Policy.plan", STEPS),
    "logger": ("Logger.start", (*STEPS, "--logger", "planted")),
    "source.files": ("Source.files", ("check", "planted://x")),
    "source.read": ("Source.read", ("check", "planted://x")),
    "annotations.fits": ("Annotations.fits", ("check", "DATA", "--task", "planted-spans", "--layout", "planted")),
    "annotations.read": ("Annotations.read", ("check", "DATA", "--task", "planted-spans")),
    "demo": ("demo", ("demo", "planted")),
    "resolver": ("resolve", ("check", "DATA", "--backbone", "planted:x")),
    "rank": ("Stage.forward", ("rank", "DATA", "--task", "planted")),
}


FAST = ("fit", "FAST", "--task", "planted", "--no-cache", "--out", "OUT")
# What is given back in place of the right thing, by the code that gives it, and the command that meets it.
WRONG: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "facts": ("Reader.facts", None, FIT),
    "facts of lists": ("Reader.facts", {"rate": [1]}, FIT),
    "a value": ("Reader.decode", None, FIT),
    "defects": ("Reader.defects", None, FIT),
    "shares of words": ("Reader.defects", {"flat": "half"}, FIT),
    "a digest": ("Reader.digest", "abc", ("check", "DATA")),
    "a survey": ("survey", None, ("check", "DATA", "--backbone", "planted/one")),
    "what a survey says": ("survey", lambda values: 3, ("check", "DATA", "--backbone", "planted/one")),
    "a preparer": ("prepare", None, FIT),
    "a batch": ("prepare", lambda values: [1], FIT),
    "a backbone": ("build", None, FIT),
    "a state": ("Stage.forward", None, FIT),
    "features": ("Backbone.pool", None, FIT),
    "features of another shape": ("Backbone.pool", torch.zeros(8, 3), FIT),
    "a converted value": ("convert", None, FAST),
    "an augmented value": ("augment", lambda value, rng: None, (*STEPS, "--augment")),
    "targets": ("Task.encode", None, FIT),
    "a loss": ("Task.loss", None, STEPS),
    "one loss for all": ("Task.loss", torch.zeros((), requires_grad=True), STEPS),
    "figures": ("Task.metrics", None, FIT),
    "figures of words": ("Task.metrics", {"accuracy": "high"}, FIT),
    "outputs": ("Head.forward", None, STEPS),
    "a plan": ("Policy.plan", None, STEPS),
    "a policy": ("policy", None, STEPS),
    "files": ("Source.files", None, ("check", "planted://x")),
    "files of words": ("Source.files", ["a"], ("check", "planted://x")),
    "bytes": ("Source.read", None, ("check", "planted://x")),
    "label files": ("Annotations.read", None, ("check", "DATA", "--task", "planted-spans", "--layout", "planted")),
    "a spec": ("resolve", None, ("check", "DATA", "--backbone", "planted:x")),
}


@pytest.fixture
def planted(plugins: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The plugin, alone beside the core."""
    monkeypatch.syspath_prepend(SOURCE.parent)
    for name in ("GRAFTWORK_DEBUG", "GRAFTWORK_OFFLINE", "HF_HUB_OFFLINE"):  # the plugin's source uses no network
        monkeypatch.delenv(name, raising=False)
    module: Any = importlib.import_module("planted_plugin")
    plugins(module)
    yield module
    module.FAULT = ""


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Data for the plugin, by the word that stands for them in a command."""
    for folder, rate, ending in (("data", 1, "planted"), ("fast", 2, "planted"), ("words", 1, "words")):
        for label, low in (("a", 0), ("b", 50)):
            (tmp_path / folder / label).mkdir(parents=True)
            for number in range(12):
                values = " ".join(str(low + number + step) for step in range(4))
                (tmp_path / folder / label / f"{number}.{ending}").write_text(f"{rate} {values}")
    named = {"DATA": "data", "FAST": "fast", "WORDS": "words", "OUT": "out"}
    return {word: str(tmp_path / place) for word, place in named.items()}


def run(command: tuple[str, ...], places: dict[str, str], capsys: Any) -> tuple[int, dict[str, Any]]:
    """The exit status and the one JSON document of a command."""
    code = app._run([*(places.get(word, word) for word in command), "--json"], json=True)
    return code, json.loads(capsys.readouterr().out)


def line_of(fault: str) -> int:
    """The line of the plugin where it fails."""
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    told = [number for number, line in enumerate(lines, 1) if f'FAULT == "{fault}":' in line]
    if told:
        return told[0] + 1
    place = {"adapter": "def adapt(", "source.read": "def read(self, file: gw.RemoteFile", "demo": "def demo(",
             "resolver": "def resolve(", "annotations.read": "def read(self, place: Path"}[fault]  # fmt: skip
    return next(number for number, line in enumerate(lines, 1) if place in line) + 1


@pytest.mark.parametrize("fault", FAULTS)
def test_the_sentence_names_the_plugin_the_function_and_the_line(fault, planted, places, capsys) -> None:
    hook, command = FAULTS[fault]
    planted.FAULT = fault if fault != "rank" else "stage.forward"
    code, said = run(command, places, capsys)
    message = said["error"]["message"]
    assert "plugin 'planted_plugin' (dist-planted_plugin 1.0)" in message, message
    assert f"{hook}, planted_plugin.py:{line_of(planted.FAULT)}" in message, message
    assert "graftwork's" not in message
    assert (code, said["error"]["type"]) == (1, "PluginFault"), message


@pytest.mark.parametrize("what", WRONG)
def test_what_a_plugin_gives_back_is_its_own(what, planted, places, capsys, monkeypatch) -> None:
    code, value, command = WRONG[what]
    owner, _, method = code.rpartition(".")

    def wrong(*_: Any, **__: Any) -> Any:
        return value

    wrong.__module__, wrong.__qualname__ = planted.__name__, code
    if owner:
        there = getattr(planted, owner)
        own = type(owner, (there,), {method: wrong, "__module__": planted.__name__})
        if owner == "Annotations":
            own.fits = lambda self, place: True
        monkeypatch.setattr(planted, owner, own)
    else:
        monkeypatch.setattr(planted, code, wrong)
    status, said = run(command, places, capsys)
    message = said["error"]["message"]
    assert "plugin 'planted_plugin' (dist-planted_plugin 1.0)" in message, message
    assert "graftwork's" not in message
    assert (status, said["error"]["type"]) == (1, "PluginFault"), message


def test_without_a_fault_the_same_commands_work(planted, places, capsys) -> None:
    for command in (FIT, ("check", "DATA", "--backbone", "planted/one")):
        code, said = run(command, places, capsys)
        assert code == 0, said


def test_the_user_learns_how_to_go_on_and_the_author_how_to_see_more(planted, places, capsys) -> None:
    planted.FAULT = "pool"
    hint = run(FIT, places, capsys)[1]["error"]["hint"]
    for words in (
        "Report it to its authors",
        'disabled = ["planted_plugin"]',
        "GRAFTWORK_PLUGINS",
        "GRAFTWORK_DEBUG=1",
    ):
        assert words in hint


def test_python_raises_the_same_error_with_the_plugins_own_behind_it(planted, places) -> None:
    planted.FAULT = "task.metrics"
    with pytest.raises(
        gw.PluginFault, match=r"failed in Task.metrics, planted_plugin.py:\d+: ZeroDivisionError"
    ) as caught:
        gw.fit(places["DATA"], task="planted")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_fault_over_one_example_costs_that_example(planted, places, capsys) -> None:
    planted.FAULT = "reader.decode of one"
    code, said = run(FIT, places, capsys)
    assert code == 0, said
    (lost,) = said["data"]["left_out"]
    assert lost["kind"] == "plugin_fault"
    assert re.search(
        r"a/3.planted' cannot be read: The plugin 'planted_plugin' \(dist-planted_plugin 1.0\) failed in Reader.decode, "
        r"planted_plugin.py:\d+: ZeroDivisionError: reader.decode of one",
        lost["reason"],
    )


def test_a_prediction_says_whose_fault_it_is(planted, places, capsys) -> None:
    assert run(FIT, places, capsys)[0] == 0
    planted.FAULT = "reader.facts"
    code, said = run(("predict", "OUT", f"{places['DATA']}/a/1.planted"), places, capsys)
    assert code == 2
    assert "The plugin 'planted_plugin' (dist-planted_plugin 1.0) failed in Reader.facts" in said["error"]["message"]
    planted.FAULT = "task.decode"
    code, said = run(("predict", "OUT", f"{places['DATA']}/a/1.planted"), places, capsys)
    assert (code, said["error"]["type"]) == (1, "PluginFault")


def test_code_that_cannot_be_imported_is_the_plugins_that_names_it(
    planted, places, capsys, tmp_path, monkeypatch
) -> None:
    command = ("fit", "DATA", "--task", "unimported", "--out", "OUT")
    code, said = run(command, places, capsys)
    assert code == 1
    assert said["error"]["message"] == (
        "'planted_broken:Task' cannot be imported: No module named 'planted_broken'; "
        "it is code of the plugin 'planted_plugin' (dist-planted_plugin 1.0)."
    )
    monkeypatch.syspath_prepend(tmp_path)
    for source, words in (
        ("\n1 / 0\n", "failed in its import, planted_broken.py:2: ZeroDivisionError: division by zero."),
        ("import sys\nsys.exit(3)\n", "failed in its import, planted_broken.py:2: SystemExit: 3."),
        ("import gone_for_good\n", "needs the package gone_for_good, which is not installed; in the plugin "),
        ("from graftwork import Gone\n", "its import, planted_broken.py:1."),
    ):
        (tmp_path / "planted_broken.py").write_text(source)
        importlib.invalidate_caches()
        sys.modules.pop("planted_broken", None)
        code, said = run(command, places, capsys)
        assert code == 1
        assert words in said["error"]["message"]
        assert "planted_plugin" in said["error"]["message"]
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)


def test_a_factory_that_names_nothing_is_the_plugins(planted, places, capsys) -> None:
    code, said = run(("fit", "DATA", "--task", "unnamed", "--out", "OUT"), places, capsys)
    assert code == 1
    assert "it is code of the plugin 'planted_plugin' (dist-planted_plugin 1.0)" in said["error"]["message"]


def test_a_fault_of_the_core_is_ours(planted, places, capsys, monkeypatch) -> None:
    from graftwork.runs import fitting

    monkeypatch.setattr(fitting, "judged_answers", lambda *_, **__: 1 / 0)
    code, said = run(FIT, places, capsys)
    assert code == 1
    assert said["error"]["message"] == "This is a fault of graftwork's: ZeroDivisionError: division by zero"


def test_the_core_called_by_a_plugin_is_the_plugins_and_a_plugin_called_by_another_its_own(
    planted, places, capsys
) -> None:
    planted.FAULT = "stage.forward"  # raised by torch, which the plugin called
    message = run(FIT, places, capsys)[1]["error"]["message"]
    assert "RuntimeError: mat1 and mat2" in message
    assert "Stage.forward" in message
