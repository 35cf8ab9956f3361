"""What the plugin registers; nothing heavy is imported here."""

from graftwork import API_VERSION, SourceSpec, hookimpl

api_version = API_VERSION


@hookimpl
def graftwork_sources():
    yield SourceSpec("zenodo", factory="graftwork_zenodo.source:Zenodo")
