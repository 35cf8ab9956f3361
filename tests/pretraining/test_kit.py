"""The kit's checks of architectures and objectives find what is planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from graftwork.plugins import registry
from graftwork.testing import networks
from graftwork.testing.cases import Nonconformance, Registered
from graftwork_text import pretraining as text
from graftwork_text.tokens import TextEncoder

from .conftest import FIELDS


def unseeded(folder: Path, fields: dict, values) -> None:
    torch.seed()
    text.make(folder, fields, values)


def lenient(folder: Path, fields: dict, values) -> None:
    text.make(folder, {name: value for name, value in fields.items() if name != "no_such_field"}, values)


def bert(**changes) -> Registered:
    spec = replace(registry.architecture("bert"), sizes={"tiny": {**FIELDS["bert"], "max_position_embeddings": 32}})
    return Registered("bert", replace(spec, **changes), None)  # pyright: ignore[reportArgumentType]


def renamed(self) -> dict[str, Tensor]:
    return {f"x.{stage.name}": torch.zeros(1) for stage in self.stages()}


def test_what_is_sound_passes() -> None:
    for check in (
        networks.every_size_is_a_model_in_hub_layout, networks.the_same_seed_makes_the_same_network,
        networks.a_field_that_it_has_not_is_refused,
    ):  # fmt: skip
        check(bert())


def test_each_fault_is_found_by_the_check_that_names_it(monkeypatch) -> None:
    with pytest.raises(Nonconformance, match="model.safetensors' of 'bert' differs between two makings"):
        networks.the_same_seed_makes_the_same_network(bert(factory=f"{__name__}:unseeded"))
    with pytest.raises(Nonconformance, match="takes a field 'no_such_field'"):
        networks.a_field_that_it_has_not_is_refused(bert(factory=f"{__name__}:lenient"))
    with pytest.raises(Nonconformance, match="is of audio; what it makes reads text"):
        networks.every_size_is_a_model_in_hub_layout(bert(modality="audio", factory=f"{__name__}:of_texts"))
    monkeypatch.setattr(TextEncoder, "hub_state", renamed)
    with pytest.raises(Nonconformance, match="'x.embeddings' is not what a network of size 'tiny' calls its weights"):
        networks.every_size_is_a_model_in_hub_layout(bert())


def of_texts(folder: Path, fields: dict, values) -> None:
    text.make(folder, fields, iter(["a text of some words"]))


def test_chance_that_no_step_seeds_is_found(monkeypatch) -> None:
    one = Registered("mlm", replace(registry.objective("mlm"), architectures=("bert",)), None)  # pyright: ignore[reportArgumentType]
    networks.it_trains_the_same_from_the_same_seed(one)
    original, own = text.MaskedWords.loss, torch.Generator()

    def muddled(self, loaded, step):
        loss, figures = original(self, loaded, step)
        return loss * (1 + torch.rand((), generator=own)), figures

    monkeypatch.setattr(text.MaskedWords, "loss", muddled)
    with pytest.raises(Nonconformance, match="differs between two trainings by 'mlm' from one seed"):
        networks.it_trains_the_same_from_the_same_seed(one)
