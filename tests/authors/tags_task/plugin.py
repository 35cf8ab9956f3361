"""What the plugin registers."""

from graftwork import API_VERSION, TaskSpec, hookimpl

api_version = API_VERSION


@hookimpl
def graftwork_tasks():
    labels = "any number of tags per example"
    yield TaskSpec("tags", factory="tags_task.task:Tags", labels=labels, heads=("linear",), separator="|")
