"""A script that imports the code of a plugin in a process of its own and prints what this changes for everybody.

    python -P import_watch.py '["my_plugin.model", ...]' '["my_plugin"]'

Only what the plugin's own modules change is told, with the module and the variable: what a library changes when it is
imported (the environment variables of scikit-learn, the cache folder of torch) is not the plugin's.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

import numpy
import torch


def state() -> dict[str, str]:
    """Everything that belongs to the process and not to one module, in words."""
    blanket = [
        action for action, message, kind, module, _ in warnings.filters if kind is Warning and not (message or module)
    ]
    found: dict[str, Any] = {
        "the default dtype of torch": torch.get_default_dtype(),
        "the default device of torch": torch.get_default_device(),
        "torch's number of threads": torch.get_num_threads(),
        "whether torch records gradients": torch.is_grad_enabled(),
        "whether torch is deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch's generator": _digest(torch.random.get_rng_state().numpy().tobytes()),
        "numpy's generator": _digest(repr(numpy.random.get_state()).encode()),
        "Python's generator": _digest(repr(random.getstate()).encode()),
        "what numpy does with faults": numpy.geterr(),
        "the level of the root logger": logging.getLogger().level,
        "the handlers of the root logger": len(logging.getLogger().handlers),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the folder of the process": os.getcwd(),  # noqa: PTH109
        "who is told of an interrupt": signal.getsignal(signal.SIGINT),
        "the limit of recursion": sys.getrecursionlimit(),
        "the filters of all warnings": ", ".join(blanket) or "none",
    }
    return {
        **{what: str(value) for what, value in found.items()},
        **{f"the environment variable {name}": f"'{value}'" for name, value in os.environ.items()},
    }


def _digest(content: bytes) -> str:
    return f"state {hashlib.sha1(content, usedforsecurity=False).hexdigest()[:6]}"


class Watch:
    """Tells which module of some packages changed what, while modules are imported."""

    def __init__(self, packages: set[str]) -> None:
        self.packages = packages
        self.running = [""]
        self.last = state()
        self.found: list[str] = []

    def settle(self) -> None:
        """Lay what changed since the last time to the module that is running, if it is one of the packages'."""
        now, module = state(), self.running[-1]
        if module:
            for what in {**self.last, **now}:
                before, after = self.last.get(what, "unset"), now.get(what, "unset")
                if before != after:
                    self.found.append(f"{module} changes {what} ({before} before, {after} after)")
        self.last = now

    def execute(self, original: Callable[..., None], loader: SourceFileLoader, module: ModuleType) -> None:
        """Run a module that is imported for the first time."""
        ours = module.__name__ if module.__name__.partition(".")[0] in self.packages else ""
        if not ours and not self.running[-1]:  # a library's import of its own modules
            return original(loader, module)
        self.settle()
        self.running.append(ours)
        try:
            return original(loader, module)
        finally:
            self.settle()
            self.running.pop()


def main(modules: list[str], packages: list[str]) -> None:
    watch, original = Watch(set(packages)), SourceFileLoader.exec_module

    def exec_module(self: SourceFileLoader, module: ModuleType) -> None:
        watch.execute(original, self, module)

    SourceFileLoader.exec_module = exec_module
    for name in modules:
        importlib.import_module(name)
    print(json.dumps(watch.found))


if __name__ == "__main__":
    main(*map(json.loads, sys.argv[1:]))
