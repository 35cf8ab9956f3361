"""Training by gradient steps: what moves and what does not, and going on after a kill as if there had been none."""

from __future__ import annotations

import csv
import json
import random
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import graftwork as gw
from graftwork import RunError, UsageError
from graftwork.models import machine
from graftwork.runtime import processes
from graftwork.specs.settings import Settings, decide, factor
from graftwork.training import fine_tuning, sampling
from graftwork.training.loop import TrainingLoop
from graftwork.training.progress import Progress

FAST: dict[str, Any] = {"epochs": 3, "batch_size": 8, "checkpoint_every": 0.0, "patience": 0}


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def weights(run: Path) -> dict[str, torch.Tensor]:
    found = load_file(run / "head.safetensors")
    if (run / "backbone.safetensors").exists():
        found |= load_file(run / "backbone.safetensors")
    return found


def equal(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# What moves.


@pytest.mark.parametrize(
    ("freeze", "moved"),
    [
        ("all", ["embeddings", "block1", "block2"]),
        ("last:1", ["block2"]),
        ("lpft+last:2", ["block1", "block2"]),
        ("gradual:2", ["block1", "block2"]),
        ("bitfit", ["embeddings", "block1", "block2"]),
        ("lora:r=2", ["block1", "block2"]),
    ],
)
def test_a_policy_moves_what_it_says_and_the_certificate_proves_it(messages, tiny, tmp_path, freeze, moved) -> None:
    run = gw.fit(messages, tiny, freeze=freeze, out=tmp_path / "run", head_lr=0.1, **FAST)
    proof = run.record["certificate"]
    assert (proof["ok"], proof["moved"]) == (True, moved)
    assert proof["frozen"] == [name for name in ("embeddings", "block1", "block2") if name not in moved]
    assert run.record["trained_by"] == "loop"
    assert run.metrics["accuracy"] == 1.0
    if freeze == "bitfit":
        assert all(name.endswith("bias") for name in proof["stages"]["block1"]["trained"])
        assert proof["stages"]["block1"]["frozen"] > 0
    if freeze == "lora:r=2":
        assert all(".lora_" in name for name in proof["stages"]["block1"]["trained"])


def test_a_saved_run_predicts_what_the_fit_did_and_holds_only_what_moved(messages, tiny, tmp_path) -> None:
    texts = ["where is my parcel", "i lost my card", "help"]
    for freeze in ("last:1", "lora:r=2", "gradual:1"):
        run = gw.fit(messages, tiny, freeze=freeze, out=tmp_path / freeze, **FAST)
        loaded = gw.load(tmp_path / freeze)
        assert loaded.predict(texts) == run.predict(texts)
        held = load_file(tmp_path / freeze / "backbone.safetensors")
        assert {name.split(".")[0] for name in held} == set(run.record["certificate"]["moved"])
        assert not list(tmp_path.glob("*.unfinished"))
        assert loaded.evaluate(messages)["n"] == 40


def test_a_damaged_backbone_file_is_refused_by_name(messages, tiny, tmp_path) -> None:
    gw.fit(messages, tiny, freeze="last:1", out=tmp_path / "run", **FAST)
    file = tmp_path / "run" / "backbone.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(RunError, match="is damaged: it does not hold the stage 'block2' as it was trained"):
        gw.load(tmp_path / "run").predict(["help"])
    file.write_bytes(bytes(content[:-40]))
    with pytest.raises(RunError, match="backbone.safetensors' is damaged"):
        gw.load(tmp_path / "run").predict(["help"])


def test_a_leak_into_a_frozen_stage_fails_the_run_by_name(messages, tiny, tmp_path, monkeypatch) -> None:
    original = TrainingLoop._step

    def leaky(self, *arguments):
        with torch.no_grad():
            self.trainable.module.stages[1].up.bias[0] += 1e-6
        return original(self, *arguments)

    monkeypatch.setattr(TrainingLoop, "_step", leaky)
    sentence = r"'block1.up.bias' was frozen by the policy 'last:1' and changed during the run"
    with pytest.raises(gw.GraftworkError, match=sentence):
        gw.fit(messages, tiny, freeze="last:1", out=tmp_path / "run", **FAST)
    assert not list(tmp_path.glob("run*"))


def test_the_optimizer_holds_exactly_what_trains_and_decays_matrices_only(messages, tiny, monkeypatch) -> None:
    seen: list[dict[str, Any]] = []
    original = TrainingLoop._epoch

    def spy(self, epoch):
        groups = self.optimizer.param_groups
        names = {name: group["weight_decay"] for group in groups for name in group["names"]}
        model = self.trainable.module
        trained = {f"{s.name}.{n}" for s in model.stages for n, p in s.named_parameters() if p.requires_grad}
        trained |= {f"head.{n}" for n, _ in model.head.named_parameters()}
        assert set(names) == trained
        ids = {id(p) for group in groups for p in group["params"]}
        assert ids == {id(p) for p in model.parameters() if p.requires_grad}
        seen.append(names)
        original(self, epoch)

    monkeypatch.setattr(TrainingLoop, "_epoch", spy)
    gw.fit(messages, tiny, freeze="gradual:1", weight_decay=0.5, **FAST)
    assert len(seen) == 3
    assert len(seen[0]) < len(seen[1]) < len(seen[2])
    for name, decay in seen[-1].items():
        assert decay == (0 if name.endswith("bias") or ".norm" in name else 0.5)


def test_weight_decay_never_touches_a_frozen_parameter(messages, tiny) -> None:
    run = gw.fit(messages, tiny, freeze="last:1", weight_decay=10.0, lr=1e-2, **FAST)
    assert run.record["certificate"]["moved"] == ["block2"]


def test_stages_above_the_tap_neither_run_nor_train(messages, tiny) -> None:
    run = gw.fit(messages, tiny, freeze="all", tap="block1", **FAST)
    assert run.record["certificate"]["moved"] == ["embeddings", "block1"]


# Rates, and what goes wrong.


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_rate_rises_once_falls_once_and_stays_within_0_and_1(steps, warmup) -> None:
    found = [factor(step, steps, warmup) for step in range(steps)]
    assert all(0 <= value <= 1 for value in found)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)


