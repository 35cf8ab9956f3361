"""The commands, and how their outcomes leave the process: text or one JSON document on stdout, the rest on stderr.

Exit 0 done, 2 the request cannot be met, 1 a fault of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli import cache, output
from graftwork.cli.output import Json
from graftwork.errors import ConfigError, DataError, GraftworkError, UsageError
from graftwork.plugins.builtin import POLICIES
from graftwork.runtime import processes
from graftwork.specs.hub_folder import unfinished_folder

if TYPE_CHECKING:
    from graftwork.data.reading import Data
    from graftwork.data.streaming import Stream

app = typer.Typer(
    name="graftwork",
    help="Transfer learning for images, text and audio. Point it at labelled data and get a trained, proven model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Offline = Annotated[bool, typer.Option("--offline", help="Never use the network; say which file is missing.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
OnBad = Annotated[str, typer.Option(help="Unreadable examples: skip (up to 5 % of the data) or error.")]
Input = Annotated[str | None, typer.Option(help="The table's column of texts or file paths.")]
Label = Annotated[str | None, typer.Option(help="The table's column of labels.")]

Adapter = Annotated[
    str | None,
    typer.Option(help="Make examples of the encoder's kind out of the data's, for example audio:image-logmel."),
]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let file paths that stand in a table lead outside of its folder.")
]
Streaming = Annotated[
    bool, typer.Option("--streaming", help="Read the data once, in chunks, for more than memory or the disk holds.")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither use nor fill the feature store.")]

Epochs = Annotated[int | None, typer.Option(help="Passes over the training part; left out, the encoder's recipe.")]
Rate = Annotated[float | None, typer.Option(help="Learning rate of the encoder; left out, its recipe's.")]


@app.command()
def plugins(
    timing: Annotated[bool, typer.Option("--timing", help="How long importing each takes, the slowest first.")] = False,
    json: Json = False,
) -> None:
    """Installed plugins with their versions, status and errors."""
    from graftwork.plugins.config import file_in_use
    from graftwork.plugins.loading import installed, unloaded

    try:
        found = installed()
    except ConfigError as error:
        output.say(f"Warning: {error}")
        found = unloaded(file_in_use())
    for note in found.notes:
        output.say(f"Warning: {note}")
    output.plugins([report.as_json() for report in found.reports], timing, json)


@app.command()
def backbones(
    modality: Annotated[str | None, typer.Option(help="Only those that read this modality.")] = None, json: Json = False
) -> None:
    """Pretrained encoders and what each of them reads."""
    from graftwork.plugins import registry

    output.backbones([spec.as_json() for spec in registry.backbones(modality)], json)


@app.command()
def check(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What fit takes, or a folder of files without labels.")],
    backbone: Annotated[str | None, typer.Option(help="The encoder that the data are meant for.")] = None,
    task: Annotated[str, typer.Option(help="What the labels are.")] = "classify",
    adapter: Adapter = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page that shows what is wrong.")] = None,
    input: Input = None,
    label: Label = None,
    allow_outside: AllowOutside = False,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """What the data are, what is wrong with them, and whether they fit an encoder; exit 2 when they do not."""
    _go_offline(offline)
    from graftwork.checks import checking
    from graftwork.reports import html_page

    with output.steady():
        found = checking.check(
            data,
            backbone=backbone,
            task=task,
            adapter=adapter or "",
            input=input,
            label=label,
            allow_outside=allow_outside,
        )
        if html is not None:
            html_page.write_check(found, html)
    output.checked(found, html, json)
    if found.mismatch is not None:
        raise typer.Exit(found.mismatch.exit_code)


@app.command()
def freeze(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="What fit --freeze takes.")],
    backbone: Annotated[str, typer.Option(help="The encoder.")],
    tap: Annotated[str, typer.Option(help="The stage that the head reads: last, a name or a number.")] = "last",
    epochs: Epochs = None,
    lr: Rate = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """What a freeze policy trains of an encoder: stages, parameters and rates, epoch by epoch."""
    _go_offline(offline)
    from graftwork.freeze import planning

    with output.steady():
        found = planning.explain(backbone, policy, tap=tap, epochs=epochs, lr=lr)
    output.explained(found.as_json(), json)


@app.command()
def fit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Class folders, a CSV, TSV, JSONL or Parquet table, a saved `datasets` folder, or hub:NAME.",
        ),
    ],
    backbone: Annotated[
        str | None, typer.Option(help="The encoder, by name; left out, the modality's starter.")
    ] = None,
    task: Annotated[str, typer.Option(help="What the labels are.")] = "classify",
    freeze: Annotated[
        str, typer.Option(help=f"Which stages train: {', '.join(POLICIES)}, or several joined by +.")
    ] = "head",
    tap: Annotated[
        str, typer.Option(help="The stage that the head reads: last, a name, a number, or all to find the best.")
    ] = "last",
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
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or (training on a GPU) fp16.")] = "auto",
    epochs: Epochs = None,
    lr: Rate = None,
    head_lr: Annotated[float | None, typer.Option(help="Learning rate of the head; left out, the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step, over all processes.")] = None,
    accumulate: Annotated[int, typer.Option(help="Compute a step in so many parts, to need less memory.")] = 1,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW, on matrices; left out, the recipe's.")] = None,
    warmup: Annotated[float, typer.Option(help="The part of the steps over which the rates rise.")] = 0.1,
    clip: Annotated[float, typer.Option(help="The greatest norm of a gradient; 0 does not clip.")] = 1.0,
    label_smoothing: Annotated[float, typer.Option(help="0 to 1.")] = 0.0,
    dropout: Annotated[float, typer.Option(help="Of pooled features before the head, 0 to 1.")] = 0.1,
    balance: Annotated[str, typer.Option(help="For rare labels: none, weights or sampling.")] = "none",
    patience: Annotated[int, typer.Option(help="Epochs without a better validation before it stops; 0 never.")] = 5,
    augment: Annotated[bool, typer.Option("--augment", help="Change training examples by chance.")] = False,
    views: Annotated[
        int, typer.Option(help="Keep what frozen stages make of so many changed versions; 0 changes anew each epoch.")
    ] = 0,
    recompute: Annotated[bool, typer.Option("--recompute", help="Need less memory and more time.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a fit to --out that was stopped.")] = False,
    checkpoint_every: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 60.0,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's logs too.")] = False,
    long: Annotated[
        str | None,
        typer.Option(
            help="Examples longer than the encoder reads at once: truncate, or windows, whose features are averaged."
        ),
    ] = None,
    adapter: Adapter = None,
    input: Input = None,
    label: Label = None,
    allow_outside: AllowOutside = False,
    streaming: Streaming = False,
    on_bad: OnBad = "skip",
    no_cache: NoCache = False,
    compile: Annotated[
        bool, typer.Option("--compile", help="Run frozen stages through torch.compile, which takes a minute first.")
    ] = False,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Train on labelled data and save the run."""
    _go_offline(offline)
    from graftwork.plugins import registry

    # What the data are, and whether they fit, is settled before torch is loaded.
    if adapter is not None:
        through = registry.adapter(adapter)
        kinds = (registry.modality(name).noun for name in (through.contract.modality, through.target))
        output.say(f"{output.upper(next(kinds))} is shown to the encoder as {next(kinds)} by the adapter {adapter}.")
    found = _read(data, input, label, streaming, allow_outside)
    head = found.head.observed
    if backbone is None:
        backbone = registry.starter(found.modality.name, adapter or "").name
        output.say(
            f"{output.upper(head.place)} holds {found.modality.noun}; taking {backbone}. "
            "Choose another: --backbone NAME"
        )
    max_left_out = found.max_left_out if on_bad == "skip" else 0.0
    registry.agree_on(registry.backbone(backbone), head, adapter or "", may_leave_out=max_left_out)
    out = out or _new_run(found.name, backbone, resume)

    from graftwork.runs import fitting

    with output.steady(), output.watching() as watch:
        run = fitting.fit(
            found, backbone, task=task, freeze=freeze, tap=tap, val=val, seed=seed, refit=refit, c=c, on_bad=on_bad,
            precision=precision, device=device, long=long, adapter=adapter or "", out=out, resume=resume, watch=watch,
            epochs=epochs, lr=lr, head_lr=head_lr, batch_size=batch_size, accumulate=accumulate,
            weight_decay=weight_decay, warmup=warmup, clip=clip, label_smoothing=label_smoothing, dropout=dropout,
            balance=balance, patience=patience, augment=augment, views=views, recompute=recompute,
            checkpoint_every=checkpoint_every, tensorboard=tensorboard, cache=not no_cache, compile=compile,
        )  # fmt: skip
    if processes.is_main_process():
        output.fitted(run.as_json(), json)


