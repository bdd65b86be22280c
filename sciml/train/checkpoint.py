"""Checkpoints: written beside their final name and moved into place, read without executing anything."""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sciml.errors import CheckpointError

__all__ = ["FORMAT_VERSION", "atomic_path", "load_checkpoint", "save_checkpoint"]

FORMAT_VERSION = 1


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, moved to ``path`` when the block ends without an error.

    A process killed inside the block leaves the old file as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of tensors and plain data so that ``path`` always holds a whole file.

    Raises:
        CheckpointError: If it cannot be written; the old file is still there.
    """
    try:
        with atomic_path(path) as temporary:
            torch.save({"format": FORMAT_VERSION, **state}, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a runtime error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"the checkpoint {path} cannot be written; is the disk full? An older one is kept. Reason: {lines[0]}"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint with ``weights_only=True``: tensors and plain data only.

    Raises:
        CheckpointError: If the file is missing, truncated, holds other objects, or has another format version.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The advice of torch in this case, to load it all the same, would execute what the file holds.
        raise CheckpointError(
            f"{path} holds more than tensors and plain data, or is damaged: it is not loaded."
        ) from error
    except Exception as error:  # torch raises pickle, zip, runtime and key errors for broken files
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path} is not a readable checkpoint: {reason}") from error
    if not isinstance(state, dict) or "format" not in state:
        raise CheckpointError(f"{path} is not a checkpoint of sciml.")
    if state["format"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has checkpoint format {state['format']}, this version of sciml reads {FORMAT_VERSION}."
        )
    return state