def test_settings_come_from_the_recipe_and_few_data_take_more_epochs() -> None:
    recipe = gw.Recipe(learning_rate=3e-5, head_learning_rate=2e-3, batch_size=10, epochs=4, weight_decay=0.1)
    large = decide(Settings(), recipe, 100_000)
    assert (large.epochs, large.lr, large.head_lr, large.weight_decay) == (4, 3e-5, 2e-3, 0.1)
    assert decide(Settings(), recipe, 400).epochs == 8
    assert decide(Settings(), recipe, 20).epochs == 20
    assert decide(Settings(epochs=2, lr=1.0, batch_size=7), recipe, 20)[:4] == (2, 3, 7, 1.0)


def test_every_installed_backbone_has_a_recipe_with_a_source_and_a_rate_of_fine_tuning() -> None:
    from graftwork.plugins import registry

    for spec in registry.backbones():
        assert 1e-6 <= spec.recipe.learning_rate <= 3e-3
        assert spec.recipe.source


@pytest.mark.parametrize("rates", [{"lr": 1e4, "head_lr": 1e4}, {"lr": float("inf")}])
def test_a_loss_that_diverges_stops_with_the_step_the_batch_and_a_remedy(messages, tiny, rates, tmp_path) -> None:
    with pytest.raises(gw.Diverged) as raised:
        gw.fit(messages, tiny, freeze="all", clip=0, out=tmp_path / "run", **{**FAST, **rates, "epochs": 30})
    assert "The loss " in raised.value.message
    assert " at step " in raised.value.message
    assert "whose batch is '" in raised.value.message
    assert raised.value.message.endswith("and 3 more.")
    assert "lower the rates: --lr" in raised.value.hint
    assert not (tmp_path / "run").exists()


