"""What the plugin registers; nothing heavy is imported here."""

from graftwork import API_VERSION, HeadSpec, TaskSpec, hookimpl

api_version = API_VERSION


@hookimpl
def graftwork_tasks():
    yield TaskSpec(
        "ordinal",
        factory="graftwork_ordinal.task:Ordinal",
        labels="ordered names or numbers, one per example",
        heads=("cumulative-link",),
    )


@hookimpl
def graftwork_heads():
    yield HeadSpec("cumulative-link", factory="graftwork_ordinal.head:CumulativeLinkHead", convex=True)
