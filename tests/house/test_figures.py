"""The page of figures is what benches measured, and nothing that was measured is lost."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "tests" / "bench"


@pytest.fixture
def benches(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def row(what: str, value: float, commit: str = "abc") -> dict[str, Any]:
    return {"what": what, "value": value, "unit": "times", "script": "a.py", "commit": commit, "date": "2026-01-01"}


def machine(kind: str) -> dict[str, Any]:
    return {"kind": kind, "processor": "P", "cores": 2, "torch": "2"}


def test_the_page_is_what_the_figures_make(benches) -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert benches("page").written(text) == text, "run: python tests/bench/page.py"


def test_a_column_for_each_kind_of_machine(benches) -> None:
    made = [
        {"machine": machine("AVX2"), "figures": [row("a", 2.0), row("b", 12345.6)]},
        {"machine": machine("H100"), "figures": [row("b", 0.5), row("c", 1.0, "def")]},
    ]
    lines = benches("page").table(made).splitlines()
    assert lines[0] == "| what | script | AVX2 | H100 |"
    assert lines[2:5] == [
        "| a | `a.py` | 2 times |  |",
        "| b | `a.py` | 12 346 times | 0.5 times |",
        "| c | `a.py` |  | 1 times |",
    ]
    assert lines[-1] == "- H100: P, 2 cores, torch 2; 2026-01-01, commit abc, def"


def test_a_figure_that_is_measured_again_replaces_the_one_before_and_no_other(benches, tmp_path) -> None:
    keep = benches("measure").keep
    keep([row("a", 1.0), row("b", 2.0)], machine("AMX"), tmp_path)
    keep([row("a", 3.0, "new")], machine("AVX-512 BF16"), tmp_path)
    file = keep([row("a", 4.0, "new")], machine("AMX"), tmp_path)
    assert json.loads(file.read_text())["figures"] == [row("a", 4.0, "new"), row("b", 2.0)]
    assert {one.name for one in tmp_path.iterdir()} == {"amx.json", "avx-512-bf16.json"}


def test_a_bench_gives_its_figures_to_the_file_that_is_named(tmp_path) -> None:
    code = "from figures import figure; figure('a cold fit', 2.345678, 'times')"
    file = tmp_path / "figures"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BENCH,
        env={"BENCH_FIGURES": str(file), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.stdout == "a cold fit: 2.35 times\n"
    assert json.loads(file.read_text()) == {"what": "a cold fit", "value": 2.3457, "unit": "times"}


def test_every_bench_of_make_bench_is_there(benches) -> None:
    measure = benches("measure")
    for bench in measure.BENCHES:
        assert (BENCH / f"{bench.split()[0]}.py").is_file(), bench
