"""The encoder interface: prepare, stages, pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graftwork.errors import GraftworkError, PluginFault, UsageError, WeightsMismatch
from graftwork.models.pretrained import hub_state
from graftwork.models.stages import Stage, State, fold
from graftwork.models.views import MapView, SequenceView, pyramid_of
from graftwork.models.weight_files import failure_reason
from graftwork.plugins.registry import modality, preparer
from graftwork.specs import pretraining_card
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.factories import load_factory
from graftwork.specs.readers import Window
from graftwork.specs.returns import Checked, returned
from graftwork.specs.weights import NoWeights


class Backbone(Checked, nn.Module, ABC, returns={"prepare": (State,), "pool": (Tensor,)}):
    """A pretrained encoder as an ordered list of stages that together own every parameter exactly once.

    spec: its description; `spec.stages` must be the names of `stages`, in order.
    stages: input to output.
    dims: D of the pooled features after each stage.
    library: another library's model whose modules the stages hold; give it if it names its weights as in hub layout.
    batch_size: the size of a batch on a CPU, in the unit of `measure` (tokens) or of the reader's `size` (images,
    samples).
    measures: whether `measure` gives a better size than the reader's `size` (tokens), and values are cheap to read for
    it; examples of similar size share a batch.
    channels_last: whether its convolutions run faster with channels last in memory (depthwise ones do).
    replayable: whether its stages do the same for all batches of one shape: no step of theirs depends on a number in a
    tensor, or on what the program counted or drew; a GPU may then replay the kernels of a training step.
    """

    batch_size: ClassVar[int] = 8
    measures: ClassVar[bool] = False
    channels_last: ClassVar[bool] = False
    replayable: ClassVar[bool] = False

    def __init__(
        self, spec: BackboneSpec, stages: Sequence[Stage], dims: Sequence[int], *, library: nn.Module | None = None
    ) -> None:
        super().__init__()
        names = tuple(stage.name for stage in stages)
        if names != tuple(spec.stages) or len(dims) != len(names):
            raise PluginFault(
                f"Backbone '{spec.name}' declares the stages {', '.join(spec.stages)} and builds {', '.join(names)} "
                f"with {len(dims)} feature sizes.",
                "Mend the spec or the build function of its plugin.",
            )
        self.spec = spec
        self.dims = tuple(dims)
        self._stages = nn.ModuleList(stages)
        self._prepare = None
        self._library = (library,)  # in a tuple, so that torch does not register its parameters twice

    def prepare(self, values: list[Any]) -> State:
        """Turn decoded examples that meet the contract into a batch: the state before the first stage.

        The default is the modality's standard preparation, made for this spec.
        """
        if self._prepare is None:
            self._prepare = preparer(self.spec)
        return returned(self._prepare(values), State, modality(self.spec.modality).preparer)

    def windows(self, value: Any) -> list[Window]:
        """The windows of a value that is longer than the encoder reads at once; the value alone if it fits.

        For encoders whose limit shows only when the value is prepared (tokens); a limit in the contract (seconds) is
        met by a converter that splits. `prepare` must truncate a value that it gets whole.
        """
        return [Window(value, 1.0)]

    def measure(self, values: list[Any]) -> list[int]:
        """The size of the computation for each value; used instead of the reader's `size` if `measures` is true."""
        return [1] * len(values)

    def survey(self, values: list[Any]) -> tuple[Sequence[int], Mapping[str, Sequence[float]]]:
        """The sizes that `measure` gives, and for each defect that the encoder measures (tokens that it does not know)
        the share of each value, 0..1, in the same pass. The modality declares the defects; `truncated` is not among
        them, since `windows` tells it. Called only if `measures` is true.
        """
        return self.measure(values), {}

    def stages(self) -> list[Stage]:
        return list(self._stages)  # pyright: ignore[reportReturnType]

    @abstractmethod
    def pool(self, state: State) -> Tensor:
        """One vector per example, `(B, D)` float32, from the state after any stage; padding never counts."""

    # What heads read beside the pooled vector, of encoders whose spec names the view. `batch` is what `prepare` made of
    # `values`, and `state` what the stages up to any one made of it.

    def sequence(self, values: list[Any], batch: State, state: State) -> SequenceView:
        """The view `sequence`: a vector for each position, and where it lies in the input.

        Raises `UsageError` for an encoder without it.
        """
        raise self._without("sequence")

    def map(self, batch: State, state: State) -> MapView:
        """The view `map`: a vector for each position of an image.

        Raises `UsageError` for an encoder without it, and for a stage that keeps no positions.
        """
        raise self._without("map")

    def pyramid(self, batch: State, tap: int) -> dict[int, MapView]:
        """The view `pyramid`: a map at each of the strides 4, 8, 16 and 32, of the last stage up to `tap` that has it;
        see `graftwork.models.views.pyramid_of` for strides that no stage has.

        Raises `UsageError` for an encoder without it.
        """
        if "pyramid" not in self.spec.views:
            raise self._without("pyramid")
        maps, state = {}, batch
        for stage in self.stages()[: tap + 1]:
            state = stage(state)
            if state.hidden.ndim > 2:
                view = self.map(batch, state)
                maps[view.stride] = view
        return pyramid_of(maps, batch.hidden)

    def _without(self, view: str) -> UsageError:
        return UsageError(
            f"'{self.spec.name}' has no view '{view}'; it gives {', '.join(self.spec.views)}.",
            "Choose another encoder: graftwork backbones",
        )

    def hub_state(self) -> dict[str, Tensor]:
        """The weights by their names in hub layout. Raises `PluginFault` if the plugin does not give the names."""
        (library,) = self._library
        if library is None:
            raise PluginFault(
                f"Backbone '{self.spec.name}' does not say what its weights are called in hub layout.",
                "Choose another architecture, or give its class 'hub_state'.",
            )
        return hub_state(library)

    def tap(self, word: str) -> int:
        """The index of the stage that `word` names, see `BackboneSpec.tap`."""
        return self.spec.tap(word)

    def feature_dim(self, *taps: int) -> int:
        """D of the pooled features `(B, D)` after a stage, or of those of several joined."""
        return sum(self.dims[tap] for tap in taps)

    def features(self, batch: State, tap: int) -> Tensor:
        """Pooled features `(B, D)` of a prepared batch after stage `tap`."""
        return self.pool(fold(self.stages()[: tap + 1], batch))

    def forward(self, batch: State) -> State:
        """The state after the last stage."""
        return fold(self.stages(), batch)


