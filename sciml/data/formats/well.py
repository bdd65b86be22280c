"""The layout of The Well: scalar, vector and tensor fields of trajectories on a grid.

``t0_fields`` hold (sample, time, x, y, z), ``t1_fields`` one more axis of components, ``t2_fields`` two more, or one of
their product. Fields that do not vary between samples or in time lack these axes. Read when indexed.
"""

from pathlib import Path
from typing import Any

import numpy as np

from sciml.data.formats.base import ArrayLike, Fields, Format, LayoutError, check_finite
from sciml.data.formats.description import ATTRIBUTE, Description
from sciml.data.formats.hdf5 import Content, H5File, Node, inspect, is_hdf5
from sciml.data.formats.hdf5_arrays import H5Array
from sciml.errors import DataFormatError

__all__ = ["FORMAT", "read"]

_NAME = "well"
_SPATIAL = ("x1", "x2", "x3")
_GROUPS = ("t0_fields", "t1_fields", "t2_fields", "scalars")
_MAX_COORDINATES = 2**22


def read(path: Path, *, allow_nan: bool = False) -> Fields:
    """Describe the fields of the file; values are read when they are indexed.

    Args:
        path: The file.
        allow_nan: Give out NaN and infinite values instead of raising an error when they are read.

    Raises:
        LayoutError: If the groups are those of another layout.
        DataFormatError: If the file is damaged, refers to other files, or its attributes contradict its arrays.
    """
    file = H5File(path)
    content = inspect(file)
    attrs = dict(content.attrs.get("", {}))
    if "n_spatial_dims" not in attrs or "dimensions/time" not in content.nodes:
        raise LayoutError("no attribute n_spatial_dims, or no dimensions/time", content.listing)
    dims = _spatial_dims(file, content, int(attrs["n_spatial_dims"]))
    arrays: dict[str, ArrayLike] = {}
    axes: dict[str, tuple[str, ...]] = {}
    for group in _GROUPS:
        for key, node in content.nodes.items():
            if key.startswith(f"{group}/") and node.is_number:
                name = key.partition("/")[2]
                axes[name] = _axes(node, content.attrs[key], group, len(dims), path)
                arrays[name] = H5Array(file, node, name, allow_nan=allow_nan)
    keys = dict(zip(_SPATIAL, dims, strict=False)) | {"time": "time"}
    found = {axis: _coordinates(file, content, f"dimensions/{dim}") for axis, dim in keys.items()}
    coords = {axis: values for axis, values in found.items() if values is not None}
    attrs |= {"layout": _NAME, "boundary": _boundaries(content)}
    said = Description.from_json(attrs.pop(ATTRIBUTE), path) if ATTRIBUTE in attrs else None
    if said is not None:
        attrs |= {**said.attrs, "units": said.units, **({"grid": dict(said.grid)} if said.grid else {})}
    roles: dict[str, Any] = {n: f.role for n, f in said.fields.items() if f.role != "other"} if said else {}
    _check_sizes(path, arrays, axes, coords)
    file.close()
    return Fields(_NAME, path, arrays, axes, coords, attrs, {n: r for n, r in roles.items() if n in arrays}, file.close)


def _sniff(path: Path, head: bytes) -> bool | str:
    return is_hdf5(path, head) or "not an HDF5 file"


def _spatial_dims(file: H5File, content: Content, num: int) -> list[str]:
    found = np.atleast_1d(file.open()["dimensions"].attrs.get("spatial_dims", []))
    dims = [value.decode() if isinstance(value, bytes) else str(value) for value in found]
    missing = [dim for dim in dims if f"dimensions/{dim}" not in content.nodes]
    if len(dims) != num or not 1 <= num <= 3 or missing:
        raise DataFormatError(
            f"{file.path}: dimensions names {', '.join(dims) or 'no axes'} in spatial_dims; expected {num} axes, "
            f"1 to 3, each with coordinates{' (missing: ' + ', '.join(missing) + ')' if missing else ''}."
        )
    return dims


def _axes(node: Node, attrs: dict[str, Any], group: str, num: int, path: Path) -> tuple[str, ...]:
    lead = tuple(axis for axis in ("sample", "time") if attrs.get(f"{axis}_varying"))
    if group == "scalars":
        # A constant is an array of one number in some files, a bare number in others.
        extra = len(node.shape) - len(lead)
        if extra not in (0, 1):
            raise DataFormatError(f"{path}: {node.key} is {node}, expected {len(lead)} axes ({', '.join(lead)}).")
        return (*lead, *("channel",) * extra)
    order = int(group[1])
    components = len(node.shape) - len(lead) - num
    if components not in ((1, 2) if order == 2 else (order,)):
        raise DataFormatError(
            f"{path}: {node.key} is {node}, expected the axes {', '.join((*lead, *_SPATIAL[:num]))} and {order} of "
            "components."
        )
    return (*lead, *_SPATIAL[:num], *("channel", "dim")[:components])


def _coordinates(file: H5File, content: Content, key: str) -> np.ndarray | None:
    node = content.nodes[key]
    if not node.is_number or len(node.shape) not in (1, 2) or max(node.shape) > _MAX_COORDINATES:
        raise DataFormatError(f"{file.path}: {key} is {node}, expected a list of coordinates.")
    if len(node.shape) == 2:
        return None  # other coordinates for every sample
    values = H5Array(file, node, key, allow_nan=True)[:]
    check_finite(key, values, str(file.path))
    return values


def _boundaries(content: Content) -> dict[str, str]:
    """Name of each boundary to its kind."""
    prefix = "boundary_conditions/"
    return {
        key.removeprefix(prefix): str(attrs["bc_type"])
        for key, attrs in content.attrs.items()
        if key.startswith(prefix) and "bc_type" in attrs
    }


def _check_sizes(path: Path, arrays: dict[str, Any], axes: dict[str, Any], coords: dict[str, Any]) -> None:
    sizes = {axis: ("its coordinates", len(values)) for axis, values in coords.items()}
    for name, names in axes.items():
        for axis, size in zip(names, arrays[name].shape, strict=True):
            if axis in ("channel", "dim"):
                continue
            where, expected = sizes.setdefault(axis, (name, size))
            # Fields that do not vary along an axis may have one entry there.
            if size not in (expected, 1) or (axis == "sample" and size != expected):
                raise DataFormatError(
                    f"{path}: the axis {axis} has {size} entries in {name}, but {expected} in {where}."
                )


FORMAT = Format(_NAME, _sniff, read)
