"""The encoder: how often each step above the first note is heard."""

import torch
from torch.nn.utils.rnn import pad_sequence

from graftwork import Backbone, Stage, State, masked_mean


class Steps(Stage):
    """Which of the twelve steps above the first note each note is, whatever the octave."""

    def forward(self, state):
        return State(torch.nn.functional.one_hot(state.hidden % 12, 12).float(), state.mask)


class Encoder(Backbone):
    def prepare(self, values):
        rows = [torch.tensor(notes) - notes[0] for notes in values]
        mask = pad_sequence([torch.ones(len(row)) for row in rows], batch_first=True)
        return State(pad_sequence(rows, batch_first=True), mask.bool())

    def pool(self, state):
        return masked_mean(state)


def build(spec, weights):
    return Encoder(spec, [Steps("steps")], dims=[12])
