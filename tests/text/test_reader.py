"""Texts as they come: encodings, marks, forms, scripts; and what is longer than the encoder reads at once."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer

import graftwork as gw
from graftwork import Empty, Raw, Unreadable, load_backbone
from graftwork.plugins import registry
from graftwork_text import convert
from graftwork_text.likeness import TextLikeness
from graftwork_text.reader import TextReader, script
from graftwork_text.tokenizer import digest, lowers

READER = TextReader()


def facts(value: str | bytes) -> dict:
    return dict(READER.facts(Raw("x", value=value)))


def test_every_declared_fact_is_observed() -> None:
    assert set(facts("a")) == {fact.name for fact in registry.modality("text").facts}
    assert facts("  Where is it? ") == {
        "encoding": "utf-8", "byte_order_mark": "none", "unicode_form": "NFC", "characters": 12, "script": "Latin",
        "case": "cased", "markup": "none",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("café".encode(), "utf-8"),
        ("\ufeffcafé".encode(), "utf-8"),
        ("café “now”".encode("cp1252"), "latin-1"),
        (b"caf\xe9 \x81", "latin-1"),
        ("café ē".encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + "café\n".encode("utf-16-be"), "utf-16"),
    ],
)
def test_bytes_are_read_in_the_encoding_that_they_are_in(content, encoding) -> None:
    raw = Raw("x", value=content)
    assert facts(content)["encoding"] == encoding
    text = READER.decode(raw)
    if encoding != "utf-8":
        text = convert.decode(text, encoding, "utf-8")
    text = convert.strip_mark(text, "present", "none")
    expected = content.decode({"utf-8": "utf-8-sig", "latin-1": "latin-1", "utf-16": "utf-16"}[encoding]).strip()
    assert text == expected.replace("\x93", "“").replace("\x94", "”")


@given(st.text(st.characters(codec="cp1252", exclude_categories=["Cc", "Zs"]), min_size=1))
def test_any_windows_1252_text_that_is_no_utf8_comes_back_whole(text) -> None:
    stored = text.encode("cp1252")
    try:
        stored.decode()
    except UnicodeDecodeError:
        value = READER.decode(Raw("x", value=stored))
        assert convert.decode(value, "latin-1", "utf-8") == text


@given(st.text(min_size=1))
def test_any_text_is_read_or_named(text) -> None:
    try:
        assert facts(text)["characters"] >= 1
    except Unreadable as error:
        assert error.message.startswith("'")  # noqa: PT017


def test_blank_and_binary_content_is_named() -> None:
    for content in ("  ", b"", "\ufeff"):
        with pytest.raises(Empty, match="'x' is an empty text"):
            facts(content)
    with pytest.raises(Unreadable, match="'‰QNG � ��' is not text: it holds the control character 0x1a"):
        facts(b"\x89QNG\r\n\x1a\n\x00\x00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("straße, 12", "Latin"), ("12 %", "none"), ("🙂 ?!", "none"), ("где карта card", "Cyrillic"), ("カード", "Katakana"),
        ("我的卡在哪里", "Han"), ("أين بطاقتي", "Arabic"), ("ᚠᚢᚦ", "other"), ("ѣ x y z", "Latin"),
    ],
)  # fmt: skip
def test_the_script_is_that_of_most_letters(text, expected) -> None:
    assert script(text) == expected
    assert facts(text)["script"] == expected


def test_marks_and_forms_are_seen_and_mended() -> None:
    assert facts("a\ufeffb")["byte_order_mark"] == "present"
    assert convert.strip_mark("\ufeffa\ufeffb", "present", "none") == "ab"
    assert facts("e\u0301")["unicode_form"] == "not NFC"
    assert convert.compose("e\u0301", "not NFC", "NFC") == "é"


@settings(deadline=None)
@given(st.text())
def test_small_letters_are_what_the_tokenizer_makes_of_capitals(text) -> None:
    normalizer = minilm().tokenizer.normalizer
    assert normalizer.normalize_str(convert.lower(text, "cased", "lower")) == normalizer.normalize_str(text)


def minilm() -> gw.Backbone:
    if not hasattr(minilm, "built"):
        minilm.built = load_backbone(registry.backbone("text/minilm"))  # type: ignore[attr-defined]
    return minilm.built  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", ["word ", "unaffable ", "x" * 90 + " ", "한글 ", "日本"])
def test_windows_hold_the_whole_text_and_each_fits(word) -> None:
    backbone = minilm()
    text = (word * 700).strip()
    windows = backbone.windows(text)
    assert len(windows) > 1
    assert "".join(window.value for window in windows) == text
    assert sum(window.weight for window in windows) == pytest.approx(1)
    for window in windows:
        assert len(backbone.tokenizer.encode(window.value).ids) <= 256
    assert [w.value for w in backbone.windows("a short one")] == ["a short one"]


def test_windows_are_cut_between_words_and_keep_every_token() -> None:
    backbone = minilm()
    text = "unaffable embeddings " * 200
    tokens = backbone.vocabulary.tokenizer.encode(text, add_special_tokens=False).ids
    parts = [
        backbone.vocabulary.tokenizer.encode(w.value, add_special_tokens=False).ids for w in backbone.windows(text)
    ]
    assert list(itertools.chain(*parts)) == tokens


def test_a_long_text_is_cut_with_a_count_or_read_in_windows_as_the_user_says(tmp_path) -> None:
    filler = "word " * 300
    rows = [(f"{filler} {end}", end) for end in ("alpha", "omega") for _ in range(6)]
    rows = [(f"{number % 6} {text}", label) for number, (text, label) in enumerate(rows)]
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "\n".join(f"{text},{label}" for text, label in rows))
    cut = gw.fit(path, "text/minilm", val=0.5)
    assert cut.record["long"]["examples"] == 12
    assert (
        "12 of 12 rows: more than the encoder reads at once, so cut; 16% of what they hold is not read; the first: "
        "0 word word word word word word word word word word word wo…. Read all of it: --long windows"
    ) in cut.record["warnings"]
    whole = gw.fit(path, "text/minilm", val=0.5, long="windows")
    assert whole.record["long"] == {"mode": "windows", "examples": 12, "windows": 24, "truncated": 0.0}
    assert (
        "12 of 12 rows: more than the encoder reads at once, so read in 24 windows whose features are averaged"
        in (whole.record["warnings"])
    )
    assert whole.metrics["accuracy"] > cut.metrics["accuracy"]


def test_a_tokenizers_digest_is_of_its_vocabulary_and_rules_alone(tmp_path) -> None:
    def saved(name: str, words: list[str], **rules: object) -> Path:
        folder = tmp_path / name
        vocabulary = {
            word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
        }
        BertTokenizer(vocab=vocabulary, **rules).save_pretrained(folder)
        return folder

    one = saved("one", ["card", "lost"])
    assert digest(one) == digest(saved("same", ["card", "lost"]))
    assert lowers(one)
    file = one / "tokenizer.json"
    whole = json.loads(file.read_text())
    before = digest(one)
    file.write_text(json.dumps({**dict(reversed(whole.items())), "truncation": None, "padding": None, "version": "9"}))
    assert digest(one) == before
    assert digest(saved("order", ["lost", "card"])) != before
    cased = saved("cased", ["card", "lost"], do_lower_case=False)
    assert digest(cased) != before
    assert not lowers(cased)


def test_signatures_tell_near_copies_from_texts_of_one_topic() -> None:
    likeness = TextLikeness()
    text = "I lost my card on the way to work this morning, please block it and send me another one"
    near, far = (
        text.replace("morning", "mornin"),
        "I lost my phone on the train yesterday and would like to block the number",
    )
    signature, close, other = (likeness.signature(Raw("x", value=t)) for t in (text.upper(), near, far))
    assert likeness.similarity(signature[None], close[None])[0] >= likeness.threshold
    assert likeness.similarity(signature[None], other[None])[0] < 0.5
    assert likeness.signature(Raw("x", value="too short")) is None


def test_conversions_run_in_the_order_of_the_modality_whatever_the_contract_lists_first() -> None:
    from graftwork.data.pipeline import Pipeline

    modality, spec = registry.modality("text"), registry.backbone("text/minilm")
    raw = Raw("x", value="\ufeffÉTÉ E\u0301".encode("utf-16"))
    backwards = gw.InputContract("text", dict(reversed(spec.contract.facts.items())))
    for contract in (spec.contract, backwards):
        agreement = gw.agree(contract, modality.observed("x", [("x", READER.facts(raw))]), registry.converters())
        assert [window.value for window in Pipeline(contract, agreement, modality)(raw)] == ["été é"]
