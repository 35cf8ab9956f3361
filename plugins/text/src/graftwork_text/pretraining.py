"""Pretraining BERT: a network from nothing with a tokenizer of its own, and filling in hidden words."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import BertWordPieceTokenizer
from torch import Tensor, nn
from transformers import BertForMaskedLM, BertModel, DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from graftwork import DataError, Given, Objective, UsageError, hub_state, load_pretrained, new_model, save_new

MASKED = 0.15
"""The part of the tokens that is to be filled in (Devlin et al. 2019)."""
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
LETTERS = 1_000
"""How many letters a vocabulary holds, the most frequent ones."""
ADDED = ("bias", "dense.weight", "dense.bias", "LayerNorm.weight", "LayerNorm.bias")


def make(folder: Path, fields: Mapping[str, Any], values: Iterator[str]) -> None:
    """A BERT of this shape. Its WordPiece vocabulary of at most `vocab_size` is learned from the texts, without
    capitals unless the field `do_lower_case` is false; or the field `tokenizer` names a folder that it is taken from.

    Raises `UsageError` for fields that it does not have, `DataError` for texts without words.
    """
    shape = {name: value for name, value in fields.items() if name not in ("tokenizer", "do_lower_case")}
    if source := fields.get("tokenizer"):
        taken = [Path(source) / name for name in TOKENIZER if (Path(source) / name).is_file()]
        if not taken:
            raise UsageError(f"'{source}' holds no {' or '.join(TOKENIZER)}.", "Name the folder of a tokenizer.")
        for file in taken:
            shutil.copy(file, folder / file.name)
    else:
        lower = bool(fields.get("do_lower_case", True))
        learned(values, shape["vocab_size"], lower=lower).save(str(folder / "tokenizer.json"))
        settings = {"do_lower_case": lower, "tokenizer_class": "BertTokenizer", **SPECIAL}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    found = _tokenizer(folder)
    if len(found) <= len(SPECIAL):
        raise DataError("The texts hold no words to learn a vocabulary from.", "Give other texts.")
    save_new(new_model(BertModel, {**shape, "vocab_size": len(found)}, add_pooling_layer=False), folder)


def learned(texts: Iterable[str], size: int, *, lower: bool) -> BertWordPieceTokenizer:
    """A WordPiece tokenizer whose vocabulary is learned from texts: the same from the same texts.

    The library numbers the pieces that begin inside a word in the order of a hash map, and settles ties by number
    (huggingface/tokenizers, issue 1794); so they are numbered here before it trains.
    """
    texts = list(texts)
    made: Any = BertWordPieceTokenizer(lowercase=lower)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(made.normalizer.normalize_str(text))
    letters = sorted(letter for letter, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:LETTERS])
    inside = [f"##{letter}" for letter in letters if not letter.isspace()]
    made.train_from_iterator(
        texts, size, limit_alphabet=LETTERS, show_progress=False, special_tokens=[*SPECIAL.values(), *inside]
    )
    numbers = made.get_vocab()
    return BertWordPieceTokenizer(
        {piece: n for n, piece in enumerate(sorted(numbers, key=numbers.get))}, lowercase=lower
    )


class MaskedWords(Objective):
    """Masked language modelling: 15 % of the tokens are hidden, swapped or left, and each is to be said (Devlin et al.
    2019, arXiv:1810.04805), by transformers' head, loss and masking."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        names = [*(f"cls.predictions.transform.{name}" for name in ADDED[1:]), "cls.predictions.bias"]
        unused = [*names, "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"]
        self.model: Any = load_pretrained(BertForMaskedLM, given.folder, shape={}, unused=unused)
        self._masking = DataCollatorForLanguageModeling(_tokenizer(given.folder), mlm_probability=MASKED)
        self._special = torch.tensor(self._masking.tokenizer.all_special_ids)

    def loss(self, loaded: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        state = loaded.state
        ids, mask = state.hidden, state.mask
        mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        special = torch.isin(ids, self._special) | ~mask
        hidden, wanted = self._masking.torch_mask_tokens(ids.clone(), special_tokens_mask=special)
        if not bool((wanted != -100).any()):  # a few short texts: hide one token
            row, place = (~special).nonzero()[0]
            wanted[row, place], hidden[row, place] = ids[row, place], self._masking.tokenizer.mask_token_id
        device = self.given.device
        wanted = wanted.to(device)
        logits = self.model(input_ids=hidden.to(device), attention_mask=mask.to(device)).logits.float()
        asked = wanted != -100
        right = (logits.argmax(-1) == wanted)[asked].float().mean()
        return nn.functional.cross_entropy(logits[asked], wanted[asked]), {"accuracy": float(right)}

    def hub_state(self) -> dict[str, Tensor]:
        return hub_state(self.model.bert)


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    file = folder / "tokenizer.json"
    return PreTrainedTokenizerFast(tokenizer_file=str(file), **SPECIAL)
