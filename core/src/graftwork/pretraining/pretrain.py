"""`pretrain`: train a source model of one's own from data and an architecture's name; in hub layout, with a card."""

from __future__ import annotations

import contextlib
import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from graftwork.data.fingerprint import contents, fingerprint
from graftwork.data.options import SourceOptions
from graftwork.data.pipeline import Pipeline
from graftwork.data.reading import Bad, Data, allow_bad, list_source, observe
from graftwork.data.splits import labelled
from graftwork.errors import DataError, RunError, UsageError
from graftwork.features.examples import AugmentedExamples, Examples
from graftwork.features.extraction import Cache
from graftwork.features.store import Store, opened, temporary
from graftwork.freeze.freezing import weights_digest
from graftwork.models.backbone import Backbone, load_backbone
from graftwork.models.machine import available_memory, join_process_group, resolve_device, versions
from graftwork.plugins import registry
from graftwork.plugins.faults import faults_have_owners
from graftwork.pretraining import checks
from graftwork.pretraining.objectives import Given, Labels, Objective, OfBackbone, Teacher
from graftwork.pretraining.training import ObjectiveTraining
from graftwork.runs.backbone_cache import load_frozen
from graftwork.runs.planning import augmentation
from graftwork.runs.run import check_free
from graftwork.runtime import processes
from graftwork.specs import pretraining_card
from graftwork.specs.factories import load_factory
from graftwork.specs.hub_folder import HUB_WEIGHTS
from graftwork.specs.settings import Decided, Settings, decide
from graftwork.specs.task import DEFAULT_TASK
from graftwork.tasks.task import load_task
from graftwork.training.accelerator import accelerated, training_precision
from graftwork.training.checkpoints import Unfinished, begun, check_anew
from graftwork.training.logs import check_loggers
from graftwork.training.loop import TrainingLoop
from graftwork.training.optimizers import check_optimizer
from graftwork.training.progress import Progress

VALIDATION, MOST_VALIDATION = 0.02, 512
"""The fraction of the data to validate on, and the most examples of it."""


@dataclass(frozen=True)
class Pretrained:
    """A source model in a folder. card: the contents of its `graftwork.json`. name: the backbone name for `fit`."""

    folder: Path
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"local:{self.folder}"

    def as_json(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "name": self.name, **self.card}


