"""Pages that need nothing else: one HTML file each, with everything they show inside."""

from __future__ import annotations

import base64
import contextlib
import html
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graftwork.errors import DataError, Unreadable
from graftwork.specs.agreement import words
from graftwork.specs.contracts import plural, show

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem } h3 { font-size: 1rem; margin: 1.5rem 0 .2rem }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #d9dee5; padding: .35rem .5rem; vertical-align: top; text-align: left }
th { font-weight: 600 } td:first-child { color: #5a6675; width: 24% } .lead { font-size: 1.15rem }
td.n { text-align: right; width: 6rem } p.hint { color: #5a6675; margin: .1rem 0 .6rem }
.group { display: flex; flex-wrap: wrap; gap: .5rem; margin: .4rem 0; padding: .5rem; background: #f4f6f8 }
figure { margin: 0; width: 160px } figure img { max-width: 160px; max-height: 160px; display: block }
figcaption { font-size: .75rem; color: #5a6675; overflow-wrap: anywhere }
blockquote { margin: 0; padding: .1rem .6rem; border-left: 3px solid #b8c2ce; flex-basis: 100% }
dl.texts { margin: .3rem 0; display: grid; grid-template-columns: 4rem 1fr; gap: .2rem .6rem }
dl.texts dt { color: #5a6675 } dl.texts dd { margin: 0; overflow-wrap: anywhere }
mark { padding: .05rem .2rem; border-radius: .2rem } mark small { color: #495057; font-size: .7rem }
.pair { display: flex; gap: .6rem } .pair figure { width: auto; flex: 1 }
.pair img { max-width: 100%; max-height: none }
.ok { color: #19692c } .bad { color: #a3261b }
"""

SHOWN = 6
"""How many groups of a problem are shown, and how many examples of a group."""
DRAWN = 12
"""How many examples are drawn with their labels."""


def page(title: str, body: str) -> str:
    """A whole HTML document; `body` is HTML, `title` text."""
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n<h1>{html.escape(title)}</h1>\n{body}\n</html>\n"
    )


def rows(pairs: Iterable[tuple[str, str]]) -> str:
    """A table of names and values, both text."""
    lines = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in pairs)
    return f"<table>{''.join(lines)}</table>"


def write_check(checked: Any, path: Path) -> None:
    """What `check` found, with a picture or the words of what is wrong.

    Raises `DataError` for a path that cannot be written.
    """
    data, observed = checked.data, checked.data.observed
    lead = f"{observed.place} holds {data.modality.noun}: {show(observed.count)} {observed.items}"
    if checked.labels:
        lead += f" under {plural(len(checked.labels), 'label')}"
    found = plural(len(checked.problems), "kind of problem", "kinds of problems") if checked.problems else "no problems"
    parts = [f'<p class="lead">{html.escape(lead[:1].upper() + lead[1:])}; {found}.</p>']
    read = f"Read as {data.layout}" + (f", labels from {data.labels_place}" if data.labels_place else "")
    parts += [f"<p>{html.escape(sentence)}</p>" for sentence in (f"{read}.", *data.notes)]
    if checked.problems:
        parts.append("<h2>Problems</h2>")
        parts += [_problem(checked, problem) for problem in checked.problems]
    parts += _labels_drawn(checked)
    if checked.backbone:
        parts.append(f"<h2>Agreement with {html.escape(checked.backbone)}</h2>{_agreement(checked)}")
    parts.append(f"<h2>What the data are</h2>{_facts(observed)}")
    if checked.labels:
        counts = [
            (label, ", ".join(f"{split} {show(count)}" for split, count in splits.items()))
            for label, splits in list(checked.label_counts.items())[:100]
        ]
        parts.append(f"<h2>Labels</h2>{rows(counts)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(f"{data.name}: check", "\n".join(parts)), encoding="utf-8")
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror}.", "Name another file: --html FILE") from error


def _labels_drawn(checked: Any) -> list[str]:
    """Some examples with the labels that lie in them, drawn at random but always the same."""
    data, task = checked.data, checked.task
    if not data.labels or not hasattr(task, "draw"):
        return []
    try:
        known = task.encode(data.labels)
    except DataError:  # it is among the problems
        return []
    made = []
    for place in sorted(random.Random(0).sample(range(len(data)), min(DRAWN, len(data)))):
        raw = data.raws[place]
        with contextlib.suppress(Unreadable, DataError):
            if shown := task.draw(raw, None, data.labels[place], known):
                made.append(f"<section><h3>{html.escape(checked.reader.show(raw))}</h3>{shown}</section>")
    return [f"<h2>Some examples with their labels</h2>{''.join(made)}"] if made else []


def _facts(observed: Any) -> str:
    lines = []
    for fact, seen in observed.facts.items():
        for place, sighting in enumerate(seen[:SHOWN]):
            name = f"{words(fact)} ({observed.span(fact)})" if len(seen) > SHOWN else words(fact)
            cells = [name if place == 0 else "", show(sighting.value, observed.units.get(fact, "")), sighting.example]
            escaped = [html.escape(cell) for cell in cells]
            count = f'<td class="n">{show(sighting.count)}</td>'
            lines.append(f"<tr><td>{escaped[0]}</td><td>{escaped[1]}</td>{count}<td>{escaped[2]}</td></tr>")
    head = "<tr><th>fact</th><th>value</th><th>examples</th><th>for example</th></tr>"
    return f"<table>{head}{''.join(lines)}</table>"


def _agreement(checked: Any) -> str:
    if checked.mismatch:
        return f'<p class="bad">{html.escape(str(checked.mismatch))}</p>'
    agreement = checked.agreement
    steps = [
        (words(s.fact), f"{show(s.seen)} becomes {show(s.to)} by {s.converter}, in {show(s.count)} examples")
        for s in agreement.steps
    ]
    left = [(words(item.fact), f"left out ({show(item.count)}): {item.reason}") for item in agreement.left_out]
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in agreement.warnings)
    plainly = ", but not all that they hold reaches it." if checked.lossy else " as they are."
    verdict = f'<p class="ok">They fit{", with these conversions." if steps else plainly}</p>'
    return verdict + (rows([*steps, *left]) if steps or left else "") + (f"<ul>{notes}</ul>" if notes else "")


def _problem(checked: Any, problem: Any) -> str:
    title = f"<h3>{html.escape(words(problem.kind).capitalize())} ({show(problem.count)})</h3>"
    said = f'<p>{html.escape(problem.message)}</p><p class="hint">{html.escape(problem.hint)}</p>'
    if problem.groups:
        shown = "".join(
            f'<div class="group">{"".join(_example(checked, n) for n in group[:SHOWN])}</div>'
            for group in problem.groups[:SHOWN]
        )
    else:
        shown = "".join(f"<blockquote>{html.escape(name)}</blockquote>" for name in problem.examples[:SHOWN])
    return title + said + shown


def _example(checked: Any, number: int) -> str:
    raw = checked.raws[number]
    place = checked.places.get(number)
    about = html.escape(", ".join(part for part in (checked.reader.show(raw), *place) if part))
    try:
        picture = checked.reader.picture(raw)
    except Unreadable:
        picture = None
    if picture is None:
        return f"<blockquote>{about}</blockquote>"
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return f'<figure><img alt="" src="{source}"><figcaption>{about}</figcaption></figure>'
