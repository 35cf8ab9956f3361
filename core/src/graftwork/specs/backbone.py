"""Specs of pretrained encoders, their recipes, and resolvers that make specs from a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graftwork.errors import UsageError
from graftwork.specs.contracts import InputContract
from graftwork.specs.weights import NoWeights, Weights


@dataclass(frozen=True)
class Recipe:
    """The default settings for fine-tuning an encoder: published values, for AdamW with every stage training.

    learning_rate: of the encoder; policies multiply it. head_learning_rate: of a fresh head.
    batch_size: examples a step. epochs: passes over the data; more are made if the data are few. weight_decay: of
    AdamW, on matrices. source: where the values come from.

    The defaults are those that Mosbach et al. 2021 (arXiv:2006.04884) find stable for BERT on small data.
    """

    learning_rate: float = 2e-5
    head_learning_rate: float = 1e-3
    batch_size: int = 16
    epochs: int = 5
    weight_decay: float = 0.01
    source: str = "Mosbach et al. 2021, arXiv:2006.04884"


@dataclass(frozen=True)
class BackboneSpec:
    """A pretrained encoder, described.

    name: `modality/name`, or `scheme:id` if a resolver made it.
    contract: what it was pretrained to read, and how `prepare` must turn that into numbers.
    factory: names `build(spec, weights) -> Backbone`; `weights` is a local path, or None for random weights and where
    there are none (`NoWeights`).
    weights: where they are: `PackagedWeights`, `HubWeights`, `UrlWeights`, `FolderWeights` or `NoWeights`; their
    `size_bytes` is 0 if it is not known before they are on this machine.
    stages: names of its stages, input to output.
    feature_dim: D of the pooled features `(B, D)` after the last stage.
    parameters: the number of parameters of all stages; 0 for none, so that only a head on it can train; None where it
    is not known before the weights are on this machine.
    license: of the weights. source: where the weights come from. pretrained_on: the data, in words.
    config: anything else that `build` needs.
    starter: whether it may be its modality's default.
    recipe: its default fine-tuning settings.
    survey: names `build(spec, weights) -> survey(values)`, which measures what the encoder loses of values that meet
    its contract, by the files beside its weights and without loading them: `{defect: [share of each value, 0..1]}`.
    note: shown to the user with the warnings; empty for none.
    views: what heads can read: "pooled", one vector, which every encoder gives; "sequence", "map" and "pyramid", which
    are methods of `Backbone`.

    Raises `ValueError` for parameters without weights.
    """

    name: str
    contract: InputContract
    factory: str
    weights: Weights
    stages: tuple[str, ...]
    feature_dim: int
    parameters: int | None
    license: str
    source: str
    pretrained_on: str
    config: Mapping[str, Any] = field(default_factory=dict)
    starter: bool = False
    recipe: Recipe = field(default_factory=Recipe)
    note: str = ""
    views: tuple[str, ...] = ("pooled",)
    survey: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.weights, NoWeights) and self.parameters != 0:
            raise ValueError(
                f"'{self.name}' says NoWeights() and parameters={self.parameters}; without weights it has none: "
                "parameters=0"
            )

    @property
    def modality(self) -> str:
        return self.contract.modality

    @property
    def preparation(self) -> Mapping[str, Any]:
        """How data that meet the contract become numbers: the contract's own `preparation`."""
        return self.contract.preparation

    def tap(self, word: str) -> int:
        """The index of the stage that `word` names: "last", a stage's name, or its number from 0 (or back from -1).

        Raises `UsageError` for anything else.
        """
        names = list(self.stages)
        if word == "last":
            return len(names) - 1
        if word in names:
            return names.index(word)
        try:
            return range(len(names))[int(word)]
        except (ValueError, IndexError):
            raise UsageError(
                f"There is no tap '{word}' in '{self.name}'; its stages are 0 to {len(names) - 1}: {', '.join(names)}.",
                "Choose one of them with --tap, or 'last'.",
            ) from None

    def taps(self, words: str) -> tuple[int, ...]:
        """The indices of one or several stages joined by "+", in their order, see `tap`."""
        return tuple(sorted({self.tap(word.strip()) for word in words.split("+")}))

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "modality": self.modality,
            "contract": self.contract.as_json(),
            "feature_dim": self.feature_dim,
            "stages": list(self.stages),
            "views": list(self.views),
            "parameters": self.parameters,
            "size_bytes": self.weights.size_bytes,
            "license": self.license,
            "source": self.source,
            "pretrained_on": self.pretrained_on,
            "note": self.note,
            "weights": self.weights.describe(),
            "at_hand": self.weights.at_hand,
        }


@dataclass(frozen=True)
class Resolver:
    """Makes specs from small config files: for a scheme of its own, or for models in hub layout of certain types.

    scheme: what stands before the colon of the names that it makes specs of ("tiny" for `tiny:64`).
    factory: with a scheme, names `resolve(name, id) -> BackboneSpec` for `scheme:id`; with model types, `resolve(model:
    ModelFolder) -> BackboneSpec`, for `local:` and `hub:` alike.
    model_types: the `model_type` values of config.json that it supports.

    Raises `ValueError` if it has both a scheme and model types, neither, or no factory.
    """

    scheme: str = ""
    factory: str = ""
    model_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.scheme) == bool(self.model_types) or not self.factory:
            raise ValueError(f"a Resolver has a factory and either a scheme or model types (factory '{self.factory}')")

    @property
    def names(self) -> list[str]:
        """The names that it is registered under."""
        return [f"model_type:{name}" for name in self.model_types] or [f"{self.scheme}:"]
