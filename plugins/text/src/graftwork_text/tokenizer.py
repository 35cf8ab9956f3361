"""What a tokenizer is, told by its files: the digest of its vocabulary and rules; and the tokenizer itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork import DataError, read_json
from graftwork_text.rules import check_growth

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PARTS = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "model")
"""What of tokenizer.json decides which numbers a text becomes; lengths and padding are set by who uses it."""
RULES = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
"""The settings of tokenizer_config.json that the library puts in place of those in tokenizer.json."""


def digest(folder: Path) -> str:
    """SHA-256, as 64 hexadecimal digits, over the vocabulary and the rules of the tokenizer in `folder`.

    It does not change with the order of keys or the version of the file. Raises `DataError` for what is not JSON.
    """
    whole = read_json(folder / "tokenizer.json")
    check_growth(folder / "tokenizer.json", whole)
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


def load(folder: Path, longest: int) -> Tokenizer:
    """The tokenizer of a folder as transformers would load it, from tokenizer.json or, where there is none, vocab.txt:
    the rules in tokenizer_config.json hold. It pads to the longest of a batch and cuts at `longest` tokens.

    Raises `DataError` when the files are not those of a tokenizer.
    """
    from tokenizers import BertWordPieceTokenizer, Tokenizer
    from tokenizers.normalizers import BertNormalizer

    settings = read_json(folder / "tokenizer_config.json")
    file = folder / "tokenizer.json"
    try:
        if file.is_file():
            made = Tokenizer.from_file(str(file))
        else:
            made = Tokenizer.from_str(BertWordPieceTokenizer(str(folder / "vocab.txt")).to_str())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the library raises bare exceptions of its own, and panics of Rust, which are none
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(
            f"The tokenizer in '{folder}' cannot be loaded: {reason}.", "Save or fetch the model again."
        ) from error
    if any(settings.get(rule) is not None for rule in RULES) and isinstance(made.normalizer, BertNormalizer | None):
        made.normalizer = BertNormalizer(  # pyright: ignore[reportAttributeAccessIssue]
            lowercase=settings.get("do_lower_case", True),
            strip_accents=settings.get("strip_accents"),
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        )
    pad = settings.get("pad_token") or "[PAD]"
    pad = pad["content"] if isinstance(pad, dict) else pad
    made.enable_padding(pad_id=made.token_to_id(pad) or 0, pad_token=pad)
    if (special := made.num_special_tokens_to_add(is_pair=False)) >= longest:
        raise DataError(
            f"The tokenizer in '{folder}' adds {special:,} tokens to each text, and {longest:,} are read in all.",
            "Save or fetch the model again.",
        )
    made.enable_truncation(longest)
    return made
