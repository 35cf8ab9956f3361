"""MLflow's file store, in `mlflow`; no server is asked. `mlflow ui --backend-store-uri RUN/mlflow` shows it.

MLflow keeps this store as it is and wants to be told that it is meant; its other stores are a database for each run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graftwork.training.loggers.logger import Logger, Row

EXPERIMENT = "graftwork"
SAID = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""What MLflow's environment must say while its store is opened."""


class MlflowLogger(Logger):
    """One run of an experiment: what was asked as its parameters, the numbers as its metrics."""

    _client: Any = None

    def start(self, folder: Path, columns: Sequence[str], rows: Sequence[Row], about: Mapping[str, Any]) -> None:
        store = folder / "mlflow"
        with _said():
            from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
            from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]

            self._metric = Metric
            client = MlflowClient(tracking_uri=store.resolve().as_uri())
            known = client.get_experiment_by_name(EXPERIMENT)
            # A place that is relative, since the store moves with the run.
            experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT, "artifacts")
            for old in (store / experiment).iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            self._run = client.create_run(experiment).info.run_id
        self._client = client
        client.log_batch(self._run, params=[Param(name, str(value)) for name, value in about.items()])
        for row in rows:
            self.log(row)

    def log(self, row: Row) -> None:
        now, step = int(time.time() * 1000), int(row["step"])
        metrics = [self._metric(name, value, now, step) for name, value in row.items() if name != "step"]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self) -> None:
        if self._client is not None:
            self._client.set_terminated(self._run)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in SAID}
    os.environ.update(SAID)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
