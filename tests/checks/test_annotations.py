"""What `check` finds doubtful of labels that lie in the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from PIL import Image

import graftwork as gw
from graftwork import Box, Boxes, Span, Spans


class Anything(gw.Task):
    """Takes any labels."""

    figures = (gw.Metric("score", "score"),)
    tie_break = figures[0]

    def encode(self, raw, known=None):
        raise NotImplementedError

    loss = decode = metrics = as_label = headline = samples = encode

    def check(self, raw) -> None:
        pass

    def show(self, raw) -> str:
        return repr(raw)


@pytest.fixture(autouse=True)
def tasks(plugins, monkeypatch) -> None:
    from graftwork_audio import plugin as audio
    from graftwork_image import plugin as image
    from graftwork_text import plugin as text

    @gw.hookimpl
    def graftwork_tasks() -> Iterator[gw.TaskSpec]:
        for name, kind in (("tag", "spans"), ("detect", "boxes"), ("transcribe", "transcript")):
            yield gw.TaskSpec(
                name, f"{__name__}:Anything", kind, ("linear",), annotation=kind, names=kind != "transcript"
            )

    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(Anything=Anything))
    plain = [
        SimpleNamespace(api_version=1, __name__=it.__name__, graftwork_modalities=it.graftwork_modalities)
        for it in (text, image, audio)
    ]
    plugins(*plain, SimpleNamespace(api_version=1, graftwork_tasks=graftwork_tasks))


Found = Callable[[str], gw.Problem]


def problem(checked: gw.Checked, kind: str) -> gw.Problem:
    (found,) = (problem for problem in checked.problems if problem.kind == kind)
    return found


def texts(*labelled: tuple[str, Spans]) -> gw.Checked:
    return gw.check([{"text": text, "spans": label} for text, label in labelled], task="tag")


def pictures(tmp_path, *labels: Boxes) -> gw.Checked:
    rng = np.random.default_rng(0)
    rows = []
    for number, label in enumerate(labels):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(path)
        rows.append({"image": str(path), "boxes": label})
    return gw.check(rows, task="detect")


def test_spans_that_overlap_are_named() -> None:
    checked = texts(
        ("Anna Lee met Bo", Spans((Span(0, 8, "person"), Span(5, 12, "place")))),
        ("Anna and Bo", Spans((Span(0, 4, "person"), Span(4, 8, "word")))),
    )
    found = problem(checked, "overlapping_spans")
    assert found.count == 1
    assert found.message == (
        "1 of 2 rows have spans that overlap; the first: row 1: Anna Lee met Bo ('person' to 8 and 'place' from 5)."
    )
    assert found.groups == ((0,),)


def test_spans_with_blanks_at_their_ends_are_named() -> None:
    checked = texts(("Anna met Bo", Spans((Span(0, 5, "person"),))), ("Anna met Bo", Spans((Span(0, 4, "person"),))))
    assert problem(checked, "blank_edges").message == (
        "1 of 2 rows have spans that begin or end with a blank; the first: row 1: Anna met Bo ('person' is 'Anna ')."
    )


def test_a_span_outside_of_its_text_is_named_with_what_becomes_of_it() -> None:
    checked = texts(("Anna met Bo", Spans((Span(0, 4, "person"),))), ("Anna", Spans((Span(0, 5, "person"),))))
    found = problem(checked, "label")
    assert found.message == (
        "1 of 2 rows have a label that cannot be true; the first: 'Anna' has a label that cannot be true: its span "
        "'person' from 0 to 5 lies outside of the text of 4 characters."
    )
    assert found.hint == "They are left out of a fit (up to 5 %); mend their labels, or remove them."


def test_boxes_that_hold_nothing_or_are_there_twice_and_pictures_without_any_are_named(tmp_path) -> None:
    cat = Box("cat", 1, 2, 11, 12)
    checked = pictures(tmp_path, Boxes((cat, Box("dog", 4, 2, 4, 5))), Boxes((cat, cat)), Boxes(), Boxes((cat,)))
    kinds = ("empty_boxes", "repeated_boxes", "nothing_labelled")
    assert [problem(checked, kind).groups for kind in kinds] == [((0,),), ((1,),), ((2,),)]
    assert problem(checked, "empty_boxes").message.endswith("0.png ('dog' at 4, 2).")
    assert problem(checked, "repeated_boxes").message.endswith("1.png ('cat' at 1, 2).")
    assert problem(checked, "nothing_labelled").message == f"1 of 4 files have no box; the first: {tmp_path / '2.png'}."
    assert "If nobody has drawn boxes there yet, leave them out." in problem(checked, "nothing_labelled").hint


def test_sound_labels_have_no_problem(tmp_path) -> None:
    doubtful = {"overlapping_spans", "blank_edges", "empty_boxes", "repeated_boxes", "nothing_labelled", "label"}
    fine = texts(("Anna met Bo", Spans((Span(0, 4, "person"),))), ("nobody", Spans()))
    boxes = pictures(tmp_path, Boxes((Box("cat", 1, 2, 11, 12),)), Boxes((Box("dog", 1, 2, 11, 12),)))
    assert not doubtful & {problem.kind for checked in (fine, boxes) for problem in checked.problems}


def test_characters_that_stand_once_in_all_texts_are_named(tmp_path) -> None:
    rows = []
    for number, text in enumerate(("one two", "two one", "tw\u00f6 one 7")):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.random.default_rng(number).uniform(-0.5, 0.5, 800), 8000)
        rows.append({"audio": str(path), "transcript": text})
    found = problem(gw.check(rows, task="transcribe"), "rare_characters")
    assert found.count == 1
    assert found.message == f"2 characters stand once in all 3 texts: '7', '\u00f6'; the first: {tmp_path / '2.wav'}."
