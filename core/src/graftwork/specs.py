"""The frozen dataclasses that plugins yield: what exists, described without importing what computes it.

A `factory` names code as `module:attribute`; it is imported by the first call that computes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graftwork.contracts import Anything, Fact, InputContract, ObservedInput, Requirement, Value
from graftwork.errors import PluginFault, UsageError
from graftwork.weights import Weights


def load_factory(factory: str) -> Any:
    """Import what `module:attribute` names.

    Raises `PluginFault` when the module or the attribute cannot be imported.
    """
    module, _, attribute = factory.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == module.partition(".")[0]:
            raise PluginFault(
                f"'{factory}' cannot be imported: {error}.",
                "Reinstall the plugin that names it; see: graftwork plugins",
            ) from error
        raise PluginFault(
            f"'{factory}' needs the package {missing}, which is not installed.",
            f"Install it: pip install {missing}",
        ) from error
    except (ImportError, AttributeError) as error:
        raise PluginFault(
            f"'{factory}' cannot be imported: {error}.",
            "Reinstall the plugin that names it; see: graftwork plugins",
        ) from error


@dataclass(frozen=True)
class Modality:
    """A kind of input.

    name: the word in backbone names and contracts ("audio").
    noun: what data of it are called in a sentence ("audio", "images").
    reader: names a `graftwork.Reader` subclass; it may import Pillow or soundfile, never torch.
    facts: what the reader observes of every example; conversions are applied in this order.
    extensions: lower-case file endings that hold it (".wav").
    inline: whether a table may hold the input itself (texts) instead of file paths.
    features: names of `datasets` feature classes that hold it ("Audio").
    preparer: names `build(spec) -> prepare(values) -> State`, the modality's standard preparation.
    likeness: names a `graftwork.Likeness` subclass, which finds near duplicates.
    long: what becomes of an example that is too long for an encoder unless the user says: "truncate" or "windows".
    augment: names `build() -> change(value, rng) -> value`, which changes a decoded example as chance may (a
    `random.Random`) without changing its label.
    amount: the fact whose sum says how much there is of data ("duration"); empty where examples are counted.
    timed: whether states `(B, T, D)` of any two of its encoders run over the same time, so that one can be told from
    the other place by place.
    sample: names `build(facts, rng) -> Raw`, which makes an example in memory (encoded bytes, or the input itself where
    it is inline) that has these facts, the others being ordinary ones drawn by the `random.Random`; it raises
    `LookupError` for what it cannot make. The conformance kit and its fixtures make their data so.
    """

    name: str
    noun: str
    reader: str
    facts: tuple[Fact, ...] = ()
    extensions: tuple[str, ...] = ()
    inline: bool = False
    features: tuple[str, ...] = ()
    preparer: str = ""
    likeness: str = ""
    long: str = "truncate"
    augment: str = ""
    sample: str = ""
    amount: str = ""
    timed: bool = False

    @property
    def units(self) -> dict[str, str]:
        """The unit of each fact that has one."""
        return {fact.name: fact.unit for fact in self.facts if fact.unit}

    def observed(
        self, place: str, examples: Iterable[tuple[str, Mapping[str, Value]]], items: str = "examples"
    ) -> ObservedInput:
        """What `(name, facts)` pairs, one per example, are as data of this modality."""
        headlines = tuple(fact.name for fact in self.facts if fact.headline)
        return ObservedInput.of(self.name, place, examples, items=items, units=self.units, headlines=headlines)


@dataclass(frozen=True)
class Recipe:
    """How an encoder is fine-tuned where the user says nothing: published settings, of AdamW with all of it training.

    rate: the learning rate of the encoder; policies multiply it. head_rate: that of a fresh head.
    batch_size: examples a step. epochs: passes over the data, more where they are few. weight_decay: of AdamW, on
    matrices. source: where the settings come from.

    The default is what Mosbach et al. 2021 (arXiv:2006.04884) find stable for BERT on small data.
    """

    rate: float = 2e-5
    head_rate: float = 1e-3
    batch_size: int = 16
    epochs: int = 5
    weight_decay: float = 0.01
    source: str = "Mosbach et al. 2021, arXiv:2006.04884"


@dataclass(frozen=True)
class BackboneSpec:
    """A pretrained encoder, described.

    name: `modality/name`, or `scheme:id` when a resolver made it.
    contract: what it was pretrained to read, and how `prepare` must turn that into numbers.
    factory: names `build(spec, weights) -> Backbone`, `weights` being a local path or None for random ones.
    stages: names of its stages, input to output.
    feature_dim: D of the pooled features `(B, D)` after the last stage.
    parameters: how many numbers the stages own.
    config: whatever else `build` needs.
    starter: whether a modality's default choice may be this one.
    recipe: how it is fine-tuned.
    note: what its user is told beside the warnings; empty where there is nothing to say.
    parameters and `weights.size_bytes` are 0 where they are not known before the weights are at hand.
    """

    name: str
    contract: InputContract
    factory: str
    weights: Weights
    stages: tuple[str, ...]
    feature_dim: int
    parameters: int
    license: str
    source: str
    pretrained_on: str
    config: Mapping[str, Any] = field(default_factory=dict)
    starter: bool = False
    recipe: Recipe = field(default_factory=Recipe)
    note: str = ""

    @property
    def modality(self) -> str:
        return self.contract.modality

    @property
    def preparation(self) -> Mapping[str, Any]:
        """How data that meet the contract become numbers: the contract's own word on it."""
        return self.contract.preparation

    def tap(self, word: str) -> int:
        """The index of the stage that `word` means: "last", a stage's name, or its number from 0 (or back from -1).

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

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "modality": self.modality,
            "contract": self.contract.as_json(),
            "feature_dim": self.feature_dim,
            "stages": list(self.stages),
            "parameters": self.parameters,
            "size_bytes": self.weights.size_bytes,
            "license": self.license,
            "source": self.source,
            "pretrained_on": self.pretrained_on,
            "note": self.note,
            "weights": self.weights.describe(),
            "at_hand": self.weights.find() is not None,
        }


@dataclass(frozen=True)
class Resolver:
    """Makes specs out of small config files: those of a scheme of its own, or models in hub layout of some types.

    factory: with a scheme, names `resolve(name, id) -> BackboneSpec` for `scheme:id`; with model types,
    `resolve(model: ModelFolder) -> BackboneSpec`, for `local:` and `hub:` alike.
    model_types: the `model_type` values of config.json that it maps.
    Raises `ValueError` where it has both or neither, or no factory.
    """

    scheme: str = ""
    factory: str = ""
    model_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.scheme) == bool(self.model_types) or not self.factory:
            raise ValueError(f"a Resolver has a factory and either a scheme or model types (factory '{self.factory}')")

    @property
    def names(self) -> list[str]:
        """What it answers to."""
        return [f"model_type:{name}" for name in self.model_types] or [f"{self.scheme}:"]


@dataclass(frozen=True)
class ArchitectureSpec:
    """A network that `graftwork.pretrain` can train from nothing, described.

    name: its `model_type` in a config.json. sizes: fields of that file, by the name of a size; the first is the
    default. factory: names `make(folder, fields, values)`, which writes into an empty folder what a model of this shape
    is in hub layout: config.json, what prepares its input, and random weights by torch's generator. `values` yields the
    decoded examples, for a tokenizer to learn from; a field that the network does not have raises `UsageError`.
    """

    name: str
    modality: str
    factory: str
    sizes: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ObjectiveSpec:
    """What a network can be pretrained for, described.

    factory: names a `graftwork.Objective` subclass. architectures: the names of those that it is for; none, for all.
    least: by modality, the amount of data below which nothing transfers, in the unit of the modality's `amount` (the
    number of examples where it has none); 0 where nothing is said. teacher, labels: whether it wants these.
    recipe: how it trains where the user says nothing.
    """

    name: str
    factory: str
    summary: str
    architectures: tuple[str, ...] = ()
    least: Mapping[str, float] = field(default_factory=dict)
    teacher: bool = False
    labels: bool = False
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Converter:
    """A declared step that changes one fact of an input inside a modality.

    factory: names `convert(value, seen, to) -> value`, working on what the modality's reader decodes.
    splits: the factory returns a list of `Window` instead: parts of a value that is too long to be read at once.
    accepts: the values of the fact that it can start from; gives: those it can reach; reaches: says of two of them
    whether it leads from the one to the other, where that is not so for all.
    loss: says in words what is lost from `seen` to `to`; the empty string when nothing is.
    """

    name: str
    modality: str
    fact: str
    factory: str
    accepts: Requirement = field(default_factory=Anything)
    gives: Requirement = field(default_factory=Anything)
    loss: Callable[[Value, Value], str] | None = None
    reaches: Callable[[Value, Value], bool] | None = None
    splits: bool = False

    def target(self, seen: Value, wanted: Requirement) -> Value | None:
        """The value that it would turn `seen` into so that `wanted` is met, or None when it cannot."""
        if not self.accepts.allows(seen):
            return None
        for candidate in (wanted.nearest(seen), self.gives.nearest(seen)):
            leads = self.reaches is None or self.reaches(seen, candidate)
            if leads and wanted.allows(candidate) and self.gives.allows(candidate):
                return candidate
        return None

    def loses(self, seen: Value, to: Value) -> str:
        return self.loss(seen, to) if self.loss else ""


@dataclass(frozen=True)
class Adapter:
    """A converter between modalities, used only when the user names it as `source:name`.

    contract: what it reads of the source modality. factory: names `adapt(value) -> value`, from what the source's
    reader decodes to what the target's reader takes in memory. gives: the facts of what it makes. loss: what is lost.
    """

    name: str
    contract: InputContract
    target: str
    factory: str
    gives: Mapping[str, Value]
    loss: str

    @property
    def full_name(self) -> str:
        return f"{self.contract.modality}:{self.name}"


@dataclass(frozen=True)
class TaskSpec:
    """What the labels are: the heads that fit (the first is the default) and the metrics that count."""

    name: str
    labels: str
    heads: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class HeadSpec:
    """A head by name; `convex` says that the exact engine can solve it on stored features."""

    name: str
    factory: str
    convex: bool = False


@dataclass(frozen=True)
class FreezePolicySpec:
    """A freeze policy by name; `factory` names `build(argument) -> FreezePolicy`."""

    name: str
    factory: str
    summary: str


@dataclass(frozen=True)
class Demo:
    """A small labelled set that comes with a plugin.

    data: names `build(folder) -> path`, which may write into `folder` and returns what `graftwork.data` takes.
    baseline: names `features(values) -> (N, F) array` of decoded inputs without any encoder.
    """

    name: str
    modality: str
    data: str
    baseline: str
    baseline_name: str
