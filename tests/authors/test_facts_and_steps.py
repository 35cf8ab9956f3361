"""A plugin that adds a fact to another's modality, an optional step, an adapter and a freeze policy: what they do, and
what is said where they are wrong or missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import graftwork as gw
from graftwork.cli import app
from graftwork.plugins import loading, registry
from graftwork.testing.cases import Nonconformance, NotChecked
from graftwork.testing.kit import cases

ENCODER = "image/efficientnet-lite0"


@pytest.fixture
def sharp(published) -> Any:
    return published("sharp_photos")


@pytest.fixture
def speckled(tmp_path: Path) -> Path:
    """Photos of two colours, each with noise that a median filter takes away."""
    rng = np.random.default_rng(0)
    for label, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.full((40, 40, 3), colour, np.uint8)
            pixels[rng.random((40, 40)) < 0.05] = 255
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


def said(capsys, *command: str) -> tuple[int, dict[str, Any]]:
    code = app._run([*command, "--json"], json=True)
    return code, json.loads(capsys.readouterr().out)


def test_the_kit_passes_it(sharp) -> None:
    passed = set()
    for case in cases("sharp-photos"):
        try:
            case()
            passed.add((case.kind, case.check))
        except NotChecked:
            continue
    assert {kind for kind, _ in passed} == {"plugin", "facts", "steps", "adapters", "freeze_policies"}


# The fact.


def test_check_shows_a_row_of_the_fact(sharp, speckled, capsys) -> None:
    code, found = said(capsys, "check", str(speckled))
    assert code == 0
    seen = found["observed"]["facts"]["sharpness"]
    assert sum(one["count"] for one in seen) == 12
    assert all(one["value"] > 50 for one in seen)
    assert app._run(["check", str(speckled)], json=False) == 0
    assert "sharpness" in capsys.readouterr().out


def test_without_the_plugin_nothing_is_observed(speckled, capsys) -> None:
    assert "sharpness" not in said(capsys, "check", str(speckled))[1]["observed"]["facts"]


def wanting(sharpness: float) -> Any:
    """The starter, as an encoder that asks for the fact."""
    spec = registry.backbone(ENCODER)
    facts = {**spec.contract.facts, "sharpness": gw.AtLeast(sharpness)}
    return replace(spec, name="image/picky", contract=replace(spec.contract, facts=facts))


@pytest.fixture
def picky(sharp) -> None:
    sharp.registered["backbones"]["image/picky"] = wanting(50.0)


def test_a_contract_may_ask_for_it(picky, speckled, tmp_path) -> None:
    assert gw.check(speckled, backbone="image/picky").mismatch is None
    run = gw.fit(speckled, "image/picky", out=tmp_path / "run")
    assert run.record["facts"] == [{"name": "image:sharpness", "distribution": "sharp-photos", "version": "1.0"}]
    flat = tmp_path / "flat.png"
    Image.new("RGB", (40, 40), "red").save(flat)
    answer, plain = gw.load(tmp_path / "run").predict([speckled / "red" / "0.png", flat])
    assert answer["label"] == "red"
    assert "its sharpness is 0" in plain["error"]


def test_the_fact_is_of_the_photo_as_stored_though_the_encoder_reads_less_of_it(picky, tmp_path) -> None:
    rng = np.random.default_rng(0)
    for label, low in (("a", 0), ("b", 120)):
        (tmp_path / "large" / label).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(low, low + 120, (1024, 1024, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "large" / label / f"{number}.jpg", quality=95)
    run = gw.fit(tmp_path / "large", "image/picky")
    assert run.record["data"]["left_out"] == []


def test_a_contract_that_asks_for_a_fact_of_a_plugin_that_is_not_there_is_refused(speckled, monkeypatch) -> None:
    spec = wanting(1.0)
    with pytest.raises(gw.InputMismatch, match="wants sharpness at least 1; the reader of .* does not say what it is"):
        registry.agree_on(spec, gw.data(speckled).observed)


def test_a_run_that_asks_for_the_fact_is_not_loaded_without_the_plugin(picky, published, speckled, tmp_path) -> None:
    gw.fit(speckled, "image/picky", out=tmp_path / "run")
    published()
    loading.installed().registered["backbones"]["image/picky"] = wanting(50.0)
    with pytest.raises(gw.RunError) as caught:
        gw.load(tmp_path / "run")
    assert caught.value.message == (
        f"'{tmp_path / 'run'}' asks for the fact 'image:sharpness' of sharp-photos 1.0, which is not loaded here."
    )
    assert "pip install sharp-photos" in caught.value.hint


class Plugin:
    """A plugin module made on the spot: hooks by name, each yielding what it is given."""

    def __init__(self, name: str, **hooks: list[Any]) -> None:
        self.__name__, self.api_version = name, 1
        for kind, specs in hooks.items():
            setattr(self, f"graftwork_{kind}", gw.hookimpl(lambda specs=specs: iter(specs)))


MODALITY = gw.Modality("series", "series", "nowhere:Reader", (gw.Fact("rate", "the header"),))
FACT = gw.FactSpec("series", gw.Fact("drift", "the values"), "nowhere:observe")


def test_a_fact_added_twice_names_both_plugins_and_neither_is_used(plugins) -> None:
    found = plugins(Plugin("kind", modalities=[MODALITY]), Plugin("one", facts=[FACT]), Plugin("two", facts=[FACT]))
    words = "'series:drift' (facts) is claimed by both dist-one and dist-two, so neither is used."
    assert [report.errors for report in found.reports[1:]] == [[], [words], [words]]
    assert [fact.name for fact in registry.modality("series").facts] == ["rate"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_fact_that_the_modality_has_itself_is_not_used(plugins, order) -> None:
    rate = replace(FACT, fact=gw.Fact("rate", "a guess"))
    found = plugins(*[Plugin("kind", modalities=[MODALITY]), Plugin("one", facts=[rate])][::order])
    assert {report.name: report.errors for report in found.reports[1:]} == {
        "kind": [],
        "one": [
            "The fact 'series:rate' is observed by dist-kind, which brings the modality, so the one that dist-one adds is "
            "not used: give it another name."
        ],
    }
    assert registry.added_facts("series") == []


@pytest.mark.parametrize("order", [1, -1])
def test_a_converter_of_a_fact_that_nobody_observes_is_its_plugins_error(plugins, order) -> None:
    bad = gw.Converter("steady", "series", "drifts", "nowhere:convert")
    good = gw.Converter("resample", "series", "drift", "nowhere:convert")
    given = [Plugin("kind", modalities=[MODALITY]), Plugin("one", facts=[FACT]), Plugin("two", converters=[bad, good])]
    found = plugins(*given[::order])
    assert {report.name: report.errors for report in found.reports[1:]} == {
        "kind": [],
        "one": [],
        "two": [
            "The converter 'series:steady' changes the fact 'drifts', which nobody observes, so it is not used; the "
            "nearest of those that are is 'drift'."
        ],
    }
    assert [converter.name for converter in registry.converters()] == ["resample"]


def test_what_is_for_a_modality_that_is_not_loaded_is_a_warning(plugins) -> None:
    found = plugins(Plugin("kind", modalities=[MODALITY]), Plugin("one", facts=[replace(FACT, modality="serie")]))
    (warning,) = found.reports[-1].warnings
    assert warning == (
        "The fact 'serie:drift' is for the modality 'serie', which no loaded plugin brings; the nearest is 'series'."
    )


@pytest.mark.parametrize(("value", "words"), [(float("nan"), "nan"), (None, "None")])
def test_what_is_no_value_costs_the_example_and_names_the_plugin(sharp, speckled, monkeypatch, value, words) -> None:
    from sharp_photos import pixels

    honest = pixels.sharpness
    monkeypatch.setattr(
        pixels, "sharpness", lambda raw, reader: value if raw.name.endswith("red/3.png") else honest(raw, reader)
    )
    (bad,) = gw.data(speckled).bad
    assert bad.kind == "plugin_fault"
    assert f"The plugin 'sharp-photos' (sharp-photos 1.0) observes {words} as its sharpness" in bad.reason


@pytest.mark.parametrize(("library", "function"), [("np", "sharpness"), ("ImageFilter", "denoise")])
def test_a_fault_of_its_code_is_its_own(sharp, speckled, monkeypatch, library, function) -> None:
    from sharp_photos import pixels

    monkeypatch.setattr(pixels, library, None)
    words = (
        rf"The plugin 'sharp-photos' \(sharp-photos 1.0\) failed in {function}, sharp_photos/pixels.py:\d+: Attribute"
    )
    with pytest.raises(gw.PluginFault, match=words):
        gw.fit(speckled, ENCODER, convert="image:denoise")


# The optional step.


def test_a_fit_denoises_and_its_run_does_so_by_itself(sharp, speckled, tmp_path, monkeypatch, capsys) -> None:
    from sharp_photos import pixels

    plain = gw.fit(speckled, ENCODER)
    assert plain.record["convert"] == []
    seen: list[Image.Image] = []
    monkeypatch.setattr(
        pixels, "denoise", lambda image: seen.append(image) or image.filter(ImageFilter.MedianFilter(3))
    )
    code, record = said(capsys, "fit", str(speckled), "--backbone", ENCODER, "--convert", "image:denoise", "--out",
                        str(tmp_path / "run"))  # fmt: skip
    assert code == 0, record
    assert record["convert"] == [{"name": "image:denoise", "distribution": "sharp-photos", "version": "1.0"}]
    assert record["agreement"]["steps"][-1]["converter"] == "image:denoise"
    assert "12 of 12 files: detail of a pixel or two" in record["warnings"]
    assert record["cache"] == {"hits": 0, "misses": 12}  # features without the step lie in the store
    assert len(seen) == 12
    run = gw.load(tmp_path / "run")
    assert run.predict(speckled / "red" / "0.png")[0]["label"] == "red"
    assert len(seen) == 13
    evaluated = run.evaluate(speckled)
    assert evaluated["cache"]["hits"] == 12
    assert evaluated["agreement"]["optional"] == ["image:denoise"]
    for page in ("README.md", "report.html"):
        assert "image:denoise" in (tmp_path / "run" / page).read_text()


def test_the_step_sees_what_meets_the_contract(sharp, tmp_path) -> None:
    """A palette image cannot be filtered; it is turned into RGB first."""
    for label, colour in (("a", 10), ("b", 200)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(5):
            Image.new("P", (40, 40), colour).save(tmp_path / "data" / label / f"{number}.png")
    run = gw.fit(tmp_path / "data", ENCODER, convert="image:denoise")
    assert [step["converter"] for step in run.record["agreement"]["steps"]] == ["to-rgb", "image:denoise"]
    assert run.record["data"]["left_out"] == []


def test_check_rank_compare_and_estimators_take_it(sharp, speckled, capsys) -> None:
    from graftwork.sklearn import TransferClassifier

    assert app._run(["check", str(speckled), "--backbone", ENCODER, "--convert", "image:denoise"], json=False) == 0
    out = capsys.readouterr().out
    assert "image:denoise, an optional step (12 examples)" in out
    assert f"--backbone {ENCODER} --convert image:denoise" in out
    assert gw.rank(speckled, [ENCODER], convert=["image:denoise"]).first.spec.name == ENCODER
    estimator = TransferClassifier(ENCODER, convert=["image:denoise"])
    paths = sorted(speckled.rglob("*.png"))
    estimator.fit(paths, [path.parent.name for path in paths])
    assert [step["name"] for step in estimator.run_.record["convert"]] == ["image:denoise"]


def test_another_version_of_the_step_finds_nothing_in_the_store(sharp, speckled, monkeypatch) -> None:
    from graftwork.data import pipeline

    gw.fit(speckled, ENCODER, convert=["image:denoise"])
    assert gw.fit(speckled, ENCODER, convert=["image:denoise"]).record["cache"]["hits"] == 12
    known = pipeline.made_by
    monkeypatch.setattr(pipeline, "made_by", lambda factory: "new" if "sharp_photos" in factory else known(factory))
    assert gw.fit(speckled, ENCODER, convert=["image:denoise"]).record["cache"]["hits"] == 0


def test_a_step_that_no_plugin_brings_names_the_nearest_and_the_list(sharp, speckled, capsys) -> None:
    for command in ("fit", "check", "rank", "compare"):
        code, found = said(capsys, command, str(speckled), "--convert", "image:denois")
        assert (code, found["error"]["type"]) == (2, "UnknownName")
        assert found["error"]["message"] == ("No optional step is called 'image:denois'; the nearest is image:denoise.")
        assert found["error"]["hint"].startswith("Installed are image:denoise; name one of them with --convert")


def test_a_step_twice_and_a_step_of_another_kind_of_data_are_refused(sharp, speckled, messages) -> None:
    with pytest.raises(gw.UsageError, match="--convert names 'image:denoise' twice; a step is done once"):
        gw.fit(speckled, ENCODER, convert=["image:denoise", "image:denoise"])
    words = "--convert image:denoise is for the modality 'image'; column 'text' holds text"
    with pytest.raises(gw.UsageError, match=words):
        gw.check(messages, backbone="text/minilm", convert="image:denoise")


def test_a_step_is_for_tasks_with_one_answer_per_example(sharp, speckled, tmp_path) -> None:
    box = {"xmin": 1, "ymin": 1, "xmax": 20, "ymax": 20, "label": "x"}
    files = sorted(speckled.rglob("*.png"))
    rows = [json.dumps({"image": str(file.relative_to(tmp_path)), "boxes": [box]}) for file in files]
    (tmp_path / "boxes.jsonl").write_text("\n".join(rows))
    with pytest.raises(gw.UsageError, match="--convert is for tasks with one answer per example"):
        gw.fit(tmp_path / "boxes.jsonl", ENCODER, task="detect", freeze="all", convert=["image:denoise"])


def test_a_run_with_the_step_is_not_loaded_without_the_plugin_nor_with_that_of_another(
    sharp, published, speckled, tmp_path
) -> None:
    gw.fit(speckled, ENCODER, convert=["image:denoise"], out=tmp_path / "run")
    here = published()
    with pytest.raises(gw.RunError) as caught:
        gw.load(tmp_path / "run")
    made = f"'{tmp_path / 'run'}' converts its examples by the optional step 'image:denoise' of sharp-photos 1.0"
    assert caught.value.message == f"{made}, which is not loaded here."
    step = gw.OptionalStep("denoise", "image", "nowhere:blur")
    here.load(Plugin("other", steps=[step]), loading.PluginReport("other", "other-denoiser", "2.0"))
    with pytest.raises(gw.RunError) as caught:
        gw.load(tmp_path / "run")
    assert caught.value.message == f"{made}, here it is of other-denoiser 2.0."


def test_a_step_that_gives_something_else_is_its_plugins_fault(sharp, speckled, monkeypatch) -> None:
    from sharp_photos import pixels

    monkeypatch.setattr(pixels, "denoise", lambda image: None)
    with pytest.raises(
        gw.PluginFault, match="'image:denoise' made a NoneType of a .*; it is code of the plugin 'sharp-"
    ):
        gw.fit(speckled, ENCODER, convert="image:denoise")


KIT = {
    "denoise": {
        "changes what it is given": lambda image: image.putpixel((0, 0), 1) or image,
        "makes a str of": lambda image: "an image",
        "turns mode RGB into L": lambda image: image.convert("L"),
    },
    "sharpness": {"is another the second time": lambda raw, reader, count=iter(range(99)): next(count)},
}


@pytest.mark.parametrize(("code", "words"), [(code, words) for code, found in KIT.items() for words in found])
def test_the_kit_finds_steps_and_facts_that_do_not_keep_their_promise(sharp, monkeypatch, code, words) -> None:
    from sharp_photos import pixels

    monkeypatch.setattr(pixels, code, KIT[code][words])
    checked = {"denoise": "what_it_makes_still_fits_encoders", "sharpness": "it_is_observed_of_every_example"}[code]
    (case,) = [case for case in cases("sharp-photos") if case.check == checked]
    with pytest.raises(Nonconformance, match=words):
        case()


# The adapter and the policy.


def test_texts_are_drawn_for_an_image_encoder_and_then_denoised(sharp, messages, tmp_path) -> None:
    asked: dict[str, Any] = {"adapter": "text:image-of-letters", "convert": ["image:denoise"]}
    run = gw.fit(messages, ENCODER, **asked, out=tmp_path / "run")
    steps = [step["converter"] for step in run.record["agreement"]["steps"]]
    assert steps == ["image-of-letters", "image:denoise"]
    assert gw.load(tmp_path / "run").predict("where is my parcel")[0]["label"] in run.labels


def test_the_first_stages_train(sharp, speckled) -> None:
    run = gw.fit(speckled, ENCODER, freeze="first:2", epochs=1)
    stages = registry.backbone(ENCODER).stages
    assert set(run.record["certificate"]["moved"]) <= set(stages[:2])
    assert run.record["certificate"]["moved"]
