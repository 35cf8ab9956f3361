"""What the audio plugin registers: described here, computed elsewhere, so that listing it imports nothing heavy."""

from collections.abc import Iterator

from graftwork import (
    AtLeast,
    BackboneSpec,
    Converter,
    Demo,
    Exactly,
    HubWeights,
    InputContract,
    Modality,
    Resolver,
    Value,
    hookimpl,
    show,
)

api_version = 1

# Endings of the containers that libsndfile 1.2 reads without being told their layout.
EXTENSIONS = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aiff", ".aif", ".aifc"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".voc"),
)


def resample_loss(seen: Value, to: Value) -> str:
    """What resampling from `seen` to `to` Hz leaves out, or what stays missing (Nyquist: half the rate)."""
    if float(seen) > float(to):
        return f"everything above {show(float(to) / 2, 'Hz')} is left out"
    top = show(float(seen) / 2, "Hz")
    return f"{show(seen, 'Hz')} audio has nothing above {top}, which a {show(to, 'Hz')} encoder expects"


def downmix_loss(seen: Value, to: Value) -> str:
    """What the mean of `seen` channels leaves out."""
    return f"the difference between the {show(seen)} channels is lost"


@hookimpl
def graftwork_modalities() -> Iterator[Modality]:
    yield Modality(
        "audio",
        noun="audio",
        reader="graftwork_audio.reader:AudioReader",
        extensions=EXTENSIONS,
        features=("Audio",),
        preparer="graftwork_audio.prepare:build",
    )


@hookimpl
def graftwork_converters() -> Iterator[Converter]:
    yield Converter(
        "resample",
        modality="audio",
        fact="sampling_rate",
        factory="graftwork_audio.convert:resample",
        accepts=AtLeast(1, "Hz"),
        gives=AtLeast(1, "Hz"),
        loss=resample_loss,
    )
    yield Converter(
        "downmix",
        modality="audio",
        fact="channels",
        factory="graftwork_audio.convert:downmix",
        accepts=AtLeast(1),
        gives=Exactly(1),
        loss=downmix_loss,
    )


@hookimpl
def graftwork_backbones() -> Iterator[BackboneSpec]:
    yield BackboneSpec(
        name="audio/wav2vec2-base",
        contract=InputContract(
            "audio",
            {"sampling_rate": Exactly(16_000, "Hz"), "channels": Exactly(1), "duration": AtLeast(0.025, "s")},
        ),
        factory="graftwork_audio.wav2vec2:build",
        weights=HubWeights(
            "facebook/wav2vec2-base",
            files=("config.json", "model.safetensors|pytorch_model.bin"),
            size_bytes=380_000_000,
        ),
        stages=("stem", "position", *(f"block{number}" for number in range(1, 13))),
        feature_dim=768,
        parameters=94_371_712,
        license="Apache-2.0",
        source="https://huggingface.co/facebook/wav2vec2-base (Baevski et al. 2020, arXiv:2006.11477)",
        pretrained_on="LibriSpeech, 960 hours of read English, without labels",
        preparation={"normalize": True},
    )


@hookimpl
def graftwork_resolvers() -> Iterator[Resolver]:
    yield Resolver("local", factory="graftwork_audio.resolve:wav2vec2", model_types=("wav2vec2",))


@hookimpl
def graftwork_demos() -> Iterator[Demo]:
    yield Demo(
        "commands",
        modality="audio",
        data="graftwork_audio.demos:commands",
        baseline="graftwork_audio.demos:log_mel",
        baseline_name="log-mel mean and deviation",
    )
