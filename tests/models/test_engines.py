"""Engines: what runs frozen stages, held to torch in fp32, chosen by a measurement that is made once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import graftwork as gw
import graftwork_text.plugin
from graftwork import UnknownName, UsageError
from graftwork.models import measurements
from graftwork.models.engines import choosing, openvino_engine
from graftwork.models.engines.runner import REFERENCE, Choice, Runner
from graftwork.runtime import cpu

CPU = torch.device("cpu")


# A third party's: public names alone.


class Mirror(gw.Engine):
    """Computes as torch does, by whatever `spoil` makes of it; counts what it compiles."""

    spoil = staticmethod(lambda pooled, state: pooled)
    compiled: ClassVar[list[str]] = []
    stages = 99

    def compile(self, frozen: gw.FrozenEncoder, example: gw.State, precision: str) -> Any:
        self.compiled.append(precision)
        ours, spoil = frozen.stages[: self.stages], type(self).spoil

        def run(state: gw.State) -> gw.Computed:
            found, first = [], state
            for number, stage in enumerate(ours):
                state = stage(state)
                if number in frozen.taps:
                    found.append(spoil(frozen.backbone.pool(state), first))
            return gw.Computed(found) if len(ours) == len(frozen.stages) else gw.Computed(found, state, len(ours))

        return run


class mirror(ModuleType):
    api_version = gw.API_VERSION

    @gw.hookimpl
    def graftwork_engines() -> Iterator[gw.EngineSpec]:
        yield gw.EngineSpec("mirror", f"{__name__}:Mirror", "what torch does", ("fp32", "bf16"))
        yield gw.EngineSpec("needy", f"{__name__}:Mirror", "never there", needs="no-such-package", extra="needy")


@pytest.fixture(autouse=True)
def mirrored(plugins, monkeypatch) -> None:
    plugins(graftwork_text.plugin, mirror)
    monkeypatch.setattr(Mirror, "compiled", [])
    monkeypatch.setattr(measurements, "_here", {})


@pytest.fixture
def tiny(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def test_an_engine_of_a_plugin_runs_an_encoder_and_is_recorded(messages, tiny, tmp_path) -> None:
    with torch.random.fork_rng():
        exact = gw.fit(messages, tiny)
        run = gw.fit(messages, tiny, engine="mirror", precision="fp32", out=tmp_path / "run")
    assert run.record["engine"] == {"used": "mirror", "asked": "mirror", "version": "", "calibration": ""}
    assert run.record["precision"] == {"used": "fp32", "asked": "fp32", "cosine": 1.0}
    assert run.record["cache"]["misses"] == 28, "features of torch are not taken for its own"
    assert run.metrics == exact.metrics
    assert Mirror.compiled
    again = gw.fit(messages, tiny, engine="mirror", precision="fp32")
    assert again.record["cache"] == {"hits": 40, "misses": 0}
    Mirror.compiled.clear()
    loaded = gw.load(tmp_path / "run")
    assert loaded.predict(["where is my parcel"])[0]["label"] == "delivery"
    assert Mirror.compiled == ["fp32"], "predict computes as the fit did"
    assert loaded.evaluate(messages)["cache"] == {"hits": 40, "misses": 0}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pooled, state: pooled + 0.3 * torch.ones_like(pooled) * pooled.norm(dim=1, keepdim=True),
        lambda pooled, state: 2 * pooled,  # of cosine 1
        lambda pooled, state: pooled if len(pooled) == 40 else pooled.roll(1, 0),  # right for the shape of the example
        lambda pooled, state: pooled if state.hidden.shape[1] > 6 else 0 * pooled,
        lambda pooled, state: pooled * torch.nan,
        lambda pooled, state: pooled[:1],
    ],
)
def test_an_engine_whose_features_do_not_agree_is_not_used_and_its_cosine_is_said(
    messages, tiny, monkeypatch, spoil
) -> None:
    monkeypatch.setattr(Mirror, "spoil", staticmethod(spoil))
    run = gw.fit(messages, tiny, engine="mirror", precision="fp32")
    assert run.record["engine"]["used"] == "torch"
    assert run.metrics == gw.fit(messages, tiny).metrics
    said = " ".join(run.record["warnings"])
    assert "--engine mirror is not used, but torch in fp32: its features agree with torch's by a cosine of " in said


def test_an_engine_that_fails_is_not_used_and_why_is_said(messages, tiny, monkeypatch) -> None:
    def fails(pooled: Tensor, state: gw.State) -> Tensor:
        raise RuntimeError("no such kernel.\nat line 7")

    monkeypatch.setattr(Mirror, "spoil", staticmethod(fails))
    run = gw.fit(messages, tiny, engine="mirror", precision="fp32")
    assert run.record["engine"]["used"] == "torch"
    assert "--engine mirror is not used, but torch in fp32: no such kernel." in run.record["warnings"]


def test_torch_goes_on_from_the_state_of_the_stages_that_an_engine_can_run(messages, tiny, monkeypatch) -> None:
    monkeypatch.setattr(Mirror, "stages", 1)
    run = gw.fit(messages, tiny, engine="mirror", precision="fp32", tap="last")
    assert run.record["engine"]["used"] == "mirror"
    assert run.metrics == gw.fit(messages, tiny, tap="last").metrics


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"engine": "miror"}, r"No engine is called 'miror'; the nearest is mirror\. List all: graftwork machine"),
        ({"engine": "needy"}, r"--engine needy needs the package no-such-package, .* 'graftwork\[needy\]'"),
        ({"engine": "mirror", "device": "meta"}, r"The engine 'mirror' runs on cpu; the device is meta\."),
        ({"engine": "mirror", "precision": "int8"}, r"The engine 'mirror' computes in fp32, bf16, not in int8\."),
        ({"engine": "mirror", "compile": True}, r"--compile is torch\.compile, for the engine torch alone\."),
        ({"engine": "mirror", "freeze": "all"}, r"--engine is for what runs frozen before training; the freeze policy"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused_before_anything_is_computed(messages, tiny, asked, sentence) -> None:
    with pytest.raises((UnknownName, UsageError), match=sentence):
        gw.fit(messages, tiny, **asked)


def test_an_engine_that_is_not_installed_is_named_with_its_extra(messages, tiny, monkeypatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "openvino" else found(name, *_))
    with pytest.raises(UsageError, match=r"--engine openvino needs the package openvino, .* 'graftwork\[openvino\]'"):
        gw.fit(messages, tiny, engine="openvino")


def test_int8_is_refused_where_the_processor_is_slow_at_it(messages, tiny, monkeypatch) -> None:
    monkeypatch.setattr(cpu, "capabilities", lambda: frozenset({"bf16"}))
    with pytest.raises(UsageError, match=r"--precision int8 is slow here: .* has no instructions for it"):
        gw.fit(messages, tiny, precision="int8")
    monkeypatch.setattr(cpu, "capabilities", lambda: frozenset({"int8"}))
    with pytest.raises(UsageError, match="which a stream does not know"):
        gw.fit(gw.stream(messages), tiny, precision="int8")


def test_a_run_is_answered_by_torch_where_its_engine_is_not_there(messages, tiny, tmp_path, plugins) -> None:
    gw.fit(messages, tiny, engine="mirror", precision="fp32", out=tmp_path / "run")
    plugins(graftwork_text.plugin)
    run = gw.load(tmp_path / "run")
    said = r"The run was made with mirror fp32\. No engine is called 'mirror'.* Torch in fp32 takes its place\."
    with pytest.warns(UserWarning, match=said):
        assert run.predict(["where is my parcel"])[0]["label"] == "delivery"
    assert "Torch in fp32 takes its place." in " ".join(run.evaluate(messages)["warnings"])


# What a measurement decides.


def test_something_simpler_is_taken_unless_another_is_faster_by_a_margin() -> None:
    ways = [Choice(engine, precision) for engine in ("torch", "openvino") for precision in ("fp32", "bf16")]

    def best(*seconds: float) -> list[str]:
        found = choosing.ordered({"seconds": dict(zip(map(str, ways), seconds, strict=False))}, ways)
        return [str(one) for one in found]

    assert best(1.0, 0.9, 0.95, 0.9) == ["torch fp32"]
    assert best(1.0, 0.5, 0.6, 0.48) == ["torch bf16", "openvino bf16", "openvino fp32", "torch fp32"]
    assert best(1.0, 0.8, 0.6, 0.3) == ["openvino bf16", "openvino fp32", "torch bf16", "torch fp32"]
    assert best(1.0) == ["torch fp32"]


@pytest.fixture
def free(monkeypatch) -> list[Any]:
    """Engine and precision are measured as they are for a user; whatever is timed takes as long as `times` says."""
    monkeypatch.setenv("GRAFTWORK_ENGINE", "auto")
    monkeypatch.setenv("GRAFTWORK_PRECISION", "fp32")
    monkeypatch.setattr(choosing, "WORTH", 0.0)
    monkeypatch.setattr(choosing, "installed", lambda spec: spec.name in ("torch", "mirror"))
    timed: list[Any] = []

    def seconds(run: Runner, state: gw.State) -> float:
        timed.append(run.choice)
        return 1.0 if run.choice == REFERENCE else 0.5

    monkeypatch.setattr(choosing, "_seconds", seconds)
    return timed


def test_a_machine_is_measured_once_and_then_every_fit_chooses_the_same(messages, tiny, free, own_store) -> None:
    first = gw.fit(messages, tiny)
    assert first.record["engine"]["used"] == "mirror"
    assert free, "it was measured"
    free.clear()
    warm, cold = gw.fit(messages, tiny), gw.fit(messages, tiny, cache=False)
    measurements._here.clear()  # as in another process
    later = gw.fit(messages, tiny)
    assert not free
    for run in (warm, cold, later):
        assert run.record["engine"] == first.record["engine"]
        assert all(torch.equal(a, b) for a, b in zip(run._head.parameters(), first._head.parameters(), strict=True))
    (kept,) = json.loads((own_store.parent / "machine.json").read_text())["machines"].values()
    (measured,) = kept["measured"].values()
    assert measured["seconds"] == {"torch fp32": 1.0, "mirror fp32": 0.5}


def test_what_disagrees_when_it_is_measured_is_not_chosen(messages, tiny, free, monkeypatch) -> None:
    monkeypatch.setattr(Mirror, "spoil", staticmethod(lambda pooled, state: -pooled))
    run = gw.fit(messages, tiny)
    assert run.record["engine"]["used"] == "torch"
    assert not run.record["warnings"], "nobody asked for it"


def test_encoders_too_small_for_another_engine_are_left_to_torch(messages, tiny, free, monkeypatch) -> None:
    monkeypatch.setattr(choosing, "WORTH", 10.0)
    assert gw.fit(messages, tiny).record["engine"]["used"] == "torch"
    assert not Mirror.compiled


@pytest.mark.parametrize(
    "words", ["", "{", "[]", '{"format": 1}', '{"format": 99, "machines": {}}', '{"format": 1, "machines": {"x": 3}}']
)
def test_a_damaged_memory_is_measured_anew(messages, tiny, free, own_store, words, shell) -> None:
    file = own_store.parent / "machine.json"
    file.write_text(words)
    assert "is damaged or of another format" in " ".join(shell.json("machine")["notes"])
    assert gw.fit(messages, tiny).record["engine"]["used"] == "mirror"
    assert json.loads(file.read_text())["machines"]


@pytest.fixture
def threads() -> Iterator[int]:
    """How many torch has, and has again afterwards."""
    count = torch.get_num_threads()
    yield count
    torch.set_num_threads(count)


@pytest.mark.parametrize("change", ["processor", "version", "threads"])
def test_a_measurement_of_another_machine_or_version_is_ignored(
    messages, tiny, free, monkeypatch, own_store, change, shell, threads
) -> None:
    gw.fit(messages, tiny)
    free.clear()
    measurements._here.clear()
    if change == "processor":
        monkeypatch.setattr(cpu, "processor", lambda: ("Another", frozenset()))
    elif change == "version":
        monkeypatch.setattr(measurements, "_version", lambda package: "9.9")
    else:
        torch.set_num_threads(threads + 1)
    gw.fit(messages, tiny)
    assert free, "measured anew"
    assert len(json.loads((own_store.parent / "machine.json").read_text())["machines"]) == 2
    found = shell.json("machine")
    assert "Measurements of 1 other machines or versions are kept and not used here." in found["notes"]


def test_what_cannot_be_kept_is_measured_once_in_a_process(messages, tiny, free, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRAFTWORK_CACHE", str(tmp_path / "file"))
    assert gw.fit(messages, tiny, cache=False).record["engine"]["used"] == "mirror"
    free.clear()
    assert gw.fit(messages, tiny, cache=False).record["engine"]["used"] == "mirror"
    assert not free


def test_forgetting_features_keeps_what_the_machine_is_fast_at(messages, tiny, free, own_store, shell) -> None:
    gw.fit(messages, tiny)
    compiled = own_store.parent / "engines" / "x"
    compiled.mkdir(parents=True)
    (compiled / "graph.bin").write_bytes(b"12345")
    assert shell.json("cache", "size")["compiled"] == 5
    assert shell.json("cache", "clear")["compiled"] == 5
    assert not compiled.exists()
    assert (own_store.parent / "machine.json").exists()


def test_the_command_says_what_was_measured(messages, tiny, free, shell, own_store) -> None:
    gw.fit(messages, tiny)
    (one,) = shell.json("machine")["encoders"]
    assert (one["encoder"], one["chosen"], one["asked"]) == (tiny, "mirror fp32", "auto fp32")
    said = shell("machine").stdout
    assert "mirror fp32" in said
    assert "torch uses" in said


# OpenVINO.


class Odd(gw.Stage):
    """A stage of 4 numbers that does something to trace."""

    def __init__(self, name: str, what: Any) -> None:
        super().__init__(name)
        self.linear, self.what = nn.Linear(4, 4), what

    def forward(self, state: gw.State) -> gw.State:
        return gw.State(self.what(torch.tanh(self.linear(state.hidden))), state.mask)


class OddEncoder(gw.Backbone):
    def pool(self, state: gw.State) -> Tensor:
        return gw.masked_mean(state)


def encoder(*what: Any) -> OddEncoder:
    torch.manual_seed(0)
    names = tuple(f"stage{number}" for number in range(len(what)))
    spec = gw.BackboneSpec(
        "odd", gw.InputContract("text", {}), f"{__name__}:encoder", gw.FolderWeights(Path()), names, 4, 20 * len(what),
        license="", source="", pretrained_on="",
    )  # fmt: skip
    stages = [Odd(name, one) for name, one in zip(names, what, strict=True)]
    return OddEncoder(spec, stages, [4] * len(what)).eval().requires_grad_(False)


def plain(hidden: Tensor) -> Tensor:
    return hidden


def by_rows(hidden: Tensor) -> Tensor:
    """A loop over rows, of which tracing keeps as many turns as it saw."""
    return torch.stack([2 * hidden[row] for row in range(len(hidden))])


def by_value(hidden: Tensor) -> Tensor:
    """A number that depends on the values, which tracing takes for a constant."""
    return hidden + 10 * float(hidden.flatten()[0])


def batch(rows: int, length: int, masked: bool) -> gw.State:
    torch.manual_seed(rows)
    mask = torch.arange(length) < torch.randint(2, length + 1, (rows, 1)) if masked else None
    return gw.State(torch.randn(rows, length, 4), mask)


def runner(backbone: gw.Backbone, folder: Path | None = None, precision: str = "fp32", **more: Any) -> Runner:
    taps = tuple(range(len(backbone.stages())))
    return Runner(Choice("openvino", precision), gw.FrozenEncoder(backbone, taps, CPU, folder, **more))


@pytest.mark.parametrize("masked", [True, False])
def test_a_graph_gives_what_torch_gives_for_batches_of_any_size(masked) -> None:
    run = runner(encoder(plain, plain))
    assert run.agreement(batch(5, 9, masked)) > 0.99999
    for rows, length in ((5, 9), (1, 9), (7, 3), (2, 12)):
        state = batch(rows, length, masked)
        for one, other in zip(run(state), run.reference.run(state).pooled, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_batches_with_a_mask_and_without_have_graphs_of_their_own() -> None:
    run = runner(encoder(plain))
    for masked in (True, False, True):
        state = batch(4, 6, masked)
        torch.testing.assert_close(run(state)[0], run.reference.run(state).pooled[0])
    assert len(run._kinds) == 2


def test_stages_that_cannot_be_converted_are_left_to_torch() -> None:
    run = runner(encoder(plain, plain, by_rows, plain))
    assert run.agreement(batch(5, 9, True)) > 0.99999
    computed = run._kinds[True].run(batch(4, 9, True))
    assert (computed.ran, len(computed.pooled)) == (2, 2)
    assert computed.then is not None
    for rows in (1, 6):
        state = batch(rows, 8, True)
        for one, other in zip(run(state), run.reference.run(state).pooled, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 5])
def test_a_constant_that_tracing_kept_is_seen(rows) -> None:
    run, state = runner(encoder(by_value)), gw.State(batch(rows, 9, True).hidden, torch.ones(rows, 9, dtype=torch.bool))
    assert run.agreement(state) < 0.999
    torch.testing.assert_close(run(state)[0], run.reference.run(state).pooled[0])  # torch's


def test_shapes_that_were_not_compared_are_left_to_torch(monkeypatch) -> None:
    run = runner(encoder(plain))
    assert run.agreement(batch(4, 6, False)) > 0.999
    state = gw.State(torch.randn(3, 5, 4))  # unmasked vectors of another length
    assert not run._kinds[False].takes(state)
    torch.testing.assert_close(run(state)[0], run.reference.run(state).pooled[0])


def test_a_graph_is_converted_once_and_kept(tmp_path, monkeypatch) -> None:
    backbone, state = encoder(plain, plain), batch(4, 6, True)
    first = runner(backbone, tmp_path)(state)
    monkeypatch.setattr(openvino_engine, "_traced", lambda *_: pytest.fail("it is kept"))
    for one, other in zip(first, runner(backbone, tmp_path)(state), strict=True):
        assert torch.equal(one, other)
    only = Runner(Choice("openvino", "fp32"), gw.FrozenEncoder(backbone, (0,), CPU, tmp_path))
    assert torch.equal(only(state)[0], first[0]), "a lower tap needs no other graph"


def test_a_damaged_graph_is_made_anew(tmp_path) -> None:
    backbone, state = encoder(plain), batch(4, 6, True)
    first = runner(backbone, tmp_path)(state)
    (graph,) = tmp_path.rglob("graph.xml")
    graph.write_text("<net")
    assert torch.equal(runner(backbone, tmp_path)(state)[0], first[0])


def test_a_text_encoder_runs_on_openvino_and_gives_the_same_bits_warm(messages, tiny) -> None:
    run = gw.fit(messages, tiny, engine="openvino", precision="fp32")
    assert run.record["engine"]["used"] == "openvino"
    assert run.record["precision"]["cosine"] > 0.99999
    again = gw.fit(messages, tiny, engine="openvino", precision="fp32")
    assert again.record["cache"] == {"hits": 40, "misses": 0}
    assert all(torch.equal(a, b) for a, b in zip(run._head.parameters(), again._head.parameters(), strict=True))


@pytest.mark.skipif("int8" not in cpu.capabilities(), reason="needs a processor with instructions for int8")
def test_int8_is_calibrated_on_the_training_part_and_answers_by_its_own_model(
    messages, tiny, tmp_path, monkeypatch
) -> None:
    import shutil

    from graftwork.runtime.compiled import compiled_folder

    monkeypatch.setattr("graftwork.models.engines.runner.AGREES_INT8", 0.9)  # of an encoder of 16 random numbers
    run = gw.fit(messages, tiny, precision="int8", seed=1, out=tmp_path / "run")
    other = gw.fit(messages, tiny, precision="int8", seed=2)
    assert (run.record["engine"]["used"], run.record["precision"]["used"]) == ("openvino", "int8")
    assert run.record["engine"]["calibration"] != other.record["engine"]["calibration"]
    assert other.record["cache"]["misses"] == 28, "features of another calibration are not mixed in"
    loaded = gw.load(tmp_path / "run")
    assert loaded.evaluate(messages)["cache"] == {"hits": 40, "misses": 0}
    assert loaded.predict(["where is my parcel"])[0]["label"] == "delivery"
    shutil.rmtree(compiled_folder())
    with pytest.warns(UserWarning, match="the int8 model that it was made with is not kept on this machine"):
        gw.load(tmp_path / "run").predict(["where is my parcel"])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_processes_that_share_nothing_give_the_same_bits(messages, tiny, tmp_path, precision) -> None:
    if precision == "int8" and "int8" not in cpu.capabilities():
        pytest.skip("needs a processor with instructions for int8")
    code = (
        "import sys, graftwork as gw\n"
        "from graftwork.models.engines import runner\n"
        "runner.AGREES_INT8 = 0.9\n"  # of an encoder of 16 random numbers
        "run = gw.fit(sys.argv[1], sys.argv[2], engine='openvino', precision=sys.argv[3], out=sys.argv[4])\n"
        "print(run.record['engine']['used'], run.record['precision']['used'], run.record['cache']['misses'])\n"
    )
    heads = set()
    for number in range(2):
        out, home = tmp_path / f"run{number}", tmp_path / f"home{number}"
        done = subprocess.run(
            [sys.executable, "-c", code, str(messages), tiny, precision, str(out)], capture_output=True, text=True,
            check=True, env={**os.environ, "GRAFTWORK_CACHE": str(home)},
        )  # fmt: skip
        assert done.stdout.split() == ["openvino", precision, "28"]  # of 40, 12 are said twice
        heads.add(hashlib.sha256((out / "head.safetensors").read_bytes()).hexdigest())
    assert len(heads) == 1
