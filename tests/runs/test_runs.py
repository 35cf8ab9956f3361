"""`fit` to `predict` on a tiny encoder: what a run holds, keeps and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import graftwork as gw
from graftwork import DataError, Plan, RunError, StagePlan, UnknownName, UsageError, WeightsMismatch
from graftwork.freeze import freezing
from graftwork.plugins import registry

KEYS = {
    "task", "backbone", "tap", "freeze", "agreement", "metrics", "n_train", "n_val", "timings", "cache", "certificate",
    "seed", "labels", "versions", "precision", "warnings",
}  # fmt: skip


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def test_a_fit_learns_and_its_run_says_what_was_done(messages, tiny) -> None:
    run = gw.fit(messages, tiny)
    assert set(run.record) >= KEYS
    assert run.metrics["accuracy"] == 1.0
    assert (run.record["n_train"], run.record["n_val"], run.record["n_test"]) == (32, 8, 0)
    assert run.labels == ["card", "delivery"]
    assert set(run.record["timings"]) == {"load", "extract", "train", "total"}
    assert run.record["certificate"]["ok"]
    assert run.record["certificate"]["frozen"] == ["embeddings", "block1", "block2"]
    assert run.predict(["i lost my card"])[0]["label"] == "card"


def test_the_same_seed_gives_the_same_weights_and_another_seed_another_split(messages, tiny) -> None:
    first, second, third = (gw.fit(messages, tiny, seed=seed, refit=False) for seed in (1, 1, 2))
    weights = [run._head.state_dict() for run in (first, second, third)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["linear.weight"], weights[2]["linear.weight"])


def test_refit_uses_the_validation_part_and_no_refit_keeps_it_apart(messages, tiny, monkeypatch) -> None:
    from graftwork.training import trainer

    seen = []
    original = trainer.solver.solve
    monkeypatch.setattr(
        trainer.solver, "solve", lambda x, *more, **how: seen.append(len(x)) or original(x, *more, **how)
    )
    kept = gw.fit(messages, tiny, refit=False, cache=False)
    refitted = gw.fit(messages, tiny, cache=False)
    assert seen == [32, 40]
    assert kept.metrics == pytest.approx(refitted.metrics, abs=1e-6)
    assert not torch.equal(kept._head.linear.weight, refitted._head.linear.weight)


def test_a_test_split_is_judged_but_never_trained_on(tmp_path, tiny) -> None:
    rows = ["text,label,split"]
    rows += [f"where is my parcel,delivery,{split}" for split in ["train"] * 4 + ["val"] * 2 + ["test"]]
    rows += [f"i lost my card,card,{split}" for split in ["train"] * 4 + ["val"] * 2 + ["test"] * 2]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows))
    run = gw.fit(path, tiny)
    assert (run.record["n_train"], run.record["n_val"], run.record["n_test"]) == (8, 4, 3)
    assert run.metrics["test"]["accuracy"] == 1.0
    assert (run.evaluate(path)["n"], run.evaluate(path)["on"]) == (3, "test split")


def test_the_validation_part_is_carved_from_the_training_split_never_from_the_test_split(tmp_path) -> None:
    from graftwork.data.splits import split

    rows = ["text,label,split", *(f"card {n},{'ab'[n % 2]},{'train' if n < 20 else 'test'}" for n in range(60))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    data = gw.data(tmp_path / "t.csv")
    assert data.labels is not None
    words = split(data.labels, data.splits, 0.2, 0)
    assert (words[:20].count("train"), words[:20].count("validation"), set(words[20:])) == (16, 4, {"test"})


def test_features_come_back_in_the_order_of_the_examples(messages, tiny) -> None:
    from graftwork.data.pipeline import Pipeline
    from graftwork.features.examples import Examples
    from graftwork.features.extraction import Extractor

    data, spec = gw.data(messages), registry.backbone(tiny)
    backbone = gw.load_backbone(spec)
    pipeline = Pipeline(spec.contract, registry.agree_on(spec, data.observed), data.modality)
    found = Extractor(backbone, tap=2, precision="fp32")(Examples(backbone, pipeline, data.raws))
    assert found.kept == list(range(len(data)))
    for number in (0, 7, 39):
        alone = backbone.features(backbone.prepare([data.raws[number].value]), 2)[0]
        assert torch.allclose(found.values[number], alone, atol=1e-5)


def test_every_tap_can_be_named_and_wrong_ones_are_answered(messages, tiny) -> None:
    assert gw.fit(messages, tiny, tap="block1").record["tap"] == "block1"
    assert gw.fit(messages, tiny, tap="0").record["tap"] == "embeddings"
    assert gw.fit(messages, tiny, tap="-1").record["tap"] == "block2"
    with pytest.raises(
        UsageError, match="There is no tap '7' in '.*'; its stages are 0 to 2: embeddings, block1, block2"
    ):
        gw.fit(messages, tiny, tap="7")


def test_one_string_is_one_input(messages, tiny) -> None:
    run = gw.fit(messages, tiny)
    assert run.predict("my card") == run.predict(["my card"]) == list(run.stream("my card"))


def test_a_saved_run_predicts_the_same_in_a_new_process(messages, tiny, tmp_path, shell) -> None:
    run = gw.fit(messages, tiny, out=tmp_path / "run")
    inputs = ["where is my parcel", "i lost my card please", "money"]
    here = run.predict(inputs)
    there = shell.json("predict", str(tmp_path / "run"), *inputs)
    assert [row["label"] for row in here] == [row["label"] for row in there]
    for mine, other in zip(here, there, strict=True):
        assert np.allclose(list(mine["probabilities"].values()), list(other["probabilities"].values()), atol=1e-6)
        assert sum(other["probabilities"].values()) == pytest.approx(1)


def test_an_answer_does_not_depend_on_what_else_is_asked(messages, tiny) -> None:
    run = gw.fit(messages, tiny)
    inputs = ["card", "where is my parcel please help money back", "i lost my order"]
    together = run.predict(inputs)
    for text, row in zip(inputs, together, strict=True):
        alone = run.predict([text])[0]
        assert np.allclose(list(alone["probabilities"].values()), list(row["probabilities"].values()), atol=1e-6)


def test_the_run_directory_holds_no_pickle_and_reads_as_documented(messages, tiny, tmp_path) -> None:
    gw.fit(messages, tiny, out=tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "run.json",
        "head.safetensors",
        "README.md",
        "report.html",
    }
    assert set(load_file(tmp_path / "run/head.safetensors")) == {"linear.weight", "linear.bias", "mean", "size"}
    assert "100.0% of 8 held-out examples are right" in (tmp_path / "run/report.html").read_text()
    assert f"| Encoder | {tiny}, tapped after block2 |" in (tmp_path / "run/README.md").read_text()


def test_a_run_is_never_written_over_something_nor_left_half_written(messages, tiny, tmp_path, monkeypatch) -> None:
    run = gw.fit(messages, tiny, out=tmp_path / "run")
    with pytest.raises(RunError, match="'.*run' already holds something"):
        run.save(tmp_path / "run")
    from graftwork.runs import run as runs

    for error in (OSError(28, "No space left on device"), SafetensorError("No space left on device")):

        def full(*arguments: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(runs, "save_file", full)
        with pytest.raises(RunError, match="cannot be written: No space left on device"):
            run.save(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["messages.csv", "run"]


def test_a_place_that_is_taken_is_refused_before_anything_is_computed(messages, tiny, tmp_path, monkeypatch) -> None:
    from graftwork.runs import steps

    monkeypatch.setattr(steps, "load_frozen", lambda spec: pytest.fail("the backbone was loaded"))
    with pytest.raises(RunError, match="already holds something"):
        gw.fit(messages, tiny, out=tmp_path)


def test_weights_that_changed_since_the_fit_are_refused(messages, tiny_bert, tmp_path) -> None:
    import shutil

    folder = shutil.copytree(tiny_bert, tmp_path / "encoder")
    gw.fit(messages, f"local:{folder}", out=tmp_path / "run")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][5, 0] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMismatch, match="are not those that the run was made with"):
        gw.load(tmp_path / "run").predict(["card"])


def test_folders_that_are_no_run_damaged_or_newer_are_refused(messages, tiny, tmp_path) -> None:
    with pytest.raises(RunError, match="is not a run: it holds no run.json"):
        gw.load(tmp_path)
    run = gw.fit(messages, tiny, out=tmp_path / "run").path
    assert run is not None
    (run / "head.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match="is damaged"):
        gw.load(run)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(RunError, match="was written in format 99; this graftwork reads format 4. Update graftwork"):
        gw.load(run)


def test_labels_that_the_run_never_saw_are_named(messages, tiny, tmp_path) -> None:
    run = gw.fit(messages, tiny)
    (tmp_path / "new.csv").write_text("text,label\na b,card\nc d,loans\n")
    with pytest.raises(DataError, match="The run never saw the label 'loans'; it knows 'card', 'delivery'"):
        run.evaluate(tmp_path / "new.csv")


def test_an_input_that_cannot_be_read_costs_only_its_own_answer(messages, tiny) -> None:
    answers = gw.fit(messages, tiny).predict(["card", "  ", "parcel"])
    assert [answer["label"] is None for answer in answers] == [False, True, False]
    assert answers[1]["error"] == "'row 2' is an empty text."


def test_a_text_file_is_read_when_asked_for_and_a_cell_that_looks_like_one_is_not(
    messages, tiny, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("card.txt").write_text("i lost my card")
    run = gw.fit(messages, tiny)
    assert [(a["input"], a["label"]) for a in run.predict(["card.txt"])] == [("card.txt", "card")]
    assert gw.data(write(tmp_path / "t.csv", "card.txt,a", "z,b")).raws[0].value == "card.txt"


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return path


def test_one_class_only_is_refused(tmp_path, tiny) -> None:
    with pytest.raises(DataError, match="All 2 examples have the label 'a'; two labels or more are accepted"):
        gw.fit(write(tmp_path / "t.csv", "x,a", "y,a"), tiny)


def test_a_label_seen_once_is_trained_on_and_warned_of(messages, tiny) -> None:
    messages.write_text(messages.read_text() + "back back,rare\n")
    run = gw.fit(messages, tiny)
    assert run.record["warnings"] == ["Seen once only, so trained on but never checked: the label 'rare'."]
    assert run.labels == ["card", "delivery", "rare"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_of_a_split_to_judge_on_alone_is_refused(split, tmp_path, tiny) -> None:
    rows = "a,x,train\nb,x,train\nc,y,train\nd,y,train\nf,x,validation"
    (tmp_path / "t.csv").write_text(f"text,label,split\n{rows}\ne,z,{split}\n")
    with pytest.raises(DataError, match=f"The {split} split has the label 'z', which no training example has"):
        gw.fit(tmp_path / "t.csv", tiny)


def test_data_without_a_training_split_are_refused(tmp_path, tiny) -> None:
    (tmp_path / "t.csv").write_text("text,label,split\na,x,test\nb,y,test\n")
    with pytest.raises(DataError, match="The data bring the splits test, and none to train on"):
        gw.fit(tmp_path / "t.csv", tiny)


def test_unknown_words_are_answered_before_anything_is_loaded(messages, monkeypatch) -> None:
    from graftwork.runs import steps

    monkeypatch.setattr(steps, "load_frozen", lambda spec: pytest.fail("the backbone was loaded"))
    with pytest.raises(UnknownName, match="No task is called 'clasify'; the nearest is classify"):
        gw.fit(messages, task="clasify")
    with pytest.raises(UsageError, match="The task 'segment' is for images; column 'text' holds text"):
        gw.fit(messages, task="segment")
    with pytest.raises(UnknownName, match="No freeze policy is called"):
        gw.fit(messages, freeze="nothing")
    with pytest.raises(UsageError, match="--val 2 is not a part of the data"):
        gw.fit(messages, val=2)


def test_a_frozen_stage_that_moves_fails_the_run(messages, tiny, monkeypatch) -> None:
    from graftwork.features.extraction import Extractor

    original = Extractor.__call__

    def leaky(self, *arguments):
        with torch.no_grad():
            next(self.backbone.stages()[1].parameters()).add_(1e-3)
        return original(self, *arguments)

    monkeypatch.setattr(Extractor, "__call__", leaky)
    with pytest.raises(
        gw.GraftworkError, match="'block1\\..*was frozen by the policy 'head' and changed during the run"
    ):
        gw.fit(messages, tiny)


def test_frozen_stages_are_in_evaluation_mode_and_hold_no_gradient(messages, tiny) -> None:
    backbone = gw.fit(messages, tiny).backbone()
    assert not any(module.training for stage in backbone.stages() for module in stage.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    plan = Plan(tuple(StagePlan(name, trains=name == "block2") for name in backbone.spec.stages))
    freezing.apply(plan, backbone.stages())
    assert [stage.training for stage in backbone.stages()] == [False, False, True]


@pytest.mark.parametrize(("cosine", "used"), [(0.9995, "bf16"), (0.99, "fp32")])
def test_bf16_is_used_only_when_its_features_agree_and_is_recorded(messages, tiny, monkeypatch, cosine, used) -> None:
    monkeypatch.setenv("GRAFTWORK_PRECISION", "bf16")
    monkeypatch.setattr(
        "graftwork.models.engines.runner.cosines", lambda *_: torch.tensor([cosine, 1], dtype=torch.double)
    )
    assert gw.fit(messages, tiny).record["precision"] == {"used": used, "asked": "auto", "cosine": cosine}


def test_bf16_is_not_tried_where_torch_would_imitate_it(messages, tiny, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_PRECISION", "auto")  # and ATEN_CPU_CAPABILITY is avx2
    assert gw.fit(messages, tiny).record["precision"] == {"used": "fp32", "asked": "auto", "cosine": None}
    with pytest.raises(UsageError, match="--precision fp8 is not known; auto, fp32, bf16 and int8 are"):
        gw.fit(messages, tiny, precision="fp8")


@pytest.mark.parametrize(
    ("instructions", "able", "took", "fast"),
    [
        ("AVX512", True, {"fp32": 2.0, "bf16": 1.0}, True),
        ("AVX512", True, {"fp32": 1.1, "bf16": 1.0}, False),  # too near to be sure
        ("AVX512", False, {"fp32": 2.0, "bf16": 1.0}, False),
        ("AVX2", True, {"fp32": 2.0, "bf16": 1.0}, False),
    ],
)
def test_training_in_bf16_is_for_processors_that_were_seen_to_be_faster_at_it(
    monkeypatch, instructions, able, took, fast
) -> None:
    from graftwork.models import precision

    measured = []
    monkeypatch.setenv("GRAFTWORK_PRECISION", "auto")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: instructions)
    monkeypatch.setattr("graftwork.runtime.cpu.capabilities", lambda: {"bf16"} if able else set())
    monkeypatch.setattr(precision, "measure_matmul", lambda: measured.append(1) or took)
    assert [precision.fast_bf16("cpu") for _ in range(2)] == [fast, fast]
    assert len(measured) == (able and instructions == "AVX512")  # once, and then remembered
    assert precision.fast_bf16("mps") is False


def test_a_plugin_that_cannot_build_its_backbone_is_named(messages, tiny_bert, monkeypatch) -> None:
    def build(spec, weights):
        raise ValueError("no such layer.")

    monkeypatch.setattr("graftwork_text.bert.build", build)
    sentence = r"^Backbone 'local:.*' cannot be built from the folder '.*': no such layer\. If the weights are damaged"
    with pytest.raises(gw.PluginFault, match=sentence):
        gw.fit(messages, f"local:{tiny_bert}")


def test_weights_that_are_damaged_are_named(messages, tiny_bert, tmp_path) -> None:
    import shutil

    folder = shutil.copytree(tiny_bert, tmp_path / "encoder")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-50])
    with pytest.raises(gw.WeightsMismatch, match=r"model.safetensors' does not hold the weights of 'local:"):
        gw.fit(messages, f"local:{folder}")


def test_inputs_that_come_one_by_one_get_the_answers_of_all_together(messages, tiny, monkeypatch) -> None:
    from graftwork.runs import run as runs

    monkeypatch.setattr(runs, "STREAM", 4)
    run = gw.fit(messages, tiny)
    texts = [f"where is card {number}" for number in range(10)]
    taken = []
    stream = run.stream(taken.append(text) or text for text in texts)
    first = next(stream)
    assert len(taken) == 4
    for one, other in zip([first, *stream], run.predict(texts), strict=True):
        assert one["label"] == other["label"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
    assert list(run.stream([])) == []
