"""Words hashed into buckets, counted, and mixed by a fixed random projection."""

import zlib

import torch

import graftwork as gw


class Projection(gw.Stage):
    """(B, buckets) -> (B, width)."""

    def __init__(self, buckets, width, seed):
        super().__init__("projection")
        drawn = torch.randn(buckets, width, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("matrix", drawn / width**0.5)

    def forward(self, state):
        return gw.State(state.hidden @ self.matrix)


class Hashing(gw.Backbone):
    def prepare(self, values):
        buckets = self.spec.preparation["buckets"]
        counts = torch.zeros(len(values), buckets)
        for row, text in enumerate(values):
            try:
                words = text.lower().encode().split()
            except UnicodeEncodeError as error:
                raise gw.InputMismatch("text/hashing reads UTF-8; a text is in another encoding.") from error
            for word in words:
                counts[row, zlib.crc32(word) % buckets] += 1
        return gw.State(torch.nn.functional.normalize(counts, dim=1))

    def pool(self, state):
        return state.hidden


def build(spec, weights):
    numbers = spec.preparation
    return Hashing(spec, [Projection(numbers["buckets"], numbers["width"], numbers["seed"])], [spec.feature_dim])
