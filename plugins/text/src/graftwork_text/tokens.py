"""What all encoders of texts share: a tokenizer, how texts become numbers by it, and one vector for a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from graftwork import (
    Backbone,
    BackboneSpec,
    InputMismatch,
    SequenceView,
    Stage,
    State,
    UsageError,
    WeightsMismatch,
    Window,
    masked_mean,
)
from graftwork_text.tokenizer import digest, load
from graftwork_text.vocabulary import Vocabulary

Called = Mapping[str, tuple[str, bool]]
"""What the hub layout calls each tensor of a stage, and whether it lies transposed there."""


class TextEncoder(Backbone):
    """called: the names of its tensors in hub layout, stage by stage, where they came so.

    pool: as `spec.config["pooling"]` says, the mean over real tokens (where it says nothing) or the first or last
    real token's vector; scaled to length 1 where pretraining did so.
    """

    batch_size = 1_024
    measures = True
    replayable = True

    def __init__(
        self, spec: BackboneSpec, stages: Sequence[Stage], width: int, tokenizer: Tokenizer | None = None
    ) -> None:
        super().__init__(spec, stages, [width] * len(stages))
        self.tokenizer = tokenizer
        self.called: Sequence[Called] = ()
        if tokenizer is not None:
            self.vocabulary = Vocabulary(tokenizer, spec.preparation["max_length"])

    def hub_state(self) -> dict[str, Tensor]:
        """Raises `PluginFault` where the weights did not come from files in hub layout."""
        if not self.called:
            return super().hub_state()
        found = {}
        for stage, names in zip(self.stages(), self.called, strict=True):
            for name, tensor in stage.state_dict().items():
                theirs, turned = names[name]
                found[theirs] = tensor.T if turned else tensor
        return found

    def prepare(self, values: list[str]) -> State:
        """Texts to token ids `(B, T)` int64 with their mask; texts over `max_length` tokens are cut at the end.

        Raises `InputMismatch` for what is not text in UTF-8.
        """
        if self.tokenizer is None:
            raise UsageError(
                f"'{self.spec.name}' was built without weights, so it has no tokenizer.", "Load it with its weights."
            )
        try:
            encoded = self.tokenizer.encode_batch_fast(values)
        except TypeError as error:  # also for what is no text, or was read in another encoding
            raise InputMismatch(
                f"Backbone '{self.spec.name}' wants texts in UTF-8; it was given what is none to prepare.",
                "Apply the steps of the agreement first.",
            ) from error
        mask = torch.tensor([row.attention_mask for row in encoded], dtype=torch.bool)
        return State(torch.tensor([row.ids for row in encoded]), None if bool(mask.all()) else mask)

    def sequence(self, values: list[str], batch: State, state: State) -> SequenceView:
        """A vector for each token `(B, T, D)`; spans are characters of the text as it was given."""
        assert self.tokenizer is not None
        rows = self.tokenizer.encode_batch(values)
        spans = torch.tensor([row.offsets for row in rows], dtype=torch.float64)
        special = torch.tensor([row.special_tokens_mask for row in rows], dtype=torch.bool)
        mask = ~special & (spans[..., 1] > spans[..., 0])
        return SequenceView(state.hidden.float(), mask, spans * mask[..., None])

    def measure(self, values: list[str]) -> list[int]:
        """Tokens that are read."""
        return list(self.survey(values)[0])

    def survey(self, values: list[str]) -> tuple[Sequence[int], Mapping[str, Sequence[float]]]:
        """Tokens that are read, and the share of them that the vocabulary does not know."""
        return self.vocabulary.survey(values)

    def windows(self, value: str) -> list[Window]:
        """A text over `max_length` tokens in parts of at most that many, cut between words; shares by characters."""
        return self.vocabulary.windows(value)

    def pool(self, state: State) -> Tensor:
        match self.spec.config.get("pooling", "mean"):
            case "first":
                pooled = state.hidden[:, 0].float()
            case "last":
                rows = torch.arange(state.hidden.shape[0], device=state.hidden.device)
                last = -1 if state.mask is None else state.mask.sum(1) - 1
                pooled = state.hidden[rows, last].float()
            case _:
                pooled = masked_mean(state)
        return nn.functional.normalize(pooled, dim=-1) if self.spec.config.get("unit_length") else pooled


def bound(spec: BackboneSpec, folder: Path, vocabulary: int) -> tuple[BackboneSpec, Tokenizer]:
    """The tokenizer of the folder, and the spec with it in its contract: weights mean nothing with another one.

    vocabulary: how many tokens the weights know.

    Raises `WeightsMismatch` when it is not the one that the contract names, or knows more tokens than the weights do.
    """
    found, stated = digest(folder), spec.preparation.get("tokenizer")
    tokenizer = load(folder, spec.preparation["max_length"])
    if stated not in (None, found):
        raise WeightsMismatch(
            f"The tokenizer in '{folder}' (digest {found[:12]}…) is not the one that '{spec.name}' was pretrained with "
            f"({stated[:12]}…).",
            "Restore its vocabulary and tokenizer files, or fetch the model again.",
        )
    if tokenizer.get_vocab_size() > vocabulary:
        raise WeightsMismatch(
            f"The tokenizer in '{folder}' knows {tokenizer.get_vocab_size()} tokens and the weights {vocabulary}, so "
            "they are not of one model.",
            "Restore its vocabulary and tokenizer files, or fetch the model again.",
        )
    contract = dataclasses.replace(spec.contract, preparation={**spec.preparation, "tokenizer": found})
    return dataclasses.replace(spec, contract=contract), tokenizer
