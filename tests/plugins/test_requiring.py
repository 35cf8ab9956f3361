"""What a script asks of plugins is answered by one sentence with the command."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

import graftwork as gw
from graftwork.plugins import loading, requiring
from graftwork.plugins.report import PluginReport


def said(*names: str) -> str:
    with pytest.raises(gw.UnknownName) as refused:
        gw.require_plugins(*names)
    return str(refused.value)


def test_plugins_that_are_here_are_no_matter() -> None:
    gw.require_plugins("graftwork-text", "graftwork-audio[starter]", "graftwork_image")


def test_missing_plugins_are_named_with_the_command_that_installs_them() -> None:
    assert said("graftwork-text", "graftwork-none") == (
        "This needs graftwork-none, which is not installed. Install it: pip install graftwork-none"
    )
    assert said("graftwork-none[starter]", "graftwork-nix") == (
        "This needs graftwork-none[starter] and graftwork-nix, which are not installed. "
        "Install them: pip install 'graftwork-none[starter]' graftwork-nix"
    )


def test_an_extra_without_its_package_is_missing(monkeypatch) -> None:
    known = requiring.distribution
    made = {"graftwork-audio": types.SimpleNamespace(requires=["numpy", "weights-of-none>=1; extra == 'starter'"])}
    monkeypatch.setattr(requiring, "distribution", lambda name: made.get(name) or known(name))
    gw.require_plugins("graftwork-audio", "graftwork-audio[other]")
    assert "pip install 'graftwork-audio[starter]'" in said("graftwork-audio[starter]")


@pytest.fixture
def audio(monkeypatch) -> PluginReport:
    """The report on an installed plugin, alone in this process."""
    report = PluginReport("audio", "graftwork-audio", "1.0")
    monkeypatch.setattr(requiring, "installed", lambda: loading.Plugins([report]))
    return report


def test_plugins_that_are_left_out_disabled_or_broken_are_told_apart(audio, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_PLUGINS", "audio")
    assert said("graftwork-text") == (
        "This needs graftwork-text, which is installed and which GRAFTWORK_PLUGINS='audio' leaves out. "
        "Load all: unset GRAFTWORK_PLUGINS"
    )
    gw.require_plugins("graftwork-audio")
    audio.errors.append("It cannot be imported: out of ideas.")
    assert said("graftwork-audio") == (
        "This needs graftwork-audio, which does not load: It cannot be imported: out of ideas. "
        "Install it anew: pip install --force-reinstall graftwork-audio"
    )
    audio.disabled_by = Path("config.toml")
    assert said("graftwork-audio") == (
        "This needs graftwork-audio, which 'config.toml' disables. Take it off the list `disabled` there."
    )


def test_the_data_of_a_demo_are_written_or_found(tmp_path) -> None:
    entities = gw.demo_data("entities", tmp_path / "new" / "folder")
    assert entities == tmp_path / "new" / "folder" / "entities.jsonl"
    assert len(entities.read_text(encoding="utf-8").splitlines()) == 300
    assert gw.demo_data("messages", tmp_path).name == "messages.csv"
    with pytest.raises(gw.UnknownName, match="No demo is called 'massages'; the nearest .*messages"):
        gw.demo_data("massages", tmp_path)