@app.command()
def pretrain(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What fit takes, or a folder of files without labels.")],
    architecture: Annotated[str, typer.Option(help="The network, and its size: wav2vec2-tiny, bert-small, ...")],
    objective: Annotated[str, typer.Option(help="What it learns: supervised, distill, mlm, contrastive or mae.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder for the model.")],
    teacher: Annotated[str | None, typer.Option(help="For distill: the encoder to learn from.")] = None,
    teacher_tap: Annotated[
        list[str] | None, typer.Option(help="For distill: the teacher's stage to be told, more than once for several.")
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field of config.json, as JSON.")
    ] = None,
    license: Annotated[str, typer.Option(help="Of the weights, for the card.")] = "",
    allow_little: Annotated[
        bool, typer.Option("--allow-little", help="Go on with less data than the objective wants.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Write the weights in float16.")] = False,
    seed: Annotated[int, typer.Option(help="Decides all that chance does.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or (on a GPU) fp16.")] = "auto",
    epochs: Annotated[int | None, typer.Option(help="Passes over the data; left out, the objective's recipe.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; left out, the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW, on matrices; left out, the recipe's.")] = None,
    warmup: Annotated[float, typer.Option(help="The part of the steps over which the rate rises.")] = 0.1,
    clip: Annotated[float, typer.Option(help="The greatest norm of a gradient; 0 does not clip.")] = 1.0,
    augment: Annotated[bool, typer.Option("--augment", help="Change training examples by chance.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was stopped.")] = False,
    checkpoint_every: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 60.0,
    long: Annotated[
        str | None, typer.Option(help="Examples longer than the network reads at once: truncate or windows.")
    ] = None,
    on_bad: OnBad = "skip",
    no_cache: NoCache = False,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Train a source model of your own from nothing, in hub layout, for fit --backbone local:FOLDER."""
    _go_offline(offline)
    from graftwork.pretraining import pretrain

    with output.steady(), output.watching() as watch:
        made = pretrain.pretrain(
            data, architecture, objective, out, fields=_fields(set or []), teacher=teacher,
            taps=tuple(teacher_tap or ["last"]), license=license, allow_little=allow_little, half=half, seed=seed,
            long=long, on_bad=on_bad, precision=precision, device=device, cache=not no_cache, resume=resume,
            watch=watch,
            epochs=epochs, lr=lr, batch_size=batch_size, weight_decay=weight_decay, warmup=warmup, clip=clip,
            augment=augment, checkpoint_every=checkpoint_every,
        )  # fmt: skip
    output.pretrained(made.as_json(), json)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Labelled data; their test split is used where they bring one.")
    ],
    input: Input = None,
    label: Label = None,
    allow_outside: AllowOutside = False,
    streaming: Streaming = False,
    on_bad: OnBad = "skip",
    no_cache: NoCache = False,
    device: Device = "cpu",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Metrics of a saved run on labelled data."""
    _go_offline(offline)
    from graftwork.runs import run as runs

    loaded = runs.load(run)
    with output.steady():
        found = _read(data, input, label, streaming, allow_outside)
        result = loaded.evaluate(found, on_bad=on_bad, device=device, cache=not no_cache)
    output.evaluated({"run": str(run), **result}, json)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Files, folders of files, or texts; - reads one a line from standard input."
        ),
    ],
    device: Device = "cpu",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Labels with probabilities for new inputs."""
    _go_offline(offline)
    from graftwork.data import folders
    from graftwork.plugins import registry
    from graftwork.runs import run as runs

    given = [line for item in inputs for line in (_lines() if item == "-" else [item])]
    if not given:
        raise UsageError("Standard input is empty; one input a line is accepted.", "See: graftwork predict --help")
    with output.steady():
        loaded = runs.load(run)
        if not registry.modality(loaded.record["modality"]).inline:
            given = [str(file) for item in given for file in folders.files_below(Path(item))]
        answers = loaded.predict(given, device=device)
    if all(answer["label"] is None for answer in answers):
        raise DataError(answers[0]["error"], "Give a file or text that can be read.")
    output.predicted(answers, json)


app.add_typer(cache.app, name="cache")
new = typer.Typer(no_args_is_help=True, help="Begin something that others can install.")
app.add_typer(new, name="new")


@new.command("plugin")
def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the package: small letters, digits and hyphens.")],
    modality: Annotated[
        str | None, typer.Option(help="image, text, audio, or a new one that the plugin brings.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder of graftwork pretrain that the plugin brings.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where its folder is written.")] = Path(),
    json: Json = False,
) -> None:
    """Write a plugin with an encoder that installs and passes the conformance kit as written."""
    from graftwork import scaffold

    if (modality is None) == (weights is None):
        raise UsageError(
            "A plugin is begun with --modality, or with the --weights of a folder of graftwork pretrain.",
            "Write: graftwork new plugin my-encoder --modality image",
        )
    made = scaffold.publish(name, weights, out) if weights else scaffold.new_plugin(name, modality or "", out)
    output.scaffolded(str(made), json)


@app.command()
def demo(offline: Offline = False, json: Json = False) -> None:
    """A tour across modalities that needs no data of yours."""
    _go_offline(offline)
    from graftwork import demo as tour

    with output.steady():
        result = tour.run()
    output.toured(result, json)


def _read(source: str, input: str | None, label: str | None, streaming: bool, allow_outside: bool) -> Data | Stream:
    from graftwork.data.reading import data
    from graftwork.data.streaming import stream

    return (stream if streaming else data)(source, input=input, label=label, allow_outside=allow_outside)


def _fields(said: list[str]) -> dict[str, Any]:
    """`FIELD=VALUE` as JSON has it; what is no JSON is a word."""
    import json

    found = {}
    for item in said:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {item} is not FIELD=VALUE.", "Write: --set hidden_size=192")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _lines() -> list[str]:
    # Bytes that are not UTF-8 stay in the text as they do in arguments (PEP 383), for the text plugin to put right.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


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


def _go_offline(offline: bool) -> None:
    if offline:
        os.environ["GRAFTWORK_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run(arguments, json="--json" in arguments))


@contextmanager
def _alone(arguments: list[str]) -> Iterator[None]:
    """Only the command that is asked for is looked into: for all of them that takes longer than listing does."""
    every = app.registered_commands
    named = {command.name or getattr(command.callback, "__name__", ""): command for command in every}
    app.registered_commands = [named[word] for word in arguments[:1] if word in named] or every
    try:
        yield
    finally:
        app.registered_commands = every


def _run(arguments: list[str], *, json: bool) -> int:
    try:
        with _alone(arguments):
            returned: Any = app(args=arguments, prog_name="graftwork", standalone_mode=False)
        return returned if isinstance(returned, int) else 0
    except GraftworkError as error:
        output.failed(type(error).__name__, error.message, error.hint, json)
        return error.exit_code
    except output.USAGE_ERRORS as error:
        command = error.ctx.command_path if error.ctx else "graftwork"
        output.failed("UsageError", output.sentence(error.format_message()), f"See: {command} --help", json)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        hint = "Nothing half-written was left behind; a fit that trains by steps goes on with --resume."
        output.failed("Interrupted", "Interrupted.", hint, json)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("GRAFTWORK_DEBUG"):
            raise
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        output.failed(
            "Fault",
            f"This is a fault of graftwork's: {type(error).__name__}: {reason}",
            "See where: set GRAFTWORK_DEBUG=1 and run it again.",
            json,
        )
        return 1
