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
    Preferably,
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
    st.builds(lambda number: Preferably(Exactly(number), "rarely seen"), numbers),
)
FACTS = ("rate", "channels")
converters = st.lists(
    st.builds(
        lambda name, fact, accepts, gives, lossy, only_down: Converter(
            f"c{name}", "audio", fact, "x:y", accepts=accepts, gives=gives,
            loss=(lambda a, b: "some") if lossy else None, reaches=(lambda a, b: b < a) if only_down else None,
        ),
        numbers, st.sampled_from(FACTS), requirements, requirements, st.booleans(), st.booleans(),
    ),
    max_size=5,
    unique_by=lambda converter: converter.name,
)  # fmt: skip
contracts = st.builds(
    lambda rate, channels: InputContract("audio", {"rate": rate, "channels": channels}), *[requirements] * 2
)
data = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6).map(
    lambda rows: ObservedInput.of(
        "audio", "the folder", [(f"{i}.wav", dict(zip(FACTS, row, strict=True))) for i, row in enumerate(rows)]
    )
)
spare = st.sampled_from([0.0, 0.2, 0.5, 1.0])


def outcome(contract, observed, offered, **options):
    try:
        return agree(contract, observed, offered, **options)
    except InputMismatch as error:
        return str(error)


@given(contracts, data, converters, spare)
def test_nothing_excluded_is_accepted_unless_a_converter_brings_it_inside(contract, observed, offered, part) -> None:
    found = outcome(contract, observed, offered, may_leave_out=part)
    if isinstance(found, str):
        return
    by_name = {converter.name: converter for converter in offered}
    left_out = {(item.fact, item.seen) for item in found.left_out}
    for fact, wanted in contract.facts.items():
        for sighting in observed.facts[fact]:
            key = (fact, sighting.value)
            if wanted.allows(sighting.value):
                assert key not in found.conversions
            elif key in found.conversions:
                step = found.conversions[key]
                converter = by_name[step.converter]
                assert wanted.allows(step.to)
                assert converter.fact == fact
                assert converter.accepts.allows(sighting.value)
                assert converter.gives.allows(step.to)
                assert converter.reaches is None or converter.reaches(sighting.value, step.to)
            else:
                assert key in left_out
        assert sum(item.count for item in found.left_out if item.fact == fact) <= part * observed.count


@given(contracts, data, converters, converters, spare)
def test_one_more_converter_never_refuses_what_was_accepted(contract, observed, offered, more, part) -> None:
    taken = {converter.name for converter in offered}
    before = outcome(contract, observed, offered, may_leave_out=part)
    if not isinstance(before, str):
        wider = [*offered, *(c for c in more if c.name not in taken)]
        after = outcome(contract, observed, wider, may_leave_out=part)
        assert not isinstance(after, str)
        assert {(x.fact, x.seen) for x in after.left_out} <= {(x.fact, x.seen) for x in before.left_out}


@given(contracts, data, converters, spare, st.randoms())
def test_the_order_of_converters_does_not_matter(contract, observed, offered, part, rng: random.Random) -> None:
    shuffled = offered[::-1] if rng.random() < 0.5 else rng.sample(offered, len(offered))
    one = outcome(contract, observed, offered, may_leave_out=part)
    assert one == outcome(contract, observed, shuffled, may_leave_out=part)


@given(contracts, data, converters, st.sets(st.sampled_from([f"c{i}" for i in range(7)])))
def test_what_a_run_was_trained_with_goes_first_and_refuses_nothing(contract, observed, offered, prefer) -> None:
    plain, preferring = outcome(contract, observed, offered), outcome(contract, observed, offered, prefer=prefer)
    assert isinstance(plain, str) == isinstance(preferring, str)
    if not isinstance(plain, str):
        for key, step in preferring.conversions.items():
            fits = [c for c in offered if c.fact == key[0] and c.target(key[1], contract.facts[key[0]]) is not None]
            if any(converter.name in prefer for converter in fits):
                assert step.converter in prefer


def test_lossless_goes_before_lossy_and_then_the_name_decides_in_any_order() -> None:
    lossy, plain, other = resample("a", loss=lambda seen, to: "much"), resample("b"), resample("c")
    for offered in ([lossy, plain, other], [other, plain, lossy], [plain, lossy, other]):
        assert [step.converter for step in agree(RATE, seen("audio", 8_000), offered).steps] == ["b"]


def test_a_wish_accepts_everything_and_warns_with_the_values_it_did_not_want() -> None:
    wish = InputContract("audio", {"rate": Preferably(AtLeast(16_000, "Hz"), "they sound dull")})
    agreement = agree(wish, seen("audio", 8_000, 16_000, 4_000, 8_000))
    assert agreement.steps == ()
    assert agreement.warnings == ("3 of 4 files: rate 8 000 Hz, 4 000 Hz, not at least 16 000 Hz: they sound dull",)
    assert agree(wish, seen("audio", 1, fact="channels")).warnings == ()


def test_many_values_that_one_converter_treats_alike_are_one_step_and_each_is_still_converted() -> None:
    agreement = agree(RATE, seen("audio", *range(8_000, 8_020)), [resample()])
    assert [(s.seen, s.to, s.count, s.example) for s in agreement.steps] == [("8 000 to 8 019", 16_000, 20, "0.wav")]
    assert set(agreement.conversions) == {("rate", rate) for rate in range(8_000, 8_020)}


def test_what_does_not_fit_may_be_left_out_up_to_a_part_and_is_named_with_the_reason() -> None:
    observed = seen("audio", *[16_000] * 19, 8_000)
    agreement = agree(RATE, observed, may_leave_out=0.05, backbone="audio/x")
    assert [(x.fact, x.seen, x.count, x.example) for x in agreement.left_out] == [("rate", 8_000, 1, "19.wav")]
    assert agreement.left_out[0].sentence == (
        "'19.wav' does not fit: its rate is 8 000 Hz; backbone 'audio/x' wants 16 000 Hz."
    )
    assert agreement.least_left_out == 1
    with pytest.raises(InputMismatch, match="has 8 000 Hz in 1 of 20 files"):
        agree(RATE, observed, may_leave_out=0.04)


def test_a_contract_names_the_first_item_in_which_it_differs_from_a_recorded_one() -> None:
    made = InputContract("image", {"mode": Exactly("RGB")}, {"mean": (0.5, 0.5), "std": (1.0,)})
    recorded = made.as_json()
    assert made.difference(recorded) is None
    other = InputContract("image", {"mode": Exactly("RGB")}, {"mean": (0.5, 0.4), "std": (1.0,)})
    assert other.difference(recorded) == ("mean", [0.5, 0.5], [0.5, 0.4])
    assert InputContract("image", {"mode": Exactly("L")}, made.preparation).difference(recorded) == ("mode", "RGB", "L")
    more = InputContract("image", made.facts, {**made.preparation, "range": (0, 1)})
    assert more.difference(recorded) == ("range", None, [0, 1])


def test_the_converter_of_the_fit_is_taken_again_though_a_better_one_was_installed_since() -> None:
    old, better = resample("old", loss=lambda seen, to: "much"), resample("better")
    assert agree(RATE, seen("audio", 8_000), [old, better]).steps[0].converter == "better"
    assert agree(RATE, seen("audio", 8_000), [old, better], prefer=["old"]).steps[0].converter == "old"
