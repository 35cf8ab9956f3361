"""`agree`: what is accepted, what is converted, what is refused and in which words."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork import (
    AtLeast,
    AtMost,
    Converter,
    Exactly,
    InputContract,
    InputMismatch,
    ObservedInput,
    OneOf,
    Within,
    agree,
)

RATE = InputContract("audio", {"rate": Exactly(16_000, "Hz")})


def seen(modality: str, *values: int, fact: str = "rate", place: str = "column 'clip'") -> ObservedInput:
    examples = [(f"{i}.wav", {fact: value}) for i, value in enumerate(values)]
    return ObservedInput.of(modality, place, examples, items="files", units={fact: "Hz"})


def resample(name: str = "resample", **changes: object) -> Converter:
    return Converter(name, "audio", "rate", "x:y", **changes)  # type: ignore[arg-type]


def test_equal_facts_need_no_step() -> None:
    assert agree(RATE, seen("audio", 16_000, 16_000)).steps == ()


def test_a_converter_is_applied_to_the_values_that_need_it_and_to_no_other() -> None:
    agreement = agree(RATE, seen("audio", 8_000, 16_000, 8_000), [resample()])
    assert [(s.converter, s.seen, s.to, s.count) for s in agreement.steps] == [("resample", 8_000, 16_000, 2)]


def test_a_lossy_step_warns_with_what_is_lost_and_how_often() -> None:
    lossy = resample(loss=lambda seen, to: f"nothing above {seen // 2} Hz" if seen < to else "")
    assert agree(RATE, seen("audio", 8_000, 48_000), [lossy]).warnings == ("1 of 2 files: nothing above 4000 Hz",)


def test_another_modality_is_refused_in_one_sentence_that_names_what_would_fit() -> None:
    contract = InputContract("image", {})
    with pytest.raises(InputMismatch) as caught:
        agree(
            contract,
            seen("audio", *[44_100] * 311),
            backbone="image/resnet18",
            nouns={"image": "images", "audio": "audio"},
            alternatives=["audio/wav2vec2-base"],
        )
    assert str(caught.value) == (
        "Backbone 'image/resnet18' reads images; column 'clip' holds audio (311 files, 44 100 Hz). "
        "Audio backbones installed: audio/wav2vec2-base. List all: graftwork backbones --modality audio"
    )


def test_a_value_that_nothing_converts_is_refused_with_its_count_and_first_example() -> None:
    with pytest.raises(InputMismatch) as caught:
        agree(RATE, seen("audio", 16_000, 8_000), backbone="audio/x")
    assert caught.value.message == (
        "Backbone 'audio/x' wants rate 16 000 Hz; column 'clip' has 8 000 Hz in 1 of 2 files (first: 1.wav), "
        "and no installed converter turns one into the other."
    )


def test_a_demanded_fact_that_the_reader_does_not_report_is_refused() -> None:
    with pytest.raises(
        InputMismatch, match="wants rate 16 000 Hz; the reader of column 'clip' does not say what it is"
    ):
        agree(RATE, seen("audio", 1, fact="channels"))


def test_a_converter_of_another_modality_or_fact_is_never_used() -> None:
    others = [Converter("a", "image", "rate", "x:y"), Converter("b", "audio", "channels", "x:y")]
    with pytest.raises(InputMismatch):
        agree(RATE, seen("audio", 8_000), others)


@pytest.mark.parametrize(
    ("requirement", "accepted", "refused", "words"),
    [
        (Exactly(16_000, "Hz"), [16_000], [8_000], "16 000 Hz"),
        (OneOf((1, 2)), [1, 2], [3], "1 or 2"),
        (Within(0, 10, "s"), [0, 5, 10], [-1, 11, "5"], "0 to 10 s"),
        (AtLeast(0.5, "s"), [0.5, 9], [0.4], "at least 0.5 s"),
        (AtMost(3), [3, -9], [4], "at most 3"),
    ],
)
def test_requirements_accept_and_say_what_they_mean(requirement, accepted, refused, words) -> None:
    assert all(requirement.allows(value) for value in accepted)
    assert not any(requirement.allows(value) for value in refused)
    assert str(requirement) == words
    assert all(requirement.allows(requirement.nearest(value)) for value in [*accepted, *refused])


numbers = st.integers(0, 6)
requirements = st.one_of(
    st.builds(Exactly, numbers),
    st.builds(lambda low, more: Within(low, low + more), numbers, numbers),
    st.builds(lambda values: OneOf(tuple(values)), st.lists(numbers, min_size=1, max_size=3)),
)
converters = st.lists(
    st.builds(
        lambda name, accepts, gives, lossy: resample(
            f"c{name}", accepts=accepts, gives=gives, loss=(lambda a, b: "some") if lossy else None
        ),
        numbers,
        requirements,
        requirements,
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda converter: converter.name,
)
values = st.lists(numbers, min_size=1, max_size=5)


def outcome(requirement, observed, offered):
    try:
        return agree(InputContract("audio", {"rate": requirement}), observed, offered)
    except InputMismatch as error:
        return str(error)


@given(requirements, values, converters)
def test_nothing_excluded_is_accepted_unless_a_converter_brings_it_inside(requirement, seen_values, offered) -> None:
    found = outcome(requirement, seen("audio", *seen_values), offered)
    if isinstance(found, str):
        return
    steps = {step.seen: step for step in found.steps}
    by_name = {converter.name: converter for converter in offered}
    for value in seen_values:
        if requirement.allows(value):
            assert value not in steps
        else:
            step = steps[value]
            assert requirement.allows(step.to)
            assert by_name[step.converter].accepts.allows(value)
            assert by_name[step.converter].gives.allows(step.to)


@given(requirements, values, converters, converters)
def test_one_more_converter_never_refuses_what_was_accepted(requirement, seen_values, offered, more) -> None:
    taken = {converter.name for converter in offered}
    if not isinstance(outcome(requirement, seen("audio", *seen_values), offered), str):
        wider = [*offered, *(c for c in more if c.name not in taken)]
        assert not isinstance(outcome(requirement, seen("audio", *seen_values), wider), str)


@given(requirements, values, converters, st.randoms())
def test_the_order_of_converters_does_not_matter(requirement, seen_values, offered, rng: random.Random) -> None:
    shuffled = offered[::-1] if rng.random() < 0.5 else rng.sample(offered, len(offered))
    observed = seen("audio", *seen_values)
    assert outcome(requirement, observed, offered) == outcome(requirement, observed, shuffled)


def test_lossless_goes_before_lossy_and_then_the_name_decides_in_any_order() -> None:
    lossy, plain, other = resample("a", loss=lambda seen, to: "much"), resample("b"), resample("c")
    for offered in ([lossy, plain, other], [other, plain, lossy], [plain, lossy, other]):
        assert [step.converter for step in agree(RATE, seen("audio", 8_000), offered).steps] == ["b"]
