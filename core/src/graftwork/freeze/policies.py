"""Freeze policies: which stages train, at which rate and when, as data, written as short words.

A policy is a registered name with its argument after a colon (`last:2`), or several joined by `+`. Policies that choose
(`all`, `last:K`, `bitfit`, ...) train everything that any of them names; policies that narrow (`layerwise:DECAY`,
`gradual:K`, `lpft`) set when, and at which rate, the chosen stages train (all stages if none are chosen).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from graftwork.errors import PluginFault, UsageError
from graftwork.plugins.registry import freeze_policy
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.factories import load_factory
from graftwork.specs.returns import Checked, returned

NORMS = "@norm"
"""Stands for the parameters of normalisation layers in place of a glob."""


@dataclass(frozen=True)
class StagePlan:
    """How one stage trains in an epoch.

    trains: whether any part of it does. rate: the factor of the learning rate.
    parameters: which ones train: globs on their names (`stage.name`), or `@norm` for those of normalisation layers.
    lora: the rank of the low-rank updates of its linear layers; 0 for none.
    """

    stage: str
    trains: bool
    rate: float = 1.0
    parameters: tuple[str, ...] = ("*",)
    lora: int = 0


@dataclass(frozen=True)
class Plan:
    """One entry per stage, in order. head_rate: the factor of the head's learning rate."""

    stages: tuple[StagePlan, ...]
    head_rate: float = 1.0

    @property
    def frozen(self) -> tuple[str, ...]:
        """The stages that do not train at all."""
        return tuple(stage.stage for stage in self.stages if not stage.trains)

    @property
    def all_frozen(self) -> bool:
        return not any(stage.trains for stage in self.stages)

    @property
    def first(self) -> int:
        """The index of the first stage that trains; the number of stages if none does."""
        return next((i for i, stage in enumerate(self.stages) if stage.trains), len(self.stages))


class FreezePolicy(Checked, ABC, returns={"plan": (Plan,)}):
    """Plans which stages train in an epoch.

    narrows: in a combination it limits what the other policies chose, by whole stages, instead of adding to it.
    head_first: the head is solved exactly on the frozen encoder's features before the first epoch.
    """

    narrows: ClassVar[bool] = False
    head_first: bool = False

    @abstractmethod
    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        """The plan of an epoch (from 0). stages: names of the stages that run, input to output.

        Raises `UsageError` for stages that the policy does not work with.
        """


@dataclass(frozen=True)
class Choose(FreezePolicy):
    """Trains the named parameters of the last `count` stages (None: of all), or adapts these stages by LoRA."""

    words: str
    count: int | None = None
    parameters: tuple[str, ...] = ("*",)
    rate: float = 1.0
    lora: int = 0

    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        count = len(stages) if self.count is None else self.count
        if count > len(stages):
            raise UsageError(
                f"The freeze policy '{self.words}' trains {count} stages; this encoder has {len(stages)}: "
                f"{', '.join(stages)}.",
                f"Write: --freeze last:{len(stages)}, or all",
            )
        first = len(stages) - count
        made = (StagePlan(s, i >= first, self.rate, self.parameters, self.lora) for i, s in enumerate(stages))
        return Plan(tuple(made))


@dataclass(frozen=True)
class Layerwise(FreezePolicy):
    """The rate of each stage is `decay` times that of the stage above it; the head has the full rate."""

    decay: float
    narrows = True

    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        last = len(stages)
        return Plan(tuple(StagePlan(name, True, self.decay ** (last - i)) for i, name in enumerate(stages)))


@dataclass(frozen=True)
class Gradual(FreezePolicy):
    """The last stage trains first, and one more below it every `epochs` epochs (Howard and Ruder 2018, section 3.3)."""

    epochs: int
    narrows = True

    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        first = len(stages) - 1 - epoch // self.epochs
        return Plan(tuple(StagePlan(name, i >= first) for i, name in enumerate(stages)))


SMALLER = 0.1
"""The factor that `lpft` applies to every rate once the head is solved."""


@dataclass(frozen=True)
class HeadFirst(FreezePolicy):
    """The head is solved exactly, then everything trains at a tenth of the rate (Kumar et al. 2022,
    arXiv:2202.10054).
    """

    narrows = True
    head_first = True

    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        return Plan(tuple(StagePlan(name, True, SMALLER) for name in stages), SMALLER)


