"""What the writers share: a file that closes itself, arrays that grow by samples, no time stamps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

__all__ = ["H5Writer", "replacing"]

_CHUNK_BYTES = 2**20


class H5Writer:
    """A new HDF5 file; equal content written in equal steps gives equal bytes.

    Args:
        path: The file; it is replaced when it exists.
        dtype: Type of floating-point arrays.
    """

    def __init__(self, path: Path, dtype: str) -> None:
        import h5py

        self.path = path
        self.dtype = np.dtype(dtype)
        self.num = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = h5py.File(path, "w", track_times=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            self.file.close()

    def finish(self) -> None:
        """Write what is known only at the end."""

    def cast(self, values: Any) -> np.ndarray:
        """Floating-point numbers in the type of the file, other values as they are."""
        array = np.asarray(values)
        return array.astype(self.dtype, copy=False) if array.dtype.kind == "f" else array

    def create(self, where: Any, key: str, values: Any) -> Any:
        """Write a whole array."""
        return where.create_dataset(key, data=values, track_times=False)

    def extend(self, key: str, values: np.ndarray) -> Any:
        """Add samples, after the :attr:`num` that are there, to an array that grows."""
        if key not in self.file:
            rest, chunks = values.shape[1:], _chunk_shape(values.shape, values.dtype.itemsize)
            self.file.create_dataset(
                key, (0, *rest), values.dtype, maxshape=(None, *rest), chunks=chunks, track_times=False
            )
        dataset = self.file[key]
        dataset.resize(self.num + len(values), axis=0)
        dataset[self.num :] = values
        return dataset


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to; the file takes its place when the block ends well, and is removed otherwise."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """About a MiB: of whole samples, or of whole frames of one sample where samples are larger."""
    sample = itemsize * max(1, int(np.prod(shape[1:])))
    if sample <= _CHUNK_BYTES or len(shape) < 3:
        return (max(1, min(_CHUNK_BYTES // sample, max(16, shape[0]))), *shape[1:])
    frame = itemsize * max(1, int(np.prod(shape[2:])))
    return (1, min(shape[1], max(1, _CHUNK_BYTES // frame)), *shape[2:])
