"""The Well, written with h5py as its documentation describes it; contradictions are named."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciml.data import open_dataset
from sciml.errors import DataFormatError

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def vary(item: Any, sample: bool, time: bool) -> None:
    item.attrs["sample_varying"], item.attrs["time_varying"] = sample, time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three trajectories of four times on 6 x 5 points."""
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"dataset_name": "demo", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": 3})
        file.attrs["simulation_parameters"] = ["nu"]
        file.attrs["nu"] = 0.5
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        for name, n in (("time", 4), ("x", 6), ("y", 5)):
            dimensions[name] = np.arange(n, dtype=np.float32)
            vary(dimensions[name], False, False)
        file["boundary_conditions/x_boundary/mask"] = np.array([True] + [False] * 4 + [True])
        file["boundary_conditions/x_boundary"].attrs["bc_type"] = "wall"
        for key, values, sample, time in (
            ("scalars/nu", np.float32(0.5), False, False),
            ("scalars/one", numbers(1), False, False),
            ("scalars/inflow", numbers(3, 4), True, True),
            ("t0_fields/u", numbers(3, 4, 6, 5), True, True),
            ("t0_fields/k", numbers(3, 6, 5), True, False),
            ("t0_fields/mask", numbers(6, 5), False, False),
            ("t1_fields/v", numbers(3, 4, 6, 5, 2), True, True),
            ("t2_fields/s", numbers(3, 4, 6, 5, 2, 2), True, True),
            ("t2_fields/flat", numbers(3, 4, 6, 5, 4), True, True),
        ):
            file[key] = values
            vary(file[key], sample, time)
    return path


def test_fields_scalars_and_coordinates_have_named_axes(path: Path) -> None:
    with open_dataset(path, "well") as fields, h5py.File(path) as file:
        assert fields.axes == {
            "u": ("sample", "time", "x1", "x2"),
            "k": ("sample", "x1", "x2"),
            "mask": ("x1", "x2"),
            "v": ("sample", "time", "x1", "x2", "channel"),
            "s": ("sample", "time", "x1", "x2", "channel", "dim"),
            "flat": ("sample", "time", "x1", "x2", "channel"),
            "nu": (),
            "one": ("channel",),
            "inflow": ("sample", "time"),
        }
        for group in ("t0_fields", "t1_fields", "t2_fields", "scalars"):
            for name, dataset in file[group].items():
                np.testing.assert_array_equal(fields[name][...], dataset[()])
        assert {axis: len(values) for axis, values in fields.coords.items()} == {"x1": 6, "x2": 5, "time": 4}
        assert fields.attrs["nu"] == 0.5
        assert fields.attrs["boundary"] == {"x_boundary": "wall"}
        assert fields.roles == {}


def test_nothing_is_read_before_it_is_indexed(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.create_dataset("t0_fields/large", (3, 4, 6, 5), "f4", chunks=(1, 1, 6, 5))
        vary(file["t0_fields/large"], True, True)
        file["t0_fields/large"][2, 3] = np.nan
    fields = open_dataset(path, "well")
    assert fields["large"].shape == (3, 4, 6, 5)
    assert fields["large"][0].sum() == 0
    with pytest.raises(DataFormatError, match="large has 30 NaN or infinite values"):
        fields["large"][2]
    assert np.isnan(open_dataset(path, "well", allow_nan=True)["large"][2, 3]).all()


def test_coordinates_that_vary_with_the_sample_are_left_out(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["dimensions/time"]
        file["dimensions/time"] = numbers(3, 4)
    assert set(open_dataset(path, "well").coords) == {"x1", "x2"}


def test_other_readers_leave_such_files_alone(path: Path) -> None:
    with pytest.raises(DataFormatError, match="pdebench-hdf5: the layout of The Well"):
        open_dataset(path, "pdebench-hdf5")


def edit(path: Path, key: str, values: Any, like: str | None = None) -> None:
    with h5py.File(path, "a") as file:
        if key in file:
            del file[key]
        if values is not None:
            file[key] = values
            vary(file[key], True, True)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        (
            "t0_fields/u",
            numbers(3, 4, 6),
            r"t0_fields/u is float32 \(3, 4, 6\), expected the axes sample, time, x1, x2",
        ),
        ("t1_fields/v", numbers(3, 4, 6, 5), "and 1 of components"),
        ("t0_fields/u", numbers(3, 4, 7, 5), "the axis x1 has 7 entries in u, but 6 in its coordinates"),
        ("t0_fields/u", numbers(2, 4, 6, 5), "the axis sample has 3 entries in k, but 2 in u|2 entries in u, but 3"),
        ("scalars/inflow", numbers(3, 4, 2, 2), r"scalars/inflow is float32 \(3, 4, 2, 2\), expected 2 axes"),
        ("dimensions/y", None, r"expected 2 axes, 1 to 3, each with coordinates \(missing: y\)"),
        ("dimensions/x", np.zeros((2, 2, 2)), "expected a list of coordinates"),
        ("dimensions/time", None, "no dimensions/time"),
    ],
)
def test_contradictions_are_named(path: Path, key: str, values: Any, message: str) -> None:
    edit(path, key, values)
    with pytest.raises(DataFormatError, match=message):
        open_dataset(path, "well")
