"""`graftwork new plugin`: a package that installs, registers an encoder and passes the conformance kit as written."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from pprint import pformat
from string import Template
from textwrap import indent

from graftwork.errors import DataError, UsageError
from graftwork.plugins.registry import backbone, modalities
from graftwork.specs import pretraining_card
from graftwork.specs.hub_folder import HUB_WEIGHTS, read_json

NAMES = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Kind:
    """What of the templates differs by modality: what the encoder needs and reads, its first stage, how it prepares."""

    needs: str
    facts: str
    preparation: str
    stem: str
    prepare: str = ""
    imports: str = ""
    registers: str = ""
    model_imports: str = ""
    tensor_imports: str = "Backbone, BackboneSpec, Stage, State, masked_mean"


IMAGE = Kind(
    needs=', "graftwork-image>=0.1,<0.2"',
    imports="from graftwork import AtMost, Exactly\n",
    facts='{"frames": Exactly(1), "orientation": Exactly(1), "bit_depth": AtMost(8), "mode": Exactly("RGB")}',
    preparation='{"resize": 64, "crop": 64, "interpolation": "bilinear", "range": (0.0, 1.0), "mean": (0.5, 0.5, 0.5), '
    '"std": (0.5, 0.5, 0.5)}',
    stem='''
class Stem(Stage):
    """Pixels `(B, 3, 64, 64)` to patches `(B, 64, 32)`."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.patches = nn.Conv2d(3, 32, 8, stride=8)

    def forward(self, state: State) -> State:
        return State(self.patches(state.hidden).flatten(2).transpose(1, 2))
''',
)

TEXT = Kind(
    needs=', "graftwork-text>=0.1,<0.2"',
    imports="from graftwork import AtLeast, Exactly\n",
    facts='{"encoding": Exactly("utf-8"), "byte_order_mark": Exactly("none"), "unicode_form": Exactly("NFC"), '
    '"characters": AtLeast(1)}',
    preparation='{"max_bytes": 256}',
    model_imports="import unicodedata\n",
    tensor_imports="Backbone, BackboneSpec, InputMismatch, Stage, State, masked_mean",
    stem='''
class Stem(Stage):
    """Bytes `(B, T)` to `(B, T, 32)`: each with its neighbours."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.bytes = nn.Embedding(256, 32)
        self.around = nn.Conv1d(32, 32, 3, padding=1)

    def forward(self, state: State) -> State:
        hidden = self.bytes(state.hidden)
        if state.mask is not None:
            hidden = hidden * state.mask[..., None]
        return State(self.around(hidden.transpose(1, 2)).transpose(1, 2), state.mask)
''',
    prepare='''
    def prepare(self, values: list[str]) -> State:
        """Texts to their first bytes `(B, T)` int64, with a mask."""
        for text in values:
            whole = all(not "\\ud800" <= letter <= "\\udfff" for letter in text)  # bytes that are no UTF-8 are not
            if "\\ufeff" in text or not whole or not unicodedata.is_normalized("NFC", text):
                raise InputMismatch(
                    f"'{self.spec.name}' was given a text to prepare that does not meet its contract.",
                    "Apply the steps of the agreement first.",
                )
        rows = [torch.tensor(list(text.encode()[: self.spec.preparation["max_bytes"]])) for text in values]
        hidden = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return State(hidden, torch.arange(hidden.shape[1]) < lengths[:, None])
''',
)

AUDIO = Kind(
    needs=', "graftwork-audio>=0.1,<0.2"',
    imports="from graftwork import Exactly, Within\n",
    facts='{"channels": Exactly(1), "sampling_rate": Exactly(16_000, "Hz"), "duration": Within(0.1, 10.0, "s")}',
    preparation='{"normalize": True}',
    stem='''
FRAME = 400
"""Samples of a frame, 25 ms."""


class Stem(Stage):
    """Waveforms `(B, T)` to frames `(B, T', 32)`; a frame counts where all of it is sound."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.frames = nn.Conv1d(1, 32, FRAME, stride=FRAME)

    def forward(self, state: State) -> State:
        hidden = self.frames(state.hidden[:, None]).relu().transpose(1, 2)
        if state.mask is None:
            return State(hidden)
        lengths = state.mask.sum(1) // FRAME
        return State(hidden, torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None])
''',
)

NEW = Kind(
    needs="",
    imports="from graftwork import AtLeast, Converter, Exactly, Fact, Modality, OneOf\n",
    facts='{"rate": Exactly(10, "Hz"), "points": AtLeast(4)}',
    preparation="{}",
    tensor_imports="Backbone, BackboneSpec, InputMismatch, Stage, State, masked_mean",
    registers="""
@hookimpl
def graftwork_modalities():
    yield Modality(
        "$modality",
        noun="$modality data",
        reader="$package.reader:Series",
        facts=(Fact("rate", "the first line", "Hz", headline=True), Fact("points", "the lines")),
        extensions=(".series",),
        sample="$package.reader:sample",
    )


@hookimpl
def graftwork_converters():
    yield Converter(
        "thin", "$modality", "rate", "$package.reader:thin", accepts=OneOf((20, 30, 40, 50)), gives=Exactly(10),
        loss=lambda seen, to: "points in between are left out",
    )

""",
    stem='''
