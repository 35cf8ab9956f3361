"""What tells data apart: digests of what every example holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from graftwork.data.reading import Data
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs import pretraining_card
from graftwork.specs.factories import load_factory


def contents(data: Data, numbers: Sequence[int] | None = None) -> Iterator[bytes]:
    """A digest of the content of every example, or of those with these numbers: of a file's bytes, or a value."""
    reader = load_factory(data.modality.reader)()
    raws = data.raws if numbers is None else (data.raws[number] for number in numbers)
    return prefetch_map(lambda raw: pretraining_card.digest(raw.content() if raw.path else reader.digest(raw)), raws)


def fingerprint(data: Data) -> str:
    """A digest of all that the data are: what every example holds, its label and its split."""
    sha = hashlib.sha256(repr((data.labels, data.splits)).encode("utf-8", "surrogatepass"))
    for content in contents(data):
        sha.update(content)
    return sha.hexdigest()
