"""Graftwork: transfer learning for images, text and audio, as a small core and installable plugins.

Names of the plain floor are imported here; names that compute are loaded by the first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import graftwork.data  # noqa: F401  here, since its first import takes the name of the function `data`
from graftwork.errors import (
    ConfigError,
    ContractMismatch,
    DataError,
    Diverged,
    Empty,
    GraftworkError,
    InputMismatch,
    OutOfMemory,
    PluginConflict,
    PluginFault,
    RunError,
    StoreError,
    UnknownName,
    Unreadable,
    UsageError,
    WeightsMismatch,
    WeightsUnavailable,
)
from graftwork.plugins.hooks import API_VERSION, hookimpl
from graftwork.plugins.registry import preparer
from graftwork.plugins.requiring import demo_data, require_plugins
from graftwork.specs.agreement import Agreement, Step, agree, check_contract
from graftwork.specs.annotations import (
    Annotated,
    AnnotatedExamples,
    AnnotationReader,
    AnnotationSpec,
    Box,
    Boxes,
    Extent,
    Mask,
    Region,
    Span,
    Spans,
)
from graftwork.specs.backbone import BackboneSpec, Recipe, Resolver
from graftwork.specs.bio import BIO_TAG, spans_of_tags, tags_of_spans
from graftwork.specs.contracts import (
    Anything,
    AtLeast,
    AtMost,
    Exactly,
    Fact,
    InputContract,
    ObservedInput,
    OneOf,
    Preferably,
    Requirement,
    Sighting,
    Value,
    Within,
    plural,
    show,
)
from graftwork.specs.convert import Adapter, Converter, OptionalStep
from graftwork.specs.decoder import DecoderSpec
from graftwork.specs.defects import Defect
from graftwork.specs.demo import Demo
from graftwork.specs.engine import EngineSpec
from graftwork.specs.freeze_policy import FreezePolicySpec
from graftwork.specs.hub_folder import ANY_HUB_WEIGHTS, HUB_WEIGHTS, ModelFolder, read_json
from graftwork.specs.json_text import parse_json
from graftwork.specs.limits import Limits, how_to_lower, how_to_raise, limits
from graftwork.specs.logger import LoggerSpec
from graftwork.specs.modality import FactSpec, Modality
from graftwork.specs.plain_files import check_plain
from graftwork.specs.pretraining import ArchitectureSpec, ObjectiveSpec
from graftwork.specs.problem import Problem
from graftwork.specs.source import RemoteFile, Source, SourceSpec
from graftwork.specs.splits import SPLITS, split_of
from graftwork.specs.task import HeadSpec, RawLabel, TaskSpec
from graftwork.specs.weights import FolderWeights, HubWeights, NoWeights, PackagedWeights, UrlWeights, Weights

if TYPE_CHECKING:
    from graftwork.checks.checking import Checked, check
    from graftwork.data.reading import Data, data
    from graftwork.data.streaming import Stream, stream
    from graftwork.features.pieces import Piece, WholeExample
    from graftwork.freeze.policies import FreezePolicy, Plan, StagePlan
    from graftwork.models.backbone import Backbone, load_backbone
    from graftwork.models.decoding import BatchDecoder, Decoded
    from graftwork.models.engines.engine import Calibration, Computed, Engine, FrozenEncoder
    from graftwork.models.meta_init import ShapesOnly, pooled_dims
    from graftwork.models.pretrained import hub_state, load_pretrained, new_model, save_new
    from graftwork.models.reading import View
    from graftwork.models.stages import Apply, Stage, State, fold, masked_mean, spatial_mean
    from graftwork.models.views import MapView, SequenceView, map_of_tokens, map_view
    from graftwork.models.weight_files import failure_reason, load_tensors
    from graftwork.pretraining.objectives import Given, Objective
    from graftwork.pretraining.pretrain import Pretrained, pretrain
    from graftwork.runs.compare import Comparison, compare
    from graftwork.runs.fitting import fit
    from graftwork.runs.rank import Ranking, rank
    from graftwork.runs.run import Run, load
    from graftwork.specs.readers import Likeness, Raw, Reader, Window
    from graftwork.specs.settings import Settings
    from graftwork.specs.signatures import FileFormat, recognise, refusal
    from graftwork.tasks.answer_folder import AnswerFolder
    from graftwork.tasks.dense import DenseTask, Seen
    from graftwork.tasks.heads import Head, LinearHead
    from graftwork.tasks.losses import Loss, Sigmoid, Softmax, Squares
    from graftwork.tasks.parts import AnswerTable, HeatMap, Mistake, ReportPart, ScatterPlot
    from graftwork.tasks.scorer import Scorer
    from graftwork.tasks.task import Metric, Targets, Task
    from graftwork.training.loggers.logger import Logger

del data  # pyright: ignore  so that `__getattr__` finds the function

# What computes, or what listing does not need, and the module that it is loaded from on first use.
_LATER = {
    "FreezePolicy": "graftwork.freeze.policies",
    "Plan": "graftwork.freeze.policies",
    "StagePlan": "graftwork.freeze.policies",
    "Likeness": "graftwork.specs.readers",
    "Raw": "graftwork.specs.readers",
    "Reader": "graftwork.specs.readers",
    "Window": "graftwork.specs.readers",
    "Settings": "graftwork.specs.settings",
    "FileFormat": "graftwork.specs.signatures",
    "recognise": "graftwork.specs.signatures",
    "refusal": "graftwork.specs.signatures",
    "Backbone": "graftwork.models.backbone",
    "load_backbone": "graftwork.models.backbone",
    "BatchDecoder": "graftwork.models.decoding",
    "Decoded": "graftwork.models.decoding",
    "Calibration": "graftwork.models.engines.engine",
    "Computed": "graftwork.models.engines.engine",
    "Engine": "graftwork.models.engines.engine",
    "FrozenEncoder": "graftwork.models.engines.engine",
    "Checked": "graftwork.checks.checking",
    "check": "graftwork.checks.checking",
    "compare": "graftwork.runs.compare",
    "Comparison": "graftwork.runs.compare",
    "fit": "graftwork.runs.fitting",
    "rank": "graftwork.runs.rank",
    "Ranking": "graftwork.runs.rank",
    "Head": "graftwork.tasks.heads",
    "LinearHead": "graftwork.tasks.heads",
    "Loss": "graftwork.tasks.losses",
    "Sigmoid": "graftwork.tasks.losses",
    "Softmax": "graftwork.tasks.losses",
    "Squares": "graftwork.tasks.losses",
    "Piece": "graftwork.features.pieces",
    "WholeExample": "graftwork.features.pieces",
    "View": "graftwork.models.reading",
    "DenseTask": "graftwork.tasks.dense",
    "Seen": "graftwork.tasks.dense",
    "AnswerFolder": "graftwork.tasks.answer_folder",
    "Scorer": "graftwork.tasks.scorer",
    "AnswerTable": "graftwork.tasks.parts",
    "HeatMap": "graftwork.tasks.parts",
    "Mistake": "graftwork.tasks.parts",
    "ReportPart": "graftwork.tasks.parts",
    "ScatterPlot": "graftwork.tasks.parts",
    "Metric": "graftwork.tasks.task",
    "Targets": "graftwork.tasks.task",
    "Task": "graftwork.tasks.task",
    "Logger": "graftwork.training.loggers.logger",
    "Given": "graftwork.pretraining.objectives",
    "Objective": "graftwork.pretraining.objectives",
    "hub_state": "graftwork.models.pretrained",
    "load_pretrained": "graftwork.models.pretrained",
    "new_model": "graftwork.models.pretrained",
    "save_new": "graftwork.models.pretrained",
    "Pretrained": "graftwork.pretraining.pretrain",
    "pretrain": "graftwork.pretraining.pretrain",
    "Data": "graftwork.data.reading",
    "data": "graftwork.data.reading",
    "Run": "graftwork.runs.run",
    "load": "graftwork.runs.run",
    "ShapesOnly": "graftwork.models.meta_init",
    "pooled_dims": "graftwork.models.meta_init",
    "MapView": "graftwork.models.views",
    "SequenceView": "graftwork.models.views",
    "map_view": "graftwork.models.views",
    "map_of_tokens": "graftwork.models.views",
    "Apply": "graftwork.models.stages",
    "Stage": "graftwork.models.stages",
    "State": "graftwork.models.stages",
    "fold": "graftwork.models.stages",
    "masked_mean": "graftwork.models.stages",
    "spatial_mean": "graftwork.models.stages",
    "Stream": "graftwork.data.streaming",
    "stream": "graftwork.data.streaming",
    "failure_reason": "graftwork.models.weight_files",
    "load_tensors": "graftwork.models.weight_files",
}


def __getattr__(name: str) -> Any:
    if name == "sklearn":
        return importlib.import_module("graftwork.sklearn")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'graftwork' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "ANY_HUB_WEIGHTS",
    "API_VERSION",
    "BIO_TAG",
    "HUB_WEIGHTS",
    "SPLITS",
    "Adapter",
    "Agreement",
    "Annotated",
    "AnnotatedExamples",
    "AnnotationReader",
    "AnnotationSpec",
    "AnswerFolder",
    "AnswerTable",
    "Anything",
    "Apply",
    "ArchitectureSpec",
    "AtLeast",
    "AtMost",
    "Backbone",
    "BackboneSpec",
    "BatchDecoder",
    "Box",
    "Boxes",
    "Calibration",
    "Checked",
    "Comparison",
    "Computed",
    "ConfigError",
    "ContractMismatch",
    "Converter",
    "Data",
    "DataError",
    "Decoded",
    "DecoderSpec",
    "Defect",
    "Demo",
    "DenseTask",
    "Diverged",
    "Empty",
    "Engine",
    "EngineSpec",
    "Exactly",
    "Extent",
    "Fact",
    "FactSpec",
    "FileFormat",
    "FolderWeights",
    "FreezePolicy",
    "FreezePolicySpec",
    "FrozenEncoder",
    "Given",
    "GraftworkError",
    "Head",
    "HeadSpec",
    "HeatMap",
    "HubWeights",
    "InputContract",
    "InputMismatch",
    "Likeness",
    "Limits",
    "LinearHead",
    "Logger",
    "LoggerSpec",
    "Loss",
    "MapView",
    "Mask",
    "Metric",
    "Mistake",
    "Modality",
    "ModelFolder",
    "NoWeights",
    "Objective",
    "ObjectiveSpec",
    "ObservedInput",
    "OneOf",
    "OptionalStep",
    "OutOfMemory",
    "PackagedWeights",
    "Piece",
    "Plan",
    "PluginConflict",
    "PluginFault",
    "Preferably",
    "Pretrained",
    "Problem",
    "Ranking",
    "Raw",
    "RawLabel",
    "Reader",
    "Recipe",
    "Region",
    "RemoteFile",
    "ReportPart",
    "Requirement",
    "Resolver",
    "Run",
    "RunError",
    "ScatterPlot",
    "Scorer",
    "Seen",
    "SequenceView",
    "Settings",
    "ShapesOnly",
    "Sighting",
    "Sigmoid",
    "Softmax",
    "Source",
    "SourceSpec",
    "Span",
    "Spans",
    "Squares",
    "Stage",
    "StagePlan",
    "State",
    "Step",
    "StoreError",
    "Stream",
    "Targets",
    "Task",
    "TaskSpec",
    "UnknownName",
    "Unreadable",
    "UrlWeights",
    "UsageError",
    "Value",
    "View",
    "Weights",
    "WeightsMismatch",
    "WeightsUnavailable",
    "WholeExample",
    "Window",
    "Within",
    "agree",
    "check",
    "check_contract",
    "check_plain",
    "compare",
    "data",
    "demo_data",
    "failure_reason",
    "fit",
    "fold",
    "hookimpl",
    "how_to_lower",
    "how_to_raise",
    "hub_state",
    "limits",
    "load",
    "load_backbone",
    "load_pretrained",
    "load_tensors",
    "map_of_tokens",
    "map_view",
    "masked_mean",
    "new_model",
    "parse_json",
    "plural",
    "pooled_dims",
    "preparer",
    "pretrain",
    "rank",
    "read_json",
    "recognise",
    "refusal",
    "require_plugins",
    "save_new",
    "show",
    "spans_of_tags",
    "spatial_mean",
    "split_of",
    "stream",
    "tags_of_spans",
]  # fmt: skip
