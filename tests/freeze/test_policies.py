"""Freeze policies: what their words mean, how they combine, and what is said when they cannot be served."""

from __future__ import annotations

import sys
import types
from fnmatch import fnmatchcase

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import graftwork as gw
from graftwork import Apply, Plan, StagePlan, State, UnknownName, UsageError
from graftwork.freeze import freezing, policies

NAMES = ("stem", "block1", "block2", "norm")


def rates(words: str, epoch: int = 0, names: tuple[str, ...] = NAMES) -> list[float]:
    """The factor of each stage, 0 where it does not train."""
    plan = policies.parse(words).plan(names, epoch)
    assert tuple(entry.stage for entry in plan.stages) == names
    return [entry.rate if entry.trains else 0.0 for entry in plan.stages]


def test_each_policy_trains_the_stages_that_its_words_say() -> None:
    assert rates("head") == [0, 0, 0, 0]
    assert rates("all") == [1, 1, 1, 1]
    assert rates("last:2") == [0, 0, 1, 1]
    assert rates("lpft") == [0.1, 0.1, 0.1, 0.1]
    assert [rates("gradual:2", epoch) for epoch in (0, 1, 2, 7, 50)] == [
        [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1],
    ]  # fmt: skip
    assert rates("layerwise:0.5") == [0.0625, 0.125, 0.25, 0.5]


def test_the_second_phase_of_lpft_is_at_a_rate_at_least_ten_times_smaller_head_included() -> None:
    policy = policies.parse("lpft")
    assert policy.head_first
    assert policy.plan(NAMES, 0).head_rate <= 0.1
    assert not policies.parse("all").head_first


def test_policies_that_choose_add_up_and_those_that_narrow_limit_what_was_chosen() -> None:
    assert rates("last:3+layerwise:0.5") == [0, 0.125, 0.25, 0.5]
    assert rates("gradual:1+layerwise:0.5", 1) == [0, 0, 0.25, 0.5]
    assert rates("lpft+last:1") == [0, 0, 0, 0.1]
    assert rates("lpft+layerwise:0.5") == pytest.approx([0.00625, 0.0125, 0.025, 0.05])
    assert policies.parse("last:1+lpft").head_first
    assert policies.parse("lpft+last:1").plan(NAMES, 0).head_rate == 0.1
    union = policies.parse("bitfit+norm").plan(NAMES, 0)
    assert union.stages[0].parameters == ("*bias", "@norm")
    both = policies.parse("last:1+lora:r=2").plan(NAMES, 0)
    assert [entry.lora for entry in both.stages] == [2, 2, 2, 2]
    assert both.stages[3].parameters == ("*",)
    assert both.stages[0].parameters == ()


WORDS = st.sampled_from(
    ["head", "all", "last:1", "last:2", "lpft", "gradual:1", "layerwise:0.7", "bitfit", "norm", "params:*weight"]
)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.batch, self.layer = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.LayerNorm(3)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.layer(self.batch(self.linear(hidden)))


def stages(count: int = 4) -> list[gw.Stage]:
    return [Apply(name, Tiny(), nn.Dropout(0.5)) for name in NAMES[:count]]


@given(st.lists(WORDS, min_size=1, max_size=3), st.integers(0, 6))
@settings(deadline=None, max_examples=60)
def test_any_policy_parts_the_parameters_into_trained_and_frozen_ones(words, epoch) -> None:
    made = stages()
    plan = policies.parse("+".join(words)).plan(NAMES, epoch)
    chosen = freezing.trained(plan, made)
    freezing.apply(plan, made)
    for stage in made:
        for name, parameter in stage.named_parameters():
            assert parameter.requires_grad == (name in chosen[stage.name])
        assert stage.training == bool(chosen[stage.name])


@given(WORDS, WORDS, st.integers(0, 4))
def test_the_order_of_a_combination_does_not_matter_to_what_trains(one, other, epoch) -> None:
    made = stages()
    first, second = (
        freezing.trained(policies.parse(w).plan(NAMES, epoch), made) for w in (f"{one}+{other}", f"{other}+{one}")
    )
    assert {s: set(names) for s, names in first.items()} == {s: set(names) for s, names in second.items()}


