"""`fit`: from labelled data and the name of an encoder to a trained, judged and certified run."""

from __future__ import annotations

import hashlib
import math
import platform
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch

from graftwork import freeze as freezing
from graftwork import policies, processes, registry
from graftwork.backbone import Backbone
from graftwork.boundary import Views
from graftwork.checkpoints import Unfinished
from graftwork.errors import DataError, GraftworkError, RunError, UsageError
from graftwork.examples import Augmentation, Examples, check_long
from graftwork.extraction import Cache, Features, check_precision, extract
from graftwork.heads import Head
from graftwork.logs import check_tensorboard
from graftwork.memo import Memo, load_frozen
from graftwork.metrics import classification
from graftwork.parallel import ahead
from graftwork.parts import Part
from graftwork.pipeline import Pipeline
from graftwork.reading import MOST_BAD, Data, allow_bad
from graftwork.reading import data as read_data
from graftwork.runs import FORMAT, Run, check_free
from graftwork.settings import Options, Settings, decide
from graftwork.specs import Modality, load_factory
from graftwork.splits import stratified
from graftwork.store import Store, opened, temporary
from graftwork.trainer import Engine, ExactEngine, Job, Trained, exact

if TYPE_CHECKING:
    from graftwork.standing import Progress

FREE = ("checkpoint_every", "tensorboard")
"""Settings that a fit may go on with otherwise than it began."""