def test_out_of_memory_says_which_batch_would_fit(messages, tiny, monkeypatch) -> None:
    from graftwork.training.model import Grafted

    original = Grafted.forward

    def small(self, batch):
        if self.training and len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, batch)

    monkeypatch.setattr(Grafted, "forward", small)
    with pytest.raises(gw.OutOfMemory) as raised:
        gw.fit(messages, tiny, freeze="all", **FAST)
    assert raised.value.message == "A batch of 8 does not fit in memory; one of 2 does."
    assert raised.value.hint.startswith("Write: --accumulate 4, which gives the same result in 4 parts a step")
    assert gw.fit(messages, tiny, freeze="all", accumulate=4, **FAST).record["training"]["steps"] == 12


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"freeze": "all", "epochs": 0}, "--epochs 0 is not accepted; it is a whole number, 1 or more"),
        ({"freeze": "all", "batch_size": 2.5}, "--batch-size 2.5 is not accepted; it is a whole number, 1 or more"),
        ({"freeze": "all", "dropout": 1.0}, "--dropout 1.0 is not accepted; it is 0 or more and below 1"),
        ({"freeze": "all", "warmup": 2.0}, "--warmup 2.0 is not accepted; it is a part of the steps, 0 to 1"),
        ({"freeze": "all", "balance": "wieghts"}, "--balance wieghts is not known; none, weights, sampling are"),
        ({"freeze": "all", "epoch": 3}, "fit takes no 'epoch'; the nearest that it takes is 'epochs'"),
        ({"freeze": "all", "precision": "fp8"}, "--precision fp8 is not known; auto, fp32, bf16 and fp16 are"),
        ({"freeze": "all", "precision": "fp16"}, "--precision fp16 trains on a GPU only; there is none here"),
        ({"freeze": "all", "refit": True}, "--refit is for heads that are solved exactly; the freeze policy 'all' trains"),
        ({"freeze": "all", "resume": True}, "resume goes on with the fit to a folder, and none is named"),
        ({"freeze": "head", "epochs": 3}, "The freeze policy 'head' solves the head exactly, without steps, so there is "
                                          "nothing that --epochs could change. Leave it out, or train by steps"),
        ({"freeze": "last:9"}, "The freeze policy 'last:9' trains 9 stages; this encoder has 3: embeddings, block1, block2"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_met_are_answered_before_anything_is_loaded(
    messages, tiny, options, sentence, monkeypatch
) -> None:
    from graftwork.runs import steps

    monkeypatch.setattr(steps, "load_frozen", lambda spec: pytest.fail("loaded"))
    with pytest.raises(UsageError) as raised:
        gw.fit(messages, tiny, **options)
    assert sentence in str(raised.value)


def test_a_launcher_that_divides_the_weights_is_refused(messages, tiny, monkeypatch) -> None:
    from accelerate import Accelerator
    from accelerate.utils import DistributedType

    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.FSDP)
    with pytest.raises(UsageError, match="The launcher is configured for FSDP, which divides the weights; here each"):
        gw.fit(messages, tiny, freeze="all", **FAST)


# Batches.


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_shows_every_example_once_in_batches_that_the_seed_fixes(targets, size, seed) -> None:
    numbers, known = list(range(len(targets))), dict(enumerate(targets))
    sizes = [1 + 7 * target for target in targets]
    made = sampling.order(numbers, known, sizes, size, "none", str(seed))
    assert sorted(number for batch in made for number in batch) == numbers
    assert len(made) == -(-len(numbers) // size)
    assert made == sampling.order(numbers, known, sizes, size, "none", str(seed))


def test_balanced_sampling_shows_each_label_as_often_and_weights_make_them_count_alike() -> None:
    targets = [0] * 900 + [1] * 100
    drawn = sampling.order(range(1000), dict(enumerate(targets)), [1] * 1000, 10, "sampling", "0")
    seen = Counter(targets[number] for batch in drawn for number in batch)
    assert 430 < seen[1] < 570
    found = sampling.example_weights(targets, "weights")
    assert sum(found[:900]) == pytest.approx(sum(found[900:]))
    assert sum(found) == pytest.approx(1000)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 4))
@settings(deadline=None)
def test_a_step_divided_over_parts_and_processes_weighs_every_example_once(count, accumulate, world) -> None:
    given_weights = {number: 1.0 + number for number in range(count)}
    total: Counter[int] = Counter()
    lengths = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "count", lambda: world)
        for rank in range(world):
            patch.setattr(processes, "rank", lambda rank=rank: rank)
            parts = sampling.divide(list(range(count)), given_weights, accumulate)
            lengths.add(len(parts))
            for part in parts:
                for number, weight in zip(part.numbers, part.weights, strict=True):
                    total[number] += weight
    assert len(lengths) == 1
    for number in range(count):
        assert total[number] == pytest.approx(given_weights[number] / sum(given_weights.values()))


