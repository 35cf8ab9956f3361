"""`fit`: from labelled data and the name of an encoder to a trained, judged and certified run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from graftwork.data.fingerprint import contents, fingerprint
from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import MOST_BAD, Data
from graftwork.data.reading import data as read_data
from graftwork.data.splits import check_labels, part, split
from graftwork.data.streaming import Stream
from graftwork.errors import GraftworkError
from graftwork.features.dataset import RowBuffer
from graftwork.features.examples import Examples
from graftwork.features.extract_dataset import Gathered, gather, survey
from graftwork.features.extraction import Cache, Extractor
from graftwork.features.store import Store, opened, temporary
from graftwork.freeze import freezing
from graftwork.models.backbone import Backbone
from graftwork.models.machine import Clock, available_memory, join_process_group, seed_all, versions
from graftwork.plugins import registry
from graftwork.runs.backbone_cache import BackboneCache, load_frozen
from graftwork.runs.planning import APPLICABLE, FitRequest, request, resolve
from graftwork.runs.run import FORMAT, Run
from graftwork.runtime import processes
from graftwork.specs import pretraining_card
from graftwork.specs.agreement import Agreement
from graftwork.specs.contracts import ObservedInput
from graftwork.specs.settings import Options, Settings
from graftwork.training.checkpoints import Unfinished, begun
from graftwork.training.trainer import Engine, ExactEngine, Job, Trained, judge

if TYPE_CHECKING:
    from graftwork.training.progress import Progress


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
    backbone_cache: BackboneCache | None = None,
    **settings: Unpack[Options],
) -> Run:
    """Train on labelled data and return the run (written to `out` when given).

    data: what `graftwork.data` returns or takes, or what `graftwork.stream` returns.
    backbone: a name; None takes the modality's starter. freeze: which stages train, as `graftwork freeze` explains.
    tap: the stage whose pooled features the head reads; "all" solves a head after each, from one pass, and keeps the
    one of the highest validation accuracy.
    val: the part held out, unless the data bring a validation split; it chooses the head's strength, or the epoch whose
    weights are kept, and gives the metrics. refit: solve the head again on all the data but a test split; None does
    where it is solved exactly. c: scikit-learn's inverse strength of a head that is solved; None chooses it.
    precision: "auto", "fp32", "bf16" or (training on a GPU) "fp16". long: "truncate" or "windows" for examples that are
    longer than the encoder reads at once; None leaves it to the modality. adapter: the name of one that makes examples
    of the encoder's modality out of the data's (`audio:image-logmel`).
    resume: go on with the fit to `out` that was stopped; what is asked must be the same. watch: is called after each
    step. cache: find what frozen stages made of examples before in the feature store, and keep it there.
    compile: run frozen stages through torch.compile, which takes a minute first. backbone_cache: keeps the encoder for
    other fits of this process, where no stage trains.
    settings: how to train by gradient steps, see `graftwork.Settings`.

    Raises `InputMismatch` before any weights are looked for, `WeightsUnavailable`, `DataError`, `UnknownName`,
    `UsageError`, `RunError`, `Diverged` and `OutOfMemory`.
    """
    asked = FitRequest(
        backbone, task, freeze, tap, val, seed, refit, on_bad, precision, device, long, adapter, out, resume, c, cache,
        compile, Settings.of(dict(settings)),
    )  # fmt: skip
    data = data if isinstance(data, Data | Stream) else read_data(data)
    return _Fitting(asked, data, watch).run(backbone_cache)


class _Fitting:
    """One call of `fit`: each step leaves here what the later ones and the record take."""

    def __init__(self, asked: FitRequest, data: Data | Stream, watch: Callable[[Progress], None] | None) -> None:
        self.clock = Clock()
        self.asked, self.data, self.watch = asked, data, watch
        self.settled = resolve(asked, data)
        self.warnings: list[str] = []
        self.unfinished: Unfinished | None = None
        self.tried: list[dict[str, Any]] = []
        seed_all(asked.seed)
        join_process_group(self.settled.device)

    def run(self, backbone_cache: BackboneCache | None) -> Run:
        asked, exactly = self.asked, self.settled.exactly
        with opened(asked.cache, self.warnings) as kept, self._for_taps(kept) as store:
            with self.clock("load"):
                spec = self.settled.spec
                self.model, self.before = (
                    backbone_cache(spec) if backbone_cache is not None and exactly else load_frozen(spec)
                )
                self.digest = freezing.weights_digest(self.before)
            self.cache = None if store is None else Cache(store, self.digest)
            trained = self._solve() if exactly else self._train()
            with self.clock("train"):
                metrics = self._judged(trained)
            self.overlap = self._overlap()
        run = Run(self._record(trained, metrics), trained.head, self.model)
        if asked.out is not None and processes.is_main_process():
            run.save(asked.out, logs=self.unfinished.logs() if self.unfinished else ())
            if self.unfinished:
                self.unfinished.finish()
        return run

    def _for_taps(self, store: Store | None) -> AbstractContextManager[Store | None]:
        """The store, or one for this fit alone where all taps of one pass are wanted and there is none."""
        return temporary() if self.settled.every and store is None else nullcontext(store)

    # Where the head is solved.

    def _solve(self) -> Trained:
        asked = self.asked
        with self.clock("extract"):
            self.extractor = self._extractor(self.settled.tap, asked.precision)
            self.gathered = self._gather()
            self.job = self._with_versions(self._job())
        with self.clock("train"):
            engine = ExactEngine(refit=asked.refit is not False, c=asked.c, balance=asked.settings.balance)
            trained = self._best_tap(engine) if self.settled.every else engine.train(self.job)
            self._certify(trained)
        return trained

    def _gather(self, keep: int = 0) -> Gathered:
        """Features of all that can be used; what was agreed on for a stream is then known of all of it."""
        asked, settled, whole = self.asked, self.settled, self.data.head.observed
        max_left_out = MOST_BAD if asked.on_bad == "skip" else 0.0

        def agree(observed: ObservedInput, may_leave_out: float = 1.0 if max_left_out else 0.0) -> Agreement:
            if observed is whole and isinstance(self.data, Data):
                return settled.agreement
            return registry.agree_on(settled.spec, observed, asked.adapter, may_leave_out=may_leave_out)

        found = gather(self.data.chunks(), self.extractor, agree, settled.long, asked.on_bad, keep)
        self.agreement = agree(found.observed, max_left_out)
        return found

    def _with_versions(self, job: Job) -> Job:
        """The job, with features of changed versions of the examples to train on."""
        views, features, examples = self.settled.views, job.features, job.examples
        if views is None or features is None or examples is None:
            return job
        values, rows = RowBuffer(), len(features.values)
        values.add(features.values)
        versions: dict[int, list[int]] = {}
        for view in views.of(examples):
            found = self.extractor(view, job.parts["train"])
            values.add(found.values)
            for row, number in enumerate(found.kept, rows):
                versions.setdefault(number, []).append(row)
            rows += len(found.kept)
            self.gathered.count(found)
            self.warnings += found.notes
        return replace(job, features=replace(features, values=values.done()), versions=versions)

    def _best_tap(self, engine: Engine) -> Trained:
        """Train on the features after every stage up to the job's tap: the most accurate of them on the validation part
        (then that of the least loss)."""
        found = []
        for tap in range(self.job.tap + 1):
            one = self.job
            if tap != one.tap:
                assert one.examples is not None
                features = self._extractor(tap, self.extractor.precision or "auto")(one.examples)
                one = self._with_versions(replace(one, tap=tap, features=features))
            trained = engine.train(one)
            metrics = judge(trained.judged or trained.head, one.part("validation"))
            name = self.settled.spec.stages[tap]
            self.tried.append({"tap": name, "accuracy": metrics["accuracy"], "log_loss": metrics["log_loss"]})
            found.append((-metrics["accuracy"], metrics["log_loss"], tap, one, trained))
            found = [min(found, key=lambda entry: entry[:3])]
        self.job = found[0][3]
        return found[0][4]

    # Where stages train.

    def _train(self) -> Trained:
        from graftwork.training.fine_tuning import LoopEngine

        asked, settled, data = self.asked, self.settled, self.data
        assert isinstance(data, Data), "a stream is not trained on by steps"
        if asked.out is not None:
            known = {
                "weights": self.digest, "contract": self.model.spec.contract.as_json(), "data": fingerprint(data),
            }  # fmt: skip
            self.unfinished = begun(asked.out, asked.resume, request(asked, settled, **known))
        engine = LoopEngine(
            asked.settings,
            wants_features=settled.policy.head_first,
            device=settled.device,
            precision=asked.precision,
            change=settled.change,
            unfinished=self.unfinished,
            resume=asked.resume,
            views=settled.views,
            watch=self.watch,
        )
        precision = "fp32" if asked.precision == "fp16" else asked.precision
        with self.clock("extract"):
            self.extractor = self._extractor(settled.tap, precision)
            keep, self.agreement = available_memory() // 4, settled.agreement
            if engine.wants_features:
                self.gathered = self._gather(keep)
            else:
                pipeline = Pipeline(settled.spec.contract, settled.agreement, data.modality)
                self.gathered = survey(data, Examples(self.model, pipeline, data.raws, long=settled.long, keep=keep))
            self.job = self._job()
        with self.clock("train"), self.unfinished.under_way() if self.unfinished else nullcontext():
            trained = engine.train(self.job)
            self._certify(trained)
        self.warnings += [*(self.unfinished.notes if self.unfinished else ()), *trained.notes]
        with self.clock("train"):
            job = self.job
            chosen = [number for part in ("validation", "test") for number in job.parts[part]]
            assert job.examples is not None
            extractor = Extractor(self.model, tap=job.tap, precision=precision, device=settled.device)
            self.job = replace(job, features=extractor(job.examples, chosen))
        return trained

    # Both.

    def _extractor(self, tap: int, precision: str) -> Extractor:
        return Extractor(
            self.model,
            tap=tap,
            precision=precision,
            device=self.settled.device,
            cache=self.cache,
            compile=self.asked.compile,
        )

    def _job(self) -> Job:
        """What there is to train. Raises `DataError` where the data will not do."""
        found, settled = self.gathered, self.settled
        self.warnings += [*found.warnings(self.asked.on_bad), *self.agreement.warnings, *check_labels(found.labels)]
        splits = split(found.labels, found.splits, self.asked.val, self.asked.seed)
        self.labels, targets, parts = part(found.labels, found.kept, splits)
        return Job(
            self.model,
            settled.tap,
            settled.head,
            settled.policy,
            found.examples,
            targets,
            parts,
            len(self.labels),
            found.features,
            self.asked.seed,
            cache=self.cache,
        )

    def _certify(self, trained: Trained) -> None:
        self.model.eval().requires_grad_(False)
        self.certificate = _certified(trained, self.before, self.model, self.asked.freeze)

    def _judged(self, trained: Trained) -> dict[str, Any]:
        metrics = judge(trained.judged or trained.head, self.job.part("validation"))
        if self.job.parts["test"]:
            metrics["test"] = judge(trained.head, self.job.part("test"))
        return metrics

    def _overlap(self) -> dict[str, Any] | None:
        """How many of the examples the encoder was pretrained on, where its card says on which."""
        folder = pretraining_card.of(self.settled.spec.weights.find())
        if folder is None or isinstance(self.data, Stream):
            return None
        found = pretraining_card.overlap(folder, contents(self.data))
        if found:
            self.warnings.append(
                f"{found} of {len(self.data)} {self.data.observed.items} are among those that "
                f"'{self.settled.spec.name}' was pretrained on, so its figures on them flatter it"
            )
        return {"examples": found, "of": len(self.data)}

    def _record(self, trained: Trained, metrics: dict[str, Any]) -> dict[str, Any]:
        asked, settled, found, job = self.asked, self.settled, self.gathered, self.job
        assert job.features is not None
        return {
            "format": FORMAT,
            "task": asked.task,
            "backbone": settled.spec.name,
            "modality": self.data.modality.name,
            "tap": settled.spec.stages[job.tap],
            "taps": self.tried,
            "feature_dim": self.model.feature_dim(job.tap),
            "freeze": asked.freeze,
            "head": settled.head.name,
            "engine": "exact" if settled.exactly else "loop",
            "seed": asked.seed,
            "labels": self.labels,
            "data": {
                "name": self.data.name,
                "observed": found.observed.as_json(),
                "left_out": [vars(bad) for bad in found.left_out],
            },
            "contract": self.model.spec.contract.as_json(),
            "adapter": asked.adapter,
            "long": vars(found.long),
            "agreement": self.agreement.as_json(),
            "warnings": self.warnings,
            "metrics": metrics,
            "n_train": len(job.parts["train"]),
            "n_val": len(job.parts["validation"]),
            "n_test": len(job.parts["test"]),
            "refit": settled.exactly and asked.refit is not False,
            "training": trained.details,
            "settings": {name: asdict(asked.settings)[name] for name in APPLICABLE}
            if settled.exactly
            else asdict(asked.settings),
            "adapted": dict(trained.adapted),
            "precision": {
                "used": job.features.precision,
                "asked": asked.precision,
                "cosine": job.features.cosine,
            },
            "weights_digest": self.digest,
            "certificate": self.certificate,
            "overlap": self.overlap,
            "cache": {"hits": found.hits, "misses": found.misses},
            "timings": self.clock.seconds(),
            "versions": versions(),
        }


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
