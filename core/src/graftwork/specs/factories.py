"""Code that a frozen dataclass names as `module:attribute`, imported by the first call that computes."""

from __future__ import annotations

import importlib
from typing import Any

from graftwork.errors import PluginFault


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
