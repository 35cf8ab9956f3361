"""What installed distributions require, by their metadata: what is missing, and which of their extras are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import InvalidRequirement, Requirement


@dataclass(frozen=True)
class Unmet:
    """A requirement that is not met: who requires it, and the version that is installed, if any."""

    owner: str
    requirement: str
    installed: str | None

    @property
    def words(self) -> str:
        here = f"{self.installed} is installed" if self.installed else "it is not installed"
        return f"{self.owner} needs {self.requirement}; {here}."


@dataclass(frozen=True)
class Extra:
    """An extra of a distribution. missing: what it requires and is not there; empty if it is installed."""

    distribution: str
    name: str
    missing: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"{self.distribution}[{self.name}]"


def unmet(names: Iterable[str]) -> list[Unmet]:
    """The requirements of these distributions that are not met, extras aside. What is not installed is skipped."""
    found = []
    for owner in filter(None, map(_find, names)):
        for requirement in _requirements(owner):
            for missing in _missing(requirement):
                there = _find(missing.name)
                found.append(Unmet(owner.metadata["Name"], str(missing), there.version if there else None))
    return list(dict.fromkeys(found))


def extras(names: Iterable[str]) -> list[Extra]:
    """The extras of these distributions, as they state them."""
    return [
        Extra(owner.metadata["Name"], extra, tuple(_missing_of_extra(owner, extra)))
        for owner in filter(None, map(_find, names))
        for extra in owner.metadata.get_all("Provides-Extra") or ()
    ]


def direct(names: Iterable[str]) -> dict[str, str]:
    """The requirement for each package that these distributions need, by its name."""
    return {one.name: str(one) for owner in filter(None, map(_find, names)) for one in _requirements(owner)}


def version_of(name: str) -> str | None:
    there = _find(name)
    return there.version if there else None


def _find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _requirements(owner: Distribution, extra: str = "") -> Iterator[Requirement]:
    """What a distribution requires: always, or for one of its extras alone. The markers are resolved."""
    for line in owner.requires or ():
        try:
            found = Requirement(line)
        except InvalidRequirement:  # of a package that is older than the rules
            continue
        marker = found.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always == (not extra) and (marker is None or marker.evaluate({"extra": extra})):
            found.marker = None
            yield found


def _missing(requirement: Requirement) -> Iterator[Requirement]:
    there = _find(requirement.name)
    if there is None or not requirement.specifier.contains(there.version, prereleases=True):
        yield requirement
        return
    for extra in sorted(requirement.extras):
        for inner in _requirements(there, extra):
            yield from _missing(inner)


def _missing_of_extra(owner: Distribution, extra: str) -> Iterator[str]:
    for requirement in _requirements(owner, extra):
        yield from map(str, _missing(requirement))
