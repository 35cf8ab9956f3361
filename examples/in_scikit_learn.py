"""An encoder as an estimator, in a pipeline, a grid and cross-validation: python examples/in_scikit_learn.py"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import graftwork as gw


def tidy(texts: list[str]) -> list[str]:
    """Messages without the blanks around them, as a step before the encoder."""
    return [" ".join(text.split()) for text in texts]


def main(folder: Path) -> None:
    gw.require_plugins("graftwork-text[starter]")
    table = pandas.read_csv(gw.demo_data("messages", folder))
    texts, labels = list(table["text"]), list(table["label"])

    pipeline = make_pipeline(FunctionTransformer(tidy), gw.sklearn.TransferClassifier("text/minilm", random_state=0))
    scores = cross_val_score(pipeline, texts, labels, cv=4)
    print(f"Cross-validation in four folds: {scores.mean():.3f}, deviation {scores.std():.3f}")

    # The encoder has read each message once by now; the grid costs no more than its heads.
    grid = GridSearchCV(pipeline, {"transferclassifier__C": [0.1, 1, 10, 100]}, cv=4).fit(texts, labels)
    for tried, score in zip(grid.cv_results_["params"], grid.cv_results_["mean_test_score"], strict=True):
        print(f"C = {tried['transferclassifier__C']}: {score:.3f}")
    print(f"Where is my parcel? {grid.predict(['  Where is my parcel? '])[0]}")

    saved = grid.best_estimator_[-1].save(folder / "intents")
    again = gw.sklearn.TransferClassifier.load(saved)
    print(f"Saved, and loaded again without pickle: {again.predict(['I lost my card'])[0]}")


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder))
    except gw.GraftworkError as error:
        sys.exit(str(error))
