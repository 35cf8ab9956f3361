"""Where the numbers of a training go: each logger says every step once, also where a training was stopped."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import graftwork as gw
import graftwork_text.plugin
from graftwork import UsageError
from graftwork.plugins import registry

FAST: dict[str, Any] = {"freeze": "last:1", "epochs": 2, "batch_size": 8, "checkpoint_every": 0.0, "patience": 0}
STEPS = list(range(1, 9))


class Killed(KeyboardInterrupt):
    """As sudden as a kill, for this process. An interrupt is nobody's fault, though this module is a plugin."""


@pytest.fixture
def stopped_and_resumed(messages: Path, tiny_bert: Path, tmp_path: Path) -> Callable[..., Path]:
    """The folder of a fit with these loggers that was stopped at its sixth step and went on after the fifth."""

    def run(*loggers: str) -> Path:
        def watch(at: Any) -> None:
            if at.step == 6:
                raise Killed

        options = {**FAST, "out": tmp_path / "run", "loggers": loggers}
        with pytest.raises(Killed):
            gw.fit(messages, f"local:{tiny_bert}", watch=watch, **options)
        gw.fit(messages, f"local:{tiny_bert}", resume=True, **options)
        assert not list(tmp_path.glob("*.unfinished"))
        return tmp_path / "run"

    return run


def test_the_table_has_each_step_once(stopped_and_resumed) -> None:
    rows = list(csv.DictReader((stopped_and_resumed("csv") / "log.csv").open()))
    assert list(rows[0]) == [
        "step", "epoch", "loss", "lr", "grad_norm", "examples_per_s", "val_accuracy", "val_log_loss",
    ]  # fmt: skip
    assert [int(row["step"]) for row in rows if row["loss"]] == STEPS
    assert [int(row["step"]) for row in rows if row["val_accuracy"]] == [4, 8]


def test_tensorboard_has_each_step_once(stopped_and_resumed) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = stopped_and_resumed("tensorboard")
    found = reading.EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in found.Scalars("loss")] == STEPS
    assert [event.step for event in found.Scalars("val_accuracy")] == [4, 8]
    assert (run / "log.csv").is_file()


def test_mlflow_has_each_step_once_and_what_was_asked(stopped_and_resumed, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    run = stopped_and_resumed("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = mlflow.MlflowClient(tracking_uri=(run / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("graftwork")
    (found,) = client.search_runs([experiment.experiment_id])
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "loss")] == STEPS
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "val_log_loss")] == [4, 8]
    assert (found.info.status, found.data.params["freeze"]) == ("FINISHED", "last:1")
    assert "unfinished" not in "".join(
        file.read_text() for file in (run / "mlflow" / experiment.experiment_id).rglob("meta.yaml")
    )


def test_wandb_has_each_step_once_offline(stopped_and_resumed, monkeypatch) -> None:
    wandb = pytest.importorskip("wandb")
    said: list[list[int]] = []
    original = wandb.init

    def init(**options: Any) -> Any:
        made = original(**options)
        log, steps = made.log, []
        said.append(steps)

        def spy(row: Mapping[str, float], step: int) -> None:
            steps.extend([step] if "loss" in row else [])
            log(row, step=step)

        made.log = spy
        return made

    monkeypatch.setattr(wandb, "init", init)
    run = stopped_and_resumed("wandb")
    assert said[-1] == STEPS
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert list(folder.glob("*.wandb"))
    assert not [path for path in run.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
@pytest.mark.parametrize("way", ["fit", "pretrain"])
def test_a_logger_whose_package_is_not_installed_is_said_before_anything_is_loaded(
    messages, tiny_bert, tmp_path, monkeypatch, name, way
) -> None:
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package == name else original(package))
    options = {"out": tmp_path / "run", "loggers": (name,)}
    start = {
        "fit": lambda: gw.fit(messages, f"local:{tiny_bert}", **options, **FAST),
        "pretrain": lambda: gw.pretrain(messages, "bert-tiny", "mlm", **options),
    }[way]
    with pytest.raises(UsageError) as raised:
        start()
    assert raised.value.message == f"The logger '{name}' needs the package {name}, which is not installed."
    assert raised.value.hint == f"Install it: pip install 'graftwork[{name}]'"
    assert not list(tmp_path.glob("run*"))


def test_a_logger_that_nothing_brings_is_answered_with_those_that_are_there(messages, tiny_bert) -> None:
    with pytest.raises(gw.UnknownName, match="No logger is called 'wandbb'; the nearest is wandb"):
        gw.fit(messages, f"local:{tiny_bert}", loggers=("wandbb",), **FAST)


def test_pretraining_logs_too_and_keeps_what_was_written(messages, tmp_path) -> None:
    fields = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 200,
    }
    made = gw.pretrain(
        messages, "bert-tiny", "mlm", tmp_path / "model", fields=fields, allow_little=True, epochs=2, batch_size=13,
        loggers=("tensorboard",),
    )  # fmt: skip
    rows = list(csv.DictReader((made.folder / "log.csv").open()))
    assert [int(row["step"]) for row in rows if row["loss"]] == [1, 2, 3, 4, 5, 6]
    assert [float(row["val_loss"]) for row in rows if row["val_loss"]] == [
        pytest.approx(row["val_loss"], rel=1e-5) for row in made.card["figures"]["history"]
    ]
    assert list((made.folder / "tensorboard").iterdir())
    assert gw.fit(messages, made.name).record["certificate"]["ok"]


# A logger of somebody else's.


class Lines(gw.Logger):
    """A JSON line for each row."""

    def start(
        self, folder: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]], about: Mapping[str, Any]
    ) -> None:
        self.file = (folder / "rows.jsonl").open("w")
        self.file.write(json.dumps({"columns": list(columns), "freeze": about["freeze"]}) + "\n")
        for row in rows:
            self.log(row)

    def log(self, row: Mapping[str, float]) -> None:
        self.file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self.file.close()


class lines(ModuleType):
    api_version = gw.API_VERSION

    @gw.hookimpl
    def graftwork_loggers() -> Iterator[gw.LoggerSpec]:
        yield gw.LoggerSpec("lines", f"{__name__}:Lines", "a JSON line for each row")
        yield gw.LoggerSpec("needy", f"{__name__}:Lines", "never there", needs="no-such-package")


def test_a_plugin_brings_a_logger(stopped_and_resumed, plugins) -> None:
    plugins(graftwork_text.plugin, lines)
    assert registry.logger("lines").summary == "a JSON line for each row"
    first, *rows = [json.loads(line) for line in (stopped_and_resumed("lines") / "rows.jsonl").open()]
    assert first["freeze"] == "last:1"
    assert [row["step"] for row in rows if "loss" in row] == STEPS
    assert all(set(row) <= set(first["columns"]) for row in rows)


def test_the_package_that_a_plugins_logger_needs_is_named(messages, tiny_bert, plugins) -> None:
    plugins(graftwork_text.plugin, lines)
    with pytest.raises(
        UsageError, match=r"'needy' needs the package no-such-package, .* Install it: pip install no-such"
    ):
        gw.fit(messages, f"local:{tiny_bert}", loggers=("needy",), **FAST)
