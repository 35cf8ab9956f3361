"""Near duplicates: examples with similar signatures, found without comparing all pairs.

Only signatures that share a slice are compared (locality-sensitive hashing; Leskovec et al., Mining of Massive
Datasets, section 3.4), so memory is that of the signatures and time grows with the number of examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graftwork.specs.readers import Likeness

WHOLE = 16
"""Up to this many signatures that share a slice are all compared with each other; of more, each with the `NEXT`
after it in order.
"""
NEXT = 8
ROWS = 1 << 16
"""Pairs compared at a time."""


def near_duplicates(signatures: Any, likeness: Likeness) -> list[list[int]]:
    """Groups of two or more rows of `signatures` `(N, S)` that are similar, directly or through other rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    unique, inverse = np.unique(signatures, axis=0, return_inverse=True)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for one, other in _candidates(unique, likeness.bands):
        for start in range(0, len(one), ROWS):
            a, b = one[start : start + ROWS], other[start : start + ROWS]
            alike = likeness.similarity(unique[a], unique[b]) >= likeness.threshold
            found.append((a[alike], b[alike]))
    rows, columns = (np.concatenate(part) for part in zip(*found, strict=True))
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(unique), len(unique)))
    _, component = connected_components(graph, directed=False)
    return [members.tolist() for members in equal(component[inverse.ravel()])]


def equal(keys: Any) -> list[Any]:
    """The positions of equal keys `(N,)`: one group per key that occurs twice or more, by first position."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    return sorted((part for part in np.split(order, cuts) if len(part) > 1), key=lambda part: part[0])


def _candidates(unique: Any, bands: int) -> Iterator[tuple[Any, Any]]:
    slices = [_keys(part) for part in np.split(unique, bands, axis=1)]
    for band, keys in enumerate(slices):
        # Sorted by the next slice too, so that similar signatures are neighbours.
        order = np.lexsort((slices[(band + 1) % bands], keys))
        _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
        reach = np.where(counts <= WHOLE, counts, NEXT + 1)
        ends = np.repeat(starts + counts, counts)
        reaches = np.repeat(reach, counts)
        for step in range(1, int(reach.max(initial=1))):
            here = np.arange(len(order))
            near = here[(here + step < ends) & (step < reaches)]
            if len(near):
                yield order[near], order[near + step]


def _keys(part: Any) -> Any:
    """A whole number for each row of `(N, S)`, the same for equal rows."""
    rows = np.ascontiguousarray(part)
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.unique(whole, return_inverse=True)[1]
