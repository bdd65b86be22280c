"""Files in the layout of The Well, with the statistics beside them that its loader normalises with.

A folder holds ``data/train/*.hdf5``, ``data/valid``, ``data/test`` and ``stats.yaml``. Scalar fields are (sample, time,
x, y, z); vectors have their components last. Fields that do not change in time are written without that axis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.data.formats.description import ATTRIBUTE, Description, FieldNote
from sciml.data.writers.hdf5 import H5Writer, replacing
from sciml.data.writers.plan import SPATIAL, arranged, as_problem_data, num_samples, plain_parameters
from sciml.data.writers.well_stats import write_stats
from sciml.errors import ConfigError

if TYPE_CHECKING:
    from sciml.data.formats import Fields
    from sciml.problems.base import ProblemData

__all__ = ["WellWriter", "save_well"]

_NAMES = dict(zip(SPATIAL, ("x", "y", "z"), strict=True))
_BOUNDARIES = ("periodic", "wall", "open")
_SPLITS = ("train", "valid", "test")


class WellWriter(H5Writer):
    """Appends trajectories to a new file; use it in a ``with`` block.

    Args:
        path: The file; it is replaced when it exists.
        name: Name of the dataset.
        boundary: As for :func:`save_well`.
        vectors: As for :func:`save_well`.
        dtype: Type of floating-point fields.
    """

    def __init__(
        self,
        path: str | Path,
        name: str,
        *,
        boundary: str | Mapping[str, str] | None = None,
        vectors: Sequence[str] = (),
        dtype: str = "float32",
    ) -> None:
        super().__init__(Path(path), dtype)
        self.name, self.vectors, self._boundary = name, tuple(vectors), boundary
        self._space: tuple[str, ...] = ()
        self._notes: dict[str, FieldNote] = {}

    def append(self, data: "ProblemData | Fields") -> None:
        """Add trajectories; coordinates and attributes are those of the first call.

        Raises:
            ConfigError: If a field is not one on a regular grid, or vectors have not one component per axis.
        """
        data = as_problem_data(data)
        num = num_samples(data)
        first = not self._space
        if first:
            self._space = tuple(axis for axis in SPATIAL if any(axis in axes for axes in data.axes.values()))
            self._write_head(data)
        for name in data.arrays:
            self._write_field(data, name)
        self.num += num
        if first:
            self._write_lists(data)

    def finish(self) -> None:
        """Write the number of trajectories."""
        self.file.attrs["n_trajectories"] = self.num

    def _write_head(self, data: "ProblemData") -> None:
        if not self._space or any(isinstance(values, list) for values in data.arrays.values()):
            raise ConfigError("The Well has fields on regular grids only; save_pdebench writes points and meshes.")
        attrs = self.file.attrs
        parameters = {key: value for key, value in plain_parameters(data.attrs) if isinstance(value, int | float)}
        attrs["dataset_name"], attrs["grid_type"], attrs["n_spatial_dims"] = self.name, "cartesian", len(self._space)
        attrs["simulation_parameters"] = _strings(parameters)
        for key, value in parameters.items():
            attrs[key] = float(value)
        self._write_dimensions(data)
        self._write_boundaries(data)
        scalars = self.file.create_group("scalars")
        for key, value in parameters.items():
            _vary(self.create(scalars, key, np.array(value, self.dtype)), sample=False, time=False)
        for order in range(3):
            self.file.create_group(f"t{order}_fields")

    def _write_dimensions(self, data: "ProblemData") -> None:
        group = self.file.create_group("dimensions")
        group.attrs["spatial_dims"] = _strings(_NAMES[axis] for axis in self._space)
        times = self.create(group, "time", np.asarray(data.coords.get("time", [0.0]), self.dtype))
        times.attrs["sample_varying"] = False
        for axis in self._space:
            if axis not in data.coords:
                raise ConfigError(f"coords has no {axis}, which The Well needs; there are {', '.join(data.coords)}.")
            _vary(self.create(group, _NAMES[axis], np.asarray(data.coords[axis], self.dtype)), sample=False, time=False)

    def _write_boundaries(self, data: "ProblemData") -> None:
        group = self.file.create_group("boundary_conditions")
        for number, axis in enumerate(self._space):
            kind = _boundary(self._boundary, axis, number, data.grid)
            part = group.create_group(f"{_NAMES[axis]}_boundary")
            mask = np.zeros(len(data.coords[axis]), dtype=bool)
            mask[[0, -1]] = True
            self.create(part, "mask", mask)
            self.create(part, "values", np.zeros(int(mask.sum()), self.dtype))
            part.attrs["bc_type"] = kind
            part.attrs["associated_dims"], part.attrs["associated_fields"] = _strings([_NAMES[axis]]), _strings([])
            part.attrs["sample_varying"] = part.attrs["time_varying"] = False

    def _write_field(self, data: "ProblemData", name: str) -> None:
        axes = data.axes[name]
        space = tuple(axis for axis in self._space if axis in axes)
        lead = tuple(axis for axis in ("sample", "time") if axis in axes)
        rest = [axis for axis in axes if axis not in (*space, *lead)]
        if (space and space != self._space) or len(rest) > 1 or (space and rest not in ([], ["channel"])):
            raise ConfigError(
                f"{name} has the axes {', '.join(axes)}; The Well has fields on the whole grid "
                f"({', '.join(self._space)}) and scalars. Leave it out, or use save_pdebench."
            )
        values = self.cast(arranged(data.arrays[name], axes, (*lead, *space, *rest)))
        note = FieldNote("", (*lead, *space), data.roles.get(name, "other"), data.units.get(name))
        if name in self.vectors:
            if not rest or values.shape[-1] != len(self._space):
                raise ConfigError(f"vectors names {name}, which has not {len(self._space)} channels.")
            self._store(
                f"t1_fields/{name}", name, values, FieldNote("", (*note.axes, "channel"), note.role, note.units)
            )
            return
        group = "t0_fields" if space else "scalars"
        for i in range(values.shape[-1]) if rest else [None]:
            part, key = (values, name) if i is None else (values[..., i], f"{name}_{i}")
            self._store(f"{group}/{key}", key, part, note)

    def _store(self, key: str, name: str, values: np.ndarray, note: FieldNote) -> None:
        if "sample" in note.axes:
            dataset = self.extend(key, values)
        elif key in self.file:
            return
        else:
            dataset = self.create(self.file, key, values)
        if name not in self._notes:
            _vary(dataset, sample="sample" in note.axes, time="time" in note.axes)
            if not key.startswith("scalars"):
                dataset.attrs["dim_varying"] = np.ones(len(self._space), dtype=bool)
            self._notes[name] = FieldNote(key, note.axes, note.role, note.units)

    def _write_lists(self, data: "ProblemData") -> None:
        """Names of the fields of each group, and our own description."""
        for group in ("scalars", "t0_fields", "t1_fields", "t2_fields"):
            self.file[group].attrs["field_names"] = _strings(self.file[group])
        coords = {axis: f"dimensions/{_NAMES.get(axis, axis)}" for axis in (*self._space, "time")}
        grid = asdict(data.grid) if data.grid is not None else None
        self.file.attrs[ATTRIBUTE] = Description("well", self._notes, coords, grid, data.attrs).to_json()


def save_well(
    data: "ProblemData | Fields",
    path: str | Path,
    *,
    name: str = "",
    split: str = "train",
    boundary: str | Mapping[str, str] | None = None,
    vectors: Sequence[str] = (),
    dtype: str = "float32",
) -> Path:
    """Write trajectories on a regular grid in the layout of The Well.

    Fields with channels that are no vectors become one scalar field per channel: ``u_0``, ``u_1``. Written for the
    split ``train``, the folder also gets ``stats.yaml`` with the mean, deviation and root mean square of every field
    and of its change from one time to the next.

    Args:
        data: What ``problem.generate(...)`` or ``open_dataset(...)`` gives.
        path: Folder of the dataset; the file is ``data/SPLIT/NAME.hdf5`` in it.
        name: Name of the dataset; that of the folder when empty.
        split: ``train``, ``valid`` or ``test``.
        boundary: ``periodic``, ``wall`` or ``open`` for all axes, or by axis (``x1``, ``x2``, ``x3``). None takes
            ``periodic`` where the grid is, and ``open`` elsewhere.
        vectors: Fields whose channels are the components of a vector.
        dtype: Type of floating-point fields.

    Returns:
        The file.

    Raises:
        ConfigError: If a field is not one on a regular grid, or an argument does not fit.
    """
    root = Path(path)
    if split not in _SPLITS:
        raise ConfigError(f"split is {split!r}, expected one of {', '.join(_SPLITS)}.")
    name = name or root.name
    file = root / "data" / split / f"{name}.hdf5"
    with replacing(file) as partial:
        with WellWriter(partial, name, boundary=boundary, vectors=vectors, dtype=dtype) as writer:
            writer.append(data)
        if split == "train":
            write_stats(partial, root / "stats.yaml")
    return file


def _boundary(given: str | Mapping[str, str] | None, axis: str, number: int, grid: Any) -> str:
    kind = given.get(axis) if isinstance(given, Mapping) else given
    if kind is None:
        kind = "periodic" if grid is not None and grid.periodic[number] else "open"
    if kind not in _BOUNDARIES:
        raise ConfigError(f"boundary of {axis} is {kind!r}, expected one of {', '.join(_BOUNDARIES)}.")
    return kind


def _strings(names: Any) -> np.ndarray:
    import h5py

    return np.array(list(names), dtype=h5py.string_dtype())


def _vary(dataset: Any, *, sample: bool, time: bool) -> None:
    dataset.attrs["sample_varying"], dataset.attrs["time_varying"] = sample, time
