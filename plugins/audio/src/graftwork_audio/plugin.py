"""What the audio plugin registers: described here, computed elsewhere, so that listing it imports nothing heavy."""

from collections.abc import Iterator

from graftwork import (
    Adapter,
    AnnotationSpec,
    ArchitectureSpec,
    AtLeast,
    AtMost,
    BackboneSpec,
    Converter,
    Defect,
    Demo,
    Exactly,
    Fact,
    HeadSpec,
    HubWeights,
    InputContract,
    Modality,
    ObjectiveSpec,
    OneOf,
    Preferably,
    Recipe,
    Requirement,
    Resolver,
    TaskSpec,
    Value,
    Within,
    hookimpl,
    show,
)
from graftwork_audio.families import MAPPED, WHOLE

api_version = 1

EXTENSIONS = (
    # Containers that libsndfile 1.2 reads without being told their layout.
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aiff", ".aif", ".aifc"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".voc"),
    # Those that FFmpeg reads where PyAV is installed; elsewhere the reader says how to install it.
    *(".m4a", ".m4b", ".aac", ".amr", ".wma", ".weba", ".mka", ".wv", ".ape", ".tta", ".ac3"),
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg"),
)


FACTS = (
    Fact("video", "the container"),
    Fact("bit_depth", "the header", "bits"),
    Fact("sound", "the samples"),
    Fact("clipping", "the samples"),
    Fact("amplitude", "the samples"),
    Fact("channels", "the header"),
    Fact("sampling_rate", "the header", "Hz", headline=True),
    Fact("duration", "the header", "s"),
)

DEFECTS = (
    Defect("silent", "silent: nothing to hear", "Record them again, or leave them out", "sound", "silent"),
    Defect(
        "silent_as_mono",
        "silent, or nearly, once the channels are mixed to one: they cancel each other",
        "Turn one channel around (multiply it by -1), or keep one alone",
        "sound",
        "silent as mono",
    ),
    Defect(
        "clipped",
        "clipped: a thousandth or more of the samples are at full scale, where peaks are cut off",
        "Record them again more quietly; what was cut off does not come back",
        "clipping",
        "clipped",
    ),
)

RECIPE = Recipe(
    learning_rate=3e-5,
    batch_size=32,
    epochs=5,
    source="transformers' audio classification example, wav2vec2-base on SUPERB",
)

LONGEST = 15.625
"""Seconds of the crops that wav2vec 2.0 was pretrained on: 250 000 samples (Baevski et al. 2020, section 4.2)."""


def reads(rate: int, shortest: float, longest: float = LONGEST, **preparation: object) -> InputContract:
    """What an encoder reads that was pretrained on waveforms of one channel at `rate` Hz, of these many seconds."""
    facts: dict[str, Requirement] = {
        "video": Preferably(Exactly("none"), "their sound is read, and not their pictures"),
        "bit_depth": Preferably(
            OneOf(("compressed", 16, 24, 32, 64), "bits"),
            "they carry the noise of coarse steps",
        ),
        "sound": Preferably(Exactly("audible"), "they hold nothing to hear"),
        "amplitude": Within(-1.0, 1.0),
        "channels": Exactly(1),
        "sampling_rate": Exactly(rate, "Hz"),
        "duration": Within(shortest, longest, "s"),
    }
    return InputContract("audio", facts, preparation)


def resample_loss(seen: Value, to: Value) -> str:
    """What resampling from `seen` to `to` Hz leaves out, or what stays missing (Nyquist: half the rate)."""
    if float(seen) > float(to):
        return f"everything above {show(float(to) / 2, 'Hz')} is left out"
    top = show(float(seen) / 2, "Hz")
    return f"{show(seen, 'Hz')} audio has nothing above {top}, which a {show(to, 'Hz')} encoder expects"


def downmix_loss(seen: Value, to: Value) -> str:
    """What the mean of `seen` channels leaves out."""
    return f"the difference between the {show(seen)} channels is lost"


def loudness_loss(seen: Value, to: Value) -> str:
    return "louder than full scale, so turned down to it: how loud they are beside the others is lost"


def windows_loss(seen: Value, to: Value) -> str:
    return f"longer than the {show(to, 's')} that the encoder reads at once"


def shorter(seen: Value, to: Value) -> bool:
    return float(to) < float(seen)


