"""Series from files to answers: facts, conversions and what they lose, preparation, the encoder, and a whole fit."""

from __future__ import annotations

import ast
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import graftwork
import graftwork as gw
import graftwork_time_series
from graftwork.plugins import registry
from graftwork_time_series import demos
from graftwork_time_series.convert import by_channel, fill, resample, windows
from graftwork_time_series.reader import SeriesReader
from graftwork_time_series.series import Series

NAME = "series/resnet1d-tiny"
HERE = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFTWORK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def backbone() -> gw.Backbone:
    return gw.load_backbone(registry.backbone(NAME))


@pytest.fixture(scope="module")
def machines(tmp_path_factory) -> Path:
    return demos.vibrations(tmp_path_factory.mktemp("machines"))


def noise(points: int, channels: int = 1, rate: float = 100, seed: int = 0) -> Series:
    return Series(np.random.default_rng(seed).normal(3, 2, (points, channels)), rate)


def save(series: Series, path: Path) -> Path:
    np.savez(path, values=series.values, sampling_rate=series.rate)
    return path


# What converters do.


@settings(max_examples=40, deadline=None)
@given(seen=st.floats(30, 9_000), points=st.integers(2, 400), channels=st.integers(1, 2))
def test_resampling_keeps_duration_channels_and_lines(seen: float, points: int, channels: int) -> None:
    line = np.linspace(-5, 9, points)[:, None] * np.arange(1, channels + 1)
    made = resample(Series(line, seen), seen, 100)
    assert made.values.shape == (math.ceil(points * 100 / seen - 1e-6), channels)
    assert made.rate == 100
    np.testing.assert_allclose(made.values[0], line[0], atol=0.1)
    assert np.isfinite(made.values).all()


def test_resampling_keeps_a_tone_and_removes_what_would_fold_back() -> None:
    time = np.arange(2_000) / 1_000
    for hertz, height in ((20, 1.0), (70, 0.0)):
        made = resample(Series(np.sin(2 * np.pi * hertz * time)[:, None], 1_000), 1_000, 100).values[20:-20, 0]
        assert np.abs(made).max() == pytest.approx(height, abs=0.05)
        assert (np.abs(np.fft.rfft(made)).argmax() * 100 / len(made) == pytest.approx(hertz, abs=0.7)) or not height


@settings(max_examples=40, deadline=None)
@given(points=st.integers(3, 60), gaps=st.data())
def test_filling_leaves_known_values_and_puts_others_between_their_neighbours(points: int, gaps) -> None:
    whole = noise(points, 2)
    holes = gaps.draw(st.sets(st.integers(0, points - 1), max_size=points - 1))
    torn = whole.values.copy()
    torn[list(holes), 1] = np.nan
    made = fill(Series(torn, 100), 1, 0).values
    known = ~np.isnan(torn)
    np.testing.assert_array_equal(made[known], torn[known])
    assert np.nanmin(torn[:, 1]) <= made[:, 1].min() <= made[:, 1].max() <= np.nanmax(torn[:, 1])
    np.testing.assert_array_equal(np.isnan(torn[:, 1]).nonzero()[0], sorted(holes))  # what was given is as it was


@settings(max_examples=40, deadline=None)
@given(points=st.integers(64, 3_000), channels=st.integers(2, 5))
def test_parts_are_all_of_a_series_and_their_shares_are_one(points: int, channels: int) -> None:
    whole = noise(points, channels)
    alone = by_channel(whole, channels, 1)
    np.testing.assert_array_equal(np.hstack([part.value.values for part in alone]), whole.values)
    parts = windows(whole, points / 100, 5.12)
    assert {len(part.value.values) for part in parts} == {min(points, 512)}
    assert set(np.concatenate([part.value.values for part in parts]).ravel()) == set(whole.values.ravel())
    for found in (alone, parts):
        assert sum(part.weight for part in found) == pytest.approx(1)


