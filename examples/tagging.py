"""Names in texts, from labelled texts to files that annotation tools read: python examples/tagging.py [FOLDER]"""

from __future__ import annotations

import sys
from pathlib import Path

import graftwork as gw

TEXTS = ["May Banks moves to Bath on 3 May.", "Will the rose bloom in Paris in June?"]


def main(folder: Path) -> None:
    gw.require_plugins("graftwork-text[starter]")
    data = gw.demo_data("entities", folder)  # 300 messages with persons, places and dates
    run = gw.fit(data, "text/minilm", task="tag", out=folder / "run")  # the encoder stays frozen, the head is solved
    for figure in run.task.figures:
        print(f"{figure.words}: {run.metrics[figure.name]:.3f}")

    answers = run.predict(TEXTS)
    for entity in answers[0]["entities"]:
        print(f"{entity['text']}: {entity['label']} ({entity['probability']:.2f})")

    print(f"As JSON lines and CoNLL columns: {run.write_answers(TEXTS, folder / 'found')}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "tagging"))
    except gw.GraftworkError as error:
        sys.exit(str(error))
