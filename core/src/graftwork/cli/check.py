"""`graftwork check`: what data are and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graftwork.cli.options import (
    Adapter,
    AllowOutside,
    Convert,
    DropLabel,
    Input,
    Json,
    Label,
    LabelMap,
    Layout,
    ModalityName,
    Offline,
    TaskName,
    go_offline,
)
from graftwork.cli.results import labels_table
from graftwork.cli.terminal import document, steady, table, tell, upper
from graftwork.reports.sentences import conversion
from graftwork.specs.task import DEFAULT_TASK


def check(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What fit takes, or a folder of files without labels.")],
    backbone: Annotated[str | None, typer.Option(help="The encoder that the data are meant for.")] = None,
    task: TaskName = DEFAULT_TASK,
    adapter: Adapter = None,
    convert: Convert = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page that shows what is wrong.")] = None,
    input: Input = None,
    label: Label = None,
    layout: Layout = "",
    label_map: LabelMap = None,
    drop_label: DropLabel = None,
    allow_outside: AllowOutside = False,
    modality: ModalityName = "",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """What the data are, what is wrong with them, and whether they fit an encoder; exit 2 when they do not."""
    go_offline(offline)
    from graftwork.checks import checking

    with steady():
        found = checking.check(
            data,
            backbone=backbone,
            task=task,
            adapter=adapter or "",
            convert=convert or (),
            input=input,
            label=label,
            layout=layout,
            label_map=label_map,
            drop_label=drop_label,
            allow_outside=allow_outside,
            modality=modality,
        )
        if html is not None:
            from graftwork.reports.check_page import write_check

            write_check(found, html)
    if json:
        document(found.as_json())
    else:
        render(found, html)
    if found.mismatch is not None:
        raise typer.Exit(found.mismatch.exit_code)


def render(found: Any, page: Any) -> None:
    """What was found, as tables; `page` is named where one was written."""
    from graftwork.specs.agreement import words
    from graftwork.specs.contracts import plural, show
    from graftwork.specs.fact_rows import fact_rows

    observed = found.data.observed
    labels = f" under {plural(len(found.labels), 'label')}" if found.labels else ""
    if found.data.layout:
        place = f", labels from {found.data.labels_place}" if found.data.labels_place else ""
        tell(f"Read as {found.data.layout}{place}.")
    tell(
        f"{upper(observed.place)} holds {found.data.modality.noun}: {show(observed.count)} {observed.items}{labels} "
        f"({found.seconds:.1f} s)."
    )
    labels_table(found.label_counts)
    rows = [[row.fact, row.value, show(row.count), " to ".join(row.examples)] for row in fact_rows(observed.as_json())]
    table(["fact", "value", observed.items, "for example"], rows, (observed.items,))
    for note in found.data.notes:
        tell(f"Note: {note}")
    if found.problems:
        shown = [[words(p.kind), show(p.count), p.message, p.hint] for p in found.problems]
        table(["problem", "count", "what", "what to do"], shown, ("count",))
    else:
        tell("No problems found.")
    if found.agreement is not None:
        plainly = ", but not all that they hold reaches it (see the problems)" if found.lossy else " as they are"
        tell(f"The data fit {found.backbone}" + (":" if found.agreement.steps else f"{plainly}."))
        for step in found.agreement.steps:
            tell(f"  {conversion(vars(step))} ({step.count} examples)")
        for item in found.agreement.left_out:
            tell(f"  Left out ({show(item.count)}, first: {item.example}): {item.reason}")
        for warning in found.agreement.warnings:
            tell(f"  Warning: {warning}")
    if page is not None:
        tell(f"Page: {page}")
    elif found.problems:
        tell("See them: graftwork check DATA --html FILE")
    backbone = f" --backbone {found.backbone}" if found.agreement is not None else ""
    task = f" --task {found.task.spec.name}" if found.task.spec.name != DEFAULT_TASK else ""
    steps = "".join(f" --convert {name}" for name in found.agreement.optional) if found.agreement else ""
    tell(f"Next: graftwork fit DATA{backbone}{task}{steps}")
