"""Our beam search of CTC beside torchaudio's, on frames drawn by chance: whose text is likelier, and the seconds.

Needs `pip install flashlight-text`, which torchaudio's decoder loads. usage: beam_search.py [COUNT]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from torchaudio.models.decoder import ctc_decoder

from graftwork_audio.transcribe.search import beam, likelihood

SIGNS, FRAMES, WIDTH = 28, 150, 16


def frames(rng: np.random.Generator) -> np.ndarray:
    """Logarithms of probabilities `(T, K)`, peaked and mostly blank, as a trained head gives them."""
    values = rng.normal(size=(FRAMES, SIGNS))
    peaks = np.where(rng.random(FRAMES) < 0.7, 0, rng.integers(0, SIGNS, FRAMES))
    values[np.arange(FRAMES), peaks] += 4.0
    return torch.log_softmax(torch.from_numpy(values), -1).numpy()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    tokens = ["-", "|", *(chr(97 + number) for number in range(SIGNS - 2))]
    other = ctc_decoder(lexicon=None, tokens=tokens, blank_token="-", sil_token="|", beam_size=WIDTH, log_add=True)
    rng = np.random.default_rng(0)
    likelier = {"ours": 0, "the same": 0, "torchaudio's": 0}
    seconds = [0.0, 0.0]
    for _ in range(count):
        logs = frames(rng)
        begun = time.perf_counter()
        own = likelihood(logs, beam([logs], WIDTH)[0])
        between = time.perf_counter()
        signs = tuple(int(sign) for sign in other(torch.from_numpy(logs)[None].float())[0][0].tokens)
        seconds[0] += between - begun
        seconds[1] += time.perf_counter() - between
        # It adds a pause at both ends, which may or may not be said.
        theirs = max(likelihood(logs, some) for some in (signs, signs[1:], signs[:-1], signs[1:-1]))
        likelier["the same" if abs(own - theirs) < 1e-6 else "ours" if own > theirs else "torchaudio's"] += 1
    told = ", ".join(f"{who} {times}" for who, times in likelier.items())
    print(f"likelier of {count}: {told}; seconds {seconds[0]:.1f} and {seconds[1]:.1f}")


if __name__ == "__main__":
    main()
