"""What a report shows of the answers on the validation split, for every task whose head reads pooled features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from graftwork.data.raws import Raws
from graftwork.reports.shown import Shown, ShownExample, named
from graftwork.specs.factories import load_factory
from graftwork.specs.readers import Raw, Reader
from graftwork.tasks.parts import part_json
from graftwork.tasks.task import Targets, Task
from graftwork.training.trainer import outputs_of

if TYPE_CHECKING:
    from graftwork.runs.steps import Encoded, Fit, Outcome

MISTAKES = 12
"""How many examples with bad answers are shown."""


def judged_answers(
    fit: Fit, encoded: Encoded, outcome: Outcome, known: Targets
) -> tuple[dict[str, Any], Shown, list[str]]:
    """What `run.json` keeps under `validation`, the examples that a page shows, and what to warn of.

    The first holds the task's `figures`, its `parts`, and `mistakes`: the name of each, with the true and the given
    answer. Pictures are read when a page is written. A task that fails here costs a part of the report, not the run.
    """
    task, examples = fit.plan.task, encoded.extracted.examples
    reader: Reader = load_factory(fit.data.modality.reader)()
    raws: Sequence[Raw] = examples.raws if examples is not None else ()
    parts, worst, warnings = [], list(outcome.drawn), []
    if not fit.plan.dense and outcome.dataset.splits["validation"]:
        try:
            parts, worst = _judged(task, known, encoded, outcome, reader, raws)
        except Exception as error:  # a plugin's task may raise anything
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.append(
                f"The task '{task.spec.name}' could not say what its answers are like ({reason}), so the report lacks "
                "it; the plugin that brings it must mend its 'parts' or 'mistakes'."
            )
    made = {
        "figures": [asdict(figure) for figure in task.figures],
        "parts": parts,
        "mistakes": [one.as_json() for one in worst if not one.html],
    }
    return made, Shown(worst, reader, named(reader, raws, encoded.agreement)), warnings


def _judged(
    task: Task, known: Targets, encoded: Encoded, outcome: Outcome, reader: Reader, raws: Sequence[Raw]
) -> tuple[list[dict[str, Any]], list[ShownExample]]:
    split, numbers = outcome.dataset.split("validation"), outcome.dataset.splits["validation"]
    outputs = outputs_of(outcome.trained.validated or outcome.trained.head, split)
    parts = [part_json(part) for part in task.parts(outputs, split.targets, known)]
    found = (
        (numbers[one.row], task.show(encoded.extracted.labels[numbers[one.row]]), one)
        for one in task.mistakes(outputs, split.targets, known)
    )
    worst = [
        ShownExample(_name(reader, raws, number), raws[number] if raws else None, true, one.said, one.note)
        for number, true, one in islice((item for item in found if item[1] != item[2].said), MISTAKES)
    ]
    return parts, worst


def _name(reader: Reader, raws: Sequence[Raw], number: int) -> str:
    """The path of a file, or the number of a row."""
    if isinstance(raws, Raws):
        raw = raws[number]
        return reader.show(raw) if raw.path is not None else f"row {raws.numbers[number] + 1}"
    return f"example {number + 1}"
