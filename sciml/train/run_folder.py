"""The folder of a run: configuration, log, metrics, checkpoints and model, each written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from sciml.data.lock import file_lock
from sciml.errors import CheckpointError, ConfigError
from sciml.train.checkpoint import atomic_path

__all__ = ["RunFolder"]

_LOCK = ".lock"
_PICTURES = ("history.png", "prediction.png", "resolution.png")
_OWN_FILES = ("config.yaml", "metrics.csv", "metrics.json", "model.safetensors", *_PICTURES)
_OWN_FOLDERS = ("checkpoints", "tensorboard")


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

    @contextmanager
    def claim(self, *, overwrite: bool = False, resume: bool = False) -> Iterator[None]:
        """Make the folder and hold it for one process; nothing that it holds is changed.

        Args:
            overwrite: A run that is there will be replaced, by :meth:`clear`.
            resume: A run that is there will be continued.

        Raises:
            ConfigError: If it holds a run that is neither continued nor replaced, or other files than a run's, if
                another process trains in it, or it cannot be written.
        """
        try:
            content = not self.path.is_dir() or [p.name for p in self.path.iterdir() if p.name != _LOCK]
            if self.path.exists() and content:
                self._check_claim(overwrite, resume)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the run folder {self.path} cannot be written: {error.strerror or error}.") from error
        with ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self.path / _LOCK, wait=False))
            except OSError as error:
                raise ConfigError(
                    f"the run folder {self.path} cannot be written: {error.strerror or error}."
                ) from error
            except ConfigError:
                raise ConfigError(
                    f"another process trains in the run folder {self.path}: wait, or choose another run_dir."
                ) from None
            yield

    def _check_claim(self, overwrite: bool, resume: bool) -> None:
        is_run = self.path.is_dir() and self._marker.is_file()
        if is_run and not (overwrite or resume):
            raise ConfigError(
                f"the run folder {self.path} exists already. Continue it with --resume (resume='auto' in Python), "
                f"replace it with --overwrite (overwrite=True), or choose another --trainer.run_dir."
            )
        if not is_run:
            raise ConfigError(
                f"{self.path} is not a run folder: nothing is written among files of others. Choose another run_dir."
            )

    @property
    def _marker(self) -> Path:
        """Says that the folder is one of ours, so that its files may be replaced."""
        return self.path / ".sciml-run"

    @property
    def started(self) -> bool:
        """True when the folder holds results of a run."""
        return bool(self.model.exists() or self.best.exists() or self.rows())

    def clear(self) -> None:
        """Remove what a run wrote, and nothing else."""
        for name in _OWN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for name in _OWN_FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        self._columns = []

    def begin(self) -> None:
        """Mark the folder as that of a run."""
        self._write_text(self._marker, "written by sciml\n")

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
            try:
                return [{name: float(cell) for name, cell in line.items() if cell} for line in lines]
            except (ValueError, TypeError, csv.Error) as error:
                raise CheckpointError(f"{self.log} is not a log of numbers: {error}. Move it away.") from error

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
