"""The report on an installed plugin: where it comes from, what is wrong with it, and what importing it costs."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SLOW = 2.0
"""Seconds after which an import is reported as slow."""

HEAVY = ("torch", "torchvision", "torchaudio", "transformers", "datasets")
"""Packages that a plugin must not import in the module that only registers its specs."""


@dataclass
class PluginReport:
    """One installed plugin: where it comes from, and what is wrong with it, if anything.

    errors: what does not work. warnings: what works but slows down or changes every command. seconds: the time to
    import it. disabled_by: the file that disables it, so that it was not imported; None if it was.
    module: the module of its hooks. packages: the packages of this module and of the code that its specs name.
    """

    name: str
    distribution: str
    version: str
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    provides: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    disabled_by: Path | None = None
    module: str = ""
    packages: frozenset[str] = frozenset()

    @property
    def status(self) -> str:
        if self.disabled_by is not None:
            return "disabled"
        return "error" if self.errors else "warning" if self.warnings else "ok"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "status": self.status,
            "error": " ".join([*self.errors, *self.warnings]) or None,
            "disabled_by": None if self.disabled_by is None else str(self.disabled_by),
            "provides": self.provides,
            "seconds": round(self.seconds, 3),
        }


@contextmanager
def watched(report: PluginReport) -> Iterator[None]:
    """Record in `report` how long importing a plugin takes and which process-wide state it changes."""
    loaded, state, begun = set(sys.modules), _state(), time.perf_counter()
    yield
    report.seconds = time.perf_counter() - begun
    heavy = [name for name in HEAVY if name in sys.modules and name not in loaded]
    if heavy or report.seconds > SLOW:
        what = f"imports {', '.join(heavy)} where it only says what it brings" if heavy else "takes long to import"
        report.warnings.append(f"It {what}, so every command waits {report.seconds:.1f} s for it.")
    changed = [name for name, now in _state().items() if state.get(name, now) != now]
    if changed:
        report.warnings.append(f"Importing it changes {' and '.join(changed)}, for everybody.")


def _state() -> dict[str, Any]:
    """Process-wide state that no plugin may change, as far as it shows without importing anything."""
    blanket = [
        action for action, message, kind, module, _ in warnings.filters if kind is Warning and not (message or module)
    ]
    torch = sys.modules.get("torch")
    return {
        "the filters of all warnings": blanket,
        "the default dtype of torch": "torch.float32" if torch is None else str(torch.get_default_dtype()),
        **({} if torch is None else {"torch's number of threads": torch.get_num_threads()}),
    }
