"""Arrays of HDF5 files that are read when they are indexed, with numpy's rules for one list of positions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.data.formats.base import check_finite, size_limit
from sciml.data.formats.hdf5 import H5File, Node, first_line
from sciml.errors import DataFormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["H5Array", "H5Stack"]


class H5Array:
    """One dataset of a file, read when indexed; gives numpy arrays.

    Integers, slices, and one list of positions or mask are understood as in numpy.

    Args:
        file: The file.
        node: The dataset.
        name: Name of the array, for messages.
        lead: Drop a first axis of length 1.
        transposed: Reverse the axes, as in files of MATLAB.
        allow_nan: Give out NaN and infinite values instead of raising an error.
    """

    def __init__(
        self,
        file: H5File,
        node: Node,
        name: str,
        *,
        lead: bool = False,
        transposed: bool = False,
        allow_nan: bool = False,
    ) -> None:
        shape = node.shape[1:] if lead else node.shape
        self.shape = shape[::-1] if transposed else shape
        self.dtype = node.dtype
        self.name = name
        self._file, self._key = file, node.key
        self._lead, self._transposed, self._allow_nan = lead, transposed, allow_nan

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        full = _expand(index, self.shape)
        self._check_size(full)
        try:
            values = self._read(full)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
            raise DataFormatError(
                f"{self._file.path}: {self.name} cannot be read at {index!r}: {first_line(error)}"
            ) from error
        if not self._allow_nan:
            start = full[0].start if full and isinstance(full[0], slice) and full[0].step == 1 else 0
            check_finite(self.name, values, str(self._file.path), offset=start)
        return values

    def _check_size(self, index: tuple[Any, ...]) -> None:
        # A few bytes can declare any shape; reading it would fill the memory with the fill value.
        wanted = int(np.prod(_shape_after(index, self.shape), dtype=object)) * self.dtype.itemsize
        if wanted > size_limit(self._file.path):
            raise DataFormatError(
                f"{self._file.path}: reading {self.name} at {index} gives {wanted / 2**20:.0f} MiB, more than the file "
                "can reasonably hold. Read it in parts."
            )

    def _read(self, index: tuple[Any, ...]) -> np.ndarray:
        dataset = self._file.open()[self._key]
        if self._transposed:
            return _select(dataset, index[::-1]).T
        return _select(dataset, (0, *index) if self._lead else index)


class H5Stack(H5Array):
    """Datasets of equal shape, one per sample, as one array with a first axis of samples."""

    def __init__(self, file: H5File, nodes: Sequence[Node], name: str, *, allow_nan: bool = False) -> None:
        super().__init__(file, nodes[0], name, allow_nan=allow_nan)
        self.shape = (len(nodes), *nodes[0].shape)
        self._keys = [node.key for node in nodes]

    def _read(self, index: tuple[Any, ...]) -> np.ndarray:
        file = self._file.open()
        samples, rest = index[0], index[1:]
        if isinstance(samples, int):
            return _select(file[self._keys[samples]], rest)
        chosen = np.arange(len(self))[samples]
        if not len(chosen):
            return np.empty((0, *_shape_after(rest, self.shape[1:])), self.dtype)
        return np.stack([_select(file[self._keys[i]], rest) for i in chosen])


def _expand(index: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """One entry per axis: a position from 0, a slice with positive step, or an array of positions."""
    parts = list(index) if isinstance(index, tuple) else [index]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    missing = len(shape) - (len(parts) - len(dots))
    if len(dots) > 1 or missing < 0:
        raise IndexError(f"index {index!r} does not fit an array of shape {shape}.")
    where = dots[0] if dots else len(parts)
    parts[where : where + len(dots)] = [slice(None)] * missing
    full = tuple(_position(part, n) for part, n in zip(parts, shape, strict=True))
    if (
        sum(isinstance(new, np.ndarray) and not isinstance(old, slice) for new, old in zip(full, parts, strict=True))
        > 1
    ):
        raise IndexError(f"index {index!r} has more than one list of positions; read in two steps.")
    return full


def _position(part: Any, length: int) -> Any:
    if isinstance(part, slice):
        start, stop, step = part.indices(length)
        return slice(start, max(start, stop), step) if step > 0 else np.arange(start, stop, step)
    positions = np.asarray(part)
    if positions.dtype == bool and positions.shape == (length,):
        positions = positions.nonzero()[0]
    if positions.size == 0:
        positions = positions.astype(np.int64)
    if positions.dtype.kind not in "iu" or positions.ndim > 1:
        raise IndexError(f"index {part!r} is not a position, slice, list of positions or mask of length {length}.")
    if positions.size and (positions.min() < -length or positions.max() >= length):
        raise IndexError(f"index {part!r} is out of range for an axis of length {length}.")
    positions = np.where(positions < 0, positions + length, positions)
    return int(positions) if positions.ndim == 0 else positions


def _select(dataset: "h5py.Dataset", index: tuple[Any, ...]) -> np.ndarray:
    # HDF5 takes one list of positions, increasing and without repeats; the rest is done in memory.
    chosen: list[Any] = []
    later: list[np.ndarray | None] = []
    listed = False
    for part in index:
        if not isinstance(part, np.ndarray):
            chosen.append(part)
            later.append(None)
            continue
        unique, inverse = np.unique(part, return_inverse=True)
        start, stop = (int(unique[0]), int(unique[-1]) + 1) if len(unique) else (0, 0)
        if len(unique) == stop - start or listed:
            chosen.append(slice(start, stop))
            later.append(part - start)
        else:
            chosen.append(unique)
            later.append(inverse)
            listed = True
    values = np.asarray(dataset[tuple(chosen)])
    kept = [positions for part, positions in zip(index, later, strict=True) if not isinstance(part, int)]
    for axis, positions in enumerate(kept):
        if positions is not None:
            values = np.take(values, positions, axis=axis)
    return values


def _shape_after(index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    pairs = zip(index, shape, strict=True)
    return tuple(
        len(range(*part.indices(n))) if isinstance(part, slice) else len(part)
        for part, n in pairs
        if not isinstance(part, int)
    )
