"""What the plugin registers: how melodies are read, and an encoder. Nothing heavy is imported."""

from graftwork import (
    API_VERSION,
    AtLeast,
    BackboneSpec,
    Fact,
    InputContract,
    Modality,
    NoWeights,
    Reader,
    hookimpl,
)

api_version = API_VERSION


class Melody(Reader):
    """A text file of notes as MIDI numbers, 60 being middle C."""

    items = "melodies"

    def decode(self, raw):
        return [int(word) for word in raw.content().split()]

    def facts(self, raw):
        return {"notes": len(self.decode(raw))}


@hookimpl
def graftwork_modalities():
    facts = (Fact("notes", "the file", "notes", headline=True),)
    yield Modality("melody", "melodies", "melodies.plugin:Melody", facts, (".notes",))


@hookimpl
def graftwork_backbones():
    yield BackboneSpec(
        name="melody/steps",
        contract=InputContract("melody", {"notes": AtLeast(4, "notes")}),
        factory="melodies.model:build",
        weights=NoWeights(),
        stages=("steps",),
        feature_dim=12,
        parameters=0,
        license="Apache-2.0",
        source="this package",
        pretrained_on="nothing: it counts",
    )
