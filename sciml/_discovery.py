"""What the installed distributions offer: entry points of the groups ``sciml.*``, read from metadata only."""

import os
import re
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import invalidate_caches, metadata
from typing import TYPE_CHECKING

from sciml import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = [
    "CORE",
    "DISABLE",
    "Entry",
    "Provider",
    "core_requirements",
    "disabled",
    "entries",
    "normalized",
    "providers",
    "refresh",
]

CORE = "sciml"
DISABLE = "SCIML_DISABLE_PLUGINS"


@dataclass(frozen=True)
class Entry:
    """One named component, not loaded.

    Args:
        name: Name in the registry.
        value: Where the object is, as ``module:attribute``.
        dist: Distribution that provides it; empty for one registered by hand.
        version: Version of the distribution.
        error: Why it must not be loaded, or None.
    """

    name: str
    value: str
    dist: str
    version: str
    error: str | None = None


@dataclass(frozen=True)
class Provider:
    """A distribution with components, and why it must not be used, if so."""

    name: str
    version: str
    components: tuple[metadata.EntryPoint, ...]
    error: str | None


def normalized(dist: str) -> str:
    """Name of a distribution as package indexes compare it.

    Example:
        >>> normalized("Sciml_Waves")
        'sciml-waves'
    """
    return re.sub(r"[-_.]+", "-", dist).lower()


def disabled() -> set[str]:
    """Distributions that the user wants skipped, normalized."""
    return {normalized(name.strip()) for name in os.environ.get(DISABLE, "").split(",") if name.strip()} - {CORE}


@cache
def providers() -> tuple[Provider, ...]:
    """Every distribution with components: the core, then plugins by name, then those that cannot be used."""
    found: dict[str, Provider] = {}
    skipped = disabled()
    for dist in metadata.distributions():
        text = dist.read_text("entry_points.txt")
        if not text or "[sciml." not in text:
            continue
        try:
            components = tuple(point for point in dist.entry_points if point.group.startswith("sciml."))
            name, version = dist.metadata["Name"], dist.version
        except Exception as error:  # one damaged installation must not take all components with it
            warnings.warn(f"skipped a damaged installation, {dist!r}: {type(error).__name__}: {error}", stacklevel=2)
            continue
        # The first on the path is the one that is imported: a second one is a leftover, not a clash.
        if name and normalized(name) not in skipped and normalized(name) not in found:
            found[normalized(name)] = Provider(name, version, components, _mismatch(name, version, dist.requires))
    return tuple(sorted(found.values(), key=_precedence))


def _precedence(provider: Provider) -> tuple[bool, bool, str]:
    name = normalized(provider.name)
    return name != CORE, provider.error is not None, name


def _mismatch(name: str, version: str, requires: list[str] | None) -> str | None:
    """Why a distribution does not go with this sciml, or None."""
    if normalized(name) == CORE:
        return None
    for requirement in core_requirements(requires):
        if not requirement.specifier.contains(__version__, prereleases=True):
            return (
                f"{name} {version} requires sciml{requirement.specifier}, this is sciml {__version__}. "
                f"Install a matching version: pip install --upgrade {name} sciml."
            )
    return None


def core_requirements(requires: list[str] | None) -> list["Requirement"]:
    """Those of the requirements of a distribution that concern sciml and apply without extras."""
    from packaging.requirements import InvalidRequirement, Requirement  # costs more than the rest of the look-up

    found = []
    for text in requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if normalized(requirement.name) == CORE and applies:
            found.append(requirement)
    return found


@cache
def entries(group: str) -> dict[str, Entry]:
    """Components of one group by name; a name already taken becomes ``distribution:name``, with one warning."""
    result: dict[str, Entry] = {}
    clashes = []
    for provider in providers():
        for point in provider.components:
            first = result.get(point.name)
            if point.group != group or (first is not None and first.dist == provider.name):
                continue
            name = point.name if first is None else f"{provider.name}:{point.name}"
            if first is not None and provider.error is None:
                clashes.append(f"{point.name!r} is that of {first.dist}, the other one is {name!r}")
            result[name] = Entry(name, point.value, provider.name, provider.version, provider.error)
    if clashes:
        warnings.warn(f"several distributions share a name in {group}: {'; '.join(clashes)}.", stacklevel=4)
    return result


def refresh() -> None:
    """Look for installed components again, for example after a plugin was installed from a notebook."""
    invalidate_caches()
    providers.cache_clear()
    entries.cache_clear()