def fit(
    data: Any,
    backbone: str | None = None,
    *,
    task: str = "classify",
    freeze: str = "head",
    tap: str = "last",
    val: float = 0.2,
    seed: int = 0,
    refit: bool | None = None,
    on_bad: str = "skip",
    precision: str = "auto",
    device: str = "auto",
    long: str | None = None,
    adapter: str = "",
    out: str | Path | None = None,
    resume: bool = False,
    c: float | None = None,
    watch: Callable[[Progress], None] | None = None,
    cache: bool = True,
    compile: bool = False,
    memo: Memo | None = None,
    **settings: Unpack[Options],
) -> Run:
    """Train on labelled data and return the run (written to `out` when given).

    data: what `graftwork.data` returns or takes. backbone: a name; None takes the modality's starter.
    freeze: which stages train, as `graftwork freeze` explains. tap: the stage whose pooled features the head reads;
    "all" solves a head after each, from one pass, and keeps the one of the highest validation accuracy.
    val: the part held out, unless the data bring a validation split; it chooses the head's strength, or the epoch whose
    weights are kept, and gives the metrics. refit: solve the head again on all the data but a test split; None does
    where it is solved exactly. c: scikit-learn's inverse strength of a head that is solved; None chooses it.
    precision: "auto", "fp32", "bf16" or (training on a GPU) "fp16". long: "truncate" or "windows" for examples that are
    longer than the encoder reads at once; None leaves it to the modality. adapter: the name of one that makes examples
    of the encoder's modality out of the data's (`audio:image-logmel`).
    resume: go on with the fit to `out` that was stopped; what is asked must be the same. watch: is called after each
    step. cache: find what frozen stages made of examples before in the feature store, and keep it there.
    compile: run frozen stages through torch.compile, which takes a minute first. memo: keeps the encoder for other fits
    of this process, where no stage trains.
    settings: how to train by gradient steps, see `graftwork.Settings`.

    Raises `InputMismatch` before any weights are looked for, `WeightsUnavailable`, `DataError`, `UnknownName`,
    `UsageError`, `RunError`, `Diverged` and `OutOfMemory`.
    """
    clock = Clock()
    said = Settings.of(dict(settings))
    data = data if isinstance(data, Data) else read_data(data)
    spec = registry.backbone(backbone) if backbone else registry.starter(data.modality.name, adapter)
    agreement = registry.agree_on(spec, data.observed, adapter, may_leave_out=MOST_BAD if on_bad == "skip" else 0.0)
    if out is not None and processes.first():
        check_free(out)
    total = len(data) + len(data.bad)
    allow_bad(data.bad, total, on_bad, agreement)
    warnings = [*data.notes, *agreement.warnings, *_check_labels(data)]
    task_spec = registry.task(task)
    head_spec = registry.head(task_spec.heads[0])
    every = tap == "all"
    tapped = spec.tap("last" if every else tap)
    policy = policies.parse(freeze)
    splits = split(data, val, seed)
    epochs = decide(said, spec.recipe, splits.count("train")).epochs
    plans = [policy.plan(spec.stages[: tapped + 1], epoch) for epoch in range(epochs)]
    exactly = exact(plans, head_spec)
    _check_settings(said, freeze, exactly, resume, out, refit, c)
    if compile and not (exactly or policy.head_first):
        raise UsageError(
            f"--compile is for what runs frozen before training; the freeze policy '{freeze}' has nothing of the kind.",
            "Leave it out, or write: --freeze head",
        )
    if every and not exactly:
        raise UsageError(
            f"--tap all compares heads that are solved exactly; the freeze policy '{freeze}' trains by steps.",
            "Find the stage first: --tap all --freeze head",
        )
    mode = long or data.modality.long
    check_long(mode)
    place = resolve_device(device)
    change = _augmentation(said, registry.modality(spec.modality))
    views = _views(said, change, registry.modality(spec.modality))
    if exactly:
        check_precision(precision)
    else:
        from graftwork.accelerating import training_precision

        training_precision(precision, place)
    _seed(seed)
    _meet(place)

    with opened(cache, warnings) as kept_store, _for_taps(kept_store, every) as store:
        with clock("load"):
            model, before = memo(spec) if memo is not None and exactly else load_frozen(spec)
            pipeline = Pipeline(spec.contract, agreement, data.modality)
            room = 0 if exactly else memory() // 4
            examples = Examples(model, pipeline, data.raws, long=mode, keep=room)
            digest = freezing.weights_digest(before)
        engine: Engine
        unfinished = None
        if exactly:
            engine = ExactEngine(refit=refit is not False, c=c, balance=said.balance)
        else:
            from graftwork.loop import LoopEngine

            asked = {
                "backbone": spec.name, "weights": digest, "contract": model.spec.contract.as_json(), "freeze": freeze,
                "tap": spec.stages[tapped], "val": val, "seed": seed, "precision": precision, "long": mode,
                "adapter": adapter, "on_bad": on_bad, "processes": processes.count(),
                **{name: value for name, value in asdict(said).items() if name not in FREE},
            }  # fmt: skip
            unfinished = None if out is None else _unfinished(out, resume, {"data": fingerprint(data), **asked})
            engine = LoopEngine(
                said,
                wants_features=policy.head_first,
                device=place,
                precision=precision,
                change=change,
                unfinished=unfinished,
                resume=resume,
                views=views,
                watch=watch,
            )
        with clock("extract"):
            known = None if store is None else Cache(store, digest)
            frozen = None
            used = "fp32" if precision == "fp16" else precision
            if engine.wants_features:
                frozen = extract(
                    model, examples, tap=tapped, precision=used, device=place, cache=known, compile=compile
                )
                warnings += frozen.notes
                kept, bad, about = frozen.kept, frozen.bad, frozen.long
            else:
                kept, bad, about = examples.survey()
            left_out = [*data.bad, *(item for _, item in bad)]
            warnings = [*allow_bad(left_out, total, on_bad), *warnings]
            warnings += about.warnings(len(data), data.observed.items)
        labels, targets, parts = _parts(data, kept, splits)
        job = Job(model, tapped, head_spec, policy, examples, targets, parts, len(labels), frozen, seed, known)
        with clock("train"), unfinished.under_way() if unfinished else nullcontext():
            tried: list[dict[str, Any]] = []
            if every:

                def at(stage: int) -> Features:
                    return extract(
                        model, examples, tap=stage, precision=used, device=place, cache=known, compile=compile
                    )

                job, trained, tried = _best_tap(engine, job, at)
            else:
                trained = engine.train(job)
            model.eval().requires_grad_(False)
            certificate = _certified(trained, before, model, freeze)
        warnings += trained.notes
        if unfinished:
            warnings = [*unfinished.notes, *warnings]
        with clock("train"):
            features = job.features
            if not exactly:
                chosen = [number for part in ("validation", "test") for number in parts[part]]
                features = extract(model, examples, tap=tapped, precision=used, device=place, numbers=chosen)
                job = replace(job, features=features)
            assert features is not None
            metrics: dict[str, Any] = judge(trained.judged or trained.head, job.part("validation"))
            if parts["test"]:
                metrics["test"] = judge(trained.head, job.part("test"))

    record = {
        "format": FORMAT,
        "task": task,
        "backbone": spec.name,
        "modality": data.modality.name,
        "tap": spec.stages[job.tap],
        "taps": tried,
        "feature_dim": model.feature_dim(job.tap),
        "freeze": freeze,
        "head": head_spec.name,
        "engine": engine.name,
        "seed": seed,
        "labels": labels,
        "data": {
            "name": data.name,
            "observed": data.observed.as_json(),
            "left_out": [vars(b) for b in left_out],
        },
        "contract": model.spec.contract.as_json(),
        "adapter": adapter,
        "long": vars(about),
        "agreement": agreement.as_json(),
        "warnings": warnings,
        "metrics": metrics,
        "n_train": len(parts["train"]),
        "n_val": len(parts["validation"]),
        "n_test": len(parts["test"]),
        "refit": exactly and refit is not False,
        "training": trained.details,
        "settings": {"balance": said.balance} if exactly else asdict(said),
        "adapted": dict(trained.adapted),
        "precision": {"used": features.precision, "asked": precision, "cosine": features.cosine},
        "weights_digest": digest,
        "certificate": certificate,
        "cache": {"hits": frozen.hits if frozen else 0, "misses": frozen.misses if frozen else 0},
        "timings": clock.seconds(),
        "versions": versions(),
    }
    run = Run(record, trained.head, model)
    if out is not None and processes.first():
        run.save(out, logs=unfinished.logs() if unfinished else ())
        if unfinished:
            unfinished.finish()
    return run


