"""What tasks, heads and freeze policies promise."""

from __future__ import annotations

import torch

from graftwork.errors import UnknownName, UsageError
from graftwork.freeze.policies import FreezePolicy
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory
from graftwork.specs.task import HeadSpec
from graftwork.tasks.heads import Head
from graftwork.testing.cases import Given, Nonconformance, NotChecked, Registered, check, subject

ARGUMENTS = ("", "1", "2", "0.9", "r=2", "*")
"""What a policy may take after its colon; the first that it accepts is tried."""


@check("tasks")
def its_heads_are_there(work: Registered) -> None:
    if not work.spec.heads or not work.spec.metrics:
        raise Nonconformance(f"The task '{work.name}' names no head, or no metric.", "Name at least one of each.")
    for name in work.spec.heads:
        try:
            registry.head(name)
        except UnknownName as error:
            raise Nonconformance(
                f"The task '{work.name}' names the head '{name}', which nothing brings.", error.hint
            ) from error


@subject("heads")
class Top(Registered):
    """A head under test, for features of 5 numbers and 3 classes."""

    def __init__(self, name: str, spec: HeadSpec, given: Given) -> None:
        super().__init__(name, spec, given)
        generator = torch.Generator().manual_seed(0)
        self.features = torch.randn(7, 5, generator=generator)
        self.targets = torch.arange(7) % 3

    def build(self) -> Head:
        torch.manual_seed(0)
        return load_factory(self.spec.factory)(5, 3).eval()


@check("heads")
def its_shapes_are_those_of_a_head(top: Top) -> None:
    head = top.build()
    logits = head(top.features)
    losses, probabilities = head.loss(logits, top.targets, 0.1), head.decode(logits)
    for name, found, wanted in (
        ("forward", logits, (7, 3)), ("loss", losses, (7,)), ("decode", probabilities, (7, 3)),
    ):  # fmt: skip
        if tuple(found.shape) != wanted:
            raise Nonconformance(
                f"{name} of the head '{top.name}' gives {tuple(found.shape)} for 7 examples and 3 classes.",
                f"It is to give {wanted}.",
            )
    sums = probabilities.detach().double().sum(1)
    if bool((probabilities < 0).any()) or not torch.allclose(sums, torch.ones(7, dtype=torch.float64), atol=1e-5):
        raise Nonconformance(
            f"decode of the head '{top.name}' gives no probabilities.", "Each row is to be 0 or more, and sum to 1."
        )


@check("heads")
def it_learns(top: Top) -> None:
    head = top.build()
    head.fit_scaler(top.features)
    losses = []
    for _ in range(30):
        loss = head.loss(head(top.features), top.targets).mean()
        losses.append(float(loss.detach()))
        parameters = list(head.parameters())
        with torch.no_grad():
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter -= 0.05 * slope
    if not losses[-1] < losses[0]:
        raise Nonconformance(
            f"30 steps on 7 examples take the loss of the head '{top.name}' from {losses[0]:.3f} to {losses[-1]:.3f}.",
            "Let its loss be smaller for better logits, and its parameters have gradients.",
        )


@check("heads")
def a_convex_head_takes_on_a_solution(top: Top) -> None:
    if not top.spec.convex:
        raise NotChecked(f"The head '{top.name}' is not declared convex.")
    weight, bias = torch.randn(3, 5), torch.randn(3)
    head = top.build()
    head.fit_scaler(top.features)
    head.load_solution(weight, bias)
    if not torch.allclose(head(top.features), top.features @ weight.T + bias, atol=1e-4):
        raise Nonconformance(
            f"The head '{top.name}' does not become the map that it is given.",
            "After load_solution(weight, bias) its logits are features @ weight.T + bias.",
        )
    ends = [torch.randn(7, 3) * 4 for _ in range(2)]
    middle = head.loss((ends[0] + ends[1]) / 2, top.targets)
    if bool((middle > (head.loss(ends[0], top.targets) + head.loss(ends[1], top.targets)) / 2 + 1e-5).any()):
        raise Nonconformance(f"The loss of the head '{top.name}' is not convex.", "Declare convex=False.")


@check("heads")
def a_head_that_is_saved_is_loaded(top: Top) -> None:
    head, other = top.build(), load_factory(top.spec.factory)(5, 3).eval()
    head.fit_scaler(top.features)
    other.load_state_dict(head.state_dict())
    if not torch.equal(head(top.features), other(top.features)):
        raise Nonconformance(
            f"The head '{top.name}' saved and loaded computes otherwise.", "Keep all of it in parameters and buffers."
        )


@subject("freeze_policies")
class Frozen(Registered):
    """A freeze policy under test."""

    def built(self) -> FreezePolicy:
        for argument in ARGUMENTS:
            try:
                return load_factory(self.spec.factory)(argument)
            except UsageError:
                continue
        raise NotChecked(f"The freeze policy '{self.name}' takes none of the arguments {', '.join(ARGUMENTS[1:])}.")


@check("freeze_policies")
def its_plans_speak_of_the_stages(frozen: Frozen) -> None:
    policy = frozen.built()
    stages = ("stem", "block1", "block2", "block3")
    for epoch in range(6):
        plan = policy.plan(stages, epoch)
        if tuple(entry.stage for entry in plan.stages) != stages:
            raise Nonconformance(
                f"The plan of '{frozen.name}' names {', '.join(e.stage for e in plan.stages) or 'no stage'}.",
                "Give one entry for each stage, in order.",
            )
        if any(entry.rate < 0 for entry in plan.stages) or plan.head_rate < 0:
            raise Nonconformance(f"A rate in the plan of '{frozen.name}' is below 0.", "Give factors of 0 or more.")
        if plan != policy.plan(stages, epoch):
            raise Nonconformance(
                f"The plan of '{frozen.name}' for an epoch is another the second time.", "Use no chance."
            )


@check("freeze_policies")
def wrong_arguments_are_refused_in_a_sentence(frozen: Frozen) -> None:
    try:
        policy = load_factory(frozen.spec.factory)("no such thing")
        policy.plan(("stem",), 0)
    except UsageError:
        return
    except Exception as error:
        raise Nonconformance(
            f"The freeze policy '{frozen.name}' given a wrong argument ends in {type(error).__name__}.",
            "Raise UsageError.",
        ) from error
    if frozen.name != "params" and "*" not in frozen.spec.summary.upper() and "GLOB" not in frozen.spec.summary:
        raise Nonconformance(
            f"The freeze policy '{frozen.name}' takes 'no such thing' for an argument.",
            "Raise UsageError for what it is not.",
        )
