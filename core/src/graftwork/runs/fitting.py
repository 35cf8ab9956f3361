"""`fit`: from labelled data and the name of an encoder to a trained, validated and certified run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.data.fingerprint import fingerprint
from graftwork.data.options import SourceOptions
from graftwork.data.reading import Data
from graftwork.data.reading import read as read_source
from graftwork.data.streaming import Stream
from graftwork.features.extraction import Cache
from graftwork.features.store import Store, opened, temporary
from graftwork.models.machine import Clock, join_process_group, seed_all
from graftwork.plugins.faults import faults_have_owners
from graftwork.runs.automatic import BUDGET, Decided, Tried, decide
from graftwork.runs.backbone_cache import BackboneCache, Loaded
from graftwork.runs.depths import choose_depth
from graftwork.runs.judged_answers import judged_answers
from graftwork.runs.planning import FitPlan, FitRequest, resolve, resume_request
from graftwork.runs.record import pretraining_overlap, record
from graftwork.runs.run import Run
from graftwork.runs.steps import (
    Fit,
    augment,
    encode,
    evaluate,
    extract,
    load,
    read,
    solve,
    train_by_steps,
    train_dense,
)
from graftwork.runtime import processes
from graftwork.specs.convert import step_names
from graftwork.specs.settings import Settings
from graftwork.specs.task import DEFAULT_TASK
from graftwork.training.checkpoints import Unfinished, begun

if TYPE_CHECKING:
    from graftwork.training.progress import Progress


@faults_have_owners
def fit(
    data: Any,
    backbone: str | None = None,
    *,
    task: str = DEFAULT_TASK,
    target_transform: str = "none",
    freeze: str = "head",
    tap: str = "",
    val: float = 0.2,
    seed: int = 0,
    refit: bool | None = None,
    on_bad: str = "skip",
    precision: str = "auto",
    engine: str = "auto",
    device: str = "auto",
    long: str | None = None,
    adapter: str = "",
    convert: str | Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    c: float | None = None,
    watch: Callable[[Progress], None] | None = None,
    cache: bool = True,
    compile: bool = False,
    backbone_cache: BackboneCache | None = None,
    head: str = "",
    options: Mapping[str, Any] | None = None,
    budget: float = BUDGET,
    told: Callable[[Tried], None] | None = None,
    **settings: Any,
) -> Run:
    """Train on labelled data and return the run (written to `out` when given).

    data: what `graftwork.data` returns or takes, or what `graftwork.stream` returns.
    backbone: a name; None takes the modality's starter, "auto" the first that `graftwork.rank` would name. task: what
    the labels are, by the name of the core's or of a plugin's. target_transform: "log" regresses the logarithm of the
    values.
    freeze: which stages train, as `graftwork freeze` explains; "auto" trains the head alone unless a trial on parts of
    the training examples says that to train the encoder too is better. budget: seconds for what "auto" measures;
    told: is called with each choice that was tried.
    tap: the stage whose pooled features the head reads, or several joined ("block8+head"); "auto" chooses them by
    cross-validation on the training examples, and keeps the last unless others are surely better; "all" solves a head
    after each, from one pass, and keeps the one that is best on the validation split, by the task's primary metric.
    Left out, it is "auto" where a head is solved whose strength is to be chosen too, on data that can be read again,
    else "last".
    val: the part held out, unless the data bring a validation split; it chooses the head's strength, or the epoch whose
    weights are kept, and gives the metrics. refit: solve the head again on all the data but a test split; None does
    where it is solved exactly. c: scikit-learn's inverse strength of a head that is solved; None chooses it.
    precision: "auto", "fp32", "bf16", "int8" (of what runs frozen) or (training on a GPU) "fp16". engine: what runs
    frozen stages, "auto", "torch", "openvino" or one that a plugin brings; "auto" is measured once on this machine.
    long: "truncate" or "windows" for examples that are
    longer than the encoder reads at once; None leaves it to the modality. adapter: the name of one that makes examples
    of the encoder's modality out of the data's (`audio:image-logmel`). convert: names of optional steps on each example
    after the conversions that its contract asks for, in this order (`image:denoise`); a run repeats them.
    resume: go on with the fit to `out` that was stopped; what is asked must be the same. watch: is called after each
    step. cache: find what frozen stages made of examples before in the feature store, and keep it there.
    compile: run frozen stages through torch.compile, which takes a minute first. backbone_cache: keeps the encoder for
    other fits of this process, where no stage trains. head: one of the task's heads by name; its first for none.
    options: those of the task's own, by name (`{"size": 640}`).
    settings: how to train by gradient steps, see `graftwork.Settings`.

    Raises `InputMismatch` before any weights are looked for, `WeightsUnavailable`, `DataError`, `UnknownName`,
    `UsageError`, `RunError`, `Diverged` and `OutOfMemory`.
    """
    request = FitRequest(
        backbone, task, target_transform, freeze, tap, val, seed, refit, on_bad, precision, engine, device, long,
        adapter, step_names(convert), out, resume, c, cache, compile, Settings.of(settings), head, options or {},
        budget,
    )  # fmt: skip
    data = (
        data
        if isinstance(data, Data | Stream)
        else read_source(data, SourceOptions.of(task=task, backbone=backbone, adapter=adapter))
    )
    clock = Clock()
    with clock("choose") if "auto" in (backbone, freeze) else nullcontext():
        decided = decide(request, data, watch, told)
    return _fit(decided, data, watch, backbone_cache, clock)


def _fit(
    decided: Decided,
    data: Data | Stream,
    watch: Callable[[Progress], None] | None,
    backbone_cache: BackboneCache | None,
    clock: Clock,
) -> Run:
    request, warnings = decided.request, list(decided.notes)
    plan = resolve(request, data)
    seed_all(request.seed)
    join_process_group(plan.device)
    with opened(request.cache, warnings) as kept, _store(plan, kept) as store:
        with clock("load"):
            model = load(plan, backbone_cache)
        fit = Fit(
            plan, data, model, Cache(store, model.digest) if store else None, _checkpoints(plan, data, model), watch
        )
        with clock("extract"):
            pooled = plan.wants_features and not plan.dense
            encoded = encode(fit, extract(fit) if pooled else read(fit))
            if plan.choice == "auto":
                fit, encoded = choose_depth(fit, encoded)
            encoded = augment(fit, encoded)
        with clock("train"):
            if plan.dense:
                outcome = train_dense(fit, encoded)
                known, metrics = outcome.trained.known or encoded.known, dict(outcome.trained.metrics)
            else:
                outcome = solve(fit, encoded) if plan.exactly else train_by_steps(fit, encoded)
                known, metrics = evaluate(fit, encoded.known, outcome)
        plan = fit.plan
        overlap, flattered = pretraining_overlap(plan, data)
    warnings += [*encoded.warnings, *outcome.warnings, *flattered]
    answers, shown, notes = judged_answers(fit, encoded, outcome, known)
    warnings += notes
    made = record(
        plan, data, model, encoded=encoded, outcome=outcome, known=known, metrics=metrics, overlap=overlap,
         validation=answers, warnings=warnings, seconds=clock.seconds(), tried=decided.as_json(),
    )  # fmt: skip
    run = Run(made, outcome.trained.head, model.backbone, shown=shown)
    if request.out is not None and processes.is_main_process():
        run.save(request.out, logs=fit.checkpoints.logs() if fit.checkpoints else ())
        if fit.checkpoints:
            fit.checkpoints.finish()
    return run


def _store(plan: FitPlan, store: Store | None) -> AbstractContextManager[Store | None]:
    """The store, or one for this fit alone where all taps of one pass are wanted and there is none."""
    return temporary() if plan.choice and store is None else nullcontext(store)


def _checkpoints(plan: FitPlan, data: Data | Stream, model: Loaded) -> Unfinished | None:
    """Where a fit by steps that is saved keeps its checkpoints."""
    request = plan.request
    if plan.exactly or request.out is None or not isinstance(data, Data):
        return None
    contract = model.backbone.spec.contract.as_json()
    known = resume_request(plan, weights=model.digest, contract=contract, data=fingerprint(data))
    return begun(request.out, request.resume, known)
