"""The table of figures in docs/performance.md, made from docs/figures: a column for each kind of machine.

Usage: page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figures import said

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGIN, END = "<!-- figures: made by tests/bench/page.py -->", "<!-- end of figures -->"
ORDER = ("AVX2", "AVX-512", "AVX-512 BF16", "AMX", "H100", "H200")


def kept() -> list[dict[str, Any]]:
    """What was measured on each kind of machine, in the order of the columns."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in (DOCS / "figures").glob("*.json")]
    places = {kind: place for place, kind in enumerate(ORDER)}
    return sorted(found, key=lambda one: (places.get(one["machine"]["kind"], len(ORDER)), one["machine"]["kind"]))


def table(machines: list[dict[str, Any]]) -> str:
    """Markdown: what was measured, by which script, and a column for each machine; then what the machines are."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one in machines:
        for row in one["figures"]:
            cells = rows.setdefault((row["script"], row["what"]), {})
            cells[one["machine"]["kind"]] = said(row["value"], row["unit"])
    kinds = [one["machine"]["kind"] for one in machines]
    lines = [" | ".join(["| what", "script", *kinds]) + " |", "|---|---|" + "---:|" * len(kinds)]
    for (script, what), cells in rows.items():
        lines.append(" | ".join([f"| {what}", f"`{script}`", *(cells.get(kind, "") for kind in kinds)]) + " |")
    about = []
    for one in machines:
        commits = sorted({row["commit"] for row in one["figures"]})
        dates = sorted({row["date"] for row in one["figures"]})
        span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        where = one["machine"]
        about.append(
            f"- {where['kind']}: {where['processor']}, {where['cores']} cores, torch {where['torch']}; {span}, "
            f"commit {', '.join(commits)}"
        )
    return "\n".join([*lines, "", *about])


def written(page: str) -> str:
    """The page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(kept())}\n{END}{after}"


if __name__ == "__main__":
    file = DOCS / "performance.md"
    file.write_text(written(file.read_text(encoding="utf-8")), encoding="utf-8")
