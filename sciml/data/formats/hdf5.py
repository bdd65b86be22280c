"""HDF5 files, read when indexed and never beyond the file itself.

External links, soft links, virtual datasets and external storage can point at any other file, so :func:`inspect`
refuses them before anything is read. :class:`H5File` opens the file again in each process, so it survives ``fork`` and
pickling.

One thing is out of reach: on some damaged files the HDF5 library itself asks for more and more memory (2.0.0 does when
the free list of a local heap contains itself). Limit the memory of a process that opens files from strangers.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.data.formats.base import LayoutError, Listing
from sciml.errors import DataFormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["MAGIC", "Content", "H5File", "Node", "first_line", "inspect", "is_hdf5"]

MAGIC = b"\x89HDF\r\n\x1a\n"
_NUMBERS = "biufc"
_MAX_DEPTH = 8
_MAX_OBJECTS = 10**6
# One chunk is decompressed whole, however little of it is asked for.
_MAX_CHUNK_BYTES = 2**30
_MAX_TEXT = 65536


class H5File:
    """A file opened for reading when first needed, once per process.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: Any = None
        self._process = 0

    def open(self) -> "h5py.File":
        """The open file of this process."""
        if self._handle is None or self._process != os.getpid():
            import h5py

            # A handle inherited through fork shares its state with the parent: close this process's copy.
            self.close()
            try:
                self._handle = h5py.File(self.path, "r")
            except (OSError, RuntimeError, ValueError) as error:
                raise LayoutError(f"not a readable HDF5 file ({first_line(error)})") from error
            self._process = os.getpid()
        return self._handle

    def close(self) -> None:
        """Close the file; it is opened again when an array is indexed."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_handle": None, "_process": 0}


@dataclass(frozen=True)
class Node:
    """A dataset as declared: shape and type, nothing read."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers that can be read as an array."""
        return self.dtype.kind in _NUMBERS

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


@dataclass(frozen=True)
class Content:
    """What a file declares: datasets by full key, and the attributes of groups and datasets that are plain values."""

    nodes: dict[str, Node]
    attrs: dict[str, dict[str, Any]]

    @property
    def listing(self) -> Listing:
        """Keys with types and shapes."""
        return [(key, str(node)) for key, node in self.nodes.items()]


def is_hdf5(path: Path, head: bytes) -> bool:
    """Whether the HDF5 signature is at the start or after a user block of 512, 1024, ... bytes."""
    if head.startswith(MAGIC):
        return True
    size = path.stat().st_size
    place = 512
    with path.open("rb") as file:
        while place < min(size, 2**24):
            file.seek(place)
            if file.read(len(MAGIC)) == MAGIC:
                return True
            place *= 2
    return False


def inspect(file: H5File) -> Content:
    """List the datasets of a file without reading them, and refuse what points outside.

    Raises:
        DataFormatError: If the file is damaged or refers to other files.
    """
    content = Content({}, {})
    try:
        for key, item in _walk(file.open(), "", file.path):
            content.attrs[key] = _plain_attrs(item)
            if len(content.attrs) > _MAX_OBJECTS:
                raise DataFormatError(f"{file.path}: more than {_MAX_OBJECTS} groups and arrays.")
            if hasattr(item, "shape"):
                content.nodes[key] = Node(key, tuple(item.shape), item.dtype)
    except DataFormatError:
        raise
    except Exception as error:  # HDF5 reports damage with errors of many types
        raise DataFormatError(f"{file.path}: damaged HDF5 file: {type(error).__name__}: {first_line(error)}") from error
    finally:
        file.close()
    return content


def _walk(group: "h5py.Group", prefix: str, path: Path) -> Iterator[tuple[str, Any]]:
    import h5py

    # A group may contain itself. Its address would tell, but asking for it makes HDF5 read parts of a damaged file that
    # claim gigabytes; the depth tells too.
    if prefix.count("/") > _MAX_DEPTH:
        raise DataFormatError(f"{path}: the group {prefix[:80]} contains itself, or groups are nested too deeply.")
    yield prefix.rstrip("/"), group
    for name in group:
        key = prefix + name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise DataFormatError(
                f"{path}: {key} is a link ({type(link).__name__}), and links are not followed, because they can point "
                "at other files. Copy the data into the file."
            )
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _walk(item, key + "/", path)
        elif isinstance(item, h5py.Dataset) and item.shape is not None:
            _check_storage(item, key, path)
            yield key, item


def _check_storage(item: "h5py.Dataset", key: str, path: Path) -> None:
    if item.is_virtual or item.external:
        kind = "a virtual dataset" if item.is_virtual else "stored in external files"
        raise DataFormatError(
            f"{path}: {key} is {kind}, which can point at any other file. Copy the data into the file."
        )
    if item.chunks is not None and int(np.prod(item.chunks, dtype=object)) * item.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise DataFormatError(
            f"{path}: {key} has chunks {item.chunks} of more than 1 GiB. Rewrite it with smaller ones."
        )


def _plain_attrs(item: Any) -> dict[str, Any]:
    import h5py

    plain: dict[str, Any] = {}
    for name in item.attrs:
        kind = h5py.h5a.open(item.id, name.encode()).dtype
        if kind.kind not in _NUMBERS + "SU" and h5py.check_string_dtype(kind) is None:
            continue
        value = item.attrs[name]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.size == 1):
            value = value.item()
        if isinstance(value, bool | int | float | complex) or (isinstance(value, str) and len(value) <= _MAX_TEXT):
            plain[name] = value
    return plain


def first_line(error: BaseException) -> str:
    """The first line of an error's message; HDF5 adds long traces."""
    return (str(error).splitlines() or [""])[0]
