"""What the product's own source never does; what ruff knows of it (eval, pickle, ...) it is asked in `make check`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [
    file
    for place in ("core/src", "plugins", "examples")
    for file in sorted((ROOT / place).rglob("*.py"))
    if not {"tests", "build", ".venv"} & set(file.relative_to(ROOT).parts)
]


def wrong(tree: ast.AST) -> Iterator[str]:
    """What of a module would let a file decide which code runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            yield "trust_remote_code"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is(node.value, False):
            yield "allow_pickle"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            said = {keyword.arg: keyword.value for keyword in node.keywords}
            if "weights_only" not in said or not _is(said["weights_only"], True):
                yield "torch.load"
        if isinstance(node, ast.Constant) and node.value == "trust_remote_code":
            yield "trust_remote_code"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            yield from (name for name in modules if name.split(".")[0] in ("joblib", "dill", "cloudpickle"))
            # transformers' automatic classes are those that follow auto_map
            yield from (name for name in names if modules[0] == "transformers" and name.startswith("Auto"))
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("transformers.Auto"):
            yield node.attr


def _is(node: ast.expr, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_no_source_lets_a_file_decide_which_code_runs() -> None:
    assert len(SOURCES) > 100
    found = {str(file.relative_to(ROOT)): list(wrong(ast.parse(file.read_text(encoding="utf-8")))) for file in SOURCES}
    assert {file: words for file, words in found.items() if words} == {}


def test_what_is_looked_for_is_found() -> None:
    for code in (
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "options = {'trust_remote_code': True}",
        "numpy.load(x, allow_pickle=maybe)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "import joblib",
        "from transformers import AutoModel",
        "transformers.AutoTokenizer.from_pretrained(x)",
    ):
        assert list(wrong(ast.parse(code))), code