def test_rare_labels_are_found_when_the_loss_is_balanced(tiny, tmp_path) -> None:
    rows = ["text,label"] + ["where is my parcel,a"] * 60 + ["where is my card,b"] * 6
    (tmp_path / "t.csv").write_text("\n".join(rows))
    options = {**FAST, "freeze": "params:block2.norm*", "epochs": 2, "head_lr": 1e-4, "dropout": 0.0}
    plain = gw.fit(tmp_path / "t.csv", tiny, **options)
    for balance in ("weights", "sampling"):
        fair = gw.fit(tmp_path / "t.csv", tiny, balance=balance, **options)
        rare = [run.predict(["where is my card"])[0]["probabilities"]["b"] for run in (plain, fair)]
        assert rare[1] > rare[0]


def test_rare_labels_count_as_much_where_the_head_is_solved(tiny, tmp_path) -> None:
    rows = ["text,label"] + ["where is my parcel,a"] * 60 + ["where is my card,b"] * 6
    (tmp_path / "t.csv").write_text("\n".join(rows))
    plain, fair = (gw.fit(tmp_path / "t.csv", tiny, c=0.1, balance=balance) for balance in ("none", "weights"))
    rare = [run.predict(["where is my card"])[0]["probabilities"]["b"] for run in (plain, fair)]
    assert rare[1] > rare[0] + 0.1
    with pytest.raises(UsageError, match="without steps, so there is nothing that --balance could change"):
        gw.fit(tmp_path / "t.csv", tiny, balance="sampling")


def test_parts_of_a_step_give_the_step_and_recomputing_changes_nothing(messages, tiny, tmp_path) -> None:
    options = {**FAST, "freeze": "all", "dropout": 0.0, "lr": 1e-3}
    whole = gw.fit(messages, f"{still(tiny, tmp_path)}", **options)
    parts = gw.fit(messages, f"{still(tiny, tmp_path)}", accumulate=3, **options)
    again = gw.fit(messages, f"{still(tiny, tmp_path)}", recompute=True, **options)
    for other in (parts, again):
        for one, two in zip(whole.record["training"]["history"], other.record["training"]["history"], strict=True):
            assert one["loss"] == pytest.approx(two["loss"], abs=1e-4)


def still(tiny: str, folder: Path) -> str:
    """The same encoder without dropout."""
    import shutil

    copy = folder / "still"
    if not copy.exists():
        shutil.copytree(tiny.removeprefix("local:"), copy)
        config = json.loads((copy / "config.json").read_text())
        config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        (copy / "config.json").write_text(json.dumps(config))
    return f"local:{copy}"


def test_the_best_weights_are_kept_and_waiting_for_better_ones_ends(messages, tiny) -> None:
    run = gw.fit(messages, tiny, freeze="lpft", **{**FAST, "epochs": 10, "patience": 2})
    about = run.record["training"]
    history = about["history"]
    best = max(history, key=lambda row: (row["accuracy"], -row["log_loss"]))
    assert about["best_epoch"] == best["epoch"]
    assert run.metrics["log_loss"] == pytest.approx(best["log_loss"], rel=1e-3)
    worse = gw.fit(messages, tiny, freeze="all", **{**FAST, "epochs": 12, "patience": 2, "lr": 0.0, "head_lr": 0.0})
    assert len(worse.record["training"]["history"]) == 3


@pytest.mark.parametrize(("freeze", "moved"), [("lpft", []), ("gradual:1", ["block2"])])
def test_where_later_epochs_are_worse_all_of_the_first_weights_come_back(
    messages, tiny, freeze, moved, monkeypatch
) -> None:
    original, calls = fine_tuning.FineTuning.evaluate, []

    def worse(tuning, step):
        calls.append(step)
        return {**original(tuning, step), "accuracy": 1 / len(calls)}

    monkeypatch.setattr(fine_tuning.FineTuning, "evaluate", worse)
    run = gw.fit(messages, tiny, freeze=freeze, **FAST)
    first = run.record["training"]["history"][0]
    assert run.record["training"]["best_epoch"] == first["epoch"]
    assert run.metrics["log_loss"] == pytest.approx(first["log_loss"], rel=1e-3)
    assert run.record["certificate"]["moved"] == moved


