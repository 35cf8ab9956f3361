"""Tags of words (B-NAME, I-NAME, O), and the best path through them that is legal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def tags(names: Sequence[str]) -> list[str]:
    """O, then for each name the tag that begins an entity, and the one that goes on with it."""
    return ["O", *(f"{mark}-{name}" for name in names for mark in "BI")]


def best_path(scores: Tensor, names: int) -> list[int]:
    """The tags with the highest sum of scores `(W, 1 + 2 * names)`, of which none goes on with an entity that did not
    begin (Viterbi's algorithm with no weights between tags)."""
    if not len(scores):
        return []
    count = 1 + 2 * names
    forbidden = torch.zeros(count, count, dtype=scores.dtype)
    for name in range(names):
        inside = 2 + 2 * name
        forbidden[:, inside] = -torch.inf
        forbidden[inside - 1, inside] = forbidden[inside, inside] = 0.0
    total = scores[0].clone()
    total[2::2] = -torch.inf
    before = []
    for row in scores[1:]:
        best, place = (total[:, None] + forbidden).max(0)
        before.append(place)
        total = best + row
    path = [int(total.argmax())]
    for place in reversed(before):
        path.append(int(place[path[-1]]))
    return path[::-1]


def spans_of(path: Sequence[int], scores: Tensor, names: Sequence[str]) -> Iterator[tuple[int, int, str, float]]:
    """The entities of a legal path: the first and last word, the name, and the mean probability of their tags."""
    begin = 0
    while begin < len(path):
        if path[begin] == 0:
            begin += 1
            continue
        end = begin
        while end + 1 < len(path) and path[end + 1] == path[begin] + 1:
            end += 1
        tags_here = torch.tensor(path[begin : end + 1])
        probability = scores[begin : end + 1].exp().gather(1, tags_here[:, None]).mean()
        yield begin, end, names[(path[begin] - 1) // 2], float(probability)
        begin = end + 1
