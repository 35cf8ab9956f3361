"""Makes docs/hooks.md from the hooks, the dataclasses that they yield, and the kit: python tests/docs/hooks_page.py"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import graftwork
from graftwork.plugins import hooks
from graftwork.plugins.loading import KINDS
from graftwork.testing import CHECKS, cases

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "hooks.md"

HEAD = f"""# Hooks

Every hook that a plugin may implement: what it yields, each field of it, the code that its fields name, a smallest example, and
what [the kit](authors.md#the-conformance-kit) checks. This page is made of the docstrings.

The module that the entry point names says which version of the hooks it was written for, and marks its hooks:

~~~python
from graftwork import API_VERSION, hookimpl

api_version = API_VERSION  # {hooks.API_VERSION}
~~~

A field that names code holds `"module:attribute"`, which is imported by the first call that computes. Fields without a
default must be given. What a plugin brings is shown by `graftwork plugins NAME`, and all that is installed of a kind by
`graftwork plugins --kind tasks`.
"""


def made() -> str:
    """The hooks, the classes that plugins subclass, and the dataclasses that stand in either."""
    parts = [HEAD, *(section(name) for name in names()), *(of_class(name) for name in classes())]
    shown = {KINDS[name.removeprefix("graftwork_")][0].__name__ for name in names()}
    while new := sorted(facts_in("\n".join(parts)) - shown):
        shown |= {*new}
        parts += [of_fact(name) for name in new]
    return "\n".join(parts)


def names() -> list[str]:
    """The hooks, in the order of their file."""
    return [name for name in vars(hooks) if name.startswith("graftwork_")]


def section(name: str) -> str:
    kind = name.removeprefix("graftwork_")
    spec = KINDS[kind][0]
    about, _, rest = documented(spec)
    used = ", ".join(f"[{place.parts[-4]}](../{place})" for place in plugins_with(name))
    parts = [
        f"## {name}",
        f"{summary(name)} Yields `graftwork.{spec.__name__}`. {about}".strip(),
        "\n".join(f"- `{shown(field)}`: {said}" for field, said in described(spec)),
        rest,
        f"A smallest example:\n\n~~~python\n{example(name)}\n~~~",
        f"In use: {used}." if used else "",
        "The kit checks: " + ("; ".join(checks(kind)) or "that it registers without a fault") + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(name: str) -> str:
    return " ".join(docstring(getattr(hooks, name)).partition("\n\nExample:\n")[0].split())


def example(name: str) -> str:
    return inspect.cleandoc("\n" + docstring(getattr(hooks, name)).partition("\n\nExample:\n")[2])


def docstring(code: Any) -> str:
    return inspect.cleandoc(code.__doc__ or "")


def documented(spec: type) -> tuple[str, dict[str, str], str]:
    """What the docstring of a dataclass says first, of each field, and last: `name: words. other, more: words.`"""
    one = "|".join(field.name for field in fields(spec))  # pyright: ignore[reportArgumentType]
    first, *rest = docstring(spec).split("\n\n")
    found: dict[str, str] = {}
    last = []
    for paragraph in rest:
        begin, *pieces = re.split(rf"(?:^|(?<=[.;:)] ))((?:{one})(?:, (?:{one}))*): ", " ".join(paragraph.split()))
        last += [begin] if begin else []
        for key, words in zip(pieces[::2], pieces[1::2], strict=True):
            found.update(dict.fromkeys(key.split(", "), words.strip().rstrip(";")))
    return " ".join(first.split()), found, "\n\n".join(last)


def described(spec: type) -> Iterator[tuple[Field[Any], str]]:
    """Each field, and what is said of it."""
    said = documented(spec)[1]
    for field in fields(spec):  # pyright: ignore[reportArgumentType]
        yield field, said.get(field.name, "")


def shown(field: Field[Any]) -> str:
    """A field with its type, and its default as one writes it."""
    if field.default is not MISSING:
        default = field.default
    elif field.default_factory is not MISSING:
        default = field.default_factory()
    else:
        return f"{field.name}: {field.type}"
    words = f"{type(default).__name__}()" if is_dataclass(default) else repr(default).replace("'", '"')
    return f"{field.name}: {field.type} = {words}"


def checks(kind: str) -> list[str]:
    cases("core")  # which imports every check
    return [check.__name__.replace("_", " ").replace("librarys", "library's") for check in CHECKS.get(kind, [])]


def plugins_with(name: str) -> list[Path]:
    """The modules of published plugins that implement a hook, one of examples/ first."""
    found = sorted(ROOT.glob("examples/plugins/*/src/*/plugin.py")) + sorted(ROOT.glob("plugins/*/src/*/plugin.py"))
    return [file.relative_to(ROOT) for file in found if f"\ndef {name}(" in file.read_text(encoding="utf-8")][:2]


def classes() -> list[str]:
    """The public classes that a plugin subclasses, as the docstrings of the specs name them."""
    text = " ".join(" ".join(docstring(KINDS[name.removeprefix("graftwork_")][0]).split()) for name in names())
    named = re.findall(r"graftwork\.([A-Z]\w+)|-> ([A-Z]\w+)`", text)
    found = dict.fromkeys(one or other for one, other in named)
    return [name for name in sorted(found) if behaviour(getattr(graftwork, name, None))]


def behaviour(code: Any) -> bool:
    """Whether a plugin overrides methods of a class: facts are dataclasses, and they are not subclassed."""
    return inspect.isclass(code) and not is_dataclass(code) and not issubclass(code, tuple)


def of_class(name: str) -> str:
    code = getattr(graftwork, name)
    wanted, free = [], []
    for method, function in methods(code):
        line = f"- `{method}{signature(function)}`: {' '.join(docstring(function).split())}"
        (wanted if method in code.__abstractmethods__ else free).append(line.rstrip(": "))
    attributes = [
        f"- `{attribute}: {type}`"
        for owner in (code, *code.__mro__[1:])
        if owner.__module__.partition(".")[0] == "graftwork"
        for attribute, type in vars(owner).get("__annotations__", {}).items()
        if not attribute.startswith("_")
    ]
    parts = [f"## graftwork.{name}", docstring(code), "\n".join(attributes)]
    parts += ["To be defined:", "\n".join(wanted)] if wanted else []
    parts += ["May be defined:", "\n".join(free)] if free else []
    return "\n\n".join(part for part in parts if part) + "\n"


def facts_in(text: str) -> set[str]:
    """The public dataclasses and tuples that stand in the code of a text."""
    words = {word for span in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\b[A-Z]\w+", span)}
    found = {word: getattr(graftwork, word) for word in words if word in graftwork.__all__}
    return {word for word, code in found.items() if inspect.isclass(code) and not behaviour(code)}


def of_fact(name: str) -> str:
    """A dataclass or a named tuple: what it says of itself, and its fields."""
    code = getattr(graftwork, name)
    if is_dataclass(code):
        lines = [f"- `{shown(field)}`" for field in fields(code)]
    else:
        lines = [f"- `{field}: {type}`" for field, type in vars(code).get("__annotations__", {}).items()]
    return "\n\n".join([f"## graftwork.{name}", docstring(code), "\n".join(lines)]) + "\n"


def methods(code: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods of a class and of those of graftwork that it is made of."""
    seen: set[str] = set()
    for owner in code.__mro__:
        if owner.__module__.partition(".")[0] != "graftwork":
            continue
        for name, function in vars(owner).items():
            if inspect.isfunction(function) and not name.startswith("_") and name not in seen:
                seen.add(name)
                yield name, function


def signature(function: Callable[..., Any]) -> str:
    found = inspect.signature(function)
    given = [one.replace(annotation=_bare(one.annotation)) for one in list(found.parameters.values())[1:]]
    return str(found.replace(parameters=given, return_annotation=_bare(found.return_annotation)))


class _Word(str):
    """An annotation that is shown as it was written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _bare(annotation: Any) -> Any:
    return _Word(annotation) if isinstance(annotation, str) else annotation


if __name__ == "__main__":
    PAGE.write_text(made(), encoding="utf-8")
    print("Written: docs/hooks.md")
