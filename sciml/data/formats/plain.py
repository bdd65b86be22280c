"""Plain ``.npz`` and HDF5 files of one's own: arrays named ``x`` or ``u``, ``y``, ``coords`` and ``params``.

==========  ==========================================================================  =========
array       shape                                                                       role
==========  ==========================================================================  =========
``x``       ``(samples, *grid)`` or ``(samples, channels, *grid)``                      input
``u``       ``(samples, sensors)`` or ``(samples, channels, sensors)``                  input
``y``       as ``x``; with ``coords`` ``(samples, points)`` or with channels            target
``coords``  ``(points, dim)``, shared, or ``(samples, points, dim)``                    coords
``params``  ``(samples,)`` or ``(samples, number)``                                     params
==========  ==========================================================================  =========

Whether the second axis of ``x`` and ``y`` counts channels is found from the shapes, by the first rule that says so:
there are more than three axes after the samples; ``x`` and ``y`` differ by one axis, which the longer one has second;
they differ in the second axis alone; or the second axis has length 1, or at most 8 with all axes after it longer, in
both. The option ``channels`` decides instead, and the attribute ``understood as`` says how the arrays were read.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml.data.formats.base import ArrayLike, Fields, Format, LayoutError, Listing, check_finite
from sciml.data.formats.hdf5 import H5File, inspect, is_hdf5
from sciml.data.formats.hdf5_arrays import H5Array
from sciml.data.formats.numpy_safe import members, read_member

__all__ = ["FORMAT", "read"]

_NAME = "plain"
_NAMES = ("x", "u", "y", "coords", "params")
_ROLES: dict[str, Any] = {"x": "input", "u": "input", "y": "target", "coords": "coords", "params": "params"}
_SPATIAL = ("x1", "x2", "x3")
_MAX_CHANNELS = 8
_Axes = dict[str, tuple[str, ...]]
_Shapes = Mapping[str, tuple[int, ...]]


def read(path: Path, *, channels: bool | None = None, allow_nan: bool = False) -> Fields:
    """Read the arrays; those of HDF5 files when they are indexed.

    Args:
        path: The file.
        channels: Whether the second axis of ``x`` and ``y`` counts channels; None finds it from the shapes.
        allow_nan: Accept NaN and infinite values.

    Raises:
        LayoutError: If there is neither ``x`` nor ``u``, or the shapes do not fit together.
        DataFormatError: If the file is damaged, or holds values that are not finite.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if not head.startswith(b"PK\x03\x04"):
        return _read_hdf5(path, channels, allow_nan)
    arrays, found = _read_npz(path)
    axes, words = _layout({name: value.shape for name, value in arrays.items()}, channels, found)
    if not allow_nan:
        for name, value in arrays.items():
            check_finite(name, value, str(path))
    return _fields(path, arrays, axes, {"understood as": words})


def _sniff(path: Path, head: bytes) -> bool | str:
    return head.startswith(b"PK\x03\x04") or is_hdf5(path, head) or "neither a zip archive nor an HDF5 file"


def _fields(
    path: Path, arrays: Mapping[str, ArrayLike], axes: _Axes, attrs: dict[str, Any], closer: Any = None
) -> Fields:
    return Fields(_NAME, path, arrays, axes, attrs=attrs, roles={name: _ROLES[name] for name in arrays}, closer=closer)


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], Listing]:
    try:
        with zipfile.ZipFile(path) as archive:
            content = members(archive, path)
            found = [(name, str(member)) for name, member in content.items()]
            wanted = [name for name in _NAMES if name in content]
            _need_names(wanted, found)
            if objects := [name for name in wanted if content[name].dtype.kind == "O"]:
                raise LayoutError(f"{objects[0]} is an array of objects, expected numbers", found)
            return {name: read_member(archive, content[name], path) for name in wanted}, found
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise LayoutError(f"not a readable .npz archive ({error})") from error


def _read_hdf5(path: Path, channels: bool | None, allow_nan: bool) -> Fields:
    file = H5File(path)
    content = inspect(file)
    nodes = {name: content.nodes[name] for name in _NAMES if name in content.nodes}
    _need_names(list(nodes), content.listing)
    for name, node in nodes.items():
        if not node.is_number:
            raise LayoutError(f"{name} is {node}, expected numbers", content.listing)
        if "MATLAB_class" in content.attrs.get(name, {}):
            raise LayoutError(
                "MATLAB writes arrays with their axes reversed; save them with version -v7", content.listing
            )
    axes, words = _layout({name: node.shape for name, node in nodes.items()}, channels, content.listing)
    arrays = {name: H5Array(file, node, name, allow_nan=allow_nan) for name, node in nodes.items()}
    # "units" and "grid" have a meaning of their own in files that describe themselves.
    attrs = {key: value for key, value in content.attrs.get("", {}).items() if key not in ("units", "grid")}
    file.close()
    return _fields(path, arrays, axes, {"understood as": words} | attrs, file.close)


def _need_names(names: list[str], found: Listing) -> None:
    # u alone may be a solution, as in other files of this kind.
    if "x" not in names and not ("u" in names and {"y", "coords"} & set(names)):
        raise LayoutError("no array x, and no u with y or coords", found)


