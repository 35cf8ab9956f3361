"""The fingerprint of a data set: digests of the contents of its examples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from graftwork.data.reading import Data
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs import pretraining_card
from graftwork.specs.annotations import Mask
from graftwork.specs.factories import load_factory
from graftwork.specs.readers import Raw
from graftwork.specs.task import RawLabel


def contents(data: Data, numbers: Sequence[int] | None = None) -> Iterator[bytes]:
    """Yield a digest of the content of every example, or of those with these numbers: of the file's bytes, or of the
    value.
    """
    reader = load_factory(data.modality.reader)()
    raws = data.raws if numbers is None else (data.raws[number] for number in numbers)

    def content(raw: Raw) -> bytes:
        if raw.companions or raw.is_folder:
            return reader.identity_digest(raw)  # of files that may be too large together to be in memory
        return raw.content() if raw.path and raw.part is None else reader.digest(raw)

    return prefetch_map(lambda raw: pretraining_card.digest(content(raw)), raws)


def fingerprint(data: Data) -> str:
    """A digest of the data: the content, label and split of every example."""
    labels = None if data.labels is None else list(map(_said, data.labels))
    sha = hashlib.sha256(repr((labels, data.splits)).encode("utf-8", "surrogatepass"))
    for content in contents(data):
        sha.update(content)
    return sha.hexdigest()


def _said(label: RawLabel) -> object:
    """A label as `repr` writes it alike in every process: of a mask image the content, wherever it lies."""
    if not isinstance(label, Mask):
        return label
    image = Raw("", label.path, label.content or None).content() if label.path or label.content else b""
    names, ignored = sorted(label.names.items()), sorted(label.ignored)
    return ("mask", pretraining_card.digest(image), names, ignored, label.regions, label.size)
