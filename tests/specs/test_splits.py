"""The split that a name says."""

from __future__ import annotations

import pytest

from graftwork import SPLITS, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("instances_train2017", "train"), ("Valid", "validation"), ("dev", "validation"),
        ("testing-1", "test"), ("trainval", ""), ("train_and_val", ""), ("default", ""), ("", ""), ("train-clean-100", "train"),
    ],
)  # fmt: skip
def test_a_name_speaks_of_one_split_or_none(name, split) -> None:
    assert split_of(name) == split


def test_a_plugin_may_have_words_of_its_own() -> None:
    assert split_of("eng.testa.txt") == ""
    assert split_of("eng.testa.txt", {**SPLITS, "testa": "validation"}) == "validation"
