"""What the experiments share: results that survive an interruption, and their options."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

__all__ = ["Results", "arguments"]

RESULTS = Path(__file__).resolve().parent / "results"


class Results:
    """Rows of an experiment by key, written after every row; a key that is there already is not computed again.

    Args:
        name: Name of the file in ``benchmarks/results``.
        smoke: Write to a scratch file instead, for runs at reduced size.
    """

    def __init__(self, name: str, smoke: bool = False) -> None:
        self.path = RESULTS / f"{name}{'.smoke' if smoke else ''}.json"
        old = json.loads(self.path.read_text()) if self.path.exists() and not smoke else {}
        self.rows: dict[str, dict[str, Any]] = old.get("rows", {})
        self.summary: dict[str, Any] = old.get("summary", {})
        self.smoke = smoke

    def row(self, key: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The row of a key, computed if need be."""
        if key not in self.rows:
            begin = time.perf_counter()
            row = dict(compute())
            self.rows[key] = {**row, "seconds": round(time.perf_counter() - begin, 2)}
            self.write()
        row = self.rows[key]
        print(f"{key:48s} " + "  ".join(f"{k} {_short(v)}" for k, v in row.items()), flush=True)
        return row

    def write(self) -> None:
        """Write all rows, atomically."""
        if self.smoke:
            return
        versions = {name: metadata.version(name) for name in ("sciml", "torch", "numpy", "scipy")}
        content = {
            "versions": {**versions, "python": platform.python_version()},
            "threads": torch.get_num_threads(),
            "rows": self.rows,
            "summary": self.summary,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(self.path)

    def conclude(self, summary: Mapping[str, Any], gates: Mapping[str, bool]) -> int:
        """Store what the rows say; returns the number of missed gates."""
        self.summary = {**summary, "gates": {name: bool(met) for name, met in gates.items()}}
        self.write()
        for name, met in gates.items():
            print(f"{'met   ' if met else 'MISSED'} {name}")
        return sum(not met for met in gates.values())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def arguments(description: str | None) -> argparse.Namespace:
    """Options that all experiments have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, results are not kept")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    return parsed