@faults_have_owners
def pretrain(
    data: Any,
    architecture: str,
    objective: str,
    out: str | Path,
    *,
    fields: Mapping[str, Any] | None = None,
    teacher: str | None = None,
    taps: Sequence[str] = ("last",),
    license: str = "",
    allow_little: bool = False,
    half: bool = False,
    seed: int = 0,
    long: str | None = None,
    on_bad: str = "skip",
    precision: str = "auto",
    device: str = "auto",
    cache: bool = True,
    resume: bool = False,
    watch: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> Pretrained:
    """Train a network from random weights, and write it to the new folder `out` in hub layout, with a card.

    data: what `graftwork.data` returns or takes; only the objective "supervised" needs labels.
    architecture: a name, with or without a size: "wav2vec2-small". fields: of its config.json; they override the
    size's.
    objective: a name; `graftwork plugins --json` lists them. teacher, taps: for "distill", the encoder to learn from,
    and its stages whose outputs are learned.
    license: of the weights, for the card. allow_little: accept less data than the objective needs. half: write the
    weights in float16. cache: keep the teacher's outputs in the feature store. resume: continue a stopped training; the
    arguments must be the same. The other arguments are those of `graftwork.fit`; of its settings, those that apply to
    every training by steps.

    Raises `InputMismatch` for data of another modality, or a teacher that reads something else; `DataError`,
    `UsageError`, `UnknownName`, `RunError`, `Diverged`.
    """
    request = _PretrainRequest(
        architecture, dict(fields or {}), objective, teacher, tuple(taps), license, allow_little, half, seed, long,
        on_bad, precision, device, cache, resume, Path(out), _applicable(Settings.of(settings)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="graftwork-") as scratch, contextlib.ExitStack() as stack:
        return _Pretraining(request, data, Path(scratch), stack, watch).run()


@dataclass(frozen=True)
class _PretrainRequest:
    architecture: str
    fields: dict[str, Any]
    objective: str
    teacher: str | None
    taps: tuple[str, ...]
    license: str
    allow_little: bool
    half: bool
    seed: int
    long: str | None
    on_bad: str
    precision: str
    device: str
    cache: bool
    resume: bool
    out: Path
    settings: Settings


def _applicable(settings: Settings) -> Settings:
    applicable = settings.applicable("pretrain")
    for name in settings.changed():
        if name not in applicable:
            raise UsageError(
                f"pretrain takes no '{name}', which is for fits; it takes {', '.join(applicable)}.", "Leave it out."
            )
    return settings


class _Pretraining:
    """One call of `pretrain`: the checked request, then each result in the order of its making."""

    def __init__(
        self,
        request: _PretrainRequest,
        data: Any,
        scratch: Path,
        stack: contextlib.ExitStack,
        watch: Callable[[Progress], None] | None,
    ) -> None:
        self.request, self.stack, self.watch = request, stack, watch
        self.warnings: list[str] = []
        if processes.count() > 1:
            raise UsageError("pretrain works in one process.", "Start it without a launcher.")
        check_free(request.out)
        if not request.resume:
            check_anew(request.out, "pretrain")
        check_optimizer(request.settings.optimizer)
        check_loggers(request.settings)
        self.architecture, self.size = checks.sized(request.architecture)
        self.objective = registry.objective(request.objective)
        checks.check_objective(self.objective, self.architecture, request.teacher)
        self.device = resolve_device(request.device)
        join_process_group(self.device)
        self.precision = training_precision(request.precision, self.device)
        wants = True if self.objective.labels else None
        options = SourceOptions(labelled=wants, prefers=self.architecture.modality)
        self.data = data if isinstance(data, Data) else observe(list_source(data, options))
        checks.check_modality(self.architecture, self.data)
        self.labels: Labels | None = None
        if self.objective.labels:
            task = load_task(DEFAULT_TASK)
            self.labels = Labels(task, task.encode(labelled(self.data.labels)))
        self.amount = checks.amount(self.data, self.objective, request.allow_little)
        self.teacher = registry.backbone(request.teacher) if request.teacher else None
        self.teacher_weights = ""
        self.fingerprint = fingerprint(self.data)
        self.folder = scratch / "model"
        self.folder.mkdir()

    def run(self) -> Pretrained:
        request = self.request
        torch.manual_seed(request.seed)
        fields = {**self.architecture.sizes[self.size], **request.fields}
        load_factory(self.architecture.factory)(self.folder, fields, self._values())
        self.spec = registry.backbone(f"local:{self.folder}")
        agreement = registry.agree_on(
            self.spec, self.data.observed, may_leave_out=self.data.max_left_out if request.on_bad == "skip" else 0.0
        )
        self.warnings += [*allow_bad(self.data.bad, len(self.data) + len(self.data.bad), request.on_bad, agreement)]
        self.warnings += agreement.warnings
        self.long = request.long or self.data.modality.long
        backbone = load_backbone(self.spec)
        pipeline = Pipeline(self.spec.contract, agreement, self.data.modality)
        examples = Examples(backbone, pipeline, self.data.raws, long=self.long, keep=available_memory() // 4)
        given = self._given(backbone, examples)
        objective: Objective = load_factory(self.objective.factory)(given)
        decided = decide(request.settings, self.objective.recipe, len(given.train))
        unfinished = begun(request.out, request.resume, self._request(decided), "pretrain")
        with unfinished.under_way():
            figures = self._train(objective, given, decided, unfinished)
            self.warnings += unfinished.notes
            card = self._write(objective, figures, decided, given)
            made = unfinished.folder / ".model"
            shutil.rmtree(made, ignore_errors=True)
            shutil.copytree(self.folder, made)
            for log in unfinished.logs():
                shutil.move(log, made / log.name)
            request.out.parent.mkdir(parents=True, exist_ok=True)
            if request.out.exists():
                request.out.rmdir()  # empty: `check_free` refuses any other
            made.rename(request.out)
        unfinished.finish()
        return Pretrained(request.out, card)

    def _train(self, objective: Objective, given: Given, decided: Decided, unfinished: Unfinished) -> dict[str, Any]:
        """Train. Returns the figures: losses and the objective's other figures by epoch, and the seconds."""
        request, begun = self.request, time.perf_counter()
        with accelerated(self.device, self.precision) as accelerator:
            training = ObjectiveTraining(objective, given, decided, accelerator, seed=request.seed)
            state = TrainingLoop(
                training, decided, request.settings, accelerator, seed=request.seed, precision=self.precision,
                unfinished=unfinished, resume=request.resume, watch=self.watch,
            ).run()  # fmt: skip
        objective.eval()
        return {"history": state.history, "seconds": round(time.perf_counter() - begun, 1)}

    def _values(self) -> Iterator[Any]:
        reader = load_factory(self.data.modality.reader)()
        return (reader.decode(raw) for raw in self.data.raws)

    def _given(self, backbone: Backbone, examples: Examples) -> Given:
        request, teacher = self.request, self._teacher()
        scan = examples.scan()
        kept, refused = scan.kept, [reason for _, reason in scan.bad]
        if teacher is not None:
            reasons = {number: teacher.examples.pipeline.refused(self.data.raws[number]) for number in kept}
            refused += [Bad(examples.name(number), why) for number, why in reasons.items() if why]
            kept = [number for number, why in reasons.items() if not why]
        self.warnings += allow_bad(refused, len(self.data), request.on_bad)
        of = len(kept), self.data.observed.items
        self.warnings += [*scan.long.warnings(*of), *(count.warning(*of) for count in scan.defects)]
        count = min(MOST_VALIDATION, math.ceil(VALIDATION * len(kept)))
        if len(kept) <= count:
            raise DataError(
                f"{self.data.observed.place} has {len(kept)} examples, of which none is left to train on.", "Give more."
            )
        chosen = set(random.Random(f"held {request.seed}").sample(kept, count))
        return Given(
            backbone,
            self.folder,
            self.data.modality,
            examples,
            [number for number in kept if number not in chosen],
            sorted(chosen),
            self.device,
            self.labels,
            teacher,
            self._change(examples),
        )

    def _change(self, examples: Examples) -> Callable[[int], Examples] | None:
        """A function that gives the augmented examples of an epoch; None without augmentation."""
        change = augmentation(self.request.settings, self.data.modality)
        if change is None:
            return None
        seed = self.request.seed
        return lambda epoch: AugmentedExamples(examples, change, lambda number: f"{seed} {epoch} {number}")

    def _teacher(self) -> Teacher | None:
        """The frozen teacher, if there is one. Raises `InputMismatch` if it reads other inputs than the network."""
        if self.teacher is None:
            return None
        spec = self.teacher
        checks.check_same(self.spec, spec, self.data.observed)
        agreement = registry.agree_on(spec, self.data.observed, may_leave_out=1.0)
        model, before = load_frozen(spec)
        self.teacher_weights = weights_digest(before)
        store = self.stack.enter_context(opened(self.request.cache, self.warnings))
        kept: Store = self.stack.enter_context(temporary()) if store is None else store
        pipeline = Pipeline(spec.contract, agreement, self.data.modality)
        theirs = Examples(model, pipeline, self.data.raws, long=self.long)
        taps = sorted({spec.tap(tap) for tap in self.request.taps})
        return Teacher(model, taps, theirs, Cache(kept, self.teacher_weights))

    def _request(self, decided: Decided) -> dict[str, Any]:
        request = self.request
        given = {
            name: getattr(request, name) for name in ("objective", "teacher", "taps", "seed", "precision", "on_bad")
        }
        return {
            "architecture": f"{self.architecture.name}-{self.size}", "fields": request.fields, **given,
            **decided._asdict(), **request.settings.fixed(),
            "long": self.long, "teacher_weights": self.teacher_weights, "data": self.fingerprint,
        }  # fmt: skip

    def _write(self, objective: Objective, figures: dict[str, Any], decided: Decided, given: Given) -> dict[str, Any]:
        request, data = self.request, self.data
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in objective.cpu().hub_state().items()}
        if request.half:
            state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
            for name, tensor in state.items():
                if not tensor.isfinite().all():
                    raise RunError(
                        f"'{name}' has numbers beyond the largest of float16.",
                        "Write it in float32, from the last checkpoint: --resume, and no --half",
                    )
        save_file(state, self.folder / HUB_WEIGHTS, metadata={"format": "pt"})
        parameters = sum(p.numel() for p in given.backbone.parameters())
        amount, unit = self.amount
        about = {
            "architecture": f"{self.architecture.name}-{self.size}",
            "fields": request.fields,
            "objective": request.objective,
            "teacher": None
            if self.teacher is None
            else {"name": self.teacher.name, "taps": list(request.taps), "license": self.teacher.license,
                  "source": self.teacher.source, "weights": self.teacher_weights},
            "modality": data.modality.name,
            "contract": given.backbone.spec.contract.as_json(),
            "parameters": parameters,
            "data": {
                "name": data.name,
                "examples": len(given.train) + len(given.validation),
                "amount": round(amount, 3),
                "unit": unit,
                "fingerprint": self.fingerprint,
            },
            "license": request.license or "not stated",
            "seed": request.seed,
            "training": {**decided._asdict(), "precision": self.precision, "augment": request.settings.augment},
            "figures": figures,
            "warnings": self.warnings,
            "versions": versions(),
        }  # fmt: skip
        digests = contents(data, [*given.train, *given.validation])
        card = pretraining_card.write(self.folder, about, digests)
        (self.folder / "README.md").write_text(pretraining_card.describe(card), encoding="utf-8")
        loaded = load_backbone(registry.backbone(f"local:{self.folder}"))
        if isinstance(objective, OfBackbone) and not _same(loaded, given.backbone):
            raise RunError(
                f"The weights that '{self.architecture.name}' says in hub layout are not those that were trained.",
                "This is a fault of its plugin; report it.",
            )
        return card


def _same(one: Backbone, other: Backbone) -> bool:
    """Whether two encoders have the same weights, up to float16 rounding."""
    theirs = other.state_dict()
    return all(torch.allclose(tensor, theirs[name], 1e-3, 1e-3) for name, tensor in one.state_dict().items())
