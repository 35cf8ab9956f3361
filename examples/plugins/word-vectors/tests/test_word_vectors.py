"""What word vectors make of texts, which files of them are read, and that they are a backbone like any other."""

from __future__ import annotations

import ast
import dataclasses
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import graftwork as gw
import graftwork_word_vectors
from graftwork import ContractMismatch, DataError, PluginFault, WeightsMismatch, load_backbone
from graftwork.plugins import registry
from graftwork_word_vectors.words import known_words

SMALL = "the 0 1 2\nof 3 4 5\nparcel 6 7 8\ncard 9 10 11\nlost -1 -2 -3\n"


@pytest.fixture(scope="module")
def glove() -> gw.Backbone:
    return load_backbone(registry.backbone("text/glove-50d"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.vec"
    file.write_text(SMALL)
    return file


def features(backbone: gw.Backbone, *texts: str) -> torch.Tensor:
    with torch.inference_mode():
        return backbone.features(backbone.prepare(list(texts)), 0)


def loaded(file: Path, scheme: str = "vectors") -> gw.Backbone:
    return load_backbone(registry.backbone(f"{scheme}:{file}"))


# Words.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("my order hasn't come, where is it?", "my order has n't come , where is it ?"),
        ("I can’t; it's 5 o'clock.", "i ca n't ; it 's 5 o'clock ."),
        ("The U.S. e-mails (3,000) cost $3.50...", "the u.s. e-mails ( 3,000 ) cost $ 3.50 ..."),
        ("Café :-) qqxyzzy", "café :-)"),
        ("well-qqxyzzy", "well -"),
    ],
)
def test_texts_are_cut_as_gloves_corpus_was(glove, text, words) -> None:
    alone = features(glove, *words.split()).mean(0)
    assert torch.allclose(features(glove, text)[0], alone, atol=1e-6)
    assert glove.prepare([text]).hidden.shape == (1, len(words.split()))


def test_a_piece_that_is_known_is_not_cut() -> None:
    assert list(known_words("don't e-mail", {"don't", "do", "n't", "e", "mail"})) == ["don't", "e", "mail"]


def test_letters_keep_their_marks() -> None:
    assert list(known_words("हिन्दी, में", {"हिन्दी", "में"})) == ["हिन्दी", "में"]


def test_unknown_words_are_left_out_and_a_text_of_them_alone_is_zeros(glove) -> None:
    found = features(glove, "qqxyzzy", "lost qqxyzzy card", "lost card")
    assert not found[0].any()
    assert torch.allclose(found[1], found[2])
    assert not features(glove, "qqxyzzy").any()


