"""What several results say alike: the conversions of the data, labels, and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftwork.cli.terminal import say, table, tell

if TYPE_CHECKING:
    from graftwork.tasks.task import Task

MOST_LABELS = 20
"""How many labels are listed with their counts."""


def say_conversions(agreement: dict[str, Any]) -> None:
    for step in agreement["steps"]:
        say(f"Converted: {conversion(step)}")


def conversion(step: dict[str, Any]) -> str:
    return (
        f"{step['fact'].replace('_', ' ')} {step['seen']} to {step['to']} by {step['converter']} "
        f"({step['count']} examples)"
    )


def labels_table(labels: dict[str, dict[str, int]]) -> None:
    """How many examples of each split have each label; nothing where labels are no names."""
    if not labels:
        return
    splits = [name for name in next(iter(labels.values())) if any(counts[name] for counts in labels.values())]
    shown = list(labels.items())[:MOST_LABELS]
    table(["label", *splits], [[name, *(str(counts[s]) for s in splits)] for name, counts in shown], tuple(splits))
    if len(labels) > MOST_LABELS:
        tell(f"And {len(labels) - MOST_LABELS} more labels.")


def metrics_table(rows: list[list[Any]], task: Task) -> None:
    """rows: what the figures are of, of how many examples, and the metrics."""
    words = [figure.words for figure in task.figures]
    table(
        ["on", "examples", *words],
        [[name, str(n), *(f"{metrics[figure.name]:.4f}" for figure in task.figures)] for name, n, metrics in rows],
        ("examples", *words),
    )
