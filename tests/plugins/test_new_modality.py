"""A plugin brings a kind of input that the core has never heard of, and gets everything: facts, agreement, conversions,
windows, check with near duplicates and pictures, fit, predict, and runs bound to their contract."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import graftwork as gw
from graftwork.cli import app
from graftwork.reports.check_page import write_check

RATE = 10


class Series(gw.Reader):
    """One file per series: the rate in Hz on the first line, then a number a line."""

    items = "series"

    def _lines(self, raw: gw.Raw) -> list[float]:
        try:
            lines = raw.content().decode().split()
        except OSError as error:
            raise gw.Unreadable(f"'{raw.name}' cannot be opened: {error.strerror}.") from error
        if len(lines) < 2:
            raise gw.Empty(f"'{raw.name}' holds no numbers.")
        try:
            return [float(line) for line in lines]
        except ValueError as error:
            raise gw.Unreadable(f"'{raw.name}' holds what is no number.") from error

    def facts(self, raw: gw.Raw) -> dict[str, gw.Value]:
        rate, *values = self._lines(raw)
        return {"rate": rate, "seconds": len(values) / rate}

    def decode(self, raw: gw.Raw) -> np.ndarray:
        return np.array(self._lines(raw)[1:], np.float32)

    def picture(self, raw: gw.Raw) -> bytes:
        return b"\x89PNG of " + raw.name.encode()


class Shape(gw.Likeness):
    bands, least = 2, 0.9

    def signature(self, raw: gw.Raw) -> np.ndarray:
        values = Series().decode(raw)
        return np.round(np.interp(np.linspace(0, 1, 8), np.linspace(0, 1, len(values)), values)).astype(np.int16)

    def similarity(self, one: Any, other: Any) -> Any:
        return (one == other).mean(1)


class Sums(gw.Backbone):
    def pool(self, state: gw.State) -> torch.Tensor:
        return gw.masked_mean(state)


class Ramp(gw.Stage):
    def __init__(self) -> None:
        super().__init__("ramp")
        self.scale = torch.nn.Parameter(torch.ones(3))

    def forward(self, state: gw.State) -> gw.State:
        powers = torch.stack([state.hidden, state.hidden**2, torch.ones_like(state.hidden)], -1)
        return gw.State(powers * self.scale, state.mask)


def prepare(spec: gw.BackboneSpec) -> Any:
    def batch(values: list[np.ndarray]) -> gw.State:
        hidden = torch.zeros(len(values), max(map(len, values)))
        mask = torch.zeros(hidden.shape, dtype=torch.bool)
        for row, value in enumerate(values):
            assert len(value) <= 2 * RATE
            hidden[row, : len(value)] = torch.from_numpy(value) / spec.preparation["scale"]
            mask[row, : len(value)] = True
        return gw.State(hidden, mask)

    return batch


def thin(value: np.ndarray, seen: float, to: float) -> np.ndarray:
    return value[:: int(seen / to)]


def split(value: np.ndarray, seen: float, to: float) -> list[gw.Window]:
    size = int(to * RATE)
    return [gw.Window(value[i : i + size], len(value[i : i + size]) / len(value)) for i in range(0, len(value), size)]


MODULE = "graftwork_series_for_tests"


def spec(scale: float = 100.0) -> gw.BackboneSpec:
    facts = {"rate": gw.Exactly(RATE, "Hz"), "seconds": gw.Within(0.2, 2, "s")}
    return gw.BackboneSpec(
        name="series/ramp",
        contract=gw.InputContract("series", facts, {"scale": scale}),
        factory=f"{MODULE}:build",
        weights=gw.FolderWeights(Path("/")),
        stages=("ramp",),
        feature_dim=3,
        parameters=3,
        license="MIT",
        source="this test",
        pretrained_on="nothing",
        starter=True,
    )


@pytest.fixture
def series(plugins) -> Iterator[types.ModuleType]:
    module: Any = types.ModuleType(MODULE)
    module.api_version = 1
    module.Series, module.Shape, module.prepare, module.thin, module.split = Series, Shape, prepare, thin, split
    module.build = lambda spec, weights: Sums(spec, [Ramp()], [3])

    @gw.hookimpl
    def graftwork_modalities():
        yield gw.Modality(
            "series",
            noun="time series",
            reader=f"{MODULE}:Series",
            facts=(gw.Fact("rate", "the first line", "Hz", headline=True), gw.Fact("seconds", "the lines", "s")),
            extensions=(".series",),
            preparer=f"{MODULE}:prepare",
            likeness=f"{MODULE}:Shape",
            long="windows",
        )

    @gw.hookimpl
    def graftwork_backbones():
        yield spec()

    @gw.hookimpl
    def graftwork_converters():
        multiples = gw.OneOf(tuple(float(RATE * n) for n in range(2, 9)), "Hz")
        yield gw.Converter(
            "thin", "series", "rate", f"{MODULE}:thin", accepts=multiples, gives=gw.Exactly(RATE, "Hz"),
            loss=lambda seen, to: "every so many points are dropped",
        )  # fmt: skip
        yield gw.Converter(
            "split", "series", "seconds", f"{MODULE}:split", reaches=lambda seen, to: to < seen, splits=True
        )

    module.graftwork_modalities, module.graftwork_backbones = graftwork_modalities, graftwork_backbones
    module.graftwork_converters = graftwork_converters
    sys.modules[MODULE] = module
    plugins(module)
    yield module
    del sys.modules[MODULE]


def write(folder: Path, label: str, name: str, values: list[float], rate: int = RATE) -> Path:
    path = folder / label / f"{name}.series"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(str, [rate, *values])))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for number in range(20):
        write(root, "up", f"{number}", [float(10 * i + number) for i in range(20)])
        write(root, "down", f"{number}", [float(-10 * i - number) for i in range(20)])
    write(root, "up", "fast", [float(10 * i) for i in range(40)], rate=20)
    write(root, "up", "long", [float(5 * i) for i in range(50)])
    write(root, "down", "short", [-1.0])
    write(root, "down", "torn", [-1.0]).write_text("10\nx\n")
    return root


def test_fit_converts_reads_in_windows_and_leaves_out_what_does_not_fit(series, folder, tmp_path) -> None:
    run = gw.fit(folder, out=tmp_path / "run")
    steps = {(s["converter"], s["seen"], s["to"], s["count"]) for s in run.record["agreement"]["steps"]}
    assert steps == {("thin", 20.0, 10, 1), ("split", 5.0, 2, 1)}
    assert run.record["long"] == {"mode": "windows", "examples": 1, "windows": 3, "truncated": 0.0}
    left_out = {Path(bad["name"]).name: bad["reason"] for bad in run.record["data"]["left_out"]}
    assert set(left_out) == {"short.series", "torn.series"}
    assert left_out["short.series"].endswith(
        "short.series' does not fit: its seconds is 0.1 s; backbone 'series/ramp' wants 0.2 to 2 s."
    )
    assert run.metrics["accuracy"] == 1.0
    loaded = gw.load(tmp_path / "run")
    answers = loaded.predict(
        [folder / "up" / "fast.series", folder / "down" / "3.series", folder / "down" / "short.series"]
    )
    assert [answer["label"] for answer in answers] == ["up", "down", None]


def test_a_run_predicts_with_the_converters_of_its_fit_though_a_better_one_came_since(
    series, folder, monkeypatch
) -> None:
    from graftwork.plugins.loading import installed

    run = gw.fit(folder)
    before = run.predict([folder / "up" / "fast.series"])
    series.wrong = lambda value, seen, to: -value
    better = gw.Converter("better", "series", "rate", f"{MODULE}:wrong", gives=gw.Exactly(RATE, "Hz"))
    monkeypatch.setitem(installed().registered["converters"], "series:better", better)
    assert gw.check(folder, backbone="series/ramp").agreement.steps[0].converter == "better"
    assert run.predict([folder / "up" / "fast.series"]) == before


def test_windows_of_an_example_are_averaged_by_their_shares_and_truncation_reads_the_first(series, tmp_path) -> None:
    for number in range(4):
        write(tmp_path / "d", "a", f"{number}", [float(i) for i in range(50)])
        write(tmp_path / "d", "b", f"{number}", [9.0] * 50)
    whole = gw.fit(tmp_path / "d", val=0.5)
    first = gw.fit(tmp_path / "d", val=0.5, long="truncate")
    assert first.record["long"] == {"mode": "truncate", "examples": 8, "windows": 8, "truncated": 0.6}
    assert any(
        "8 of 8 series: more than the encoder reads at once, so cut; 60% of what they hold is not read" in w
        for w in first.record["warnings"]
    )
    from graftwork.data.pipeline import Pipeline
    from graftwork.features.examples import Examples
    from graftwork.features.extraction import Extractor
    from graftwork.plugins import registry

    data = gw.data(tmp_path / "d")
    agreement = registry.agree_on(spec(), data.observed)
    pipeline = Pipeline(spec().contract, agreement, data.modality)
    for long, points in (("windows", 50), ("truncate", 20)):
        features = Extractor(whole.backbone(), tap=0)(Examples(whole.backbone(), pipeline, data.raws, long=long)).values
        expected = torch.arange(points).float().mean() / 100
        assert features[0, 0].item() == pytest.approx(expected.item(), abs=1e-6)
    with pytest.raises(gw.UsageError, match="--long forget is not known; truncate and windows are"):
        gw.fit(tmp_path / "d", long="forget")


def test_check_finds_what_is_wrong_and_shows_it(series, folder, tmp_path) -> None:
    for number in range(3):
        write(folder, "down", f"copy{number}", [float(-10 * i - number) for i in range(20)])
    write(folder, "down", "nearly", [float(-10 * i - 5) + (0.2 if i == 3 else 0) for i in range(20)])
    write(folder, "down", "void", [])
    found = gw.check(folder, backbone="series/ramp")
    kinds = {problem.kind: problem for problem in found.problems}
    assert set(kinds) == {"unreadable", "empty", "exact_duplicates", "near_duplicates"}
    assert kinds["exact_duplicates"].count == 6
    assert any("nearly.series" in names and "5.series" in names for names in kinds["near_duplicates"].examples)
    assert found.agreement is not None
    assert found.data.observed.summary() == "47 series, 10 Hz and 20 Hz"
    write_check(found, tmp_path / "page.html")
    assert "data:image/png;base64," in (tmp_path / "page.html").read_text()


def test_a_run_is_bound_to_how_its_encoder_prepares(series, folder, tmp_path, monkeypatch) -> None:
    gw.fit(folder, out=tmp_path / "run")
    from graftwork.plugins.loading import installed

    monkeypatch.setitem(installed().registered["backbones"], "series/ramp", spec(scale=99.0))
    with pytest.raises(gw.ContractMismatch) as caught:
        gw.load(tmp_path / "run")
    assert caught.value.message == "The run was made with 'series/ramp' where its scale is 100.0; here it is 99.0."


def test_the_command_line_refuses_its_data_for_another_encoder(series, folder, capsys, plugins) -> None:
    assert app._run(["check", str(folder), "--json"], json=True) == 0
    assert app._run(["check", str(folder), "--backbone", "series/none"], json=False) == 2
    assert "No backbone is called 'series/none'; the nearest is series/ramp." in capsys.readouterr().err
