"""Tasks on clothing reviews: `multilabel`, `regress` and `ordinal` beside scikit-learn on the same MiniLM features.

Texts are Title and Review Text joined; labels are Division, Department and Class Name together; values are Ratings. The
strengths of scikit-learn's models are chosen by cross-validation on the training table; both are judged on the test table.

usage: tasks.py [--data DIR]
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import cohen_kappa_score, f1_score, mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer, StandardScaler
from threadpoolctl import threadpool_limits

import graftwork as gw
from graftwork.plugins import registry

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "clothing_reviews"
NAMES = ("Division Name", "Department Name", "Class Name")
C = np.logspace(-4, 0, 9)


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if all(row[name].strip() for name in (*NAMES, "Review Text"))]
    for row in rows:
        row["text"] = f"{row['Title']} {row['Review Text']}".strip()
    return rows


def write(path: Path, train: list[dict[str, str]], test: list[dict[str, str]], label: Any) -> Path:
    """A table with both parts, the test part as its test split."""
    rows = [(row, split) for rows, split in ((train, "train"), (test, "test")) for row in rows]
    path.write_text("".join(json.dumps({"text": r["text"], "label": label(r), "split": s}) + "\n" for r, s in rows))
    return path


@torch.inference_mode()
def features(rows: list[dict[str, str]]) -> np.ndarray:
    """Pooled features of MiniLM `(N, 384)`."""
    backbone = gw.load_backbone(registry.backbone("text/minilm"))
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["text"]))
    found = np.zeros((len(rows), 384), np.float32)
    for start in range(0, len(order), 32):
        some = order[start : start + 32]
        batch = backbone.prepare([rows[i]["text"].lower() for i in some])
        found[some] = backbone.features(batch, len(backbone.stages()) - 1).numpy()
    return found


def main(data: Path) -> None:
    warnings.filterwarnings("ignore")
    train, test = read(data / "train.csv"), read(data / "test.csv")
    x, x_test = features(train), features(test)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        together = write(folder / "labels.jsonl", train, test, lambda row: [row[name] for name in NAMES])
        stars = write(folder / "stars.jsonl", train, test, lambda row: row["Rating"])
        ours = gw.fit(together, "text/minilm", task="multilabel", precision="fp32")
        binarizer = MultiLabelBinarizer().fit([[row[name] for name in NAMES] for row in [*train, *test]])
        y, y_test = (binarizer.transform([[row[name] for name in NAMES] for row in rows]) for rows in (train, test))
        logistic = OneVsRestClassifier(make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)))
        grid = {"estimator__logisticregression__C": C}
        with threadpool_limits(1):  # small problems, two of them at once
            theirs = GridSearchCV(logistic, grid, scoring="f1_macro", cv=5, n_jobs=2).fit(x, y)
        print(f"multilabel macro_f1: graftwork {ours.metrics['test']['macro_f1']:.4f}, "
              f"scikit-learn {f1_score(y_test, theirs.predict(x_test), average='macro', zero_division=0):.4f} "
              f"(C {theirs.best_params_['estimator__logisticregression__C']:g} of {C[0]:g} to {C[-1]:g})")  # fmt: skip
        answers = ours.predict([row["text"] for row in test], cache=True)
        half = np.array([[answer["probabilities"][name] >= 0.5 for name in binarizer.classes_] for answer in answers])
        plain = f1_score(y_test, half, average="macro", zero_division=0)
        print(f"graftwork with every threshold at 0.5: {plain:.4f}")
        rating, rating_test = (np.array([float(row["Rating"]) for row in rows]) for rows in (train, test))
        regress = gw.fit(stars, "text/minilm", task="regress", precision="fp32")
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 5, 29))).fit(x, rating)
        rmse = mean_squared_error(rating_test, ridge.predict(x_test)) ** 0.5
        print(f"regress rmse: graftwork {regress.metrics['test']['rmse']:.4f}, scikit-learn {rmse:.4f}")
        texts = [row["text"] for row in test]
        rounded = np.clip(np.round([answer["value"] for answer in regress.predict(texts)]), 1, 5).astype(int)
        kappas = {"regress, rounded": cohen_kappa_score(rating_test.astype(int), rounded, weights="quadratic")}
        for task in ("classify", "ordinal"):
            run = gw.fit(stars, "text/minilm", task=task, precision="fp32")
            said = [int(answer["label"]) for answer in run.predict(texts)]
            kappas[task] = cohen_kappa_score(rating_test.astype(int), said, weights="quadratic")
        print("quadratic kappa of Rating:", ", ".join(f"{name} {kappa:.4f}" for name, kappa in kappas.items()))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=DATA)
    main(options.parse_args().data)
