"""What the methods of a plugin give back is of the type that was promised, or the plugin is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import isfunction
from types import UnionType
from typing import Any, ClassVar

from graftwork.errors import PluginFault


class Checked:
    """A base of what plugins implement: `class Reader(Checked, returns={"digest": (bytes,)})`."""

    _returns: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, *, returns: Mapping[str, Any] | None = None, **given: Any) -> None:
        """returns: by the name of a method the type of what it gives back, and, if wanted, that of each item in it."""
        super().__init_subclass__(**given)
        cls._returns = {**cls._returns, **(returns or {})}
        for name, types in cls._returns.items():
            if isfunction(method := vars(cls).get(name)):
                setattr(cls, name, _checked(method, *types))


def returned(value: Any, kind: Any, factory: str, each: Any = object) -> Any:
    """The value that the code of a plugin, `module:name`, gave back.

    each: the type of its items, or of the values of a mapping. Raises `PluginFault` for what is of another type.
    """
    if not isinstance(value, kind):
        raise _fault(f"returned {_a(type(value))}; {_a(kind)} is accepted", factory)
    if each is not object:
        items: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        for item in items:
            if not isinstance(item, each):
                raise _fault(f"returned {_a(type(value))} with {_a(type(item))} in it; {_a(each)} is accepted", factory)
    return value


def _checked(method: Callable[..., Any], kind: Any, each: Any = object) -> Callable[..., Any]:
    @wraps(method)
    def checked(*args: Any, **options: Any) -> Any:
        return returned(method(*args, **options), kind, f"{method.__module__}:{method.__qualname__}", each)

    return checked


def _fault(words: str, factory: str) -> PluginFault:
    return PluginFault(f"'{factory}' {words}.", "Report it to the plugin's authors.", factory=factory)


def _a(kind: Any) -> str:
    if kind is type(None):
        return "None"
    if isinstance(kind, UnionType):
        return " or ".join(map(_a, kind.__args__))
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"
