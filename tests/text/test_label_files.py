"""Files of tagged texts: what the readers give, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork import Annotated, DataError, Span, Spans, spans_of_tags, tags_of_spans
from graftwork_text.annotations.conll import ConllReader, written

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
