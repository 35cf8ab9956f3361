"""The model card of a run, written from its record alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from graftwork.reports.charts import figure
from graftwork.reports.run_page import measured
from graftwork.reports.sentences import conversion
from graftwork.runtime.visible import markdown, visible
from graftwork.specs.agreement import words


def write_card(record: dict[str, Any], path: Path) -> None:
    """The model card, in Markdown; with a picture beside it where matplotlib is installed."""
    made_of = "\n".join(f"| {name} | {markdown(value)} |" for name, value in _facts(record))
    figures = "\n".join(f"| {' | '.join(map(markdown, row))} |" for row in measured(record)[1:])
    columns = measured(record)[0]
    pictures = "".join(f"![{markdown(says)}]({name})\n\n" for name, says in _pictures(record, path.parent))
    warnings = "\n".join(f"- {markdown(warning)}" for warning in record["warnings"]) or "- none"
    path.write_text(
        f"# {markdown(record['data']['name'])}: {markdown(record['task'])} "
        f"with {markdown(record['backbone'])}\n\n"
        f"{markdown(record['headline'])}\n\n| | |\n|---|---|\n{made_of}\n\n## Measured\n\n"
        f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{figures}\n\n{_by_label(record)}{pictures}"
        f"## Warnings\n\n{warnings}\n\n"
        f'## Use\n\nRUN is this folder.\n\n```python\nimport graftwork as gw\n\ngw.load("RUN").predict([...])\n```\n',
        encoding="utf-8",
    )


def _pictures(record: dict[str, Any], folder: Path) -> list[tuple[str, str]]:
    """The names of pictures that were written beside the card, each with what it says."""
    maps = [part for part in record.get("validation", {}).get("parts", ()) if part["kind"] == "heat_map"]
    if not maps or importlib.util.find_spec("matplotlib") is None:
        return []
    from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports]  an extra, slow to import

    made = []
    for number, part in enumerate(maps, 1):
        picture = Figure(layout="constrained")
        axes = picture.subplots()
        axes.imshow(
            [[count / max(1, sum(row)) for count in row] for row in part["counts"]], cmap="Blues", vmin=0, vmax=1
        )
        axes.set_xticks(
            range(len(part["columns"])), list(map(visible, part["columns"])), rotation=45, ha="right", parse_math=False
        )
        axes.set_yticks(range(len(part["rows"])), list(map(visible, part["rows"])), parse_math=False)
        axes.set(xlabel="answered", ylabel="true")
        picture.savefig(folder / f"card-{number}.png")
        made.append((f"card-{number}.png", part["says"]))
    return made


def _by_label(record: dict[str, Any]) -> str:
    found = record["metrics"].get("by_label", {})
    lines = (
        f"{markdown(words(name)[:1].upper() + words(name)[1:])} by label: "
        + ", ".join(f"{markdown(label)} {figure(value)}" for label, value in by_label.items())
        for name, by_label in found.items()
    )
    return "".join(f"{line}.\n\n" for line in lines)


def _steps(record: dict[str, Any]) -> list[tuple[str, str]]:
    if record["trained_by"] == "exact":
        return []
    about, trained = record["training"], record["certificate"]["stages"]
    count = sum(len(entry["trained"]) for entry in trained.values())
    words = (
        f"{about['steps']} steps of {about['batch_size']} examples, rate {about['lr']:g}, head {about['head_lr']:g}, "
        f"{about['precision']}; {count} tensors of the encoder trained"
    )
    return [("Steps", words)]


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    steps = [f"{conversion(step)} ({step['count']})" for step in record["agreement"]["steps"]]
    frozen = record["certificate"]
    return [
        ("Labels", ", ".join(record["targets"]["names"][:20]) + (" …" if len(record["targets"]["names"]) > 20 else "")),
        ("Encoder", f"{record['backbone']}, tapped after {record['tap']}"),
        ("Conversions", "; ".join(steps) or "none needed"),
        *([("Adapter", record["adapter"])] if record["adapter"] else []),
        ("Trained", f"{record['head']} head by the {record['trained_by']} engine, freeze policy {record['freeze']}"),
        *_steps(record),
        (
            "Frozen stages",
            f"{len(frozen['frozen'])}, {'none moved' if frozen['ok'] else 'MOVED'} (digests in run.json)",
        ),
        ("Examples", f"{record['n_train']} train, {record['n_val']} validation, {record['n_test']} test"),
        ("Precision", f"{record['precision']['used']}, by {record['engine']['used']}"),
        ("Seed", str(record["seed"])),
        ("Seconds", f"{record['timings']['total']:.1f}"),
        ("Versions", ", ".join(f"{k} {v}" for k, v in record["versions"].items())),
    ]