def test_steps_and_what_they_lose_are_said(tmp_path: Path) -> None:
    place = tmp_path / "data" / "a"
    place.mkdir(parents=True)
    torn = noise(3_000, 3, 250)
    torn.values[10:400, 1] = np.nan
    save(torn, place / "torn.npz")
    save(Series(np.zeros((100, 1)), 50), place / "still.npz")
    found = gw.check(tmp_path / "data", backbone=NAME).agreement
    assert found is not None
    assert [(s.converter, s.seen, s.to) for s in found.steps] == [
        ("fill", 5, 0), ("resample", 250, 100), ("resample", 50, 100), ("by-channel", 3, 1), ("windows", 12.0, 5.12),
    ]  # fmt: skip
    assert set(found.warnings) == {
        "1 of 2 files: 5% of the values are missing and are filled by straight lines",
        "1 of 2 files: everything faster than 50 Hz is left out",
        "1 of 2 files: series at 50 Hz have nothing faster than 25 Hz, which a 100 Hz encoder expects",
        "1 of 2 files: each of the 3 channels is read by itself: which is which, and how they go together, is lost",
        "1 of 2 files: longer than the 5.12 s that the encoder reads at once",
        "1 of 2 files: signal constant, not varying: they hold nothing but one value",
    }


def stuck(part: float, points: int = 400) -> Series:
    """Noise that stops at a part of its length, and stays where it was."""
    found = noise(points)
    place = int(part * (points - 1))
    found.values[place:] = found.values[place]
    return found


def test_a_stuck_sensor_is_counted_in_check_fit_and_predict(tmp_path: Path) -> None:
    for number, part in enumerate((0.1, 0.9, 1, 1, 0.2, 0.8, 1, 1)):
        place = tmp_path / "data" / "ab"[number // 4]
        place.mkdir(parents=True, exist_ok=True)
        save(stuck(part), place / f"{number}.npz")
    first = f"{tmp_path}/data/a/0.npz"
    said = f"2 of 8 files: for 85% of the time nothing changes, as where a sensor is stuck; the first: {first}"
    problem = next(p for p in gw.check(tmp_path / "data", backbone=NAME).problems if p.kind == "flat")
    assert (problem.message, problem.count, problem.examples[0]) == (f"{said}.", 2, first)
    run = gw.fit(tmp_path / "data", NAME, val=0.5)
    assert f"{said}. Look at them, and leave out those that were not measured" in run.record["warnings"]
    assert run.record["defects"] == [{"name": "flat", "examples": 2, "share": 0.8468, "example": first}]
    sound, still = run.predict([f"{tmp_path}/data/a/2.npz", first])
    assert "notes" not in sound
    assert still["notes"] == ["for 90% of the time nothing changes, as where a sensor is stuck"]


@settings(max_examples=40, deadline=None)
@given(gain=st.floats(1e-3, 1e3), level=st.floats(-1e3, 1e3), part=st.floats(0.1, 1))
def test_what_is_flat_does_not_change_with_units(gain: float, level: float, part: float) -> None:
    whole = stuck(part)
    assert Series(whole.values * gain + level, 100).flat() == pytest.approx(whole.flat(), abs=0.01)


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (noise(400, rate=24), "wants sampling rate 100 Hz; folder '{}' has 24 Hz in 1 of 1 files (first: {}/a/0.npz)"),
        (noise(63), "wants duration 0.64 to 5.12 s; folder '{}' has 0.63 s in 1 of 1 files (first: {}/a/0.npz)"),
    ],
)
def test_what_no_converter_makes_fit_is_refused(tmp_path: Path, series: Series, words: str) -> None:
    (tmp_path / "a").mkdir()
    save(series, tmp_path / "a" / "0.npz")
    with pytest.raises(gw.InputMismatch) as caught:
        registry.agree_on(registry.backbone(NAME), gw.data(tmp_path).observed)
    assert caught.value.message == (
        f"Backbone '{NAME}' {words.format(tmp_path, tmp_path)}, and no installed converter turns one into the other."
    )


# What the encoder sees.


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(1e-6, 1e6), level=st.floats(-1e4, 1e4))
def test_units_and_level_are_not_seen(backbone: gw.Backbone, gain: float, level: float) -> None:
    plain = noise(100)
    moved = Series(gain * (plain.values + level), 100)
    torch.testing.assert_close(backbone.prepare([moved]).hidden, backbone.prepare([plain]).hidden, atol=1e-4, rtol=0)


def test_preparation_is_mean_0_and_variance_1_with_padding_behind(backbone) -> None:
    state = backbone.prepare([noise(100), Series(np.full((80, 1), 0.1), 100), Series(noise(64).values * 1e300, 100)])
    assert state.hidden.shape == (3, 100)
    assert state.mask.sum(1).tolist() == [100, 80, 64]
    assert state.hidden.sum(1).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert state.hidden.square().sum(1).tolist() == pytest.approx([100, 0, 64], rel=1e-4)


