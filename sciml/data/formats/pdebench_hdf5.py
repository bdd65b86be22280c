"""The HDF5 layouts of PDEBench, told apart by their keys.

======================  =================================================================================
layout                  arrays
======================  =================================================================================
``scalar-1d``           ``tensor`` (N, T, X), or (1, N, T, X) with a device axis, which is dropped
``darcy``               ``nu`` (N, X, Y) and ``tensor`` (N, 1, X, Y)
``compressible``        ``density``, ``pressure``, ``Vx`` [, ``Vy`` [, ``Vz``]], each (N, T, X[, Y[, Z]])
``incompressible``      ``velocity`` (N, T, X, Y, 2), ``particles``, ``force``, ``t`` (N, T)
``groups``              one group per sample, ``data`` (T, X[, Y], C) with ``grid/x``, ``grid/y``, ``grid/t``
======================  =================================================================================

Files written by sciml describe their arrays in a JSON attribute
(:mod:`~sciml.data.formats.description`), which then counts instead of the keys.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciml.data.formats.base import ArrayLike, Fields, Format, LayoutError, check_finite
from sciml.data.formats.description import ATTRIBUTE, Description, FieldNote
from sciml.data.formats.hdf5 import Content, H5File, Node, inspect, is_hdf5
from sciml.data.formats.hdf5_arrays import H5Array, H5Stack
from sciml.data.formats.ragged import H5Ragged
from sciml.errors import DataFormatError

__all__ = ["FORMAT", "read"]

_NAME = "pdebench-hdf5"
_SPATIAL = ("x1", "x2", "x3")
_COORDS = {"x1": "x-coordinate", "x2": "y-coordinate", "x3": "z-coordinate", "time": "t-coordinate"}
_MAX_COORDINATES = 2**22


@dataclass
class _Reading:
    """The file being read, and what has been found so far."""

    file: H5File
    content: Content
    allow_nan: bool
    arrays: dict[str, ArrayLike] = field(default_factory=dict)
    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    coords: dict[str, np.ndarray] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, axes: tuple[str, ...], *, lead: bool = False) -> None:
        """Take a dataset of the root group as the array of the same name."""
        node = self.content.nodes[name]
        _need_numbers(self, node, len(axes) + int(lead))
        self.arrays[name] = H5Array(self.file, node, name, lead=lead, allow_nan=self.allow_nan)
        self.axes[name] = axes

    def mismatch(self, reason: str) -> LayoutError:
        """The error for a file of another layout."""
        return LayoutError(reason, self.content.listing)


def read(path: Path, *, allow_nan: bool = False) -> Fields:
    """Describe the arrays of the file; values are read when they are indexed.

    Args:
        path: The file.
        allow_nan: Give out NaN and infinite values instead of raising an error when they are read.

    Raises:
        LayoutError: If the keys or shapes are those of another layout.
        DataFormatError: If the file is damaged or refers to other files.
    """
    file = H5File(path)
    found = _Reading(file, inspect(file), allow_nan)
    plain = dict(found.content.attrs.get("", {}))
    text = plain.pop(ATTRIBUTE, None)
    if text is None:
        layout = _layout_of(found)
        found.attrs |= {"layout": layout} | plain
        _LAYOUTS[layout](found)
    else:
        _read_described(found, Description.from_json(text, path), plain)
    _check_lengths(found)
    file.close()
    return Fields(
        _NAME, path, found.arrays, found.axes, found.coords, found.attrs, roles=found.roles, closer=file.close
    )


def _sniff(path: Path, head: bytes) -> bool | str:
    return is_hdf5(path, head) or "not an HDF5 file"


def _read_described(found: _Reading, said: Description, plain: dict[str, Any]) -> None:
    """Take names, axes, roles and units from the description of a file written by sciml."""
    if said.layout == "well":
        raise found.mismatch("the layout of The Well")
    groups = sorted({key.split("/")[0] for key in found.content.nodes if key[0].isdigit()}, key=_by_number)
    for name, note in said.fields.items():
        in_groups = said.layout == "groups" and note.axes[:1] == ("sample",)
        keys = [f"{group}/{note.key}" for group in groups] if in_groups else [note.key]
        found.arrays[name] = _described_array(found, name, note, keys, in_groups)
        found.axes[name] = note.axes
        if note.role != "other":
            found.roles[name] = note.role
    for axis, key in said.coords.items():
        place = key if key in found.content.nodes else f"{groups[0]}/{key}" if groups else key
        if axis == "points":
            if "points" not in found.content.nodes:
                raise DataFormatError(f"{found.file.path}: there is no points, which the file's description names.")
            found.add("points", ("point", "dim"))
            found.roles["points"] = "coords"
        else:
            _add_coord(found, axis, place)
    extra = {"grid": dict(said.grid)} if said.grid else {}
    found.attrs |= {"layout": said.layout} | plain | dict(said.attrs) | {"units": said.units} | extra


def _described_array(found: _Reading, name: str, note: FieldNote, keys: list[str], in_groups: bool) -> ArrayLike:
    if missing := [key for key in keys if key not in found.content.nodes] or ([] if keys else ["any sample"]):
        raise DataFormatError(f"{found.file.path}: {missing[0]} is missing, which the file's description names.")
    nodes = [found.content.nodes[key] for key in keys]
    for node in nodes:
        _need_numbers(found, node, len(note.axes) - int(in_groups))
    if not in_groups:
        return H5Array(found.file, nodes[0], name, allow_nan=found.allow_nan)
    equal = len({(node.shape, node.dtype) for node in nodes}) == 1
    return (H5Stack if equal else H5Ragged)(found.file, nodes, name, allow_nan=found.allow_nan)


def _by_number(group: str) -> tuple[int, str]:
    """Sorts 10000 after 9999."""
    return len(group), group


def _layout_of(found: _Reading) -> str:
    keys = set(found.content.nodes)
    if {"dimensions/time", "dimensions/x"} <= keys:
        raise found.mismatch("the layout of The Well")
    if {"tensor", "nu"} <= keys:
        return "darcy"
    if "tensor" in keys:
        return "scalar-1d"
    if {"density", "pressure", "Vx"} <= keys:
        return "compressible"
    if {"velocity", "particles"} <= keys:
        return "incompressible"
    if any(_is_sample(key) for key in keys):
        return "groups"
    raise found.mismatch("no tensor; no density, pressure and Vx; no velocity and particles; no group with data")


def _read_scalar(found: _Reading) -> None:
    shape = found.content.nodes["tensor"].shape
    lead = len(shape) == 4 and shape[0] == 1
    if len(shape) - int(lead) != 3:
        raise found.mismatch(f"tensor has the shape {shape}, expected (N, T, X), or (1, N, T, X)")
    found.add("tensor", ("sample", "time", "x1"), lead=lead)
    _add_coords(found)


def _read_darcy(found: _Reading) -> None:
    found.add("nu", ("sample", "x1", "x2"))
    found.add("tensor", ("sample", "channel", "x1", "x2"))
    found.roles |= {"nu": "input", "tensor": "target"}
    _add_coords(found)


def _read_compressible(found: _Reading) -> None:
    names = [name for name in ("density", "pressure", "Vx", "Vy", "Vz") if name in found.content.nodes]
    num = len(found.content.nodes["density"].shape) - 2
    if num not in (1, 2, 3) or len(names) != 2 + num:
        raise found.mismatch(
            f"density has the shape {found.content.nodes['density'].shape} and the arrays are {', '.join(names)}; "
            "expected (N, T, X[, Y[, Z]]) and one velocity per spatial axis"
        )
    for name in names:
        found.add(name, ("sample", "time", *_SPATIAL[:num]))
    _add_coords(found)


def _read_incompressible(found: _Reading) -> None:
    for name in ("velocity", "particles"):
        found.add(name, ("sample", "time", "x1", "x2", "channel"))
    if "force" in found.content.nodes:
        found.add("force", ("sample", "x1", "x2", "channel"))
    if "t" in found.content.nodes:
        found.add("t", ("sample", "time"))


def _read_groups(found: _Reading) -> None:
    names = sorted((key.split("/")[0] for key in found.content.nodes if _is_sample(key)), key=_by_number)
    nodes = [found.content.nodes[f"{name}/data"] for name in names]
    first = nodes[0]
    num = len(first.shape) - 2
    if num not in (1, 2):
        raise found.mismatch(f"{first.key} has the shape {first.shape}, expected (T, X, C) or (T, Y, X, C)")
    for node in nodes:
        _need_numbers(found, node, num + 2)
        if (node.shape, node.dtype) != (first.shape, first.dtype):
            raise DataFormatError(f"{found.file.path}: {node.key} is {node}, but {first.key} is {first}.")
    # The group names are kept in their order: the official loader of these files takes one name for granted.
    found.arrays["data"] = H5Stack(found.file, nodes, "data", allow_nan=found.allow_nan)
    _add_group_coords(found, names[0], first.shape, num)
    found.attrs["samples"] = f"{names[0]} to {names[-1]}"
    found.attrs |= {k: v for k, v in found.content.attrs.get(names[0], {}).items() if k == "config"}


def _add_group_coords(found: _Reading, group: str, shape: tuple[int, ...], num: int) -> None:
    sizes = {axis: _size(found, f"{group}/grid/{axis}") for axis in ("x", "y")}
    order: tuple[str, ...] = ("x1",)
    if num == 2:
        # As written by the generators: y before x, unless the coordinates fit the other order only.
        y_first = None in sizes.values() or (sizes["y"], sizes["x"]) == shape[1:3]
        order = ("x2", "x1") if y_first else ("x1", "x2")
    found.axes["data"] = ("sample", "time", *order, "channel")
    for axis, key in (("x1", "x"), ("x2", "y"), ("time", "t")):
        if axis in found.axes["data"]:
            _add_coord(found, axis, f"{group}/grid/{key}")


_LAYOUTS: dict[str, Callable[[_Reading], None]] = {
    "scalar-1d": _read_scalar,
    "darcy": _read_darcy,
    "compressible": _read_compressible,
    "incompressible": _read_incompressible,
    "groups": _read_groups,
}


def _is_sample(key: str) -> bool:
    return key.count("/") == 1 and key.endswith("/data")


def _need_numbers(found: _Reading, node: Node, ndim: int) -> None:
    if not node.is_number or len(node.shape) != ndim or 0 in node.shape:
        raise found.mismatch(f"{node.key} is {node}, expected numbers with {ndim} axes and no empty one")


def _size(found: _Reading, key: str) -> int | None:
    node = found.content.nodes.get(key)
    return node.shape[0] if node is not None and len(node.shape) == 1 else None


def _add_coords(found: _Reading) -> None:
    used = {axis for axes in found.axes.values() for axis in axes}
    for axis, key in _COORDS.items():
        if axis in used and key in found.content.nodes:
            _add_coord(found, axis, key)


def _add_coord(found: _Reading, axis: str, key: str) -> None:
    node = found.content.nodes.get(key)
    if node is None:
        return
    if not node.is_number or len(node.shape) != 1 or node.shape[0] > _MAX_COORDINATES:
        raise DataFormatError(f"{found.file.path}: {key} is {node}, expected a list of coordinates.")
    found.coords[axis] = H5Array(found.file, node, key, allow_nan=True)[:]
    check_finite(key, found.coords[axis], str(found.file.path))


def _check_lengths(found: _Reading) -> None:
    """One length per axis in all arrays and coordinates; the usual extra time at the end is dropped."""
    sizes: dict[str, tuple[str, int]] = {}
    for name, axes in found.axes.items():
        for axis, size in zip(axes, found.arrays[name].shape, strict=True):
            if axis != "channel" and sizes.setdefault(axis, (name, size))[1] != size:
                other, expected = sizes[axis]
                raise DataFormatError(
                    f"{found.file.path}: the axis {axis} has {size} entries in {name}, but {expected} in {other}."
                )
    for axis, values in found.coords.items():
        size = sizes[axis][1]
        if axis == "time" and len(values) == size + 1:
            found.coords[axis] = values[:size]
        elif len(values) != size:
            raise DataFormatError(
                f"{found.file.path}: {len(values)} coordinates for the axis {axis}, which has {size} entries."
            )


FORMAT = Format(_NAME, _sniff, read)
