"""The core's own registrations, through the same hooks as any plugin: tasks, a head, policies, objectives, loggers,
schemes of addresses, engines."""

from graftwork.plugins.hooks import API_VERSION, hookimpl
from graftwork.specs.backbone import Recipe
from graftwork.specs.engine import EngineSpec
from graftwork.specs.freeze_policy import FreezePolicySpec
from graftwork.specs.logger import LoggerSpec
from graftwork.specs.pretraining import ObjectiveSpec
from graftwork.specs.source import SourceSpec
from graftwork.specs.task import DEFAULT_TASK, HeadSpec, TaskSpec

api_version = API_VERSION

POLICIES = {
    "head": "only the head trains",
    "all": "every stage trains",
    "last": "last:K, the last K stages train",
    "lpft": "the head is solved on frozen features, then all trains at a tenth of the rate",
    "gradual": "gradual:K, the last stage trains first and one more every K epochs",
    "layerwise": "layerwise:DECAY, every stage trains at DECAY times the rate of the one above it",
    "bitfit": "only biases train",
    "norm": "only the parameters of normalisation layers train",
    "lora": "lora:r=R, linear layers get trained updates of rank R",
    "params": "params:GLOB, the parameters train whose names match",
}

GOOGLE = "GOOGLE_APPLICATION_CREDENTIALS, or FSSPEC_GS_TOKEN=anon where everybody may read"
AZURE = "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY"
# Schemes of fsspec: the package that each needs, the extra of graftwork that installs it, how credentials are given.
FILE_SYSTEMS = {
    "s3": (
        "s3fs", "s3", "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true where everybody may read"
    ),
    "gs": ("gcsfs", "gs", GOOGLE),
    "gcs": ("gcsfs", "gs", GOOGLE.replace("GS", "GCS")),
    "az": ("adlfs", "az", AZURE),
    "abfs": ("adlfs", "az", AZURE),
    "sftp": ("paramiko", "sftp", "a key that ssh finds, or sftp://USER:PASSWORD@HOST/PATH"),
    "ftp": ("", "", "ftp://USER:PASSWORD@HOST/PATH"),
    "hf": ("", "", "HF_TOKEN"),
}  # fmt: skip


@hookimpl
def graftwork_tasks():
    yield TaskSpec(
        DEFAULT_TASK,
        factory="graftwork.tasks.classify:Classify",
        labels="one name per example",
        heads=("linear",),
    )
    yield TaskSpec(
        "multilabel",
        factory="graftwork.tasks.multilabel:Multilabel",
        labels="any number of names per example",
        heads=("linear",),
        blank_is_label=True,
        separator="|",
    )
    yield TaskSpec(
        "regress",
        factory="graftwork.tasks.regress:Regress",
        labels="numbers",
        heads=("linear",),
        names=False,
    )


@hookimpl
def graftwork_heads():
    yield HeadSpec("linear", factory="graftwork.tasks.heads:LinearHead", convex=True)
    for view in ("sequence", "map"):
        yield HeadSpec(f"{view}-linear", factory="graftwork.tasks.heads:PositionHead", convex=True, reads=view)


@hookimpl
def graftwork_freeze_policies():
    for name, summary in POLICIES.items():
        yield FreezePolicySpec(name, factory=f"graftwork.freeze.policies:build_{name}", summary=summary)


@hookimpl
def graftwork_objectives():
    few = {"image": 200.0, "text": 200.0, "audio": 600.0}
    yield ObjectiveSpec(
        "supervised",
        factory="graftwork.pretraining.objectives:Supervised",
        summary="learn the labels of a source task",
        least=few,
        labels=True,
        recipe=Recipe(
            learning_rate=1e-3, batch_size=64, epochs=20, weight_decay=0.05, source="usual for AdamW from nothing"
        ),
    )
    yield ObjectiveSpec(
        "distill",
        factory="graftwork.pretraining.objectives:Distill",
        summary="say what another encoder says; no labels",
        least=few,
        teacher=True,
        recipe=Recipe(
            learning_rate=1e-3, batch_size=64, epochs=20, weight_decay=0.01, source="as DistilHuBERT, arXiv:2110.01900"
        ),
    )


@hookimpl
def graftwork_loggers():
    place = "graftwork.training.loggers"
    yield LoggerSpec("csv", f"{place}.csv_file:CsvLogger", "log.csv, a row for each step and each validation")
    yield LoggerSpec(
        "tensorboard", f"{place}.tensorboard:TensorBoardLogger", "TensorBoard's files in tensorboard/",
        needs="tensorboard", extra="tensorboard",
    )  # fmt: skip
    yield LoggerSpec(
        "mlflow", f"{place}.mlflow:MlflowLogger", "MLflow's file store in mlflow/", needs="mlflow", extra="mlflow"
    )
    yield LoggerSpec(
        "wandb", f"{place}.wandb:WandbLogger", "Weights & Biases' offline files in wandb/", needs="wandb", extra="wandb"
    )


@hookimpl
def graftwork_sources():
    for scheme, (needs, extra, credentials) in FILE_SYSTEMS.items():
        yield SourceSpec(
            scheme, "graftwork.data.remote.file_systems:FileSystemSource", needs, extra, credentials=credentials
        )
    for scheme in ("http", "https"):
        credentials = f"{scheme}://USER:PASSWORD@HOST/PATH"
        yield SourceSpec(scheme, "graftwork.data.remote.http:HttpSource", plain=True, credentials=credentials)


@hookimpl
def graftwork_engines():
    place = "graftwork.models.engines"
    yield EngineSpec(
        "torch", f"{place}.torch_engine:TorchEngine", "PyTorch, which the others are held to", ("fp32", "bf16"),
        devices=("cpu", "cuda", "mps"),
    )  # fmt: skip
    yield EngineSpec(
        "openvino", f"{place}.openvino_engine:OpenVinoEngine", "OpenVINO, one compiled graph for all stages",
        ("fp32", "bf16", "int8"), needs="openvino", extra="openvino",
    )  # fmt: skip