def test_unknown_words_are_counted_in_check_fit_and_predict(tmp_path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text,label\n" + "".join(f"{'qqxyzzy 😍' if n % 2 else 'lost card'},{n % 2}\n" for n in range(8)))
    found = next(p for p in gw.check(table, backbone="text/glove-50d").problems if p.kind == "unknown_tokens")
    said = "4 of 8 rows: 100% of the tokens are unknown to the encoder's vocabulary; the first: "
    assert found.message == f"{said}row 2: qqxyzzy 😍."
    run = gw.fit(table, "text/glove-50d", val=0.5)
    assert any(warning.startswith(f"{said}qqxyzzy 😍") for warning in run.record["warnings"])
    notes = [answer.get("notes") for answer in run.predict(["lost card", "lost qqxyzzy"])]
    assert notes == [None, ["50% of the tokens are unknown to the encoder's vocabulary"]]


def test_idf_makes_frequent_words_small_by_zipfs_law(small) -> None:
    p = 1 / np.arange(1, 6)
    weights = 1e-3 / (1e-3 + p / p.sum())
    found = features(loaded(small, "vectors-idf"), "the", "parcel", "the parcel")
    assert found[0].tolist() == pytest.approx(weights[0] * np.array([0, 1, 2]), rel=1e-5)
    assert found[1].tolist() == pytest.approx(weights[2] * np.array([6, 7, 8]), rel=1e-5)
    assert torch.allclose(found[2], (found[0] + found[1]) / 2)


# GloVe's package.


def packaged(folder: Path, words: Sequence[str], vectors: np.ndarray) -> Path:
    parquet.write_table(pa.table({"index": list(words)}), folder / "glove_6B_index.parquet")
    np.save(folder / "glove_6B_50d_emb.npy", vectors, allow_pickle=True)
    return folder / "glove_6B_50d_emb.npy"


@dataclasses.dataclass(frozen=True)
class At(gw.Weights):
    file: Path
    size_bytes: int = 0

    def find(self) -> Path | None:
        return self.file

    def describe(self) -> str:
        return "the test's file"

    def remedy(self) -> str:
        return "Put it back"


def glove_of_two(weights: gw.Weights) -> gw.BackboneSpec:
    return dataclasses.replace(registry.backbone("text/glove-50d"), parameters=4, feature_dim=2, weights=weights)


def test_glove_with_other_words_is_refused(tmp_path) -> None:
    file = packaged(tmp_path, ["of", "the"], np.zeros((2, 2), np.float32))
    with pytest.raises(
        WeightsMismatch,
        match=r"^The words of the test's file \(digest \w{12}…\) are not those of 'text/glove-50d' \(029a7168ebc7…\)\. Put it back\.$",
    ):
        load_backbone(glove_of_two(At(file)))


def test_glove_of_another_shape_is_refused(tmp_path) -> None:
    file = packaged(tmp_path, ["the"], np.zeros((2, 2), np.float32))
    with pytest.raises(WeightsMismatch, match=r"holds vectors \(2, 2\) and 1 words, not \(2, 2\) and 2\."):
        load_backbone(glove_of_two(At(file)))


def test_vectors_are_never_unpickled(tmp_path) -> None:
    file = packaged(tmp_path, ["the", "of"], np.array([[Trap()], [Trap()]], dtype=object))
    with pytest.raises(PluginFault, match="Object arrays cannot be loaded when allow_pickle=False"):
        load_backbone(glove_of_two(At(file)))


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


# Files of the user's.


@pytest.mark.parametrize(
    "written",
    [
        SMALL,
        f"5 3\n{SMALL}",
        SMALL.replace("\n", " \n"),
        SMALL.replace("\n", "\r\n"),
        SMALL.removesuffix("\n"),
        SMALL.replace("6 7 8", "6.0 0.7e1 8e+00"),
    ],
    ids=["GloVe", "word2vec", "fastText", "Windows", "no last line end", "other numbers"],
)
@pytest.mark.parametrize("suffix", [".vec", ".vec.gz"])
def test_the_text_formats_are_read_alike(tmp_path, written, suffix) -> None:
    file = tmp_path / f"x{suffix}"
    with gzip.open(file, "wb") if suffix == ".vec.gz" else file.open("wb") as content:
        content.write(written.encode())
    spec = registry.backbone(f"vectors:{file}")
    assert (spec.parameters, spec.feature_dim, spec.weights.size_bytes) == (15, 3, file.stat().st_size)
    assert features(load_backbone(spec), "the parcel").tolist() == [[3.0, 4.0, 5.0]]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text(st.characters(categories=["L", "P", "S", "N"]), min_size=1, max_size=8), unique=True, min_size=1),
    st.integers(2, 5),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_what_is_written_is_read(tmp_path_factory, words, width, header, seed) -> None:
    vectors = np.random.default_rng(seed).standard_normal((len(words), width)).astype(np.float32)
    lines = [" ".join([word, *map(str, row)]) for word, row in zip(words, vectors, strict=True)]
    file = tmp_path_factory.mktemp("written") / "any.vec"
    file.write_text("\n".join([f"{len(words)} {width}"] * header + lines), encoding="utf-8")
    backbone = loaded(file)
    assert backbone.stages()[0].vectors.weight.detach().numpy() == pytest.approx(vectors)


