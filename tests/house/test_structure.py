"""The house: folders by subject, imports one way, and labels known to tasks alone."""

from __future__ import annotations

import functools
import re
import subprocess
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "graftwork"
LONGEST = 12

LABELS = re.compile(
    r"\bclasses\b|\bclass numbers?\b|\bmajority\b|accuracy|macro_f1|log_loss|softmax|cross_entropy|\bclassif(y|ication)\b"
    r"|\b(one|each|every|per|rare|of) class\b",
    re.I,
)
"""Words of labels that are names, and of figures on them."""

ALLOWED = {
    ("specs/task.py", 'DEFAULT_TASK = "classify"'),
    ("plugins/builtin.py", 'factory="graftwork.tasks.classify:Classify",'),
    ("__init__.py", "from graftwork.tasks.losses import Loss, Sigmoid, Softmax, Squares"),
    ("__init__.py", '"Softmax": "graftwork.tasks.losses",'),
    ("__init__.py", '"Softmax",'),
}


@pytest.fixture(scope="module")
def rooms() -> dict[str, set[str]]:
    """For each folder of the core (or module at its top) those that it imports from."""
    graph = grimp.build_graph("graftwork", cache_dir=None, exclude_type_checking_imports=True)
    found: dict[str, set[str]] = {}
    for module in graph.modules - {"graftwork", "graftwork.__main__"}:
        room = module.split(".")[1]
        others = {name.split(".")[1] for name in graph.find_modules_directly_imported_by(module) if "." in name}
        found.setdefault(room, set()).update(others - {room})
    return found


def test_the_rooms_are_the_layers_that_lint_holds(rooms) -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (contract["layers"] for contract in config["contracts"] if contract["type"] == "layers")
    assert {room for layer in layers for room in layer.split(" : ")} == set(rooms) | {"errors"}


def test_the_longest_chain_of_imports_is_short_and_there_is_no_circle(rooms) -> None:
    @functools.cache
    def chain(room: str) -> tuple[str, ...]:
        return (room, *max((chain(other) for other in rooms.get(room, ())), key=len, default=()))

    chains = {room: chain(room) for room in rooms}  # a circle would recurse without end
    assert len(max(chains.values(), key=len)) <= LONGEST


def test_folders_have_empty_init_files() -> None:
    for file in CORE.rglob("__init__.py"):
        if file.parent not in (CORE, CORE / "testing"):  # what is public
            assert not file.read_text().strip(), file


def test_no_room_but_tasks_speaks_of_labels_that_are_names() -> None:
    found = subprocess.run(["git", "ls-files", "*.py"], cwd=CORE, capture_output=True, text=True, check=True)
    wrong = []
    for name in found.stdout.split():
        if name.startswith("tasks/"):
            continue
        for number, line in enumerate((CORE / name).read_text(encoding="utf-8").splitlines(), 1):
            if LABELS.search(line) and (name, line.strip()) not in ALLOWED:
                wrong.append(f"{name}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def test_a_module_that_moves_between_folders_cannot_leave_the_key_of_the_store(tmp_path, monkeypatch) -> None:
    """The key digests folders: every module in them counts, whatever it is called."""
    import shutil

    from graftwork.plugins import code_digest

    copy = tmp_path / "graftwork"
    shutil.copytree(CORE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_digest, "__file__", str(copy / "plugins" / "code_digest.py"))
    before = code_digest.core()
    seen = {before}
    for folder in code_digest.FOLDERS:
        for file in sorted((copy / folder).rglob("*.py"))[:3]:
            file.write_text(file.read_text() + "\n# changed\n")
            assert code_digest.core() not in seen, file
            seen.add(code_digest.core())
    (copy / "features" / "new.py").write_text("")
    assert code_digest.core() not in seen
