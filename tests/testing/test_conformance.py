"""The kit passes what is sound and finds what is not: a small plugin with a modality of its own, and planted faults, each
caught by the check that names it."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from graftwork import errors as gw_errors
from graftwork.plugins import loading
from graftwork.testing import Nonconformance, NotChecked, cases

PLUGIN = """
from graftwork import (
    API_VERSION, AtLeast, BackboneSpec, Converter, Exactly, Fact, FolderWeights, InputContract, Modality, OneOf, hookimpl,
)
from pathlib import Path

api_version = API_VERSION
PACKAGE = __name__.partition(".")[0]

@hookimpl
def graftwork_modalities():
    yield Modality(
        "traces", noun="traces", reader=f"{PACKAGE}.reader:Series", extensions=(".traces",),
        facts=(Fact("rate", "the first line", "Hz"), Fact("points", "the lines")),
        preparer=f"{PACKAGE}.model:preparer", sample=f"{PACKAGE}.reader:sample", augment=f"{PACKAGE}.reader:augment",
    )

@hookimpl
def graftwork_converters():
    yield Converter("thin", "traces", "rate", f"{PACKAGE}.reader:thin", accepts=OneOf((20, 30)), gives=Exactly(10),
                    loss=lambda seen, to: "points are dropped")

@hookimpl
def graftwork_backbones():
    yield BackboneSpec(
        name="traces/small",
        contract=InputContract("traces", {"rate": Exactly(10, "Hz"), "points": AtLeast(2)}, {"scale": 1.0}),
        factory=f"{PACKAGE}.model:build", weights=FolderWeights(Path("/nowhere"), 5000),
        stages=("stem", "block", "top"), feature_dim=8, parameters=PARAMETERS, license="MIT", source="here",
        pretrained_on="nothing",
    )
"""

READER = """
import random
import numpy as np
from graftwork import Empty, Raw, Reader, Unreadable

class Series(Reader):
    def _numbers(self, raw):
        if isinstance(raw.value, tuple):
            return raw.value
        if raw.value is not None and not isinstance(raw.value, bytes):
            raise Unreadable(f"'{raw.name}' is no trace.")
        try:
            found = [float(word) for word in raw.content().decode().split()]
        except (OSError, ValueError) as error:
            raise Unreadable(f"'{raw.name}' cannot be read as a trace.") from error
        if len(found) < 2:
            raise Empty(f"'{raw.name}' is empty.")
        return int(found[0]), np.array(found[1:], np.float32)

    def facts(self, raw):
        rate, values = self._numbers(raw)
        return {"rate": rate, "points": len(values)}

    def decode(self, raw):
        return self._numbers(raw)

    def size(self, raw):
        return len(self._numbers(raw)[1])

    def digest(self, raw):
        import hashlib
        rate, values = self._numbers(raw)
        return hashlib.blake2b(values.tobytes() + str(rate).encode(), digest_size=16).digest()

def thin(value, seen, to):
    return to, value[1][:: seen // to]

def sample(facts, rng):
    rate, points = facts.get("rate", 10), facts.get("points", rng.randint(6, 12))
    if points < 1 or rate < 1:
        raise LookupError("no such traces")
    lines = [str(rate), *(f"{rng.gauss(0, 1):.3f}" for _ in range(points))]
    return Raw("sample.traces", value="\\n".join(lines).encode())

def augment():
    def change(value, rng):
        return value[0], (value[1] * np.float32(rng.uniform(0.9, 1.1))).astype(np.float32)
    return change
"""

MODEL = """
import torch
from torch import nn
from graftwork import Backbone, InputMismatch, Stage, State, masked_mean

def preparer(spec):
    def prepare(values):
        for rate, points in values:
            if rate != 10 or len(points) < 2:
                raise InputMismatch("Series of 10 Hz and 2 points are wanted.", "Convert them.")
        longest = max(len(points) for _, points in values)
        hidden = torch.zeros(len(values), longest)
        mask = torch.zeros(hidden.shape, dtype=torch.bool)
        for row, (_, points) in enumerate(values):
            hidden[row, : len(points)] = torch.from_numpy(points)
            mask[row, : len(points)] = True
        return State(hidden, mask)
    return prepare

class Stem(Stage):
    def __init__(self):
        super().__init__("stem")
        self.lift = nn.Linear(1, 8)
    def forward(self, state):
        return State(self.lift(state.hidden[..., None]), state.mask)

class Block(Stage):
    def __init__(self):
        super().__init__("block")
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.2)
    def forward(self, state):
        hidden = state.hidden
        mixed, _ = self.attention(hidden, hidden, hidden, key_padding_mask=~state.mask, need_weights=False)
        hidden = self.norm((hidden + self.drop(mixed)).transpose(1, 2)).transpose(1, 2)
        return State(hidden, state.mask)

