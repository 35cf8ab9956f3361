"""Every installed modality against every other, fact by fact: accepted, converted (how), or refused in these words."""

from __future__ import annotations

import pytest

from graftwork import InputMismatch
from graftwork.plugins import registry

ENCODERS = {
    "image": "image/resnet18",
    "text": "text/minilm",
    "audio": "audio/wav2vec2-base",
    "series": "series/resnet1d-tiny",
}
USUAL = {
    "image": {
        "frames": 1, "orientation": 1, "bit_depth": 8, "mode": "RGB", "width": 640, "height": 480, "short_side": 480,
    },
    "text": {
        "encoding": "utf-8", "byte_order_mark": "none", "unicode_form": "NFC", "case": "lower", "script": "Latin",
        "characters": 20, "markup": "none",
    },
    "audio": {
        "video": "none", "bit_depth": 16, "sound": "audible", "clipping": "none", "amplitude": 0.5, "channels": 1,
        "sampling_rate": 16_000, "duration": 2.0,
    },
    "series": {"missing_values": 0, "signal": "varying", "sampling_rate": 100, "channels": 1, "duration": 2.0},
}  # fmt: skip
"""What each encoder takes as it is."""

AS_IT_IS = ""
ENLARGED = "not at least 224 px: they are enlarged and hold no detail that fine"
COARSE = "not compressed, 16, 24, 32 or 64 bits: they carry the noise of coarse steps"
LOUD = "louder than full scale, so turned down to it: how loud they are beside the others is lost"
LONG = "longer than the 15.625 s that the encoder reads at once"
CLEAR = "transparency is replaced by white"
PRINT = "print colours are shown by the nearest screen colours"
GUESS = "they are not UTF-8 and are read as Latin-1 (Windows-1252), which is a guess"
CAPITALS = "capital letters are read as small ones, which are all that the encoder knows"
NOTHING = "not audible: they hold nothing to hear; the first: first"
CLIPPED = (
    "clipped: a thousandth or more of the samples are at full scale, where peaks are cut off; the first: first. Record "
    "them again more quietly; what was cut off does not come back"
)
MARKUP = (
    "mostly markup: few letters are left beside tags and addresses; the first: first. Take the words out of the markup "
    "first, or leave them out"
)

