"""Files in the layouts of PDEBench, written sample by sample, with a description that makes them trainable.

===============  ==========================================================================================
layout           keys
===============  ==========================================================================================
``scalar-1d``    ``tensor`` (N, T, X), ``x-coordinate``, ``t-coordinate`` with one time more than T
``darcy``        ``nu`` (N, X, Y), ``tensor`` (N, 1, X, Y), ``x-coordinate``, ``y-coordinate``
``compressible`` ``density``, ``pressure``, ``Vx`` and so on, each (N, T, X[, Y[, Z]])
``fields``       one array per field under its own name: problems that PDEBench does not have
``groups``       ``0000``, ``0001``, ...: ``data`` (T, [Y,] X, C) and ``grid/x``, ``grid/y``, ``grid/t`` of one sample;
                 also samples of different shapes (meshes), one array per field
===============  ==========================================================================================

Equal data give equal bytes: HDF5's time stamps are off.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.data.formats.description import ATTRIBUTE, Description, FieldNote
from sciml.data.writers.hdf5 import H5Writer, replacing
from sciml.data.writers.plan import Plan, arranged, as_problem_data, make_plan, num_samples, plain_parameters
from sciml.errors import ConfigError

if TYPE_CHECKING:
    from sciml.data.formats import Fields
    from sciml.problems.base import ProblemData

__all__ = ["PDEBenchWriter", "save_pdebench"]

COORDINATES = {"x1": "x-coordinate", "x2": "y-coordinate", "x3": "z-coordinate", "time": "t-coordinate"}
_GROUP_COORDINATES = {"x1": "grid/x", "x2": "grid/y", "x3": "grid/z", "time": "grid/t"}
# Names under which PDEBench has a parameter as an attribute of the file.
_ALIASES = {"nu": "Nu"}


class PDEBenchWriter(H5Writer):
    """Appends samples to a new file; use it in a ``with`` block.

    Args:
        path: The file; it is replaced when it exists.
        layout: As for :func:`save_pdebench`.
        dtype: Type of floating-point fields. Coordinates are stored in double precision, integers as they are.

    Example:
        >>> import tempfile
        >>> from sciml.problems.base import ProblemData
        >>> u, x = np.zeros((5, 8)), np.linspace(0, 1, 8)
        >>> part = ProblemData({"u": u}, {"u": ("sample", "x1")}, {"x1": x}, {"u": "input"}, {}, {}, None)
        >>> with PDEBenchWriter(Path(tempfile.mkdtemp()) / "a.hdf5") as writer:
        ...     writer.append(part)
        ...     writer.append(part)
        >>> writer.num
        10
    """

    def __init__(self, path: str | Path, *, layout: str = "auto", dtype: str = "float32") -> None:
        super().__init__(Path(path), dtype)
        self.layout = layout
        self._plan: Plan | None = None
        self._begin = ""
        self._coords: Mapping[str, Any] = {}

    def append(self, data: "ProblemData | Fields") -> None:
        """Add samples; coordinates, roles and attributes are those of the first call.

        Raises:
            ConfigError: If the samples do not fit the layout, or differ from those before in more than their values.
        """
        data = as_problem_data(data)
        if self._plan is None:
            self._plan = make_plan(data, self.layout)
            self._begin, self._coords = self._write_head(data, self._plan), data.coords
        elif _described(data, self._plan).to_json() != self._begin or not _same_coords(data.coords, self._coords):
            raise ConfigError("the samples differ in fields, coordinates or attributes from those written before.")
        num = num_samples(data)
        for name, slot in self._plan.slots.items():
            if not slot.grouped and slot.axes[:1] == ("sample",):
                self.extend(slot.key, self.cast(arranged(data.arrays[name], data.axes[name], slot.axes)))
        if self._plan.layout == "groups":
            for i in range(num):
                self._write_group(data, self._plan, i)
        self.num += num

    def _write_head(self, data: "ProblemData", plan: Plan) -> str:
        description = _described(data, plan)
        text = description.to_json()
        self.file.attrs[ATTRIBUTE] = text
        for name, value in plain_parameters(data.attrs):
            self.file.attrs[_ALIASES.get(name, name)] = value
        for name, slot in plan.slots.items():
            if slot.axes[:1] != ("sample",):
                self.create(self.file, slot.key, self.cast(arranged(data.arrays[name], data.axes[name], slot.axes)))
        for axis, key in description.coords.items():
            if not _in_groups(plan, axis):
                self.create(self.file, key, _stored_coordinates(axis, data.coords[axis], plan))
        return text

    def _write_group(self, data: "ProblemData", plan: Plan, i: int) -> None:
        group = self.file.create_group(f"{self.num + i:04d}")
        for name, slot in plan.slots.items():
            if slot.grouped:
                values, axes = data.arrays[name], data.axes[name]
                sample = values[i] if isinstance(values, list) else np.take(values, i, axes.index("sample"))
                rest = [axis for axis in axes if axis != "sample"]
                self.create(group, slot.key, self.cast(arranged(sample, rest, slot.axes[1:])))
        for axis, key in _GROUP_COORDINATES.items():
            if axis in data.coords:
                self.create(group, key, np.asarray(data.coords[axis]))
        # JSON is YAML, which readers of this attribute expect.
        group.attrs["config"] = json.dumps(dict(plain_parameters(data.attrs)), sort_keys=True)


def save_pdebench(
    data: "ProblemData | Fields", path: str | Path, *, layout: str = "auto", dtype: str = "float32"
) -> Path:
    """Write samples of a problem, or the content of an open data file, in a layout of PDEBench.

    Roles, axes, units, grid and equation go into a JSON attribute, so that ``load_dataset(path)`` needs no card.

    Args:
        data: What ``problem.generate(...)`` or ``open_dataset(...)`` gives.
        path: The file; it appears when it is complete, and replaces one of the same name.
        layout: A layout of the table above; ``auto`` takes the one that fits the fields.
        dtype: Type of floating-point fields.

    Returns:
        The path.

    Raises:
        ConfigError: If the layout does not fit the fields.
    """
    path = Path(path)
    with replacing(path) as partial, PDEBenchWriter(partial, layout=layout, dtype=dtype) as writer:
        writer.append(data)
    return path


def _described(data: "ProblemData", plan: Plan) -> Description:
    notes = {
        name: FieldNote(slot.key, slot.axes, data.roles.get(name, "other"), data.units.get(name))
        for name, slot in plan.slots.items()
    }
    coords = {axis: _coordinate_key(axis, plan) for axis in data.coords}
    if clash := set(coords.values()) & {slot.key for slot in plan.slots.values()}:
        raise ConfigError(f"{', '.join(clash)} is the key of a field and of coordinates: rename the field.")
    return Description(plan.layout, notes, coords, asdict(data.grid) if data.grid else None, data.attrs)


def _same_coords(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[axis], b[axis]) for axis in a)


def _in_groups(plan: Plan, axis: str) -> bool:
    return plan.layout == "groups" and axis in _GROUP_COORDINATES


def _coordinate_key(axis: str, plan: Plan) -> str:
    if axis == "points":
        return axis
    return _GROUP_COORDINATES[axis] if _in_groups(plan, axis) else COORDINATES.get(axis, f"{axis}-coordinate")


def _stored_coordinates(axis: str, values: Any, plan: Plan) -> np.ndarray:
    array = np.asarray(values)
    if axis == "time" and plan.layout in ("scalar-1d", "compressible"):
        # The files of PDEBench end one time after the last frame.
        step = array[-1] - array[-2] if len(array) > 1 else 1.0
        array = np.append(array, array[-1] + step)
    return array
