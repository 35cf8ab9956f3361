"""`graftwork predict`: what a saved run answers for new inputs."""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli.options import Device, Input, Json, Offline, go_offline
from graftwork.cli.terminal import document, results, say, steady, table
from graftwork.errors import DataError, UsageError
from graftwork.runtime.visible import json_text

if TYPE_CHECKING:
    from graftwork.data.raws import Raws
    from graftwork.runs.answer_files import AnswerFile
    from graftwork.runs.run import Run
    from graftwork.tasks.answer_folder import AnswerFolder
    from graftwork.tasks.task import Task

SHOWN = 20
"""The rows of a table that are shown where no file is named for all of them."""
NOTED = 10
"""The notes on inputs that are shown."""
LIKELIEST = 3
"""The labels that are shown of an answer where --top is not given."""


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders of files, tables, or texts; - reads one a line from standard input.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the answers, beside the rows of a table: .csv, .jsonl or .parquet; or, for answers that lie in "
            "the input, a new folder: masks, drawn pictures, label files.",
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, metavar="K", help="Only the K most probable labels.")] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="Abstain where the label is less probable, 0 to 1; leave out such labels, boxes, spans."
        ),
    ] = None,
    input: Input = None,
    text: Annotated[
        bool, typer.Option("--text", help="Every INPUT is a text, also one that looks like a file.")
    ] = False,
    device: Device = "cpu",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """What a saved run answers for new inputs: labels with probabilities, values."""
    go_offline(offline)
    from graftwork.runs import run as runs
    from graftwork.runs.answer_files import answer_file, check_out
    from graftwork.tasks.answer_folder import check_new

    if out is not None:
        (check_new if _is_folder(out) else check_out)(out)
    given = [line for item in inputs for line in (_lines() if item == "-" else [item])]
    if not given:
        raise UsageError("Standard input is empty; one input a line is accepted.", "See: graftwork predict --help")
    loaded = runs.load(run)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape") as written:
        with steady(), _saying_warnings(), _written(out, loaded, answer_file) as file:
            found = _Found(file, written if json and out is None else None, loaded.task, top)
            asked = {"top": top, "min_probability": min_probability, "device": device}
            for rows, raws, answers in _answers(loaded, given, column=input, texts=text, **asked):
                found.take(rows, raws, answers)
            if not found.good:
                raise DataError(found.first_error, "Give a file or text that can be read.")
        found.show(out, json)


@contextmanager
def _saying_warnings() -> Iterator[None]:
    """What computing warns of (another engine than that of the fit), in our words on stderr."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"Warning: {message}")
        yield


def _is_folder(out: Path) -> bool:
    """Whether answers go into a folder: a name without an ending."""
    return not out.suffix


@contextmanager
def _written(out: Path | None, run: Run, answer_file: Callable[..., Any]) -> Iterator[AnswerFile | AnswerFolder | None]:
    """Where answers are written; None where they are not."""
    from graftwork.tasks.answer_folder import new_folder
    from graftwork.tasks.dense import DenseTask

    if out is None:
        yield None
    elif not _is_folder(out) or not isinstance(run.task, DenseTask):
        with answer_file(out) as file:
            yield file
    else:
        with new_folder(out) as folder:
            made = run.task.answer_folder(folder, run.targets)
            yield made
            made.close()


def _answers(
    run: Run, given: list[str], *, column: str | None, texts: bool, **asked: Any
) -> Iterator[tuple[Any, Raws, list[dict[str, Any]]]]:
    """The rows of a table, or None, the inputs, and an answer for each of them, some at a time."""
    from graftwork.data.inputs import named_inputs
    from graftwork.data.raws import Raws, files_among
    from graftwork.plugins import registry

    modality = registry.modality(run.record["modality"])
    for part in named_inputs(given, modality, column=column, usual=run.input_column, texts=texts):
        raws = part.inputs
        if not isinstance(raws, Raws):
            raws = Raws(files_among(raws, modality), modality, Path())
        yield part.rows, raws, run.predict(raws, **asked)


class _Found:
    """Answers as they come: written to a file, to the JSON document, or kept for the terminal."""

    def __init__(self, file: AnswerFile | AnswerFolder | None, document: Any, task: Task, top: int | None) -> None:
        self._file, self._document, self._task, self._top = file, document, task, top
        self.count, self.good, self.abstained, self.first_error = 0, 0, 0, ""
        self._shown: list[dict[str, Any]] = []
        self._left = 0

    def take(self, rows: Any, raws: Raws, answers: list[dict[str, Any]]) -> None:
        from graftwork.tasks.answer_folder import AnswerFolder

        for one in answers:
            if "error" in one:
                self.first_error = self.first_error or one["error"]
            else:
                self.good += 1
                self.abstained += "abstained" in one
        if isinstance(self._file, AnswerFolder):
            for raw, one in zip(raws, answers, strict=True):
                if "error" not in one:
                    self._file.add(raw, one)
        elif self._file is not None:
            self._file.write(rows, answers, lambda one: self._task.as_row(one, self._top or 1))
        elif self._document is not None:
            for place, one in enumerate(answers, self.count):
                words = indent(json_text(self._task.as_json(one), results().encoding or "utf-8"), "  ")
                self._document.write((",\n" if place else "[\n") + words)
        else:
            room = len(answers) if rows is None else max(0, SHOWN - len(self._shown))
            self._shown += answers[:room]
            self._left += len(answers[room:])
        self.count += len(answers)

    def show(self, out: Path | None, json: bool) -> None:
        """What was found, on stdout."""
        if self._document is not None:
            self._document.write("\n]\n")
            self._document.seek(0)
            shutil.copyfileobj(self._document, results())
            return
        if out is not None:
            about = {"out": str(out), "rows": self.count, "unanswered": self.count - self.good}
            about |= {"abstained": self.abstained} if self.abstained else {}
            if json:
                document(about)
            else:
                errors = f", {about['unanswered']} without an answer: {self.first_error}" if self.first_error else ""
                unsure = f", {self.abstained} of them too improbable to label" if self.abstained else ""
                say(f"Answers: {out} ({self.count} rows{unsure}{errors})")
            return
        from graftwork.tasks.task import most_probable

        render([most_probable(one, self._top or LIKELIEST) for one in self._shown], self._task)
        if self._left:
            say(f"And {self._left} more; to have all, write: --out answers.csv")
        say("Next: graftwork evaluate RUN DATA")


def _lines() -> list[str]:
    # Bytes that are not UTF-8 stay in the text as they do in arguments (PEP 383), for the text plugin to put right.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def render(answers: list[dict[str, Any]], task: Task) -> None:
    """The answers as a table; those that cannot be read, on stderr."""
    rows, notes = [], []
    for one in answers:
        if "error" in one:
            say(one["error"])
        else:
            rows.append([one["input"], *task.cells(one)])
            notes += [f"Note on {one['input']}: {note}." for note in one.get("notes", ())]
    for note in notes[:NOTED]:
        say(note)
    if len(notes) > NOTED:
        say(f"And {len(notes) - NOTED} more notes; to have all, write: --json")
    table(["input", *task.columns()], rows, ("probability", "value"))
