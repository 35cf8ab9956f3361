"""A run: the whole result of a fit in one directory, and the model that it is."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from graftwork.data.inputs import Inputs, names_table, table_inputs
from graftwork.data.labels import LabelRules, renamed, similar
from graftwork.data.options import SourceOptions
from graftwork.data.pipeline import Pipeline
from graftwork.data.raws import Raws, files_among
from graftwork.data.reading import MOST_BAD, Bad, Data, allow_bad, read, read_facts
from graftwork.data.sources import is_table, open_source
from graftwork.data.streaming import Stream
from graftwork.errors import (
    ContractMismatch,
    DataError,
    GraftworkError,
    RunError,
    UnknownName,
    UsageError,
    WeightsMismatch,
)
from graftwork.features.dataset import FeatureDataset
from graftwork.features.examples import Examples
from graftwork.features.extract_dataset import extract_dataset, scan
from graftwork.features.extraction import Cache, Extractor
from graftwork.features.pieces import WholeExamples
from graftwork.features.store import opened
from graftwork.freeze import freezing
from graftwork.freeze.policies import Plan, StagePlan
from graftwork.models.backbone import Backbone, load_backbone
from graftwork.models.engines.choosing import check_engine
from graftwork.models.engines.runner import Choice
from graftwork.models.machine import available_memory
from graftwork.models.precision import check_precision
from graftwork.plugins import registry
from graftwork.plugins.faults import faults_have_owners
from graftwork.plugins.loading import installed
from graftwork.plugins.observing import reader_of
from graftwork.reports.card import write_card
from graftwork.reports.run_page import write_report
from graftwork.reports.shown import Shown
from graftwork.runs import integrity
from graftwork.runs.brought import check_brought
from graftwork.runs.dense import DenseAnswers, readable
from graftwork.specs.agreement import Agreement, words
from graftwork.specs.backbone import BackboneSpec
from graftwork.specs.contracts import ObservedInput
from graftwork.specs.defects import told_by_facts
from graftwork.specs.task import RawLabel
from graftwork.tasks.abstention import check_min_probability
from graftwork.tasks.answer_folder import new_folder
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.heads import Head, build_head
from graftwork.tasks.task import Answer, Targets, Task, load_task, most_probable
from graftwork.training.trainer import outputs_of

FORMAT = 4
STREAM = 4096
"""How many inputs are answered together where they come one by one."""


class Run:
    """What was asked, agreed, done and measured (`record`), and the model that came of it.

    A loaded run brings its backbone to memory with the first prediction. shown: examples for the report of a fit.
    """

    def __init__(
        self,
        record: dict[str, Any],
        head: Head,
        backbone: Backbone | None = None,
        path: Path | None = None,
        shown: Shown = Shown(),
    ) -> None:
        self.record = record
        self.shown = shown
        self.task = load_task(record["task"], record["target_transform"], record.get("options"))
        self.targets = Targets.from_json(record["targets"])
        self.path = path
        self._head = head
        self._backbone = backbone

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record["metrics"]

    @property
    def labels(self) -> list[str]:
        """The names of its labels, or of its values, in the order of its outputs."""
        return list(self.targets.names)

    def __repr__(self) -> str:
        primary = self.task.primary
        figure = f"{primary.words} {self.metrics[primary.name]:.3f}"
        return f"<Run {self.record['backbone']} on {self.record['data']['name']}: {figure}>"

    def as_json(self) -> dict[str, Any]:
        return {"run": str(self.path) if self.path else None, **self.record}

    def save(self, path: str | Path, logs: Iterable[Path] = (), files: Mapping[str, str] | None = None) -> Path:
        """Write the run directory: run.json, head.safetensors, README.md (the model card) and report.html; where stages
        were trained also backbone.safetensors, with what of them moved.

        logs: files and folders that join them; files: texts that do, by name.
        It appears whole or not at all. Raises `RunError` when `path` already holds something.
        """
        path = check_free(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError as error:
            raise RunError(f"'{path}' cannot be written: {error.strerror}.", "Name another: --out RUN") from error
        try:
            head = self._head.state_dict()
            save_file(head, temporary / "head.safetensors")
            if moved := self._moved():
                save_file(moved, temporary / "backbone.safetensors")
            for name, text in (files or {}).items():
                (temporary / name).write_text(text, encoding="utf-8")
            for log in logs:
                copy = shutil.copytree if log.is_dir() else shutil.copy2
                copy(log, temporary / log.name)
            text = json.dumps(integrity.sealed(self.record, head), indent=2, ensure_ascii=False)
            (temporary / "run.json").write_text(text, encoding="utf-8")
            write_card(self.record, temporary / "README.md")
            write_report(self.record, temporary / "report.html", self.shown)
            _as_the_umask_says(temporary)
            if path.exists():
                path.rmdir()
            temporary.replace(path)
        except (OSError, SafetensorError) as error:  # the latter is what a full disk is to safetensors
            reason = getattr(error, "strerror", None) or error
            raise RunError(f"'{path}' cannot be written: {reason}.", "Name another: --out RUN") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.path = path
        return path

    def _moved(self) -> dict[str, torch.Tensor]:
        """The tensors of the encoder that training changed, by stage and name."""
        stages = self.record["certificate"]["stages"]
        if not any(stages[name]["trained"] for name in stages):
            return {}
        return {
            f"{stage.name}.{name}": tensor.detach().cpu().contiguous()
            for stage in self.backbone().stages()
            for name, tensor in stage.state_dict().items()
            if freezing.plain(name) in stages[stage.name]["trained"]
        }

    def backbone(self) -> Backbone:
        """The encoder as it was trained, loaded once.

        Raises `WeightsMismatch` when its weights are not those the run was made with, `RunError` when what the run
        holds of it is damaged.
        """
        if self._backbone is None:
            spec = self.spec
            backbone = load_backbone(spec)
            self._check_contract(backbone.spec)
            if freezing.weights_digest(freezing.stage_digests(backbone.stages())) != self.record["weights_digest"]:
                raise WeightsMismatch(
                    f"The weights of '{spec.name}' here are not those that the run was made with (digest "
                    f"{self.record['weights_digest'][:12]}…).",
                    "Install the version of its plugin that run.json names, or fit again.",
                )
            self._train(backbone)
            self._backbone = backbone
        return self._backbone

    def _train(self, backbone: Backbone) -> None:
        """Put what training changed in the place of what was there."""
        stages = self.record["certificate"]["stages"]
        if not any(stages[name]["trained"] for name in stages) or self.path is None:
            return
        ranks = self.record["adapted"]
        plan = Plan(tuple(StagePlan(s.name, s.name in ranks, lora=ranks.get(s.name, 0)) for s in backbone.stages()))
        freezing.adapt(plan, backbone.stages())
        file = self.path / "backbone.safetensors"
        try:
            tensors = load_file(file)
            with torch.no_grad():
                for stage in backbone.stages():
                    for name, tensor in stage.state_dict(keep_vars=True).items():
                        if freezing.plain(name) in stages[stage.name]["trained"]:
                            tensor.copy_(tensors[f"{stage.name}.{name}"])
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(f"'{file}' is damaged: {reason}.", "Fit again, or restore it from a copy.") from error
        backbone.eval().requires_grad_(False)
        for name, found in freezing.stage_digests(backbone.stages()).items():
            if freezing.combined(found) != stages[name]["after"]:
                raise RunError(
                    f"'{file}' is damaged: it does not hold the stage '{name}' as it was trained.",
                    "Fit again, or restore it from a copy.",
                )

    @cached_property
    def spec(self) -> BackboneSpec:
        """The description of the encoder, found once.

        Raises `ContractMismatch` when it reads or prepares its input otherwise than in the fit.
        """
        spec = registry.backbone(self.record["backbone"])
        self._check_contract(spec)
        return spec

    def _check_contract(self, spec: BackboneSpec) -> None:
        if found := spec.contract.difference(self.record["contract"]):
            item, was, now = (words(str(part)) if part is not None else "nothing" for part in found)
            raise ContractMismatch(
                f"The run was made with '{spec.name}' where its {item} is {was}; here it is {now}.",
                "Install the version of its plugin that run.json names, restore the encoder's files, or fit again.",
            )

    @faults_have_owners
    def predict(
        self,
        inputs: Any,
        *,
        input: str | None = None,
        top: int | None = None,
        min_probability: float | None = None,
        precision: str | None = None,
        engine: str | None = None,
        device: str = "cpu",
        cache: bool = False,
    ) -> list[dict[str, Any]]:
        """For each input `{input, ...}` with what the task answers: a `label` or `labels` with `probabilities`, or a
        `value`. Inputs are paths, texts, encoded bytes or decoded objects; one string or path is one input, and of a
        table, in memory or by its `Path`, each row is one.

        input: the column of such a table; None takes that of the fit, or the plain one. top: keep only so many
        `probabilities`, the highest. min_probability: 0 to 1; an answer whose label is less probable has the `label`
        None and says `abstained`; of `labels`, entities and boxes those are left out that are less probable.
        The same contract and conversions as in training. An input that cannot be read gets no answer (None) and an
        `error`. One of which something does not reach the encoder has `notes`, some words for each defect.
        precision, engine: None takes what the fit computed in, and torch in fp32 where that engine is not on this
        machine, with a warning.
        cache: find features in the feature store, and keep them there, as `fit` does.

        Raises `InputMismatch` when the inputs are not what the encoder reads, `UsageError` for a least probability that
        is none, and for one of a task without probabilities.
        """
        if min_probability is not None:
            check_min_probability(self.task, min_probability)
        modality = registry.modality(self.record["modality"])
        contract = registry.reads(self.spec, self.record.get("adapter", ""))
        reader = reader_of(modality, contract.facts)
        given: Any = [inputs] if isinstance(inputs, str | bytes | Path) else inputs
        if self._is_table(inputs):
            given = [raw for part in self._rows(inputs, input) for raw in part.inputs]
        raws = given if isinstance(given, Raws) else Raws(files_among(given, modality), modality, Path())
        facts = [read_facts(reader, raw) for raw in raws]
        errors = {i: f.reason for i, f in enumerate(facts) if isinstance(f, Bad)}
        good = [i for i in range(len(raws)) if i not in errors]
        notes = {
            i: [defect.said() for defect in told_by_facts(modality.defects, f, contract)]
            for i, f in enumerate(facts)
            if not isinstance(f, Bad)
        }
        found_answers: dict[int, Answer] = {}
        if good:
            seen = [(raws[i].name, f) for i, f in enumerate(facts) if not isinstance(f, Bad)]
            observed = modality.observed("the input", seen, reader.items)
            agreement = self._agree(observed, may_leave_out=1.0)
            pipeline = Pipeline(self.backbone().spec.contract, agreement, modality, whole=self._dense)
            if self._dense:
                whole = WholeExamples(self.backbone(), pipeline, raws.at(good), keep=available_memory() // 4)
                affected, reasons = readable(whole)
                found_answers = {
                    good[i]: one for i, one in self._answerer(precision or "fp32", device)(whole, list(affected))
                }
                errors.update((good[i], reason) for i, reason in reasons.items())
                for i, shares in affected.items():
                    notes[good[i]] += whole.notes(shares)
            else:
                examples = Examples(self.backbone(), pipeline, raws.at(good), long=self.record["long"]["mode"])
                with self._extractor(precision, engine, device, cache) as (extractor, said):
                    found = extractor(examples)
                for note in dict.fromkeys((*said, *found.notes)):
                    warnings.warn(note, stacklevel=2)
                kept = [good[i] for i in found.kept]
                found_answers = dict(zip(kept, self._answers(found.values), strict=True))
                errors.update((good[i], bad.reason) for i, bad in found.bad)
                for number, shares in zip(kept, found.shares, strict=True):
                    notes[number] += examples.notes(shares)
        answers = []
        for index, raw in enumerate(raws):
            if index in errors:
                answers.append({"input": raw.name, **self.task.nothing(), "error": errors[index]})
            else:
                noted = {"notes": notes[index]} if notes[index] else {}
                found = found_answers[index]
                found = found if min_probability is None else self.task.sure(found, min_probability)
                answers.append({"input": raw.name, **most_probable(found, top), **noted})
        return answers

    def _is_table(self, inputs: Any) -> bool:
        """Whether inputs are rows: a table in memory, the path of one, or dicts that have the column of the fit.

        Raises `UsageError` for a string that names a table.
        """
        modality = registry.modality(self.record["modality"])
        if isinstance(inputs, str) and names_table(inputs, modality):
            raise UsageError(
                f"'{inputs}' is a table, and a string is one input.", f"For its rows: run.predict(Path({inputs!r}))"
            )
        if isinstance(inputs, Path):
            return names_table(str(inputs), modality)
        first = inputs[0] if isinstance(inputs, list | tuple) and inputs else None
        return is_table(inputs) or (isinstance(first, Mapping) and self.input_column in first)

    def _rows(self, table: Any, column: str | None) -> Iterator[Inputs]:
        """The rows of a table, some at a time. column: as `predict` takes it."""
        modality = registry.modality(self.record["modality"])
        return table_inputs(open_source(table, streaming=True), modality, column, self.input_column)

    @property
    def input_column(self) -> str:
        """The column that the fit read; empty for files of a folder."""
        return self.record["data"].get("input", "")

    def stream(self, inputs: Iterable[Any], **options: Any) -> Iterator[dict[str, Any]]:
        """The answers of `predict` one by one, of inputs that need not be in memory together. options: as there."""
        if self._is_table(inputs):
            for part in self._rows(inputs, options.pop("input", None)):
                yield from self.predict(part.inputs, **options)
            return
        left = iter([inputs] if isinstance(inputs, str | bytes | Path) else inputs)
        while chunk := list(islice(left, STREAM)):
            yield from self.predict(chunk, **options)

    @faults_have_owners
    def write_answers(self, inputs: Any, folder: str | Path, **options: Any) -> Path:
        """Write the answers for inputs into a new folder, as files that other tools read: masks, drawn pictures, label
        files. It appears whole or not at all.

        inputs, options: as `predict` takes them; rows of tables are not.

        Raises `UsageError` where the folder is there, and for a task whose answers are rows of a table.
        """
        modality = registry.modality(self.record["modality"])
        given = [inputs] if isinstance(inputs, str | bytes | Path) else list(inputs)
        raws = Raws(files_among(given, modality), modality, Path())
        if not isinstance(self.task, DenseTask):
            raise UsageError(
                f"Answers of the task '{self.task.spec.name}' are rows of a table.",
                "Write: graftwork predict --out FILE",
            )
        with new_folder(Path(folder)) as made:
            written = self.task.answer_folder(made, self.targets)
            for start in range(0, len(raws), STREAM):
                some = raws[start : start + STREAM]
                for raw, answer in zip(some, self.predict(some, **options), strict=True):
                    if "error" not in answer:
                        written.add(raw, answer)
            written.close()
        return Path(folder)

    @faults_have_owners
    def evaluate(
        self, data: Data | Stream | Any, *, on_bad: str = "skip", device: str = "cpu", cache: bool = True
    ) -> dict[str, Any]:
        """Metrics on labelled data (their test split where they bring one), in the precision of the run.

        cache: find features in the feature store, and keep them there.

        Returns `{metrics, on, n, warnings, defects, agreement, cache}`, `on` being "test split" or "all".

        Raises `DataError` for labels that the run never saw, naming them.
        """
        data = data if isinstance(data, Data | Stream) else read(data, self.source_options())
        max_left_out = MOST_BAD if on_bad == "skip" else 0.0
        if data.head.labels is None:
            raise DataError(
                "The data have no labels, so there is nothing to compare with.", "Name a column: --label COLUMN"
            )
        if isinstance(data, Data):
            data = data.only("test")
            allow_bad(
                data.bad, len(data) + len(data.bad), on_bad, self._agree(data.observed, may_leave_out=max_left_out)
            )
            self._check_known(renamed(data.labels or (), self.task.spec, self.labels))
        if self._dense:
            return self._evaluate_dense(data, on_bad, device, max_left_out)
        with self._extractor(None, None, device, cache) as (extractor, notes):
            chunk_max_left_out = 1.0 if max_left_out else 0.0
            found = extract_dataset(
                data.chunks(),
                extractor,
                lambda observed: self._agree(observed, may_leave_out=chunk_max_left_out),
                self.record["long"]["mode"],
                on_bad,
            )
        agreement = self._agree(found.observed, may_leave_out=max_left_out)
        tested = [row for row, number in enumerate(found.kept) if found.splits and found.splits[number] == "test"]
        rows = tested or list(range(len(found.kept)))
        labels = renamed((found.labels[found.kept[row]] for row in rows), self.task.spec, self.labels)
        self._check_known(labels)
        warnings = [*found.warnings(on_bad), *notes, *agreement.warnings]
        targets = self.task.encode(labels, self.targets).values
        chosen = FeatureDataset(found.values, targets, torch.tensor(rows, dtype=torch.long))
        return {
            "metrics": self.task.metrics(outputs_of(self._head, chosen), targets, self.targets),
            "on": "test split" if tested else "all",
            "n": len(targets),
            "warnings": warnings,
            "defects": found.lost(data.modality, registry.reads(self.spec, self.record.get("adapter", ""))),
            "agreement": agreement.as_json(),
            "cache": {"hits": found.hits, "misses": found.misses},
        }

    @property
    def _dense(self) -> bool:
        return isinstance(self.task, DenseTask)

    def _answerer(self, precision: str, device: str) -> DenseAnswers:
        assert isinstance(self.task, DenseTask)
        check_precision(precision)
        return DenseAnswers(
            self.record, self.task, self.targets, self.backbone(), self._head, precision=precision, device=device
        )

    def _evaluate_dense(self, data: Data | Stream, on_bad: str, device: str, max_left_out: float) -> dict[str, Any]:
        if not isinstance(data, Data):
            raise UsageError("Answers that lie in the input are compared in memory.", "Leave out --streaming.")
        agreement = self._agree(data.observed, may_leave_out=max_left_out)
        pipeline = Pipeline(self.backbone().spec.contract, agreement, data.modality, whole=True)
        examples = WholeExamples(self.backbone(), pipeline, data.raws, keep=available_memory() // 4)
        found = scan(data, examples)
        warnings = [*found.warnings(on_bad), *agreement.warnings]
        labels = renamed((found.labels[number] for number in found.kept), self.task.spec, self.labels)
        self.task.encode(labels, self.targets)
        tested = bool(found.splits) and "test" in (found.splits or ())
        judged = self._answerer(self.record["precision"]["used"], device).judge(
            examples, dict(zip(found.kept, labels, strict=True))
        )
        return {
            "metrics": judged.metrics,
            "on": "test split" if tested else "all",
            "n": len(labels),
            "warnings": warnings,
            "defects": found.lost(data.modality, registry.reads(self.spec, "")),
            "agreement": agreement.as_json(),
            "cache": {"hits": 0, "misses": 0},
        }

    def source_options(self, **options: Any) -> SourceOptions:
        """How labelled data are read for this run: its task and modality, the columns of its fit where a table has
        them, and labels mapped and dropped as in its fit.

        options: as `graftwork.data` takes them; a label map or labels to drop take the place of the run's.
        """
        said = self.record["data"].get("rules", {})
        found = replace(
            SourceOptions.of(task=self.task.spec.name, **options),
            usual_input=self.input_column,
            usual_label=tuple(self.record["data"].get("label", ())),
            prefers=self.record["modality"],
        )
        if found.rules:
            return found
        rules = LabelRules(said.get("label_map", {}), frozenset(said.get("drop_label", ())))
        return replace(found, rules=rules, strict=False)

    def _check_known(self, labels: Sequence[RawLabel]) -> None:
        """Raises `DataError` for labels that the run never saw."""
        unseen = self.task.unknown(labels, self.targets)
        if not unseen:
            return
        said = ", ".join(f"'{label}'" for label in unseen[:5]) + (" and others" if len(unseen) > 5 else "")
        more = " and others" if len(self.labels) > 10 else ""
        known = ", ".join(f"'{label}'" for label in self.labels[:10]) + more
        twins = {similar(label): label for label in self.labels}
        near = [(label, twins[similar(label)]) for label in unseen if similar(label) in twins]
        hint = (
            f"Map '{near[0][0]}' to '{near[0][1]}' with --label-map FILE"
            if near
            else f"Leave it out with --drop-label '{unseen[0]}', map it with --label-map FILE"
        )
        raise DataError(
            f"The run never saw the label{'s' * (len(unseen) > 1)} {said}; it knows {known}.",
            f"{hint}, or fit again with them.",
        )

    def _agree(self, observed: ObservedInput, *, may_leave_out: float) -> Agreement:
        """Agree on new data with the converters of the fit before any others, so that they go the same way."""
        return registry.agree_on(
            self.spec,
            observed,
            self.record.get("adapter", ""),
            convert=[step["name"] for step in self.record["convert"]],
            may_leave_out=may_leave_out,
            prefer=[step["converter"] for step in self.record["agreement"]["steps"]],
        )

    @contextmanager
    def _extractor(
        self, precision: str | None, engine: str | None, device: str, cache: bool
    ) -> Iterator[tuple[Extractor, list[str]]]:
        """What computes features as the fit did, with the store where it is wanted; and what went wrong with that."""
        # Weights that were trained are of this run alone.
        trained = any(stage["trained"] for stage in self.record["certificate"]["stages"].values())
        notes: list[str] = []
        choice, calibration = self._choice(precision, engine, torch.device(device), notes)
        backbone = self.backbone()
        with opened(cache and not trained, notes) as store:
            known = Cache(store, self.record["weights_digest"]) if store else None
            taps = self.spec.taps(self.record["tap"])
            extractor = Extractor(
                backbone, tap=taps, precision=choice.precision, engine=choice.engine, device=device, cache=known,
                weights="" if trained else self.record["weights_digest"], calibration=calibration,
            )  # fmt: skip
            yield extractor, notes

    def _choice(
        self, precision: str | None, engine: str | None, device: torch.device, notes: list[str]
    ) -> tuple[Choice, str]:
        """The engine and precision to compute features in, and the digest of what int8 was calibrated on; the reason is
        added to `notes` where the recorded ones cannot be had here."""
        recorded = self.record["engine"] if isinstance(self.record["engine"], dict) else {}  # a word in older runs
        used = Choice(recorded.get("used", "torch"), self.record["precision"]["used"])
        choice = Choice(engine or used.engine, precision or used.precision)
        if engine is None:
            try:
                check_engine(choice, device)
            except (UsageError, UnknownName) as error:
                choice = Choice("torch", precision if precision in ("fp32", "bf16", "auto") else "fp32")
                notes.append(
                    f"The run was made with {used}. {error.message} Torch in {choice.precision} takes its place."
                )
        return choice, recorded.get("calibration", "")

    def _answers(self, features: torch.Tensor) -> list[Answer]:
        with torch.inference_mode():
            return self.task.decode(self._head(features), self.targets)


def check_free(path: str | Path) -> Path:
    """The path, which a run can be written to. Raises `RunError` when it already holds something."""
    path = Path(path)
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise RunError(
            f"'{path}' already holds something; a run is written to a new folder.", "Name another: --out RUN"
        )
    return path


def _as_the_umask_says(folder: Path) -> None:
    """Let a folder and its files be read by whom other new files are: libraries write some for their owner alone."""
    usual = (folder / "run.json").stat().st_mode & 0o666
    folder.chmod(0o700 | usual | (usual & 0o444) >> 2)
    for file in folder.iterdir():
        if file.is_file():
            file.chmod(usual)


def _task(path: Path, record: Mapping[str, Any]) -> Task:
    """Raises `RunError` where nothing installed brings the task of the run."""
    try:
        return load_task(record["task"], record["target_transform"], record.get("options"))
    except UnknownName as error:
        made = f"'{path}' answers the task '{record['task']}', which no installed plugin brings"
        raise RunError(f"{made}{installed().disabled()}.", "Install the plugin that the run was made with.") from error


def _head(task: Task, record: Mapping[str, Any], known: Targets) -> Head:
    """A new head of the shape of a run's."""
    width = record["feature_dim"]
    if not isinstance(task, DenseTask):
        return build_head(record["head"], width, task.outputs(known))
    width = {int(stride): count for stride, count in width.items()} if isinstance(width, dict) else width
    return task.new_head(record["head"], width, known)


