"""What a network is pretrained for: a loss over batches, and the two objectives that every network can have.

`Supervised` learns the labels of a source task; `Distill` learns to say what another encoder says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graftwork.errors import DataError, UsageError
from graftwork.features.activation_cache import ActivationCache
from graftwork.features.examples import Batch, Examples
from graftwork.features.extraction import Cache, Extractor
from graftwork.models.backbone import Backbone
from graftwork.models.stages import State, fold
from graftwork.specs.modality import Modality
from graftwork.tasks.task import Targets, Task

SCALER_EXAMPLES = 512
"""How many examples a teacher's scale is taken from."""


@dataclass(frozen=True)
class Teacher:
    """A frozen encoder to learn from. taps: stages by number; cache: where what it says of examples is kept."""

    backbone: Backbone
    taps: Sequence[int]
    examples: Examples
    cache: Cache


@dataclass(frozen=True)
class Labels:
    """The labels of a source task. targets: a row for each example, by number."""

    task: Task
    targets: Targets


@dataclass(frozen=True)
class Given:
    """What an objective works with.

    backbone: the network, with random weights, and folder: it in hub layout. examples: all of them, train and
    validation: the numbers of those to train on and to judge by. labels: what they are, for objectives that learn them.
    change: the training examples as an epoch shows them. device: where the network is.
    """

    backbone: Backbone
    folder: Path
    modality: Modality
    examples: Examples
    train: Sequence[int]
    validation: Sequence[int]
    device: torch.device
    labels: Labels | None
    teacher: Teacher | None
    change: Callable[[int], Examples] | None


