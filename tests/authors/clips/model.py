"""Each frame for itself, then each with the frames around it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from graftwork import Backbone, BackboneSpec, InputMismatch, Stage, State, masked_mean


class Frames(Stage):
    def __init__(self) -> None:
        super().__init__("frames")
        self.pixels = nn.Linear(64, 16)

    def forward(self, state: State) -> State:
        return State(self.pixels(state.hidden), state.mask)


class Motion(Stage):
    def __init__(self) -> None:
        super().__init__("motion")
        self.around = nn.Conv1d(16, 16, 3, padding=1)

    def forward(self, state: State) -> State:
        hidden = state.hidden if state.mask is None else state.hidden * state.mask[..., None]
        return State(hidden + self.around(hidden.transpose(1, 2)).transpose(1, 2).tanh(), state.mask)


class Clips(Backbone):
    def prepare(self, values: list[np.ndarray]) -> State:
        """Clips to grey frames of 8 x 8 pixels, `(B, T, 64)`, with a mask."""
        size = self.spec.preparation["size"]
        if any(len(value) < 2 for value in values):
            raise InputMismatch(f"'{self.spec.name}' prepares clips of 2 frames or more.", "Leave the others out.")
        rows = [
            torch.tensor(np.stack([Image.fromarray(frame).convert("L").resize((size, size)) for frame in value]))
            for value in values
        ]
        hidden = nn.utils.rnn.pad_sequence([row.flatten(1) / 255 for row in rows], batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return State(hidden, torch.arange(hidden.shape[1]) < lengths[:, None])

    def pool(self, state: State) -> Tensor:
        return masked_mean(state)


def build(spec: BackboneSpec, weights: Path | None) -> Clips:
    """Build with the weights of the package, or with random ones."""
    clips = Clips(spec, [Frames(), Motion()], dims=[16, 16])
    if weights is not None:
        clips.load_state_dict(load_file(weights))
    return clips
