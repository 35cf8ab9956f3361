"""Registers `timm:NAME`; what is known of a model is asked of timm when it is named."""

from graftwork import API_VERSION, Resolver, hookimpl

api_version = API_VERSION


@hookimpl
def graftwork_resolvers():
    yield Resolver("timm", factory="graftwork_timm.models:resolve")
