"""Code that a frozen dataclass names as `module:attribute`, imported by the first call that computes."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from graftwork.errors import PluginFault, UsageError


def load_factory(factory: str) -> Any:
    """Import what `module:attribute` names.

    Raises `PluginFault` when the module or the attribute cannot be imported.
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
            ) from error
        raise PluginFault(
            f"'{factory}' needs the package {missing}, which is not installed.",
            f"Install it: pip install {missing}",
        ) from error
    except (ImportError, AttributeError) as error:
        raise PluginFault(
            f"'{factory}' cannot be imported: {error}.",
            "Reinstall the plugin that names it; see: graftwork plugins",
        ) from error


def require(package: str, who: str, extra: str = "") -> None:
    """Check that a package is installed, without importing it; "" is none.

    who: what needs it, as a sentence begins; extra: of graftwork, which installs it.

    Raises `UsageError`.
    """
    if not package or importlib.util.find_spec(package.replace("-", "_")) is not None:
        return
    install = f"'graftwork[{extra}]'" if extra else package
    raise UsageError(
        f"{who} needs the package {package}, which is not installed.", f"Install it: pip install {install}"
    )
