"""What the plugin registers: the encoder that tools/train.py trained, in the folder that `graftwork pretrain` wrote."""

from collections.abc import Iterator
from pathlib import Path

from graftwork import (
    API_VERSION,
    BackboneSpec,
    Exactly,
    InputContract,
    OneOf,
    PackagedWeights,
    Preferably,
    Recipe,
    Within,
    hookimpl,
    read_json,
)

api_version = API_VERSION

LONGEST = 4.0
"""Seconds of the longest clips that it was trained on."""


@hookimpl
def graftwork_backbones() -> Iterator[BackboneSpec]:
    yield BackboneSpec(
        name="audio/wav2vec2-tiny",
        contract=InputContract(
            "audio",
            {
                "video": Preferably(Exactly("none"), "their sound is read, and not their pictures"),
                "bit_depth": Preferably(
                    OneOf(("compressed", 16, 24, 32, 64), "bits"), "they carry the noise of coarse steps"
                ),
                "sound": Preferably(Exactly("audible"), "they hold nothing to hear"),
                "amplitude": Within(-1.0, 1.0),
                "channels": Exactly(1),
                "sampling_rate": Exactly(16_000, "Hz"),
                "duration": Within(0.049, LONGEST, "s"),  # the receptive field of one frame
            },
            {"normalize": True},
        ),
        factory="graftwork_audio.spectrum:build",
        weights=PackagedWeights(
            "graftwork_audio_starter", "model", "pip install graftwork-audio-starter", size_bytes=11_292_608
        ),
        stages=("stem", "position", *(f"block{number}" for number in range(1, 7)), "norm"),
        feature_dim=640,
        parameters=5_638_912,
        license="CC-BY-SA-4.0",
        source="this package, trained by its tools/train.py",
        pretrained_on="13 hours of speech, synthesised voices and noises, to say what Moonshine tiny says of them",
        config=read_json(Path(__file__).parent / "model" / "config.json"),
        starter=True,
        views=("pooled", "sequence"),
        recipe=Recipe(learning_rate=3e-4, batch_size=16, epochs=6, source="measured here, tests/bench/curves.py"),
    )
