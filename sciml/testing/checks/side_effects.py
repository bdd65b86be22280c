"""Check that importing a module changes nothing that other code relies on."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sciml.testing.candidate import Candidate
from sciml.testing.check import SkipCheck

__all__ = ["check_import_side_effects", "import_side_effects"]

_PROBE = Path(__file__).with_name("_import_probe.py")


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
