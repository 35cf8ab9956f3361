"""`transcribe`: what is said in a clip, as text."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from graftwork import (
    AnswerFolder,
    Backbone,
    DataError,
    DenseTask,
    Metric,
    Piece,
    Problem,
    Raw,
    RawLabel,
    Recipe,
    Scorer,
    Seen,
    SequenceView,
    Targets,
    TaskSpec,
    UsageError,
    Value,
    WholeExample,
    Within,
    plural,
)
from graftwork_audio.clip import Clip
from graftwork_audio.transcribe.alphabet import Alphabet, normal, rare
from graftwork_audio.transcribe.changes import changed
from graftwork_audio.transcribe.ngram import Ngram
from graftwork_audio.transcribe.scores import TranscriptScores
from graftwork_audio.transcribe.search import Logs, Prior, beam, greedy, likelihood, stretches
from graftwork_audio.transcribe.seeing import TextFolder, heard
from graftwork_audio.transcribe.windows import cuts

UNKNOWN = 0.05
"""The part of the characters of some texts that may be none of the training texts'; more are refused."""
RATE, HEAD_RATE, BATCH, EPOCHS = 1e-4, 1e-3, 8, 30
"""Learning rates of the encoder and the head, and how often so many clips are shown: transformers' example of CTC on
few hours of speech."""


@dataclass(frozen=True)
class Place:
    """Where a piece lies in its clip. number: of the window, from 0. first, last: seconds of the piece whose frames
    count. name: of the clip; seconds: its length. changed: whether it is another version of it."""

    number: int
    first: float
    last: float
    name: str
    seconds: float
    changed: bool = False


