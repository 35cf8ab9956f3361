"""What the plugin registers."""

from graftwork import (
    API_VERSION,
    AtLeast,
    BackboneSpec,
    Fact,
    InputContract,
    Modality,
    PackagedWeights,
    hookimpl,
)

api_version = API_VERSION


@hookimpl
def graftwork_modalities():
    yield Modality(
        "clip",
        noun="clips of frames",
        reader="clips.reader:ClipReader",
        facts=(Fact("frames", "the file, or the files of the folder", headline=True),),
        extensions=(".gif",),
        examples=("file", "folder"),
        members=(".png", ".jpg"),
        sample="clips.reader:sample",
    )


@hookimpl
def graftwork_backbones():
    yield BackboneSpec(
        name="clip/motion",
        contract=InputContract("clip", {"frames": AtLeast(2)}, {"size": 8}),
        factory="clips.model:build",
        weights=PackagedWeights("clips", "weights.safetensors", "pip install clips", size_bytes=7_600),
        stages=("frames", "motion"),
        feature_dim=16,
        parameters=1_824,
        license="MIT",
        source="this package, seeded numbers",
        pretrained_on="nothing",
        starter=True,
    )
