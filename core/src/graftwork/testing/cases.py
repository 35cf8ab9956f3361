"""What a check is, and what it may say. Modules with checks import this one; `kit` collects them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Reference = Callable[[Any, list[Any]], Any]
"""`reference(backbone, values)`: what the library that the encoder comes from makes of decoded examples, by its own
preparation and forward: the hidden states after the last stage, padded at their ends like the backbone's, or what is
pooled of them, `(B, D)`."""


class Nonconformance(AssertionError):
    """What of a plugin does not keep a promise, and what to change."""

    def __init__(self, wrong: str, change: str) -> None:
        super().__init__(f"{wrong} {change}")


class NotChecked(Exception):
    """Why a check has nothing to look at here; the tests say so instead of passing."""


@dataclass(frozen=True)
class Given:
    """What an author gives beside the plugin, by names of backbones. weights: a folder in the place of a spec's own.
    reasons: why there is no reference. ids: names of backbones that the plugin's resolvers make specs of.
    """

    references: Mapping[str, Reference | None] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    ids: Sequence[str] = ()


@dataclass(frozen=True)
class Case:
    """One check of one registered thing; calling it raises `Nonconformance` or `NotChecked`.

    slow: whether `pytest --graftwork-fast` leaves it out.
    """

    kind: str
    subject: str
    check: str
    run: Callable[[], None]
    slow: bool = False

    @property
    def name(self) -> str:
        return f"{self.subject}-{self.check}"

    def __call__(self) -> None:
        try:
            self.run()
        except (Nonconformance, NotChecked):
            raise
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise Nonconformance(
                f"{self.check} of '{self.subject}' ended in {type(error).__name__}: {first}.",
                "See the traceback above: the plugin, or what it gives the kit to work with, raised it.",
            ) from error


class Registered:
    """Something that a plugin registers, under test: what checks are called with, unless their kind has a class."""

    def __init__(self, name: str, spec: Any, given: Given) -> None:
        self.name, self.spec = name, spec


R = TypeVar("R", bound=Registered)
Check = Callable[[Any], None]
CHECKS: dict[str, list[Check]] = {}
"""The checks of each kind of thing, in the order in which they are run."""

SUBJECTS: dict[str, type[Registered]] = {}
"""The class that checks of a kind are called with; `Registered` for the others."""


SLOW: set[Check] = set()
"""The checks that `pytest --graftwork-fast` leaves out."""


def check(kind: str, *, slow: bool = False) -> Callable[[Check], Check]:
    """Register a function as a check of a kind ("backbones"); its name says what must hold.

    slow: whether `pytest --graftwork-fast` leaves it out.
    """

    def register(function: Check) -> Check:
        CHECKS.setdefault(kind, []).append(function)
        if slow:
            SLOW.add(function)
        return function

    return register


def subject(kind: str) -> Callable[[type[R]], type[R]]:
    """Register the class that checks of a kind are called with."""

    def register(class_: type[R]) -> type[R]:
        SUBJECTS[kind] = class_
        return class_

    return register
