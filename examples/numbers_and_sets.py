"""Answers that are a number, a set of labels or a place on a scale: python examples/numbers_and_sets.py"""

from __future__ import annotations

import random
import sys

import graftwork as gw

WORDS = {  # of each topic: bad, fair and good
    "food": (
        "The soup was cold.|The cake was dry.",
        "The food was all right.",
        "Every dish was wonderful.|Great cake.",
    ),
    "service": (
        "The waiter was rude.|Nobody served us.",
        "The waiter took our order.",
        "The staff were friendly.|A charming waiter.",
    ),
    "room": (
        "A dirty, loud place.|The room was filthy.",
        "There was a free table.",
        "A quiet, beautiful room.|What a view.",
    ),
}
ASKED = ["The cake was wonderful and the staff were kind.", "Nobody served us, and the room was dirty."]


def reviews(count: int = 300) -> list[dict[str, object]]:
    """Made-up reviews of restaurants: the points that they gave, what they are about, and stars."""
    chance, rows = random.Random(0), []
    for _ in range(count):
        about = chance.sample(list(WORDS), chance.choice((1, 2, 2, 3)))
        points = {topic: chance.choice((0, 1, 2)) for topic in about}
        text = " ".join(chance.choice(WORDS[topic][given].split("|")) for topic, given in points.items())
        mean = sum(points.values()) / len(points)  # 0 to 2
        rows.append({"text": text, "points": 50 * mean, "topics": sorted(about), "stars": 1 + round(2 * mean)})
    return rows


def main() -> None:
    gw.require_plugins("graftwork-text[starter]", "graftwork-ordinal")
    rows = reviews()
    for task, column in (("regress", "points"), ("multilabel", "topics"), ("ordinal", "stars")):
        data = gw.data(rows, input="text", label=column, task=task)
        run = gw.fit(data, "text/minilm", task=task, tap="last")
        figures = ", ".join(f"{figure.words} {run.metrics[figure.name]:.2f}" for figure in run.task.figures[:2])
        print(f"{task} {column}: {figures}")
        for answer in run.predict(ASKED):
            said = answer.get("value", answer.get("labels", answer.get("label")))
            print(f"  {answer['input']} {f'{said:.1f}' if task == 'regress' else said}")


if __name__ == "__main__":
    try:
        main()
    except gw.GraftworkError as error:
        sys.exit(str(error))