@faults_have_owners
def load(path: str | Path) -> Run:
    """Open a run directory.

    Raises `RunError` when it is not one, one of another format, or one whose optional steps or facts no plugin brings
    here, and `ContractMismatch` when its encoder reads or prepares its input otherwise here than when the run was made.
    """
    path = Path(path)
    file = path / "run.json"
    if not file.is_file():
        raise RunError(f"'{path}' is not a run: it holds no run.json.", "Make one: graftwork fit DATA --out RUN")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or type(record["format"]) is not int:
            raise ValueError("run.json says no format")
        if record["format"] != FORMAT:
            raise RunError(
                f"'{path}' was written in format {record['format']}; this graftwork reads format {FORMAT}.",
                "Update graftwork." if record["format"] > FORMAT else "Fit again.",
            )
        weights = load_file(path / "head.safetensors")
        if changed := integrity.difference(record, weights):
            raise ValueError(changed)
        del record[integrity.KEY]
        task, known = _task(path, record), Targets.from_json(record["targets"])
        head = _head(task, record, known)
        head.load_state_dict(weights)
    except RunError:
        raise
    except (GraftworkError, OSError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError, TypeError,
            MemoryError, SafetensorError) as error:  # fmt: skip
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise RunError(f"'{path}' is damaged: {reason}.", "Fit again, or restore it from a copy.") from error
    check_brought(path, record)
    run = Run(record, head.eval(), None, path)
    _ = run.spec
    return run
