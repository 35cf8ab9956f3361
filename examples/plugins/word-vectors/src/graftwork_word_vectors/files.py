"""Makes a backbone of a file of word vectors that the user names, reading no more of it than its sizes need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from graftwork import BackboneSpec, DataError, Weights
from graftwork_word_vectors.plugin import RECIPE, STAGES, Pooling, reads
from graftwork_word_vectors.vectors import FORMAT, survey

UNSTATED = "as its owner states"


@dataclass(frozen=True)
class VectorFile(Weights):
    """A file of word vectors on this machine."""

    file: Path
    size_bytes: int

    def find(self) -> Path | None:
        return self.file if self.file.is_file() else None

    def describe(self) -> str:
        return f"the file '{self.file}'"

    def remedy(self) -> str:
        return "Put it back, or name another: --backbone vectors:FILE"


def resolve(name: str, identifier: str) -> BackboneSpec:
    """The spec of `vectors:FILE`: all words count alike.

    Raises `DataError` when the file does not exist, or does not begin as vectors in text format do.
    """
    return _resolved(name, identifier, "mean")


def resolve_idf(name: str, identifier: str) -> BackboneSpec:
    """The spec of `vectors-idf:FILE`: rare words count for more, by their place in the file. Raises as `resolve`."""
    return _resolved(name, identifier, "idf")


def _resolved(name: str, identifier: str, pooling: Pooling) -> BackboneSpec:
    file = Path(identifier).expanduser()
    if not file.is_file():
        raise DataError(f"'{name}' wants a file of word vectors, and '{file}' is no file.", FORMAT)
    shape = survey(file)
    return BackboneSpec(
        name=name,
        contract=reads(lower=shape.lower, pooling=pooling),
        factory="graftwork_word_vectors.model:build",
        weights=VectorFile(file, file.stat().st_size),
        stages=STAGES,
        feature_dim=shape.width,
        parameters=shape.count * shape.width,
        license=UNSTATED,
        source=str(file),
        pretrained_on=UNSTATED,
        recipe=RECIPE,
        views=("pooled", "sequence"),
    )
