"""Answers that are a number, a set of labels or a place on a scale: python examples/numbers_and_sets.py"""

from __future__ import annotations

import random
import sys

import graftwork as gw

WORDS = {
    "food": ("The soup was cold and bland.", "The food was all right.", "We loved every dish, best meal in years."),
    "service": ("The waiter was rude.", "The waiter took our order.", "The staff were warm and quick."),
    "room": ("It was loud and dirty.", "There was a table free.", "A quiet, beautiful room."),
}
ASKED = ["The staff were friendly and the cake was wonderful.", "A rude waiter, a dirty table and cold coffee."]


def reviews(count: int = 300) -> list[dict[str, object]]:
    """Made-up reviews of restaurants: the points that they gave, what they are about, and stars."""
    chance, rows = random.Random(0), []
    for _ in range(count):
        about = chance.sample(list(WORDS), chance.choice((1, 2, 2, 3)))
        points = {topic: chance.choice((0, 1, 2)) for topic in about}
        text = " ".join(WORDS[topic][given] for topic, given in points.items())
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
            print(f"  {answer['input']} {round(said) if task == 'regress' else said}")


if __name__ == "__main__":
    try:
        main()
    except gw.GraftworkError as error:
        sys.exit(str(error))