def load_backbone(spec: BackboneSpec, *, pretrained: bool = True) -> Backbone:
    """Build the backbone of a spec, in evaluation mode and float32, with its pretrained weights (or random ones).

    Raises `WeightsUnavailable` if the weights cannot be had, `WeightsMismatch` if they differ from the card beside them
    or are not finite, `PluginFault` if its plugin fails, or has parameters where its spec says that there are none.
    """
    without = isinstance(spec.weights, NoWeights)
    weights = spec.weights.obtain(spec.name) if pretrained and not without else None
    if weights is not None and weights.is_dir():
        pretraining_card.verify(weights)
    build = load_factory(spec.factory)
    try:
        backbone = build(spec, weights)
    except (GraftworkError, KeyboardInterrupt):
        raise
    except BaseException as error:  # libraries raise anything for weights that are damaged or of another model
        raise PluginFault(
            f"Backbone '{spec.name}' cannot be built from {spec.weights.describe()}: {failure_reason(error)}.",
            "Update the plugin."
            if without
            else "If the weights are damaged, delete them so that they are fetched again; else update the plugin.",
        ) from error
    if not isinstance(backbone, Backbone):
        raise PluginFault(
            f"'{spec.factory}' built a {type(backbone).__name__} for '{spec.name}', not a graftwork.Backbone.",
            "Mend the build function of its plugin.",
            factory=spec.factory,
        )
    found = next(iter(backbone.named_parameters()), None) if spec.parameters == 0 else None
    if found is not None:
        says = "NoWeights(), so parameters=0" if without else "parameters=0"
        raise PluginFault(
            f"Backbone '{spec.name}' says {says}, and what '{spec.factory}' built has the parameter '{found[0]}'.",
            "Make fixed numbers buffers (register_buffer); for learned ones name the weights and count them.",
            factory=spec.factory,
        )
    if weights is not None and (name := _not_finite(backbone)):
        raise WeightsMismatch(
            f"The weights of '{spec.name}' hold numbers that are not finite, in '{name}'.",
            "Delete them so that they are fetched again, or train the encoder anew.",
        )
    return backbone.eval().to(torch.float32)


def _not_finite(backbone: nn.Module) -> str:
    """The name of the first parameter that has NaN or an infinite number; empty for none. A sum shows if one may."""
    with torch.no_grad():
        for name, tensor in backbone.named_parameters():
            if not bool(tensor.sum().isfinite()) and not bool(tensor.isfinite().all()):
                return name
    return ""