def test_what_fails_for_good_leaves_no_folder_that_would_stand_in_the_way(messages, tiny, tmp_path) -> None:
    for options in ({"lr": float("inf")}, {"freeze": "params:nothing.*"}):
        with pytest.raises(gw.GraftworkError):
            gw.fit(messages, tiny, out=tmp_path / "run", **{**FAST, "freeze": "all", **options})
        assert not list(tmp_path.glob("run*"))
    with pytest.raises(Killed):
        gw.fit(
            messages, tiny, out=tmp_path / "run", watch=stop_at(1), freeze="all", **{**FAST, "checkpoint_every": 1e6}
        )
    assert not list(tmp_path.glob("run*"))


def test_the_start_of_lpft_is_the_solved_head(messages, tiny) -> None:
    head = gw.fit(messages, tiny, freeze="head", refit=False)
    start = gw.fit(messages, tiny, freeze="lpft", **FAST).record["training"]["history"][0]
    assert start["epoch"] == 0
    assert start["log_loss"] == pytest.approx(head.metrics["log_loss"], rel=1e-3)


def test_a_head_starts_from_features_of_any_place_and_size() -> None:
    from graftwork.tasks.heads import LinearHead

    torch.manual_seed(0)
    features = 1000 + 0.01 * torch.randn(50, 4)
    head = LinearHead(4, 3)
    head.fit_scaler(features)
    scaled = (features - head.mean) / head.size
    assert scaled.mean().abs() < 0.1
    assert scaled.square().mean() == pytest.approx(1, rel=0.05)
    weight, bias = torch.randn(3, 4), torch.randn(3)
    head.load_solution(weight, bias)
    assert torch.allclose(head(features), features @ weight.T + bias, atol=0.05)


def test_a_head_that_is_declared_convex_and_cannot_be_solved_is_a_fault_of_its_plugin() -> None:
    from graftwork.tasks.heads import Head, LinearHead

    class Odd(LinearHead):
        load_solution = Head.load_solution

    with pytest.raises(gw.PluginFault, match="The head Odd is declared convex and cannot take on a solution"):
        Odd(2, 2).load_solution(torch.zeros(2, 2), torch.zeros(2))


# Logs, and the seed.


def test_each_step_and_validation_is_a_row_of_the_log(messages, tiny, tmp_path) -> None:
    gw.fit(messages, tiny, freeze="all", out=tmp_path / "run", tensorboard=True, **FAST)
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["loss"]] == list(range(1, 13))
    assert [int(row["epoch"]) for row in rows if row["val_accuracy"]] == [1, 2, 3]
    assert float(rows[0]["lr"]) > 0
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_tensorboard_that_is_not_installed_is_said_before_anything_is_loaded(messages, tiny, monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        UsageError, match="The logger 'tensorboard' needs the package tensorboard, which is not installed"
    ):
        gw.fit(messages, tiny, freeze="all", tensorboard=True, **FAST)


def test_the_seed_fixes_the_weights_and_another_one_changes_them(messages, tiny, tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        gw.fit(messages, tiny, freeze="all", augment=True, seed=seed, out=tmp_path / name, **FAST)
    assert equal(tmp_path / "a", tmp_path / "b")
    assert not equal(tmp_path / "a", tmp_path / "c")


def test_training_in_bf16_keeps_weights_in_fp32_and_says_so(messages, tiny, tmp_path) -> None:
    run = gw.fit(messages, tiny, freeze="all", precision="bf16", out=tmp_path / "run", **FAST)
    assert run.record["training"]["precision"] == "bf16"
    assert all(tensor.dtype == torch.float32 for tensor in weights(tmp_path / "run").values())
    exact = gw.fit(messages, tiny, freeze="all", precision="fp32", out=tmp_path / "exact", **FAST)
    assert exact.record["training"]["precision"] == "fp32"
    assert not equal(tmp_path / "run", tmp_path / "exact")


# Going on.


class Killed(BaseException):
    """As sudden as a kill, for this process."""


def stop_at(step: int):
    def watch(at: Progress) -> None:
        if at.step == step and not at.done:
            raise Killed

    return watch


@pytest.mark.parametrize("freeze", ["all", "gradual:1", "lpft", "lora:r=2+norm", "last:1"])
def test_a_fit_that_is_stopped_anywhere_goes_on_to_the_same_weights_bit_for_bit(
    messages, tiny, tmp_path, freeze
) -> None:
    options = {**FAST, "freeze": freeze, "augment": freeze == "all", "balance": "sampling", "label_smoothing": 0.1}
    gw.fit(messages, tiny, out=tmp_path / "whole", **options)
    out = tmp_path / "stopped"
    for number, step in enumerate(sorted(random.Random(freeze).sample(range(1, 13), 2))):
        with pytest.raises(Killed):
            gw.fit(messages, tiny, out=out, watch=stop_at(step), resume=number > 0, **options)
    assert not out.exists()
    gw.fit(messages, tiny, out=out, resume=True, **options)
    assert equal(out, tmp_path / "whole")
    whole, resumed = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("whole", out.name))
    assert whole["training"]["history"] == resumed["training"]["history"]
    assert whole["metrics"] == resumed["metrics"]
    steps = [row["step"] for row in csv.DictReader((out / "log.csv").open()) if row["loss"]]
    assert steps == [str(number) for number in range(1, 13)]


