"""What a plugin as a whole promises: it registers without a fault, costs nothing to list, and changes nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from graftwork.data.label_files import KINDS
from graftwork.data.layouts import LAYOUTS
from graftwork.plugins.loading import PluginReport, installed
from graftwork.specs.annotations import AnnotationReader
from graftwork.specs.factories import load_factory
from graftwork.specs.source import Source
from graftwork.testing.cases import Nonconformance, Registered, check

NOISE = bytes(range(256)) * 8
"""What no text and no label file holds."""
HEAVY = (
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "datasets",
    "numpy",
    "PIL",
    "soundfile",
    "scipy",
    "sklearn",
)
"""What listing a plugin must not import."""

LISTED = """
import sys, json
from importlib.metadata import entry_points
before = set(sys.modules)
found = [e for e in entry_points(group="graftwork") if e.name == sys.argv[1]]
module = found[0].load()
for name in dir(module):
    if name.startswith("graftwork_") and callable(getattr(module, name)):
        list(getattr(module, name)())
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


@check("plugin")
def it_registers_without_a_fault(report: PluginReport) -> None:
    if report.errors:
        raise Nonconformance(" ".join(report.errors), "See: graftwork plugins")
    if not any(report.provides.values()):
        raise Nonconformance(f"'{report.name}' registers nothing.", "Mark its hooks with graftwork.hookimpl.")


@check("plugin")
def listing_it_imports_nothing_heavy(report: PluginReport) -> None:
    if report.name == "core":
        return
    found = subprocess.run([sys.executable, "-c", LISTED, report.name], capture_output=True, text=True)
    if found.returncode:
        lines = found.stderr.strip().splitlines() or ["it ended without a word"]
        raise Nonconformance(
            f"'{report.name}' cannot be listed by itself: {lines[-1]}.", "Install it: pip install -e ."
        )
    heavy = [name for name in json.loads(found.stdout.splitlines()[-1]) if name in HEAVY]
    if heavy:
        raise Nonconformance(
            f"Listing '{report.name}' imports {', '.join(heavy)}, for which every command would wait.",
            "Import it in the module that the factory names, not in the one that the entry point names.",
        )


@check("plugin", slow=True)
def importing_it_changes_nothing_else(report: PluginReport) -> None:
    modules = set()
    for kind, names in report.provides.items():
        for name in names:
            spec = installed().registered[kind].get(name)
            for item in ("factory", "reader", "preparer", "likeness", "augment", "sample", "data", "baseline"):
                if isinstance(code := getattr(spec, item, ""), str) and ":" in code:
                    modules.add(code.partition(":")[0])
    script = Path(__file__).with_name("import_watch.py")
    words = [json.dumps(sorted(modules)), json.dumps(sorted(report.packages))]
    found = subprocess.run([sys.executable, "-P", str(script), *words], capture_output=True, text=True)
    if found.returncode:
        lines = found.stderr.strip().splitlines() or ["it ended without a word"]
        raise Nonconformance(f"The code of '{report.name}' cannot be imported: {lines[-1]}.", "Install what it needs.")
    changed = json.loads(found.stdout.splitlines()[-1])
    if changed:
        raise Nonconformance(
            f"Importing the code of '{report.name}' changes what belongs to everybody: {'; '.join(changed)}.",
            "Leave global state alone, or change it where it is used and put it back.",
        )


@check("annotations")
def its_factory_reads_label_files_and_takes_nothing_else_for_one(form: Registered) -> None:
    """An empty folder, an empty file and one of noise are of no format, whatever they are called."""
    made = load_factory(form.spec.factory)
    if not (isinstance(made, type) and issubclass(made, AnnotationReader)):
        raise Nonconformance(
            f"The factory of the format '{form.name}', {form.spec.factory}, is no graftwork.AnnotationReader.",
            "Name a subclass that defines fits() and read().",
        )
    if unknown := sorted(set(form.spec.kinds) - set(KINDS)):
        raise Nonconformance(
            f"The format '{form.name}' gives '{unknown[0]}', which is no kind of labels; {', '.join(KINDS)} are.",
            "Name one of them.",
        )
    if form.name in LAYOUTS:
        raise Nonconformance(
            f"The format '{form.name}' is called as a layout of folders.", "Give it the name of a tool or a data set."
        )
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder)]
        for name in ("a.json", "a.jsonl", "a.txt", "a.xml", "a.csv", "a.tsv", "a.conll"):
            for content in (b"", NOISE):
                place = Path(folder, "x" if content else "empty", name)
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(content)
                places += [place, place.parent]
        for place in places:
            if made().fits(place):
                raise Nonconformance(
                    f"The format '{form.name}' fits '{place.name}', a file without content or of noise.",
                    "Let fits() be sure of what it sees.",
                )


@check("sources")
def its_factory_is_a_source(scheme: Registered) -> None:
    made = load_factory(scheme.spec.factory)
    if not (isinstance(made, type) and issubclass(made, Source)):
        raise Nonconformance(
            f"The factory of '{scheme.name}://', {scheme.spec.factory}, is no graftwork.Source.",
            "Name a subclass that defines files() and read().",
        )
    if scheme.name != scheme.name.lower():
        raise Nonconformance(f"The scheme '{scheme.name}' has capitals.", f"Write: {scheme.name.lower()}")
