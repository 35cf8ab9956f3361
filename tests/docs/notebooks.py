"""Makes examples/notebooks from the scripts: python tests/docs/notebooks.py

The docstring of a script is the title, what stands above `main` one cell, and each paragraph of `main` another, whose first comment
is the text above it. The notebooks are run, so that they hold what they print.
"""

from __future__ import annotations

import ast
import os
import re
import tempfile
from collections.abc import Iterator
from textwrap import dedent

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

try:
    from . import kept_output
except ImportError:  # as a script
    import kept_output

NAMES = ("three_modalities", "computed_once", "prove_it")
NOTEBOOKS = kept_output.EXAMPLES / "notebooks"
BEGIN = "folder = Path(mkdtemp())"


def made(name: str) -> nbformat.NotebookNode:
    """The notebook of a script, not run."""
    text = kept_output.SCRIPTS[name].read_text(encoding="utf-8")
    tree = ast.parse(text)
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    lines = text.splitlines()
    head = "\n".join(lines[tree.body[0].end_lineno : main.lineno - 1])
    head = head.replace("from __future__ import annotations\n", "").replace("import sys\n", "")
    head = head.replace("import TemporaryDirectory", "import mkdtemp")
    body = dedent("\n".join(lines[main.body[0].lineno - 1 : main.end_lineno]))
    title = re.sub(r": python examples/\S+", ".", ast.get_docstring(tree) or "")
    cells = [
        new_markdown_cell(f"# {name.replace('_', ' ').capitalize()}\n\n{title}"),
        new_code_cell(f"{head.strip()}\n\n{BEGIN}"),
        *paragraphs(body),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"{name.replace('_', '-')}-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def paragraphs(body: str) -> Iterator[nbformat.NotebookNode]:
    """A cell for each group of lines that are not indented and have no blank line between them."""
    for paragraph in re.split(r"\n\n(?=\S)", body.strip()):
        comment = re.match(r"(#.*\n)+", paragraph)
        if comment:
            yield new_markdown_cell(re.sub(r"^# ?", "", comment[0], flags=re.M).strip().replace("\n", " "))
        yield new_code_cell(paragraph[comment.end() :] if comment else paragraph)


def run(notebook: nbformat.NotebookNode) -> str:
    """Run every cell, in an empty folder, and return what they print. Raises `nbclient.exceptions.CellExecutionError`."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **kept_output.ONE_ARITHMETIC, "GRAFTWORK_CACHE": f"{folder}/.cache"}
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}})
        client.execute(env=environment)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # warnings of libraries are of this machine alone
            cell.outputs = [output for output in cell.outputs if output.get("name") == "stdout"]
    return printed(notebook)


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs)


if __name__ == "__main__":
    NOTEBOOKS.mkdir(exist_ok=True)
    for name in NAMES:
        notebook = made(name)
        run(notebook)
        for cell in notebook.cells:
            for output in cell.get("outputs", ()):
                output.text = re.sub(r"/tmp/\w+", "/tmp/data", output.text)
        nbformat.write(notebook, NOTEBOOKS / f"{name}.ipynb")
        print(f"Written: examples/notebooks/{name}.ipynb")
