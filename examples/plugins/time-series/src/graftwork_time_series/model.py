"""A residual network over time as stages (He et al. 2016, arXiv:1512.03385), to which padding is nothing.

Every convolution sees zeros where nothing is, inside a batch as beyond the end of a series, and layer norm looks at one
position at a time.
"""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from graftwork import Backbone, BackboneSpec, Stage, State, masked_mean


class Convolution(nn.Module):
    """Over the real positions: `(B, T, C)` to `(B, ceil(T / stride), C')`, layer norm at each position after it."""

    def __init__(self, inputs: int, outputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv1d(inputs, outputs, width, stride, padding=width // 2, bias=False)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, state: State) -> State:
        hidden, mask = state.hidden, state.mask
        if mask is not None:
            hidden, mask = hidden.masked_fill(~mask[..., None], 0), mask[:, :: self.stride]
        return State(self.norm(self.convolution(hidden.transpose(1, 2)).transpose(1, 2)), mask)


class Stem(Stage):
    """Values `(B, T)` to `(B, ceil(T / 2), D)`."""

    def __init__(self, width: int) -> None:
        super().__init__("stem")
        self.values = Convolution(1, width, 9, stride=2)

    def forward(self, state: State) -> State:
        made = self.values(State(state.hidden[..., None], state.mask))
        return State(made.hidden.relu(), made.mask)


class Block(Stage):
    """Two convolutions beside a way around them: `(B, T, D)` to `(B, ceil(T / stride), D')`."""

    def __init__(self, name: str, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(name)
        self.first = Convolution(inputs, outputs, 5, stride)
        self.second = Convolution(outputs, outputs, 3)
        self.around = Convolution(inputs, outputs, 1, stride) if (inputs, stride) != (outputs, 1) else nn.Identity()

    def forward(self, state: State) -> State:
        first = self.first(state)
        second = self.second(State(first.hidden.relu(), first.mask))
        return State((second.hidden + self.around(state).hidden).relu(), second.mask)


class ResNet1d(Backbone):
    """pool: the mean over real positions, after any stage."""

    batch_size = 32 * 1024

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> ResNet1d:
    """Build with the weights of the package, or with random ones; `spec.config["widths"]` are D after each stage."""
    stem, *blocks = spec.config["widths"]
    inputs = [stem, *blocks]
    stages: list[Stage] = [Stem(stem)]
    for number, outputs in enumerate(blocks, start=1):
        stages.append(Block(f"block{number}", inputs[number - 1], outputs, stride=2))
    encoder = ResNet1d(spec, stages, [stem, *blocks])
    if weights is not None:
        encoder.load_state_dict(load_file(weights))
    return encoder
