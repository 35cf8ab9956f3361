"""What several results say alike: the conversions of the data, labels, and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftwork.cli.terminal import say, table, tell
from graftwork.reports.sentences import conversion
from graftwork.specs.contracts import show

if TYPE_CHECKING:
    from graftwork.data.reading import Data
    from graftwork.data.streaming import Stream
    from graftwork.tasks.task import Task

MOST_LABELS = 20
"""How many labels are listed with their counts."""


def say_source(data: Data | Stream, task: Task) -> None:
    """What a source was read as, how many examples of each split have each label, and what was left out."""
    head = data.head
    labels = f", labels from {head.labels_place}" if head.labels_place else ""
    first = "the first " if data is not head else ""
    observed = head.observed
    say(f"Read as {head.layout}: {first}{show(len(head))} {observed.items} from {observed.place}{labels}.")
    for split, counts in task.tally_by_split(head.labels or (), head.splits).items():
        shown = ", ".join(f"{name} {show(count)}" for name, count in list(counts.items())[:MOST_LABELS])
        more = f" and {len(counts) - MOST_LABELS} more labels" if len(counts) > MOST_LABELS else ""
        say(f"  {split or 'labels'}: {shown}{more}")
    for note in head.notes:
        say(f"Note: {note}")


def say_conversions(agreement: dict[str, Any]) -> None:
    for step in agreement["steps"]:
        say(f"Converted: {conversion(step)} ({step['count']} examples)")


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
