"""docs/hooks.md is what the docstrings say: of every hook, every field of what it yields, and a whole example."""

from __future__ import annotations

import re
import types

import pytest

import graftwork as gw

try:
    from . import hooks_page
except ImportError:
    import hooks_page

from graftwork.plugins.loading import KINDS

CODE = {"factory", "reader", "preparer", "likeness", "augment", "sample", "data", "baseline", "survey"}
"""Fields that name code."""


def test_the_page_is_the_one_that_the_docstrings_make() -> None:
    assert hooks_page.PAGE.read_text(encoding="utf-8") == hooks_page.made(), "run: python tests/docs/hooks_page.py"


def test_a_hook_yields_a_kind_that_is_registered_and_no_kind_is_without_one() -> None:
    assert {name.removeprefix("graftwork_") for name in hooks_page.names()} == set(KINDS)


@pytest.mark.parametrize("name", hooks_page.names())
def test_a_hook_says_each_field_and_how_the_code_that_it_names_is_called(name) -> None:
    assert hooks_page.summary(name)
    for field, said in hooks_page.described(KINDS[name.removeprefix("graftwork_")][0]):
        assert said, f"{name}: the docstring says nothing of '{field.name}'"
        if field.name in CODE:
            assert re.search(r"names `\w+\(.*?\) -> |names `\w+\(.*?\)`, which|graftwork\.[A-Z]\w+", said), said


@pytest.mark.parametrize("name", hooks_page.names())
def test_the_example_of_a_hook_registers_as_it_stands(name, graftwork_isolated) -> None:
    code = hooks_page.example(name)
    assert code.startswith("@hookimpl\n"), f"{name} has no example"
    module = types.ModuleType("my_plugin")
    vars(module).update({word: getattr(gw, word) for word in gw.__all__ if word in code}, hookimpl=gw.hookimpl)
    vars(module)["api_version"] = gw.API_VERSION
    exec(code, vars(module))  # noqa: S102  our own docstring
    report = graftwork_isolated(module).reports[-1]
    assert report.errors == []
    assert list(report.provides) == [name.removeprefix("graftwork_")]
