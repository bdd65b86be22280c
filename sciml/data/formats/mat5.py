"""Arrays of numbers in MATLAB files of version 5.

The reader follows the declared length of every part and never takes more than the file holds; structures, cells,
function handles and objects are listed by their class and never opened.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciml.data.formats.base import size_limit
from sciml.errors import DataFormatError

__all__ = ["HEADER_BYTES", "Variable", "is_mat5", "read_variable", "variables"]

HEADER_BYTES = 128
_COMPRESSED, _MATRIX = 15, 14
_OPAQUE = 17
_COMPLEX, _LOGICAL = 0x0800, 0x0200
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", _OPAQUE: "object"}
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
# Flags, up to 64 dimensions and a name of 63 letters fit well into this many bytes.
_PREFIX = 4096


@dataclass(frozen=True)
class Variable:
    """One variable as declared.

    Args:
        name: Its name.
        shape: Its dimensions.
        dtype: Type of the numbers, or None for a structure, text, function handle and the like.
        kind: Its class in words.
        start: Place of the element in the file.
        size: Bytes of the element in the file.
        compressed: Whether these bytes are compressed.
        order: Byte order, ``<`` or ``>``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    kind: str
    start: int
    size: int
    compressed: bool
    order: str

    def __str__(self) -> str:
        return f"{self.kind} {self.shape}"


class _DamagedError(Exception):
    """A part that does not fit into what surrounds it."""


def is_mat5(head: bytes) -> bool:
    """Whether the first bytes are a header of version 5."""
    return len(head) >= HEADER_BYTES and head[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def variables(path: Path) -> dict[str, Variable]:
    """The variables of the file; values are not read.

    Raises:
        DataFormatError: If the file is damaged.
    """
    found = {}
    try:
        for variable in _walk(path):
            found[variable.name] = variable
    except (_DamagedError, struct.error, zlib.error, OSError) as error:
        raise DataFormatError(f"{path}: damaged MATLAB file: {error}") from error
    return found


def read_variable(path: Path, variable: Variable) -> np.ndarray:
    """Read an array of numbers.

    Raises:
        DataFormatError: If it is something else, is damaged, or would decompress to more than a hundred times the size
            of the file.
    """
    if variable.dtype is None:
        raise DataFormatError(f"{path}: {variable.name} is a {variable.kind}, expected numbers.")
    try:
        return _values(_element(path, variable, size_limit(path)), variable)
    except (_DamagedError, struct.error, zlib.error, OSError, MemoryError, ValueError) as error:
        raise DataFormatError(f"{path}: {variable.name} is damaged: {error}") from error


def _walk(path: Path) -> Iterator[Variable]:
    end = path.stat().st_size
    with path.open("rb") as file:
        order = "<" if file.read(HEADER_BYTES)[126:128] == b"IM" else ">"
        position = HEADER_BYTES
        while position < end:
            file.seek(position)
            kind, size = struct.unpack(f"{order}II", file.read(8))
            start = position + 8
            if kind not in (_COMPRESSED, _MATRIX) or start + size > end:
                raise _DamagedError(f"the element at byte {position} does not fit into the file")
            prefix = file.read(min(size, _PREFIX))
            compressed = kind == _COMPRESSED
            if compressed:
                prefix = zlib.decompressobj().decompress(prefix, _PREFIX)[8:]
            name, shape, number, words, _ = _declaration(prefix, order)
            yield Variable(name, shape, number, words, start, size, compressed, order)
            position = start + size


def _element(path: Path, variable: Variable, limit: int) -> bytes:
    with path.open("rb") as file:
        file.seek(variable.start)
        raw = file.read(variable.size)
    if not variable.compressed:
        return raw
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(raw, limit)
    if unpacker.unconsumed_tail:
        raise _DamagedError(f"{len(raw)} bytes would decompress to more than {limit}")
    if not unpacker.eof:
        raise _DamagedError("the compressed data end too early")
    return content[8:]


def _declaration(raw: bytes, order: str) -> tuple[str, tuple[int, ...], np.dtype | None, str, int]:
    """Name, shape, type and class of a matrix element, and where its values begin."""
    _, flags, place = _part(raw, 0, order)
    (word,) = struct.unpack_from(f"{order}I", flags)
    code = word & 0xFF
    if code == _OPAQUE:
        _, name, place = _part(raw, place, order)
        return name.decode("latin1"), (), None, _CLASSES[code], place
    _, sizes, place = _part(raw, place, order)
    shape = tuple(int(n) for n in np.frombuffer(sizes, f"{order}i4")) if len(sizes) % 4 == 0 else (-1,)
    if min(shape, default=-1) < 0:
        raise _DamagedError("an array has negative or no dimensions")
    _, name, place = _part(raw, place, order)
    number = np.dtype(_NUMBERS[code]) if code in _NUMBERS else None
    if number is not None and word & _LOGICAL:
        number = np.dtype(bool)
    if number is not None and word & _COMPLEX:
        number = np.dtype("c8" if code == 7 else "c16")
    return name.decode("latin1"), shape, number, str(number or _CLASSES.get(code, f"class {code}")), place


def _values(raw: bytes, variable: Variable) -> np.ndarray:
    *_, place = _declaration(raw, variable.order)
    assert variable.dtype is not None
    real, place = _numbers(raw, place, variable)
    if variable.dtype.kind != "c":
        return real.astype(variable.dtype)
    imaginary, _ = _numbers(raw, place, variable)
    return (real + 1j * imaginary).astype(variable.dtype)


def _numbers(raw: bytes, place: int, variable: Variable) -> tuple[np.ndarray, int]:
    kind, data, place = _part(raw, place, variable.order)
    if kind not in _STORED:
        raise _DamagedError(f"its values have the unknown type {kind}")
    stored = np.dtype(variable.order + _STORED[kind])
    if len(data) != math.prod(variable.shape) * stored.itemsize:
        raise _DamagedError(f"its shape is {variable.shape}, but it holds {len(data)} bytes of {stored}")
    values = np.frombuffer(data, stored).reshape(variable.shape, order="F")
    return values.astype(stored.newbyteorder("="), order="C"), place


def _part(raw: bytes, place: int, order: str) -> tuple[int, bytes, int]:
    """Type and bytes of the part at ``place``, and where the next one begins."""
    first, size = struct.unpack_from(f"{order}II", raw, place)
    small = first >> 16
    if small:
        # Up to four bytes stand in the tag itself.
        kind, size, start, after = first & 0xFFFF, small, place + 4, place + 8
    else:
        kind, start = first, place + 8
        after = start + size + (-size) % 8
    if start + size > len(raw) or (small and size > 4):
        raise _DamagedError("a part is longer than what holds it")
    return kind, raw[start : start + size], after
