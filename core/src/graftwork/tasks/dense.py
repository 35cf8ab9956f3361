"""Tasks whose answers lie in the input: spans of a text, boxes and masks of an image, the words of a clip.

An encoder reads an example of them in pieces (windows, tiles) that cover it; labels are moved into each piece, and
answers back out of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from graftwork.errors import PluginFault, UsageError
from graftwork.features.pieces import Piece, WholeExample
from graftwork.plugins.code_digest import made_by
from graftwork.specs.contracts import Value
from graftwork.specs.readers import Raw
from graftwork.specs.task import RawLabel
from graftwork.tasks.answer_folder import AnswerFolder
from graftwork.tasks.scorer import Scorer
from graftwork.tasks.task import Answer, Targets, Task

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.models.backbone import Backbone
    from graftwork.models.reading import View
    from graftwork.models.stages import State
    from graftwork.tasks.heads import Head


@dataclass(frozen=True)
class Seen:
    """What a head makes of a batch of pieces. values: its outputs, in any structure of tensors. view: what it read.
    pieces: those of the batch, in its order; their values may be gone."""

    values: Any
    view: View
    pieces: Sequence[Piece]

    def __len__(self) -> int:
        return len(self.pieces)


class DenseTask(Task):
    """A task whose head reads the view `sequence`, `map` or `pyramid`.

    of_answers: those of its options that decide losses or answers, and not what the encoder reads: with others, what is
    frozen is not computed anew.
    """

    of_answers: ClassVar[frozenset[str]] = frozenset()

    # Pieces.

    @property
    def alike(self) -> bool:
        """Whether `training_pieces` gives the pieces of `pieces` where nothing is drawn, so that what is frozen is
        computed once for both."""
        return type(self).training_pieces is DenseTask.training_pieces

    @abstractmethod
    def pieces(self, given: WholeExample, backbone: Backbone, known: Targets) -> list[Piece]:
        """The pieces that cover an example, with what of its label lies in each."""

    def training_pieces(
        self, given: WholeExample, backbone: Backbone, known: Targets, rng: Random | None = None
    ) -> list[Piece]:
        """The pieces of an example as training shows it. rng: draws how it is changed, where that is wanted."""
        return self.pieces(given, backbone, known)

    def prepare(self, backbone: Backbone, values: list[Any]) -> State:
        """The batch of the values of some pieces; the standard is the encoder's own."""
        return backbone.prepare(values)

    def at_once(self, backbone: Backbone) -> int:
        """How many pieces an encoder reads at once on a processor."""
        return 16 if backbone.measures else backbone.batch_size

    # Losses and answers.

    @abstractmethod
    def loss(self, outputs: Seen, targets: Sequence[Any], smoothing: float = 0.0) -> Tensor:
        """The loss of each piece `(B,)`. targets: `label` of each piece."""

    @abstractmethod
    def decode(self, outputs: Seen, known: Targets) -> list[Any]:
        """What is found in each piece, in its coordinates, as `join` takes it."""

    @abstractmethod
    def join(self, found: Sequence[Any], pieces: Sequence[Piece], known: Targets) -> Answer:
        """The answer for an example: what was found in its pieces, put together in the coordinates of the original."""

    @abstractmethod
    def scorer(self, known: Targets) -> Scorer:
        """A new scorer of answers."""

    def truth(self, given: RawLabel, known: Targets, facts: Mapping[str, Value]) -> Any:
        """A label as the scorer takes it. facts: what the header of its example says, as images that an EXIF tag turns
        have theirs drawn on the stored or on the upright one."""
        return given

    def rows(self, view: View, pieces: Sequence[Piece]) -> tuple[Tensor, Tensor]:
        """Positions to solve a linear head on: features `(R, D)` and targets `(R,)` of some or all of those of labelled
        pieces. For tasks with a `solver_loss`."""
        raise PluginFault(
            f"The task '{self.spec.name}' says which loss to solve, and gives no positions to solve it on.",
            "Its plugin must give it 'rows', or return None from solver_loss.",
        )

    def metrics(self, outputs: Sequence[Answer], targets: Sequence[Any], known: Targets) -> dict[str, Any]:
        """Figures of answers for labels as `truth` gives them, both of whole examples."""
        scorer = self.scorer(known)
        for answer, label in zip(outputs, targets, strict=True):
            scorer.add(answer, label)
        return scorer.metrics()

    def new_head(self, name: str, channels: int | dict[int, int], known: Targets) -> Head:
        """A new head by its name, on a view that is so wide."""
        from graftwork.tasks.heads import build_dense_head

        return build_dense_head(name, channels, self.outputs(known))

    # What people see.

    def draw(self, raw: Raw, answer: Answer | None, label: RawLabel | None, known: Targets) -> str:
        """An example as HTML: what is true and what was found in it, as far as they are given; empty where it cannot be
        drawn. Raises `Unreadable`."""
        return ""

    def answer_folder(self, folder: Path, known: Targets) -> AnswerFolder:
        """What writes answers into an empty folder.

        Raises `UsageError` for a task whose answers are rows of a table alone.
        """
        raise UsageError(f"Answers of the task '{self.spec.name}' are rows of a table.", "Write: --out answers.csv")

    @abstractmethod
    def as_answer(self, label: RawLabel, known: Targets) -> Answer:
        """The answer that says a label: what a perfect one would be."""


@dataclass(frozen=True)
class TaskCutter:
    """Cuts examples into pieces as a task does, whose names are known."""

    task: DenseTask
    known: Targets

    @property
    def identity(self) -> str:
        options = {name: value for name, value in self.task.options.items() if name not in self.task.of_answers}
        return f"{self.task.spec.name} {sorted(options.items())} {made_by(self.task.spec.factory)}"

    @property
    def alike(self) -> bool:
        return self.task.alike

    def pieces(self, given: WholeExample, backbone: Backbone) -> list[Piece]:
        return self.task.pieces(given, backbone, self.known)

    def training_pieces(self, given: WholeExample, backbone: Backbone, rng: Random | None) -> list[Piece]:
        return self.task.training_pieces(given, backbone, self.known, rng)

    def prepare(self, backbone: Backbone, values: list[Any]) -> State:
        return self.task.prepare(backbone, values)
