"""Charts: what they say is in the figures, what they draw lies inside, and nothing that the data hold becomes markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.reports import charts, sentences
from graftwork.reports.charts import Series

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30)
FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


def parsed(svg: object) -> ET.Element:
    return ET.fromstring(str(svg))


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


@given(NAMES, NAMES, NAMES)
def test_names_are_words_in_every_chart(one: str, title: str, says: str) -> None:
    made = [
        charts.heat_map("a", title, says, [one, "x"], [one, "x"], [[1, 2], [3, 4]]),
        charts.interval_chart("b", title, says, [{"name": one, "score": 0.5}], one),
        charts.line_chart("c", title, says, [Series(one, [(1, 2)]), Series("x", [(1, 3)])], one, one),
    ]
    for chart in made:
        svg = parsed(chart)  # well-formed, whatever the names are
        assert {element.tag for element in svg.iter()} <= {
            "svg", "title", "desc", "text", "line", "rect", "circle", "polygon", "polyline",
        }  # fmt: skip
        assert (svg.findtext("title"), svg.findtext("desc")) == (title, says)
        assert svg.get("aria-labelledby") == f"{svg[0].get('id')} {svg[1].get('id')}"


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=60), st.booleans())
def test_every_point_lies_inside_of_its_chart(points: list[tuple[float, float]], diagonal: bool) -> None:
    svg = parsed(charts.line_chart("a", "t", "s.", [Series("", points)], "x", "y", diagonal=diagonal))
    _, _, width, height = numbers(svg.get("viewBox", ""))
    (line,) = svg.iter("polyline")
    places = numbers(line.get("points", ""))
    assert len(places) == 2 * len(points)
    assert all(0 <= x <= width for x in places[::2])
    assert all(0 <= y <= height for y in places[1::2])


@given(FINITE, st.floats(0, 1e6), st.integers(2, 9), st.booleans())
def test_ticks_are_round_rise_and_hold_what_they_are_for(low: float, more: float, most: int, whole: bool) -> None:
    found = charts.ticks(low, low + more, most, whole)
    assert found == sorted(set(found))
    unseen = 1e-8 * (abs(low) + more) + 1e-9
    assert found[0] <= low + unseen
    assert found[-1] >= low + more - unseen
    assert len(found) <= most * 2.5 + 3
    if whole:
        assert all(value.is_integer() for value in found)


def test_more_of_a_row_is_darker_and_each_count_is_a_number_too() -> None:
    svg = parsed(charts.heat_map("a", "t", "s.", ["cat", "dog"], ["cat", "dog"], [[4, 1], [0, 5]]))
    cells = [element for element in svg.iter("rect") if element.get("class") == "cell"]
    assert [float(cell.get("fill-opacity", 0)) for cell in cells] == pytest.approx([0.56, 0.14, 0, 0.7])
    words = [element.text for element in svg.iter("text")]
    assert [word for word in words if word and word.isdigit()] == ["4", "1", "5"]
    assert len([element for element in svg.iter("rect") if element.get("class") == "same"]) == 2


def test_what_was_chosen_has_another_shape_and_intervals_have_ends() -> None:
    rows = [
        {"name": "block1", "score": 0.7, "low": 0.6, "high": 0.8},
        {"name": "block2", "score": 0.9, "low": 0.85, "high": 0.95, "chosen": True},
    ]
    svg = parsed(charts.interval_chart("a", "t", "s.", rows, "score"))
    assert len(list(svg.iter("circle"))) == len(list(svg.iter("polygon"))) == 1
    assert len([line for line in svg.iter("line") if line.get("class") == "error"]) == 6
    assert [text.text for text in svg.iter("text") if text.get("class") == "chosen"] == ["block2"]


def test_lines_differ_by_more_than_colour() -> None:
    series = [Series(name, [(1, 1), (2, 2)]) for name in "abcd"]
    svg = parsed(charts.line_chart("a", "t", "s.", series, "x", "y"))
    shapes = [(e.tag, len(numbers(e.get("points", "")))) for e in svg if "mark " in e.get("class", "")]
    assert len(set(shapes)) == 4
    assert [text.text for text in svg.iter("text") if text.text in "abcd"] == list("abcd")


def test_figures_have_few_digits_and_none_is_lost() -> None:
    said = [charts.figure(value) for value in (0.91234, 0.0, 12345.6, 0.000123, 7, 12345, None, "word", -0.5)]
    assert said == ["0.912", "0.000", "1.235e+04", "0.000123", "7", "12 345", "–", "word", "-0.500"]


def test_messages_name_what_was_chosen_and_what_it_is_compared_with(more) -> None:
    assert sentences.depths(more["depths"], "accuracy") == (
        "'block2' was chosen: accuracy 0.920 (0.900 to 0.950); the last stage, 'block3', gives 0.850 (0.800 to 0.900)."
    )
    assert sentences.depths(more["depths"][:2], "F1") == (
        "The last stage, 'block2', was chosen: F1 0.920 (0.900 to 0.950)."
    )
    assert sentences.tried(more["tried"], "accuracy") == (
        "Of 2 that were tried 'last:1' was chosen, accuracy 0.930 (0.900 to 0.960): better by more than its error."
    )
    both = [{**row, "chosen": True} for row in more["tried"]]
    assert sentences.tried(both, "accuracy") == "Of 2 that were tried these were chosen: head, last:1."
    assert sentences.tried([{"what": "a", "score": None}], "F1") == "1 were tried, and none was chosen."
    joined = [{"stage": "a+b+c", "score": 0.9, "chosen": True}, {"stage": "c", "score": 0.8}]
    assert sentences.depths(joined, "F1") == "'a to c' was chosen: F1 0.900; the last stage, 'c', gives 0.800."
    assert sentences.stages("a+c") == "a+c"
    unmoved = {**more["calibration"], "temperature": 1.0}
    assert (
        sentences.calibration(unmoved) == "How sure an answer is and how often it is right differ by 3.0% in the mean."
    )
    assert sentences.calibration(more["calibration"]) == (
        "How sure an answer is and how often it is right differ by 3.0% in the mean; before the temperature of 1.700 by 12.0%."
    )
    assert (
        sentences.sizes({"": more["learning_curve"]}, "accuracy")
        == "Accuracy: 0.500 with 20 examples and 0.700 with 40."
    )
    rows = [{"name": "a", "score": 0.9}, {"name": "b", "score": 0.89, "tie": True}]
    assert sentences.ranked(rows, "F1") == "'a' is first with F1 0.900; 'b' follows with 0.890, which is a tie."
    assert sentences.epochs("Loss", [(1, 0.9), (2, 0.4), (3, 0.5)], 2) == (
        "Loss goes from 0.900 after epoch 1 to 0.400 after epoch 2, which is kept, and 0.500 after epoch 3."
    )
    leaked = {"ok": False, "frozen": ["a"], "leaked": ["a.weight"], "stages": {"a": {"trained": []}}}
    assert sentences.certificate(leaked) == "1 frozen tensors MOVED; the first: a.weight."
