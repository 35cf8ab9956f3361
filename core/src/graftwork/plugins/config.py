"""The user's configuration for every command, a TOML file: which installed plugins are not loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.errors import ConfigError


@dataclass(frozen=True)
class Config:
    """disabled: names of entry points or distributions whose plugins are not loaded. file: the file that says so."""

    disabled: tuple[str, ...] = ()
    file: Path | None = None


def file_in_use() -> Path:
    """The file that GRAFTWORK_CONFIG names, else config.toml in the user's configuration folder."""
    from platformdirs import user_config_path

    named = os.environ.get("GRAFTWORK_CONFIG")
    return Path(named).expanduser() if named else user_config_path("graftwork", False) / "config.toml"


def read() -> Config:
    """Read that file; it may be missing unless GRAFTWORK_CONFIG names it.

    Raises `ConfigError` for a file that cannot be read or has an unknown entry: a typo must not load a plugin that the
    user meant to disable.
    """
    file = file_in_use()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if not os.environ.get("GRAFTWORK_CONFIG"):
            return Config()
        raise _refused(file, "does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(file, f"cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    import tomllib  # only where there is something to read

    try:
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(file, f"is not TOML: {error}") from error
    plugins = entries.pop("plugins", {})
    if entries or not isinstance(plugins, dict):
        raise _refused(file, f"holds '{next(iter(entries), 'plugins')}', which is not the table [plugins]")
    disabled: Any = plugins.pop("disabled", [])
    if plugins:
        raise _refused(file, f"holds '{next(iter(plugins))}' in [plugins], which is not known")
    if not isinstance(disabled, list) or not all(isinstance(name, str) for name in disabled):
        raise _refused(file, "does not give 'disabled' a list of names")
    return Config(tuple(disabled), file)


def _refused(file: Path, reason: str) -> ConfigError:
    unset = ", or unset GRAFTWORK_CONFIG" if os.environ.get("GRAFTWORK_CONFIG") else ""
    return ConfigError(
        f"Your configuration '{file}' {reason}, so no plugin is loaded; accepted: [plugins], disabled = [\"NAME\"].",
        f"Mend it{unset}; what is installed: graftwork plugins",
    )
