"""What the plugin registers, and the spec of a size. Imports nothing heavy."""

from pathlib import Path

from graftwork import (
    API_VERSION,
    AtMost,
    BackboneSpec,
    Exactly,
    FolderWeights,
    InputContract,
    Resolver,
    UnknownName,
    hookimpl,
)

api_version = API_VERSION
FACTS = {"frames": Exactly(1), "orientation": Exactly(1), "bit_depth": AtMost(8), "mode": Exactly("RGB")}
PREPARATION = {
    "resize": 32,
    "crop": 32,
    "interpolation": "bilinear",
    "range": (0.0, 1.0),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}


@hookimpl
def graftwork_resolvers():
    yield Resolver("tiny", factory="tiny_sizes.plugin:resolve")


def resolve(name: str, id: str) -> BackboneSpec:
    if not (id.isascii() and id.isdigit() and 1 <= int(id) <= 1024):
        raise UnknownName(f"'{name}' names no size; tiny:1 to tiny:1024 are accepted.", "Write: --backbone tiny:64")
    return BackboneSpec(
        name=name,
        contract=InputContract("image", FACTS, PREPARATION),
        factory="tiny_sizes.model:build",
        weights=FolderWeights(Path(__file__).parent),
        stages=("patches",),
        feature_dim=int(id),
        parameters=193 * int(id),
        license="MIT",
        source="this file, random numbers",
        pretrained_on="nothing",
    )
