"""`graftwork fit`: train on labelled data and save the run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli.options import (
    Adapter,
    AllowOutside,
    Convert,
    Device,
    DropLabel,
    EngineName,
    Input,
    Json,
    Label,
    LabelMap,
    Layout,
    ModalityName,
    NoCache,
    Offline,
    OnBad,
    Streaming,
    TaskName,
    go_offline,
    read_data,
    takes_settings,
)
from graftwork.cli.progress import watching
from graftwork.cli.results import labels_table, metrics_table, say_conversions, say_source
from graftwork.cli.terminal import answer, say, steady, table, tell, upper
from graftwork.errors import UsageError
from graftwork.reports.sentences import stages
from graftwork.runtime import processes
from graftwork.specs.contracts import plural
from graftwork.specs.hub_folder import unfinished_folder
from graftwork.specs.task import DEFAULT_TASK

if TYPE_CHECKING:
    from graftwork.tasks.task import Task


@takes_settings("steps", "exact", before="resume")
def fit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Class folders, a CSV, TSV, JSONL or Parquet table, an archive, WebDataset shards, a saved `datasets` "
            "folder, an address (s3://, https://, ...) of one, or hub:NAME.",
        ),
    ],
    backbone: Annotated[
        str | None,
        typer.Option(help="The encoder, by name; left out, the modality's starter; auto takes the best at hand."),
    ] = None,
    task: TaskName = DEFAULT_TASK,
    head: Annotated[str, typer.Option(help="One of the task's heads, of {heads}; left out, its first.")] = "",
    task_option: Annotated[
        list[str] | None,
        typer.Option("--task-option", metavar="NAME=VALUE", help="An option of the task's own (size=640); repeatable."),
    ] = None,
    target_transform: Annotated[
        str, typer.Option(help="Of values that are regressed: none, or log for those above 0.")
    ] = "none",
    freeze: Annotated[
        str, typer.Option(help="Which stages train: {freeze_policies}, several joined by +, or auto to try it.")
    ] = "head",
    best: Annotated[bool, typer.Option("--best", help="The same as --backbone auto --tap auto --freeze auto.")] = False,
    budget: Annotated[str, typer.Option(help="The time for what auto measures before the fit: 90s, 5m, 1h.")] = "5m",
    tap: Annotated[
        str,
        typer.Option(
            help="The stage that the head reads: last, a name, a number, several joined (block8+head), auto to find "
            "what is surely better than the last (also where it is left out and a head is solved), or all to try each "
            "on the validation split."
        ),
    ] = "",
    val: Annotated[float, typer.Option(help="The part held out for validation, unless the data bring one.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Chooses the part that is held out.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A new folder for the run; left out, one below runs/.")
    ] = None,
    refit: Annotated[
        bool | None,
        typer.Option("--refit/--no-refit", help="Solve the head again on all the data at the end, where it is solved."),
    ] = None,
    c: Annotated[
        float | None,
        typer.Option("--c", help="scikit-learn's inverse strength of a head that is solved; left out, it is chosen."),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="auto, fp32, bf16, int8 (of frozen stages) or (training on a GPU) fp16.")
    ] = "auto",
    engine: EngineName = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a fit to --out that was stopped.")] = False,
    long: Annotated[
        str | None,
        typer.Option(
            help="Examples longer than the encoder reads at once: truncate, or windows, whose features are averaged."
        ),
    ] = None,
    adapter: Adapter = None,
    convert: Convert = None,
    input: Input = None,
    label: Label = None,
    layout: Layout = "",
    label_map: LabelMap = None,
    drop_label: DropLabel = None,
    allow_outside: AllowOutside = False,
    modality: ModalityName = "",
    streaming: Streaming = False,
    on_bad: OnBad = "skip",
    no_cache: NoCache = False,
    compile: Annotated[
        bool, typer.Option("--compile", help="Run frozen stages through torch.compile, which takes a minute first.")
    ] = False,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Train on labelled data and save the run."""
    go_offline(offline)
    from graftwork.data.options import SourceOptions
    from graftwork.plugins import registry
    from graftwork.tasks.task import load_task

    # What the data are, and whether they fit, is settled before torch is loaded.
    if adapter is not None:
        through = registry.adapter(adapter)
        kinds = (registry.modality(name).noun for name in (through.contract.modality, through.target))
        say(f"{upper(next(kinds))} is shown to the encoder as {next(kinds)} by the adapter {adapter}.")
    options = SourceOptions.of(
        input=input, label=label, task=task, layout=layout, label_map=label_map, drop_label=drop_label,
        allow_outside=allow_outside, modality=modality, backbone=backbone, adapter=adapter,
    )  # fmt: skip
    found = read_data(data, options, streaming)
    say_source(found, load_task(task))
    observed = found.head.observed
    if best:
        backbone, freeze, tap = (_unless_named(*pair) for pair in ((backbone, None), (freeze, "head"), (tap, "")))
    if backbone is None:
        backbone = registry.starter(found.modality.name, adapter or "").name
        say(f"{upper(observed.place)} holds {found.modality.noun}; taking {backbone}. Choose another: --backbone NAME")
    max_left_out = found.max_left_out if on_bad == "skip" else 0.0
    if backbone != "auto":
        registry.agree_on(
            registry.backbone(backbone), observed, adapter or "", convert=convert or (), may_leave_out=max_left_out
        )
    out = out or _new_run(found.name, backbone, resume)

    from graftwork.runs import fitting

    with steady(), watching() as watch:
        run = fitting.fit(
            found, backbone, task=task, target_transform=target_transform,
            freeze=freeze, tap=tap, val=val, seed=seed, refit=refit, c=c, on_bad=on_bad,
            precision=precision, engine=engine, device=device, long=long, adapter=adapter or "",
            convert=convert or (), out=out, resume=resume, watch=watch, cache=not no_cache, compile=compile, head=head,
            options=_pairs(task_option), budget=seconds_of(budget), told=_say_tried, **settings,
        )  # fmt: skip
    if processes.is_main_process():
        answer(run.as_json(), lambda record: render(record, run.task, found.head.notes), json)


