"""What is promised of code that a spec names, and that nothing but a training or a machine can show: its kind."""

from __future__ import annotations

import importlib.util
from typing import Any

from graftwork.models.engines.engine import Engine
from graftwork.specs.factories import load_factory
from graftwork.testing.cases import Nonconformance, NotChecked, Registered, check
from graftwork.training.loggers.logger import Logger


def _subclass(one: Registered, wanted: type, public: str) -> None:
    """Raises `Nonconformance` where the factory of a spec names no such class."""
    needs = one.spec.needs
    if needs and importlib.util.find_spec(needs.replace("-", "_")) is None:
        raise NotChecked(f"'{one.name}' needs the package {needs}, which is not installed.")
    made: Any = load_factory(one.spec.factory)
    if not (isinstance(made, type) and issubclass(made, wanted)):
        raise Nonconformance(
            f"The factory of '{one.name}', {one.spec.factory}, is no {public}.", f"Name a subclass of {public}."
        )


@check("loggers")
def its_factory_is_a_logger(one: Registered) -> None:
    _subclass(one, Logger, "graftwork.Logger")


@check("engines")
def its_factory_is_an_engine(one: Registered) -> None:
    _subclass(one, Engine, "graftwork.Engine")


@check("decoders")
def its_factory_can_be_called(one: Registered) -> None:
    try:
        made = load_factory(one.spec.factory)
    except ImportError as error:
        raise NotChecked(f"'{one.name}' lacks a library: {error}.") from error
    if not callable(made):
        raise Nonconformance(
            f"The factory of '{one.name}', {one.spec.factory}, cannot be called.",
            "Name build(spec, device) -> graftwork.BatchDecoder.",
        )
