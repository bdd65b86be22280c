"""The layouts of PDEBench, written from scratch with h5py and read back; hostile files are refused."""

import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciml.data import Fields, open_dataset
from sciml.errors import DataFormatError

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def centres(n: int) -> np.ndarray:
    return ((np.arange(n) + 0.5) / n).astype(np.float32)


def write(path: Path, content: dict[str, np.ndarray], **attrs: object) -> Path:
    with h5py.File(path, "w") as file:
        for key, values in content.items():
            file[key] = values
        file.attrs.update(attrs)
    return path


def assert_reads_as_written(fields: Fields, content: dict[str, np.ndarray]) -> None:
    for name in fields.arrays:
        assert fields[name].dtype == content[name].dtype
        assert fields[name].shape == content[name].shape
        np.testing.assert_array_equal(fields[name][:], content[name])


def test_1d_scalar_files_have_one_time_coordinate_too_many(tmp_path: Path) -> None:
    content = {"tensor": numbers(4, 6, 8), "x-coordinate": centres(8), "t-coordinate": numbers(7)}
    fields = open_dataset(write(tmp_path / "a.hdf5", content, beta=0.4))
    assert fields.format == "pdebench-hdf5"
    assert_reads_as_written(fields, content)
    assert fields.axes == {"tensor": ("sample", "time", "x1")}
    np.testing.assert_array_equal(fields.coords["time"], content["t-coordinate"][:6])
    np.testing.assert_array_equal(fields.coords["x1"], content["x-coordinate"])
    assert fields.attrs == {"layout": "scalar-1d", "beta": 0.4}


def test_a_leading_device_axis_is_dropped(tmp_path: Path) -> None:
    values = numbers(1, 4, 6, 8)
    fields = open_dataset(write(tmp_path / "a.hdf5", {"tensor": values}))
    assert fields["tensor"].shape == (4, 6, 8)
    np.testing.assert_array_equal(fields["tensor"][1:3, ::2, 5], values[0, 1:3, ::2, 5])


def test_darcy_files_say_what_is_input_and_target(tmp_path: Path) -> None:
    content = {"tensor": numbers(3, 1, 6, 5), "nu": numbers(3, 6, 5)}
    coords = {"x-coordinate": centres(6), "y-coordinate": centres(5)}
    fields = open_dataset(write(tmp_path / "a.hdf5", content | coords, beta=1.0))
    assert_reads_as_written(fields, content)
    assert fields.axes == {"nu": ("sample", "x1", "x2"), "tensor": ("sample", "channel", "x1", "x2")}
    assert fields.roles == {"nu": "input", "tensor": "target"}
    assert {axis: len(values) for axis, values in fields.coords.items()} == {"x1": 6, "x2": 5}


@pytest.mark.parametrize("num", [1, 2, 3])
def test_compressible_flow_has_one_velocity_per_axis(tmp_path: Path, num: int) -> None:
    names = ["density", "pressure", "Vx", "Vy", "Vz"][: 2 + num]
    shape = (2, 3, 6, 5, 4)[: 2 + num]
    content = {name: numbers(*shape) for name in names}
    coords = {"x-coordinate": centres(6), "t-coordinate": numbers(4)}
    fields = open_dataset(write(tmp_path / "a.hdf5", content | coords, eta=0.1, zeta=0.1, M=1.0))
    assert_reads_as_written(fields, content)
    assert set(fields.arrays) == set(names)
    assert fields.axes["Vx"] == ("sample", "time", "x1", "x2", "x3")[: 2 + num]
    assert fields.attrs["M"] == 1.0


def test_incompressible_flow_has_channels_last(tmp_path: Path) -> None:
    content = {
        "velocity": numbers(2, 3, 6, 5, 2),
        "particles": numbers(2, 3, 6, 5, 1),
        "force": numbers(2, 6, 5, 2),
        "t": numbers(2, 3),
    }
    fields = open_dataset(write(tmp_path / "a.hdf5", content, config="nu: 0.01", latestIndex=2))
    assert_reads_as_written(fields, content)
    assert fields.axes["force"] == ("sample", "x1", "x2", "channel")
    assert fields.attrs == {"layout": "incompressible", "config": "nu: 0.01", "latestIndex": 2}


def write_groups(path: Path, data: np.ndarray, x: np.ndarray, y: np.ndarray | None, first: int = 0) -> Path:
    with h5py.File(path, "w") as file:
        for i, values in enumerate(data):
            group = file.create_group(f"{first + i:04d}")
            group["data"], group["grid/x"], group["grid/t"] = values, x, np.arange(len(values), dtype=np.float32)
            if y is not None:
                group["grid/y"] = y
            group.attrs["config"] = "k: 0.005"
    return path


