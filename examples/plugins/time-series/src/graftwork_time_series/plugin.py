"""What the plugin registers, a modality among it: described here, computed elsewhere, so that listing loads nothing."""

from collections.abc import Iterator

from graftwork import (
    API_VERSION,
    AtLeast,
    BackboneSpec,
    Converter,
    Defect,
    Demo,
    Exactly,
    Fact,
    InputContract,
    Modality,
    PackagedWeights,
    Preferably,
    Recipe,
    Value,
    Within,
    hookimpl,
    show,
)

api_version = API_VERSION

FINER = 4
"""How many times as many points resampling may make of a series: between them nothing is known."""
COARSER = 1_000
"""How many times fewer."""
MOST_FILLED = 10
"""Per cent of the values that may be filled in."""


def fill_loss(seen: Value, to: Value) -> str:
    return f"{show(seen)}% of the values are missing and are filled by straight lines"


def resample_loss(seen: Value, to: Value) -> str:
    """What resampling from `seen` to `to` Hz leaves out, or what stays missing (Nyquist: half the rate)."""
    if float(seen) > float(to):
        return f"everything faster than {show(float(to) / 2, 'Hz')} is left out"
    top = show(float(seen) / 2, "Hz")
    return f"series at {show(seen, 'Hz')} have nothing faster than {top}, which a {show(to, 'Hz')} encoder expects"


def by_channel_loss(seen: Value, to: Value) -> str:
    return f"each of the {show(seen)} channels is read by itself: which is which, and how they go together, is lost"


def windows_loss(seen: Value, to: Value) -> str:
    return f"longer than the {show(to, 's')} that the encoder reads at once"


def near_enough(seen: Value, to: Value) -> bool:
    return float(seen) / COARSER <= float(to) <= FINER * float(seen)


def shorter(seen: Value, to: Value) -> bool:
    return float(to) < float(seen)


@hookimpl
def graftwork_modalities() -> Iterator[Modality]:
    yield Modality(
        "series",
        noun="time series",
        reader="graftwork_time_series.reader:SeriesReader",
        facts=(
            Fact("missing_values", "the values", "%"),
            Fact("signal", "the values"),
            Fact("sampling_rate", "the times, or as stated", "Hz", headline=True),
            Fact("channels", "the columns"),
            Fact("duration", "the times", "s"),
        ),
        defects=(
            Defect(
                "flat",
                "for {share} of the time nothing changes, as where a sensor is stuck",
                "Look at them, and leave out those that were not measured",
                threshold=0.5,
            ),
        ),
        # An array alone (.npy) has no rate, which the reader says better than a list of endings.
        extensions=(".csv", ".tsv", ".npz", ".npy"),
        preparer="graftwork_time_series.prepare:build",
        long="windows",
        sample="graftwork_time_series.sample:build",
    )


@hookimpl
def graftwork_converters() -> Iterator[Converter]:
    yield Converter(
        "fill",
        modality="series",
        fact="missing_values",
        factory="graftwork_time_series.convert:fill",
        accepts=Within(1, MOST_FILLED, "%"),
        gives=Exactly(0, "%"),
        loss=fill_loss,
    )
    yield Converter(
        "resample",
        modality="series",
        fact="sampling_rate",
        factory="graftwork_time_series.convert:resample",
        reaches=near_enough,
        loss=resample_loss,
    )
    yield Converter(
        "by-channel",
        modality="series",
        fact="channels",
        factory="graftwork_time_series.convert:by_channel",
        accepts=AtLeast(2),
        gives=Exactly(1),
        loss=by_channel_loss,
        splits=True,
    )
    yield Converter(
        "windows",
        modality="series",
        fact="duration",
        factory="graftwork_time_series.convert:windows",
        reaches=shorter,
        loss=windows_loss,
        splits=True,
    )


@hookimpl
def graftwork_backbones() -> Iterator[BackboneSpec]:
    widths = (24, 32, 64, 128)
    yield BackboneSpec(
        name="series/resnet1d-tiny",
        contract=InputContract(
            "series",
            {
                "missing_values": Exactly(0, "%"),
                "signal": Preferably(Exactly("varying"), "they hold nothing but one value"),
                "sampling_rate": Exactly(100, "Hz"),
                "channels": Exactly(1),
                "duration": Within(0.64, 5.12, "s"),
            },
            {"normalize": True},
        ),
        factory="graftwork_time_series.model:build",
        weights=PackagedWeights(
            "graftwork_time_series", "weights.safetensors", "pip install graftwork-time-series", size_bytes=267_104
        ),
        stages=("stem", *(f"block{number}" for number in range(1, len(widths)))),
        feature_dim=widths[-1],
        parameters=132_168,
        license="Apache-2.0",
        source="this package, tools/pretrain.py",
        pretrained_on="synthetic series at 100 Hz of processes from eleven families, without labels",
        config={"widths": widths},
        starter=True,
        recipe=Recipe(learning_rate=1e-4, batch_size=32, epochs=20, source="a tenth of the rate of tools/pretrain.py"),
    )


@hookimpl
def graftwork_demos() -> Iterator[Demo]:
    yield Demo(
        "vibrations",
        modality="series",
        data="graftwork_time_series.demos:vibrations",
        baseline="graftwork_time_series.demos:statistics",
        baseline_name="statistics of the values",
    )