def _layout(shapes: _Shapes, channels: bool | None, found: Listing) -> tuple[_Axes, str]:
    """Axes of every array, and in words how they were understood."""
    _check_samples(shapes, found)
    axes: _Axes = {}
    if "u" in shapes:
        axes["u"] = _with_channels("u", shapes["u"], ("sensor",), found)
    if "params" in shapes:
        axes["params"] = ("sample", "channel")[: len(shapes["params"])]
    if "coords" in shapes:
        axes["coords"] = ("sample", "point", "dim")[-len(shapes["coords"]) :]
    if "coords" in shapes and "y" in shapes:
        axes["y"] = _with_channels("y", shapes["y"], ("point",), found)
        if shapes["y"][-1] != shapes["coords"][-2]:
            raise LayoutError(
                f"y {shapes['y']} has not one value at each of the {shapes['coords'][-2]} points of coords "
                f"{shapes['coords']}",
                found,
            )
    on_grid = {name: shapes[name] for name in ("x", "y") if name in shapes and name not in axes}
    axes |= _grid_axes(on_grid, channels, found)
    order = [name for name in _NAMES if name in shapes]
    words = "; ".join(f"{name} ({', '.join(axes[name])})" for name in order)
    return {name: axes[name] for name in order}, words


def _check_samples(shapes: _Shapes, found: Listing) -> None:
    lengths = {}
    for name, shape in shapes.items():
        fewest = 1 if name == "params" else 2
        most = {"x": 5, "u": 3, "y": 5, "coords": 3, "params": 2}[name]
        if not fewest <= len(shape) <= most or 0 in shape:
            raise LayoutError(f"{name} has the shape {shape}, expected {fewest} to {most} axes and no empty one", found)
        if name != "coords" or len(shape) == 3:
            lengths[name] = shape[0]
    if len(set(lengths.values())) > 1:
        raise LayoutError(f"the arrays have different numbers of samples: {lengths}", found)


def _with_channels(name: str, shape: tuple[int, ...], last: tuple[str, ...], found: Listing) -> tuple[str, ...]:
    if len(shape) > 3:
        raise LayoutError(f"{name} has the shape {shape}, expected (samples, [channels,] {last[0]}s)", found)
    return ("sample", *("channel",) * (len(shape) == 3), *last)


def _grid_axes(shapes: _Shapes, channels: bool | None, found: Listing) -> _Axes:
    given = dict.fromkeys(shapes, channels)
    if channels is None:
        given = dict(_guess(shapes))
    axes = {}
    for name, shape in shapes.items():
        lead = ("sample", "channel") if given[name] else ("sample",)
        num = len(shape) - len(lead)
        if not 1 <= num <= len(_SPATIAL):
            raise LayoutError(f"{name} has the shape {shape} with channels={given[name]}: {num} axes of space", found)
        axes[name] = lead + _SPATIAL[:num]
    _check_grids(shapes, axes, channels, found)
    return axes


def _guess(shapes: _Shapes) -> dict[str, bool]:
    """Whether the second axis of each array counts channels."""
    several = {name: _seems_channels(shape) for name, shape in shapes.items()}
    if set(shapes) == {"x", "y"}:
        (a, short), (b, long) = sorted(shapes.items(), key=lambda item: len(item[1]))
        if len(long) == len(short) + 1 and long[2:] == short[1:]:
            return {a: False, b: True}
        if len(long) == len(short) >= 3 and long[2:] == short[2:] and long[1] != short[1]:
            return {a: True, b: True}
    return dict.fromkeys(shapes, len(shapes) > 0 and all(several.values())) if _same_ndim(shapes) else several


def _same_ndim(shapes: _Shapes) -> bool:
    return len({len(shape) for shape in shapes.values()}) == 1


def _seems_channels(shape: tuple[int, ...]) -> bool:
    second, rest = shape[1], shape[2:]
    few = second == 1 or (second <= _MAX_CHANNELS and all(n > second for n in rest))
    return len(shape) > 4 or (len(shape) > 2 and few)


def _check_grids(shapes: _Shapes, axes: _Axes, channels: bool | None, found: Listing) -> None:
    """Refuse what is most likely misread: channels in the last axis, and input and target on different grids."""
    hint = "channels belong into the second axis: numpy.moveaxis(x, -1, 1)"
    for name, shape in shapes.items():
        if channels is None and len(shape) > 3 and "channel" not in axes[name]:
            last, others = shape[-1], shape[1:-1]
            if last <= _MAX_CHANNELS and all(n > 2 * last for n in others):
                raise LayoutError(f"the last axis of {name} {shape} seems to count channels; {hint}", found)
    spaces = {name: shape[axes[name].index("x1") :] for name, shape in shapes.items()}
    if len({len(space) for space in spaces.values()}) > 1:
        raise LayoutError(
            f"x {shapes['x']} and y {shapes['y']} would have {len(spaces['x'])} and {len(spaces['y'])} axes of space: "
            f"say channels=true or channels=false; {hint}",
            found,
        )


FORMAT = Format(_NAME, _sniff, read)