def test_bitfit_trains_biases_norm_trains_normalisation_layers_and_a_glob_what_it_matches() -> None:
    made = stages(1)

    def trained(words: str) -> set[str]:
        return set(freezing.trained(policies.parse(words).plan(NAMES[:1], 0), made)["stem"])

    everything = {name for name, _ in made[0].named_parameters()}
    assert trained("bitfit") == {name for name in everything if name.endswith("bias")}
    assert trained("norm") == {name for name in everything if ".batch." in name or ".layer." in name}
    assert trained("params:stem.*linear*") == {name for name in everything if fnmatchcase(name, "*linear*")}
    assert trained("bitfit+norm") == trained("bitfit") | trained("norm")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("heat", "No freeze policy is called 'heat'; the nearest are head, last"),
        ("all+", "No freeze policy is called ''"),
        ("head:2", "The freeze policy 'head' takes no argument; '2' was given. Write: --freeze head"),
        ("last", "The freeze policy 'last' takes a number of stages, 1 or more; nothing was given. Write: --freeze last:2"),
        ("last:0", "takes a number of stages, 1 or more; '0' was given"),
        ("last:two", "takes a number of stages, 1 or more; 'two' was given"),
        ("gradual:x", "The freeze policy 'gradual' takes a number of epochs for each stage, 1 or more; 'x' was given"),
        ("layerwise:1.5", "The freeze policy 'layerwise' takes a decay above 0 and up to 1; '1.5' was given"),
        ("layerwise", "takes a decay above 0 and up to 1; nothing was given. Write: --freeze layerwise:0.9"),
        ("lora:r=0", "The freeze policy 'lora' takes a rank, 1 or more; 'r=0' was given. Write: --freeze lora:r=8"),
        ("params", "The freeze policy 'params' takes a glob on the names of parameters; nothing was given"),
        ("last:9", "The freeze policy 'last:9' trains 9 stages; this encoder has 4: stem, block1, block2, norm. "
                   "Write: --freeze last:4, or all"),
    ],
)  # fmt: skip
def test_words_that_cannot_be_served_are_answered_in_one_sentence(words, sentence) -> None:
    with pytest.raises((UsageError, UnknownName)) as raised:
        policies.parse(words).plan(NAMES, 0)
    assert sentence in str(raised.value)


def test_a_pattern_that_matches_nothing_names_the_nearest_parameter() -> None:
    plan = policies.parse("params:block1.body.0.linaer.weight").plan(NAMES, 0)
    sentence = (
        "No parameter matches 'block1.body.0.linaer.weight'; the nearest of the 24 is 'block1.body.0.linear.weight'"
    )
    with pytest.raises(UsageError, match=sentence):
        freezing.trained(plan, stages())


def test_norm_on_an_encoder_without_norms_is_refused() -> None:
    with pytest.raises(UsageError, match="The encoder has no normalisation layer to train"):
        freezing.trained(policies.parse("norm").plan(["stem"], 0), [Apply("stem", nn.Linear(2, 2))])


def test_a_third_party_adds_a_policy_by_hook_and_it_combines(plugins, messages, tiny_bert) -> None:
    class Odd(gw.FreezePolicy):
        """Every second stage."""

        def plan(self, stages, epoch):
            return Plan(tuple(StagePlan(name, trains=bool(i % 2)) for i, name in enumerate(stages)))

    module = types.ModuleType("odd_policy")
    module.__dict__.update(
        api_version=1,
        build=lambda argument: Odd(),
        graftwork_freeze_policies=gw.hookimpl(
            lambda: [gw.FreezePolicySpec("odd", "odd_policy:build", "every second stage")],
            specname="graftwork_freeze_policies",
        ),
    )
    sys.modules["odd_policy"] = module
    try:
        import graftwork_text.plugin

        plugins(module, graftwork_text.plugin)
        assert rates("odd") == [0, 1, 0, 1]
        assert rates("odd+layerwise:0.5") == [0, 0.125, 0, 0.5]
        run = gw.fit(messages, f"local:{tiny_bert}", freeze="odd", epochs=1)
        assert run.record["certificate"]["moved"] == ["block1"]
    finally:
        del sys.modules["odd_policy"]


def test_a_policy_that_narrows_by_parameters_is_a_fault_of_its_plugin() -> None:
    class Sly(gw.FreezePolicy):
        narrows = True

        def plan(self, stages, epoch):
            return Plan(tuple(StagePlan(name, True, parameters=("*bias",)) for name in stages))

    with pytest.raises(gw.PluginFault, match="A freeze policy that narrows speaks of whole stages"):
        policies.Combined((policies.parse("all"), Sly())).plan(NAMES, 0)


# Frozen is frozen.


