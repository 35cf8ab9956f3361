"""What freeze policies promise."""

from __future__ import annotations

from graftwork.errors import UsageError
from graftwork.freeze.policies import FreezePolicy
from graftwork.specs.factories import load_factory
from graftwork.testing.cases import Nonconformance, NotChecked, Registered, check, subject

ARGUMENTS = ("", "1", "2", "0.9", "r=2", "*")
"""What a policy may take after its colon; the first that it accepts is tried."""


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
