"""Checks that importing a module, building a model and calling it change nothing that other code relies on."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sciml.testing._import_probe import random_states, settings
from sciml.testing.candidate import Candidate
from sciml.testing.check import SkipCheck

__all__ = ["check_import_side_effects", "global_state_is_kept", "import_side_effects"]

_PROBE = Path(__file__).parents[1] / "_import_probe.py"


def import_side_effects(candidate: Candidate) -> None:
    """Importing the model's module changes no global state, prints nothing, writes no file and uses no network."""
    build = getattr(candidate.spec.build, "func", candidate.spec.build)
    module = getattr(build, "__module__", None)
    if module is None or module == "__main__":
        raise SkipCheck("the model is not defined in a module that can be imported.")
    check_import_side_effects(module)


def check_import_side_effects(module: str, timeout: float = 300.0) -> None:
    """Import a module in a fresh interpreter and compare threads, default dtype, random states and the like.

    The state is taken after importing torch and numpy, in an empty working folder, with connections refused.

    Args:
        module: Name of the module.
        timeout: Seconds that the import may take.

    Raises:
        AssertionError: If the import fails, or changes something; the message lists what.
        unittest.SkipTest: If a fresh interpreter finds no such module, as for one made in a notebook.

    Example:
        >>> check_import_side_effects("json")
    """
    with tempfile.TemporaryDirectory(prefix="sciml-") as folder:
        result, work = Path(folder, "result.json"), Path(folder, "work")
        work.mkdir()
        done = _run([sys.executable, "-P", str(_PROBE), module, str(result)], work, timeout)
        if not result.exists():
            last = "".join(done.stderr.strip().splitlines()[-1:])
            raise AssertionError(f"importing {module} ended the process with exit code {done.returncode}. {last}")
        found = json.loads(result.read_text(encoding="utf-8"))
    if found["absent"]:
        raise SkipCheck(f"a fresh interpreter finds no module {module}.")
    assert found["error"] is None, f"importing {module} raised {found['error']}"
    effects = found["effects"]
    if done.stdout.strip():
        effects.append(f"prints {done.stdout.strip()[:60]!r}")
    assert not effects, f"importing {module} {'; '.join(effects)}. Move this into the function that needs it."


def global_state_is_kept(candidate: Candidate) -> None:
    """The constructor and ``forward`` change no global settings, and only draw from the global random generators."""
    phases: dict[str, Callable[[int], object]] = {
        "the constructor": candidate.build,
        "forward in training mode": lambda seed: candidate.run(candidate.build().train(), candidate.batch(), seed),
        "forward in eval mode": lambda seed: candidate.run(candidate.build(), candidate.batch(), seed),
    }
    for phase, act in phases.items():
        changed = _changed_settings(act)
        assert not changed, (
            f"{phase} changes {', '.join(changed)}. This changes the results or the speed of all other code: leave it "
            "to the user's script, or set it in a with block that ends before the return."
        )
        reset = _reset_generators(act)
        assert not reset, (
            f"{phase} sets {', '.join(reset)}, so that all later random numbers repeat or cannot be repeated. Do not "
            "seed there: draw from the global generator, or from a torch.Generator with a seed that is an argument."
        )


def _changed_settings(act: Callable[[int], object]) -> list[str]:
    table = settings()
    before = {name: get() for name, (get, _) in table.items()}
    act(0)
    return [name for name, (get, _) in table.items() if get() != before[name]]


def _reset_generators(act: Callable[[int], object]) -> list[str]:
    """Generators whose state after ``act(seed)`` is the same for two seeds, or another one for the same seed.

    Drawing leads from different states to different states, in the same way each time; seeding does not.
    """

    def states(seed: int) -> dict[str, object]:
        act(seed)
        return {name: get() for name, get in random_states().items()}

    # The first call may fill caches of the process, with numbers that later calls need not draw.
    states(_SEEDS[0])
    first, again, other = (states(seed) for seed in (_SEEDS[0], *_SEEDS))
    return [name for name in first if first[name] == other[name] or first[name] != again[name]]


# Numbers that no model takes for its own seed.
_SEEDS = (7_340_033, 15_728_689)


def _run(command: list[str], folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    # The same search path as here, also where it was extended by hand; "" stands for the current folder.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{command[-2]} was not imported within {timeout:g} s.") from error
