"""What two modalities read alike, so that `graftwork plugins` can say where a choice is needed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from graftwork.plugins.report import PluginReport
from graftwork.specs.modality import Modality

SHOWN = 5
"""The endings that are named."""


def overlaps(modalities: Iterable[Modality], reports: Iterable[PluginReport]) -> dict[str, list[str]]:
    """For each plugin, by name, a sentence for each other modality that reads files or folders of one of its own."""
    owners = {name: report.name for report in reports for name in report.provides.get("modalities", ())}
    found: dict[str, list[str]] = {}
    for one, other in combinations(modalities, 2):
        if sentence := _overlap(one, other):
            for name in dict.fromkeys((owners[one.name], owners[other.name])):
                found.setdefault(name, []).append(sentence)
    return found


def _overlap(one: Modality, other: Modality) -> str:
    files = _listed(set(one.file_endings) & set(other.file_endings))
    inside = set(one.members) & {*other.file_endings, *other.members} | set(other.members) & set(one.file_endings)
    held = _listed(inside)
    both = " and ".join([f"{files} files"] * bool(files) + [f"folders of {held} files"] * bool(held))
    named = _listed(set(one.extensions) & set(other.extensions)) if one.folders and other.folders else ""
    both = both or (f"{named} folders" if named else "")
    if not both:
        return ""
    return (
        f"Both {one.name} and {other.name} read {both}: the encoder decides (--backbone), or --modality {one.name} or "
        f"{other.name}."
    )


def _listed(endings: set[str]) -> str:
    names = sorted(ending or "bare" for ending in endings)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} other" if len(names) > SHOWN else "")