def test_preparation_refuses_what_does_not_meet_the_contract(backbone) -> None:
    with pytest.raises(gw.InputMismatch) as caught:
        backbone.prepare([noise(100, rate=50)])
    assert caught.value.message == (
        f"Backbone '{NAME}' wants sampling rate 100 Hz; it was given a series of 50 Hz to prepare."
    )
    with pytest.raises(gw.PluginFault, match="was given a ndarray to prepare; the Series of the reader is accepted"):
        backbone.prepare([np.zeros(100)])


def test_pretrained_weights_tell_machines_apart_better_than_random_ones_and_statistics(backbone, machines) -> None:
    data = gw.data(machines)
    values = [SeriesReader().decode(raw) for raw in data.raws]
    torch.manual_seed(0)
    untrained = gw.load_backbone(backbone.spec, pretrained=False)

    def accuracy(features: np.ndarray) -> float:
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
        return float(cross_val_score(head, features, data.labels, cv=5).mean())

    with torch.inference_mode():
        batch = backbone.prepare(values)
        trained, *random = [
            accuracy(one.features(batch, tap).numpy())
            for one, tap in ((backbone, 3), *((untrained, t) for t in range(4)))
        ]
    assert trained > max(random) + 0.02
    assert trained > accuracy(demos.statistics(values)) + 0.08


# The whole.


def test_a_fit_is_saved_loaded_and_answers_for_files_and_arrays(machines, tmp_path) -> None:
    run = gw.fit(machines, out=tmp_path / "run")
    assert run.record["backbone"] == NAME
    assert run.metrics["accuracy"] > 0.7
    assert run.record["certificate"]["ok"]
    file = machines / "imbalance" / "03.csv"
    series = SeriesReader().decode(gw.Raw("03", file))
    three = save(Series(np.repeat(series.values, 3, axis=1) * [1, 20, -0.1], 100), tmp_path / "three.npz")
    answers = gw.load(tmp_path / "run").predict(
        [
            file,
            {"values": series.values, "sampling_rate": 100},
            save(Series(series.values[:50], 100), tmp_path / "s.npz"),
        ]
    )
    assert [answer["label"] for answer in answers] == ["imbalance", "imbalance", None]
    assert answers[0]["probabilities"] == pytest.approx(answers[1]["probabilities"], abs=1e-5)
    assert "its duration is 0.5 s; backbone 'series/resnet1d-tiny' wants 0.64 to 5.12 s." in answers[2]["error"]
    same = gw.load(tmp_path / "run").predict([save(Series(series.values[:, [0, 0]], 100), tmp_path / "two.npz"), three])
    assert same[0]["probabilities"] == pytest.approx(answers[0]["probabilities"], abs=1e-4)
    assert same[1]["label"] is not None


def test_all_of_it_can_be_trained_on_channels_that_are_read_one_by_one(machines, tmp_path) -> None:
    for state in demos.STATES[:2]:
        (tmp_path / "few" / state).mkdir(parents=True)
        for file in sorted((machines / state).iterdir())[:10]:
            series = SeriesReader().decode(gw.Raw(file.name, file))
            two = Series(np.hstack([series.values, noise(400).values]), 100)
            save(two, tmp_path / "few" / state / f"{file.stem}.npz")
    run = gw.fit(tmp_path / "few", NAME, freeze="all", epochs=2)
    assert run.record["certificate"]["ok"]
    assert (
        "20 of 20 files: more than the encoder reads at once, so read in 40 windows whose features are averaged"
        in (run.record["warnings"])
    )


# What is promised.


def test_the_readme_has_the_digest_of_the_weights() -> None:
    found = registry.backbone(NAME).weights.find()
    assert found is not None
    assert hashlib.sha256(found.read_bytes()).hexdigest() in (HERE / "README.md").read_text(encoding="utf-8")


def imported(file: Path) -> set[str]:
    """The modules that a file imports, and of those of a package the names as well."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_pretraining_has_nothing_of_the_demo_nor_the_demo_of_pretraining() -> None:
    for file in ("pretrain.py", "families.py"):
        assert not any("demos" in name for name in imported(HERE / "tools" / file))
    assert not any("families" in name for name in imported(Path(demos.__file__)))


def test_only_public_names_of_graftwork_are_imported() -> None:
    for file in Path(graftwork_time_series.__file__).parent.glob("*.py"):
        for name in imported(file):
            if name.partition(".")[0] == "graftwork" and "." in name:
                assert name.removeprefix("graftwork.") in graftwork.__all__
