"""Transfer learning as a scikit-learn classifier, for its pipelines, cross-validation and grids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from graftwork.data.listing import Listing
from graftwork.data.reading import files_among, observe
from graftwork.errors import DataError, RunError, UsageError
from graftwork.plugins import registry
from graftwork.runs import run as runs
from graftwork.runs.backbone_cache import BackboneCache
from graftwork.runs.fitting import fit

CLASSES = "classes.json"

BACKBONE_CACHE = BackboneCache()
"""The encoder that the classifiers of this process share."""


class TransferClassifier(ClassifierMixin, BaseEstimator):
    """A pretrained encoder with a head, fitted to labelled examples.

    X is a sequence of examples as `graftwork.fit` reads them from a table: paths, texts, encoded bytes, Pillow images,
    arrays. y holds one label each, numbers or strings.

    backbone: the encoder's name. freeze, tap, val: as in `graftwork.fit`. C: scikit-learn's inverse strength of the
    penalty of a head that is solved exactly, of features scaled to a mean squared norm of 1; None chooses it by a
    held-out part. random_state: chooses that part, and what chance decides in training; None is 0.
    training: fields of `graftwork.Settings` for policies that train by steps.
    on_bad, long, precision, device, cache: as in `graftwork.fit`.

    Features of one example under one encoder are computed once, so that grids over `C` and folds cost little where
    nothing below the head trains.

    Attributes: `classes_` `(K,)`, `run_` (the `graftwork.Run`).
    """

    def __init__(
        self,
        backbone: str = "",
        *,
        freeze: str = "head",
        C: float | None = None,
        tap: str = "last",
        val: float = 0.2,
        random_state: int | None = None,
        training: dict[str, Any] | None = None,
        on_bad: str = "skip",
        long: str | None = None,
        precision: str = "fp32",
        device: str = "cpu",
        cache: bool = True,
    ) -> None:
        self.backbone = backbone
        self.freeze = freeze
        self.C = C
        self.tap = tap
        self.val = val
        self.random_state = random_state
        self.training = training
        self.on_bad = on_bad
        self.long = long
        self.precision = precision
        self.device = device
        self.cache = cache

    def fit(self, X: Sequence[Any], y: Sequence[Any]) -> TransferClassifier:
        """Raises what `graftwork.fit` raises; `DataError` for X and y of different lengths."""
        inputs, labels = list(X), np.asarray(y)
        if len(inputs) != len(labels) or labels.ndim != 1:
            raise DataError(
                f"X has {len(inputs)} examples and y has the shape {labels.shape}; one label each is accepted.",
                "Give a sequence of labels of the same length.",
            )
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"y holds one label only, '{self.classes_[0]}'; two or more are accepted."
                if len(self.classes_)
                else "X holds no examples.",
                "Add examples of another label.",
            )
        if not self.backbone:
            raise UsageError(
                "A list of examples does not say which encoder reads it.", "Name one: backbone='text/minilm'"
            )
        modality = registry.modality(registry.backbone(self.backbone).modality)
        words = [str(number) for number in numbers]
        listing = Listing("examples", "X", modality, files_among(inputs, modality), words, None, Path())
        options: dict[str, Any] = {
            **(self.training or {}),
            "c": self.C,
            "seed": self.random_state or 0,
            "backbone_cache": BACKBONE_CACHE,
        }
        for name in ("freeze", "tap", "val", "on_bad", "long", "precision", "device", "cache"):
            options[name] = getattr(self, name)
        self.run_ = fit(observe(listing), self.backbone, **options)
        return self

    def predict_proba(self, X: Sequence[Any]) -> np.ndarray:
        """`(N, K)`, columns as in `classes_`. Raises `DataError` for an example that cannot be read."""
        check_is_fitted(self, "run_")
        answers = self.run_.predict(list(X), precision=self.precision, device=self.device, cache=self.cache)
        for answer in answers:
            if answer["label"] is None:
                raise DataError(answer["error"], "Give examples that can be read.")
        # A label of which no example could be read is not among those of the run.
        names = [str(number) for number in range(len(self.classes_))]
        return np.array([[answer["probabilities"].get(name, 0.0) for name in names] for answer in answers])

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """The most probable label of each example, `(N,)`, of the type that `y` had."""
        found = self.predict_proba(X)
        return self.classes_[found.argmax(1)]

    def save(self, path: str | Path) -> Path:
        """Write the run and what belongs to this classifier; no pickle. Raises `RunError` where something is there."""
        check_is_fitted(self, "run_")
        about = {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str, "params": self.get_params()}
        return self.run_.save(path, files={CLASSES: json.dumps(about, ensure_ascii=False)})

    @classmethod
    def load(cls, path: str | Path) -> TransferClassifier:
        """A classifier that was saved. Raises `RunError` for a folder that is none."""
        run, file = runs.load(path), Path(path) / CLASSES
        if not file.is_file():
            raise RunError(
                f"'{path}' is a run but no classifier: it holds no {CLASSES}.", "Open it with graftwork.load instead."
            )
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            found = cls(**about["params"])
            found.classes_ = np.array(about["classes"], dtype=about["dtype"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"'{file}' is damaged.", "Fit again, or restore it from a copy.") from error
        found.run_ = run
        return found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags
