"""The hooks that a plugin may implement: each yields frozen dataclasses that name code without importing it."""

from collections.abc import Iterable

import pluggy

from graftwork.specs.annotations import AnnotationSpec
from graftwork.specs.backbone import BackboneSpec, Resolver
from graftwork.specs.convert import Adapter, Converter, OptionalStep
from graftwork.specs.decoder import DecoderSpec
from graftwork.specs.demo import Demo
from graftwork.specs.engine import EngineSpec
from graftwork.specs.freeze_policy import FreezePolicySpec
from graftwork.specs.logger import LoggerSpec
from graftwork.specs.modality import FactSpec, Modality
from graftwork.specs.pretraining import ArchitectureSpec, ObjectiveSpec
from graftwork.specs.source import SourceSpec
from graftwork.specs.task import HeadSpec, TaskSpec

GROUP = "graftwork"
API_VERSION = 1
"""The version of these hooks. A plugin module states the one it was written for as `api_version`."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def graftwork_modalities() -> Iterable[Modality]:  # pyright: ignore[reportReturnType]
    """Kinds of input that the plugin can read.

    Example:
        @hookimpl
        def graftwork_modalities():
            yield Modality(
                "series",
                noun="time series",
                reader="my_plugin.reader:SeriesReader",
                facts=(Fact("sampling_rate", "the first line", "Hz"),),
                extensions=(".series",),
            )
    """


@hookspec
def graftwork_backbones() -> Iterable[BackboneSpec]:  # pyright: ignore[reportReturnType]
    """Pretrained encoders.

    Example:
        @hookimpl
        def graftwork_backbones():
            yield BackboneSpec(
                "series/mine",
                contract=InputContract("series", {"sampling_rate": Exactly(100, "Hz")}),
                factory="my_plugin.model:build",
                weights=PackagedWeights("my_plugin", "weights.safetensors", "pip install my-plugin", size_bytes=4096),
                stages=("stem", "block"),
                feature_dim=32,
                parameters=1024,
                license="Apache-2.0",
                source="this package",
                pretrained_on="a year of vibrations",
            )
    """


@hookspec
def graftwork_resolvers() -> Iterable[Resolver]:  # pyright: ignore[reportReturnType]
    """Makers of backbone specs from `scheme:id`, or from models in hub layout.

    Example:
        @hookimpl
        def graftwork_resolvers():
            yield Resolver("tiny", factory="my_plugin.resolve:tiny")  # tiny("tiny:64", "64") -> BackboneSpec
    """


@hookspec
def graftwork_converters() -> Iterable[Converter]:  # pyright: ignore[reportReturnType]
    """Declared steps that change one fact of an input.

    Example:
        @hookimpl
        def graftwork_converters():
            yield Converter(
                "resample", "series", fact="sampling_rate", factory="my_plugin.convert:resample", gives=Exactly(100)
            )
    """


@hookspec
def graftwork_facts() -> Iterable[FactSpec]:  # pyright: ignore[reportReturnType]
    """Facts that the plugin observes of a modality, mostly of another plugin's.

    Example:
        @hookimpl
        def graftwork_facts():
            yield FactSpec("image", Fact("sharpness", "the pixels"), factory="my_plugin.sharpness:observe")
    """


@hookspec
def graftwork_steps() -> Iterable[OptionalStep]:  # pyright: ignore[reportReturnType]
    """Optional steps: conversions that a user asks for by name.

    Example:
        @hookimpl
        def graftwork_steps():
            yield OptionalStep("denoise", "image", factory="my_plugin.denoise:median", loss="detail of a pixel or two")
    """


@hookspec
def graftwork_adapters() -> Iterable[Adapter]:  # pyright: ignore[reportReturnType]
    """Converters between modalities, which a user must name.

    Example:
        @hookimpl
        def graftwork_adapters():
            yield Adapter(
                "spectrum",
                contract=InputContract("series"),
                target="image",
                factory="my_plugin.convert:picture",
                gives={"mode": "RGB"},
                loss="the phase is lost",
            )
    """


@hookspec
def graftwork_decoders() -> Iterable[DecoderSpec]:  # pyright: ignore[reportReturnType]
    """Ways to decode many files at once, on a processor or a GPU.

    Example:
        @hookimpl
        def graftwork_decoders():
            yield DecoderSpec("image:fast", modality="image", factory="my_plugin.decode:build", devices=("cpu",))
    """


@hookspec
def graftwork_tasks() -> Iterable[TaskSpec]:  # pyright: ignore[reportReturnType]
    """Kinds of tasks: what labels can be.

    Example:
        @hookimpl
        def graftwork_tasks():
            yield TaskSpec("tags", factory="my_plugin.task:Tags", labels="any number of names", heads=("linear",))
    """


@hookspec
def graftwork_heads() -> Iterable[HeadSpec]:  # pyright: ignore[reportReturnType]
    """Heads, which turn features into outputs.

    Example:
        @hookimpl
        def graftwork_heads():
            yield HeadSpec("two-layers", factory="my_plugin.head:TwoLayers")
    """


@hookspec
def graftwork_freeze_policies() -> Iterable[FreezePolicySpec]:  # pyright: ignore[reportReturnType]
    """Freeze policies: which stages train, and when.

    Example:
        @hookimpl
        def graftwork_freeze_policies():
            yield FreezePolicySpec("first", factory="my_plugin.policy:build", summary="first:K, so many stages train")
    """


@hookspec
def graftwork_demos() -> Iterable[Demo]:  # pyright: ignore[reportReturnType]
    """Small labelled sets for `graftwork demo`.

    Example:
        @hookimpl
        def graftwork_demos():
            yield Demo(
                "machines",
                modality="series",
                data="my_plugin.demo:machines",
                baseline="my_plugin.demo:means",
                baseline_name="mean and deviation",
            )
    """


@hookspec
def graftwork_architectures() -> Iterable[ArchitectureSpec]:  # pyright: ignore[reportReturnType]
    """Networks that can be pretrained.

    Example:
        @hookimpl
        def graftwork_architectures():
            yield ArchitectureSpec(
                "series_net", modality="series", factory="my_plugin.pretrain:make", sizes={"tiny": {"width": 16}}
            )
    """


@hookspec
def graftwork_objectives() -> Iterable[ObjectiveSpec]:  # pyright: ignore[reportReturnType]
    """Objectives that networks can be pretrained with.

    Example:
        @hookimpl
        def graftwork_objectives():
            yield ObjectiveSpec(
                "denoise", factory="my_plugin.pretrain:Denoise", summary="tell signal from noise", least={"series": 200}
            )
    """


@hookspec
def graftwork_loggers() -> Iterable[LoggerSpec]:  # pyright: ignore[reportReturnType]
    """Loggers: where the numbers of a training go.

    Example:
        @hookimpl
        def graftwork_loggers():
            yield LoggerSpec("print", factory="my_plugin.log:Print", summary="a line for each step")
    """


@hookspec
def graftwork_sources() -> Iterable[SourceSpec]:  # pyright: ignore[reportReturnType]
    """Schemes of addresses (`s3://`) that data can be fetched from.

    Example:
        @hookimpl
        def graftwork_sources():
            yield SourceSpec("archive", factory="my_plugin.source:Archive")
    """


@hookspec
def graftwork_annotations() -> Iterable[AnnotationSpec]:  # pyright: ignore[reportReturnType]
    """Formats of label files that annotation tools write.

    Example:
        @hookimpl
        def graftwork_annotations():
            yield AnnotationSpec(
                "my-tool", "my_plugin.labels:MyTool", kinds=("boxes",), modality="image", words="a file of My Tool"
            )
    """


@hookspec
def graftwork_engines() -> Iterable[EngineSpec]:  # pyright: ignore[reportReturnType]
    """Engines, which run the frozen stages of encoders.

    Example:
        @hookimpl
        def graftwork_engines():
            yield EngineSpec("mine", factory="my_plugin.engine:Mine", summary="a compiled graph of all stages")
    """
