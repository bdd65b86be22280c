"""Numpy arrays inside zip archives, including arrays of objects, without executing anything.

``numpy.load(allow_pickle=True)`` runs whatever a file asks for. Here the pickle of an object array is read with
stand-ins for numpy's classes, which only collect shape, type and bytes; arrays are built from these after a check.
"""

import codecs
import io
import math
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciml.data.formats.base import size_limit
from sciml.errors import DataFormatError

__all__ = ["Member", "members", "read_member", "read_objects"]

_NUMBER = re.compile(r"^[<>|=]?([?biufc]\d{0,2})$")
_KINDS = "biufc"
_MAX_AXES = 8
# Opcodes of a pickle that hold an index into the memo, which would be allocated up to that index.
_MEMO_OPCODES = {"PUT", "LONG_BINPUT"}


@dataclass(frozen=True)
class Member:
    """One array of the archive as its header declares it.

    Args:
        name: Key of the array.
        shape: Declared shape.
        dtype: Declared type.
        fortran: Whether the first axis runs fastest.
        offset: Length of the header in bytes.
        size: Length of header and data together.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def members(archive: zipfile.ZipFile, path: Path) -> dict[str, Member]:
    """The arrays that an open ``.npz`` archive declares; nothing but the headers is read.

    Raises:
        DataFormatError: If a header is damaged, declares more than the archive holds, or the archive would decompress
            to more than a hundred times its size.
    """
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
    total = sum(entry.file_size for entry in entries)
    if total > size_limit(path):
        raise DataFormatError(
            f"{path}: {path.stat().st_size} bytes would decompress to {total}, which no data set does. Save it again."
        )
    return {entry.filename[:-4]: _member(archive, entry, path) for entry in entries}


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> Member:
    with archive.open(entry) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except Exception as error:  # the header is a Python literal, with the errors of Python's tokenizer
            raise DataFormatError(f"{path}: {entry.filename} has a damaged header: {error}") from error
        offset = file.tell()
    member = Member(entry.filename[:-4], tuple(shape), dtype, fortran, offset, entry.file_size)
    declared = math.prod(member.shape) * dtype.itemsize
    if any(n < 0 for n in member.shape) or (dtype.kind in _KINDS and declared != entry.file_size - offset):
        raise DataFormatError(
            f"{path}: {entry.filename} declares {member}, {declared} bytes, but holds {entry.file_size - offset}."
        )
    return member


def read_member(archive: zipfile.ZipFile, member: Member, path: Path) -> np.ndarray:
    """Read an array of numbers.

    Raises:
        DataFormatError: If it holds something else, or its data are damaged.
    """
    if member.dtype.kind not in _KINDS:
        raise DataFormatError(f"{path}: {member.name} is {member}, expected numbers.")
    raw = _payload(archive, member, path)
    return _build(raw, member.dtype, member.shape, member.fortran, f"{path}: {member.name}")


def read_objects(archive: zipfile.ZipFile, member: Member, path: Path) -> list[np.ndarray]:
    """Read an array of objects, each of which must be an array of numbers.

    Raises:
        DataFormatError: If the pickle asks for anything but numpy arrays of numbers.
    """
    raw = _payload(archive, member, path)
    where = f"{path}: {member.name}"
    try:
        _check_opcodes(raw)
        content = _Reader(io.BytesIO(raw), encoding="latin1").load()
        items = content.items() if isinstance(content, _Array) else None
        if items is None:
            raise pickle.UnpicklingError("it is not an array of objects")
        return [item.build(f"{where}[{i}]") for i, item in enumerate(items)]
    except DataFormatError:
        raise
    except Exception as error:  # a pickle can fail in as many ways as it has instructions
        raise DataFormatError(
            f"{where} is an array of objects, and only plain numpy arrays of numbers in it are read: {error}"
        ) from error


def _payload(archive: zipfile.ZipFile, member: Member, path: Path) -> bytes:
    try:
        with archive.open(f"{member.name}.npy") as file:
            raw = file.read()
    except Exception as error:  # zlib, lzma and bz2 each have errors of their own
        raise DataFormatError(f"{path}: {member.name} is damaged: {error}") from error
    if len(raw) != member.size:
        raise DataFormatError(f"{path}: {member.name} ends after {len(raw)} of {member.size} bytes.")
    return raw[member.offset :]


def _build(raw: bytes, dtype: np.dtype, shape: tuple[int, ...], fortran: bool, where: str) -> np.ndarray:
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise DataFormatError(f"{where} declares {dtype} {shape}, but holds {len(raw)} bytes.")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C").copy()


def _check_opcodes(raw: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name in _MEMO_OPCODES and (argument is None or argument > len(raw)):
            raise pickle.UnpicklingError("a memo index is larger than the file")


class _Type:
    """Stands in for ``numpy.dtype``: remembers the code and byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2:
            raise pickle.UnpicklingError("a data type has a damaged state")
        self.order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]

    def build(self) -> np.dtype:
        if not isinstance(self.code, str) or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"the data type {self.code!r} is not a number")
        if _NUMBER.match(self.code) is None:
            raise pickle.UnpicklingError(f"the data type {self.code!r} is not a number")
        return np.dtype(self.code if self.order in ("|", "=") else self.order + self.code.lstrip("<>|="))


class _Array:
    """Stands in for ``numpy.ndarray``: remembers shape, type and content."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Type):
            raise pickle.UnpicklingError("an array has a damaged state")
        self.state = state

    def _parts(self) -> tuple[tuple[int, ...], _Type, bool, Any]:
        if self.state is None:
            raise pickle.UnpicklingError("an array has no content")
        _, shape, kind, fortran, content = self.state
        if not isinstance(shape, tuple) or len(shape) > _MAX_AXES or not all(type(n) is int and n >= 0 for n in shape):
            raise pickle.UnpicklingError(f"an array has the shape {str(shape)[:80]}")
        return shape, kind, bool(fortran), content

    def items(self) -> list["_Array"] | None:
        """The arrays in an array of objects; None for anything else."""
        shape, kind, _, content = self._parts()
        items = content if isinstance(content, list) and kind.code in ("O", "O8") else None
        if items is None or len(items) != math.prod(shape) or not all(isinstance(item, _Array) for item in items):
            return None
        return items

    def build(self, where: str) -> np.ndarray:
        shape, kind, fortran, content = self._parts()
        raw = content.encode("latin1") if isinstance(content, str) else content
        if not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array in it has no plain bytes")
        return _build(raw, kind.build(), shape, fortran, where)


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(buffer: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    raw = bytes(buffer) if isinstance(buffer, bytes | bytearray | memoryview) else buffer
    array.__setstate__((1, shape, kind, order == "F", raw))
    return array


def _scalar(kind: Any, raw: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, (), kind, False, raw))
    return array


def _encode(text: str, encoding: str = "latin1", *_: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("a text is encoded in an unusual way")
    return codecs.encode(text, "latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {("_codecs", "encode"): _encode, ("numpy", "dtype"): _Type}
_ALLOWED |= {("numpy", "ndarray"): _Array}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Reader(pickle.Unpickler):
    """Knows the names that numpy writes for arrays, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused")
        return _ALLOWED[module, name]
