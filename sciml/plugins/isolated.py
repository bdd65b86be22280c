"""Run a function of sciml in another interpreter, so that a component that crashes or hangs takes nothing with it."""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

__all__ = ["Outcome", "record", "run_isolated"]


@dataclass(frozen=True)
class Outcome:
    """What an isolated function recorded, and how its process ended.

    Args:
        records: The values given to :func:`record`, in order.
        failure: None for a normal end, otherwise what happened, with the last words of the process.
    """

    records: list[Any]
    failure: str | None


def run_isolated(function: str, arguments: list[str], timeout: float) -> Outcome:
    """Call ``module:function`` with a results file and strings in a new interpreter that sees the same packages.

    Args:
        function: What to call, as ``module:function``; it passes its first argument on to :func:`record`.
        arguments: The further arguments.
        timeout: Seconds after which the process is ended.
    """
    with tempfile.TemporaryDirectory(prefix="sciml-") as folder:
        results = Path(folder, "results.jsonl")
        command = [sys.executable, "-P", "-m", "sciml.plugins.isolated", function, str(results), *arguments]
        failure = _failure(command, timeout)
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return Outcome([json.loads(line) for line in lines], failure)


def _failure(command: list[str], timeout: float) -> str | None:
    # The same search path as here, also where it was extended by hand; "" stands for the current folder.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return f"did not finish within {timeout:g} s"
    if done.returncode == 0:
        return None
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return f"the process ended with {how}" + "".join(f": {line}" for line in _last_words(done.stderr))


def _last_words(text: str) -> list[str]:
    """The line of the last error; what libraries print after it while the process ends says nothing."""
    lines = text.strip().splitlines()
    errors = [line for line in lines if re.match(r"Fatal|[\w.]+(Error|Exception|Exit|Interrupt)\b", line)]
    return (errors or lines)[-1:]


def record(results: TextIO, value: Any) -> None:
    """Hand a value to the caller of :func:`run_isolated` at once, so that it survives a crash after it."""
    results.write(json.dumps(value) + "\n")
    results.flush()


def main(arguments: list[str]) -> None:
    """Entry of the new interpreter."""
    module, _, name = arguments[0].partition(":")
    with open(arguments[1], "w", encoding="utf-8") as results:
        getattr(import_module(module), name)(results, *arguments[2:])


if __name__ == "__main__":
    main(sys.argv[1:])
