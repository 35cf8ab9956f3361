"""The scikit-learn classifier: its rules, its grids, and what it costs."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import graftwork as gw
from graftwork.features.store import Store
from graftwork.sklearn import TransferClassifier

X = [f"where is my parcel please {n}" for n in ["where", "is", "the", "card"] * 5]
X += [f"i lost my card help {n}" for n in ["money", "back", "order", "refund"] * 5]
Y = np.array(["delivery"] * 20 + ["card"] * 20)


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable", "check_estimator_repr", "check_no_attributes_set_in_init",
        "check_parameters_default_constructible", "check_get_params_invariance", "check_set_params",
        "check_valid_tag_types", "check_estimator_tags_renamed",
        "check_mixin_order",
    ],
)  # fmt: skip
def test_the_estimator_checks_that_need_no_array_of_numbers_pass(check) -> None:
    getattr(estimator_checks, check)("TransferClassifier", TransferClassifier())


def test_fit_predict_and_score_keep_the_type_and_order_of_the_labels(tiny) -> None:
    for labels in (Y, np.where(Y == "card", 10, 2), np.where(Y == "card", True, False)):
        fitted = TransferClassifier(tiny).fit(X, labels)
        assert list(fitted.classes_) == sorted(set(labels.tolist()))
        probabilities = fitted.predict_proba(X)
        assert probabilities.shape == (40, 2)
        assert np.allclose(probabilities.sum(1), 1)
        predicted = fitted.predict(X)
        assert predicted.dtype == labels.dtype
        assert (predicted == fitted.classes_[probabilities.argmax(1)]).all()
        assert fitted.score(X, labels) == 1.0


def test_fitting_again_or_a_clone_gives_the_same_and_leaves_the_parameters_alone(tiny) -> None:
    first = TransferClassifier(tiny, C=3.0, random_state=1)
    before = first.get_params()
    probabilities = first.fit(X, Y).predict_proba(X)
    assert first.get_params() == before
    assert np.array_equal(clone(first).fit(X, Y).predict_proba(X), probabilities)
    assert np.array_equal(first.fit(X, Y).predict_proba(X), probabilities)


def test_c_is_scikit_learns(tiny) -> None:
    loose, tight = (TransferClassifier(tiny, C=c).fit(X, Y) for c in (100.0, 0.001))
    assert loose.run_.record["training"]["l2"] == pytest.approx(1 / (40 * 100))
    assert np.abs(loose.predict_proba(X) - 0.5).mean() > np.abs(tight.predict_proba(X) - 0.5).mean()


def test_it_works_in_a_pipeline_and_cross_validation(tiny) -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = Pipeline([("lower", lower), ("classify", TransferClassifier(tiny))])
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.9


def test_a_grid_over_c_and_freeze_computes_each_example_once_where_nothing_trains(tiny) -> None:
    texts = [f"{text} please" for text in X]
    grid = GridSearchCV(TransferClassifier(tiny), {"C": [0.1, 1.0, 10.0]}, cv=3).fit(texts, Y)
    assert grid.best_score_ > 0.9
    with Store() as store:
        assert store.size()["rows"] == len(set(texts))
    stepwise = TransferClassifier(tiny, training={"epochs": 1, "batch_size": 8})
    both = GridSearchCV(stepwise, {"freeze": ["last:1", "bitfit"]}, cv=2).fit(texts, Y)
    assert set(both.cv_results_["param_freeze"]) == {"last:1", "bitfit"}
    with Store() as store:
        assert {space["kind"]: space["rows"] for space in store.list()} == dict.fromkeys(
            ("features", "states before block2"), len(set(texts))
        )


def test_what_is_kept_is_never_taken_for_another_encoder_or_tap(tiny, tmp_path) -> None:
    last = TransferClassifier(tiny).fit(X, Y).predict_proba(X)
    early = TransferClassifier(tiny, tap="0").fit(X, Y).predict_proba(X)
    assert not np.allclose(last, early)
    uncached = TransferClassifier(tiny, tap="0", cache=False)
    assert np.array_equal(uncached.fit(X, Y).predict_proba(X), early)


def test_saving_writes_no_pickle_and_loading_gives_the_same_classifier(tiny, tmp_path) -> None:
    fitted = TransferClassifier(tiny, C=2.0).fit(X, np.where(Y == "card", 10, 2))
    fitted.save(tmp_path / "saved")
    assert not [path for path in (tmp_path / "saved").iterdir() if path.suffix in (".pkl", ".joblib", ".bin", ".pt")]
    loaded = TransferClassifier.load(tmp_path / "saved")
    assert loaded.get_params() == fitted.get_params()
    assert np.array_equal(loaded.predict(X), fitted.predict(X))
    assert loaded.predict(X).dtype == fitted.predict(X).dtype
    assert np.allclose(loaded.predict_proba(X), fitted.predict_proba(X))


def test_what_cannot_be_met_is_said_in_one_sentence(tiny, tmp_path, messages) -> None:
    with pytest.raises(NotFittedError):
        TransferClassifier(tiny).predict(X)
    with pytest.raises(gw.UsageError, match="A list of examples does not say which encoder reads it. Name one"):
        TransferClassifier().fit(X, Y)
    with pytest.raises(gw.DataError, match=r"X has 40 examples and y has the shape \(39,\)"):
        TransferClassifier(tiny).fit(X, Y[1:])
    with pytest.raises(gw.DataError, match="y holds one label only, 'card'"):
        TransferClassifier(tiny).fit(X[20:], Y[20:])
    with pytest.raises(gw.UsageError, match="--c is for heads that are solved exactly"):
        TransferClassifier(tiny, freeze="all", C=1.0).fit(X, Y)
    with pytest.raises(gw.DataError, match="is an empty text"):
        TransferClassifier(tiny).fit(X, Y).predict(["where", ""])
    gw.fit(messages, tiny, out=tmp_path / "run")
    with pytest.raises(gw.RunError, match="is a run but no estimator: it holds no estimator.json"):
        TransferClassifier.load(tmp_path / "run")


def test_it_is_found_below_the_package_as_documented(tiny) -> None:
    assert gw.sklearn.TransferClassifier is TransferClassifier


TEXTS = ["my card is lost", "where is my parcel"] * 6


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA, "", "  "])
def test_a_missing_label_is_refused_as_scikit_learn_does(missing, tiny) -> None:
    with pytest.raises(
        ValueError, match=r"Input y contains NaN or blanks: y\[3\] is .*, which is no label\."
    ) as refused:
        gw.sklearn.TransferClassifier(tiny).fit(TEXTS, ["a", "b", "a", missing, *["a", "b"] * 4])
    assert isinstance(refused.value, gw.DataError)


def test_a_missing_value_to_regress_is_refused_too(tiny) -> None:
    with pytest.raises(ValueError, match=r"Input y contains NaN or blanks: y\[1\] is 'nan'"):
        gw.sklearn.TransferRegressor(tiny).fit(TEXTS, np.array([1.0, np.nan] * 6))


def test_numbers_among_text_labels_are_refused(tiny) -> None:
    with pytest.raises(
        ValueError, match=r"Input y mixes text and int; labels of one type are accepted\. Make all of them text"
    ):
        gw.sklearn.TransferClassifier(tiny).fit(TEXTS, ["1", 1] * 6)


def test_labels_of_an_estimator_have_an_identity_too(tiny) -> None:
    labels = ["météo", "x", unicodedata.normalize("NFD", "météo"), "x ", *["météo", "x"] * 4]
    fitted = gw.sklearn.TransferClassifier(tiny).fit(TEXTS, labels)
    assert fitted.classes_.tolist() == ["météo", "x"]
    fitted = gw.sklearn.TransferClassifier(tiny).fit(TEXTS, pd.array([0, 1] * 6, dtype="Int64"))
    assert fitted.classes_.dtype.kind == "i"


def test_one_string_is_one_example_and_a_table_of_one_column_is_its_cells(tiny) -> None:
    fitted = gw.sklearn.TransferClassifier(tiny).fit(pd.DataFrame({"text": TEXTS}), ["a", "b"] * 6)
    assert fitted.predict("my card").shape == (1,)
    assert fitted.predict(pd.DataFrame({"text": TEXTS})).tolist() == fitted.predict(TEXTS).tolist()
    assert fitted.predict(np.array(TEXTS)[:, None]).tolist() == fitted.predict(TEXTS).tolist()
    with pytest.raises(
        gw.DataError,
        match=r"X has the columns 'text', 'id'; one column of examples is accepted\. Choose one, for example: X\['text'\]",
    ):
        fitted.predict(pd.DataFrame({"text": TEXTS, "id": range(12)}))
