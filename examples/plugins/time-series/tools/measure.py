"""How far the demo's vibrations are told apart: by statistics, by the encoder with random weights, and as pretrained.

Five sets of other machines in the same five states, five-fold cross-validation in each; the head is scikit-learn's
logistic regression for all, its strength chosen inside the training part. Prints a table of accuracies, with the
deviation among the sets; `graftwork fit` takes the last stage where it is not told another::

    python examples/plugins/time-series/tools/measure.py
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import graftwork as gw
from graftwork_time_series.demos import statistics, write
from graftwork_time_series.plugin import graftwork_backbones
from graftwork_time_series.reader import SeriesReader
from graftwork_time_series.series import Series

SETS, RANDOM = range(100, 105), 2
"""Seeds of the sets of machines, none of them looked at while demo and encoder were made; draws of random weights."""
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Of the head, of which the training part chooses."""
FEW = 50
"""Labelled series of the column "few", ten a class."""


def main() -> None:
    warnings.simplefilter("ignore")  # of solutions that are not exact, and of defaults to come
    spec = next(iter(graftwork_backbones()))
    pretrained, untrained = gw.load_backbone(spec), []
    for seed in range(RANDOM):
        torch.manual_seed(seed)
        untrained.append(gw.load_backbone(spec, pretrained=False))
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in SETS:
        values, labels = machines(seed)
        rows.setdefault("statistics of the values", []).append(scores(statistics(values), labels))
        stages = [[scores(found, labels) for found in features(one, values)] for one in untrained]
        for number, stage in enumerate(spec.stages):
            mean = np.mean([draw[number] for draw in stages], axis=0)
            rows.setdefault(f"random weights, {stage}", []).append(tuple(mean))
        for stage, found in zip(spec.stages, features(pretrained, values), strict=True):
            rows.setdefault(f"pretrained, {stage}", []).append(scores(found, labels))
    print(f"{'':30}{'few':>14}{'all':>16}")
    for name, found in rows.items():
        few, whole = (f"{np.mean(part):.3f} ± {np.std(part):.3f}" for part in zip(*found, strict=True))
        print(f"{name:30}{few:>14}{whole:>16}")


def machines(seed: int) -> tuple[list[Series], np.ndarray]:
    """The demo's files, of the machines of a seed, as they are read."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), seed)
        data = gw.data(folder)
        assert data.labels is not None
        return [SeriesReader().decode(raw) for raw in data.raws], np.array(data.labels)


def features(backbone: gw.Backbone, values: list[Series]) -> list[np.ndarray]:
    """Pooled features after each stage, `(N, D)`."""
    with torch.inference_mode():
        batch = backbone.prepare(values)
        return [backbone.features(batch, tap).numpy() for tap in range(len(backbone.stages()))]


def scores(found: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy of a head trained on ten series a class, and on four fifths of all."""
    head = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=STRENGTHS, cv=3, max_iter=500))
    few = StratifiedShuffleSplit(5, train_size=FEW, random_state=0)
    whole = StratifiedKFold(5, shuffle=True, random_state=0)
    return tuple(float(cross_val_score(head, found, labels, cv=cv).mean()) for cv in (few, whole))


if __name__ == "__main__":
    main()
