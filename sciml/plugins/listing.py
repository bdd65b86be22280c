"""Every component of every distribution, each loaded once in a process of its distribution."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TextIO

from sciml._discovery import DISABLE, Entry, disabled, entries, normalized, providers
from sciml.errors import PluginError, unknown_name
from sciml.plugins.isolated import record, run_isolated
from sciml.registry import KINDS, registry

__all__ = ["Component", "list_plugins", "main_list", "table"]

PARALLEL = 2
Status = Literal["ok", "incompatible", "failed"]


@dataclass(frozen=True)
class Component:
    """One row of ``sciml plugins list``.

    Args:
        group: Kind of component: models, tasks and so on.
        name: Name in the registry.
        dist: Distribution that provides it.
        version: Version of the distribution.
        status: ``ok``, ``incompatible`` (made for another sciml) or ``failed`` (cannot be loaded).
        cause: What is wrong, in one line; empty if nothing is.
    """

    group: str
    name: str
    dist: str
    version: str
    status: Status
    cause: str = ""


def list_plugins(dists: Iterable[str] | None = None, timeout: float = 120.0) -> list[Component]:
    """Try to load each installed component, one process per distribution and at most two at a time.

    Args:
        dists: Only these distributions; None for all, the core included.
        timeout: Seconds that one process may take.

    Returns:
        A row per component, the core first.
    """
    wanted = None if dists is None else {normalized(dist) for dist in dists}
    chosen = [p for p in providers() if wanted is None or normalized(p.name) in wanted]
    groups = sorted({point.group for provider in chosen for point in provider.components})
    jobs = [[(g, e) for g in groups for e in entries(g).values() if e.dist == p.name] for p in chosen]
    with ThreadPoolExecutor(PARALLEL) as pool:
        rows = list(pool.map(lambda components: _try(components, timeout), jobs))
    return [row for rows_of_one in rows for row in rows_of_one]


def _try(components: Sequence[tuple[str, Entry]], timeout: float) -> list[Component]:
    """Load the components in a new process, and go on in another one after a component that ends it."""
    causes = {(group, entry.name): _known_cause(group, entry) for group, entry in components}
    pending = [key for key, cause in causes.items() if cause is None]
    while pending:
        outcome = run_isolated("sciml.plugins.listing:load_each", ["\t".join(key) for key in pending], timeout)
        causes |= dict(zip(pending, outcome.records, strict=False))
        pending = pending[len(outcome.records) :]
        if pending:
            causes[pending.pop(0)] = outcome.failure or "it ended the process"
    return [_row(group, entry, causes[group, entry.name]) for group, entry in components]


def _known_cause(group: str, entry: Entry) -> str | None:
    if group.removeprefix("sciml.") not in KINDS:
        return str(unknown_name("entry-point group", group, [f"sciml.{kind}" for kind in KINDS]))
    return entry.error


def _row(group: str, entry: Entry, cause: str | None) -> Component:
    status: Status = "incompatible" if entry.error else "failed" if cause else "ok"
    kind = group.removeprefix("sciml.")
    return Component(kind, entry.name, entry.dist, entry.version, status, " ".join((cause or "").split()))


def load_each(results: TextIO, *components: str) -> None:
    """In the other process: load each component, and record None or the cause of its failure."""
    for component in components:
        group, name = component.split("\t")
        try:
            registry(group.removeprefix("sciml.")).load(name)
        except PluginError as error:
            cause = error.__cause__  # its own words: the row names component and distribution already
            record(results, str(error) if cause is None else f"{type(cause).__name__}: {cause}")
        else:
            record(results, None)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as aligned columns.

    Example:
        >>> print(table(["name", "status"], [["fno", "ok"]]))
        name  status
        fno   ok
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main_list() -> int:
    """Print every component with its state, for ``sciml plugins list``; the exit code is 0."""
    rows = list_plugins()
    header = ("kind", "name", "distribution", "version", "status", "cause")
    print(table(header, [(r.group, r.name, r.dist, r.version, r.status, r.cause) for r in rows]))
    broken = sum(row.status != "ok" for row in rows)
    print(f"\n{len(rows)} components, {broken} of them not usable.")
    if skipped := disabled():
        print(f"Skipped by {DISABLE}: {', '.join(sorted(skipped))}.")
    return 0
