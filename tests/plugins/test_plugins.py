"""A bad plugin becomes a report; the rest goes on."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from graftwork import BackboneSpec, FolderWeights, InputContract, PluginConflict, Resolver, hookimpl
from graftwork.plugins import registry
from graftwork.plugins.loading import discover


def spec(name: str) -> BackboneSpec:
    return BackboneSpec(
        name, InputContract("sound"), "x:y", FolderWeights(Path("/nowhere")), ("a",), 1, 1, "MIT", "here", "nothing"
    )


def module(name: str, api_version: object = 1, **hooks) -> types.SimpleNamespace:
    made = types.SimpleNamespace(__name__=name, **{key: hookimpl(value) for key, value in hooks.items()})
    if api_version is not None:
        made.api_version = api_version
    return made


def report(found, name: str):
    return next(r for r in found.reports if r.name == name)


def test_a_hook_that_raises_is_named_and_the_other_hooks_still_count(plugins) -> None:
    def broken():
        yield spec("sound/first")
        raise RuntimeError("out of ideas")

    found = plugins(
        module("bad", graftwork_backbones=broken, graftwork_resolvers=lambda: [Resolver("zoo", "x:y")]),
        module("good", graftwork_backbones=lambda: [spec("sound/second")]),
    )
    assert report(found, "bad").errors == ["graftwork_backbones raised RuntimeError: out of ideas."]
    assert report(found, "good").status == "ok"
    assert set(found.registered["backbones"]) == {"sound/second"}
    assert set(found.registered["resolvers"]) == {"zoo:"}


def test_a_hook_that_yields_something_else_is_named(plugins) -> None:
    found = plugins(module("bad", graftwork_backbones=lambda: ["resnet"]))
    assert report(found, "bad").errors == ["graftwork_backbones yielded a str; it must yield BackboneSpec."]


def test_a_misspelled_hook_is_named(plugins) -> None:
    found = plugins(module("bad", graftwork_backbone=lambda: iter(())))
    assert "graftwork_backbone" in report(found, "bad").errors[0]
    assert report(found, "bad").status == "error"


@pytest.mark.parametrize(("stated", "words"), [(None, "states no api_version"), (99, "was written for plugin API 99")])
def test_an_unsupported_api_version_is_refused_with_the_fix(plugins, stated, words) -> None:
    found = plugins(module("old", api_version=stated, graftwork_backbones=lambda: [spec("sound/x")]))
    assert report(found, "old").errors == [
        f"It {words}; this graftwork speaks API 1: set api_version = 1 in its module, or install a version of it that does."
    ]
    assert not found.registered["backbones"]


def test_two_claims_of_one_name_are_a_conflict_that_names_both_and_neither_wins(plugins) -> None:
    one = module("one", graftwork_backbones=lambda: [spec("sound/x"), spec("sound/y")])
    found = plugins(one, module("two", graftwork_backbones=lambda: [spec("sound/x")]))
    assert set(found.registered["backbones"]) == {"sound/y"}
    with pytest.raises(PluginConflict) as caught:
        registry.backbone("sound/x")
    assert caught.value.message == "'sound/x' (backbones) is claimed by both dist-one and dist-two, so neither is used."
    assert report(found, "one").errors == report(found, "two").errors == [caught.value.message]


def test_an_entry_point_that_cannot_be_imported_is_reported_and_the_rest_loads(tmp_path, monkeypatch) -> None:
    (tmp_path / "crashing_plugin.py").write_text("raise RuntimeError('no luck')")
    information = tmp_path / "crashing-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1.2\n")
    (information / "entry_points.txt").write_text("[graftwork]\ncrash = crashing_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = discover()
    bad = report(found, "crash")
    assert (bad.distribution, bad.version, bad.status) == ("crashing", "1.2", "error")
    assert bad.errors == ["crashing_plugin cannot be imported: RuntimeError: no luck (crashing_plugin.py:1)."]
    assert "text/minilm" in found.registered["backbones"]


def test_the_environment_chooses_plugins() -> None:
    assert [r.name for r in discover("").reports] == ["core"]
    assert {r.name for r in discover("text, graftwork-image").reports} == {"core", "text", "image"}
