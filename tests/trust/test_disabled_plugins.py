"""A plugin that the user's configuration disables is installed and never imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graftwork import ConfigError, UsageError
from graftwork.plugins import config, loading
from graftwork.testing.kit import cases

SOURCE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
from graftwork import API_VERSION, BackboneSpec, FolderWeights, InputContract, hookimpl
api_version = API_VERSION
@hookimpl
def graftwork_backbones():
    yield BackboneSpec("sound/mine", InputContract("sound"), "x:y", FolderWeights(Path("/no")), ("a",), 1, 1, "MIT", "x", "y")
"""
KNOWN = 'accepted: [plugins], disabled = ["NAME"].'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where a plugin is installed that leaves a file `ran` when it is imported."""
    about = tmp_path / "site" / "dist_mine-1.2.dist-info"
    about.mkdir(parents=True)
    (tmp_path / "site" / "mine_plugin.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dist-mine\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("[graftwork]\nmine = mine_plugin\n")
    return tmp_path / "site"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`written(text)`: the user's configuration, in use."""

    def write(text: str | bytes) -> Path:
        file = tmp_path / "config.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        monkeypatch.setenv("GRAFTWORK_CONFIG", str(file))
        return file

    return write


@pytest.mark.parametrize("name", ["mine", "dist-mine"])
def test_a_disabled_plugin_is_listed_and_never_imported(shell, site, written, name) -> None:
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    file = written(f'[plugins]\ndisabled = ["{name}"]\n')
    (row,) = (row for row in shell.json("plugins", PYTHONPATH=path) if row["name"] == "mine")
    assert (row["status"], row["disabled_by"], row["provides"]) == ("disabled", str(file), {})
    assert f"mine (dist-mine 1.2): disabled by '{file}'\n" in shell("plugins", PYTHONPATH=path).stdout
    assert "sound/mine" not in shell("backbones", PYTHONPATH=path).stdout
    assert "sound/mine" not in shell("backbones", PYTHONPATH=path, GRAFTWORK_PLUGINS="mine").stdout
    assert not (site / "ran").exists()
    file.write_text("")
    assert "sound/mine" in shell("backbones", PYTHONPATH=path).stdout
    assert (site / "ran").exists()


def test_who_misses_what_is_disabled_is_told_where(shell, written, tmp_path) -> None:
    file = written('[plugins]\ndisabled = ["text", "image"]\n')
    (tmp_path / "table.csv").write_text("text,label\nhello,a\nbye,b\n")
    (tmp_path / "folder" / "a").mkdir(parents=True)
    (tmp_path / "folder" / "a" / "one.png").write_bytes(b"")
    missed = [
        ("freeze", "all", "--backbone", "text/minilm"),
        ("check", tmp_path / "table.csv"),
        ("check", tmp_path / "folder"),
    ]
    for command in missed:
        error = shell.json(*command, code=2)["error"]
        assert error["message"].endswith(f"; '{file}' disables image, text."), error["message"]


def test_a_disabled_name_that_nothing_has_is_warned_of(shell, written) -> None:
    file = written('[plugins]\ndisabled = ["adio"]\n')
    done = shell("plugins", "--json")
    assert done.stderr == f"Warning: 'adio' is disabled in '{file}', and no installed plugin is called so.\n"
    assert done.returncode == 0


def test_where_the_configuration_is_broken_no_plugin_is_imported_and_they_are_listed(shell, site, written) -> None:
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    file = written("[plugins\n")
    error = shell.json("backbones", code=2, PYTHONPATH=path)["error"]
    assert error["type"] == "ConfigError"
    assert error["message"].startswith(f"Your configuration '{file}' is not TOML: Expected ']' ")
    assert error["message"].endswith(f", so no plugin is loaded; {KNOWN}")
    assert error["hint"] == "Mend it, or unset GRAFTWORK_CONFIG; what is installed: graftwork plugins"
    done = shell("plugins", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, f"Warning: {error['message']} {error['hint']}\n")
    assert f"mine (dist-mine 1.2): disabled by '{file}'\n" in done.stdout
    assert not (site / "ran").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[plugin]\ndisabled = []", "holds 'plugin', which is not the table [plugins]"),
        ("plugins = 1", "holds 'plugins', which is not the table [plugins]"),
        ("[plugins]\ndisable = []", "holds 'disable' in [plugins], which is not known"),
        ("[plugins]\ndisabled = 'audio'", "does not give 'disabled' a list of names"),
        ("[plugins]\ndisabled = [1]", "does not give 'disabled' a list of names"),
        (b"# \xff", "cannot be read: it is not UTF-8"),
    ],
)
def test_a_slip_in_the_configuration_is_refused_in_one_sentence(written, text, reason) -> None:
    file = written(text)
    with pytest.raises(ConfigError) as caught:
        config.read()
    assert caught.value.message == f"Your configuration '{file}' {reason}, so no plugin is loaded; {KNOWN}"


def test_only_a_file_that_is_named_must_exist(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="none.toml' does not exist, so no plugin is loaded"):
        config.read()
    monkeypatch.delenv("GRAFTWORK_CONFIG")
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_: tmp_path)
    assert config.read() == config.Config()
    (tmp_path / "config.toml").write_text('[plugins]\ndisabled = ["audio"]\n')
    assert config.read() == config.Config(("audio",), tmp_path / "config.toml")


def test_the_kit_does_not_pass_what_is_disabled(monkeypatch) -> None:
    found = loading.discover("text", config.Config(("text",), Path("mine.toml")))
    monkeypatch.setattr(loading, "_installed", found)
    with pytest.raises(
        UsageError, match="The plugin 'text' is disabled by 'mine.toml', so nothing of it can be checked"
    ):
        cases("text")
