"""What the plugin registers; nothing heavy is imported here."""

from graftwork import API_VERSION, AnnotationSpec, TaskSpec, hookimpl

api_version = API_VERSION


@hookimpl
def graftwork_tasks():
    yield TaskSpec(
        "events",
        factory="graftwork_sound_events.task:Events",
        labels="spans of the clip, each with a name",
        heads=("sequence-linear",),
        annotation="spans",
        modality="audio",
    )


@hookimpl
def graftwork_annotations():
    yield AnnotationSpec(
        "raven",
        factory="graftwork_sound_events.raven:RavenReader",
        kinds=("spans",),
        modality="audio",
        words="sounds, and beside each a selection table of Raven (NAME.selections.txt)",
    )
