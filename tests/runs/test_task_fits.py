"""Every task goes the whole way, from a table to answers; and a task that a plugin brings is held to what it states."""

from __future__ import annotations

import contextlib
import json
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import graftwork as gw
import graftwork_text.plugin
from graftwork.testing import Nonconformance, cases
from graftwork.testing.cases import NotChecked

SIGNS = ("parcel", "card", "refund")


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


@pytest.fixture
def mentions(tmp_path: Path) -> Path:
    """80 texts, each of which mentions some of three things; their number is the value."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(80):
        said = [word for word in SIGNS if rng.random() < 0.5]
        words = rng.permutation([*said, "where", "is", "my", "please"])
        about = {"text": " ".join(words), "labels": said, "cell": "|".join(said), "value": 10.0 + 5 * len(said)}
        rows.append({**about, **{word: int(word in said) for word in SIGNS}})
    path = tmp_path / "mentions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("label", ["labels", "cell", list(SIGNS)])
@pytest.mark.parametrize("freeze", ["head", "all"])
def test_labels_that_may_be_together_are_learned_from_each_of_their_forms(
    mentions, tiny, tmp_path, label, freeze
) -> None:
    steps = {} if freeze == "head" else {"epochs": 8, "batch_size": 8, "lr": 1e-2, "head_lr": 1e-2}
    data = gw.data(mentions, input="text", label=label, task="multilabel")
    run = gw.fit(data, tiny, task="multilabel", freeze=freeze, **steps)
    assert run.metrics["macro_f1"] > 0.8 > run.metrics["every_label"]
    assert set(run.record["labels"]) == set(SIGNS)
    answer = run.predict(["where is my card please refund"])[0]
    assert set(answer) == {"input", "labels", "probabilities"}
    assert answer["labels"] == ["card", "refund"]
    loaded = gw.load(run.save(tmp_path / "run"))
    assert loaded.predict(["where is my card please refund"]) == [answer]
    assert loaded.evaluate(data)["metrics"]["micro_f1"] > 0.8


@pytest.mark.parametrize("freeze", ["head", "lpft"])
def test_values_are_regressed(mentions, tiny, tmp_path, freeze) -> None:
    data = gw.data(mentions, input="text", label="value")
    run = gw.fit(data, tiny, task="regress", freeze=freeze, **({} if freeze == "head" else {"epochs": 2}))
    assert run.metrics["rmse"] < 0.5 * run.metrics["mean_rmse"]
    assert run.record["labels"] == {}
    low, high = (
        answer["value"] for answer in run.predict(["where is my please", "where is my please parcel card refund"])
    )
    assert low < 15 < 20 < high
    assert gw.load(run.save(tmp_path / "run")).predict(["where is my please parcel card refund"])[0]["value"] == high


def test_several_values_are_regressed_together_and_their_logarithm_where_asked(mentions, tiny) -> None:
    data = gw.data(mentions, input="text", label=["value", "card"])
    run = gw.fit(data, tiny, task="regress")
    assert set(run.predict(["my card"])[0]["values"]) == {"value", "card"}
    run = gw.fit(gw.data(mentions, input="text", label="value"), tiny, task="regress", target_transform="log")
    assert 10 < run.predict(["where is my card"])[0]["value"] < 25


def test_scikit_learn_gets_values_and_labels_that_may_be_together(mentions, tiny, tmp_path) -> None:
    from sklearn.model_selection import cross_val_score

    rows = [json.loads(line) for line in mentions.read_text().splitlines()]
    texts, together = [row["text"] for row in rows], np.array([[row[word] for word in SIGNS] for row in rows])
    numbers = np.array([row["value"] for row in rows])
    regressor = gw.sklearn.TransferRegressor(tiny, target_transform="log")
    assert cross_val_score(regressor, texts, numbers, cv=3).min() > 0.5
    fitted = regressor.fit(texts, numbers)
    again = gw.sklearn.TransferRegressor.load(fitted.save(tmp_path / "values"))
    assert np.array_equal(again.predict(texts[:5]), fitted.predict(texts[:5]))
    both = gw.sklearn.TransferRegressor(tiny).fit(texts, np.stack([numbers, -numbers], 1)).predict(texts[:4])
    assert both.shape == (4, 2)
    assert np.allclose(both[:, 0], -both[:, 1], atol=0.5)
    classifier = gw.sklearn.TransferClassifier(tiny).fit(texts, together)
    assert (classifier.predict(texts) == together).mean() > 0.9
    assert classifier.predict_proba(texts[:3]).shape == (3, 3)
    again = gw.sklearn.TransferClassifier.load(classifier.save(tmp_path / "labels"))
    assert np.array_equal(again.predict(texts[:5]), classifier.predict(texts[:5]))
    with pytest.raises(gw.DataError, match="holds more than 0 and 1"):
        classifier.fit(texts, together * 2)


def test_the_command_line_fits_every_task_and_shows_its_labels(mentions, tiny, shell) -> None:
    found = shell.json(
        "fit", str(mentions), "--backbone", tiny, "--task", "multilabel", "--input", "text", "--label", "parcel", "--label", "card", "--out", "r",
    )  # fmt: skip
    assert found["labels"]["card"]["train"] + found["labels"]["card"]["validation"] > 20
    told = shell("predict", "r", "my card")
    assert "card" in told.stdout
    done = shell("fit", str(mentions), "--backbone", tiny, "--task", "regress", "--input", "text", "--label", "value")
    assert "RMSE of the mean" in done.stdout
    refused = shell.json(
        "fit", str(mentions), "--backbone", tiny, "--task", "regress", "--input", "text", "--label", "labels", code=2
    )
    assert refused["error"]["message"].startswith("The labels are lists")
    for option in (
        ["--balance", "weights"],
        ["--c", "1", "--task", "tags"],
        ["--label-smoothing", "0.1", "--freeze", "all"],
    ):
        refused = shell.json(
            "fit", str(mentions), "--backbone", tiny, "--task", "regress", "--input", "text", "--label", "value", *option, code=2,
        )  # fmt: skip
        assert refused["error"]["type"] in ("UsageError", "UnknownName")
    assert (
        "No task is called 'tags'"
        in shell.json("check", str(mentions), "--task", "tags", "--input", "text", code=2)["error"]["message"]
    )
    found = shell.json("check", str(mentions), "--task", "regress", "--input", "text", "--label", "labels")
    assert "labels" in [problem["kind"] for problem in found["problems"]]


# What third parties bring.


class LeastSquares(gw.Task):
    """Labels as numbers 0 and 1 `(N, K)`, their squared error made small. `stated` is what it says of its loss."""

    figures = (gw.Metric("right", "right"), gw.Metric("squared", "squared error", higher_is_better=False))
    tie_break = figures[1]
    stated: type[gw.Loss] = gw.Squares

    def encode(self, raw, known=None):
        labels = [label for label in raw if isinstance(label, str)]
        names = known.names if known else tuple(sorted(set(labels)))
        if len(names) < 2 or len(labels) < len(raw) or not set(labels) <= set(names):
            raise gw.DataError("One of two labels or more is accepted.", "Name another column: --label COLUMN")
        rows = torch.tensor([names.index(label) for label in raw])
        return gw.Targets(names, nn.functional.one_hot(rows, len(names)).float(), strata=tuple(raw))

    def solver_loss(self):
        return self.stated()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        return (outputs - targets).square().sum(1) / 2

    def decode(self, outputs, known):
        return [{"label": known.names[place]} for place in outputs.argmax(1).tolist()]

    def as_label(self, answer):
        return answer["label"]

    def metrics(self, outputs, targets, known):
        right = (outputs.argmax(1) == targets.argmax(1)).double().mean()
        return {"right": float(right), "squared": float(self.loss(outputs, targets).mean())}

    def headline(self, metrics, count):
        return f"{metrics['right']:.0%} of {count} are right."

    def samples(self):
        return ["a", "b", "c"] * 4


class Logistic(LeastSquares):
    """Says that its loss is another than it is."""

    stated = gw.Sigmoid


class Stepped(LeastSquares):
    """Names no loss for the exact engine."""

    def solver_loss(self):
        return None


class Relearning(LeastSquares):
    """Learns its names anew wherever the targets that are known are of no examples."""

    def encode(self, raw, known=None):
        return super().encode(raw, known if known is not None and len(known) else None)


class OwnLoss(gw.LinearHead):
    """A head with a loss of its own, which nothing would heed."""

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        return (outputs - targets).square().sum(1)


class OneOutput(gw.Head):
    """Gives one number whatever it is asked for."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)


