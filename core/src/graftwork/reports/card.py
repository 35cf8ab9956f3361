"""What a run says of itself to people: a model card and a report, both written from its record alone."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graftwork.reports.html_page import page, rows
from graftwork.specs.agreement import words


def write_card(record: dict[str, Any], path: Path) -> None:
    """The model card, in Markdown."""
    made_of = "\n".join(f"| {name} | {_plain(value)} |" for name, value in _facts(record))
    figures = "\n".join(f"| {name} | {value} |" for name, value in _figures(record))
    warnings = "\n".join(f"- {_plain(warning)}" for warning in record["warnings"]) or "- none"
    path.write_text(
        f"# {_plain(record['data']['name'])}: {record['task']} with {record['backbone']}\n\n"
        f"| | |\n|---|---|\n{made_of}\n\n## Measured\n\n| | |\n|---|---|\n{figures}\n\n## Warnings\n\n{warnings}\n\n"
        f'## Use\n\nRUN is this folder.\n\n```python\nimport graftwork as gw\n\ngw.load("RUN").predict([...])\n```\n',
        encoding="utf-8",
    )


def _plain(words: str) -> str:
    """Words of the data as they are: no HTML, no end of a cell or of a line."""
    return " ".join(html.escape(words, quote=False).replace("|", "\\|").split())


def write_report(record: dict[str, Any], path: Path, drawn: Sequence[tuple[str, str]] = ()) -> None:
    """The report, one HTML page that needs nothing else. drawn: validation examples with their answers, the worst
    first: the name of each, and it as HTML."""
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in record["warnings"]) or "<li>none</li>"
    body = f"""<p class="lead">{html.escape(record["headline"])}</p>
<h2>Measured</h2>{rows(_figures(record))}
{_drawn(drawn)}{_epochs(record)}<h2>Made of</h2>{rows(_facts(record))}
<h2>Warnings</h2><ul>{notes}</ul>"""
    title = f"{record['data']['name']}: {record['task']} with {record['backbone']}"
    path.write_text(page(title, body), encoding="utf-8")


def _drawn(examples: Sequence[tuple[str, str]]) -> str:
    """Examples with their answers."""
    if not examples:
        return ""
    made = "".join(f"<section><h3>{html.escape(name)}</h3>{shown}</section>" for name, shown in examples)
    return f"<h2>Seen: validation examples, the worst first</h2>{made}"


def _epochs(record: dict[str, Any]) -> str:
    """What each validation of a training by steps gave."""
    if record["engine"] == "exact":
        return ""
    found = []
    for row in record["training"]["history"]:
        name = f"epoch {row['epoch']}" if row["epoch"] else "solved head, before any step"
        best = " (kept)" if row["epoch"] == record["training"]["best_epoch"] else ""
        loss = f"loss {row['loss']:.4f}, " if "loss" in row else ""
        figures = ", ".join(f"{words(k)} {v:.4f}" for k, v in row.items() if k not in ("epoch", "loss"))
        found.append((name, f"{loss}validation {figures}{best}"))
    return f"<h2>Epochs</h2>{rows(found)}"


def _steps(record: dict[str, Any]) -> list[tuple[str, str]]:
    if record["engine"] == "exact":
        return []
    about, trained = record["training"], record["certificate"]["stages"]
    count = sum(len(entry["trained"]) for entry in trained.values())
    words = (
        f"{about['steps']} steps of {about['batch_size']} examples, rate {about['lr']:g}, head {about['head_lr']:g}, "
        f"{about['precision']}; {count} tensors of the encoder trained"
    )
    return [("Steps", words)]


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    steps = [
        f"{s['fact']} {s['seen']} to {s['to']} by {s['converter']} ({s['count']})" for s in record["agreement"]["steps"]
    ]
    frozen = record["certificate"]
    return [
        ("Labels", ", ".join(record["targets"]["names"][:20]) + (" …" if len(record["targets"]["names"]) > 20 else "")),
        ("Encoder", f"{record['backbone']}, tapped after {record['tap']}"),
        ("Conversions", "; ".join(steps) or "none needed"),
        *([("Adapter", record["adapter"])] if record["adapter"] else []),
        ("Trained", f"{record['head']} head by the {record['engine']} engine, freeze policy {record['freeze']}"),
        *_steps(record),
        (
            "Frozen stages",
            f"{len(frozen['frozen'])}, {'none moved' if frozen['ok'] else 'MOVED'} (digests in run.json)",
        ),
        ("Examples", f"{record['n_train']} train, {record['n_val']} validation, {record['n_test']} test"),
        ("Precision", record["precision"]["used"]),
        ("Seed", str(record["seed"])),
        ("Versions", ", ".join(f"{k} {v}" for k, v in record["versions"].items())),
    ]


def _figures(record: dict[str, Any]) -> list[tuple[str, str]]:
    metrics = record["metrics"]
    rows = [(f"validation {name}", f"{value:.4f}") for name, value in metrics.items() if not isinstance(value, dict)]
    test = metrics.get("test", {})
    rows += [(f"test {name}", f"{value:.4f}") for name, value in test.items() if not isinstance(value, dict)]
    for figure, by_label in metrics.get("by_label", {}).items():
        rows.append((f"{words(figure)} by label", ", ".join(f"{name} {value:.3f}" for name, value in by_label.items())))
    return [*rows, ("seconds", f"{record['timings']['total']:.1f}")]
