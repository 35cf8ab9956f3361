"""What an author gives the kit: ids of resolvers, reasons for a missing reference, and the word that it is to be fast."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from types import ModuleType

import pytest

import graftwork as gw
from graftwork.testing import Nonconformance, NotChecked, cases


def resolver(resolve) -> ModuleType:
    """A plugin `sizes` with a resolver of `sized:N`."""
    module = ModuleType("sizes")
    module.api_version, module.resolve = gw.API_VERSION, resolve
    module.graftwork_resolvers = gw.hookimpl(lambda: [gw.Resolver("sized", "sizes:resolve")])
    sys.modules["sizes"] = module
    return module


@pytest.fixture
def sized(graftwork_isolated):
    def install(resolve, *ids: str) -> dict[str, partial]:
        graftwork_isolated(resolver(resolve))
        return {case.name: case for case in cases("sizes", ids=ids)}

    yield install
    sys.modules.pop("sizes", None)


def spec(name: str, id: str) -> gw.BackboneSpec:
    if id != "8":
        raise gw.UnknownName(f"'{name}' is no size; sized:8 is.", "Write: sized:8")
    return gw.BackboneSpec(
        name,
        gw.InputContract("image"),
        "sizes:none",
        gw.UrlWeights("https://h/w", "0" * 64, 9),
        ("a",),
        8,
        0,
        "MIT",
        "x",
        "y",
    )


def test_each_id_is_checked_as_a_backbone_and_without_one_the_kit_says_so(sized) -> None:
    found = sized(spec, "sized:8")
    assert "sized:8-the_spec_says_all" in found
    for name in (
        "sized:8-the_spec_says_all",
        "sized:-a_spec_is_called_as_it_was_asked_for",
        "sized:-what_is_no_id_is_refused_in_a_sentence",
    ):
        found[name]()
    with pytest.raises(
        NotChecked, match=r"No id is given to check what is made by 'sized:': conformance\(..., ids=\['sized:ID'\]\)"
    ):
        sized(spec)["sized:-a_spec_is_called_as_it_was_asked_for"]()


def test_an_id_that_gives_no_spec_is_a_case_that_fails(sized) -> None:
    with pytest.raises(
        Nonconformance, match="it_resolves_what_is_given of 'sized:9' ended in UnknownName: 'sized:9' is no size"
    ):
        sized(spec, "sized:9")["sized:9-it_resolves_what_is_given"]()


@pytest.mark.parametrize(
    ("resolve", "check", "words"),
    [
        (lambda name, id: spec("sized:8", "8"), "what_is_no_id_is_refused_in_a_sentence", "'sized:' gives a spec. Raise UnknownName"),
        (lambda name, id: {}[id], "what_is_no_id_is_refused_in_a_sentence", "'sized:' ends in KeyError"),
        (lambda name, id: spec("other:8", "8"), "a_spec_is_called_as_it_was_asked_for", "'sized:8' gives a spec that is called 'other:8'"),
    ],
)  # fmt: skip
def test_a_faulty_resolver_is_caught(sized, monkeypatch, resolve, check, words) -> None:
    found = sized(resolve, *(["sized:8"] if "called" in check else []))
    with pytest.raises(Nonconformance, match=words):
        found[f"sized:-{check}"]()


def test_no_reference_with_a_reason_is_an_answer_and_without_one_is_not() -> None:
    name = "series/resnet1d-tiny"

    def folding(**given) -> None:
        (case,) = (
            c
            for c in cases("time-series", **given)
            if c.check == "folding_is_the_librarys_own_forward" and c.subject == name
        )
        case()

    folding(references={name: None}, reasons={name: "the network is this package's own"})
    for given in ({}, {"references": {name: None}}, {"reasons": {name: "why"}}):
        with pytest.raises(NotChecked, match=f"No reference is given for '{name}'"):
            folding(**given)


def test_a_value_that_a_contract_excludes_is_refused_by_its_fact() -> None:
    facts = {"sampling_rate": gw.Exactly(16_000, "Hz"), "channels": gw.Exactly(1)}
    one = gw.BackboneSpec(
        "audio/x",
        gw.InputContract("audio", facts),
        "a:b",
        gw.UrlWeights("https://h/w", "0" * 64, 9),
        ("a",),
        8,
        8,
        "MIT",
        "x",
        "y",
    )
    gw.check_contract(one, {"sampling_rate": 16_000, "loudness": 3})
    with pytest.raises(gw.InputMismatch) as refused:
        gw.check_contract(one, {"channels": 1, "sampling_rate": 8_000})
    assert str(refused.value) == (
        "'audio/x' wants sampling rate 16 000 Hz; it was given an example to prepare that has 8 000 Hz. Apply the steps of the "
        "agreement first: graftwork.agree gives them."
    )


def test_what_takes_long_is_left_out_where_pytest_is_to_be_fast(tmp_path) -> None:
    (tmp_path / "test_it.py").write_text("from graftwork.testing import conformance\ntest_it = conformance('zenodo')\n")

    def collected(*words: str) -> str:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q"]
        done = subprocess.run([*command, *words], cwd=tmp_path, env={**os.environ}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "importing_it_changes_nothing_else" in collected("--strict-markers")
    fast = collected("--graftwork-fast")
    assert "importing_it_changes_nothing_else" not in fast
    assert "listing_it_imports_nothing_heavy" in fast
    assert "1 deselected" in fast
