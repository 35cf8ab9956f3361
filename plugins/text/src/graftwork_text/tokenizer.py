"""What a tokenizer is, told by its files: the digest of its vocabulary and rules, without loading the library."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from graftwork.layout import read_json

PARTS = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "model")
"""What of tokenizer.json decides which numbers a text becomes; lengths and padding are set by who uses it."""
RULES = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
"""The settings of tokenizer_config.json that the library puts in place of those in tokenizer.json."""


def digest(folder: Path) -> str:
    """SHA-256, as 64 hexadecimal digits, over the vocabulary and the rules of the tokenizer in `folder`.

    It does not change with the order of keys or the version of the file. Raises `DataError` for what is not JSON.
    """
    whole = read_json(folder / "tokenizer.json")
    settings = read_json(folder / "tokenizer_config.json")
    known: dict[str, Any] = {part: whole.get(part) for part in PARTS}
    known["rules"] = {rule: settings.get(rule) for rule in RULES}
    vocabulary = folder / "vocab.txt"
    words = vocabulary.read_text(encoding="utf-8").rstrip("\n").split("\n") if vocabulary.is_file() else None
    known["vocabulary"] = words
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def lowers(folder: Path) -> bool:
    """Whether the tokenizer knows small letters only."""
    rule = read_json(folder / "tokenizer_config.json").get("do_lower_case")
    if rule is None:
        normalizer = read_json(folder / "tokenizer.json").get("normalizer") or {}
        parts = normalizer.get("normalizers", [normalizer])
        return any(part.get("lowercase") or part.get("type") == "Lowercase" for part in parts)
    return bool(rule)
