"""MLflow's file store, in `mlflow`; no server is asked. `mlflow ui --backend-store-uri RUN/mlflow` shows it.

MLflow keeps this store as it is and wants to be told that it is meant (MLFLOW_ALLOW_FILE_STORE); its others need a
database for each run.
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

MEANT = "MLFLOW_ALLOW_FILE_STORE"


class MlflowLogger(Logger):
    """One run of the experiment "graftwork": what was asked as its parameters, the numbers as its metrics."""

    _client: Any = None

    def start(self, folder: Path, columns: Sequence[str], rows: Sequence[Row], about: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
        from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]

        self._metric = Metric
        store = folder / "mlflow"
        shutil.rmtree(store, ignore_errors=True)
        with _meant():
            client = MlflowClient(tracking_uri=store.resolve().as_uri())
            # A place that is relative, since the store moves with the run.
            experiment = client.create_experiment("graftwork", artifact_location="artifacts")
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
def _meant() -> Iterator[None]:
    before = os.environ.get(MEANT)
    os.environ[MEANT] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[MEANT]
        else:
            os.environ[MEANT] = before
