"""The MATLAB files of the FNO paper: ``.mat`` of version 5 (read at once) and of version 7.3 (HDF5, read when indexed).

===============  ================================================================
layout           arrays
===============  ================================================================
``burgers``      ``a`` and ``u``, each (N, X)
``darcy``        ``coeff`` and ``sol``, each (N, X, Y)
``navier-stokes``  ``u`` (N, X, Y, T), often with ``a`` (N, X, Y) and ``t``
===============  ================================================================
"""

from pathlib import Path
from typing import Any

import numpy as np

from sciml.data.formats.base import ArrayLike, Fields, Format, LayoutError, Listing, check_finite
from sciml.data.formats.hdf5 import H5File, Node, inspect, is_hdf5
from sciml.data.formats.hdf5_arrays import H5Array
from sciml.data.formats.mat5 import HEADER_BYTES, is_mat5, read_variable, variables

__all__ = ["FORMAT", "read"]

_NAME = "fno-mat"
_Axes = dict[str, tuple[str, ...]]
_GRID = ("sample", "x1", "x2")
_ROLES = {"a": "input", "u": "target", "coeff": "input", "sol": "target"}


def read(path: Path, *, allow_nan: bool = False) -> Fields:
    """Read the arrays of one of the layouts; other variables of the file are ignored.

    Nothing in a ``.mat`` file is executed: function handles and objects stay closed. No coordinates are made up, since
    the files hold none.

    Args:
        path: The file.
        allow_nan: Accept NaN and infinite values.

    Raises:
        LayoutError: If it is no such file, or has other variables or shapes.
        DataFormatError: If it is damaged, or would decompress to more than a hundred times its size.
    """
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if is_hdf5(path, head):
        return _read_hdf5(path, head, allow_nan)
    if not is_mat5(head):
        raise LayoutError("no MATLAB header of version 5 or 7.3")
    return _read_version_5(path, allow_nan)


def _sniff(path: Path, head: bytes) -> bool | str:
    return is_mat5(head) or is_hdf5(path, head) or "no MATLAB header of version 5 or 7.3"


def _layout(shapes: dict[str, tuple[int, ...]], found: Listing) -> tuple[str, _Axes]:
    ndim = {name: len(shape) for name, shape in shapes.items() if 0 not in shape}
    axes: _Axes
    if ndim.get("a") == ndim.get("u") == 2:
        layout, axes = "burgers", {"a": ("sample", "x1"), "u": ("sample", "x1")}
    elif ndim.get("coeff") == ndim.get("sol") == 3:
        layout, axes = "darcy", {"coeff": _GRID, "sol": _GRID}
    elif ndim.get("u") == 4:
        layout, axes = "navier-stokes", {"u": (*_GRID, "time")}
        axes |= {"a": _GRID} if ndim.get("a") == 3 else {}
    else:
        raise LayoutError("no a and u with two axes, no coeff and sol with three, no u with four", found)
    first, *others = [shapes[name][: min(map(len, axes.values()))] for name in axes]
    if any(other != first for other in others):
        raise LayoutError("the shapes of " + " and ".join(f"{n} {shapes[n]}" for n in axes) + " do not fit", found)
    return layout, axes


def _fields(
    path: Path, layout: str, arrays: dict[str, ArrayLike], axes: _Axes, times: Any, closer: Any = None
) -> Fields:
    roles: dict[str, Any] = {name: _ROLES[name] for name in axes if len(axes) == 2}
    coords = {} if times is None else {"time": times}
    return Fields(_NAME, path, arrays, axes, coords, {"layout": layout}, roles, closer)


def _times(values: Any, layout: str, arrays: dict[str, Any], path: Path) -> np.ndarray | None:
    """The variable ``t`` as coordinates, if it has one entry per time of ``u``."""
    if layout != "navier-stokes" or values is None:
        return None
    times = np.asarray(values).ravel()
    check_finite("t", times, str(path))
    return times if len(times) == arrays["u"].shape[-1] else None


def _read_hdf5(path: Path, head: bytes, allow_nan: bool) -> Fields:
    file = H5File(path)
    content = inspect(file)
    nodes = {name: node for name, node in content.nodes.items() if node.is_number and "/" not in name}
    marked = any("MATLAB_class" in content.attrs.get(name, {}) for name in nodes)
    if not head.startswith(b"MATLAB 7.3") and not marked:
        # Without a sign of MATLAB the order of the axes would be a guess.
        raise LayoutError("an HDF5 file without a MATLAB header", content.listing)
    layout, axes = _layout({name: node.shape[::-1] for name, node in nodes.items()}, content.listing)
    arrays: dict[str, ArrayLike] = {
        name: H5Array(file, nodes[name], name, transposed=True, allow_nan=allow_nan) for name in axes
    }
    times = _times(_small(file, nodes.get("t")), layout, arrays, path)
    file.close()
    return _fields(path, layout, arrays, axes, times, file.close)


def _small(file: H5File, node: Node | None) -> np.ndarray | None:
    if node is None or np.prod(node.shape, dtype=object) > 2**22:
        return None
    return H5Array(file, node, "t", allow_nan=True)[...]


def _read_version_5(path: Path, allow_nan: bool) -> Fields:
    content = variables(path)
    found = [(name, str(variable)) for name, variable in content.items()]
    layout, axes = _layout({name: v.shape for name, v in content.items() if v.dtype is not None}, found)
    arrays: dict[str, ArrayLike] = {name: read_variable(path, content[name]) for name in axes}
    if not allow_nan:
        for name, values in arrays.items():
            check_finite(name, values, str(path))
    has_times = "t" in content and content["t"].dtype is not None
    times = read_variable(path, content["t"]) if has_times else None
    return _fields(path, layout, arrays, axes, _times(times, layout, arrays, path))


FORMAT = Format(_NAME, _sniff, read)