class Objective(nn.Module, ABC):
    """A network under training. Its parameters are all that is trained; chance is torch's, which each step seeds anew.

    `load` runs in threads beside the last step, `loss` under automatic mixed precision.
    """

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.given = given

    def begin(self) -> None:
        """Called once before the first step, when the network is on its device."""

    def load(self, numbers: Sequence[int], epoch: int | None) -> Any:
        """What `loss` takes of these examples; as they are where there is no epoch. The default is their `Batch`."""
        given = self.given
        examples = given.examples if epoch is None or given.change is None else given.change(epoch)
        return examples.batch(numbers)

    @abstractmethod
    def loss(self, loaded: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """The mean loss `()` of what was loaded, and other figures of it by name."""

    @abstractmethod
    def hub_state(self) -> dict[str, Tensor]:
        """The weights of the network alone, by their names in hub layout."""


class OfBackbone(Objective):
    """An objective that trains the stages of a backbone."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.backbone = given.backbone

    def states(self, batch: Batch) -> State:
        """What the last stage makes of a batch; a row is an example, or a window of one."""
        batch = batch.to(self.given.device)
        return fold(self.backbone.stages(), batch.state)

    def pooled(self, batch: Batch) -> Tensor:
        """`(B, D)`: of examples with windows, the mean over them."""
        found = self.backbone.pool(self.states(batch))
        if batch.example_index is None or batch.window_weight is None:
            return found
        example_index, window_weight = batch.example_index.to(found.device), batch.window_weight.to(found.device)
        total = torch.zeros(len(batch), found.shape[1], dtype=found.dtype, device=found.device)
        return total.index_add(0, example_index, found * window_weight[:, None])

    def hub_state(self) -> dict[str, Tensor]:
        return self.backbone.hub_state()


class Supervised(OfBackbone):
    """A head on the pooled features says the label; the loss is the task's."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        assert given.labels is not None, "an objective that is declared to want labels"
        self.task, self.targets = given.labels.task, given.labels.targets
        self.head = self.task.head(given.backbone.feature_dim(-1), self.targets)

    def loss(self, loaded: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        outputs = self.head(self.pooled(loaded)).float()
        targets = self.targets.values[loaded.examples].to(outputs.device)
        loss = self.task.loss(outputs, targets).mean()
        if self.training:
            return loss, {}
        primary = self.task.primary.name
        return loss, {primary: self.task.metrics(outputs.detach().cpu(), targets.cpu(), self.targets)[primary]}


class Distill(OfBackbone):
    """A linear layer says what the teacher's stages make of the example, every number of it scaled to mean 0 and
    deviation 1; mean squared error, so that 1 - loss is the part of its variance that is explained.

    Where encoders of the modality run over the same time, state by state (the teacher's resampled to the student's
    frames by linear interpolation); else the pooled features. The student sees changed examples where there is
    augmentation, the teacher never (Hinton et al. 2015, arXiv:1503.02531; state by state as in DistilHuBERT,
    arXiv:2110.01900).
    """

    scale: Tensor

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        teacher = given.teacher
        if teacher is None:
            raise UsageError("The objective 'distill' learns from an encoder, and none is named.", "Add --teacher NAME")
        self.teacher = teacher
        self.projection = nn.Linear(*self._widths())
        self.register_buffer("scale", torch.zeros(2, self.projection.out_features))

    def _widths(self) -> tuple[int, int]:
        """How many numbers the network says and the teacher: pooled, or of a state, which pooling need not keep."""
        given, teacher = self.given, self.teacher
        if not given.modality.frames_aligned:
            return given.backbone.feature_dim(-1), sum(teacher.backbone.feature_dim(tap) for tap in teacher.taps)
        one, training = given.train[:1], given.backbone.training
        with torch.inference_mode():
            ours = fold(given.backbone.eval().stages(), given.examples.batch(one).state)
            theirs = self._teacher_states(teacher.examples.batch(one).state)
        given.backbone.train(training)
        return ours.hidden.shape[-1], theirs.hidden.shape[-1]

    def begin(self) -> None:
        given, teacher = self.given, self.teacher
        teacher.backbone.to(given.device)
        numbers = sorted([*given.train, *given.validation])
        if given.modality.frames_aligned:
            self._kept = self._states(numbers)
        else:
            self._rows = {number: row for row, number in enumerate(numbers)}
            self._features = torch.cat([self._pooled(tap, numbers) for tap in teacher.taps], 1)
        values = _real(self._said(list(given.train)[:: max(1, len(given.train) // SCALER_EXAMPLES)])).float()
        self.scale.data = torch.stack([values.mean(0), values.std(0).clamp_min(1e-6)]).to(given.device)
        teacher.backbone.to("cpu")

    def load(self, numbers: Sequence[int], epoch: int | None) -> Any:
        return super().load(numbers, epoch), self._said(numbers)

    def loss(self, loaded: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        batch, said = loaded[0], loaded[1].to(self.given.device)
        if self.given.modality.frames_aligned:
            ours = self.states(batch)
            projected, wanted = self.projection(_real(ours)), _real(resample_to(said, ours))
        else:
            projected, wanted = self.projection(self.pooled(batch)), said.hidden
        loss = (projected.float() - (wanted.float() - self.scale[0]) / self.scale[1]).square().mean()
        return loss, {"explained": 1 - float(loss.detach())}

    def _said(self, numbers: Sequence[int]) -> State:
        """What the teacher says of these examples: states `(B, T, D)`, or `(B, D)`."""
        if self.given.modality.frames_aligned:
            return self._kept.batch(numbers).state
        return State(self._features[[self._rows[number] for number in numbers]])

    def _states(self, numbers: Sequence[int]) -> ActivationCache:
        """Raises `UsageError` where there is no room for them."""
        given, teacher = self.given, self.teacher

        def run(batch: Batch) -> State:
            with torch.inference_mode():
                return self._teacher_states(batch.to(given.device).state).to("cpu")

        names = ", ".join(teacher.backbone.spec.stages[tap] for tap in teacher.taps)
        kept = ActivationCache(
            teacher.cache,
            teacher.examples,
            max(teacher.taps) + 1,
            run,
            "fp32",
            given.device,
            what=f"states after {names}",
        )
        if why := kept.precompute(numbers, ()):
            raise UsageError(why.replace(", so what is frozen runs in every epoch", ""), "Name fewer stages.")
        return kept

    def _teacher_states(self, state: State) -> State:
        """The states after the teacher's taps, side by side `(B, T, D)`."""
        found: list[Tensor] = []
        for place, stage in enumerate(self.teacher.backbone.stages()[: max(self.teacher.taps) + 1]):
            state = stage(state)
            found += [state.hidden] * self.teacher.taps.count(place)
        return State(torch.cat(found, -1), state.mask)

    def _pooled(self, tap: int, numbers: list[int]) -> Tensor:
        """Features `(N, D)` of these examples, whose numbers ascend. Raises `DataError` where one is gone."""
        teacher = self.teacher
        extractor = Extractor(
            teacher.backbone, tap=tap, precision="fp32", device=self.given.device, cache=teacher.cache
        )
        found = extractor(teacher.examples, numbers)
        if found.bad:
            _, bad = found.bad[0]
            raise DataError(bad.reason, "It could be read when the command began; run it again.")
        return found.values


def resample_to(state: State, to: State) -> State:
    """Sequences `(B, T, D)` over the same time as others `(B, T', D')`, at the places of the latter's frames."""
    hidden, frames = state.hidden.float(), to.hidden.shape[1]
    theirs = _lengths(state)[:, None].to(hidden.device)
    ours = _lengths(to)[:, None].to(hidden.device)
    places = (torch.arange(frames, device=hidden.device)[None] + 0.5) * theirs / ours - 0.5
    places = places.clamp_min(0).minimum(theirs - 1)  # frames that are padding lie beyond the others
    low = places.long()
    high = torch.minimum(low + 1, theirs.long() - 1)
    rows = torch.arange(len(hidden), device=hidden.device)[:, None]
    part = (places - low)[..., None]
    return State(hidden[rows, low] * (1 - part) + hidden[rows, high] * part, to.mask)


def _lengths(state: State) -> Tensor:
    rows, frames = state.hidden.shape[:2]
    return torch.full((rows,), frames) if state.mask is None else state.mask.sum(1)


def _real(state: State) -> Tensor:
    """The frames that are not padding, `(N, D)`."""
    return state.hidden.flatten(0, -2) if state.mask is None else state.hidden[state.mask]