@pytest.mark.parametrize("first", [0, 7])
def test_groups_per_sample_become_one_array_with_y_before_x(tmp_path: Path, first: int) -> None:
    data = numbers(3, 4, 5, 6, 2)  # (sample, t, y, x, c)
    fields = open_dataset(write_groups(tmp_path / "a.h5", data, centres(6), centres(5), first))
    np.testing.assert_array_equal(fields["data"][:], data)
    np.testing.assert_array_equal(fields["data"][[2, 0], 1:3, -1], data[[2, 0], 1:3, -1])
    np.testing.assert_array_equal(fields["data"][1, ..., 0], data[1, ..., 0])
    assert fields.axes["data"] == ("sample", "time", "x2", "x1", "channel")
    assert fields.attrs["config"] == "k: 0.005"
    assert fields.attrs["samples"] == f"{first:04d} to {first + 2:04d}"


def test_groups_take_x_first_when_only_that_fits_the_coordinates(tmp_path: Path) -> None:
    fields = open_dataset(write_groups(tmp_path / "a.h5", numbers(2, 4, 6, 5, 1), centres(6), centres(5)))
    assert fields.axes["data"] == ("sample", "time", "x1", "x2", "channel")


def test_1d_groups_are_read(tmp_path: Path) -> None:
    data = numbers(2, 4, 6, 1)
    fields = open_dataset(write_groups(tmp_path / "a.h5", data, centres(6), None))
    np.testing.assert_array_equal(np.asarray(fields["data"]), data)
    assert fields.axes["data"] == ("sample", "time", "x1", "channel")


def test_groups_of_different_shapes_are_refused(tmp_path: Path) -> None:
    path = write_groups(tmp_path / "a.h5", numbers(2, 4, 6, 1), centres(6), None)
    with h5py.File(path, "a") as file:
        file["0002/data"] = numbers(4, 7, 1)
    with pytest.raises(DataFormatError, match=r"0002/data is float32 \(4, 7, 1\), but 0000/data is float32 \(4, 6, 1\)"):
        open_dataset(path)


def test_opening_reads_nothing_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    shape = (10_000, 101, 1024, 3)  # 12 GB declared, a few KiB on disk
    with h5py.File(path, "w") as file:
        file.create_dataset("tensor", shape[:3], "f4", chunks=(1, 101, 1024))
        file["tensor"][7, 3, 5] = 2.5
    fields = open_dataset(path)
    assert fields["tensor"].shape == shape[:3]
    assert fields["tensor"][7, 3, 5] == 2.5
    assert path.stat().st_size < 2**20
    with pytest.raises(DataFormatError, match="Read it in parts"):
        fields["tensor"][:]


INDICES = st.one_of(
    st.integers(-6, 5),
    st.slices(6),
    st.lists(st.integers(-6, 5), max_size=4),
    st.lists(st.booleans(), min_size=6, max_size=6).map(np.array),
    st.just(Ellipsis),
)


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Fields, Fields]:
    folder, values = tmp_path_factory.mktemp("cube"), numbers(6, 5, 4, 1)
    plain = open_dataset(write(folder / "a.h5", {"tensor": values[..., 0]}))
    return values, plain, open_dataset(write_groups(folder / "b.h5", values, centres(4), None))


@settings(derandomize=True, max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=INDICES, second=st.one_of(st.none(), st.integers(-4, 3), st.slices(4)))
def test_indexing_gives_what_numpy_gives(cube: tuple[np.ndarray, Fields, Fields], first: object, second: object) -> None:
    values, plain, stacked = cube
    index = first if second is None else (first, slice(None), second) if first is not Ellipsis else (first, second)
    stacked_index = (*index, slice(None)) if isinstance(index, tuple) else index
    np_index = np.array(index, dtype=int) if isinstance(index, list) else index
    np.testing.assert_array_equal(plain["tensor"][index], values[..., 0][_for_numpy(np_index)])
    np.testing.assert_array_equal(stacked["data"][stacked_index], values[_for_numpy(stacked_index)])


def _for_numpy(index: object) -> object:
    """An empty list is a list of positions."""
    if isinstance(index, list):
        return np.array(index, dtype=int)
    if isinstance(index, tuple) and isinstance(index[0], list):
        # A list and an integer together are one advanced index in numpy: keep the axes in place.
        return _outer(index)
    return index


def _outer(index: tuple[object, ...]) -> object:
    return index if not any(isinstance(part, int) for part in index[1:]) else _Pending(index)


class _Pending:
    def __init__(self, index: tuple[object, ...]) -> None:
        self.index = index