# Of a backbone's own modality: fact, value, the converter and what it makes of it (or None), what is warned of.
ACCEPTED = [
    ("image", "frames", 1, None, AS_IT_IS),
    ("image", "frames", 384, ("first-frame", 1), "only the first frame or page is read"),
    ("image", "orientation", 1, None, AS_IT_IS),
    *(("image", "orientation", value, ("exif-turn", 1), "") for value in range(2, 9)),
    *(("image", "bit_depth", value, None, AS_IT_IS) for value in (1, 2, 4, 8)),
    *(("image", "bit_depth", v, ("to-8-bit", 8), f"{v} bits a channel become 8") for v in (12, 16, 32)),
    ("image", "mode", "RGB", None, AS_IT_IS),
    *(
        ("image", "mode", mode, ("to-rgb", "RGB"), "")
        for mode in ("1", "L", "P", "RGBX", "YCbCr", "HSV", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
    ),
    *(("image", "mode", mode, ("to-rgb", "RGB"), CLEAR) for mode in ("LA", "La", "PA", "RGBA", "RGBa")),
    *(("image", "mode", mode, ("to-rgb", "RGB"), PRINT) for mode in ("CMYK", "LAB")),
    *(("image", fact, value, None, AS_IT_IS) for fact in ("width", "height") for value in (1, 9_000)),
    ("image", "short_side", 224, None, AS_IT_IS),
    ("image", "short_side", 8, None, f"short side 8 px, {ENLARGED}"),
    ("text", "encoding", "utf-8", None, AS_IT_IS),
    ("text", "encoding", "utf-16", ("decode", "utf-8"), ""),
    ("text", "encoding", "latin-1", ("decode", "utf-8"), GUESS),
    ("text", "byte_order_mark", "none", None, AS_IT_IS),
    ("text", "byte_order_mark", "present", ("strip-byte-order-mark", "none"), ""),
    ("text", "unicode_form", "NFC", None, AS_IT_IS),
    ("text", "unicode_form", "not NFC", ("nfc", "NFC"), ""),
    ("text", "case", "lower", None, AS_IT_IS),
    ("text", "case", "cased", ("lower-case", "lower"), CAPITALS),
    *(("text", "script", value, None, AS_IT_IS) for value in ("Latin", "none")),
    *(("text", "characters", value, None, AS_IT_IS) for value in (1, 100_000)),
    *(("text", "markup", value, None, AS_IT_IS) for value in ("none", "some")),
    ("text", "markup", "mostly", None, MARKUP),
    ("audio", "video", "none", None, AS_IT_IS),
    ("audio", "video", "present", None, "video present, not none: their sound is read, and not their pictures"),
    *(("audio", "bit_depth", value, None, AS_IT_IS) for value in (16, 24, 32, 64, "compressed")),
    ("audio", "bit_depth", 8, None, f"bit depth 8 bits, {COARSE}"),
    ("audio", "bit_depth", "8-bit telephone code", None, f"bit depth 8-bit telephone code, {COARSE}"),
    ("audio", "sound", "audible", None, AS_IT_IS),
    *(("audio", "sound", value, None, f"sound {value}, {NOTHING}") for value in ("silent", "silent as mono")),
    ("audio", "clipping", "none", None, AS_IT_IS),
    ("audio", "clipping", "clipped", None, CLIPPED),
    *(("audio", "amplitude", value, None, AS_IT_IS) for value in (0.0, 1.0)),
    *(("audio", "amplitude", value, ("turn-down", 1.0), LOUD) for value in (1.01, 32_767.0)),
    ("audio", "channels", 1, None, AS_IT_IS),
    ("audio", "channels", 2, ("downmix", 1), "the difference between the 2 channels is lost"),
    ("audio", "sampling_rate", 16_000, None, AS_IT_IS),
    ("audio", "sampling_rate", 44_100, ("resample", 16_000), "everything above 8 000 Hz is left out"),
    (
        "audio", "sampling_rate", 8_000, ("resample", 16_000),
        "8 000 Hz audio has nothing above 4 000 Hz, which a 16 000 Hz encoder expects",
    ),
    *(("audio", "duration", value, None, AS_IT_IS) for value in (0.025, 15.625)),
    *(("audio", "duration", value, ("windows", 15.625), LONG) for value in (15.626, 3_600.0)),
    ("series", "missing_values", 0, None, AS_IT_IS),
    *(
        ("series", "missing_values", v, ("fill", 0), f"{v}% of the values are missing and are filled by straight lines")
        for v in (1, 10)
    ),
    ("series", "signal", "varying", None, AS_IT_IS),
    ("series", "signal", "constant", None, "signal constant, not varying: they hold nothing but one value"),
    ("series", "sampling_rate", 100, None, AS_IT_IS),
    *(
        ("series", "sampling_rate", value, ("resample", 100), "everything faster than 50 Hz is left out")
        for value in (100.5, 100_000)
    ),
    (
        "series", "sampling_rate", 25, ("resample", 100),
        "series at 25 Hz have nothing faster than 12.5 Hz, which a 100 Hz encoder expects",
    ),
    ("series", "channels", 1, None, AS_IT_IS),
    (
        "series", "channels", 3, ("by-channel", 1),
        "each of the 3 channels is read by itself: which is which, and how they go together, is lost",
    ),
    *(("series", "duration", value, None, AS_IT_IS) for value in (0.64, 5.12)),
    (
        "series", "duration", 3_600.0, ("windows", 5.12),
        "longer than the 5.12 s that the encoder reads at once",
    ),
]  # fmt: skip

REFUSED = [
    ("image", "mode", "BGR;24", "mode RGB", "BGR;24"),
    ("image", "orientation", 9, "orientation 1", "9"),
    ("text", "encoding", "big5", "encoding utf-8", "big5"),
    *(("text", "script", value, "script Latin or none", value) for value in ("Cyrillic", "Han", "Arabic", "other")),
    ("text", "characters", 0, "characters at least 1", "0"),
    ("audio", "duration", 0.024, "duration 0.025 to 15.625 s", "0.024 s"),
    ("series", "missing_values", 11, "missing values 0 %", "11 %"),
    ("series", "sampling_rate", 24.9, "sampling rate 100 Hz", "24.9 Hz"),
    ("series", "sampling_rate", 100_001, "sampling rate 100 Hz", "100 001 Hz"),
    ("series", "duration", 0.63, "duration 0.64 to 5.12 s", "0.63 s"),
]


def agreement(modality: str, fact: str, value: object, encoder: str = ""):
    """One of two examples of `modality` has `value` for `fact`, the other is usual."""
    examples = [("first", {**USUAL[modality], fact: value}), ("second", USUAL[modality])]
    observed = registry.modality(modality).observed("the folder", examples, "files")
    return registry.agree_on(registry.backbone(ENCODERS[encoder or modality]), observed)


@pytest.mark.parametrize(("modality", "fact", "value", "made", "warning"), ACCEPTED)
def test_a_value_is_taken_as_it_is_or_converted_in_the_open(modality, fact, value, made, warning) -> None:
    found = agreement(modality, fact, value)
    steps = [(s.converter, s.to, s.fact, s.seen, s.count, s.example) for s in found.steps]
    assert steps == ([(*made, fact, value, 1, "first")] if made else [])
    assert found.warnings == ((f"1 of 2 files: {warning}",) if warning else ())


@pytest.mark.parametrize(("modality", "fact", "value", "wanted", "shown"), REFUSED)
def test_a_value_that_nothing_converts_is_refused_in_one_sentence(modality, fact, value, wanted, shown) -> None:
    with pytest.raises(InputMismatch) as caught:
        agreement(modality, fact, value)
    assert str(caught.value) == (
        f"Backbone '{ENCODERS[modality]}' wants {wanted}; the folder has {shown} in 1 of 2 files (first: first), and no "
        "installed converter turns one into the other. Convert the data yourself, or choose another backbone: graftwork "
        f"backbones --modality {modality}"
    )


NOUNS = {"image": "images", "text": "text", "audio": "audio", "series": "time series"}
ALTERNATIVES = {
    "image": "image/efficientnet-lite0, image/inception-v3, image/resnet18, image/resnet50, image/vgg16, image/vit-b-16",
    "text": "text/bert-base, text/glove-50d, text/glove-50d-idf, text/minilm",
    "audio": "audio/wav2vec2-base, audio/wav2vec2-tiny",
    "series": "series/resnet1d-tiny",
}
SUMMARY = {"image": "2 files", "text": "2 files", "audio": "2 files, 16 000 Hz", "series": "2 files, 100 Hz"}


@pytest.mark.parametrize(
    ("encoder", "modality", "fact"),
    [
        (encoder, modality, fact)
        for encoder in ENCODERS
        for modality in ENCODERS
        for fact in USUAL[modality]
        if encoder != modality
    ],
)
def test_data_of_another_modality_are_refused_whatever_their_facts_are(encoder, modality, fact) -> None:
    with pytest.raises(InputMismatch) as caught:
        agreement(modality, fact, USUAL[modality][fact], encoder)
    assert str(caught.value) == (
        f"Backbone '{ENCODERS[encoder]}' reads {NOUNS[encoder]}; the folder holds {NOUNS[modality]} "
        f"({SUMMARY[modality]}). {modality.capitalize()} backbones installed: {ALTERNATIVES[modality]}. "
        f"List all: graftwork backbones --modality {modality}"
    )


def test_the_table_covers_every_fact_of_every_installed_modality_and_every_converter() -> None:
    listed = {(modality, fact) for modality, fact, *_ in ACCEPTED}
    assert {m.name for m in registry.modalities()} == set(ENCODERS)
    assert listed == {(m.name, fact.name) for m in registry.modalities() for fact in m.facts}
    assert {(m, made[0]) for m, _, _, made, _ in ACCEPTED if made} == {
        (c.modality, c.name) for c in registry.converters()
    }
    for name in ENCODERS.values():
        spec = registry.backbone(name)
        assert set(spec.contract.facts) <= {fact.name for fact in registry.modality(spec.modality).facts}
