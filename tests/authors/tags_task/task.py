"""Each tag is a question of its own, which a logit above 0 answers with yes."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from graftwork import DataError, Metric, RawLabel, Targets, Task


def tags_of(raw: RawLabel) -> list[str]:
    if isinstance(raw, Mapping) or not isinstance(raw, str | Sequence):
        raise DataError(f"{raw!r} is no list of tags; a cell such as 'red|round' is accepted.", "Name one column.")
    found = [word.strip() for word in (raw.split("|") if isinstance(raw, str) else raw)]
    if not all(found):
        raise DataError(f"'{raw}' holds an empty tag; tags are joined by a single |.", "Mend the cell.")
    return sorted(set(found))


class Tags(Task):
    figures: ClassVar = (Metric("f1", "F1"), Metric("exact", "all tags right"))
    tie_break: ClassVar = figures[1]

    def encode(self, raw: Sequence[RawLabel], known: Targets | None = None) -> Targets:
        rows = [tags_of(one) for one in raw]
        seen = sorted({tag for row in rows for tag in row})
        names = known.names if known else tuple(seen)
        if new := sorted(set(seen) - set(names)):
            raise DataError(f"The tag '{new[0]}' is not one of {', '.join(names)}.", "Leave it out, or train with it.")
        if len(names) < 2:
            raise DataError(f"All labels say '{', '.join(names)}'; two tags or more are needed.", "Add examples.")
        values = torch.tensor([[float(name in row) for name in names] for row in rows])
        return Targets(names, values, strata=tuple("|".join(row) for row in rows))

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        soft = targets * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(outputs, soft, reduction="none").sum(1)

    def decode(self, outputs: Tensor, known: Targets) -> list[dict[str, Any]]:
        return [
            {"tags": [tag for tag, value in zip(known.names, row, strict=True) if value > 0]}
            for row in outputs.tolist()
        ]

    def as_label(self, answer: Mapping[str, Any]) -> RawLabel:
        return "|".join(answer["tags"])

    def metrics(self, outputs: Tensor, targets: Tensor, known: Targets) -> dict[str, float]:
        said = (outputs > 0).float()
        often = (targets.mean(0) > 0.5).float().expand_as(targets)
        exact = float((said == targets).all(1).float().mean())
        return {"f1": f1(said, targets), "exact": exact, "f1_without_input": f1(often, targets)}

    def headline(self, metrics: Mapping[str, float], count: int) -> str:
        return f"F1 of the tags of {count} held-out examples: {metrics['f1']:.2f}."

    def samples(self) -> list[RawLabel]:
        return ["red", "round", "red|round", "blue|round", "blue"] * 3


def f1(said: Tensor, targets: Tensor) -> float:
    return float(2 * (said * targets).sum() / (said.sum() + targets.sum()).clamp(min=1))
