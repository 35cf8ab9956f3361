"""A tokenizer that somebody else wrote: its rules make no flood of a sign, and its patterns end in time."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graftwork as gw
from graftwork import DataError, Raw, Unreadable
from graftwork.plugins import registry
from graftwork_text.reader import TextReader
from graftwork_text.rules import KNOWN, has_own_patterns, try_text
from graftwork_text.tokenizer import load
from graftwork_text.vocabulary import Vocabulary

CATASTROPHE = r"(?:a|aa)+$|(x+x+)+y"
"""Takes exponential time on many a's and another sign."""


@pytest.fixture
def changed(tiny_bert: Path, tmp_path: Path) -> Callable[..., Path]:
    """`changed(part=rules)`: the tiny BERT with other parts in its tokenizer.json."""

    def make(**parts: Any) -> Path:
        folder = shutil.copytree(tiny_bert, tmp_path / "model")
        file = folder / "tokenizer.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **parts}))
        settings = folder / "tokenizer_config.json"
        kept = {
            k: v for k, v in json.loads(settings.read_text()).items() if k not in ("do_lower_case", "strip_accents")
        }
        settings.write_text(json.dumps(kept))
        return folder

    return make


def replacing(content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": "a"}, "content": content}


def splitting(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, {"type": "Whitespace"}]}


@pytest.mark.parametrize(
    ("rules", "growth"),
    [
        (replacing("b" * 10**5), "100,000"),
        ({"type": "Sequence", "normalizers": [replacing("aaaa"), replacing("aaaaa")]}, "20"),
        ({"type": "Prepend", "prepend": "x" * 1_000}, "1,000"),
    ],
)
def test_rules_that_make_very_many_signs_of_one_are_refused(changed, rules, growth) -> None:
    folder = changed(normalizer=rules)
    with pytest.raises(DataError) as caught:
        registry.backbone(f"local:{folder}")
    assert str(caught.value) == (
        f"'{folder / 'tokenizer.json'}' has rules that make {growth} signs of one; at most 16 are accepted. Leave it out, "
        f"or, if you trust it, raise the limit: GRAFTWORK_LIMITS=tokenizer_growth={growth.replace(',', '')}"
    )


def test_a_tokenizer_that_adds_more_tokens_than_are_read_is_refused(changed) -> None:
    one = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    token = {"[CLS]": {"id": "[CLS]", "ids": [2] * 100, "tokens": ["[CLS]"] * 100}}
    template = {"single": [one, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": token}
    with pytest.raises(DataError, match=r"adds 100 tokens to each text, and 64 are read in all"):
        load(changed(post_processor={"type": "TemplateProcessing", **template}), 64)


def test_known_patterns_need_no_trial(tiny_bert) -> None:
    assert not any(has_own_patterns(splitting(pattern)) for pattern in KNOWN)
    assert has_own_patterns(splitting(CATASTROPHE))
    assert Vocabulary(load(tiny_bert, 64), 64).tried == ""


def test_a_pattern_that_does_not_end_loses_its_text_alone(changed) -> None:
    folder = changed(pre_tokenizer=splitting(CATASTROPHE))
    vocabulary = Vocabulary(load(folder, 64), 64)
    assert len(vocabulary.windows("where is my card")) == 1
    with pytest.raises(
        Unreadable, match=r"A text of 42 signs is not read: the patterns of the tokenizer give up on it\."
    ):
        vocabulary.windows("a" * 40 + "!x")
    assert len(vocabulary.windows("where is my card")) == 1


def test_a_text_that_takes_too_long_is_ended(changed, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_LIMITS", "tokenizer_seconds=1")
    vocabulary = Vocabulary(load(changed(pre_tokenizer=splitting("[ab]+[^abc]")), 64), 64)
    begin = time.monotonic()
    with pytest.raises(Unreadable, match=r"the patterns of the tokenizer do not end within 1 s\."):
        try_text(vocabulary.tried, "a" * 200_000)
    assert time.monotonic() - begin < 10
    try_text(vocabulary.tried, "where is my card")


def test_a_fit_ends_and_names_the_text_that_it_left_out(changed, tmp_path) -> None:
    rows = [
        {"text": f"where is my card {n}" if n % 2 else f"refund my order {n}", "label": "xy"[n % 2]} for n in range(48)
    ]
    rows.append({"text": "a" * 40 + "!x", "label": "x"})
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = gw.fit(tmp_path / "t.jsonl", f"local:{changed(pre_tokenizer=splitting(CATASTROPHE))}", seed=0)
    (bad,) = run.record["data"]["left_out"]
    assert bad["reason"].startswith("A text of 42 signs is not read: the patterns of the tokenizer give up on it.")


def test_a_text_of_very_many_characters_is_not_read() -> None:
    with pytest.raises(Unreadable) as caught:
        TextReader().read(Raw("row 1", value="a " * 2_500_001))
    assert str(caught.value) == (
        "'row 1' is a text of 5,000,002 characters; at most 5,000,000 are read. Leave it out, or, if you trust it, raise "
        "the limit: GRAFTWORK_LIMITS=text_characters=5000002"
    )