def module(task: type[gw.Task] = LeastSquares, head: type[gw.Head] = gw.LinearHead, **spec: object) -> types.ModuleType:
    """A plugin with a task `squares` and a head `theirs`."""
    made = types.ModuleType("theirs")
    made.api_version = gw.API_VERSION
    place = f"{__name__}:"
    fields = {"labels": "names", "heads": ("theirs",), **spec}
    made.graftwork_tasks = gw.hookimpl(
        lambda: [gw.TaskSpec("squares", f"{place}{task.__name__}", **fields)], specname="graftwork_tasks"
    )
    factory = f"{place}{head.__name__}" if head is not gw.LinearHead else "graftwork:LinearHead"
    made.graftwork_heads = gw.hookimpl(
        lambda: [gw.HeadSpec("theirs", factory, convex=True)], specname="graftwork_heads"
    )
    return made


@pytest.fixture
def bring(plugins):
    import sys

    sys.modules[__name__] = sys.modules.get(__name__) or types.ModuleType(__name__)
    vars(sys.modules[__name__]).update(globals())
    return lambda **how: plugins(graftwork_text.plugin, module(**how))


def test_a_third_partys_task_is_solved_by_its_own_loss(bring, messages, tiny) -> None:
    bring()
    theirs, ours = gw.fit(messages, tiny, task="squares"), gw.fit(messages, tiny)
    assert theirs.metrics["right"] == 1.0
    assert theirs.predict(["i lost my card"])[0]["label"] == "card"
    assert not torch.equal(theirs._head.linear.weight, ours._head.linear.weight)
    for case in cases("theirs"):
        if case.kind in ("tasks", "heads"):
            with contextlib.suppress(NotChecked):
                case()


