"""Facts as people read them: few values one by one, many as a range."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork.specs.fact_rows import FactRow, fact_rows


def observed(values: list[gw.Value], unit: str = "px") -> dict:
    examples = [(f"{number}.png", {"short_side": value}) for number, value in enumerate(values)]
    return gw.ObservedInput.of("image", "folder", examples, units={"short_side": unit}).as_json()


@given(st.lists(st.integers(1, 5000), min_size=9, max_size=60, unique=True), st.data())
def test_many_values_are_their_ends_and_the_median_with_an_example_of_each_end(values: list[int], data) -> None:
    values = [value for value in values for _ in range(data.draw(st.integers(1, 3)))]
    (row,) = fact_rows(observed(values))
    low, high = min(values), max(values)
    median = sorted(values)[(len(values) + 1) // 2 - 1]
    assert row.value == f"{gw.show(low)} to {gw.show(high, 'px')}, median {gw.show(median)}"
    assert row.examples == (f"{values.index(low)}.png", f"{values.index(high)}.png")
    assert (row.fact, row.count) == ("short side", len(values))


def test_few_values_have_a_line_each() -> None:
    assert fact_rows(observed([8, 8, 16])) == [
        FactRow("short side", "8 px", 2, ("0.png",)),
        FactRow("", "16 px", 1, ("2.png",)),
    ]


def test_many_words_are_listed_with_the_most_frequent() -> None:
    (row,) = fact_rows(observed([*"abcdefghi", "i"], ""))
    assert row.value == "a, b, c, d, e, f, g, h and others; mostly i"
    assert row.examples == ("8.png",)
