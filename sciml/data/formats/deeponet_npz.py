"""The ``.npz`` layouts of DeepXDE and DeepONet.

*Aligned*: all functions share their query points; ``X`` is an array of two objects, the functions at the sensors (N, m)
and the points (P, d), and ``y`` is (N, P). *Unaligned*: one row per pair of function and point; ``X_train0`` (N, m),
``X_train1`` (N, d), ``y_train`` (N, 1), and the same with ``test``.
"""

import zipfile
from pathlib import Path

import numpy as np

from sciml.data.formats.base import Fields, Format, LayoutError, Listing, check_finite
from sciml.data.formats.numpy_safe import Member, members, read_member, read_objects

__all__ = ["FORMAT", "read"]

_NAME = "deeponet-npz"
_PARTS = ("train", "test")
_Content = tuple[dict[str, np.ndarray], dict[str, tuple[str, ...]]]


def read(path: Path, *, allow_nan: bool = False) -> Fields:
    """Read the functions ``u``, the query points ``coords`` and the values ``y``.

    An unaligned file gives ``u_train``, ``coords_train``, ``y_train`` and, if it has them, the same with ``test``.
    Arrays of objects are read only as far as they hold plain numpy arrays of numbers; nothing is executed.

    Args:
        path: The file.
        allow_nan: Accept NaN and infinite values.

    Raises:
        LayoutError: If it is no ``.npz`` archive, or has other keys or shapes.
        DataFormatError: If it is damaged, or an array of objects holds anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = members(archive, path)
            found = [(name, str(member)) for name, member in content.items()]
            arrays, axes = _contents(archive, content, found, path)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise LayoutError(f"not a readable .npz archive ({error})") from error
    if not allow_nan:
        for name, values in arrays.items():
            check_finite(name, values, str(path))
    aligned = axes["y"] == ("sample", "point") if "y" in axes else False
    layout = "aligned" if aligned else "unaligned"
    roles = {"u": "input", "coords": "coords", "y": "target"} if aligned else {}
    return Fields(_NAME, path, arrays, axes, attrs={"layout": layout}, roles=roles)  # type: ignore[arg-type]


def _sniff(path: Path, head: bytes) -> bool | str:
    return head.startswith(b"PK\x03\x04") or "not a zip archive"


def _contents(archive: zipfile.ZipFile, content: dict[str, Member], found: Listing, path: Path) -> _Content:
    if not content:
        raise LayoutError("the zip archive has no arrays", [(entry.filename, "") for entry in archive.infolist()])
    if {"X", "y"} <= set(content):
        return _packed(archive, content, found, path)
    parts = [part for part in _PARTS if {f"X_{part}0", f"X_{part}1", f"y_{part}"} <= set(content)]
    if not parts:
        raise LayoutError("neither X and y, nor X_train0, X_train1 and y_train", found)
    arrays: dict[str, np.ndarray] = {}
    axes: dict[str, tuple[str, ...]] = {}
    for part in parts:
        rows = [read_member(archive, content[key], path) for key in (f"X_{part}0", f"X_{part}1", f"y_{part}")]
        for name, values in zip(("u", "coords", "y"), rows, strict=True):
            arrays[f"{name}_{part}"] = values
        axes |= {f"{name}_{part}": value for name, value in _rows_axes(rows, found).items()}
    return arrays, axes


def _packed(archive: zipfile.ZipFile, content: dict[str, Member], found: Listing, path: Path) -> _Content:
    if content["X"].dtype.kind != "O":
        raise LayoutError(f"X is {content['X']}, expected an array of two objects", found)
    pair = read_objects(archive, content["X"], path)
    found = [*found, *((f"X[{i}]", f"{item.dtype} {item.shape}") for i, item in enumerate(pair))]
    if len(pair) != 2 or any(item.ndim != 2 for item in pair):
        raise LayoutError("X holds something else than the functions (N, m) and the points (P, d)", found)
    y = read_member(archive, content["y"], path)
    arrays = {"u": pair[0], "coords": pair[1], "y": y}
    if not all(values.size for values in arrays.values()):
        raise LayoutError("an array is empty", found)
    if y.shape == (len(pair[0]), len(pair[1])):
        return arrays, {"u": ("sample", "sensor"), "coords": ("point", "dim"), "y": ("sample", "point")}
    return arrays, _rows_axes([*pair, y], found)


def _rows_axes(rows: list[np.ndarray], found: Listing) -> dict[str, tuple[str, ...]]:
    u, coords, y = rows
    if u.ndim != 2 or coords.ndim != 2 or y.ndim not in (1, 2) or not len(u) == len(coords) == len(y) or not u.size:
        raise LayoutError(
            f"the shapes {u.shape}, {coords.shape} and {y.shape} are neither (N, m), (P, d), (N, P) nor (N, m), "
            "(N, d), (N, 1)",
            found,
        )
    return {"u": ("sample", "sensor"), "coords": ("sample", "dim"), "y": ("sample", "channel")[: y.ndim]}


FORMAT = Format(_NAME, _sniff, read)
