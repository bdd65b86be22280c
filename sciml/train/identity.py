"""What a checkpoint belongs to: the data and settings that a resumed run must share with the run it continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from sciml.data import Dataset, training_splits
from sciml.errors import CheckpointError, ConfigError
from sciml.train.task import Task

if TYPE_CHECKING:
    from sciml.train.trainer import Trainer

__all__ = ["check_data", "check_settings", "data_identity", "run_settings"]

_MISSING = "left out"


def data_identity(data: Dataset) -> dict[str, Any]:
    """Shapes and hash of the training split, or of those of all resolutions."""
    splits = training_splits(data)
    if len(splits) == 1:
        splits = {"train": data.train}
    shapes = {name: {key: list(value.shape) for key, value in split.tensors.items()} for name, split in splits.items()}
    return {
        "shapes": shapes["train"] if len(splits) == 1 else shapes,
        "hash": Dataset(splits, data.spec).hash,
    }


def run_settings(
    trainer: Trainer,
    task: Task,
    methods: list[str],
    optimizer: Mapping[str, Any] | Callable[[nn.Module], Any],
    scheduler: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Everything but the length of a run that its result depends on, as plain data."""
    names = ("batch_size", "accumulate", "clip_norm", "precision", "seed", "shuffle", "drop_last")
    settings = {f"trainer.{name}": getattr(trainer, name) for name in names}
    settings |= {f"task.{name}": value for name, value in task.settings().items()}
    settings["task"] = type(task).__name__
    settings["methods"] = methods
    # A function cannot be compared; its optimizer's state still has to fit.
    given = {"name": "a function"} if callable(optimizer) else dict(optimizer)
    settings |= {f"optimizer.{name}": value for name, value in given.items()}
    settings |= {f"scheduler.{name}": value for name, value in (scheduler or {}).items()}
    return {name: _plain(value) for name, value in settings.items()}


def check_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse to continue a run with other settings.

    Raises:
        ConfigError: With every setting that differs.
    """
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name, _MISSING) != new.get(name, _MISSING)]
    # Another optimizer has other arguments, which say nothing more.
    replaced = tuple(name.removesuffix("name") for name in names if name.endswith(".name"))
    differing = [
        f"{name} was {old.get(name, _MISSING)}, now {new.get(name, _MISSING)}"
        for name in names
        if name.endswith(".name") or not name.startswith(replaced)
    ]
    if differing:
        raise ConfigError(
            f"a resumed run must keep its settings, all but its length: {'; '.join(differing)}. "
            "Take the old ones, or start a new run."
        )


def check_data(old: Mapping[str, Any], data: Dataset) -> None:
    """Refuse to continue a run on other training data.

    Raises:
        CheckpointError: If shapes or values differ.
    """
    new = data_identity(data)
    if old["shapes"] != new["shapes"]:
        raise CheckpointError(f"the checkpoint was trained on {old['shapes']}, the data now are {new['shapes']}.")
    if old["hash"] != new["hash"]:
        raise CheckpointError(
            "the training data have changed since the checkpoint was written (same shapes, other values). "
            "Start a new run, or restore the old data."
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, bool | int | float | str) or value is None else repr(value)
