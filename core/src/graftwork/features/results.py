"""Results that follow from features alone, kept beside them in the feature store: the same bits, whether they were
computed before or not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor

from graftwork.errors import StoreError
from graftwork.features.extraction import Cache
from graftwork.models.precision import rounding
from graftwork.plugins.code_digest import made_by


def remembered(
    cache: Cache | None, kind: str, given: Sequence[Tensor | str | None], compute: Callable[[], bytes]
) -> bytes:
    """What `compute` gives, or gave before for the same `given`, which with the core's code must decide it.

    kind: a name of the result. A store that fails is no reason to fail: the result is computed.
    """
    if cache is None:
        return compute()
    about = [kind, made_by(__name__), rounding(torch.device("cpu"))]
    key, store = _digest([json.dumps(about), *given]), cache.store
    with suppress(StoreError):
        if (found := store.result(key)) is not None:
            return found
    made = compute()
    with suppress(StoreError):
        store.keep_result(key, made)
    return made


def _digest(given: Sequence[Tensor | str | None]) -> bytes:
    sha = hashlib.blake2b(digest_size=16)
    for one in given:
        if isinstance(one, Tensor):
            dense = one if one.layout == torch.strided else one.coalesce()
            parts = [dense] if dense.layout == torch.strided else [dense.indices(), dense.values()]
            sha.update(json.dumps([str(one.dtype), list(one.shape), len(parts)]).encode())
            for part in parts:
                sha.update(part.contiguous().numpy().data)
        else:
            sha.update(json.dumps(one).encode())
    return sha.digest()
