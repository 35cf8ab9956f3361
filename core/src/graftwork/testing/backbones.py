"""What every backbone promises: its spec is true, its stages are all of it, and padding, batches and chance change
nothing."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from graftwork.data.pipeline import Pipeline
from graftwork.errors import GraftworkError, InputMismatch, UsageError, WeightsUnavailable
from graftwork.freeze import freezing
from graftwork.freeze.policies import Plan, StagePlan
from graftwork.models.backbone import Backbone, load_backbone
from graftwork.models.stages import State, fold
from graftwork.plugins import registry
from graftwork.plugins.observing import reader_of
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.contracts import ObservedInput, show
from graftwork.specs.readers import Raw
from graftwork.specs.weights import FolderWeights, NoWeights
from graftwork.testing.cases import Given, Nonconformance, NotChecked, Registered, check, subject
from graftwork.testing.samples import examples, violations

CLOSE = 1e-4
"""How far features may lie apart that ought to be the same, as a part of their greatest number."""
EQUAL = 1e-5
"""The same for what the same library computes."""
SEED = 0


@subject("backbones")
class Encoder(Registered):
    """A backbone under test: built once, with its weights where they are at hand, else with random ones."""

    _held: ClassVar[list[tuple[Encoder, Backbone]]] = []

    def __init__(self, name: str, spec: BackboneSpec, given: Given) -> None:
        super().__init__(name, spec, given)
        self.reference = given.references.get(name)
        self.reason = given.reasons.get(name, "") if name in given.references else ""
        if name in given.weights:
            self.spec = replace(spec, weights=FolderWeights(given.weights[name], spec.weights.size_bytes))
        self.at_hand = self.spec.weights.at_hand

    @property
    def resolved(self) -> bool:
        """Whether a resolver made the spec: what is not known before the weights are here is 0 in it."""
        return ":" in self.name.partition("/")[0]

    def build(self, *, pretrained: bool = True, seed: int = SEED) -> Backbone:
        torch.manual_seed(seed)
        return load_backbone(self.spec, pretrained=pretrained and self.at_hand)

    @property
    def backbone(self) -> Backbone:
        """Built once; the last encoder that was asked for is the only one in memory."""
        if not self._held or self._held[0][0] is not self:
            self._held.clear()  # before another is built beside it
            self._held.append((self, self.build()))
        return self._held[0][1]

    def taken(self) -> Backbone:
        """The one that is built, to do with as a check likes; what asks after it gets another, built like the first."""
        backbone = self.backbone
        self._held.clear()
        return backbone

    @cached_property
    def raws(self) -> list[Raw]:
        return examples(self.spec.modality, 3, self.spec.contract)

    @cached_property
    def values(self) -> list[Any]:
        return [self.read(raw) for raw in self.raws]

    def read(self, raw: Raw) -> Any:
        """The first window of an example, as `fit` would prepare it."""
        modality = registry.modality(self.spec.modality)
        reader = reader_of(modality, self.spec.contract.facts)
        observed = modality.observed("the sample", [(raw.name, reader.facts(raw))])
        agreement = registry.agree_on(self.spec, observed)
        return Pipeline(self.spec.contract, agreement, modality)(raw)[0].value

    def prepare(self, values: Sequence[Any], backbone: Backbone | None = None) -> State:
        try:
            return (backbone or self.backbone).prepare(list(values))
        except (UsageError, WeightsUnavailable) as error:
            if self.at_hand:
                raise
            raise NotChecked(f"Without its weights '{self.name}' prepares nothing: {error.message}") from error

    def features(self, values: Sequence[Any], backbone: Backbone | None = None) -> list[Tensor]:
        """Pooled features of examples after every stage."""
        backbone = backbone or self.backbone
        return self.folded(self.prepare(values, backbone), backbone)

    def folded(self, state: State, backbone: Backbone) -> list[Tensor]:
        """Pooled features of a prepared batch after every stage."""
        found = []
        with torch.inference_mode():
            for stage in backbone.stages():
                state = stage(state)
                found.append(backbone.pool(state))
        return found

    def plan(self, *trains: str) -> Plan:
        return Plan(tuple(StagePlan(stage, stage in trains) for stage in self.spec.stages))


def apart(one: Tensor, other: Tensor) -> float:
    """The greatest difference, as a part of the greatest number."""
    return float((one - other).abs().max()) / max(1e-6, float(other.abs().max()))


@check("backbones")
def the_spec_says_all(encoder: Encoder) -> None:
    spec = encoder.spec
    for item in ("license", "source", "pretrained_on"):
        if not getattr(spec, item).strip():
            raise Nonconformance(f"'{spec.name}' says no {item}.", f"Write BackboneSpec({item}=...).")
    counted = {"feature_dim": 1} if encoder.resolved else {"parameters": 0, "feature_dim": 1}
    for item, least in counted.items():
        if (found := getattr(spec, item)) is None or found < least:
            raise Nonconformance(f"'{spec.name}' says {item}={found}.", "Count them.")
    if spec.weights.size_bytes <= 0 and not (encoder.resolved or isinstance(spec.weights, NoWeights)):
        raise Nonconformance(
            f"'{spec.name}' does not say how large its weights are.", "Give its weights their size_bytes."
        )
    if len(set(spec.stages)) != len(spec.stages) or not spec.stages:
        raise Nonconformance(f"The stages of '{spec.name}' are {spec.stages}.", "Give each a name of its own.")
    modality, slash, name = spec.name.partition("/")
    if encoder.resolved:
        return
    if not slash or modality != spec.modality or not name:
        raise Nonconformance(
            f"'{spec.name}' reads {spec.modality} and is not called so.", f"Call it '{spec.modality}/NAME'."
        )


@check("backbones")
def the_size_of_its_weights_is_true(encoder: Encoder) -> None:
    if isinstance(encoder.spec.weights, NoWeights):
        raise NotChecked(f"'{encoder.name}' has no weights.")
    found = encoder.spec.weights.find()
    if found is None:
        raise NotChecked(f"The weights of '{encoder.name}' are not on this machine.")
    if encoder.resolved and not encoder.spec.weights.size_bytes:
        raise NotChecked(f"'{encoder.name}' does not say how large its weights are, as the specs of resolvers may.")
    files = [found] if found.is_file() else [file for file in found.rglob("*") if file.suffix in WEIGHTS]
    taken = sum(file.stat().st_size for file in files)
    if not 0.9 * taken <= encoder.spec.weights.size_bytes <= 1.1 * taken:
        raise Nonconformance(
            f"The weights of '{encoder.name}' take {show(taken)} bytes, and its spec says "
            f"{show(encoder.spec.weights.size_bytes)}.",
            f"Write size_bytes={taken}.",
        )


WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".npz")


@check("backbones")
def its_stages_own_every_parameter_once(encoder: Encoder) -> None:
    backbone = encoder.backbone
    owners: dict[int, list[str]] = {}
    for stage in backbone.stages():
        for name, parameter in stage.named_parameters():
            owners.setdefault(id(parameter), []).append(f"{stage.name}.{name}")
    for names in owners.values():
        if len(names) > 1:
            raise Nonconformance(
                f"The stages of '{encoder.name}' own a parameter {len(names)} times: {', '.join(names)}.",
                "Let one stage own it.",
            )
    for name, parameter in backbone.named_parameters():
        if id(parameter) not in owners:
            raise Nonconformance(
                f"The parameter '{name}' of '{encoder.name}' belongs to no stage, so nothing freezes or trains it.",
                "Put its module into the stage that uses it.",
            )
    count = sum(parameter.numel() for parameter in backbone.parameters())
    if count != encoder.spec.parameters and not (encoder.resolved and encoder.spec.parameters == 0):
        raise Nonconformance(
            f"The stages of '{encoder.name}' own {show(count)} numbers, and its spec says {encoder.spec.parameters}.",
            f"Write parameters={count}, if no module of the library's model was left out.",
        )


@check("backbones")
def its_feature_sizes_are_true_at_every_tap(encoder: Encoder) -> None:
    for tap, features in enumerate(encoder.features(encoder.values)):
        stage, wanted = encoder.spec.stages[tap], (len(encoder.values), encoder.backbone.feature_dim(tap))
        if tuple(features.shape) != wanted or features.dtype != torch.float32:
            raise Nonconformance(
                f"After the stage '{stage}' of '{encoder.name}' pool gives {tuple(features.shape)} "
                f"{str(features.dtype).removeprefix('torch.')}; promised is {wanted} float32.",
                "Mend dims in the call of Backbone.__init__, or pool.",
            )
        if not bool(features.isfinite().all()):
            raise Nonconformance(
                f"After the stage '{stage}' of '{encoder.name}' features are not finite.",
                "Look at pool and at prepare.",
            )
    if encoder.backbone.feature_dim(len(encoder.spec.stages) - 1) != encoder.spec.feature_dim:
        raise Nonconformance(
            f"The last features of '{encoder.name}' have {encoder.backbone.dims[-1]} numbers, and its spec says "
            f"{encoder.spec.feature_dim}.",
            f"Write feature_dim={encoder.backbone.dims[-1]}.",
        )


@check("backbones")
def folding_is_the_librarys_own_forward(encoder: Encoder) -> None:
    backbone, batch = encoder.backbone, encoder.prepare(encoder.values)
    with torch.inference_mode():
        folded, whole = fold(backbone.stages(), batch), backbone(batch)
    if not torch.equal(folded.hidden, whole.hidden):
        raise Nonconformance(
            f"'{encoder.name}' called is not '{encoder.name}' folded over its stages.", "Leave Backbone.forward alone."
        )
    if encoder.reference is None:
        if encoder.reason:
            return
        raise NotChecked(
            f"No reference is given for '{encoder.name}': write conformance(..., references=...); "
            "where there is no such library, None, and reasons={...: 'why'}."
        )
    torch.manual_seed(SEED)
    with torch.inference_mode():
        theirs = encoder.reference(backbone, encoder.values)
    ours = folded.hidden
    if theirs.ndim == 2:
        ours, folded = backbone.pool(folded), State(ours)
    if tuple(theirs.shape) != tuple(ours.shape):
        raise Nonconformance(
            f"The library's forward gives {tuple(theirs.shape)} where '{encoder.name}' folds to {tuple(ours.shape)}.",
            "Look for a stage that is missing or one too many.",
        )
    if folded.mask is not None:
        ours, theirs = ours[folded.mask], theirs[folded.mask]
    if (far := apart(ours, theirs)) > EQUAL:
        raise Nonconformance(
            f"Folding the stages of '{encoder.name}' differs from the library's own forward by {far:.1e} of the "
            "greatest "
            f"number.",
            f"Compare stage by stage; at most {EQUAL:.0e} is accepted.",
        )


@check("backbones")
def an_example_is_the_same_alone_and_in_a_batch(encoder: Encoder) -> None:
    together = encoder.features(encoder.values)
    for row, value in enumerate(encoder.values):
        for tap, features in enumerate(encoder.features([value])):
            if (far := apart(features[0], together[tap][row])) > CLOSE:
                raise Nonconformance(
                    f"After the stage '{encoder.spec.stages[tap]}' of '{encoder.name}' an example in a batch "
                    "differs from "
                    f"the same alone by {far:.1e} of the greatest number.",
                    "Let no stage look at other rows or at padding: masked attention, statistics per example, "
                    "masked pool.",
                )


@check("backbones")
def padding_changes_nothing(encoder: Encoder) -> None:
    backbone = encoder.backbone
    batch = encoder.prepare(encoder.values)
    if batch.mask is None or batch.hidden.ndim < 2:
        raise NotChecked(f"'{encoder.name}' reads batches without padding.")
    more = batch.hidden.shape[1] // 2 + 1
    widths = [0] * 2 * (batch.hidden.ndim - 2)
    junk = torch.nn.functional.pad(batch.hidden, (*widths, 0, more))
    mask = torch.nn.functional.pad(batch.mask, (0, more))
    if junk.is_floating_point():
        junk = torch.where(mask.reshape(*mask.shape, *[1] * (junk.ndim - 2)), junk, torch.full_like(junk, 3.0))
    padded = State(junk, mask)
    state = batch
    with torch.inference_mode():
        for stage in backbone.stages():
            state, padded = stage(state), stage(padded)
            if (far := apart(backbone.pool(padded), backbone.pool(state))) > CLOSE:
                raise Nonconformance(
                    f"More padding changes the features of '{encoder.name}' after the stage '{stage.name}' by "
                    f"{far:.1e} of "
                    "the greatest number.",
                    "Let that stage pay heed to State.mask, and pass on the mask of what it makes.",
                )


@check("backbones")
def evaluation_has_no_chance_in_it(encoder: Encoder) -> None:
    torch.manual_seed(1)
    first = encoder.features(encoder.values)
    torch.manual_seed(2)
    for tap, (one, other) in enumerate(zip(first, encoder.features(encoder.values), strict=True)):
        if not torch.equal(one, other):
            raise Nonconformance(
                f"Two passes through '{encoder.name}' in evaluation mode differ after the stage "
                f"'{encoder.spec.stages[tap]}'.",
                "Turn dropout, sampling and other chance off unless self.training is true.",
            )


@check("backbones")
def what_is_saved_is_loaded(encoder: Encoder) -> None:
    batch = encoder.prepare(encoder.values)  # which one without weights may not be able to
    right = encoder.folded(batch, encoder.backbone)
    copied = copy.deepcopy(encoder.backbone)
    if apart(encoder.features(encoder.values, copied)[-1], right[-1]) > EQUAL:
        raise Nonconformance(
            f"A deep copy of '{encoder.name}' computes otherwise.", "Hold no state outside its modules."
        )
    del copied
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "saved.safetensors"
        try:
            save_file({name: tensor.contiguous() for name, tensor in encoder.taken().state_dict().items()}, file)
            other = encoder.build(pretrained=False, seed=SEED + 1)
            _load(other, file)
        except RuntimeError as error:
            raise Nonconformance(
                f"The tensors of '{encoder.name}' cannot be saved and loaded: {str(error).splitlines()[0]}.",
                "Let no two tensors share memory, and build the same modules with and without weights.",
            ) from error
    for tap, features in enumerate(encoder.folded(batch, other.eval())):
        if (far := apart(features, right[tap])) > EQUAL:
            raise Nonconformance(
                f"'{encoder.name}' saved and loaded differs after the stage '{encoder.spec.stages[tap]}' by {far:.1e}.",
                "Keep all that computes in parameters and buffers that are saved.",
            )


def _load(backbone: Backbone, file: Path) -> None:
    """Load a file stage by stage, so that it is never in memory whole. Raises `RuntimeError` where it does not fit."""
    with safe_open(file, "pt") as tensors:
        names = sorted(tensors.keys())
    if other := set(names) ^ set(backbone.state_dict()):
        raise RuntimeError(f"'{min(other)}' is in one of the two alone")
    for _, part in groupby(names, lambda name: name.split(".")[:2]):
        with safe_open(file, "pt") as tensors:
            backbone.load_state_dict({name: tensors.get_tensor(name) for name in part}, strict=False)


@check("backbones")
def its_contract_is_what_it_prepares(encoder: Encoder) -> None:
    spec, backbone = encoder.spec, encoder.backbone
    modality = registry.modality(spec.modality)
    reader = reader_of(modality, spec.contract.facts)
    with contextlib.suppress(InputMismatch):  # which is looked at below
        encoder.prepare(encoder.values)
    for raw in encoder.raws:
        unmet = [
            fact
            for fact, wanted in spec.contract.facts.items()
            if wanted.demands and not wanted.allows(reader.facts(raw)[fact])
        ]
        if unmet:
            raise NotChecked(f"No sample of {spec.modality} meets the {unmet[0]} that '{spec.name}' wants.")
        try:
            backbone.prepare([reader.decode(raw)])
        except Exception as error:
            raise Nonconformance(
                f"'{spec.name}' cannot prepare an example that meets its contract: {error}",
                "Let contract and prepare ask for the same.",
            ) from error
    for fact, value, raw in violations(modality, spec.contract):
        as_it_is = reader.decode(raw)
        try:
            converted = encoder.read(raw)
        except GraftworkError:
            converted = None
        try:
            state = backbone.prepare([as_it_is])
        except GraftworkError:
            continue
        except Exception as error:
            raise Nonconformance(
                f"Given an example whose {fact} is {show(value)}, prepare of '{spec.name}' ends in "
                f"{type(error).__name__}: {error}.",
                "Raise InputMismatch there, in one sentence.",
            ) from error
        right = None if converted is None else backbone.prepare([converted])
        if right is None or right.hidden.shape != state.hidden.shape or apart(state.hidden, right.hidden) > CLOSE:
            raise Nonconformance(
                f"prepare of '{spec.name}' takes an example whose {fact} is {show(value)} in silence, which its "
                "contract "
                f"excludes ({spec.contract.facts[fact]}), and makes other numbers of it.",
                "Raise InputMismatch in prepare, or mend the contract.",
            )


@check("backbones")
def data_that_do_not_fit_are_refused(encoder: Encoder) -> None:
    spec = encoder.spec
    other = ObservedInput("another kind", "column 'x'", 3)
    try:
        registry.agree_on(spec, other)
    except InputMismatch:
        pass
    else:
        raise Nonconformance(f"'{spec.name}' agrees to read another modality.", "Leave agreement to graftwork.")
    modality = registry.modality(spec.modality)
    missing = [
        name for name, wanted in spec.contract.facts.items() if name not in {fact.name for fact in modality.facts}
    ]
    if missing:
        raise Nonconformance(
            f"'{spec.name}' asks for the fact '{missing[0]}', which the modality '{modality.name}' does not observe.",
            f"It observes {', '.join(fact.name for fact in modality.facts) or 'none'}.",
        )
    try:
        spec.contract.as_json()
    except TypeError as error:
        raise Nonconformance(
            f"The preparation of '{spec.name}' cannot be written down: {error}.", "Use numbers, words and lists."
        ) from error


@check("backbones")
def gradients_reach_what_trains_and_nothing_else(encoder: Encoder) -> None:
    if encoder.spec.parameters == 0:
        raise NotChecked(f"'{encoder.name}' has no parameters.")
    backbone = encoder.taken()
    last = encoder.spec.stages[-1]
    finite: dict[int, bool] = {}

    def look(parameter: Tensor) -> None:  # and let go, so that gradients never stand beside each other
        assert parameter.grad is not None
        grad = torch.view_as_real(parameter.grad) if parameter.grad.is_complex() else parameter.grad
        finite[id(parameter)] = not grad.numel() or all(bool(end.isfinite()) for end in grad.aminmax())
        parameter.grad = None

    for parameter in backbone.parameters():
        parameter.requires_grad_(True).register_post_accumulate_grad_hook(look)
    for trains in (tuple(encoder.spec.stages), (last,)):
        freezing.apply(encoder.plan(*trains), backbone.stages())
        finite.clear()
        batch = encoder.prepare(encoder.values, backbone)
        features = backbone.features(batch, len(encoder.spec.stages) - 1)
        if not features.requires_grad:
            raise Nonconformance(
                f"No gradient comes back through '{encoder.name}'.", "Use no torch.no_grad and no detach in its stages."
            )
        # Weighted by chance: a sum of normalised features may have no gradient.
        generator = torch.Generator().manual_seed(SEED)
        (features * torch.randn(features.shape, generator=generator)).sum().backward()
        for stage in backbone.stages():
            for name, parameter in stage.named_parameters():
                reached = id(parameter) in finite
                if reached != (stage.name in trains):
                    raise Nonconformance(
                        f"The parameter '{stage.name}.{name}' of '{encoder.name}' "
                        + ("has a gradient though it is frozen." if reached else "has no gradient though it trains."),
                        "Drop it if nothing uses it, and detach nothing on its way; leave requires_grad to the policy.",
                    )
                if reached and not finite[id(parameter)]:
                    raise Nonconformance(
                        f"The gradient of '{stage.name}.{name}' of '{encoder.name}' is not finite.",
                        "Look at its stage.",
                    )


@check("backbones")
def frozen_stages_stand_still(encoder: Encoder) -> None:
    backbone = encoder.taken()
    stages, last = backbone.stages(), encoder.spec.stages[-1]
    before = freezing.stage_digests(stages)
    plan = encoder.plan() if encoder.spec.parameters == 0 else encoder.plan(last)
    backbone.train()
    freezing.apply(plan, stages)
    moving = {name: freezing.may_move(found) for name, found in freezing.trained(plan, stages).items()}
    training = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    if training:
        features = backbone.features(encoder.prepare(encoder.values, backbone), len(stages) - 1)
        generator = torch.Generator().manual_seed(SEED)
        (features * torch.randn(features.shape, generator=generator)).sum().backward()
        with torch.no_grad():  # a step of SGD; torch's own would load its compiler first
            for parameter in training:
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
                    parameter.grad = None
    encoder.features(encoder.values, backbone.eval())
    leaked = freezing.certificate(moving, before, freezing.stage_digests(stages))["leaked"]
    if leaked:
        raise Nonconformance(
            f"'{leaked[0]}' of '{encoder.name}' was frozen and changed in a step.",
            "Change buffers only where self.training is true, and through layers that keep running statistics.",
        )
