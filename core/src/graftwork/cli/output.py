"""How results look on a terminal and as JSON."""

from __future__ import annotations

import json as jsonlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All but tabs and line ends of C0 and C1."""

# click's usage errors, from the copy of it that typer itself raises.
USAGE_ERRORS: Any = tuple(
    {base for base in typer.BadParameter.__mro__ if base.__name__ in ("UsageError", "ClickException")}
)


def visible(words: str) -> str:
    """Words for a terminal: characters that would steer it, which names and labels may hold, as Python writes them."""
    return CONTROLS.sub(lambda found: repr(found[0])[1:-1], words)


def tell(words: str) -> None:
    """A part of the result, on stdout."""
    print(visible(words))


def say(words: str) -> None:
    """A message to the person, on stderr."""
    print(visible(words), file=sys.stderr)


def document(value: Any) -> None:
    print(jsonlib.dumps(value, ensure_ascii=False, indent=2))


def upper(words: str) -> str:
    """The first letter large, the rest as it is."""
    return words[:1].upper() + words[1:]


def sentence(words: str) -> str:
    words = words.strip()
    return words if words.endswith((".", "!", "?")) else f"{words}."


def failed(kind: str, message: str, hint: str, json: bool) -> None:
    if json:
        document({"error": {"type": kind, "message": message, "hint": hint}})
    else:
        say(f"{message} {hint}".strip())


@contextmanager
def steady() -> Iterator[None]:
    """Keep stdout for the result: whatever a library prints meanwhile goes to stderr.

    What C libraries write past Python (libtiff, of each torn strip) is dropped, unless GRAFTWORK_DEBUG is set; what is
    wrong with a file is said in our own words.
    """
    stdout, stderr = sys.stdout, sys.stderr
    if os.environ.get("GRAFTWORK_DEBUG"):
        sys.stdout = stderr
        try:
            yield
        finally:
            sys.stdout = stdout
        return
    stderr.flush()
    kept = os.dup(2)
    with open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1) as clean:  # noqa: PTH123
        sys.stdout = sys.stderr = clean
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            clean.flush()
            os.dup2(kept, 2)
            os.close(kept)
            sys.stdout, sys.stderr = stdout, stderr


@contextmanager
def watching() -> Iterator[Callable[[Any], None]]:
    """Show where training by steps stands: a live line on a terminal, else a line for each epoch."""
    live = sys.stderr.isatty()

    def watch(at: Any) -> None:
        metric = at.metric.replace("_", " ")
        figure = "" if at.value is None else f", validation {metric} {at.value:.4f}"
        if at.done:
            print(
                ("\r\x1b[K" if live else "") + f"epoch {at.epoch}/{at.epochs}: loss {at.loss:.4f}{figure}",
                file=sys.stderr,
            )
        elif live:
            minutes, seconds = divmod(round(at.seconds_left), 60)
            words = (
                f"epoch {at.epoch}/{at.epochs}, step {at.step}/{at.steps}: loss {at.loss:.4f}{figure}, "
                f"rate {at.lr:.1e}, {at.examples_per_s:.0f} examples/s, {minutes}:{seconds:02} left"
            )
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    yield watch


def explained(found: dict[str, Any], json: bool) -> None:
    if json:
        document(found)
        return
    name, solved = found["backbone"], found["solved"]
    if solved:
        tell(f"{found['freeze']}: no stage of {name} trains, and the head is solved exactly, without epochs.")
    elif found["head_first"]:
        tell("The head is solved exactly on frozen features first.")
    for phase in found["phases"]:
        if not solved:
            epochs = f"Epochs {phase['first']} to {phase['last']}"
            if phase["first"] == phase["last"]:
                epochs = f"Epoch {phase['first']}"
            tell(f"{epochs}, head at rate {phase['head_lr']:.1e}:")
        rows = [
            [s["stage"], f"{s['trained']:,}", f"{s['frozen']:,}", f"{s['lr']:.1e}" if s["trained"] else "-"]
            for s in phase["stages"]
        ]
        trained, frozen = (sum(s[k] for s in phase["stages"]) for k in ("trained", "frozen"))
        table(
            ["stage", "trained", "frozen", "rate"],
            [*rows, ["all", f"{trained:,}", f"{frozen:,}", ""]],
            ("trained", "frozen", "rate"),
        )
    if not solved:
        tell(f"Peak rates, after warm-up; recipe: {found['source']}.")
    tell(f"Next: graftwork fit DATA --backbone {name} --freeze {found['freeze']}")


def table(columns: list[str], rows: list[list[str]], numbers: tuple[str, ...] = ()) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    grid = Table(*[], box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(visible, row))
    console = Console(markup=False, highlight=False, soft_wrap=False)
    # Piped to a file there is no width to fit, so nothing is folded.
    if not console.is_terminal:
        console.width = 240
    console.print(grid)


def plugins(reports: list[dict[str, Any]], timing: bool, json: bool) -> None:
    if json:
        document(reports)
        return
    table(
        ["plugin", "distribution", "version", "status", *(["seconds"] if timing else []), "provides"],
        [
            [
                r["name"],
                r["distribution"],
                r["version"],
                r["status"],
                *([f"{r['seconds']:.2f}"] if timing else []),
                ", ".join(f"{len(v)} {k.replace('_', ' ')}" for k, v in r["provides"].items()),
            ]
            for r in (sorted(reports, key=lambda r: -r["seconds"]) if timing else reports)
        ],
    )
    for report in reports:
        who = f"{report['name']} ({report['distribution']} {report['version']})"
        if report["disabled_by"]:
            tell(f"{who}: disabled by '{report['disabled_by']}'")
        if report["error"]:
            tell(f"{who}: {report['error']}")
    tell("Next: graftwork backbones")


def scaffolded(place: str, json: bool) -> None:
    if json:
        document({"plugin": place})
        return
    tell(f"Written: {place}")
    tell(f"Next: pip install -e '{place}[test]' && pytest {place}")


def pretrained(made: dict[str, Any], json: bool) -> None:
    if json:
        document(made)
        return
    for warning in made["warnings"]:
        say(f"Warning: {warning}")
    history = made["figures"]["history"]
    names = [name for name in history[-1] if name != "epoch"]
    shown = history if len(history) <= 10 else [history[round(i * (len(history) - 1) / 9)] for i in range(10)]
    table(
        ["epoch", *(name.replace("_", " ") for name in names)],
        [[str(row["epoch"]), *(f"{row[name]:.4f}" for name in names)] for row in shown],
        tuple(name.replace("_", " ") for name in names),
    )
    tell(
        f"{made['architecture']}, {made['parameters']:,} parameters, {made['objective']} on "
        f"{made['data']['examples']:,} examples, {made['figures']['seconds']:.0f} s. Saved: {made['folder']}"
    )
    tell(f"Next: graftwork fit DATA --backbone {made['name']}")


def backbones(specs: list[dict[str, Any]], json: bool) -> None:
    if json:
        document(specs)
        return
    rows = []
    for s in specs:
        # Wishes are for those who ask with --json; what is demanded is enough to choose by.
        demanded = {k: v for k, v in s["contract"]["facts"].items() if not v.startswith("preferably ")}
        facts = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in demanded.items())
        megabytes = s["size_bytes"] / 1e6
        size = f"{megabytes:,.0f} MB" if megabytes >= 1 else f"{megabytes:.1f} MB" if megabytes else "?"
        weights = "at hand" if s["at_hand"] else "to fetch"
        rows.append([s["name"], facts, str(s["feature_dim"]), str(len(s["stages"])), size, s["license"], weights])
    table(["backbone", "reads", "dims", "stages", "size", "licence", "weights"], rows, ("dims", "stages", "size"))
    tell("Next: graftwork fit DATA --backbone NAME; of a zoo: hub:OWNER/NAME, local:FOLDER, torchvision:NAME")


def checked(found: Any, page: Any, json: bool) -> None:
    if json:
        document(found.as_json())
        return
    from graftwork.specs.agreement import words
    from graftwork.specs.contracts import MANY, plural, show

    observed = found.data.observed
    labels = f" under {plural(len(found.labels), 'label')}" if found.labels else ""
    tell(
        f"{upper(observed.place)} holds {found.data.modality.noun}: {show(observed.count)} {observed.items}{labels} "
        f"({found.seconds:.1f} s)."
    )
    rows = []
    for fact, seen in observed.facts.items():
        unit = observed.units.get(fact, "")
        if len(seen) > MANY:
            rows.append([words(fact), observed.span(fact), show(observed.count), f"mostly {show(seen[0].value, unit)}"])
            continue
        for place, sighting in enumerate(seen):
            name = words(fact) if place == 0 else ""
            rows.append([name, show(sighting.value, unit), show(sighting.count), sighting.example])
    table(["fact", "value", observed.items, "for example"], rows, (observed.items,))
    if found.problems:
        shown = [[words(p.kind), show(p.count), p.message, p.hint] for p in found.problems]
        table(["problem", "count", "what", "what to do"], shown, ("count",))
    else:
        tell("No problems found.")
    if found.agreement is not None:
        tell(f"The data fit {found.backbone}{':' if found.agreement.steps else ' as they are.'}")
        for step in found.agreement.steps:
            tell(f"  {_converted(vars(step))}")
        for item in found.agreement.left_out:
            tell(f"  Left out ({show(item.count)}, first: {item.example}): {item.reason}")
        for warning in found.agreement.warnings:
            tell(f"  Warning: {warning}")
    if page is not None:
        tell(f"Page: {page}")
    elif found.problems:
        tell("See them: graftwork check DATA --html FILE")
    tell("Next: graftwork fit DATA" + (f" --backbone {found.backbone}" if found.agreement is not None else ""))


def _agreement(agreement: dict[str, Any]) -> None:
    for step in agreement["steps"]:
        say(f"Converted: {_converted(step)}")


def _converted(step: dict[str, Any]) -> str:
    return (
        f"{step['fact'].replace('_', ' ')} {step['seen']} to {step['to']} by {step['converter']} "
        f"({step['count']} examples)"
    )


def fitted(record: dict[str, Any], json: bool) -> None:
    if json:
        document(record)
        return
    _agreement(record["agreement"])
    for warning in record["warnings"]:
        say(f"Warning: {warning}")
    if record["taps"]:
        table(
            ["stage", "accuracy", "log loss"],
            [[t["tap"], f"{t['accuracy']:.4f}", f"{t['log_loss']:.4f}"] for t in record["taps"]],
            ("accuracy", "log loss"),
        )
    rows = [["validation", record["n_val"], record["metrics"]]]
    if "test" in record["metrics"]:
        rows.append(["test", record["n_test"], record["metrics"]["test"]])
    _metrics(rows)
    frozen = record["certificate"]
    tell(
        f"{record['backbone']}, tap {record['tap']}, {record['n_train']} trained on, "
        f"{_trained(record)}{len(frozen['frozen'])} frozen stages unchanged, "
        f"{record['precision']['used']}, {record['timings']['total']:.1f} s. Saved: {record['run']}"
    )
    example = "'a new message'" if record["modality"] == "text" else "FILE"
    tell(f"Next: graftwork predict {record['run']} {example}")


def _trained(record: dict[str, Any]) -> str:
    """What of training by steps is worth a word."""
    if record["engine"] == "exact":
        return ""
    about = record["training"]
    moved = len(record["certificate"]["moved"])
    return f"{moved} stages trained for {about['history'][-1]['epoch']} epochs (best: {about['best_epoch']}), "


def _metrics(rows: list[list[Any]]) -> None:
    table(
        ["on", "examples", "accuracy", "macro F1", "log loss", "most frequent label"],
        [
            [name, str(n), *(f"{m[k]:.4f}" for k in ("accuracy", "macro_f1", "log_loss", "majority"))]
            for name, n, m in rows
        ],
        ("examples", "accuracy", "macro F1", "log loss", "most frequent label"),
    )


def evaluated(result: dict[str, Any], json: bool) -> None:
    if json:
        document(result)
        return
    _agreement(result["agreement"])
    for warning in result["warnings"]:
        say(f"Warning: {warning}")
    _metrics([[result["on"], result["n"], result["metrics"]]])
    tell(f"Next: graftwork predict {result['run']} INPUT")


def predicted(answers: list[dict[str, Any]], json: bool) -> None:
    if json:
        document(answers)
        return
    rows = []
    for answer in answers:
        if answer["label"] is None:
            say(answer["error"])
            continue
        ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
        rest = ", ".join(f"{label} {p:.3f}" for label, p in ranked[1:3])
        rows.append([answer["input"], answer["label"], f"{ranked[0][1]:.3f}", rest])
    table(["input", "label", "probability", "then"], rows, ("probability",))
    say("Next: graftwork evaluate RUN DATA")


def toured(result: dict[str, Any], json: bool) -> None:
    if json:
        document(result)
        return
    rows = []
    for row in result["demos"]:
        if row.get("skipped"):
            rows.append([row["name"], row["modality"], "-", "-", "-", "-", "-", "skipped"])
            continue
        gain = row["accuracy"] - row["baseline"]
        rows.append(
            [
                row["name"], row["modality"], row["backbone"], str(row["n"]), f"{row['accuracy']:.3f}",
                f"{row['baseline']:.3f} ({row['baseline_name']})", f"{row['seconds']:.1f}",
                "transfer helped" if gain > 0.005 else "transfer did not help" if gain < -0.005 else "no difference",
            ]
        )  # fmt: skip
    table(
        ["demo", "modality", "backbone", "n", "accuracy", "baseline", "seconds", "verdict"],
        rows,
        ("n", "accuracy", "seconds"),
    )
    for row in result["demos"]:
        if row.get("skipped"):
            tell(f"{row['name']}: {row['skipped']}")
    if result["refused"]:
        refused = result["refused"]
        tell(
            f"\nA mismatch is refused before any weight is loaded ({refused['data']} given to {refused['backbone']}):\n"
            f"  {refused['message']}\n"
        )
    tell("Next: graftwork fit YOUR-DATA")


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"


def cached(spaces: list[dict[str, Any]], json: bool) -> None:
    if json:
        document(spaces)
        return
    if not spaces:
        tell("The feature store is empty.")
    else:
        from datetime import datetime

        rows = [
            [
                s["backbone"], s["kind"], s["precision"], s["weights"][:12], f"{s['rows']:,}", megabytes(s["bytes"]),
                f"{datetime.fromtimestamp(s['used']):%Y-%m-%d %H:%M}",
            ]
            for s in spaces
        ]  # fmt: skip
        table(["backbone", "kind", "precision", "weights", "examples", "size", "last used"], rows, ("examples", "size"))
    tell("Next: graftwork cache size")


def cache_size(found: dict[str, Any], json: bool) -> None:
    if json:
        document(found)
        return
    tell(
        f"{found['folder']} holds features of {found['rows']:,} examples in {megabytes(found['bytes'])} of at most "
        f"{megabytes(found['limit'])}; what was not used for longest goes first. Change it: GRAFTWORK_CACHE_LIMIT=20GB"
    )
    tell("Next: graftwork cache list")


def cache_verified(found: dict[str, Any], json: bool) -> None:
    if json:
        document(found)
        return
    bad = f"{found['bad']:,} were damaged and will be computed again." if found["bad"] else "All are whole."
    tell(f"Read the features of {found['rows']:,} examples. {bad}")
    tell("Next: graftwork cache size")


def cache_cleared(found: dict[str, Any], json: bool) -> None:
    if json:
        document(found)
        return
    tell(f"Forgot the features of {found['rows']:,} examples, {megabytes(found['bytes'])}.")
    tell("Next: graftwork fit DATA")
