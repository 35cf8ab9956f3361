"""What tasks and heads promise."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from graftwork.errors import DataError, PluginFault, UnknownName
from graftwork.features.dataset import FeatureDataset
from graftwork.models.views import STRIDES, MapView, SequenceView
from graftwork.plugins import registry
from graftwork.specs.task import HeadSpec, RawLabel, TaskSpec
from graftwork.tasks.dense import DenseTask
from graftwork.tasks.heads import Head, build_dense_head, build_head
from graftwork.tasks.task import Answer, Targets, Task, load_task
from graftwork.testing.cases import Given, Nonconformance, NotChecked, Registered, check, subject
from graftwork.training import solver
from graftwork.training.trainer import convex_loss, solvable


@subject("tasks")
class Work(Registered):
    """A task under test, with labels that it says it takes."""

    def __init__(self, name: str, spec: TaskSpec, given: Given) -> None:
        super().__init__(name, spec, given)
        self.task: Task = load_task(name)

    @cached_property
    def raw(self) -> list[RawLabel]:
        raw = self.task.samples()
        if len(raw) < 10:
            raise Nonconformance(f"samples of the task '{self.name}' gives {len(raw)} labels.", "Give ten or more.")
        return raw

    @cached_property
    def known(self) -> Targets:
        return self.task.encode(self.raw)

    @cached_property
    def perfect(self) -> Tensor:
        """Outputs that a head would give which has learned the labels by heart: the task's loss, made small."""
        outputs = torch.zeros(len(self.raw), self.task.outputs(self.known), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([outputs], lr=0.3)
        for _ in range(200):
            optimizer.zero_grad()
            self.task.loss(outputs, self.known.values).sum().backward()
            optimizer.step()
        return outputs.detach()

    @cached_property
    def dense(self) -> DenseTask:
        """The task, whose answers lie in the input."""
        if not isinstance(self.task, DenseTask):
            raise NotChecked(f"The task '{self.name}' answers for an example as a whole.")
        return self.task

    def check_pooled(self) -> None:
        """Raises `NotChecked` for a task whose answers lie in the input."""
        if isinstance(self.task, DenseTask):
            raise NotChecked(f"The answers of the task '{self.name}' lie in the input.")

    @property
    def trivial(self) -> Tensor:
        """The same outputs for every example."""
        return torch.zeros_like(self.perfect) + self.perfect.mean(0)


@check("tasks")
def its_heads_and_metrics_are_there(work: Work) -> None:
    if not work.spec.heads or not work.task.figures:
        raise Nonconformance(f"The task '{work.name}' names no head, or no metric.", "Name at least one of each.")
    for name in work.spec.heads:
        try:
            registry.head(name)
        except UnknownName as error:
            raise Nonconformance(
                f"The task '{work.name}' names the head '{name}', which nothing brings.", error.hint
            ) from error
    if isinstance(work.task, DenseTask):
        given = work.task.metrics(
            _said(work.task, work.raw, work.known), _true(work.task, work.raw, work.known), work.known
        )
    else:
        given = work.task.metrics(work.perfect, work.known.values, work.known)
    shown = [metric.name for metric in (*work.task.figures, work.task.tie_break)]
    for name in shown:
        if not isinstance(given.get(name), float) or not math.isfinite(given[name]):
            raise Nonconformance(
                f"metrics of the task '{work.name}' gives {given.get(name)} for '{name}'.",
                "Let it give a finite float for each metric that figures and tie_break name.",
            )


@check("tasks")
def an_answer_says_the_label_that_was_encoded(work: Work) -> None:
    work.check_pooled()
    answers = work.task.decode(work.perfect, work.known)
    said = work.task.encode([work.task.as_label(answer) for answer in answers], work.known).values
    if said.shape != work.known.values.shape or not torch.allclose(
        said.double(), work.known.values.double(), atol=0.05
    ):
        wrong = next(
            i
            for i, row in enumerate(said)
            if not torch.allclose(row.double(), work.known.values[i].double(), atol=0.05)
        )
        raise Nonconformance(
            f"The task '{work.name}' answers {answers[wrong]} where a head has learned the label "
            f"'{work.task.show(work.raw[wrong])}' by heart.",
            "Let decode undo what encode does, and as_label take the label out of an answer.",
        )
    try:
        json.dumps([answers, work.known.as_json()])
    except TypeError as error:
        raise Nonconformance(
            f"Answers or targets of the task '{work.name}' cannot be written down: {error}.",
            "Use numbers, words, lists and dictionaries in decode and in Targets.learned.",
        ) from error
    loaded = Targets.from_json(json.loads(json.dumps(work.known.as_json())))
    if work.task.decode(work.perfect, loaded) != answers:
        raise Nonconformance(
            f"The task '{work.name}' answers otherwise once its targets were saved and loaded.",
            "Put all that decode takes into Targets.names and Targets.learned.",
        )
    for place, label in enumerate(work.raw):
        row = work.task.encode([label], loaded).values
        if row.shape != work.known.values[:1].shape or not torch.allclose(row[0], work.known.values[place]):
            raise Nonconformance(
                f"encode of the task '{work.name}' makes another row of the label '{work.task.show(label)}' alone, by "
                "targets that were saved and loaded.",
                "Take all that encode needs from `known` where it is not None; it may be of no examples.",
            )


@check("tasks")
def labels_that_it_cannot_take_are_refused_in_a_sentence(work: Work) -> None:
    good = work.raw
    for bad in ("\x00 no label at all", "inf", "nan", "", [], ["a", "b"], {"x": "2"}, {"x": "1", "y": "0"}):
        for raw in ([bad] * len(good), [*good, bad]):
            try:
                found = work.task.encode(raw)
            except DataError as error:
                if "\n" in error.message or not error.message.endswith(".") or not error.hint:
                    raise Nonconformance(
                        f"Of the label {bad!r} the task '{work.name}' says: {error}",
                        "Say it in a sentence, with a hint.",
                    ) from error
            except Exception as error:
                raise Nonconformance(
                    f"encode of the task '{work.name}' ends in {type(error).__name__} for the label {bad!r}: {error}",
                    "Raise DataError for a label that it cannot take.",
                ) from error
            else:
                if len(found) != len(raw) or not bool(found.values.double().isfinite().all()):
                    raise Nonconformance(
                        f"The task '{work.name}' makes {len(found)} rows of {len(raw)} labels, or rows that are not "
                        f"finite, where one of them is {bad!r}.",
                        "Give one finite row for each label, or raise DataError.",
                    )


@check("tasks")
def its_strata_and_counts_cover_all_labels(work: Work) -> None:
    if len(work.known.strata) != len(work.raw):
        raise Nonconformance(
            f"encode of the task '{work.name}' gives {len(work.known.strata)} strata for {len(work.raw)} labels.",
            "Give Targets.strata one word for each label, by which splits hold out a part of alike ones.",
        )
    if work.task.unknown(work.raw, work.known):
        raise Nonconformance(
            f"The task '{work.name}' does not know {work.task.unknown(work.raw, work.known)[0]}, which it learned.",
            "Let unknown give names that Targets has not.",
        )


@check("tasks")
def a_perfect_answer_is_better_than_a_trivial_one(work: Work) -> None:
    work.check_pooled()
    task, known = work.task, work.known
    perfect, trivial = (task.metrics(outputs, known.values, known) for outputs in (work.perfect, work.trivial))
    if not task.rank(perfect) > task.rank(trivial):
        raise Nonconformance(
            f"By the task '{work.name}' labels learned by heart have {task.primary.name} "
            f"{perfect[task.primary.name]:.3f}, and one answer for all {trivial[task.primary.name]:.3f}.",
            "Mend metrics, or say in figures whether more is better.",
        )
    losses = [float(task.loss(outputs, known.values).mean()) for outputs in (work.perfect, work.trivial)]
    if not losses[0] < losses[1] <= 5 * task.trivial_loss(known):
        raise Nonconformance(
            f"The loss of the task '{work.name}' is {losses[0]:.3f} for labels learned by heart, {losses[1]:.3f} for "
            f"one answer for all, and it calls {task.trivial_loss(known):.3f} trivial.",
            "Let loss be smaller for better outputs, and trivial_loss be about that of one answer for all.",
        )
    for metrics in (perfect, trivial):
        words = task.headline(metrics, len(known))
        if "\n" in words or not words.endswith("."):
            raise Nonconformance(f"The headline of the task '{work.name}' is '{words}'.", "Write one sentence.")


@check("tasks")
def its_loss_has_a_row_for_each_example(work: Work) -> None:
    work.check_pooled()
    task, known = work.task, work.known
    outputs = torch.randn(work.perfect.shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses = task.loss(outputs, known.values)
    (slope,) = torch.autograd.grad(losses.sum(), outputs)
    if tuple(losses.shape) != (len(known),) or not bool(losses.isfinite().all()) or not bool(slope.isfinite().all()):
        raise Nonconformance(
            f"loss of the task '{work.name}' gives {tuple(losses.shape)} for {len(known)} examples, or what is not "
            "finite.",
            "Give one finite number for each example.",
        )
    if len(task.loss(outputs[:0], known.values[:0])) or task.decode(outputs[:0].detach(), known):
        raise Nonconformance(
            f"The task '{work.name}' makes something of no examples.", "Let loss and decode give nothing for none."
        )


@check("tasks")
def the_exact_solution_is_a_minimum_of_its_loss(work: Work) -> None:
    work.check_pooled()
    task, known = work.task, work.known
    if not solvable(task):
        raise NotChecked(f"No head of the task '{work.name}' is solved exactly.")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(known), 4, generator=generator)
    data = FeatureDataset(features, known.values)
    try:
        loss = convex_loss(task, known, data)
    except PluginFault as error:
        raise Nonconformance(error.message, error.hint) from error
    solution = solver.solve(data, task.outputs(known), 1e-2, loss)
    size = solver.Scaling.of(data).size
    copies = task.outputs(known) if loss.shared else 1

    def objective(weight: Tensor, bias: Tensor) -> float:
        head = task.head(4, known).eval()
        head.load_solution(weight, bias)
        with torch.no_grad():
            mean = float(task.loss(head(features).double(), known.values).mean())
        return mean + 1e-2 / 2 * float((weight * size).double().square().sum()) / copies

    best = objective(solution.weight, solution.bias)
    for _ in range(20):
        step = torch.randn(1 if loss.shared else len(solution.weight), 4, generator=generator).expand_as(
            solution.weight
        )
        shift = torch.randn(len(solution.bias), generator=generator)
        if objective(solution.weight + 0.05 * step, solution.bias + 0.05 * shift) < best - 1e-6:
            raise Nonconformance(
                f"Near the exact solution the task '{work.name}' has a smaller loss.",
                "Let solver_loss be the task's own loss, and the head become the map that load_solution is given.",
            )


@check("tasks")
def answers_in_the_input_that_say_the_labels_are_the_best(work: Work) -> None:
    task, known = work.dense, work.known
    true = _true(task, work.raw, known)
    perfect = task.metrics(_said(task, work.raw, known), true, known)
    first = task.metrics(_said(task, [work.raw[0]] * len(work.raw), known), true, known)
    if not task.rank(perfect) > task.rank(first):
        raise Nonconformance(
            f"By the task '{work.name}' answers that say the labels have {task.primary.name} "
            f"{perfect[task.primary.name]:.3f}, and one answer for all {first[task.primary.name]:.3f}.",
            "Mend its scorer or as_answer, or say in figures whether more is better.",
        )
    words = task.headline(perfect, len(work.raw))
    if "\n" in words or not words.endswith("."):
        raise Nonconformance(f"The headline of the task '{work.name}' is '{words}'.", "Write one sentence.")


@check("tasks")
def answers_in_the_input_can_be_written_down(work: Work) -> None:
    task, known = work.dense, work.known
    loaded = Targets.from_json(json.loads(json.dumps(known.as_json())))
    if loaded.names != known.names or len(task.encode(work.raw, loaded)) != len(work.raw):
        raise Nonconformance(
            f"The task '{work.name}' encodes labels otherwise by targets that were saved and loaded.",
            "Take all that encode needs from `known` where it is not None; it may be of no examples.",
        )
    for answer in _said(task, work.raw, loaded):
        cells, row = task.cells(answer), task.as_row(answer)
        if len(cells) != len(task.columns()) or not all(isinstance(cell, str) for cell in cells):
            raise Nonconformance(
                f"cells of the task '{work.name}' gives {cells} for the columns {task.columns()}.",
                "Give a word for each column.",
            )
        try:
            json.dumps([row, task.as_json(answer)])
        except TypeError as error:
            raise Nonconformance(
                f"An answer of the task '{work.name}' cannot be written down: {error}.",
                "Let as_json and as_row give numbers, words, lists and dictionaries.",
            ) from error


def _said(task: DenseTask, labels: list[RawLabel], known: Targets) -> list[Answer]:
    """The answers that say these labels."""
    return [task.as_answer(label, known) for label in labels]


def _true(task: DenseTask, labels: list[RawLabel], known: Targets) -> list[Any]:
    """Labels as the scorer takes them, of examples of the size that they say, if they do."""
    found = []
    for label in labels:
        width, height = getattr(label, "size", None) or (1, 1)
        found.append(task.truth(label, known, {"width": width, "height": height, "orientation": 1}))
    return found


@subject("heads")
class Top(Registered):
    """A head under test, for 7 examples of 5 features: one vector each, or the view that it reads."""

    def __init__(self, name: str, spec: HeadSpec, given: Given) -> None:
        super().__init__(name, spec, given)
        generator = torch.Generator().manual_seed(0)

        def drawn(*shape: int) -> Tensor:
            return torch.randn(7, *shape, generator=generator)

        self.dense = spec.reads != "pooled"
        self.features = drawn(5)
        self.hidden = drawn(6, 5) if spec.reads == "sequence" else drawn(5, 4, 4)
        self.maps = {s: drawn(3 if s == 1 else 5, 64 // s, 64 // s) for s in spec.strides or STRIDES}

    def view(self, count: int = 7) -> Any:
        """What the head reads of the first examples."""
        match self.spec.reads:
            case "sequence":
                return SequenceView(
                    self.hidden[:count], torch.ones(count, 6, dtype=torch.bool), torch.zeros(count, 6, 2)
                )
            case "map":
                return MapView(self.hidden[:count], 16)
            case "pyramid":
                return {stride: MapView(one[:count], stride) for stride, one in self.maps.items()}
            case _:
                return self.features[:count]

    def build(self, outputs: int = 3) -> Head:
        torch.manual_seed(0)
        try:
            if self.dense:
                pyramid = {stride: one.shape[1] for stride, one in self.maps.items()}
                return build_dense_head(self.name, pyramid if self.spec.reads == "pyramid" else 5, outputs).eval()
            return build_head(self.name, 5, outputs).eval()
        except PluginFault as error:
            raise Nonconformance(error.message, error.hint) from error

    def told(self, head: Head, count: int = 7) -> Tensor:
        """All that a head gives, `(count, N)`."""
        return torch.cat([one.flatten(1) for one in _tensors(head(self.view(count)))], 1)


def _tensors(found: Any) -> list[Tensor]:
    """The tensors of floats in any structure, in order."""
    if isinstance(found, Tensor):
        return [found] if found.is_floating_point() else []
    if is_dataclass(found) and not isinstance(found, type):
        found = [getattr(found, item.name) for item in fields(found)]
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


@check("heads")
def it_has_as_many_outputs_as_are_asked_for(top: Top) -> None:
    if top.dense:
        raise NotChecked(f"The outputs of the head '{top.name}' have a structure of its task's own.")
    for outputs in (1, 2, 3, 17):
        head = top.build(outputs)
        for count in (0, 1, 7):
            found = tuple(head(top.features[:count]).shape)
            if found != (count, outputs):
                raise Nonconformance(
                    f"The head '{top.name}' gives {found} for {count} examples and {outputs} outputs.",
                    f"It is to give {(count, outputs)}.",
                )


@check("heads")
def it_answers_each_example_by_itself(top: Top) -> None:
    head = top.build()
    with torch.no_grad():
        together, alone = top.told(head), top.told(head, 2)
    if len(together) != 7 or not torch.allclose(together[:2], alone, atol=1e-4):
        raise Nonconformance(
            f"What the head '{top.name}' gives for an example depends on the others in its batch.",
            "Give tensors with a row for each example, and use no statistics of a batch.",
        )


@check("heads")
def it_learns(top: Top) -> None:
    head = top.build()
    head.fit_scaler(top.view())
    wanted = torch.randn(top.told(head).shape, generator=torch.Generator().manual_seed(1))
    losses = []
    for _ in range(30):
        loss = (top.told(head) - wanted).square().mean()
        losses.append(float(loss.detach()))
        parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                if slope is not None:
                    parameter -= (0.005 if top.dense else 0.05) * slope
    if not losses[-1] < losses[0]:
        raise Nonconformance(
            f"30 steps on 7 examples take the squared error of the head '{top.name}' from {losses[0]:.3f} to "
            f"{losses[-1]:.3f}.",
            "Let its parameters have gradients.",
        )


@check("heads")
def a_convex_head_takes_on_a_solution(top: Top) -> None:
    if not top.spec.convex:
        raise NotChecked(f"The head '{top.name}' is not declared convex.")
    # One weight vector for all outputs, so that heads whose outputs share theirs can be it too.
    weight, bias = torch.randn(1, 5).expand(3, 5), torch.randn(3).sort(descending=True).values
    head = top.build()
    head.fit_scaler(top.view())
    head.load_solution(weight, bias)
    features = {"pooled": top.features, "map": top.hidden.movedim(1, -1)}.get(top.spec.reads, top.hidden)
    found = head(top.view())
    found = found.movedim(1, -1) if top.spec.reads == "map" else found
    if not torch.allclose(found, features @ weight.T + bias, atol=1e-4):
        raise Nonconformance(
            f"The head '{top.name}' does not become the map that it is given.",
            "After load_solution(weight, bias) its outputs are features @ weight.T + bias (of each position).",
        )


@check("heads")
def a_head_that_is_saved_is_loaded(top: Top) -> None:
    head, other = top.build(), top.build()
    head.fit_scaler(top.view())
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.1
    other.load_state_dict(head.state_dict())
    with torch.no_grad():
        same = torch.equal(top.told(head), top.told(other))
    if not same:
        raise Nonconformance(
            f"The head '{top.name}' saved and loaded computes otherwise.", "Keep all of it in parameters and buffers."
        )