def test_frozen_stages_keep_their_statistics_and_have_no_dropout_whatever_train_is_called() -> None:
    from graftwork.tasks.heads import LinearHead
    from graftwork.training.model import Grafted

    class Encoder(gw.Backbone):
        def pool(self, state: State) -> torch.Tensor:
            return state.hidden

    spec = gw.BackboneSpec(
        "x/tiny", gw.InputContract("x", {}, {}), "", gw.FolderWeights("."), NAMES, 3, 0, "", "", ""
    )  # fmt: skip
    model = Grafted(Encoder(spec, stages(), [3] * 4), LinearHead(3, 2), 3)
    model.follow(policies.parse("last:1").plan(NAMES, 0))
    model.train()
    model.backbone.train()
    model.train()
    made = model.stages
    before = freezing.stage_digests(made)
    from graftwork.features.examples import Batch

    model(Batch([0, 1], State(torch.randn(8, 3))))
    after = freezing.stage_digests(made)
    assert before == after
    assert [stage.training for stage in made] == [False, False, False, True]
    first, second = (made[0](State(torch.ones(2, 3))).hidden for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("words", ["all", "norm", "bitfit", "params:*linear*"])
def test_statistics_of_pretraining_are_kept_in_stages_that_train_too_so_that_batches_do_not_matter(words) -> None:
    made = stages(1)
    plan = policies.parse(words).plan(NAMES[:1], 0)
    freezing.apply(plan, made)
    made[0].body[1].eval()
    before, batch = freezing.stage_digests(made[:1]), torch.randn(8, 3)
    together = made[0](State(batch)).hidden
    assert torch.allclose(together[:1], made[0](State(batch[:1])).hidden, atol=1e-6)
    assert freezing.stage_digests(made[:1]) == before
    assert "body.0.batch.running_mean" not in freezing.may_move(freezing.trained(plan, made)["stem"])


def test_the_certificate_fails_when_a_frozen_tensor_moves_even_in_a_buffer() -> None:
    made = stages(1)
    before = freezing.stage_digests(made)
    assert freezing.certificate({}, before, freezing.stage_digests(made))["ok"]
    made[0].train()
    made[0](State(torch.randn(4, 3)))
    moved = freezing.certificate({}, before, freezing.stage_digests(made))
    assert (moved["ok"], moved["moved"]) == (False, ["stem"])
    assert moved["leaked"] == [f"stem.body.0.batch.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")]
    assert freezing.certificate({"stem": set(before["stem"])}, before, freezing.stage_digests(made))["ok"]


# LoRA, through peft.


class Attention(gw.Stage):
    def __init__(self) -> None:
        super().__init__("block1")
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 8)

    def forward(self, state: State) -> State:
        hidden, _ = self.attention(state.hidden, state.hidden, state.hidden, need_weights=False)
        return State(self.out(hidden))


def test_low_rank_updates_start_as_no_change_train_alone_and_keep_the_names_of_what_they_wrap() -> None:
    torch.manual_seed(0)
    stage, x = Attention(), torch.randn(2, 5, 8)
    plan = policies.parse("lora:r=2").plan(["block1"], 0)
    before, names = stage(State(x)).hidden, set(freezing.stage_digests([stage])[stage.name])
    freezing.adapt(plan, [stage])
    freezing.adapt(plan, [stage])
    assert torch.allclose(stage(State(x)).hidden, before, atol=1e-6)
    assert names < set(freezing.stage_digests([stage])[stage.name])
    chosen = freezing.trained(plan, [stage])["block1"]
    assert chosen
    assert all(".lora_" in name for name in chosen)
    freezing.apply(plan, [stage])
    stage(State(x)).hidden.sum().backward()
    assert all((p.grad is not None) == (".lora_" in name) for name, p in stage.named_parameters())


def test_lora_on_stages_without_linear_layers_is_refused() -> None:
    made = [Apply("stem", nn.Conv2d(3, 4, 3)), Apply("block1", nn.Conv2d(4, 4, 3))]
    with pytest.raises(UsageError) as raised:
        freezing.adapt(policies.parse("lora:r=4").plan(["stem", "block1"], 0), made)
    assert str(raised.value).startswith(
        "The freeze policy lora:r=4 adapts linear layers, and the stages stem, block1 have none."
    )


def test_lora_without_peft_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        UsageError, match="needs the package peft, which is not installed. Install it: pip install 'graft"
    ):
        freezing.adapt(policies.parse("lora:r=4").plan(["stem"], 0), stages(1))