@hookimpl
def graftwork_modalities() -> Iterator[Modality]:
    yield Modality(
        "audio",
        noun="audio",
        reader="graftwork_audio.reader:AudioReader",
        facts=FACTS,
        defects=DEFECTS,
        extensions=EXTENSIONS,
        features=("Audio",),
        preparer="graftwork_audio.prepare:build",
        long="windows",
        augment="graftwork_audio.augment:build",
        sample="graftwork_audio.sample:build",
        amount="duration",
        frames_aligned=True,
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
    yield Converter(
        "turn-down",
        modality="audio",
        fact="amplitude",
        factory="graftwork_audio.convert:turn_down",
        accepts=AtLeast(1.0),
        gives=AtMost(1.0),
        loss=loudness_loss,
    )
    yield Converter(
        "windows",
        modality="audio",
        fact="duration",
        factory="graftwork_audio.convert:windows",
        accepts=AtLeast(0, "s"),
        gives=AtLeast(0, "s"),
        loss=windows_loss,
        reaches=shorter,
        splits=True,
    )


@hookimpl
def graftwork_adapters() -> Iterator[Adapter]:
    yield Adapter(
        "image-logmel",
        contract=reads(16_000, 0.1, 10.0),
        target="image",
        factory="graftwork_audio.logmel:picture",
        gives={"frames": 1, "orientation": 1, "bit_depth": 8, "mode": "L", "short_side": 256},
        loss="sound is shown as a picture of its log-mel spectrogram, without phase",
    )


@hookimpl
def graftwork_backbones() -> Iterator[BackboneSpec]:
    yield BackboneSpec(
        name="audio/wav2vec2-base",
        contract=reads(16_000, 0.025, normalize=True),
        factory="graftwork_audio.wav2vec2:build",
        weights=HubWeights(
            "facebook/wav2vec2-base",
            files=("config.json", "model.safetensors|pytorch_model.bin"),
            size_bytes=380_000_000,
        ),
        stages=("stem", "position", *(f"block{number}" for number in range(1, 13))),
        feature_dim=768,
        parameters=94_370_944,
        license="Apache-2.0",
        source="https://huggingface.co/facebook/wav2vec2-base (Baevski et al. 2020, arXiv:2006.11477)",
        pretrained_on="LibriSpeech, 960 hours of read English, without labels",
        recipe=RECIPE,
        views=("pooled", "sequence"),
    )


@hookimpl
def graftwork_resolvers() -> Iterator[Resolver]:
    yield Resolver(factory="graftwork_audio.resolve:wav2vec2", model_types=MAPPED)
    yield Resolver(factory="graftwork_audio.resolve:whisper", model_types=("whisper",))
    yield Resolver(factory="graftwork_audio.resolve:whole", model_types=tuple(WHOLE))


@hookimpl
def graftwork_annotations() -> Iterator[AnnotationSpec]:
    def label_files(name: str, reader: str, kinds: tuple[str, ...], words: str) -> AnnotationSpec:
        return AnnotationSpec(name, f"graftwork_audio.annotations.{reader}", kinds, "audio", words)

    yield label_files(
        "librispeech",
        "librispeech:LibriSpeechReader",
        ("transcript",),
        "clips with their texts in *.trans.txt beside them",
    )
    yield label_files(
        "ljspeech",
        "ljspeech:LJSpeechReader",
        ("transcript",),
        "a metadata.csv of names and texts with | between, and wavs",
    )
    yield label_files(
        "common-voice",
        "common_voice:CommonVoiceReader",
        ("transcript",),
        "tables (.tsv) of paths and sentences, and clips",
    )
    yield label_files(
        "audacity",
        "audacity:AudacityReader",
        ("name", "spans"),
        "sounds, and beside each an Audacity label track (.txt)",
    )
    yield label_files(
        "label-studio-sounds",
        "label_studio:LabelStudioSoundReader",
        ("spans", "transcript"),
        "a JSON export of Label Studio, with labels or texts of sounds",
    )


@hookimpl
def graftwork_tasks() -> Iterator[TaskSpec]:
    yield TaskSpec(
        "transcribe",
        factory="graftwork_audio.transcribe.task:Transcribe",
        labels="what is said in each clip",
        heads=("ctc-conv", "ctc-lstm", "sequence-linear"),
        names=False,
        annotation="transcript",
        modality="audio",
    )


@hookimpl
def graftwork_heads() -> Iterator[HeadSpec]:
    yield HeadSpec("ctc-lstm", factory="graftwork_audio.transcribe.heads:CtcLstm", reads="sequence")
    yield HeadSpec("ctc-conv", factory="graftwork_audio.transcribe.heads:CtcConv", reads="sequence")


@hookimpl
def graftwork_demos() -> Iterator[Demo]:
    yield Demo(
        "commands",
        modality="audio",
        data="graftwork_audio.demos:commands_by_voice",
        baseline="graftwork_audio.demos:log_mel",
        baseline_name="log-mel mean and deviation",
    )
    yield Demo(
        "digit-strings",
        modality="audio",
        data="graftwork_audio.transcribe.demo:digit_strings",
        baseline="",
        baseline_name="nothing",
        task="transcribe",
        settings={"epochs": 20},
    )


WAV2VEC2 = {
    "conv_kernel": [40, 3, 3, 3, 3, 3], "conv_stride": [12, 2, 2, 2, 2, 2], "feat_extract_norm": "layer",
    "conv_bias": True, "do_stable_layer_norm": True, "num_conv_pos_embeddings": 64, "num_conv_pos_embedding_groups": 16,
    "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0,
    "layerdrop": 0.0, "mask_time_prob": 0.065, "codevector_dim": 128, "proj_codevector_dim": 128,
}  # fmt: skip
"""What the sizes share. wav2vec 2.0 does most of its work at its highest rate; here the first convolution makes strides
of twelve samples instead of five, through fewer channels, and 42 frames a second come of it instead of 50. Layer norm
as in its large models, since the group norm of the base takes from each channel how loud it is."""


@hookimpl
def graftwork_architectures() -> Iterator[ArchitectureSpec]:
    yield ArchitectureSpec(
        "wav2vec2",
        modality="audio",
        factory="graftwork_audio.pretraining:make",
        sizes={
            "tiny": {
                **WAV2VEC2, "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 1024,
                "num_attention_heads": 4, "conv_dim": [64, 128, 128, 256, 256, 256],
            },
            "small": {
                **WAV2VEC2, "hidden_size": 384, "num_hidden_layers": 8, "intermediate_size": 1536,
                "num_attention_heads": 6, "conv_dim": [128, 128, 256, 256, 384, 384],
            },
        },
    )  # fmt: skip


@hookimpl
def graftwork_objectives() -> Iterator[ObjectiveSpec]:
    yield ObjectiveSpec(
        "contrastive",
        factory="graftwork_audio.pretraining:Contrastive",
        summary="tell masked frames from others (wav2vec 2.0); no labels",
        architectures=("wav2vec2",),
        least={"audio": 3600.0},
        recipe=Recipe(
            learning_rate=5e-4, batch_size=64, epochs=20, weight_decay=0.01,
            source="Baevski et al. 2020, base; batches as small as one processor computes",
        ),
    )  # fmt: skip
