"""Names that nothing has: the end of a sentence that names the nearest ones, and hooks that are none."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence

import pluggy

from graftwork.plugins import hooks


def nearest_words(name: str, known: Sequence[str]) -> str:
    """The end of a sentence that names those of `known` that are nearest to `name`."""
    tails = {k.rsplit("/", 1)[-1]: k for k in known}
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    close += [tails[t] for t in difflib.get_close_matches(name.rsplit("/", 1)[-1], tails, n=3, cutoff=0.5)]
    nearest = list(dict.fromkeys(close))[:3] or known[:5]
    if not nearest:
        return "; nothing installed brings any"
    return f"; the nearest {'is' if len(nearest) == 1 else 'are'} {', '.join(nearest)}"


def check_hooks(plugin: object, manager: pluggy.PluginManager) -> None:
    """Check that what a registered plugin implements are hooks, and that it marks those that it defines.

    Raises `ValueError` with the nearest name and the list of hooks.
    """
    known = sorted(name for name in vars(hooks) if name.startswith(f"{hooks.GROUP}_"))
    for hook in manager.get_hookcallers(plugin) or ():
        if not hook.has_spec() and not all(one.optionalhook for one in hook.get_hookimpls()):
            kinds = {name.removeprefix(f"{hooks.GROUP}_"): name for name in known}
            nearest = difflib.get_close_matches(hook.name.removeprefix(f"{hooks.GROUP}_"), kinds, n=1)
            meant = f"; did you mean {kinds[nearest[0]]}?" if nearest else "."
            raise ValueError(f"It implements {hook.name}, and no hook is called so{meant} All are {', '.join(known)}")
    for name in known:
        code = getattr(plugin, name, None)
        if inspect.isroutine(code) and not hasattr(code, f"{hooks.GROUP}_impl"):
            raise ValueError(f"It defines {name} and does not mark it: write @hookimpl above it, from graftwork")
