"""Pages that need nothing else: one HTML file each, made from a template that escapes whatever the data hold."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.errors import DataError
from graftwork.reports import charts, sentences
from graftwork.reports.shown import data_url, drawn
from graftwork.runtime.visible import visible
from graftwork.specs.agreement import words
from graftwork.specs.contracts import plural, show
from graftwork.specs.fact_rows import fact_rows

if TYPE_CHECKING:
    from jinja2 import BytecodeCache, Environment


@cache
def environment() -> Environment:
    """The one environment of all pages; names, labels and texts are escaped everywhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only what writes a page needs it

    made = Environment(
        loader=PackageLoader("graftwork.reports", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.do"], bytecode_cache=_compiled(),
    )  # fmt: skip
    made.globals |= {"charts": charts, "sentences": sentences, "fact_rows": fact_rows, "plural": plural}
    made.filters |= {
        "figure": charts.figure, "show": show, "words": words, "upper_first": lambda text: text[:1].upper() + text[1:],
        "data_url": data_url, "drawn": drawn,
    }  # fmt: skip
    return made


def _compiled() -> BytecodeCache | None:
    """Templates that this user's processes compiled, in a temporary folder that is the user's alone; none where that
    cannot be."""
    from jinja2.bccache import Bucket, FileSystemBytecodeCache

    class Compiled(FileSystemBytecodeCache):
        def dump_bytecode(self, bucket: Bucket) -> None:
            with suppress(OSError):  # a full disk is no reason to fail
                super().dump_bytecode(bucket)

    try:
        return Compiled()
    except (OSError, RuntimeError):
        return None


def render(template: str, **context: Any) -> str:
    """A page as HTML. template: the name of a file in `templates`, such as "rank.html.j2"."""
    return visible(environment().get_template(template).render(context))


def write_page(path: Path, template: str, **context: Any) -> None:
    """Write a page; folders above it are made. Raises `OSError` for a path that cannot be written."""
    text = render(template, **context)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_asked(path: Path, template: str, **context: Any) -> None:
    """Write a page that a user asked for by `--html`. Raises `DataError` for a path that cannot be written."""
    try:
        write_page(path, template, **context)
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror}.", "Name another file: --html FILE") from error
