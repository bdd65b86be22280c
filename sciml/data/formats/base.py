"""What every reader of data files shares: its result, its errors and its checks.

A format is an object with ``name``, ``sniff(path, head)`` and ``read(path, **options)``; :class:`Format` builds one
from two functions. ``read`` gives :class:`Fields`: named arrays, what each axis is, and coordinates.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np

from sciml.errors import DataFormatError

__all__ = ["ArrayLike", "Fields", "Format", "LayoutError", "Listing", "check_finite", "listing_text", "size_limit"]

# One array as it was found: key, data type and shape in words.
Listing = list[tuple[str, str]]
_MAX_LISTED = 24
_MIB = 2**20


class ArrayLike(Protocol):
    """A torch tensor, a numpy array or a lazily read array: shape, type and indexing."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of the values."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Any: ...


class LayoutError(DataFormatError):
    """The file is of another layout than the reader's; ``found`` lists its content.

    Args:
        reason: Why the layout does not fit.
        found: Key and description of what the file holds.
    """

    def __init__(self, reason: str, found: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.found = list(found)


@dataclass(frozen=True)
class Fields:
    """Named arrays of a data file with the meaning of their axes.

    Arrays of HDF5 files are read when they are indexed; :meth:`close`, or a ``with`` block, releases the file.

    Args:
        format: Name of the format.
        path: The file.
        arrays: Name to array.
        axes: Name of the array to the names of its axes: ``sample``, ``time``, ``channel``, ``x1`` to ``x3``,
            ``point``, ``sensor``, ``dim``.
        coords: Axis name to one-dimensional coordinates, where the file has them.
        attrs: Parameters and notes of the file.
        roles: Name of an array to ``input``, ``target``, ``coords`` or ``params``, where the layout says so.
        closer: Called by :meth:`close`.

    Example:
        >>> fields = Fields("demo", Path("a.npz"), {"x": np.zeros((3, 8))}, {"x": ("sample", "x1")})
        >>> fields["x"].shape
        (3, 8)
    """

    format: str
    path: Path
    arrays: Mapping[str, ArrayLike]
    axes: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, np.ndarray] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, Literal["input", "target", "coords", "params"]] = field(default_factory=dict)
    closer: Callable[[], None] | None = None

    def __getitem__(self, name: str) -> ArrayLike:
        if name not in self.arrays:
            raise DataFormatError(f"{self.path}: no array {name!r}; there are {', '.join(self.arrays)}.")
        return self.arrays[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file behind lazily read arrays; they open it again when indexed."""
        if self.closer is not None:
            self.closer()


@dataclass(frozen=True)
class Format:
    """A reader of one family of data files.

    Args:
        name: Name in the registry.
        sniff: ``sniff(path, head)`` with the first bytes of the file: True if the reader should try, else the reason
            why not.
        read: ``read(path, **options)`` gives :class:`Fields`; it raises :class:`LayoutError` when the file is of
            another layout and :class:`~sciml.errors.DataFormatError` when its content is wrong.
    """

    name: str
    sniff: Callable[[Path, bytes], bool | str]
    read: Callable[..., Fields]


def listing_text(found: Listing) -> str:
    """What a file holds, in one line."""
    shown = [f"{key} {what}".rstrip() for key, what in found[:_MAX_LISTED]]
    if len(found) > _MAX_LISTED:
        shown.append(f"and {len(found) - _MAX_LISTED} more")
    return ", ".join(shown) or "nothing"


def size_limit(path: Path) -> int:
    """Largest number of bytes that decompressing the file may give: 256 MiB, or a hundred times its size."""
    return max(256 * _MIB, 100 * path.stat().st_size)


def check_finite(name: str, values: Any, where: str, offset: int = 0) -> None:
    """Refuse NaN and infinite values.

    Args:
        name: Name of the array.
        values: A numpy array or torch tensor.
        where: File, for the message.
        offset: Index of the first sample of ``values`` in the whole array.

    Raises:
        DataFormatError: With the number of such values and the index of the first.

    Example:
        >>> check_finite("u", np.array([0.0, np.nan]), "a.npz")
        Traceback (most recent call last):
        sciml.errors.DataFormatError: a.npz: u has 1 NaN or infinite value, the first at index (1,). ...
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(array)
    count = int(bad.sum())
    if not count:
        return
    first = [int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape)]
    if first:
        first[0] += offset
    values_word = "value" if count == 1 else "values"
    raise DataFormatError(
        f"{where}: {name} has {count} NaN or infinite {values_word}, the first at index {tuple(first)}. "
        "Repair the file, or open it with allow_nan=True."
    )