def stopped(messages, tiny, out: Path, **options: Any) -> Path:
    """A fit that was stopped at its sixth step; its folder of checkpoints."""
    with pytest.raises(Killed):
        gw.fit(messages, tiny, out=out, watch=stop_at(6), **{**FAST, "freeze": "all", **options})
    return out.with_name(f"{out.name}.unfinished")


def test_the_last_two_checkpoints_are_kept_and_a_torn_one_falls_back(messages, tiny, tmp_path) -> None:
    gw.fit(messages, tiny, freeze="all", out=tmp_path / "whole", **FAST)
    folder = stopped(messages, tiny, tmp_path / "run")
    names = sorted(path.name for path in folder.glob("step-*"))
    assert names == ["step-00000004.safetensors", "step-00000005.safetensors"]
    torn = folder / names[1]
    torn.write_bytes(torn.read_bytes()[:-100])
    run = gw.fit(messages, tiny, freeze="all", out=tmp_path / "run", resume=True, **FAST)
    assert any(
        w.startswith("The checkpoint 'step-00000005.safetensors' is damaged (")
        and w.endswith("the one before it is taken.")
        for w in run.record["warnings"]
    )
    assert equal(tmp_path / "run", tmp_path / "whole")


def test_with_no_whole_checkpoint_a_fit_begins_again(messages, tiny, tmp_path) -> None:
    gw.fit(messages, tiny, freeze="all", out=tmp_path / "whole", **FAST)
    for path in stopped(messages, tiny, tmp_path / "run").glob("step-*"):
        path.write_bytes(b"torn")
    gw.fit(messages, tiny, freeze="all", out=tmp_path / "run", resume=True, **FAST)
    assert equal(tmp_path / "run", tmp_path / "whole")


def test_going_on_with_something_else_says_what_changed(messages, tiny, tmp_path) -> None:
    out = tmp_path / "run"
    stopped(messages, tiny, out)
    asked = {**FAST, "freeze": "all", "resume": True, "out": out}
    for change, words in (
        ({"freeze": "last:1"}, "its freeze was 'all'; now it is 'last:1'"),
        ({"seed": 3}, "its seed was 0; now it is 3"),
        ({"lr": 0.5}, "its lr was None; now it is 0.5"),
        ({"batch_size": 4}, "its batch_size was 8; now it is 4"),
    ):
        with pytest.raises(RunError) as raised:
            gw.fit(messages, tiny, **{**asked, **change})
        assert f"cannot go on: {words}. Ask for the same again, or start anew" in str(raised.value)
    with pytest.raises(RunError, match="its backbone was 'local:.*now it is 'local:.*still'"):
        gw.fit(messages, still(tiny, tmp_path), **asked)
    messages.write_text(messages.read_text().replace("i lost my card help where", "i lost my card help here"))
    with pytest.raises(RunError, match="cannot go on: its data changed"):
        gw.fit(messages, tiny, **asked)


def test_changed_weights_under_the_same_name_are_found(messages, tiny, tmp_path) -> None:
    from safetensors.torch import save_file

    name, out = still(tiny, tmp_path), tmp_path / "run"
    stopped(messages, name, out)
    file = tmp_path / "still" / "model.safetensors"
    tensors = load_file(file)
    tensors["encoder.layer.0.output.dense.bias"][0] += 1
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(RunError, match="cannot go on: its weights was"):
        gw.fit(messages, name, freeze="all", resume=True, out=out, **FAST)


