"""Specs with odd values in any field: used, or named in the report of their plugin, and listed all the same."""

from __future__ import annotations

import json
import types
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork.plugins import listing
from graftwork.plugins.loading import KINDS
from tests.docs import hooks_page
from tests.fuzz.conftest import tries

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3),
    st.sampled_from([(), [], {}, (None,), ("", 3), {"": None}, {3: "x"}, object(), int, 10**30, "a:b", "a/b", "x" * 10**4]),
)  # fmt: skip


def specs_of(name: str) -> list[Any]:
    """What the smallest example of a hook yields."""
    code, found = hooks_page.example(name), dict[str, Any]()
    found.update({word: getattr(gw, word) for word in gw.__all__ if word in code}, hookimpl=gw.hookimpl)
    exec(code, found)  # noqa: S102  our own docstring
    return list(found[name]())


@pytest.mark.parametrize("name", hooks_page.names())
@tries(15)
@given(data=st.data())
def test_a_spec_with_an_odd_value_is_used_or_named(name, graftwork_isolated, data) -> None:
    spec = specs_of(name)[0]
    field = data.draw(st.sampled_from([field.name for field in fields(spec)]))
    object.__setattr__(spec, field, data.draw(ODD))
    module: Any = types.ModuleType("odd_plugin")
    module.api_version = gw.API_VERSION

    def hook() -> Any:
        yield spec

    hook.__name__ = name
    setattr(module, name, gw.hookimpl(hook))
    report = graftwork_isolated(module).reports[-1]
    kind = name.removeprefix("graftwork_")
    assert kind in KINDS
    assert report.errors or report.warnings or report.provides.get(kind), (field, getattr(spec, field))
    json.dumps([report.as_json(), listing.brought(report), listing.of_kind(kind)[1]])
