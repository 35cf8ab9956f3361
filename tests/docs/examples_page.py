"""Makes docs/examples.md from the scripts in examples/ and what they printed: python tests/docs/examples_page.py"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

try:
    from . import kept_output
except ImportError:  # as a script
    import kept_output

PAGE = Path(__file__).parents[2] / "docs" / "examples.md"

HEAD = """# Examples

Each of these is a short script in [examples/](../examples). It needs no network and no data of yours: what it learns from comes with
the plugins, or is made on the spot. Run it from anywhere, as `python examples/three_modalities.py`. What it printed is kept in
`examples/output`, and the tests compare it with what it prints today; figures differ a little from machine to machine.

Three are [notebooks](../examples/notebooks) too: `three_modalities`, `computed_once` and `prove_it`.
"""

WORDS = {
    "three_modalities": (
        "Three modalities, one function",
        "`gw.fit` takes data and the name of an encoder, whatever the modality. What the encoder was pretrained to read is compared with "
        "what the data are first: clips for an encoder of texts are refused in a sentence that says what would fit.",
    ),
    "fifty_pictures": (
        "Fifty pictures, and three hundred",
        "How much of an encoder to train depends on how much there is to learn from. `head` keeps the encoder frozen, `all` trains every "
        "stage, and `lpft` trains the head first and then everything at a tenth of the rate. All are judged by the same hundred pictures.",
    ),
    "computed_once": (
        "Computed once",
        "What a frozen encoder makes of an example is kept. Ten fits with other seeds, strengths, depths and weights cost one pass; the "
        "record of each run says how many examples were found and how many were computed.",
    ),
    "prove_it": (
        "Prove it",
        "Every run carries a certificate: digests of each stage before and after. Here one stage trains. The tensors of the saved run are "
        "compared with the published ones, and then a leak is planted: a frozen layer drifts, and the fit is refused by its name.",
    ),
    "own_encoder": (
        "An encoder of your own",
        "Where no published encoder suits the data, `gw.pretrain` makes one. Here a small network learns six digits and helps with the other "
        "four, of which there are ten pictures each; it does better than a larger one that was trained on photographs. `graftwork new plugin` "
        "makes a package of it. [More on pretraining](pretraining.md).",
    ),
    "a_new_modality": (
        "A new modality",
        "Pictures, texts and sound are plugins, and so is whatever else you have. This one brings melodies: a reader, and an encoder that "
        "counts steps above the first note. It is installed by its entry point alone and imports nothing but `graftwork`. [For "
        "authors](authors.md).",
    ),
    "in_scikit_learn": (
        "In scikit-learn",
        "`TransferClassifier` is an estimator: it stands in a pipeline, is cross-validated and searched over. Every fold and every strength "
        "finds the features that were computed once.",
    ),
    "numbers_and_sets": (
        "Numbers, sets and scales",
        "An answer may be a number (`regress`), any of several labels (`multilabel`) or a place on a scale (`ordinal`, a task that a plugin "
        "brings). The same texts answer all three.",
    ),
    "voice_command": (
        "Voice commands",
        "From clips to a stream: seconds with and without a command are learned from the voices of men, checked, and fitted; then windows slide "
        "over a stream by a woman's voice, and what is heard is compared with what was said. `--microphone` listens to you instead "
        "(`pip install sounddevice`).",
    ),
    "tagging": ("Names in texts", "Spans of texts, and files that annotation tools read. [The guide](tagging.md)."),
    "transcription": ("What is said in a clip", "Clips to texts. [The guide](transcription.md)."),
    "segmentation": ("The class of each pixel", "Pictures to masks. [The guide](segmentation.md)."),
    "detection": ("Boxes in pictures", "From a COCO file to a COCO file. [The guide](detection.md)."),
}
"""For each example, in the order of the page, its title and what it shows."""

BEGIN, END = "import graftwork as gw\n", '\n\nif __name__ == "__main__":'


def made() -> str:
    return "\n".join([HEAD, *(section(name) for name in WORDS)])


def section(name: str) -> str:
    """The title, what it shows, the script without imports and its last lines, the files beside it, and what it printed."""
    title, words = WORDS[name]
    script = kept_output.SCRIPTS[name]
    code = script.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    beside = [] if script.parent == kept_output.EXAMPLES else sorted(set(script.parent.rglob("*.py")) - {script})
    parts = [
        f"## {title}",
        fill(words, 120, break_on_hyphens=False, break_long_words=False),
        f"{link(script)}:",
        f"~~~python\n{code}\n~~~",
        *(
            part
            for file in beside
            for part in (f"{link(file)}:", f"~~~python\n{file.read_text(encoding='utf-8').strip()}\n~~~")
        ),
        "It prints",
        f"~~~text\n{kept_output.kept(name).strip()}\n~~~",
    ]
    return "\n\n".join(parts) + "\n"


def link(file: Path) -> str:
    place = file.relative_to(kept_output.EXAMPLES)
    return f"[examples/{place}](../examples/{place})"


if __name__ == "__main__":
    PAGE.write_text(made(), encoding="utf-8")
    print("Written: docs/examples.md")
