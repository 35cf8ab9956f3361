"""Transfer learning as scikit-learn estimators, for its pipelines, cross-validation and grids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from graftwork.data.labels import LabelNames, is_missing, label_text
from graftwork.data.listing import Listing
from graftwork.data.raws import files_among
from graftwork.data.reading import observe
from graftwork.errors import DataError, RunError, UsageError
from graftwork.plugins import registry
from graftwork.runs import run as runs
from graftwork.runs.backbone_cache import BackboneCache
from graftwork.runs.fitting import fit
from graftwork.specs.task import DEFAULT_TASK, RawLabel

ABOUT = "estimator.json"

BACKBONE_CACHE = BackboneCache()
"""The encoder that the estimators of this process share."""


class _Transfer(BaseEstimator):
    """What both estimators share: parameters, fitting, saving."""

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
        convert: Sequence[str] | None = None,
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
        self.convert = convert
        self.on_bad = on_bad
        self.long = long
        self.precision = precision
        self.device = device
        self.cache = cache

    def _fit(self, X: list[Any], labels: Sequence[RawLabel], task: str, **options: Any) -> None:
        if not self.backbone:
            raise UsageError(
                "A list of examples does not say which encoder reads it.", "Name one: backbone='text/minilm'"
            )
        modality = registry.modality(registry.backbone(self.backbone).modality)
        listing = Listing("examples", "X", modality, files_among(X, modality), list(labels), None, Path())
        options |= {**(self.training or {}), "convert": self.convert or (), "c": self.C, "seed": self.random_state or 0}
        for name in ("freeze", "tap", "val", "on_bad", "long", "precision", "device", "cache"):
            options[name] = getattr(self, name)
        self.run_ = fit(observe(listing), self.backbone, task=task, backbone_cache=BACKBONE_CACHE, **options)

    def _answers(self, X: Sequence[Any]) -> list[dict[str, Any]]:
        """Raises `DataError` for an example that cannot be read."""
        check_is_fitted(self, "run_")
        answers = self.run_.predict(_examples(X), precision=self.precision, device=self.device, cache=self.cache)
        for answer in answers:
            if "error" in answer:
                raise DataError(answer["error"], "Give examples that can be read.")
        return answers

    def _about(self) -> dict[str, Any]:
        """What belongs to this estimator beside its run and its parameters, as JSON can say it."""
        return {}

    def _restore(self, about: dict[str, Any]) -> None:
        """Take on what `_about` said."""

    def save(self, path: str | Path) -> Path:
        """Write the run and what belongs to this estimator; no pickle. Raises `RunError` where something is there."""
        check_is_fitted(self, "run_")
        about = {**self._about(), "params": self.get_params()}
        return self.run_.save(path, files={ABOUT: json.dumps(about, ensure_ascii=False)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An estimator that was saved. Raises `RunError` for a folder that is none."""
        run, file = runs.load(path), Path(path) / ABOUT
        if not file.is_file():
            raise RunError(
                f"'{path}' is a run but no estimator: it holds no {ABOUT}.", "Open it with graftwork.load instead."
            )
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            found = cls(**about["params"])
            found._restore(about)
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"'{file}' is damaged.", "Fit again, or restore it from a copy.") from error
        found.run_ = run
        return found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def _examples(X: Any) -> list[Any]:
    """The examples of X: one string or path is one example, a table of one column its cells.

    Raises `DataError` for a table of several columns.
    """
    if isinstance(X, str | bytes | Path):
        return [X]
    columns = getattr(X, "columns", None)
    if columns is not None:
        if len(columns) != 1:
            raise DataError(
                f"X has the columns {', '.join(repr(str(name)) for name in columns)}; one column of examples is "
                "accepted.",
                f"Choose one, for example: X[{str(columns[0])!r}]",
            )
        return list(X[columns[0]])
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1 and X.dtype.kind in "OUS":
        return list(X[:, 0])
    return list(X)


def _labels(y: Any) -> np.ndarray:
    """y as an array: text with each label under one name, see `graftwork.data.labels`; numbers as they are.

    Raises `InvalidLabels` for missing labels, and for numbers among text.
    """
    cells = list(y)
    for place, cell in enumerate(cells):
        if is_missing(cell) or (isinstance(cell, str | bytes) and not cell.strip()):
            raise InvalidLabels(
                f"Input y contains NaN or blanks: y[{place}] is '{cell}', which is no label.",
                "Leave the example out of X and y, or label it.",
            )
    texts = [isinstance(cell, str | bytes) for cell in cells]
    if any(texts) and not all(texts):
        raise InvalidLabels(
            f"Input y mixes text and {type(cells[texts.index(False)]).__name__}; labels of one type are accepted.",
            "Make all of them text: [str(label) for label in y]",
        )
    if not any(texts):
        return np.asarray(cells)
    names = LabelNames(registry.task(DEFAULT_TASK))
    return np.array([names(label_text(cell)) for cell in cells])


class InvalidLabels(DataError, ValueError):
    """y holds labels that cannot be used. Also a `ValueError`, as scikit-learn raises."""


