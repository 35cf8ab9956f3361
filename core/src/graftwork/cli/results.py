"""What several results say alike: the conversions of the data, and metrics."""

from __future__ import annotations

from typing import Any

from graftwork.cli.terminal import say, table


def say_conversions(agreement: dict[str, Any]) -> None:
    for step in agreement["steps"]:
        say(f"Converted: {conversion(step)}")


def conversion(step: dict[str, Any]) -> str:
    return (
        f"{step['fact'].replace('_', ' ')} {step['seen']} to {step['to']} by {step['converter']} "
        f"({step['count']} examples)"
    )


def metrics_table(rows: list[list[Any]]) -> None:
    table(
        ["on", "examples", "accuracy", "macro F1", "log loss", "most frequent label"],
        [
            [name, str(n), *(f"{m[k]:.4f}" for k in ("accuracy", "macro_f1", "log_loss", "majority"))]
            for name, n, m in rows
        ],
        ("examples", "accuracy", "macro F1", "log loss", "most frequent label"),
    )