def _for_taps(store: Store | None, every: bool) -> AbstractContextManager[Store | None]:
    """The store, or one for this fit alone where all taps of one pass are wanted and there is none."""
    return temporary() if every and store is None else nullcontext(store)


def _best_tap(engine: Engine, job: Job, at: Callable[[int], Features]) -> tuple[Job, Trained, list[dict[str, Any]]]:
    """Train on the features after every stage up to the job's tap: the most accurate of them on the validation part
    (then that of the least loss), and how good each was. at: the features of a stage."""
    tried, found = [], []
    for tap in range(job.tap + 1):
        one = job if tap == job.tap else replace(job, tap=tap, features=at(tap))
        trained = engine.train(one)
        metrics = judge(trained.judged or trained.head, one.part("validation"))
        name = job.backbone.spec.stages[tap]
        tried.append({"tap": name, "accuracy": metrics["accuracy"], "log_loss": metrics["log_loss"]})
        found.append((-metrics["accuracy"], metrics["log_loss"], tap, one, trained))
        found = [min(found, key=lambda entry: entry[:3])]
    _, _, _, best, trained = found[0]
    return best, trained, tried


def _certified(
    trained: Trained, before: Mapping[str, Mapping[str, str]], model: Backbone, freeze: str
) -> dict[str, Any]:
    """The certificate. Raises `GraftworkError` when a frozen tensor moved."""
    found = freezing.certificate(trained.moving, before, freezing.stage_digests(model.stages()))
    if found["ok"]:
        return found
    leaked = found["leaked"]
    more = f" and {len(leaked) - 1} more" if len(leaked) > 1 else ""
    raise GraftworkError(
        f"'{leaked[0]}'{more} was frozen by the policy '{freeze}' and changed during the run.",
        f"This is a fault of the plugin that brings '{model.spec.name}'; report it.",
    )


def _check_settings(
    said: Settings, freeze: str, exactly: bool, resume: bool, out: Any, refit: bool | None, c: float | None
) -> None:
    """Raises `UsageError` for what the engine that the policy asks for would not heed."""
    if exactly:
        # Weights have a meaning without steps too.
        changed = [name for name in said.changed() if name != "balance" or said.balance != "weights"]
        names = ["--" + name.replace("_", "-") for name in changed] + (["--resume"] if resume else [])
        if names:
            raise UsageError(
                f"The freeze policy '{freeze}' solves the head exactly, without steps, so there is nothing that "
                f"{names[0]} could change.",
                "Leave it out, or train by steps: --freeze lpft",
            )
        return
    for option, given in (("--refit", refit is True), ("--c", c is not None)):
        if given:
            raise UsageError(
                f"{option} is for heads that are solved exactly; the freeze policy '{freeze}' trains by steps.",
                "Leave it out, or write: --freeze head",
            )
    if resume and out is None:
        raise UsageError("resume goes on with the fit to a folder, and none is named.", "Name it: out='runs/NAME'")
    if said.tensorboard:
        check_tensorboard()


def _unfinished(out: str | Path, resume: bool, request: dict[str, Any]) -> Unfinished:
    """Where checkpoints of a fit to `out` go; checked against what was asked when it began.

    Raises `RunError` where there is one already that is not to be gone on with, or that was asked otherwise.
    """
    unfinished = Unfinished(out, request)
    if not processes.first() or not unfinished.exists():
        return unfinished
    if resume:
        unfinished.check()
    else:
        raise RunError(
            f"A fit to '{out}' was stopped before its end; '{unfinished.folder}' holds its checkpoints.",
            "Go on with it: --resume, or start anew: delete that folder, or name another --out",
        )
    return unfinished


def fingerprint(data: Data) -> str:
    """A digest of all that the data are: what every example holds, its label and its split."""
    reader = load_factory(data.modality.reader)()
    sha = hashlib.sha256(repr((data.labels, data.splits)).encode("utf-8", "surrogatepass"))
    for content in ahead(lambda raw: raw.content() if raw.path else reader.digest(raw), data.raws):
        sha.update(hashlib.blake2b(content, digest_size=16).digest())
    return sha.hexdigest()