class TransferClassifier(ClassifierMixin, _Transfer):
    """A pretrained encoder with a head, fitted to labelled examples.

    X is a sequence of examples as `graftwork.fit` reads them from a table: paths, texts, encoded bytes, Pillow images,
    arrays. y holds one label each, numbers or strings; or 0 and 1 `(N, K)` of labels that may be together.

    backbone: the encoder's name. freeze, tap, val: as in `graftwork.fit`. C: scikit-learn's inverse strength of the
    penalty of a head that is solved exactly, of features scaled to a mean squared norm of 1; None chooses it by a
    held-out part. random_state: chooses that part, and what chance decides in training; None is 0.
    training: fields of `graftwork.Settings` for policies that train by steps.
    convert, on_bad, long, precision, device, cache: as in `graftwork.fit`.

    Features of one example under one encoder are computed once, so that grids over `C` and folds cost little where
    nothing below the head trains.

    Attributes: `classes_` `(K,)`, `run_` (the `graftwork.Run`), `multilabel_` (whether labels may be together).
    """

    def fit(self, X: Sequence[Any], y: Any) -> TransferClassifier:
        """Raises what `graftwork.fit` raises; `DataError` for X and y of different lengths, `InvalidLabels` for missing
        labels."""
        inputs, labels = _examples(X), _labels(y)
        if len(inputs) != len(labels) or labels.ndim not in (1, 2):
            raise DataError(
                f"X has {len(inputs)} examples and y has the shape {labels.shape}; one label each is accepted.",
                "Give a sequence of labels of the same length.",
            )
        self.multilabel_ = labels.ndim == 2
        if self.multilabel_:
            return self._fit_together(inputs, labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"y holds one label only, '{self.classes_[0]}'; two or more are accepted."
                if len(self.classes_)
                else "X holds no examples.",
                "Add examples of another label.",
            )
        self._fit(inputs, [str(number) for number in numbers], DEFAULT_TASK)
        return self

    def _fit_together(self, inputs: list[Any], labels: np.ndarray) -> TransferClassifier:
        if not np.isin(labels, (0, 1)).all():
            raise DataError(
                f"y has the shape {labels.shape} and holds more than 0 and 1; 0 and 1 are accepted of labels that may "
                "be together.",
                "Encode them: sklearn.preprocessing.MultiLabelBinarizer().fit_transform(labels)",
            )
        self.classes_ = np.arange(labels.shape[1])
        self._fit(inputs, [tuple(str(k) for k in np.flatnonzero(row)) for row in labels], "multilabel")
        return self

    def predict_proba(self, X: Sequence[Any]) -> np.ndarray:
        """`(N, K)`, columns as in `classes_`; rows sum to 1 unless labels may be together. Raises `DataError` for an
        example that cannot be read."""
        # A label of which no example could be read is not among those of the run.
        names = [str(number) for number in range(len(self.classes_))]
        return np.array([[answer["probabilities"].get(name, 0.0) for name in names] for answer in self._answers(X)])

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """The most probable label of each example, `(N,)`, of the type that `y` had; 0 and 1 `(N, K)` where labels may
        be together, each by its own threshold."""
        check_is_fitted(self, "run_")
        if not self.multilabel_:
            return self.classes_[self.predict_proba(X).argmax(1)]
        answers = self._answers(X)
        return np.array([[int(str(k) in answer["labels"]) for k in self.classes_] for answer in answers])

    def _about(self) -> dict[str, Any]:
        return {"labels": self.classes_.tolist(), "dtype": self.classes_.dtype.str, "multilabel": self.multilabel_}

    def _restore(self, about: dict[str, Any]) -> None:
        self.classes_ = np.array(about["labels"], dtype=about["dtype"])
        self.multilabel_ = about["multilabel"]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True  # pyright: ignore[reportOptionalMemberAccess]
        return tags


class TransferRegressor(RegressorMixin, _Transfer):
    """A pretrained encoder with a linear head, fitted to values.

    X is as `TransferClassifier` takes it; y holds one number each `(N,)`, or several `(N, K)`. target_transform: "log"
    regresses the logarithm of values above 0. The other parameters are those of `TransferClassifier`.

    Attributes: `run_` (the `graftwork.Run`).
    """

    def __init__(
        self,
        backbone: str = "",
        *,
        target_transform: str = "none",
        freeze: str = "head",
        C: float | None = None,
        tap: str = "last",
        val: float = 0.2,
        random_state: int | None = None,
        training: dict[str, Any] | None = None,
        convert: Sequence[str] | None = None,
        on_bad: str = "skip",
        long: str | None = None,
        precision: str = "fp32",
        device: str = "cpu",
        cache: bool = True,
    ) -> None:
        super().__init__(
            backbone, freeze=freeze, C=C, tap=tap, val=val, random_state=random_state, training=training,
            convert=convert, on_bad=on_bad, long=long, precision=precision, device=device, cache=cache,
        )  # fmt: skip
        self.target_transform = target_transform

    def fit(self, X: Sequence[Any], y: Any) -> TransferRegressor:
        """Raises what `graftwork.fit` raises; `DataError` for X and y of different lengths, `InvalidLabels` for missing
        labels."""
        inputs, values = _examples(X), _labels(y)
        if len(inputs) != len(values) or values.ndim not in (1, 2):
            raise DataError(
                f"X has {len(inputs)} examples and y has the shape {values.shape}; one number each, or a row, is "
                "accepted.",
                "Give values of the same length.",
            )
        self.n_outputs_ = 0 if values.ndim == 1 else values.shape[1]
        labels: list[RawLabel] = (
            [{str(k): repr(cell) for k, cell in enumerate(row)} for row in values.tolist()]
            if self.n_outputs_
            else [repr(cell) if isinstance(cell, float) else str(cell) for cell in values.tolist()]
        )
        self._fit(inputs, labels, "regress", target_transform=self.target_transform)
        return self

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """The value of each example `(N,)`, or the values `(N, K)`."""
        answers = self._answers(X)
        if not self.n_outputs_:
            return np.array([answer["value"] for answer in answers])
        rows = [answer.get("values", {"0": answer.get("value")}) for answer in answers]
        return np.array([[row[str(k)] for k in range(self.n_outputs_)] for row in rows])

    def _about(self) -> dict[str, Any]:
        return {"outputs": self.n_outputs_}

    def _restore(self, about: dict[str, Any]) -> None:
        self.n_outputs_ = about["outputs"]