class Top(Stage):
    def __init__(self):
        super().__init__("top")
        self.out = nn.Linear(8, 8)
    def forward(self, state):
        return State(state.hidden + self.out(state.hidden).tanh(), state.mask)

class Small(Backbone):
    def pool(self, state):
        return masked_mean(state)

def build(spec, weights):
    return Small(spec, [Stem(), Block(), Top()], [8, 8, 8])
"""

LIBRARY = """
def reference(backbone, values):
    return backbone(backbone.prepare(values)).hidden
"""
COUNT = 16 + 288 + 16 + 72

FAULTS = {
    "padding is attended to": ("model", "key_padding_mask=~state.mask, ", "", "an_example_is_the_same_alone_and_in_a_batch"),
    "padding is pooled": ("model", "return masked_mean(state)", "return state.hidden.mean(1)", "padding_changes_nothing"),
    "rows see each other": (
        "model", "return State(hidden, state.mask)\n\nclass Top", "return State(hidden - hidden.mean(0, keepdim=True), state.mask)\n\nclass Top",
        "an_example_is_the_same_alone_and_in_a_batch",
    ),
    "statistics move while frozen": (
        "model", "        hidden = state.hidden\n        mixed", "        hidden = state.hidden\n        self.norm.running_mean += 0.1\n        mixed",
        "frozen_stages_stand_still",
    ),
    "dropout stays on": ("model", "self.drop(mixed)", "nn.functional.dropout(mixed, 0.2)", "evaluation_has_no_chance_in_it"),
    "a defect is measured that nobody declared": (
        "reader", "    def size(", '    def defects(self, value):\n        return {"dull": 0.5}\n\n    def size(',
        "what_is_lost_is_declared_and_a_share",
    ),
    "a defect is told by no fact": (
        "plugin", "facts=(Fact(", 'defects=(__import__("graftwork").Defect("dull", "dull", fact="tone"),), facts=(Fact(',
        "what_is_lost_is_declared_and_a_share",
    ),
    "the contract's rate is another than is prepared": ("plugin", 'Exactly(10, "Hz")', 'Exactly(20, "Hz")', "its_contract_is_what_it_prepares"),
    "prepare takes any rate in silence": ("model", "rate != 10 or ", "", "its_contract_is_what_it_prepares"),
    "prepare ends in a fault of its own": ("model", "raise InputMismatch(", "raise KeyError(", "its_contract_is_what_it_prepares"),
    "a parameter outside the stages": (
        "model", "    def pool(self, state):", "    def __init__(self, *a):\n        super().__init__(*a)\n        self.scale = nn.Parameter(torch.ones(8))\n    def pool(self, state):",
        "its_stages_own_every_parameter_once",
    ),
    "a parameter in two stages": (
        "model", "return Small(spec, [Stem(), Block(), Top()]", "stem, top = Stem(), Top()\n    top.also = stem.lift\n    return Small(spec, [stem, Block(), top]",
        "its_stages_own_every_parameter_once",
    ),
    "a part of the model left out": ("plugin", "parameters=PARAMETERS", "parameters=PARAMETERS + 72", "its_stages_own_every_parameter_once"),
    "a wrong feature size": ("model", "[8, 8, 8]", "[8, 4, 8]", "its_feature_sizes_are_true_at_every_tap"),
    "another feature size in the spec": ("plugin", "feature_dim=8", "feature_dim=16", "its_feature_sizes_are_true_at_every_tap"),
    "half precision out of pool": ("model", "return masked_mean(state)", "return masked_mean(state).half()", "its_feature_sizes_are_true_at_every_tap"),
    "no gradient": ("model", "state.hidden + self.out(state.hidden).tanh()", "(state.hidden + self.out(state.hidden).tanh()).detach()", "gradients_reach_what_trains_and_nothing_else"),
    "a parameter that nothing uses": (
        "model", "self.out = nn.Linear(8, 8)", "self.out = nn.Linear(8, 8)\n        self.idle = nn.Parameter(torch.zeros(1))", "gradients_reach_what_trains_and_nothing_else"
    ),
    "requires_grad set by a stage": (
        "model", "return State(self.lift(", "self.lift.weight.requires_grad_(True)\n        return State(self.lift(", "gradients_reach_what_trains_and_nothing_else"
    ),
    "state that is not saved": (
        "model",
        "nn.Linear(8, 8)\n    def forward(self, state):\n        return State(state.hidden + self.out(state.hidden).tanh()",
        "nn.Linear(8, 8)\n        self.shift = torch.randn(8)\n    def forward(self, state):\n        return State(state.hidden + self.out(state.hidden).tanh() + self.shift",
        "what_is_saved_is_loaded",
    ),
    "a forward of its own": (
        "model", "    def pool(self, state):", "    def forward(self, state):\n        return State(2 * super().forward(state).hidden, state.mask)\n    def pool(self, state):",
        "folding_is_the_librarys_own_forward",
    ),
    "no licence": ("plugin", 'license="MIT"', 'license=""', "the_spec_says_all"),
    "no size": ("plugin", 'FolderWeights(Path("/nowhere"), 5000)', 'FolderWeights(Path("/nowhere"))', "the_spec_says_all"),
    "a fact that nobody observes": ("plugin", '"points": AtLeast(2)', '"colour": Exactly(1)', "data_that_do_not_fit_are_refused"),
    "a converter that does nothing": ("reader", "return to, value[1][:: seen // to]", "return value", "it_does_what_it_says"),
    "a reader that raises what it likes": ("reader", "raise Empty(", "raise RuntimeError(", "what_cannot_be_read_is_said_to_be"),
    "a digest of the rate alone": ("reader", "values.tobytes() + ", "", "examples_are_told_apart"),
    "augmentation by the process's generator": ("reader", "rng.uniform", "random.uniform", "augmentation_follows_its_seed"),
    "a fact that is not observed": ("reader", '"rate": rate, ', "", "its_reader_observes_what_is_declared"),
}  # fmt: skip

numbers = itertools.count()


@pytest.fixture
def planted(tmp_path: Path, monkeypatch):
    """Install the plugin with something in it replaced, and give its cases."""

    def install(file: str = "", old: str = "", new: str = "", plugin_too: bool = False) -> list:
        package = f"planted{next(numbers)}"
        sources = {"plugin": PLUGIN.replace("PARAMETERS", str(COUNT)), "reader": READER, "model": MODEL}
        old, new = (words.replace("PARAMETERS", str(COUNT)) for words in (old, new))
        if file:
            assert old in sources[file]
            sources[file] = sources[file].replace(old, new)
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        for name, source in sources.items():
            (tmp_path / package / f"{name}.py").write_text(source)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[graftwork]\n{package} = {package}.plugin\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        loading.use(loading.discover(package))
        return [case for case in cases(package) if plugin_too or case.kind != "plugin"]

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    loading.use(None)
    for name in [name for name in sys.modules if name.startswith("planted")]:
        del sys.modules[name]


def failing(found: list) -> dict[str, str]:
    failed = {}
    for case in found:
        try:
            case()
        except NotChecked:
            continue
        except Nonconformance as error:
            failed[case.check] = str(error)
    return failed


def test_a_sound_plugin_passes(planted) -> None:
    assert failing(planted(plugin_too=True)) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_the_check_that_names_it(planted, fault) -> None:
    file, old, new, check = FAULTS[fault]
    failed = failing(planted(file, old, new))
    assert check in failed, failed
    assert failed[check].rstrip().endswith((".", ")"))


@pytest.mark.parametrize(
    ("file", "new", "check", "words"),
    [
        ("plugin", "import torch\n", "listing_it_imports_nothing_heavy", "imports numpy, torch"),
        ("model", "torch.set_default_dtype(torch.float64)\n", "importing_it_changes_nothing_else", ".model changes the default dtype of torch (torch.float32 before, torch.float64 after)"),
        ("model", "torch.set_num_threads(1 + torch.get_num_threads())\n", "importing_it_changes_nothing_else", ".model changes torch's number of threads ("),
        ("model", "import os; os.environ['MY_CACHE'] = '/tmp'\n", "importing_it_changes_nothing_else", ".model changes the environment variable MY_CACHE (unset before, '/tmp' after)"),
        ("reader", "import warnings; warnings.simplefilter('ignore')\n", "importing_it_changes_nothing_else", ".reader changes the filters of all warnings ("),
        ("reader", "random.seed(0)\n", "importing_it_changes_nothing_else", ".reader changes Python's generator ("),
    ],
)  # fmt: skip
def test_what_importing_costs_and_changes_is_said(planted, file, new, check, words) -> None:
    first = {"plugin": "api_version =", "model": "class Stem(", "reader": "class Series("}[file]
    found = [case for case in planted(file, first, new + first, plugin_too=True) if case.kind == "plugin"]
    failed = failing(found)
    assert set(failed) == {check}
    assert words in failed[check]


@pytest.mark.parametrize("library", ["sklearn.linear_model", "torchvision", "transformers", "noisy_library"])
def test_what_a_library_changes_when_it_is_imported_is_not_laid_to_the_plugin(planted, tmp_path, library) -> None:
    (tmp_path / "noisy_library.py").write_text("import os, random\nos.environ['NOISE'] = '1'\nrandom.seed(1)\n")
    first = "class Stem("
    found = planted("model", first, f"import {library}\n{first}", plugin_too=True)
    assert failing([case for case in found if case.kind == "plugin"]) == {}


@pytest.mark.parametrize(("modality", "count"), [("image", 12), ("text", 12), ("audio", 12)])
def test_fixtures_make_data_of_every_modality(graftwork_data, modality, count) -> None:
    import graftwork as gw

    data = gw.data(graftwork_data(modality))
    assert (data.modality.name, len(data), data.bad, set(data.labels or ())) == (modality, count, [], {"a", "b"})


def test_an_authors_one_line_runs_every_check(tmp_path, planted) -> None:
    """As an author runs it: pytest on a file of one line, in a process of its own."""
    import os
    import subprocess

    assert {case.kind for case in planted()} == {"modalities", "converters", "backbones"}
    (package,) = (path.parent.name for path in tmp_path.glob("planted*/plugin.py"))
    (tmp_path / "test_it.py").write_text(
        f"from graftwork.testing import conformance\ntest_conformance = conformance('{package}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path / "test_it.py"), "-k", "not plugin", "-p", "no:cacheprovider"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout.splitlines()[-1]
    with pytest.raises(gw_errors.UsageError, match="No plugin 'nothing' is installed; installed: "):
        cases("nothing")