def test_a_fit_that_was_stopped_is_not_overwritten_in_silence(messages, tiny, tmp_path) -> None:
    stopped(messages, tiny, tmp_path / "run")
    with pytest.raises(RunError, match=r"A fit to '.*run' was stopped before its end; .*Go on with it: --resume"):
        gw.fit(messages, tiny, freeze="all", out=tmp_path / "run", **FAST)


def test_a_full_disk_stops_cleanly_and_what_was_saved_serves(messages, tiny, tmp_path, monkeypatch) -> None:
    from safetensors import SafetensorError

    from graftwork.training import checkpoints

    gw.fit(messages, tiny, freeze="all", out=tmp_path / "whole", **FAST)
    original, calls = checkpoints.save_file, []

    def full(tensors, path, **more):
        calls.append(path)
        if len(calls) > 3:
            Path(path).write_bytes(b"half")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        original(tensors, path, **more)

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(RunError) as raised:
        gw.fit(messages, tiny, freeze="all", out=tmp_path / "run", **FAST)
    assert "A checkpoint cannot be written to" in str(raised.value)
    assert "No space left on device (os error 28); the last one is of step 3." in str(raised.value)
    assert raised.value.hint == "Make room, then go on: graftwork fit ... --resume"
    left = {path.name for path in (tmp_path / "run.unfinished").iterdir()}
    assert left == {"request.json", "log.csv", "step-00000002.safetensors", "step-00000003.safetensors"}
    monkeypatch.undo()
    gw.fit(messages, tiny, freeze="all", out=tmp_path / "run", resume=True, **FAST)
    assert equal(tmp_path / "run", tmp_path / "whole")


# The device runs ahead of what is read of it.


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_steps_that_are_read_later_leave_the_same_weights_and_log(
    messages, tiny, tmp_path, monkeypatch, ahead: int
) -> None:
    gw.fit(messages, tiny, freeze="last:1", out=tmp_path / "at once", **FAST)
    begin = TrainingLoop.__init__

    def lagging(self, *args, **more) -> None:
        begin(self, *args, **more)
        self.lag = ahead

    monkeypatch.setattr(TrainingLoop, "__init__", lagging)
    gw.fit(messages, tiny, freeze="last:1", out=tmp_path / "later", **{**FAST, "checkpoint_every": 1e9})
    assert equal(tmp_path / "at once", tmp_path / "later")
    logs = []
    for name in ("at once", "later"):
        rows = list(csv.DictReader((tmp_path / name / "log.csv").open()))
        logs.append([{key: value for key, value in row.items() if key != "examples_per_s"} for row in rows])
    assert logs[0] == logs[1]


def test_no_figure_is_read_inside_a_step(messages, tiny, monkeypatch) -> None:
    step, inside = TrainingLoop._step, []

    def watched(self, parts):
        with monkeypatch.context() as patch:
            for name in ("item", "tolist", "__float__", "__bool__"):
                read = getattr(torch.Tensor, name)
                patch.setattr(
                    torch.Tensor,
                    name,
                    lambda self, *a, _r=read, _n=name: inside.append(_n) or _r(self, *a),
                    raising=False,
                )
            return step(self, parts)

    monkeypatch.setattr(TrainingLoop, "_step", watched)
    gw.fit(messages, tiny, freeze="last:1", **FAST)
    assert not inside


def test_a_divergence_that_is_read_late_names_the_step_and_its_batch(messages, tiny, monkeypatch) -> None:
    begin = TrainingLoop.__init__

    def lagging(self, *args, **more) -> None:
        begin(self, *args, **more)
        self.lag = 1

    def told() -> str:
        with pytest.raises(gw.Diverged) as found:
            gw.fit(messages, tiny, freeze="all", clip=0, lr=1e4, head_lr=1e4, **{**FAST, "epochs": 30})
        return found.value.message

    at_once = told()
    monkeypatch.setattr(TrainingLoop, "__init__", lagging)
    assert told() == at_once


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's way of giving memory back")
def test_memory_of_freed_tensors_is_used_again_while_training_and_given_back_after() -> None:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            torch.zeros(12_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    usual = faults()
    with machine.reused_memory():
        faults()
        assert faults() < usual / 10
    assert faults() > usual / 10
