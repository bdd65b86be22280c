"""The layouts of PDEBench, written from scratch with h5py and read back; hostile files are refused."""

import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
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
    with pytest.raises(
        DataFormatError, match=r"0002/data is float32 \(4, 7, 1\), but 0000/data is float32 \(4, 6, 1\)"
    ):
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


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Fields, Fields]:
    folder, values = tmp_path_factory.mktemp("cube"), numbers(6, 5, 4, 1)
    plain = open_dataset(write(folder / "a.h5", {"tensor": values[..., 0]}))
    return values, plain, open_dataset(write_groups(folder / "b.h5", values, centres(4), None))


def one_by_one(values: np.ndarray, index: tuple[object, ...]) -> np.ndarray:
    """Apply the index of each axis on its own, the last first, so that no axis moves."""
    for axis in reversed(range(len(index))):
        values = values[(slice(None),) * axis + (index[axis],)]
    return values


def some(length: int) -> st.SearchStrategy[object]:
    return st.one_of(st.integers(-length, length - 1), st.slices(length))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    samples=st.one_of(
        some(6),
        st.lists(st.integers(-6, 5), max_size=4).map(lambda numbers: np.array(numbers, dtype=int)),
        st.lists(st.booleans(), min_size=6, max_size=6).map(np.array),
    ),
    times=some(5),
    points=some(4),
)
def test_indexing_gives_what_numpy_gives(
    cube: tuple[np.ndarray, Fields, Fields], samples: object, times: object, points: object
) -> None:
    values, plain, stacked = cube
    expected = one_by_one(values, (samples, times, points))
    np.testing.assert_array_equal(plain["tensor"][samples, times, points], expected[..., 0])
    np.testing.assert_array_equal(stacked["data"][samples, times, points], expected)
    np.testing.assert_array_equal(plain["tensor"][samples], values[samples][..., 0])


@pytest.mark.parametrize("index", [6, -7, (0, 5), [0, 6], (0, 0, 0, 0, 0), "text", 1.5, ([0], [0]), (..., 0, ...)])
def test_an_index_that_does_not_fit_is_an_index_error(cube: tuple[np.ndarray, Fields, Fields], index: object) -> None:
    for fields, name in zip(cube[1:], ("tensor", "data"), strict=True):
        with pytest.raises(IndexError):
            fields[name][index]


def test_values_that_are_not_finite_are_found_when_they_are_read(tmp_path: Path) -> None:
    values = numbers(4, 6, 8)
    values[2, 3, 4] = np.nan
    path = write(tmp_path / "a.hdf5", {"tensor": values})
    fields = open_dataset(path)
    np.testing.assert_array_equal(fields["tensor"][:2], values[:2])
    with pytest.raises(DataFormatError, match=r"tensor has 1 NaN or infinite value, the first at index \(2, 3, 4\)"):
        fields["tensor"][1:]
    np.testing.assert_array_equal(open_dataset(path, allow_nan=True)["tensor"][:], values)


def test_arrays_survive_closing_pickling_and_forking(tmp_path: Path) -> None:
    values = numbers(4, 6, 8)
    fields = open_dataset(write(tmp_path / "a.hdf5", {"tensor": values}))
    array = fields["tensor"]
    np.testing.assert_array_equal(array[0], values[0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[1], values[1])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        parts = pool.map(array.__getitem__, range(4))
    np.testing.assert_array_equal(np.stack(parts), values)
    fields.close()
    np.testing.assert_array_equal(array[3], values[3])


def test_the_file_is_closed_at_the_end_of_a_with_block(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"tensor": numbers(4, 6, 8)})
    with open_dataset(path) as fields:
        fields["tensor"][0]
    with h5py.File(path, "a") as file:  # fails while it is open for reading
        file.attrs["seen"] = True


def test_names_may_be_anything_that_hdf5_allows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"tensor": numbers(2, 3, 4), "Größe": numbers(1)}, größe=1.0)
    assert open_dataset(path).attrs["größe"] == 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": numbers(3, 4)}, r"Found: a float32 \(3, 4\)\. Tried: .*no tensor"),
        ({}, "Found: nothing"),
        ({"tensor": numbers(3, 4)}, r"tensor has the shape \(3, 4\), expected \(N, T, X\)"),
        ({"tensor": numbers(2, 3, 4, 5)}, "expected"),
        ({"tensor": numbers(3, 0, 4)}, "no empty one"),
        ({"tensor": np.array([[[b"text"]]])}, "expected numbers"),
        ({"tensor": numbers(3, 1, 4, 5), "nu": numbers(3, 4)}, "nu is float32"),
        ({"density": numbers(2, 3, 4, 5), "pressure": numbers(2, 3, 4, 5), "Vx": numbers(2, 3, 4, 5)}, "one velocity"),
    ],
)
def test_other_layouts_are_listed(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        open_dataset(write(tmp_path / "a.hdf5", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"tensor": numbers(3, 4, 5), "x-coordinate": centres(6)},
            "6 coordinates for the axis x1, which has 5 entries",
        ),
        ({"tensor": numbers(3, 4, 5), "t-coordinate": numbers(6)}, "6 coordinates for the axis time"),
        ({"tensor": numbers(3, 4, 5), "x-coordinate": numbers(5, 1)}, "expected a list of coordinates"),
        ({"tensor": numbers(3, 4, 5), "x-coordinate": np.full(5, np.nan)}, "x-coordinate has 5 NaN"),
        (
            {"tensor": numbers(3, 1, 4, 5), "nu": numbers(2, 4, 5)},
            "the axis sample has 3 entries in tensor, but 2 in nu",
        ),
    ],
)
def test_wrong_coordinates_and_lengths_are_refused(
    tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataFormatError, match=message):
        open_dataset(write(tmp_path / "a.hdf5", content))


def _external_link(file: h5py.File, other: Path) -> None:
    file["tensor"] = h5py.ExternalLink(str(other), "/tensor")


def _soft_link(file: h5py.File, other: Path) -> None:
    file["hidden"] = h5py.ExternalLink(str(other), "/")
    file["tensor"] = h5py.SoftLink("/hidden/tensor")


def _dangling_link(file: h5py.File, other: Path) -> None:
    file["tensor"] = h5py.SoftLink("/nothing")


def _virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((2, 3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(other), "tensor", (2, 3, 4))
    file.create_virtual_dataset("tensor", layout)


def _external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("tensor", (2, 3, 4), "f4", external=[(str(other), 0, 96)])


def _huge_chunk(file: h5py.File, other: Path) -> None:
    file.create_dataset("tensor", (2, 2**14, 2**14), "f8", chunks=(1, 2**14, 2**14))


def _group_in_itself(file: h5py.File, other: Path) -> None:
    file["a/b"] = file.create_group("c")
    file["c/d"] = file["a"]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_external_link, "ExternalLink"),
        (_soft_link, "Link"),
        (_dangling_link, "SoftLink"),
        (_virtual, "virtual dataset"),
        (_external_storage, "external files"),
        (_huge_chunk, "more than 1 GiB"),
        (_group_in_itself, "contains itself"),
    ],
)
def test_what_points_outside_the_file_is_refused(
    tmp_path: Path, make: Callable[[h5py.File, Path], None], message: str, nested: bool
) -> None:
    other = write(tmp_path / "other.hdf5", {"tensor": numbers(2, 3, 4)})
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        make(file.create_group("0000") if nested else file, other)
    with pytest.raises(DataFormatError, match=message):
        open_dataset(path)


def test_opening_leaves_no_file_open(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"tensor": numbers(2, 3, 4)})
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        open_dataset(path)
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before