def _pairs(given: Sequence[str] | None) -> dict[str, str]:
    """Names and values as NAME=VALUE gives them. Raises `UsageError` for anything else."""
    pairs = [word.partition("=") for word in given or ()]
    for word, (name, equals, _) in zip(given or (), pairs, strict=True):
        if not name or not equals:
            raise UsageError(f"--task-option {word} names no value.", "Write: --task-option NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _unless_named(given: str | None, usual: str | None) -> str:
    """What was given instead of the usual, else "auto"."""
    return "auto" if given is None or given == usual else given


def seconds_of(words: str) -> float:
    """A time such as "90s", "5m" or "1h"; a number alone is seconds. Raises `UsageError` for anything else."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (words[:-1], words[-1]) if words[-1:] in units else (words, "s")
    with contextlib.suppress(ValueError):
        if (found := float(number) * units[unit]) > 0 and math.isfinite(found):
            return found
    raise UsageError(f"--budget {words} is no time; 90s, 5m and 1h are.", "Write: --budget 5m")


def _new_run(name: str, backbone: str, resume: bool) -> Path:
    """A path below runs/ that is free; with `resume` the first whose fit was stopped."""
    stem = (
        "".join(c if c.isalnum() or c in "-_." else "-" for c in f"{name}-{backbone.split('/')[-1]}").strip(".-")
        or "run"
    )
    path, number = Path("runs") / stem, 2
    while path.exists() or (not resume and unfinished_folder(path).exists()):
        path, number = Path("runs") / f"{stem}-{number}", number + 1
    return path


def render(record: dict[str, Any], task: Task, notes: Sequence[str]) -> None:
    """The run: what was converted, its labels, its metrics, and where it was saved. notes: those that were said."""
    say_conversions(record["agreement"])
    for warning in record["warnings"]:
        if warning not in notes:
            say(f"Warning: {warning}")
    if record["taps"]:
        shown = (task.primary, task.tie_break)
        table(
            ["stage", *(metric.words for metric in shown)],
            [[t["tap"], *(f"{t[metric.name]:.4f}" for metric in shown)] for t in record["taps"]],
            tuple(metric.words for metric in shown),
        )
    if record["tried"]:
        _tried_table(record["tried"], task)
    if record["depths"]:
        _depths_table(record["depths"], task)
    labels_table(record["labels"])
    rows = [["validation", record["n_val"], record["metrics"]]]
    if "test" in record["metrics"]:
        rows.append(["test", record["n_test"], record["metrics"]["test"]])
    metrics_table(rows, task)
    frozen = record["certificate"]
    tell(
        f"{record['backbone']}, tap {stages(record['tap'])}, {record['n_train']} trained on, "
        f"{_trained(record)}{len(frozen['frozen'])} frozen stages unchanged, "
        f"{record['engine']['used']} {record['precision']['used']}, {record['timings']['total']:.1f} s. "
        f"Saved: {record['run']}"
    )
    example = "'a new message'" if record["modality"] == "text" else "FILE"
    tell(f"Next: graftwork predict {record['run']} {example}")


def _say_tried(row: Any) -> None:
    """A choice as soon as it was tried, so that an interruption loses no result."""
    if row.score is not None:
        say(f"Tried {row.what}: {row.score:.4f} ({row.low:.4f} to {row.high:.4f}), {row.seconds:.1f} s")


def _tried_table(tried: Sequence[dict[str, Any]], task: Task) -> None:
    """What was measured to choose the encoder and what of it is trained."""
    rows = [
        [
            row["what"], "-" if row["score"] is None else f"{row['score']:.4f}",
            "-" if row["score"] is None else f"{row['low']:.4f} to {row['high']:.4f}",
            str(row["examples"] or "-"), f"{row['seconds']:.1f}", "taken" * row["chosen"], row["why"],
        ]
        for row in tried
        if row["chosen"] or row["score"] is not None or not row["what"].startswith("backbone")
    ]  # fmt: skip
    metric = task.primary.words
    table(["tried", metric, "90 % of samples", "examples", "seconds", "", "why"], rows, (metric, "examples", "seconds"))
    if others := len(tried) - len(rows):
        tell(f"{plural(others, 'other encoder')} could not be compared; which and why: graftwork rank DATA")


def _depths_table(depths: Sequence[dict[str, Any]], task: Task) -> None:
    """What heads scored on each stage in cross-validation, and which is read."""
    table(
        ["stage", task.primary.words, "90 % of samples", ""],
        [
            [
                stages(row["stage"]),
                f"{row['score']:.4f}",
                f"{row['low']:.4f} to {row['high']:.4f}",
                "read" * row["chosen"],
            ]
            for row in depths
        ],
        (task.primary.words,),
    )
    last, best = depths[-1], next(row for row in depths if row["chosen"])
    if best is last:
        tell(f"The last stage, {last['stage']}, stays: no other is surely better in cross-validation.")
    else:
        scores = f"{best['score']:.4f}, against {last['score']:.4f} of the last"
        tell(f"The head reads {stages(best['stage'])}: {task.primary.words} {scores}, in cross-validation.")


def _trained(record: dict[str, Any]) -> str:
    """What of training by steps is worth a word."""
    if record["trained_by"] == "exact":
        return ""
    about = record["training"]
    moved = len(record["certificate"]["moved"])
    return f"{moved} stages trained for {about['history'][-1]['epoch']} epochs (best: {about['best_epoch']}), "
