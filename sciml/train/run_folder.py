"""The folder of a run: configuration, log, metrics, checkpoints and model, each written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from sciml.errors import ConfigError
from sciml.train.checkpoint import atomic_path

__all__ = ["RunFolder"]


class RunFolder:
    """Paths and files of one run.

    Args:
        path: The folder.

    Example:
        >>> RunFolder(Path("runs/darcy")).last.as_posix()
        'runs/darcy/checkpoints/last.pt'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.log = self.path / "metrics.csv"
        self.metrics = self.path / "metrics.json"
        self.model = self.path / "model.safetensors"
        self.last = self.path / "checkpoints" / "last.pt"
        self.best = self.path / "checkpoints" / "best.pt"
        self.crash = self.path / "checkpoints" / "crash.pt"
        self._columns: list[str] = []

    def create(self, *, overwrite: bool = False) -> None:
        """Make the folder for a new run.

        Raises:
            ConfigError: If it holds a run already, or cannot be written.
        """
        try:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                if not overwrite:
                    raise ConfigError(
                        f"the run folder {self.path} exists already. Continue it with --resume, replace it with "
                        f"--overwrite, or choose another --trainer.run_dir."
                    )
                if not self.path.is_dir() or not self._is_run():
                    raise ConfigError(
                        f"{self.path} is not a run folder: it will not be overwritten. Choose another run_dir."
                    )
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".write-test.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigError(f"the run folder {self.path} cannot be written: {error.strerror or error}.") from error

    def _is_run(self) -> bool:
        return any(path.exists() for path in (self.config, self.log, self.metrics, self.model, self.last.parent))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the complete configuration, which runs again as it stands."""
        self._write_text(self.config, yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True))

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the final metrics as JSON; a number that is not finite becomes null."""
        self._write_text(self.metrics, json.dumps(_plain(metrics, finite=True), indent=2) + "\n")

    def _write_text(self, path: Path, text: str) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def append_row(self, row: Mapping[str, float]) -> None:
        """Append one line to the log; a new column rewrites the file with it."""
        if not self._columns:
            self._columns = self._read_columns() or list(row)
            if not self.log.exists():
                self._write_text(self.log, ",".join(self._columns) + "\n")
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._rewrite(self.rows())
        with open(self.log, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([row.get(name, "") for name in self._columns])

    def rows(self, limit: int | None = None) -> list[dict[str, float]]:
        """The log as numbers, at most ``limit`` lines; cells that are empty are left out."""
        if not self.log.exists():
            return []
        with open(self.log, newline="", encoding="utf-8") as file:
            lines = islice(csv.DictReader(file), limit)
            return [{name: float(cell) for name, cell in line.items() if cell} for line in lines]

    def truncate_log(self, num_rows: int) -> None:
        """Keep the first rows: those that the checkpoint knows."""
        if self.log.exists():
            self._columns = self._read_columns()
            self._rewrite(self.rows(num_rows))

    def _read_columns(self) -> list[str]:
        if not self.log.exists():
            return []
        with open(self.log, newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _rewrite(self, rows: list[dict[str, float]]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns)
        writer.writerows([[row.get(name, "") for name in self._columns] for row in rows])
        self._write_text(self.log, text.getvalue())


def _plain(value: Any, *, finite: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part, finite=finite) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part, finite=finite) for part in value]
    if isinstance(value, float) and finite and not (abs(value) < float("inf")):
        return None
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)
