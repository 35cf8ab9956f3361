"""Answers that are given only where they are probable enough."""

from __future__ import annotations

from graftwork.errors import UsageError
from graftwork.tasks.task import Task


def check_min_probability(task: Task, least: float) -> None:
    """Raises `UsageError` for what is no probability, and for a task whose answers have none."""
    if not 0 <= least <= 1:
        raise UsageError(
            f"--min-probability {least:g} is given; a probability from 0 to 1 is accepted.",
            "Write, for example: --min-probability 0.8",
        )
    if "min_probability" not in task.applicable:
        raise UsageError(
            f"The task '{task.spec.name}' has no use for --min-probability {least:g}: its answers are no labels with "
            "probabilities.",
            "Leave it out.",
        )
