"""Code that a spec names as `module:attribute`, imported by the first call that computes."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from graftwork.errors import PluginFault, UsageError


def load_factory(factory: str) -> Any:
    """Import the object that `module:attribute` names, and return it.

    Raises `PluginFault` if the module or the attribute cannot be imported.
    """
    module, _, attribute = factory.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == module.partition(".")[0]:
            raise PluginFault(
                f"'{factory}' cannot be imported: {error}.",
                "Reinstall the plugin that names it; see: graftwork plugins",
                factory=factory,
            ) from error
        raise PluginFault(
            f"'{factory}' needs the package {missing}, which is not installed.",
            f"Install it: pip install {missing}",
            factory=factory,
        ) from error
    except (ImportError, AttributeError) as error:
        raise PluginFault(
            f"'{factory}' cannot be imported: {error}.",
            "Reinstall the plugin that names it; see: graftwork plugins",
            factory=factory,
        ) from error


def require(package: str, who: str, extra: str = "") -> None:
    """Check that a package is installed, without importing it; an empty name passes.

    who: what needs it, as the start of the message. extra: the extra of graftwork that installs it.

    Raises `UsageError` if it is missing.
    """
    if not package or importlib.util.find_spec(package.replace("-", "_")) is not None:
        return
    install = f"'graftwork[{extra}]'" if extra else package
    raise UsageError(
        f"{who} needs the package {package}, which is not installed.", f"Install it: pip install {install}"
    )