class Stem(Stage):
    """Numbers `(B, T)` to `(B, T, 32)`: each with its neighbours."""

    def __init__(self) -> None:
        super().__init__("stem")
        self.around = nn.Conv1d(1, 32, 5, padding=2)

    def forward(self, state: State) -> State:
        hidden = state.hidden if state.mask is None else state.hidden * state.mask
        return State(self.around(hidden[:, None]).relu().transpose(1, 2), state.mask)
''',
    prepare='''
    def prepare(self, values: list) -> State:
        """Series to `(B, T)` float32, with a mask."""
        for rate, points in values:
            if rate != 10 or len(points) < 4:
                raise InputMismatch(
                    f"'{self.spec.name}' prepares series of 10 Hz and 4 points or more.",
                    "Apply the steps of the agreement first.",
                )
        rows = [torch.from_numpy(points) for _, points in values]
        hidden = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return State(hidden, torch.arange(hidden.shape[1]) < lengths[:, None])
''',
)

KINDS = {"image": IMAGE, "text": TEXT, "audio": AUDIO}


def new_plugin(name: str, modality: str, folder: Path) -> Path:
    """Write a plugin with an encoder of a modality into a new folder `folder / name`; of one that nothing brings, the
    modality too.

    Raises `UsageError` for a name that no package can have, a folder that is there, and a modality that is installed
    and that no template is for.
    """
    place = _free(name, folder)
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
    kind = KINDS.get(modality, NEW)
    package = name.replace("-", "_")
    words = {
        "name": name, "package": package, "modality": modality, "backbone": f"{modality}/{name}",
        "title": name.replace("-", " ").capitalize(), **vars(kind), "size": "1", "parameters": "1",
    }  # fmt: skip
    words["registers"] = Template(kind.registers).substitute(words)
    source = place / "src" / package
    for target, template in (
        ("pyproject.toml", "pyproject.toml"), ("README.md", "README.md"), (".github/workflows/test.yml", "ci.yml"),
        (f"tests/test_{package}.py", "test.py"), (f"src/{package}/plugin.py", "plugin.py"),
        (f"src/{package}/model.py", "model.py"),
        *([] if modality in KINDS else [(f"src/{package}/reader.py", "reader.py")]),
    ):  # fmt: skip
        _write(place / target, template, words)
    (source / "__init__.py").write_text(f'"""{words["title"]} as a Graftwork plugin."""\n', encoding="utf-8")
    _write(source / "plugin.py", "plugin.py", {**words, **_weights(source, package)})
    return place


def publish(name: str, model: Path, folder: Path) -> Path:
    """Write a plugin that brings the model in a folder of `graftwork pretrain`, into a new folder `folder / name`.

    Raises `UsageError` for a name that no package can have and a folder that is there, `DataError` for a model without
    a card, and `WeightsMismatch` for one that is not what its card says.
    """
    from graftwork.models.backbone import load_backbone

    place = _free(name, folder)
    spec = backbone(f"local:{model}")
    card = pretraining_card.read(model, spec.config or read_json(model / "config.json"))
    if card is None:
        raise DataError(
            f"'{model}' has no card, {pretraining_card.CARD}, so what its weights were trained on is not known.",
            "Name a folder that graftwork pretrain wrote.",
        )
    spec = load_backbone(spec).spec
    package = name.replace("-", "_")
    contract, recipe = (pformat(part, width=100, sort_dicts=False) for part in (spec.contract, spec.recipe))
    words = {
        "name": name, "package": package, "modality": spec.modality, "backbone": f"{spec.modality}/{name}",
        "title": name.replace("-", " ").capitalize(), "needs": f', "graftwork-{spec.modality}>=0.1,<0.2"',
        "contract": indent(contract, " " * 8).lstrip(),
        "recipe": indent(recipe, " " * 8).lstrip(), "factory": spec.factory, "stages": repr(spec.stages),
        "views": repr(spec.views), "survey": spec.survey,
        "feature_dim": str(spec.feature_dim), "parameters": f"{card['parameters']:_}",
        "size": f"{(model / HUB_WEIGHTS).stat().st_size:_}", "license": card["license"],
        "pretrained_on": spec.pretrained_on, "architecture": card["architecture"],
    }  # fmt: skip
    for target, template in (
        ("pyproject.toml", "pyproject.toml"), (".github/workflows/test.yml", "ci.yml"),
        (f"tests/test_{package}.py", "test.py"), (f"src/{package}/plugin.py", "published.py"),
        ("README.md", "published.md"),
    ):  # fmt: skip
        _write(place / target, template, words)
    source = place / "src" / package
    (source / "__init__.py").write_text(f'"""{words["title"]} as a Graftwork plugin."""\n', encoding="utf-8")
    shutil.copytree(model, source / "model")
    return place


def _free(name: str, folder: Path) -> Path:
    """The new folder of a plugin. Raises `UsageError` for a name that no package can have, or one that is there."""
    if not NAMES.fullmatch(name):
        raise UsageError(
            f"'{name}' is no name of a plugin: small letters, digits and single hyphens are accepted.",
            "Write: graftwork new plugin my-encoder --modality image",
        )
    place = folder / name
    if place.exists():
        raise UsageError(f"'{place}' is there already; a plugin is written to a new folder.", "Name another.")
    return place


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