class Transcribe(DenseTask):
    """Each frame says one sign of an alphabet, or none (CTC: Graves et al. 2006).

    Clips longer than the encoder reads at once are read in overlapping windows whose frames are put in a row, in
    training and in answers alike; labels and answers belong to the whole row.
    """

    figures: ClassVar = (
        Metric("wer", "word error rate", higher_is_better=False),
        Metric("cer", "character error rate", higher_is_better=False),
        Metric("sentence_accuracy", "texts without an error"),
    )
    tie_break: ClassVar = figures[1]
    of_answers: ClassVar = frozenset({"units", "pieces", "lower", "search", "beam", "ngram", "lm"})
    usual: ClassVar = {
        "units": "characters", "pieces": 200, "lower": False, "search": "greedy", "beam": 16, "ngram": 0, "lm": 0.5,
    }  # fmt: skip

    def __init__(self, spec: TaskSpec, transform: str = "none", options: Mapping[str, Any] | None = None) -> None:
        super().__init__(spec, transform, options)
        said = self.options
        for option, words in (("units", ("characters", "pieces")), ("search", ("greedy", "beam"))):
            if said[option] not in words:
                raise UsageError(
                    f"The task option {option}={said[option]} is not known; {' and '.join(words)} are.",
                    f"Write: --task-option {option}={words[0]}",
                )
        for option, least in (("pieces", 2), ("beam", 1), ("ngram", 0), ("lm", 0)):
            if said[option] < least:
                raise UsageError(
                    f"The task option {option}={said[option]} is not accepted; it is {least} or more.",
                    f"Write: --task-option {option}={self.usual[option]}",
                )
        if said["ngram"] and said["search"] != "beam":
            raise UsageError(
                f"The task option ngram={said['ngram']} weighs texts that a search compares, and search=greedy "
                "compares none.",
                "Add --task-option search=beam",
            )

    # Labels.

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        texts = [self._text(label) for label in raw]
        if known is None and texts and not any(texts):
            raise DataError(
                f"None of the {len(texts)} texts has a character, so there is nothing to learn.",
                "Give what is said in each clip.",
            )
        if known is None:
            return self._learned(texts)
        return dataclasses.replace(known, values=torch.zeros(len(texts)), strata=("",) * len(texts))

    def _learned(self, texts: Sequence[str]) -> Targets:
        """The alphabet of some texts."""
        learned: dict[str, Any] = {}
        if self.options["units"] == "pieces":
            alphabet = Alphabet.of_pieces(texts, self.options["pieces"])
            learned["merges"] = [list(pair) for pair in alphabet.merges or ()]
        else:
            alphabet = Alphabet.of_characters(texts)
        notes = ()
        if once := rare(texts):
            words = _listed(once, "T")
            notes = (
                f"{words} occur{'s' * (len(once) == 1)} once in all texts, too seldom to be learned; other writings of "
                "the same, or upper case (--task-option lower=true), may be the reason.",
            )
        return Targets(alphabet.signs, torch.zeros(len(texts)), learned, ("",) * len(texts), notes)

    def learn(self, raw: Sequence[RawLabel], known: Targets) -> Targets:
        """With the n-gram of the texts of the training part."""
        if not self.options["ngram"]:
            return known
        alphabet = _alphabet(known)
        spelled = [alphabet.spell(self._text(label)) for label in raw]
        ngram = Ngram.of(self.options["ngram"], len(alphabet.signs), spelled)
        costs = [-ngram.logs(signs[:place])[sign] for signs in spelled for place, sign in enumerate(signs)]
        learned = {**known.learned, "ngram": ngram.as_json(), "cost": sum(costs) / max(1, len(costs))}
        return dataclasses.replace(known, learned=learned)

    def _text(self, label: RawLabel) -> str:
        if not isinstance(label, str):
            raise DataError(
                f"The labels are no texts (the first: '{self.show(label)[:60]}'); one text for each clip is accepted.",
                "Name the column of texts: --label COLUMN",
            )
        return normal(label, self.options["lower"])

    def unknown(self, raw: Sequence[RawLabel], known: Targets) -> list[str]:
        """Characters that no training text has, where they are too many to count as errors; see `UNKNOWN`."""
        alphabet, texts = _alphabet(known), [self._text(label) for label in raw]
        missing = {character for text in texts for character in alphabet.missing(text)}
        count = sum(character in missing for text in texts for character in text)
        if count <= UNKNOWN * sum(map(len, texts)):
            return []
        raise DataError(
            f"The texts have {_listed(sorted(missing))}, which no training text has, in {count} of their "
            f"{sum(map(len, texts))} characters; {UNKNOWN:.0%} are accepted, and count as errors.",
            "Fit with texts in these letters, or write these in the letters of the training texts.",
        )

    def truth(self, given: RawLabel, known: Targets, facts: Mapping[str, Value]) -> str:
        return self._text(given)

    def as_answer(self, label: RawLabel, known: Targets) -> dict[str, Any]:
        return {"text": self._text(label), "probability": 1.0}

    # What people see.

    def draw(self, raw: Raw, answer: Mapping[str, Any] | None, label: RawLabel | None, known: Targets) -> str:
        texts = [] if label is None else [("said", self._text(label))]
        return heard(raw, texts if answer is None else [*texts, ("heard", answer["text"])])

    def answer_folder(self, folder: Path, known: Targets) -> AnswerFolder:
        return TextFolder(folder)

    def tally(self, raw: Sequence[RawLabel]) -> dict[str, int]:
        return {}

    def problems(self, raw: Sequence[RawLabel]) -> list[Problem]:
        found = super().problems(raw)
        texts = [] if found else [self._text(label) for label in raw]
        if blank := sum(not text for text in texts):
            found.append(
                Problem(
                    "blank_texts", f"{blank} of the texts are blank.", "Leave them out, if anything is said.", blank
                )
            )
        if once := rare(texts):
            count = sum(any(character in text for character in once) for text in texts)
            message = f"{_listed(once, 'T')} occur{'s' * (len(once) == 1)} once in all texts, too seldom to be learned."
            found.append(Problem("rare_characters", message, "Write them otherwise, or leave them out.", count))
        return found

    def samples(self) -> list[RawLabel]:
        return ["one two", "two", "three one", "one", "two three", "three"] * 2

    # Pieces.

    def pieces(self, given: WholeExample, backbone: Backbone, known: Targets) -> list[Piece]:
        return self._cut(given, given.value, backbone, known)

    def training_pieces(
        self, given: WholeExample, backbone: Backbone, known: Targets, rng: Random | None = None
    ) -> list[Piece]:
        if rng is None:
            return self._cut(given, given.value, backbone, known)
        limits = _limits(backbone)
        return self._cut(given, changed(given.value, rng, limits.low, limits.high), backbone, known, changed=True)

    def _cut(
        self, given: WholeExample, clip: Clip, backbone: Backbone, known: Targets, changed: bool = False
    ) -> list[Piece]:
        label = None if given.label is None else _alphabet(known).spell(self._text(given.label))
        seconds = clip.samples.shape[1] / clip.rate
        made = []
        for number, cut in enumerate(cuts(seconds, _limits(backbone).high)):
            begin, end = round(cut.begin * clip.rate), round(cut.end * clip.rate)
            part = dataclasses.replace(clip, samples=clip.samples[:, begin:end])
            place = Place(number, cut.first - cut.begin, cut.last - cut.begin, given.raw.name, seconds, changed)
            made.append(Piece(part, label, place, end - begin))
        return made

    def at_once(self, backbone: Backbone) -> int:
        limits, rate = _limits(backbone), float(backbone.spec.contract.facts["sampling_rate"].nearest(0))
        longest = limits.high if math.isfinite(limits.high) else 30.0
        return max(1, int(backbone.batch_size / (longest * rate)))

    def outputs(self, known: Targets) -> int:
        return 1 + len(known.names)

    # Training.

    def recipe(self, recipe: Recipe) -> Recipe:
        return dataclasses.replace(
            recipe, learning_rate=max(RATE, recipe.learning_rate), head_learning_rate=HEAD_RATE, batch_size=BATCH,
            epochs=EPOCHS,
        )  # fmt: skip

    def trivial_loss(self, known: Targets) -> float:
        return 4 * math.log(self.outputs(known))  # some frames for each sign, an even chance in each

    def loss(self, outputs: Seen, targets: Sequence[Any], smoothing: float = 0.0) -> Tensor:
        """Of a whole clip, for a sign of its text, at each of its pieces.

        Raises `DataError` for a text with more signs than its clip has frames.
        """
        frames = list(_counted(outputs))
        wholes = list(_wholes(outputs.pieces))
        rows = [torch.cat(frames[first:last]) for first, last in wholes]
        signs: list[Sequence[int]] = [targets[first] for first, _ in wholes]
        for (first, _), row, spelled in zip(wholes, rows, signs, strict=True):
            self._check_room(outputs.pieces[first].place, len(row), spelled)
        if not rows:
            return outputs.values.sum((1, 2))
        logs = torch.nn.utils.rnn.pad_sequence(rows).float().log_softmax(-1)
        counts = torch.tensor([len(spelled) for spelled in signs])
        flat = torch.tensor([sign for spelled in signs for sign in spelled], device=logs.device)
        losses = torch.nn.functional.ctc_loss(
            logs, flat, torch.tensor([len(row) for row in rows]), counts, reduction="none", zero_infinity=True
        )
        losses = losses / counts.clamp(min=1).to(losses.device)
        sizes = torch.tensor([last - first for first, last in wholes], device=losses.device)
        return losses.repeat_interleave(sizes)

    def _check_room(self, place: Place, frames: int, signs: Sequence[int]) -> None:
        needed = len(signs) + sum(one == other for one, other in itertools.pairwise(signs))
        if needed <= frames or place.changed:  # a version that became too fast for its text teaches nothing
            return
        fewer = "" if self.options["units"] == "pieces" else ", or spell in larger pieces: --task-option units=pieces"
        raise DataError(
            f"The text of '{place.name}' needs {needed} frames ({len(signs)} signs, and one between equal ones), and "
            f"the encoder makes {frames} of its {place.seconds:.2f} s; a text that fits into its clip is accepted.",
            f"Mend the text or leave out the clip{fewer}.",
        )

    # Answers.

    def decode(self, outputs: Seen, known: Targets) -> list[Logs]:
        """The logarithms of the probabilities of all signs in the frames that count of a piece, `(T, 1 + K)`."""
        return [rows.double().log_softmax(-1).numpy() for rows in _counted(outputs)]

    def join(self, found: Sequence[Logs], pieces: Sequence[Piece], known: Targets) -> dict[str, Any]:
        logs = np.concatenate(list(found)) if found else np.zeros((0, self.outputs(known)))
        parts = list(stretches(logs))
        if self.options["search"] == "beam":
            said = beam(parts, self.options["beam"], self._prior(known))
        else:
            said = [greedy(part) for part in parts]
        total = sum(likelihood(part, signs) for part, signs in zip(parts, said, strict=True))
        signs = [sign for part in said for sign in part]
        return {"text": _alphabet(known).text(signs), "probability": min(1.0, math.exp(total / max(1, len(signs))))}

    def _prior(self, known: Targets) -> Prior | None:
        if "ngram" not in known.learned:
            return None
        weight = self.options["lm"]
        return Prior(Ngram.from_json(known.learned["ngram"]), weight, weight * known.learned["cost"])

    def scorer(self, known: Targets) -> Scorer:
        return TranscriptScores()

    def as_label(self, answer: Mapping[str, Any]) -> RawLabel:
        return answer["text"]

    # What people read.

    def nothing(self) -> dict[str, Any]:
        return {"text": None, "probability": None}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return (
            f"In {plural(count, 'held-out clip')} {metrics['wer']:.1%} of the words and {metrics['cer']:.1%} of the "
            f"characters are wrong; {metrics['sentence_accuracy']:.1%} of the texts have no error."
        )

    def columns(self) -> tuple[str, ...]:
        return "text", "probability"

    def cells(self, answer: Mapping[str, Any]) -> tuple[str, ...]:
        return answer["text"], f"{answer['probability']:.2f}"