def test_words_with_blanks_in_them_are_words(tmp_path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("the 1 2\n. . . 3 4\nat name@domain.com 5 6\nof 7 8\n")
    assert features(loaded(file), "the of").tolist() == [[4.0, 5.0]]


def test_capitals_are_read_where_the_words_have_some(tmp_path, small) -> None:
    cased = tmp_path / "cased.vec"
    cased.write_text("us 0 1\nUS 2 3\n")
    assert "case" not in registry.backbone(f"vectors:{cased}").contract.facts
    assert features(loaded(cased), "US", "us").tolist() == [[2.0, 3.0], [0.0, 1.0]]
    assert str(registry.backbone(f"vectors:{small}").contract.facts["case"]) == "lower"
    assert features(loaded(small), "PARCEL").tolist() == [[6.0, 7.0, 8.0]]


def test_a_spec_is_made_of_the_head_of_a_file(tmp_path) -> None:
    file = tmp_path / "x.vec"
    file.write_text("2000 2\n" + "a 1 2\n" * 1999 + "b 1 x\n")
    spec = registry.backbone(f"vectors:{file}")
    assert spec.parameters == 4000
    with pytest.raises(DataError, match=r"^Line 2001 of '.*x\.vec' holds what is no number: '1 x'\."):
        load_backbone(spec)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (b"", "'{file}' is empty."),
        (b"0 3\n", "'{file}' holds no word."),
        (b"PK\x03\x04", "Line 1 of '{file}' gives a word no numbers: 'PK\x03\x04'."),
        (b"the 1 2\nof 3\n", "Numbers in line 2 of '{file}': 1, not 2 as its first line has it."),
        (b"the 1 2\nof 3 4 5\n", "Numbers in line 2 of '{file}': 3, not 2 as its first line has it."),
        (b"2 3\nthe 1 2 3\nof 4 5\n", "Numbers in line 3 of '{file}': 2, not 3 as its first line has it."),
        (b"the 1 2\n\nof 3 4\n", "Numbers in line 2 of '{file}': 0, not 2 as its first line has it."),
        (b"2 0\nthe\nof\n", "Line 1 of '{file}' gives a word no numbers: '2 0'."),
        (b"the 1 2\nof 3 four\n", "Line 2 of '{file}' holds what is no number: '3 four'."),
        (b"the 1 2\nof 3 nan\n", "Line 2 of '{file}' holds a number that is not finite."),
        (b"the 1 2\nof 3 1e99\n", "Line 2 of '{file}' holds a number that is not finite."),
        (b"the 1 2\nof\xff 3 4\n", "Line 2 of '{file}' is not UTF-8."),
        (b"3 2\nthe 1 2\nof 3 4\n", "Words in '{file}': 2, not the 3 that its first line says."),
        (b"1 2\nthe 1 2\nof 3 4\n", "Words in '{file}': 2, not the 1 that its first line says."),
    ],
)
def test_what_is_not_in_text_format_is_refused_in_a_sentence(tmp_path, written, sentence) -> None:
    file = tmp_path / "bad.vec"
    file.write_bytes(written)
    with pytest.raises(DataError) as refused:
        loaded(file)
    assert refused.value.message == sentence.format(file=file)
    assert refused.value.hint == (
        "Give text as word2vec, fastText (.vec) and GloVe write it; in gensim: "
        "save_word2vec_format(FILE, binary=False)."
    )


def test_a_damaged_gzip_file_is_refused(tmp_path) -> None:
    file = tmp_path / "cut.vec.gz"
    file.write_bytes(gzip.compress(SMALL.encode())[:-9])
    with pytest.raises(
        DataError, match=r"^'.*cut\.vec\.gz' cannot be read after line \d: Compressed file ended before"
    ):
        loaded(file)


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(
        DataError, match=r"^'vectors:nowhere\.vec' wants a file of word vectors, and 'nowhere\.vec' is no"
    ):
        registry.backbone("vectors:nowhere.vec")


# A backbone like any other.


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    file = tmp_path / "messages.csv"
    rows = [f"where is the parcel {i},delivery\ni lost the card {i},card" for i in range(10)]
    file.write_text("text,label\n" + "\n".join(rows))
    return file


@pytest.mark.parametrize("asked", [{"freeze": "head"}, {"freeze": "all", "epochs": 1}])
def test_vectors_are_frozen_or_trained_saved_and_loaded(tmp_path, small, messages, asked) -> None:
    run = gw.fit(gw.data(messages), backbone=f"vectors:{small}", **asked)
    trained = run.record["certificate"]["stages"]["embeddings"]["trained"]
    assert bool(trained) == (asked["freeze"] == "all")
    run.save(tmp_path / "run")
    again = gw.load(tmp_path / "run")
    assert again.predict(["lost card"]) == run.predict(["lost card"])
    small.write_text(SMALL.replace("parcel", "package"))
    with pytest.raises(ContractMismatch, match="vocabulary"):
        gw.load(tmp_path / "run").predict(["lost card"])


def test_only_public_names_of_graftwork_are_imported() -> None:
    for file in Path(graftwork_word_vectors.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "graftwork":
                assert node.module == "graftwork"
                assert {name.name for name in node.names} <= set(gw.__all__)
