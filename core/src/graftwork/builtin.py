"""What the core itself brings, through the same hooks as any plugin: no modality, one task, one head, one policy."""

from graftwork.hooks import API_VERSION, hookimpl
from graftwork.specs import FreezePolicySpec, HeadSpec, TaskSpec

api_version = API_VERSION


@hookimpl
def graftwork_tasks():
    yield TaskSpec(
        "classify", labels="one class per example", heads=("linear",), metrics=("accuracy", "macro_f1", "log_loss")
    )


@hookimpl
def graftwork_heads():
    yield HeadSpec("linear", factory="graftwork.heads:LinearHead", convex=True)


@hookimpl
def graftwork_freeze_policies():
    yield FreezePolicySpec("head", factory="graftwork.freeze:build_head_only", summary="only the head trains")
