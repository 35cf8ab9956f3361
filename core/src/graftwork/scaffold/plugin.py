"""`graftwork new plugin`: a package that installs, registers what it brings and passes the conformance kit as written.

All of it is written beside its place and then moved there, so that nothing half-written is left.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from pprint import pformat
from string import Template
from textwrap import indent

from graftwork.errors import DataError, UsageError
from graftwork.plugins.registry import backbone, modalities
from graftwork.scaffold.encoders import KINDS, NEW
from graftwork.specs import pretraining_card
from graftwork.specs.hub_folder import HUB_WEIGHTS, read_json

NAMES = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PREFIX = "graftwork-"
"""What many packages of plugins begin with; the names of what they bring do not."""

BROUGHT = ("task", "source", "policy")
"""What a plugin may bring in place of an encoder, each by a template of its own."""

CORE, TORCH = "graftwork>=0.1,<0.2", "torch>=2.11"
PLUGIN_NAMES = ("API_VERSION", "BackboneSpec", "InputContract", "PackagedWeights", "hookimpl")
MODEL_NAMES = ("Backbone", "BackboneSpec", "Stage", "State", "masked_mean")


def new_plugin(name: str, modality: str, folder: Path) -> Path:
    """Write a plugin with an encoder of a modality into a new folder `folder / name`; of one that nothing brings, the
    modality too.

    Raises `UsageError` for a name that no package can have or an installed one has, a folder that is there, and a
    modality that is installed and that no template is for.
    """
    _check_name(name, folder)
    if not NAMES.fullmatch(modality):
        raise UsageError(
            f"'{modality}' is no modality of a plugin: small letters, digits and single hyphens are accepted.",
            "Write: graftwork new plugin my-encoder --modality image",
        )
    known = {one.name for one in modalities()}
    if modality in known - set(KINDS):
        raise UsageError(
            f"No template is for '{modality}', which is not one of image, text and audio, and not new.",
            "Begin with the plugin that brings it.",
        )
    kind, words = KINDS.get(modality, NEW), _words(name)
    package = words["package"]
    words |= {
        "modality": modality, "backbone": f"{modality}/{words['entry']}", "size": "1", "parameters": "1",
        "needs": _needs(CORE, *kind.needs, "safetensors>=0.5", TORCH),
        "plugin_names": imported({*PLUGIN_NAMES, *kind.imports}),
        "model_names": imported({*MODEL_NAMES, *kind.model_imports}),
        "stem": kind.stem, "prepare": kind.prepare, "before": kind.before, "torch": kind.torch,
        "facts": _nested(kind.facts), "preparation": _nested(kind.preparation),
    }  # fmt: skip
    words["registers"] = Template(kind.registers).substitute(words)
    with _place(name, folder) as place:
        source = place / "src" / package
        _common(place, words)
        for target, template in (
            ("README.md", "README.md"), (f"tests/test_{package}.py", "test.py"), ("tools/weights.py", "weights.py"),
            (f"src/{package}/plugin.py", "plugin.py"), (f"src/{package}/model.py", "model.py"),
            *([] if modality in KINDS else [(f"src/{package}/reader.py", "reader.py")]),
        ):  # fmt: skip
            _write(place / target, template, words)
        _write(source / "plugin.py", "plugin.py", {**words, **_weights(source, package)})
    return folder / name


def new_part(name: str, brings: str, folder: Path) -> Path:
    """Write a plugin with a task, a source of data or a freeze policy (see `BROUGHT`) into a new folder `folder /
    name`.

    Raises `UsageError` for a name that no package can have or an installed one has, a folder that is there, and what
    no template is for.
    """
    _check_name(name, folder)
    if brings not in BROUGHT:
        raise UsageError(
            f"No template is for a plugin that brings '{brings}'; {', '.join(BROUGHT)} are accepted.",
            f"Write: graftwork new plugin {name} --brings task",
        )
    words = _words(name)
    package = words["package"]
    words |= {
        "kind": brings, "scheme": words["entry"].replace("-", ""),
        "needs": _needs(CORE, *([TORCH] if brings == "task" else [])),
    }  # fmt: skip
    with _place(name, folder) as place:
        _common(place, words)
        for target, template in (
            ("README.md", "kind_readme.md"), (f"tests/test_{package}.py", "test_kit.py"),
            (f"src/{package}/plugin.py", f"{brings}_plugin.py"), (f"src/{package}/{brings}.py", f"{brings}.py"),
        ):  # fmt: skip
            _write(place / target, template, words)
    return folder / name


def publish(name: str, model: Path, folder: Path) -> Path:
    """Write a plugin that brings the model in a folder of `graftwork pretrain`, into a new folder `folder / name`.

    Raises `UsageError` for a name that no package can have and a folder that is there, `DataError` for a model without
    a card, and `WeightsMismatch` for one that is not what its card says.
    """
    from graftwork.models.backbone import load_backbone

    _check_name(name, folder)
    spec = backbone(f"local:{model}")
    card = pretraining_card.read(model, spec.config or read_json(model / "config.json"))
    if card is None:
        raise DataError(
            f"'{model}' has no card, {pretraining_card.CARD}, so what its weights were trained on is not known.",
            "Name a folder that graftwork pretrain wrote.",
        )
    spec = load_backbone(spec).spec
    words = _words(name)
    package = words["package"]
    contract, recipe = (pformat(part, width=100, sort_dicts=False) for part in (spec.contract, spec.recipe))
    words |= {
        "modality": spec.modality, "backbone": f"{spec.modality}/{words['entry']}",
        "needs": _needs(CORE, f"graftwork-{spec.modality}>=0.1,<0.2"),
        "contract": indent(contract, " " * 8).lstrip(),
        "recipe": indent(recipe, " " * 8).lstrip(), "factory": spec.factory, "stages": repr(spec.stages),
        "views": repr(spec.views), "survey": spec.survey,
        "feature_dim": str(spec.feature_dim), "parameters": f"{card['parameters']:_}",
        "size": f"{(model / HUB_WEIGHTS).stat().st_size:_}", "license": card["license"],
        "pretrained_on": spec.pretrained_on, "architecture": card["architecture"],
    }  # fmt: skip
    with _place(name, folder) as place:
        _common(place, words)
        for target, template in (
            (f"tests/test_{package}.py", "test.py"), (f"src/{package}/plugin.py", "published.py"),
            ("README.md", "published.md"),
        ):  # fmt: skip
            _write(place / target, template, words)
        shutil.copytree(model, place / "src" / package / "model")
    return folder / name


def imported(names: Iterable[str]) -> str:
    """The line, or lines, that import these names of graftwork, in the order that ruff wants."""
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    line = f"from graftwork import {', '.join(ordered)}"
    return line if len(line) <= 120 else "from graftwork import (\n    " + ",\n    ".join(ordered) + ",\n)"


def _words(name: str) -> dict[str, str]:
    """What every template is told of a name. entry: the name of what the package brings."""
    entry = name.removeprefix(PREFIX)
    title = entry.replace("-", " ").capitalize()
    return {"name": name, "entry": entry, "package": name.replace("-", "_"), "title": title}


def _needs(*requirements: str) -> str:
    return "\n".join(f'    "{one}",' for one in sorted(requirements))


def _nested(lines: str) -> str:
    """The inside of a dictionary: empty, or lines of their own."""
    return lines if lines.strip() else ""


def _check_name(name: str, folder: Path) -> None:
    """Raises `UsageError` for a name that no package can have, one that is installed, and a folder that is there."""
    other = "Write: graftwork new plugin my-encoder --modality image"
    if not NAMES.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"'{name}' is no name of a plugin: small letters, digits and single hyphens are accepted.", other
        )
    place = folder / name
    if place.exists():
        raise UsageError(f"'{place}' is there already; a plugin is written to a new folder.", "Name another.")
    module = name.replace("-", "_")
    if module in sys.stdlib_module_names or _installed(module):
        whose = "Python itself" if module in sys.stdlib_module_names else "an installed package"
        raise UsageError(f"'{name}' would be imported as {module}, which is a module of {whose}.", "Name another.")


def _installed(module: str) -> bool:
    """Whether an import of the module would find one; a mere folder of this name is none."""
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


@contextmanager
def _place(name: str, folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder / name` at the end, or goes where writing fails."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-plugin-") as scratch:
        place = Path(scratch) / name
        place.mkdir()
        yield place
        place.rename(folder / name)


def _common(place: Path, words: dict[str, str]) -> None:
    """Write what every plugin has."""
    source = place / "src" / words["package"]
    for target, template in (
        ("pyproject.toml", "pyproject.toml"), (".github/workflows/test.yml", "ci.yml"), ("LICENSE", "LICENSE"),
    ):  # fmt: skip
        _write(place / target, template, words)
    source.mkdir(parents=True)
    (source / "__init__.py").write_text(f'"""{words["title"]} as a Graftwork plugin."""\n', encoding="utf-8")
    (source / "py.typed").touch()


def _write(path: Path, template: str, words: dict[str, str]) -> None:
    text = (files("graftwork") / "templates" / "plugin" / f"{template}.txt").read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(text).substitute(words), encoding="utf-8")


def _weights(source: Path, package: str) -> dict[str, str]:
    """Give the encoder that was written random weights; how large they are, and how many numbers."""
    import torch
    from safetensors.torch import save_file

    sys.path.insert(0, str(source.parent))
    try:
        spec = next(importlib.import_module(f"{package}.plugin").graftwork_backbones())
        torch.manual_seed(0)
        encoder = importlib.import_module(f"{package}.model").build(spec, None)
    finally:
        sys.path.remove(str(source.parent))
        for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == package]:
            del sys.modules[loaded]
    file = source / "weights.safetensors"
    save_file(encoder.state_dict(), file)
    return {
        "size": f"{file.stat().st_size:_}",
        "parameters": f"{sum(parameter.numel() for parameter in encoder.parameters()):_}",
    }
