"""``stats.yaml`` of The Well: what its loader normalises fields with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sciml.data.writers.hdf5 import replacing

__all__ = ["write_stats"]

_BLOCK_BYTES = 64 * 2**20


def write_stats(file: str | Path, out: str | Path) -> None:
    """Mean, standard deviation and root mean square of every field of a file, reading a part at a time.

    ``*_delta`` are those of the change between consecutive times. Vectors have one number per component.

    Args:
        file: A file in the layout of The Well.
        out: The YAML file to write.
    """
    import h5py
    import yaml

    stats: dict[str, dict[str, Any]] = {
        key: {} for key in ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")
    }
    with h5py.File(file, "r") as content:
        for order in range(3):
            for name, field in content[f"t{order}_fields"].items():
                found = _moments(_blocks(field), order)
                if field.attrs["time_varying"]:
                    axis = int(field.attrs["sample_varying"])
                    if field.shape[axis] > 1:
                        changes = (np.diff(block, axis=axis) for block in _blocks(field))
                        found |= {f"{key}_delta": value for key, value in _moments(changes, order).items()}
                for key, value in found.items():
                    stats[key][name] = value
    with replacing(Path(out)) as partial:
        partial.write_text(yaml.safe_dump(stats, sort_keys=True), encoding="utf-8")


def _blocks(field: Any) -> Iterator[np.ndarray]:
    if not field.attrs["sample_varying"]:
        yield field[...].astype(np.float64)
        return
    step = max(1, _BLOCK_BYTES // max(1, 8 * int(np.prod(field.shape[1:]))))
    for start in range(0, len(field), step):
        yield field[start : start + step].astype(np.float64)


def _moments(blocks: Iterator[np.ndarray], order: int) -> dict[str, Any]:
    """Moments over all axes but those of the components, joined block by block without cancellation."""
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for block in blocks:
        axes = tuple(range(block.ndim - order))
        size = int(np.prod(block.shape[: block.ndim - order]))
        new = block.mean(axis=axes)
        shift = new - mean
        squares = squares + ((block - new) ** 2).sum(axis=axes) + shift**2 * count * size / (count + size)
        mean = mean + shift * size / (count + size)
        count += size
    variance = squares / count
    return {"mean": mean.tolist(), "std": np.sqrt(variance).tolist(), "rms": np.sqrt(variance + mean**2).tolist()}
