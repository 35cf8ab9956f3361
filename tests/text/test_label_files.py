"""Files of tagged texts: what the readers give, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork import Annotated, DataError, Span, Spans, spans_of_tags, tags_of_spans
from graftwork_text.annotations.conll import ConllReader, written
from graftwork_text.annotations.doccano import DoccanoReader
from graftwork_text.annotations.label_studio import LabelStudioTextReader
from graftwork_text.annotations.prodigy import ProdigyReader

WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=6).filter(
    lambda word: word.split() == [word]
)
LABELS = st.sampled_from(("person", "place", "a-b"))


@st.composite
def tagged(draw: st.DrawFn) -> tuple[str, Spans]:
    """A text of words joined by blanks, and spans of whole words that do not overlap."""
    words = draw(st.lists(WORDS, min_size=1, max_size=12))
    starts = [sum(map(len, words[:i])) + i for i in range(len(words))]
    spans, at = [], 0
    while at < len(words):
        length = draw(st.integers(0, 3))
        last = min(at + length, len(words)) - 1
        if length:
            spans.append(Span(starts[at], starts[last] + len(words[last]), draw(LABELS)))
        at = max(at, last) + 1
    return " ".join(words), Spans(tuple(spans))


# Tags.


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O B-x I-x O", [(2, 5, "x")]),
        ("B-x B-x O B-y", [(0, 1, "x"), (2, 3, "x"), (6, 7, "y")]),
        ("I-x I-x B-x O", [(0, 3, "x"), (4, 5, "x")]),  # IOB1
        ("I-x I-y O I-x", [(0, 1, "x"), (2, 3, "y"), (6, 7, "x")]),
        ("B-x E-x S-x S-x", [(0, 3, "x"), (4, 5, "x"), (6, 7, "x")]),  # BIOES
        ("B-x L-x U-x U-y", [(0, 3, "x"), (4, 5, "x"), (6, 7, "y")]),  # BILOU
        ("O B-x I-x E-x", [(2, 7, "x")]),
        ("B-x-y I-x-y O O", [(0, 3, "x-y")]),
        ("O O O O", []),
    ],
)
def test_tags_of_every_scheme_are_spans(tags, spans) -> None:
    text, found = spans_of_tags(["a", "b", "c", "d"], tags.split())
    assert text == "a b c d"
    assert found == tuple(Span(*span) for span in spans)


@given(tagged())
def test_spans_of_whole_words_are_the_same_by_their_tags(example) -> None:
    text, label = example
    assert spans_of_tags(*tags_of_spans(text, label.spans)) == (text, label.spans)


# CoNLL.


@given(st.lists(tagged().filter(lambda example: not example[0].startswith("-DOCSTART-")), min_size=1, max_size=4))
def test_what_is_written_as_columns_reads_the_same(tmp_path_factory, examples) -> None:
    path = tmp_path_factory.mktemp("conll") / "a.conll"
    path.write_text(written(examples), encoding="utf-8")
    assert [(one.input, one.label) for one in ConllReader().read(path, "spans").examples] == examples


def columns(path: Path, text: str = "Anna\tB-person\nmet\tO\n\nParis\tB-place\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


ANNA = Annotated("Anna met", Spans((Span(0, 4, "person"),)))
PARIS = Annotated("Paris", Spans((Span(0, 5, "place"),)))


@pytest.mark.parametrize(
    "text",
    [
        "Anna\tB-person\nmet\tO\n\nParis\tB-place\n",
        "Anna\tB-person\nmet\tO\n\t\n \nParis\tB-place",
        "\ufeffAnna B-person\r\nmet O\r\n\r\nParis B-place\r\n",
        "-DOCSTART- -X- -X- O\n\nAnna NNP I-NP I-person\nmet VBD I-VP O\n\nParis NNP I-NP I-place\n",
        "Anna\tx y\tB-person\nmet\t\tO\n\nParis\tz\tB-place\n",
    ],
)
@pytest.mark.parametrize("name", ["a.conll", "a.bio", "a.iob", "a.tsv", "a.txt"])
def test_columns_of_blanks_or_tabs_give_sentences(tmp_path, text, name) -> None:
    path = columns(tmp_path / name, text)
    assert ConllReader().fits(path)
    assert ConllReader().read(path, "spans").examples == (ANNA, PARIS)


def test_a_word_may_hold_blanks_between_tabs(tmp_path) -> None:
    path = columns(tmp_path / "a.conll", "New York\tB-place\nis\tO\n")
    assert ConllReader().read(path, "spans").examples == (Annotated("New York is", Spans((Span(0, 8, "place"),))),)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train.conll", "dev.conll", "test.conll"), {"train", "validation", "test"}),
        (("eng.train.txt", "eng.testa.txt", "eng.testb.txt"), {"train", "validation", "test"}),
        (("ner-train.iob", "ner-valid.iob"), {"train", "validation"}),
        (("only.conll",), {""}),
    ],
)
def test_a_folder_has_a_file_for_each_split(tmp_path, names, splits) -> None:
    for name in names:
        columns(tmp_path / name)
    (tmp_path / "README.md").write_text("# About")
    assert ConllReader().fits(tmp_path)
    found = ConllReader().read(tmp_path, "spans").examples
    assert {one.split for one in found} == splits
    assert len(found) == 2 * len(names)


@pytest.mark.parametrize(
    "text",
    [
        "where is my parcel\tdelivery\ni lost it\tcard\n",
        "",
        "\n\n",
        "a\n\nb\n",
        "text\tlabel\nAnna\tB-person\n",
        "x O\n",
        "\xff\t",
    ],
)
def test_what_is_no_columns_does_not_fit(tmp_path, text) -> None:
    assert not ConllReader().fits(columns(tmp_path / "a.tsv", text))


def test_bytes_pictures_and_other_endings_do_not_fit(tmp_path) -> None:
    (tmp_path / "a.conll").write_bytes(b"\xff\xfe\x00\tO\n")
    assert not ConllReader().fits(tmp_path / "a.conll")
    assert not ConllReader().fits(columns(tmp_path / "a.json"))
    assert not ConllReader().fits(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("alone", "Line 3 of '{path}' is 'alone'; a word and its tag are accepted, or a blank line between sentences. Mend the line."),
        ("to X-person", "Line 3 of '{path}' ends in the tag 'X-person'; O and B-, I-, E-, S-, L- and U- with a label are accepted. "
        "Write the tag in the last column."),
        ("to B-", "Line 3 of '{path}' ends in the tag 'B-'; "),
    ],
)  # fmt: skip
def test_a_line_that_does_not_keep_to_the_format_is_named(tmp_path, line, said) -> None:
    path = columns(tmp_path / "a.conll", f"Anna B-person\nmet O\n{line}\n")
    with pytest.raises(DataError) as error:
        ConllReader().read(path, "spans")
    assert str(error.value).startswith(said.format(path=path))


def test_a_file_that_is_no_utf_8_is_named(tmp_path) -> None:
    (tmp_path / "a.conll").write_bytes("Jos\u00e9 B-person\n".encode("latin-1"))
    with pytest.raises(DataError, match="a.conll' is not written in UTF-8: .*. Save it as UTF-8, and name it again."):
        ConllReader().read(tmp_path / "a.conll", "spans")


# JSON.


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


FORMS = {
    "doccano": (DoccanoReader, lambda text, spans: {"text": text, "label": [[s.start, s.end, s.label] for s in spans]}),
    "doccano 1.8": (
        DoccanoReader,
        lambda text, spans: {
            "id": 1,
            "text": text,
            "entities": [{"id": 1, "start_offset": s.start, "end_offset": s.end, "label": s.label} for s in spans],
            "relations": [],
        },
    ),
    "prodigy": (
        ProdigyReader,
        lambda text, spans: {
            "text": text,
            "spans": [{"start": s.start, "end": s.end, "token_start": 0, "label": s.label} for s in spans],
            "answer": "accept",
        },
    ),
}
READERS = {DoccanoReader, ProdigyReader, ConllReader, LabelStudioTextReader}


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(tagged(), min_size=1, max_size=4))
def test_what_is_written_as_json_lines_reads_the_same_and_by_one_format_alone(tmp_path_factory, form, examples) -> None:
    reader, row = FORMS[form]
    examples = [*examples, ("a b", Spans((Span(0, 1, "x"),)))]
    path = lines(tmp_path_factory.mktemp("json") / "a.jsonl", *(row(text, label.spans) for text, label in examples))
    assert [(one.input, one.label) for one in reader().read(path, "spans").examples] == examples
    assert {other for other in READERS if other().fits(path)} == {reader}


def test_a_folder_of_json_lines_has_a_file_for_each_split(tmp_path) -> None:
    for name in ("train", "dev"):
        lines(tmp_path / f"{name}.jsonl", {"text": "a b", "labels": [[0, 1, "x"]]})
    assert DoccanoReader().fits(tmp_path)
    assert {one.split for one in DoccanoReader().read(tmp_path, "spans").examples} == {"train", "validation"}


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a b", "label": "x"},
        {"text": "a b", "label": ["x", "y"]},
        {"text": "a b", "label": []},
        {"text": "a b", "spans": []},
        {"text": "a b", "spans": [{"start": 0, "end": 1}]},
        {"question": "a b", "spans": [{"start": 0, "end": 1, "label": "x"}]},
        ["a b"],
    ],
)
def test_other_json_lines_fit_no_format(tmp_path, row) -> None:
    path = lines(tmp_path / "a.jsonl", row)
    assert not [reader for reader in READERS if reader().fits(path)]


def test_a_text_of_doccano_without_labels_is_unlabelled_and_one_with_none_is_not(tmp_path) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "a"}, {"text": "b", "label": []}, {"text": "c", "label": [[0, 1, "x"]]})
    assert [one.label for one in DoccanoReader().read(path, "spans").examples] == [
        None,
        Spans(),
        Spans((Span(0, 1, "x"),)),
    ]


def test_answers_of_prodigy_that_are_not_accepted_are_left_out_with_a_note(tmp_path) -> None:
    spans = [{"start": 0, "end": 1, "label": "x"}]
    rows = [{"text": word, "spans": spans, "answer": word} for word in ("accept", "reject", "ignore", "reject")]
    found = ProdigyReader().read(lines(tmp_path / "a.jsonl", *rows, {"text": "new"}), "spans")
    assert found.examples == (Annotated("accept", Spans((Span(0, 1, "x"),))), Annotated("new", None))
    assert found.notes == ("Left out: 1 texts whose answer is 'ignore'.", "Left out: 2 texts whose answer is 'reject'.")


@pytest.mark.parametrize(
    ("reader", "row", "said"),
    [
        (DoccanoReader, {"label": []}, "Line 2 of '{path}' has no text. Write: {{\"text\": ..., \"label\": [...]}}"),
        (DoccanoReader, {"text": "a", "label": [[0, "1", "x"]]}, "Line 2 of '{path}' has the spans [[0, '1', 'x']]; a list of [start, end, name], or of {{start_offset, end_offset, label}}, is accepted. Mend the line."),
        (ProdigyReader, {"spans": []}, "Line 2 of '{path}' has no text. Write: {{\"text\": ..., \"spans\": [...]}}"),
        (ProdigyReader, {"text": "a", "spans": [[0, 1, "x"]]}, "Line 2 of '{path}' has the spans [[0, 1, 'x']]; a list of {{start, end, label}} is accepted. Mend the line."),
        (ProdigyReader, 3, "Line 2 of '{path}' is no object. Write: {{\"text\": ...}}"),
    ],
)  # fmt: skip
def test_a_line_of_json_that_does_not_keep_to_the_format_is_named(tmp_path, reader, row, said) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "a"}, row)
    with pytest.raises(DataError) as error:
        reader().read(path, "spans")
    assert str(error.value) == said.format(path=path)


def test_a_line_that_is_no_json_is_named(tmp_path) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "a"})
    path.write_text(path.read_text() + "{")
    with pytest.raises(DataError, match="Line 2 of '.*a.jsonl' cannot be read as JSON: .*. Mend the line."):
        DoccanoReader().read(path, "spans")


# Label Studio.


def labelled(start: int, end: int, words: str, label: str = "person") -> dict[str, object]:
    value = {"start": start, "end": end, "text": words, "labels": [label]}
    return {"id": "x", "type": "labels", "from_name": "label", "to_name": "text", "value": value}


def export(path: Path, *tasks: object) -> Path:
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def answered(text: str, *annotations: dict[str, object]) -> dict[str, object]:
    return {"id": 1, "annotations": annotations, "data": {"text": text, "id": "7"}}


def test_label_studio_gives_the_annotation_that_counts(tmp_path) -> None:
    one, other = labelled(0, 4, "Anna"), labelled(9, 11, "Bo")
    path = export(
        tmp_path / "export.json",
        answered("Anna met Bo", {"result": [one]}, {"result": [one, other], "ground_truth": True}),
        answered("Anna", {"result": [], "was_cancelled": True}, {"result": [one]}),
        answered("nobody", {"result": []}),
        answered("new"),
    )
    for place in (path, tmp_path):
        assert LabelStudioTextReader().fits(place)
        found = LabelStudioTextReader().read(place, "spans")
        assert [(one.input, one.label) for one in found.examples] == [
            ("Anna met Bo", Spans((Span(0, 4, "person"), Span(9, 11, "person")))),
            ("Anna", Spans((Span(0, 4, "person"),))),
            ("nobody", Spans()),
            ("new", None),
        ]
        assert found.notes == ("Of 1 texts with several annotations, the ground truth counts, or else the first.",)


def test_the_short_form_of_label_studio_is_read_too(tmp_path) -> None:
    value = {"start": 0, "end": 4, "text": "Anna", "labels": ["person"]}
    path = export(tmp_path / "min.json", {"text": "Anna", "id": 1, "label": [value]}, {"text": "new", "id": 2})
    assert LabelStudioTextReader().fits(path)
    assert [one.label for one in LabelStudioTextReader().read(path, "spans").examples] == [
        Spans((Span(0, 4, "person"),)),
        None,
    ]


@pytest.mark.parametrize(("start", "end"), [(3, 7), (2, 6)])
def test_places_that_count_an_emoji_as_two_are_put_right(tmp_path, start, end) -> None:
    path = export(tmp_path / "a.json", answered("\U0001f600 Anna", {"result": [labelled(start, end, "Anna")]}))
    assert LabelStudioTextReader().read(path, "spans").examples[0].label == Spans((Span(2, 6, "person"),))


def test_other_json_is_no_export_of_label_studio(tmp_path) -> None:
    box = {"type": "rectanglelabels", "value": {"x": 1, "y": 2, "rectanglelabels": ["cat"]}}
    sound = {"type": "labels", "value": {"start": 0.5, "end": 1.0, "labels": ["bird"]}}
    for tasks in (
        [answered("a", {"result": [box]})],
        [answered("a.wav", {"result": [sound]})],
        [answered("a")],
        [],
        [3],
    ):
        assert not LabelStudioTextReader().fits(export(tmp_path / "a.json", *tasks))


def test_a_task_of_label_studio_that_does_not_keep_to_the_format_is_named(tmp_path) -> None:
    path = export(tmp_path / "a.json", {"annotations": [], "data": {}})
    with pytest.raises(DataError, match="Task 1 of '.*a.json' has no text. Export the data with it, as JSON."):
        LabelStudioTextReader().read(path, "spans")
    export(path, answered("Anna", {"result": [labelled("/p[1]", 4, "Anna")]}))  # pyright: ignore
    with pytest.raises(
        DataError, match="Task 1 of '.*a.json' has a span from /p.1. to 4; whole numbers of characters are"
    ):
        LabelStudioTextReader().read(path, "spans")