def _augmentation(said: Settings, modality: Modality) -> Augmentation | None:
    if not said.augment:
        return None
    if not modality.augment:
        raise UsageError(
            f"The modality '{modality.name}' brings no augmentation.", "Leave out --augment, or update its plugin."
        )
    return load_factory(modality.augment)()


def _views(said: Settings, change: Augmentation | None, modality: Modality) -> Views | None:
    if not said.views:
        return None
    if change is None:
        raise UsageError(
            f"--views {said.views} keeps so many augmented versions of each example, and nothing is augmented.",
            "Add --augment, or leave it out.",
        )
    return Views(change, said.views, modality)


def _meet(place: torch.device) -> None:
    """Find the other processes, where there are any."""
    if processes.count() > 1:
        from accelerate import PartialState

        PartialState(cpu=place.type == "cpu")


def memory() -> int:
    """Bytes of memory that are free."""
    import psutil

    return int(psutil.virtual_memory().available)


def split(data: Data, val: float, seed: int) -> list[str]:
    """For each example "train", "validation" or "test": as the data bring it, else held out stratified by label."""
    assert data.labels is not None
    splits = list(data.splits or ["train"] * len(data))
    if "train" not in splits:
        raise DataError(
            f"The data bring the splits {', '.join(sorted(set(splits)))}, and none to train on.",
            "Name one of them train.",
        )
    if "validation" not in splits:
        training = [i for i, word in enumerate(splits) if word == "train"]
        held = stratified([data.labels[i] for i in training], val, seed)
        for index, out in zip(training, held, strict=True):
            if out:
                splits[index] = "validation"
    return splits


def judge(head: Head, part: Part) -> dict[str, Any]:
    with torch.inference_mode():
        probabilities = np.concatenate([head.decode(head(features)).numpy() for _, features in part.chunks()])
    return classification(probabilities, part.targets.numpy())


def _check_labels(data: Data) -> list[str]:
    if data.labels is None:
        raise DataError(
            "The data have no labels, so there is nothing to learn.",
            "Put the examples in one folder per label, or name a column: --label COLUMN",
        )
    counts = Counter(data.labels)
    if len(counts) == 1:
        raise DataError(
            f"All {len(data)} examples have the label '{next(iter(counts))}'; two labels or more are accepted.",
            "Add examples of another label.",
        )
    single = sorted(label for label, count in counts.items() if count == 1)
    if not single:
        return []
    words = ", ".join(f"'{label}'" for label in single[:5]) + (" and others" if len(single) > 5 else "")
    return [f"Seen once only, so trained on but never checked: the label{'s' * (len(single) > 1)} {words}."]


def _parts(
    data: Data, kept: Sequence[int], splits: Sequence[str]
) -> tuple[list[str], dict[int, int], dict[str, list[int]]]:
    """The labels, the class number of each usable example, and the numbers of those of each split."""
    assert data.labels is not None
    labels = sort_labels({data.labels[i] for i in kept if splits[i] != "test"})
    number = {label: k for k, label in enumerate(labels)}
    unseen = sorted({data.labels[i] for i in kept} - set(labels))
    if unseen:
        raise DataError(
            f"The test split has the label '{unseen[0]}', which no training example has.",
            "Add training examples, or drop it.",
        )
    parts = {name: [i for i in kept if splits[i] == name] for name in ("train", "validation", "test")}
    if not parts["train"] or not parts["validation"]:
        raise DataError("No readable example is left to train on or to check with.", "Mend the data, or add examples.")
    return labels, {i: number[data.labels[i]] for i in kept}, parts


def sort_labels(labels: Iterable[str]) -> list[str]:
    """By value where all are finite numbers, else by letters; like values by letters too, so that the order is one."""
    try:
        values = {label: float(label) for label in labels}
    except ValueError:
        return sorted(labels)
    if not all(math.isfinite(value) for value in values.values()):
        return sorted(labels)
    return sorted(labels, key=lambda label: (values[label], label))


def resolve_device(word: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "mps" means here. Raises `GraftworkError` for one that is not there."""
    if word == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(word)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise GraftworkError(f"There is no device '{word}' on this machine.", "Write: --device auto") from error
    return device


def versions() -> dict[str, str]:
    """What computed the run, so that a difference elsewhere can be explained."""
    found = {"python": platform.python_version()}
    for name in ("graftwork", "torch", "torchvision", "torchaudio", "transformers", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["threads"] = str(torch.get_num_threads())
    return found


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class Clock:
    """Seconds spent in named parts, and in total since it was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self._parts[part] = self._parts.get(part, 0) + time.perf_counter() - begun

    def seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._begun
        return {**{k: round(v, 3) for k, v in self._parts.items()}, "total": round(total, 3)}