@dataclass(frozen=True)
class Combined(FreezePolicy):
    """Several policies: everything that any choosing policy trains, within the limits of all narrowing ones."""

    parts: tuple[FreezePolicy, ...]

    @property
    def head_first(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(part.head_first for part in self.parts)

    def plan(self, stages: Sequence[str], epoch: int) -> Plan:
        chosen = [part.plan(stages, epoch) for part in self.parts if not part.narrows]
        limits = [part.plan(stages, epoch) for part in self.parts if part.narrows]
        entries = list(_union(chosen).stages) if chosen else [StagePlan(name, trains=True) for name in stages]
        head = max((plan.head_rate for plan in chosen), default=1.0)
        for limit in limits:
            head *= limit.head_rate
            for place, (entry, bound) in enumerate(zip(entries, limit.stages, strict=True)):
                if bound.parameters != ("*",) or bound.lora:
                    raise PluginFault(
                        "A freeze policy that narrows speaks of whole stages; one here names parameters.",
                        "Mend the plugin that brings it, or leave it out of the combination.",
                    )
                entries[place] = replace(entry, trains=entry.trains and bound.trains, rate=entry.rate * bound.rate)
        return Plan(tuple(entries), head)


def _union(plans: Sequence[Plan]) -> Plan:
    """Everything that any of the plans trains. A stage gets the rate of the first plan that trains it as a whole, or
    else at all.
    """
    entries = []
    for together in zip(*(plan.stages for plan in plans), strict=True):
        training = [entry for entry in together if entry.trains]
        if not training:
            entries.append(together[0])
            continue
        widest = next((entry for entry in training if "*" in entry.parameters and not entry.lora), training[0])
        patterns = dict.fromkeys(pattern for entry in training for pattern in entry.parameters)
        kept = ("*",) if "*" in patterns and not widest.lora else tuple(patterns)
        entries.append(replace(widest, parameters=kept, lora=max(entry.lora for entry in training)))
    return Plan(tuple(entries), max(plan.head_rate for plan in plans))


def parse(words: str) -> FreezePolicy:
    """The policy that short words describe.

    Raises `UnknownName` for a name that is not registered, `UsageError` for an argument that the policy refuses.
    """
    parts = []
    for word in words.split("+"):
        name, _, argument = word.strip().partition(":")
        factory = freeze_policy(name).factory
        parts.append(returned(load_factory(factory)(argument), FreezePolicy, factory))
    return parts[0] if len(parts) == 1 else Combined(tuple(parts))


def check_trainable(spec: BackboneSpec, words: str, plans: Iterable[Plan]) -> None:
    """Raises `UsageError` where a policy trains an encoder that has no parameters."""
    if spec.parameters == 0 and not all(plan.all_frozen for plan in plans):
        raise UsageError(
            f"'{spec.name}' has no parameters, so only the head on it can train; the freeze policy '{words}' trains "
            "stages of the encoder.",
            "Write: --freeze head",
        )


class _Argument(NamedTuple):
    """The argument after the colon of a policy, and the errors about it."""

    policy: str
    value: str

    @property
    def words(self) -> str:
        return f"{self.policy}:{self.value}" if self.value else self.policy

    def none(self) -> None:
        if self.value:
            raise UsageError(
                f"The freeze policy '{self.policy}' takes no argument; '{self.value}' was given.",
                f"Write: --freeze {self.policy}",
            )

    def number(self, what: str, example: str, prefix: str = "") -> int:
        text = self.value.removeprefix(prefix)
        if not text.isdecimal() or len(text) > 18 or int(text) < 1:
            raise self.refused(what, example)
        return int(text)

    def refused(self, what: str, example: str) -> UsageError:
        given = f"'{self.value}' was given" if self.value else "nothing was given"
        return UsageError(
            f"The freeze policy '{self.policy}' takes {what}; {given}.", f"Write: --freeze {self.policy}:{example}"
        )


def build_head(argument: str) -> FreezePolicy:
    _Argument("head", argument).none()
    return Choose("head", 0)


def build_all(argument: str) -> FreezePolicy:
    _Argument("all", argument).none()
    return Choose("all")


def build_last(argument: str) -> FreezePolicy:
    given = _Argument("last", argument)
    return Choose(given.words, given.number("a number of stages, 1 or more", "2"))


def build_lpft(argument: str) -> FreezePolicy:
    _Argument("lpft", argument).none()
    return HeadFirst()


def build_gradual(argument: str) -> FreezePolicy:
    return Gradual(_Argument("gradual", argument).number("a number of epochs for each stage, 1 or more", "1"))


def build_layerwise(argument: str) -> FreezePolicy:
    given = _Argument("layerwise", argument)
    try:
        decay = float(argument)
    except ValueError:
        decay = 0.0
    if not 0 < decay <= 1:
        raise given.refused("a decay above 0 and up to 1", "0.9")
    return Layerwise(decay)


FEW = 20.0
"""The rate factor when few parameters train: published rates are 4e-4 and more, against 2e-5 for all of BERT or
RoBERTa (Ben Zaken et al. 2022, arXiv:2106.10199, appendix A; Hu et al. 2022, arXiv:2106.09685, table 9).
"""


def build_bitfit(argument: str) -> FreezePolicy:
    _Argument("bitfit", argument).none()
    return Choose("bitfit", parameters=("*bias",), rate=FEW)


def build_norm(argument: str) -> FreezePolicy:
    _Argument("norm", argument).none()
    return Choose("norm", parameters=(NORMS,), rate=FEW)


def build_lora(argument: str) -> FreezePolicy:
    given = _Argument("lora", argument)
    rank = given.number("a rank, 1 or more", "r=8", prefix="r=")
    return Choose(given.words, parameters=(), rate=FEW, lora=rank)


def build_params(argument: str) -> FreezePolicy:
    given = _Argument("params", argument)
    if not argument:
        raise given.refused("a glob on the names of parameters", "'block1.*'")
    return Choose(given.words, parameters=(argument,))