def test_a_task_without_a_loss_to_solve_is_trained_by_steps_and_has_no_use_for_c(bring, messages, tiny) -> None:
    bring(task=Stepped)
    run = gw.fit(messages, tiny, task="squares", epochs=3, head_lr=0.05)
    assert run.record["trained_by"] == "loop"
    assert run.metrics["right"] == 1.0
    with pytest.raises(
        gw.UsageError, match="--c is for heads that are solved exactly; the freeze policy 'head' trains by steps"
    ):
        gw.fit(messages, tiny, task="squares", c=1.0)
    with pytest.raises(gw.UsageError, match="The task 'squares' has no use for --balance: its labels are names"):
        gw.fit(messages, tiny, task="squares", balance="weights")


def test_a_task_that_states_another_loss_than_it_has_is_refused_by_fit_and_by_the_kit(bring, messages, tiny) -> None:
    bring(task=Logistic)
    with pytest.raises(
        gw.PluginFault, match="The task 'squares' has its head solved for Sigmoid, whose slope is not that of"
    ):
        gw.fit(messages, tiny, task="squares")
    (case,) = (c for c in cases("theirs") if c.check == "the_exact_solution_is_a_minimum_of_its_loss")
    with pytest.raises(Nonconformance, match="whose slope is not that of the task's own loss"):
        case()


def test_a_task_that_numbers_its_names_anew_is_refused_by_the_kit(bring) -> None:
    bring(task=Relearning)
    (case,) = (c for c in cases("theirs") if c.check == "an_answer_says_the_label_that_was_encoded")
    with pytest.raises(Nonconformance, match="of 'squares' ended in DataError: One of two labels or more"):
        case()


def test_a_run_is_evaluated_on_examples_of_one_label_as_on_all(messages, tiny, tmp_path) -> None:
    loaded = gw.load(gw.fit(messages, tiny, out=tmp_path / "run").path)
    (tmp_path / "one.csv").write_text("text,label\nwhere is my parcel,delivery\nmy parcel please,delivery\n")
    assert loaded.evaluate(tmp_path / "one.csv")["metrics"]["accuracy"] == 1.0


def test_a_head_with_a_loss_of_its_own_is_refused_by_fit_and_by_the_kit(bring, messages, tiny) -> None:
    bring(head=OwnLoss)
    with pytest.raises(gw.PluginFault, match="The head 'theirs' brings a 'loss' of its own, which nothing would heed"):
        gw.fit(messages, tiny, task="squares")
    case = next(c for c in cases("theirs") if c.kind == "heads")
    with pytest.raises(Nonconformance, match="brings a 'loss' of its own"):
        case()


def test_a_head_with_other_outputs_than_the_task_asks_for_is_refused_in_a_sentence(bring, messages, tiny) -> None:
    bring(head=OneOutput)
    for freeze in ("head", "all"):
        with pytest.raises(
            gw.PluginFault,
            match=r"The head 'theirs' gives outputs of the shape \(2, 1\) for 2 examples; the task asks for \(2, 2\)",
        ):
            gw.fit(messages, tiny, task="squares", freeze=freeze)


def test_a_view_that_the_encoder_does_not_give_is_named_before_its_weights_are_loaded(
    bring, messages, tiny, monkeypatch
) -> None:
    bring(heads=("map-linear",))
    monkeypatch.setattr(gw.FolderWeights, "obtain", lambda *a: pytest.fail("looked for weights"))
    with pytest.raises(
        gw.UsageError, match="The task 'squares' reads the view 'map' of an encoder; 'local:.*' gives pooled, sequence"
    ):
        gw.fit(messages, tiny, task="squares")


def test_a_head_that_nothing_brings_is_named(bring, messages, tiny) -> None:
    bring(heads=("elsewhere",))
    with pytest.raises(gw.UnknownName, match="No head is called 'elsewhere'"):
        gw.fit(messages, tiny, task="squares")


def test_a_run_whose_task_is_gone_says_so(bring, plugins, messages, tiny, tmp_path) -> None:
    bring()
    gw.fit(messages, tiny, task="squares", out=tmp_path / "run")
    plugins(graftwork_text.plugin)
    with pytest.raises(
        gw.RunError, match="answers the task 'squares', which no installed plugin brings. Install the plugin"
    ):
        gw.load(tmp_path / "run")


def test_sixty_numbers_are_no_names(tmp_path, tiny) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("text,label\n" + "".join(f"where is my card {n},{n * 1.5}\n" for n in range(60)))
    with pytest.raises(gw.DataError, match="The 60 labels are as many different numbers .* write: --task regress"):
        gw.fit(path, tiny)
    assert gw.fit(path, tiny, task="regress").metrics["rmse"] > 0
