"""Check a plugin the way its users will meet it: metadata, imports, its use of sciml, its models, tasks and methods."""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from sciml._discovery import CORE, Provider, core_requirements, normalized, providers
from sciml.plugins.isolated import record, run_isolated
from sciml.plugins.listing import list_plugins, table
from sciml.plugins.public_names import private_uses

__all__ = ["Check", "check_plugin", "main_check"]

# Kind of component to what is called in another process to try one.
_TRIALS = {
    "models": "sciml.plugins.check:conformance",
    "tasks": "sciml.plugins.trial:try_task",
    "methods": "sciml.plugins.trial:try_method",
}
BOUNDS = ("<", "<=", "==", "===", "~=")


@dataclass(frozen=True)
class Check:
    """One row of ``sciml plugins check``.

    Args:
        name: What was checked.
        ok: Whether it holds.
        message: What is wrong and what to do about it; empty when it holds.
    """

    name: str
    ok: bool
    message: str = ""


def check_plugin(dist: str, timeout: float = 600.0) -> list[Check]:
    """Check one installed distribution; everything of it that runs, runs in other processes.

    Args:
        dist: Name of the distribution, for example ``"sciml-heat"``.
        timeout: Seconds that the checks of one module or model may take.

    Returns:
        The checks; only one when there is no such plugin.
    """
    provider = next((p for p in providers() if normalized(p.name) == normalized(dist)), None)
    if provider is None or normalized(dist) == CORE:
        return [Check("is an installed plugin", False, _why_absent(dist))]
    checks = [Check("is an installed plugin", True), _requirement(provider)]
    components = list_plugins([provider.name], timeout)
    checks += [Check(f"{row.group}/{row.name} loads", row.status == "ok", row.cause) for row in components]
    for module in sorted({point.value.partition(":")[0].strip() for point in provider.components}):
        checks += _isolated("sciml.plugins.check:side_effects", module, f"import {module} changes nothing", timeout)
    checks.append(_public_names_only(provider))
    for row in components:
        if row.group in _TRIALS and row.status == "ok":
            checks += _isolated(_TRIALS[row.group], row.name, f"{row.group}/{row.name}", timeout)
    return checks


def _why_absent(dist: str) -> str:
    plugins = [provider.name for provider in providers() if provider.name != CORE]
    close = get_close_matches(dist, plugins, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"no installed distribution {dist!r} has components of sciml.{meant} "
        f"Installed plugins: {', '.join(plugins) or 'none'}. Install it: pip install -e FOLDER."
    )


def _requirement(provider: Provider) -> Check:
    name = "requires sciml with an upper bound"
    if provider.error is not None:
        return Check(name, False, provider.error)
    wanted = core_requirements(metadata.requires(provider.name))
    bounded = any(part.operator in BOUNDS for requirement in wanted for part in requirement.specifier)
    found = f"it requires {', '.join(map(str, wanted))}" if wanted else "it does not require sciml"
    way_out = 'add dependencies = ["sciml>=0.1,<0.2"] to pyproject.toml, with the versions it was tested with.'
    return Check(name, bounded, "" if bounded else f"{found}: {way_out}")


def _public_names_only(provider: Provider) -> Check:
    uses = []
    for path, shown in sorted(_sources(provider).items()):
        try:
            uses += [f"{shown} {use}" for use in private_uses(path.read_text(encoding="utf-8"))]
        except (SyntaxError, UnicodeDecodeError) as error:
            uses.append(f"{shown} is not Python: {error}")
    return Check("uses public names of sciml only", not uses, "; ".join(uses))


def _sources(provider: Provider) -> dict[Path, str]:
    """Python files of a distribution, and how to show them; an editable one lists none, hence its packages too."""
    listed = [file for file in metadata.files(provider.name) or () if file.suffix == ".py"]
    found = {Path(str(file.locate())).resolve(): str(file) for file in listed}
    for package in {point.value.partition(":")[0].partition(".")[0].strip() for point in provider.components}:
        spec = find_spec(package) if package else None
        if spec is None:
            continue
        for folder in map(Path, spec.submodule_search_locations or ()):
            found |= {path.resolve(): str(path.relative_to(folder.parent)) for path in folder.rglob("*.py")}
        if spec.submodule_search_locations is None and spec.origin is not None:
            found[Path(spec.origin).resolve()] = Path(spec.origin).name
    return {path: shown for path, shown in found.items() if path.is_file()}


def _isolated(function: str, argument: str, title: str, timeout: float) -> list[Check]:
    outcome = run_isolated(function, [argument], timeout)
    checks = [Check(f"{title}: {name}" if name else title, ok, message) for name, ok, message in outcome.records]
    if outcome.failure is not None:
        checks.append(Check(title, False, outcome.failure))
    return checks


def side_effects(results: TextIO, module: str) -> None:
    """In another process: record whether importing a module changes the state that everybody shares."""
    from sciml.testing.checks import check_import_side_effects

    try:
        check_import_side_effects(module)
    except Exception as error:
        record(results, ["", False, str(error) or type(error).__name__])
    else:
        record(results, ["", True, ""])


def conformance(results: TextIO, name: str) -> None:
    """In another process: record the checks that every model passes."""
    from sciml.testing import run_checks

    for result in run_checks(name):
        record(results, [result.check, result.ok, result.message])


def main_check(dist: str) -> int:
    """Print the checks of one plugin, for ``sciml plugins check DIST``; the exit code is 1 if one fails."""
    checks = check_plugin(dist)
    rows = [("ok" if check.ok else "FAILED", check.name, " ".join(check.message.split())) for check in checks]
    print(table(("result", "check", "message"), rows))
    failed = sum(not check.ok for check in checks)
    print(f"\n{dist}: {len(checks) - failed} checks passed, {failed} failed.")
    return 1 if failed else 0
