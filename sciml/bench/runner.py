"""Runs a suite: models in turn for every seed, with results kept after each run."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from sciml.bench.suite import Suite
from sciml.errors import ConfigError

__all__ = ["run_suite"]


def run_suite(
    name: str,
    suite: Suite,
    *,
    models: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    threads: int = 1,
    budget: float | None = None,
    epochs: int | None = None,
    out: str | Path | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train every model of a suite with every seed; failures and time-outs are rows of the result.

    Models alternate within a seed, so that a machine that slows down slows all of them.

    Args:
        name: Name of the suite, for the result.
        suite: The suite.
        models: Labels of the suite or names of registered models; all of the suite when empty.
        seeds: One run each.
        threads: Threads of torch in each run.
        budget: Seconds after which a run is stopped and counts as timed out.
        epochs: Instead of the suite's.
        out: JSON file, written after every run; runs that it already holds with the same settings are not repeated,
            all others that it holds stay in it.
        report: Receives one line a run.

    Raises:
        ConfigError: If a model does not exist, or ``out`` holds another kind of file.
    """
    labels = list(models) or list(suite.models)
    jobs = [(label, seed, suite.run_config(label, seed, epochs)) for seed in seeds for label in labels]
    path = None if out is None else Path(out)
    old = _read(path)
    result: dict[str, Any] = {"suite": name, "title": suite.title, "metric": suite.metric, "threads": threads}
    result |= {"versions": _versions(), "machine": platform.machine(), "rows": []}
    for label, seed, config in jobs:
        key = {"model": label, "seed": seed, "threads": threads, "config": config}
        row = next((row for row in old if all(row.get(k) == v for k, v in key.items()) and row["status"] == "ok"), None)
        if row is None:
            row = {**key, **_run(config, threads, budget)}
        result["rows"].append(row)
        report(_line(row, suite.metric))
        if path is not None:
            others = [row for row in old if row not in result["rows"]]
            _write(path, {**result, "rows": result["rows"] + others})
    return result


def _run(config: dict[str, Any], threads: int, budget: float | None) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "sciml.bench.worker"]
    job = json.dumps({"config": config, "threads": threads})
    try:
        done = subprocess.run(
            command, input=job, capture_output=True, text=True, env=environment, timeout=budget, check=False
        )
    except subprocess.TimeoutExpired:
        return {"status": "timeout", "reason": f"stopped after {budget:g} s"}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {"status": "failed", "reason": lines[-1] if lines else f"exit code {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _line(row: dict[str, Any], metric: str) -> str:
    start = f"{row['model']:16s} seed {row['seed']}"
    if row["status"] != "ok":
        return f"{start}  {row['status']}: {row['reason']}"
    errors = (f"{name} {values.get(metric, float('nan')):.4f}" for name, values in row["splits"].items())
    return f"{start}  {'  '.join(errors)}  {row['seconds']:.1f} s"


def _read(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.exists():
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} exists and holds no benchmark result: name another file.") from error
    return rows


def _write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("sciml", "torch", "numpy")} | {
        "python": platform.python_version()
    }