def _alphabet(known: Targets) -> Alphabet:
    merges = known.learned.get("merges")
    return _made(known.names, None if merges is None else tuple((one, other) for one, other in merges))


_KEPT: dict[Any, Alphabet] = {}


def _made(signs: tuple[str, ...], merges: tuple[tuple[str, str], ...] | None) -> Alphabet:
    if (signs, merges) not in _KEPT:
        _KEPT.clear()
        _KEPT[signs, merges] = Alphabet(signs, merges)
    return _KEPT[signs, merges]


def _limits(backbone: Backbone) -> Within:
    """Seconds that an encoder reads at once."""
    wanted = backbone.spec.contract.facts.get("duration")
    return wanted if isinstance(wanted, Within) else Within(0.0, math.inf, "s")


def _counted(outputs: Seen) -> Iterator[Tensor]:
    """For each piece the rows `(T, K)` of its frames that count: by the middle of each."""
    view = outputs.view
    assert isinstance(view, SequenceView)
    middles, mask = view.spans.cpu().mean(-1), view.mask.cpu()
    for row, piece in enumerate(outputs.pieces):
        place: Place = piece.place
        here = mask[row] & (middles[row] >= place.first) & (middles[row] < place.last)
        yield outputs.values[row, here.to(outputs.values.device)]


def _wholes(pieces: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """The first piece of each clip, and the one after its last."""
    starts = [place for place, piece in enumerate(pieces) if piece.place.number == 0]
    yield from itertools.pairwise([*starts, len(pieces)])


def _listed(characters: Sequence[str], article: str = "t") -> str:
    """Characters in words. article: its first letter."""
    some = ", ".join(f"'{character}'" for character in characters[:5])
    more = f" and {len(characters) - 5} more" if len(characters) > 5 else ""
    return f"{article}he character{'s' * (len(characters) > 1)} {some}{more}"
