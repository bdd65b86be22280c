"""Columns of the log that something follows: those that cannot come are refused before the first epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sciml.data import Dataset
from sciml.errors import ConfigError
from sciml.train.callbacks import EMA, Callback, EarlyStopping
from sciml.train.method import Hooks
from sciml.train.task import Task

if TYPE_CHECKING:
    from sciml.train.trainer import Trainer

__all__ = ["check_monitors"]

_COLUMNS = ("epoch", "step", "lr", "train/loss")


def check_monitors(
    trainer: Trainer, task: Task, data: Dataset, hooks: Hooks, scheduler: Mapping[str, Any] | None
) -> None:
    """Refuse to follow a metric that the log will not have.

    Terms of the loss (``train/...``) are known only when it is computed; with methods that log, or callbacks of the
    user, a column may have any name. These are left to the end of the first epoch.

    Args:
        trainer: Its ``monitor``, ``restore_best`` and callbacks count.
        task: Names the metrics.
        data: Names the validation splits.
        hooks: The methods of the run.
        scheduler: The schedule of the run.

    Raises:
        ConfigError: If there is nothing to follow, or no such column; with the columns that there are.
    """
    splits = data.names("val")
    follows = {
        "scheduler plateau": scheduler is not None and scheduler["name"].lower() == "plateau",
        "trainer.restore_best": trainer.restore_best,
    }
    for what, needed in follows.items():
        if needed and not splits and trainer.monitor is None:
            raise ConfigError(
                f"{what} follows a metric, but there is no validation split and no trainer.monitor: hold out "
                "samples (data.validation), or set trainer.monitor to a column of the log, such as train/loss."
            )
    metrics = task.metrics()
    columns = [*_COLUMNS, *(f"{split}/{name}" for split in splits for name in metrics)]
    others = bool(hooks.logs) or any(type(c).on_epoch_end not in _BUILT_IN for c in trainer.callbacks)
    for where, monitor in _monitors(trainer):
        if monitor not in columns and not _may_come(monitor, splits, bool(metrics), others):
            raise ConfigError(_message(where, monitor, columns, splits, data.name))


_BUILT_IN = (Callback.on_epoch_end, EMA.on_epoch_end, EarlyStopping.on_epoch_end)


def _monitors(trainer: Trainer) -> Iterable[tuple[str, str]]:
    given = [("trainer.monitor", trainer.monitor)]
    given += [(f"{type(c).__name__}.monitor", getattr(c, "monitor", None)) for c in trainer.callbacks]
    return [(where, monitor) for where, monitor in given if isinstance(monitor, str)]


def _may_come(monitor: str, splits: list[str], has_metrics: bool, others: bool) -> bool:
    group = monitor.partition("/")[0]
    if group in splits:
        return not has_metrics
    return group == "train" or others


def _message(where: str, monitor: str, columns: list[str], splits: list[str], name: str) -> str:
    if monitor.startswith("val") and not splits:
        return (
            f"{where} is {monitor!r}, but {name or 'the dataset'} has no split for validation. Hold one out, for "
            "example data.validation=0.1, or monitor train/loss."
        )
    # A metric without its split is the usual slip.
    close = [column for column in columns if column.endswith(f"/{monitor}")] or get_close_matches(monitor, columns, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{where} is {monitor!r}, expected a column of the log: {', '.join(columns)}.{hint}"
