"""Backbones by `scheme:id`: from a scheme's own resolver, or from a model in hub layout by its model type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from graftwork.errors import DataError, GraftworkError, UnknownName
from graftwork.plugins.guard import said
from graftwork.plugins.loading import installed
from graftwork.plugins.owners import blamed
from graftwork.specs import pretraining_card
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.factories import load_factory
from graftwork.specs.hub_folder import ModelFolder
from graftwork.specs.returns import returned
from graftwork.specs.weights import HubWeights


def resolve(name: str, scheme: str, identifier: str) -> BackboneSpec:
    """The spec of the backbone `name`, which is `scheme:identifier`.

    Raises `UnknownName` for a scheme or a model type that no plugin supports, `DataError` for a folder that is not a
    model, `WeightsUnavailable` if the config of a model on the hub cannot be fetched, and what the resolver raises.
    """
    plugins = installed()
    own = plugins.get("resolvers", f"{scheme}:")
    if own is not None:
        return returned(load_factory(own.factory)(name, identifier), BackboneSpec, own.factory)
    if scheme not in FOLDERS:
        known = sorted([*FOLDERS, *(r.scheme for r in plugins.registered["resolvers"].values() if r.scheme)])
        raise UnknownName(
            f"No resolver reads '{scheme}:'; installed ones read {', '.join(f'{s}:' for s in known)}.",
            "List all: graftwork plugins --json",
        )
    model = FOLDERS[scheme](name, identifier)
    resolver = plugins.get("resolvers", f"model_type:{_model_type(model)}")
    if resolver is None:
        near = plugins.near("resolvers", f"model_type:{_model_type(model)}").replace("model_type:", "")
        raise UnknownName(
            f"'{name}' is a model of type '{_model_type(model)}', which no installed plugin maps{near}.",
            "Install a plugin that maps it; see: graftwork plugins",
        )
    describe = load_factory(resolver.factory)
    try:
        return returned(describe(model), BackboneSpec, resolver.factory)
    except GraftworkError:
        raise
    except Exception as error:
        where = blamed(error, plugins.reports)
        raise DataError(
            f"The config files of '{name}' cannot be understood: {said(error)}"
            + (f" ({where.report.name}: {where.hook}, {where.place})." if where else "."),
            "Save the model again: save_pretrained(FOLDER). If transformers loads it, report it to the plugin's "
            "authors.",
        ) from error


def local(name: str, identifier: str) -> ModelFolder:
    """A model in a folder of the user.

    Raises `DataError` if it holds no config.json, and what `pretraining_card.read` raises.
    """
    folder = Path(identifier).expanduser()
    if not (folder / "config.json").is_file():
        raise DataError(
            f"'{name}' wants a folder in hub layout, and '{folder / 'config.json'}' does not exist.",
            "Name a folder that holds config.json and model.safetensors.",
        )
    model = ModelFolder(name, folder)
    return replace(model, card=pretraining_card.read(folder, model.config))


def hub(name: str, identifier: str) -> ModelFolder:
    """A repository on the Hugging Face hub, `owner/name` or `owner/name@revision`: its small files, fetched if needed.

    Raises `WeightsUnavailable` if they are not on this machine and cannot be fetched.
    """
    repo, _, revision = identifier.partition("@")
    folder = HubWeights(repo, ("config.json",), revision or "main").obtain(name)
    return ModelFolder(name, folder, repo, commit=folder.name)


FOLDERS: Mapping[str, Callable[[str, str], ModelFolder]] = {"hub": hub, "local": local}
"""The schemes whose identifier is a model in hub layout."""


def _model_type(model: ModelFolder) -> str:
    try:
        return str(model.config["model_type"])
    except KeyError as error:
        raise DataError(
            f"'{model.folder / 'config.json'}' is not a model's config.json: it names no model_type.",
            "Save the model again.",
        ) from error
