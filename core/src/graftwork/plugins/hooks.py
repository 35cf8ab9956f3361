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
    """Kinds of input that the plugin can read."""


@hookspec
def graftwork_backbones() -> Iterable[BackboneSpec]:  # pyright: ignore[reportReturnType]
    """Pretrained encoders."""


@hookspec
def graftwork_resolvers() -> Iterable[Resolver]:  # pyright: ignore[reportReturnType]
    """Makers of backbone specs from `scheme:id`, or from models in hub layout."""


@hookspec
def graftwork_converters() -> Iterable[Converter]:  # pyright: ignore[reportReturnType]
    """Declared steps that change one fact of an input."""


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
    """Converters between modalities, which a user must name."""


@hookspec
def graftwork_decoders() -> Iterable[DecoderSpec]:  # pyright: ignore[reportReturnType]
    """Ways to decode many files at once, on a processor or a GPU."""


@hookspec
def graftwork_tasks() -> Iterable[TaskSpec]:  # pyright: ignore[reportReturnType]
    """Kinds of tasks: what labels can be."""


@hookspec
def graftwork_heads() -> Iterable[HeadSpec]:  # pyright: ignore[reportReturnType]
    """Heads, which turn features into outputs."""


@hookspec
def graftwork_freeze_policies() -> Iterable[FreezePolicySpec]:  # pyright: ignore[reportReturnType]
    """Freeze policies: which stages train, and when."""


@hookspec
def graftwork_demos() -> Iterable[Demo]:  # pyright: ignore[reportReturnType]
    """Small labelled sets for `graftwork demo`."""


@hookspec
def graftwork_architectures() -> Iterable[ArchitectureSpec]:  # pyright: ignore[reportReturnType]
    """Networks that can be pretrained."""


@hookspec
def graftwork_objectives() -> Iterable[ObjectiveSpec]:  # pyright: ignore[reportReturnType]
    """Objectives that networks can be pretrained with."""


@hookspec
def graftwork_loggers() -> Iterable[LoggerSpec]:  # pyright: ignore[reportReturnType]
    """Loggers: where the numbers of a training go."""


@hookspec
def graftwork_sources() -> Iterable[SourceSpec]:  # pyright: ignore[reportReturnType]
    """Schemes of addresses (`s3://`) that data can be fetched from."""


@hookspec
def graftwork_annotations() -> Iterable[AnnotationSpec]:  # pyright: ignore[reportReturnType]
    """Formats of label files that annotation tools write."""


@hookspec
def graftwork_engines() -> Iterable[EngineSpec]:  # pyright: ignore[reportReturnType]
    """Engines, which run the frozen stages of encoders."""
