"""The layouts of PDEBench as its own loaders expect them; what is written is read back to the bit."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.data import Fields, open_dataset, save_pdebench
from sciml.data.writers import PDEBenchWriter
from sciml.errors import ConfigError, DataFormatError
from sciml.problems.base import ProblemData
from sciml.spaces import RegularGrid

RNG = np.random.default_rng(0)
ROLES = {"u0": "input", "a": "input", "f": "input", "u": "target", "points": "coords"}


def problem_data(axes: dict[str, tuple[str, ...]], sizes: dict[str, int], **more: Any) -> ProblemData:
    """Random fields on the given axes, with coordinates of the axes that have some."""
    arrays = {name: RNG.standard_normal([sizes[axis] for axis in names]) for name, names in axes.items()}
    used = {axis for names in axes.values() for axis in names}
    coords = {axis: np.linspace(0, 1, sizes[axis]) for axis in ("x1", "x2", "x3", "time", "sensor") if axis in used}
    filled = {
        "roles": {name: ROLES[name] for name in axes if name in ROLES},
        "units": dict.fromkeys(axes, "m"),
        "attrs": {"equation": "u_t = 0", "parameters": {"nu": 0.1, "label": "thick"}, "rtol": 1e-8},
        "grid": None,
    }
    return ProblemData(arrays=arrays, axes=axes, coords=coords, **(filled | more))


SIZES = {"sample": 3, "time": 4, "x1": 6, "x2": 5, "x3": 2, "channel": 2, "sensor": 7, "point": 9, "dim": 2}


def assert_same(fields: Fields, data: ProblemData) -> None:
    """Equal values in single precision, whatever the order of the axes in the file."""
    for name, values in data.arrays.items():
        stored, axes = fields[name], fields.axes[name]
        wanted = [axis for axis in axes if axis in data.axes[name]]
        expected = np.asarray(values, dtype=np.float32).transpose([data.axes[name].index(axis) for axis in wanted])
        expected = np.expand_dims(expected, tuple(i for i, axis in enumerate(axes) if axis not in wanted))
        assert stored.dtype == np.float32
        np.testing.assert_array_equal(stored[:], expected)
    for axis, values in data.coords.items():
        if axis != "points":
            np.testing.assert_array_equal(fields.coords[axis], values)
    assert fields.roles == data.roles
    assert fields.attrs["units"] == data.units
    for name, value in data.attrs.items():
        assert fields.attrs[name] == value


def test_a_scalar_in_time_and_one_dimension_has_the_keys_of_pdebench(tmp_path: Path) -> None:
    data = problem_data({"u": ("sample", "time", "x1")}, SIZES)
    path = save_pdebench(data, tmp_path / "a.hdf5")
    with h5py.File(path) as file:
        assert set(file) == {"tensor", "x-coordinate", "t-coordinate"}
        assert file["tensor"].shape == (3, 4, 6)
        assert file["tensor"].dtype == np.float32
        assert file["x-coordinate"].shape == (6,)
        assert file["t-coordinate"].shape == (5,)
        assert file["t-coordinate"][4] == pytest.approx(4 / 3)
        assert file.attrs["Nu"] == 0.1
        assert file.attrs["label"] == "thick"
    with open_dataset(path, "pdebench-hdf5") as fields:
        assert fields.attrs["layout"] == "scalar-1d"
        assert_same(fields, data)


def test_darcy_flow_is_nu_and_tensor_with_one_channel(tmp_path: Path) -> None:
    data = problem_data({"a": ("sample", "x1", "x2"), "u": ("sample", "x1", "x2")}, SIZES)
    path = save_pdebench(data, tmp_path / "a.hdf5")
    with h5py.File(path) as file:
        assert set(file) == {"nu", "tensor", "x-coordinate", "y-coordinate"}
        assert file["nu"].shape == (3, 6, 5)
        assert file["tensor"].shape == (3, 1, 6, 5)
        np.testing.assert_array_equal(file["nu"][:], data.arrays["a"].astype(np.float32))
    assert_same(open_dataset(path, "pdebench-hdf5"), data)


@pytest.mark.parametrize("num", [1, 2, 3])
def test_compressible_flow_has_one_array_per_variable(tmp_path: Path, num: int) -> None:
    axes = ("sample", "time", "x1", "x2", "x3")[: 2 + num]
    names = ["density", "pressure", "Vx", "Vy", "Vz"][: 2 + num]
    data = problem_data(dict.fromkeys(names, axes), SIZES)
    path = save_pdebench(data, tmp_path / "a.hdf5")
    with h5py.File(path) as file:
        coords = ["x-coordinate", "y-coordinate", "z-coordinate"][:num]
        assert set(file) == {*names, *coords, "t-coordinate"}
        assert file["Vx"].shape == tuple(SIZES[axis] for axis in axes)
        assert file["t-coordinate"].shape == (5,)
    fields = open_dataset(path, "pdebench-hdf5")
    assert fields.attrs["layout"] == "compressible"
    assert_same(fields, data)


def test_groups_hold_one_sample_each_with_y_before_x_and_channels_last(tmp_path: Path) -> None:
    data = problem_data({"u": ("sample", "time", "channel", "x1", "x2"), "f": ("sample", "sensor")}, SIZES)
    path = save_pdebench(data, tmp_path / "a.h5", layout="groups")
    with h5py.File(path) as file:
        assert [name for name in file if name.isdigit()] == ["0000", "0001", "0002"]
        group = file["0002"]
        assert set(group) == {"data", "grid", "f"}
        assert group["data"].shape == (4, 5, 6, 2)
        assert group["data"].dtype == np.float32
        np.testing.assert_array_equal(group["data"][:], data.arrays["u"][2].transpose(0, 3, 2, 1).astype(np.float32))
        assert {name: len(group["grid"][name]) for name in ("x", "y", "t")} == {"x": 6, "y": 5, "t": 4}
        assert '"nu": 0.1' in group.attrs["config"]
    fields = open_dataset(path, "pdebench-hdf5")
    assert fields.axes["u"] == ("sample", "time", "x2", "x1", "channel")
    assert_same(fields, data)


def test_our_files_mean_the_same_without_their_description(tmp_path: Path) -> None:
    """The keys alone say what other readers see."""
    data = problem_data({"u": ("sample", "time", "channel", "x1", "x2")}, SIZES)
    path = save_pdebench(data, tmp_path / "a.h5", layout="groups")
    with h5py.File(path, "a") as file:
        del file.attrs["sciml"]
    fields = open_dataset(path, "pdebench-hdf5")
    assert fields.axes == {"data": ("sample", "time", "x2", "x1", "channel")}
    np.testing.assert_array_equal(fields["data"][:], data.arrays["u"].transpose(0, 1, 4, 3, 2).astype(np.float32))


def test_other_problems_have_one_array_per_field_under_its_name(tmp_path: Path) -> None:
    points = RNG.random((9, 2))
    axes = {"f": ("sample", "sensor"), "u": ("sample", "channel", "point"), "k": ("sample", "param")}
    data = problem_data(axes, SIZES | {"param": 2}, roles={"f": "input", "u": "target", "k": "params"})
    data.coords["points"] = points
    path = save_pdebench(data, tmp_path / "a.hdf5")
    with h5py.File(path) as file:
        assert set(file) == {"f", "u", "k", "points", "sensor-coordinate"}
    fields = open_dataset(path, "pdebench-hdf5")
    np.testing.assert_array_equal(fields["points"][:], points)
    assert fields.roles.pop("points") == "coords"
    assert_same(fields, data)


def test_samples_of_different_shapes_are_written_and_read_one_by_one(tmp_path: Path) -> None:
    sizes = [5, 8, 6]
    arrays = {
        "points": [RNG.random((n, 2)) for n in sizes],
        "u": [RNG.random(n) for n in sizes],
        "cells": [RNG.integers(0, n, (n - 2, 3)) for n in sizes],
        "f": RNG.random((3, 4)),
    }
    axes = {"points": ("sample", "point", "dim"), "u": ("sample", "point"), "cells": ("sample", "cell", "vertex")}
    data = ProblemData(arrays, axes | {"f": ("sample", "sensor")}, {}, {"f": "input", "u": "target"}, {}, {}, None)
    fields = open_dataset(save_pdebench(data, tmp_path / "a.h5"), "pdebench-hdf5")
    assert fields["points"].shape == (3, -1, 2)
    assert len(fields["u"]) == 3
    for i, n in enumerate(sizes):
        np.testing.assert_array_equal(fields["u"][i], arrays["u"][i].astype(np.float32))
        np.testing.assert_array_equal(fields["points"][i, 1:, 0], arrays["points"][i][1:, 0].astype(np.float32))
        assert fields["cells"][i].shape == (n - 2, 3)
        assert fields["cells"][i].dtype == np.int64
    for got, i in zip(fields["u"][[2, 0]], (2, 0), strict=True):
        np.testing.assert_array_equal(got, arrays["u"][i].astype(np.float32))
    np.testing.assert_array_equal(fields["f"][:], arrays["f"].astype(np.float32))
    assert "shape=(3, -1)" in repr(fields["u"])


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    layout=st.sampled_from(["auto", "groups"]),
    axes=st.sampled_from(
        [
            {"u": ("sample", "time", "x1")},
            {"a": ("sample", "x1", "x2"), "u": ("sample", "channel", "x1", "x2")},
            {"u0": ("sample", "x1"), "u": ("x1", "sample")},
            {"f": ("sample", "sensor"), "u": ("time", "sample", "x2", "x1")},
        ]
    ),
)
def test_appending_gives_what_writing_at_once_gives(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], layout: str, axes: dict[str, tuple[str, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    data = problem_data(axes, SIZES | {"sample": sum(cuts), "channel": 1})
    save_pdebench(data, folder / "whole.h5", layout=layout)
    begin = 0
    with PDEBenchWriter(folder / "parts.h5", layout=layout) as writer:
        for num in cuts:
            index = np.arange(begin, begin + num)
            part = {name: np.take(values, index, axes[name].index("sample")) for name, values in data.arrays.items()}
            writer.append(ProblemData(part, axes, data.coords, data.roles, data.units, data.attrs, data.grid))
            begin += num
    whole, parts = (open_dataset(folder / f"{name}.h5", "pdebench-hdf5") for name in ("whole", "parts"))
    assert writer.num == sum(cuts)
    assert_same(whole, data)
    assert_same(parts, data)


def test_a_file_can_be_written_again_from_what_was_read(tmp_path: Path) -> None:
    grid = RegularGrid((6,), ((0.0, 1.0),))
    data = problem_data({"u0": ("sample", "x1"), "u": ("sample", "time", "x1")}, SIZES, grid=grid)
    first = save_pdebench(data, tmp_path / "a.hdf5")
    with open_dataset(first, "pdebench-hdf5") as fields:
        second = save_pdebench(fields, tmp_path / "b.hdf5")
    again = open_dataset(second, "pdebench-hdf5")
    assert_same(again, data)
    assert RegularGrid(**again.attrs["grid"]) == grid


def test_double_precision_is_kept_when_asked_for(tmp_path: Path) -> None:
    data = problem_data({"u": ("sample", "time", "x1")}, SIZES)
    fields = open_dataset(save_pdebench(data, tmp_path / "a.hdf5", dtype="float64"), "pdebench-hdf5")
    np.testing.assert_array_equal(fields["u"][:], data.arrays["u"])


def test_samples_ten_thousand_and_on_stay_in_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in (9999, 10000, 10001):
            file[f"{i:04d}/data"] = np.full((2, 3, 1), i, np.float32)
    assert open_dataset(tmp_path / "a.h5", "pdebench-hdf5")["data"][:, 0, 0, 0].tolist() == [9999, 10000, 10001]


def test_large_samples_are_stored_in_chunks_of_about_a_mebibyte(tmp_path: Path) -> None:
    sizes = SIZES | {"time": 40, "x1": 128, "x2": 128, "sample": 2}
    path = save_pdebench(problem_data({"u": ("sample", "time", "x1", "x2")}, sizes), tmp_path / "a.hdf5")
    with h5py.File(path) as file:
        assert file["u"].chunks == (1, 16, 128, 128)


def test_a_layout_that_does_not_fit_says_what_there_is(tmp_path: Path) -> None:
    data = problem_data({"u": ("sample", "x1")}, SIZES)
    with pytest.raises(ConfigError, match=r"layout 'darcy' does not fit the fields u \(sample, x1\)"):
        save_pdebench(data, tmp_path / "a.hdf5", layout="darcy")
    with pytest.raises(ConfigError, match="expected 'auto' or one of scalar-1d, darcy"):
        save_pdebench(data, tmp_path / "a.hdf5", layout="zarr")
    ragged = ProblemData({"u": [np.zeros(2), np.zeros(3)]}, {"u": ("sample", "point")}, {}, {}, {}, {}, None)
    with pytest.raises(ConfigError, match="u differ in shape between samples: use layout='groups'"):
        save_pdebench(ragged, tmp_path / "a.hdf5", layout="fields")
    assert list(tmp_path.iterdir()) == []


def test_samples_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    data = problem_data({"u": ("sample", "time", "x1")}, SIZES)
    other = problem_data({"u": ("sample", "time", "x1")}, SIZES, attrs={"parameters": {"nu": 0.2}})
    with PDEBenchWriter(tmp_path / "a.hdf5") as writer:
        writer.append(data)
        with pytest.raises(ConfigError, match="differ in fields, coordinates or attributes"):
            writer.append(other)
        other = problem_data({"u": ("sample", "time", "x1")}, SIZES)
        other.coords["x1"] = other.coords["x1"] * 2
        with pytest.raises(ConfigError, match="differ in fields, coordinates or attributes"):
            writer.append(other)


def test_fields_of_different_lengths_are_refused(tmp_path: Path) -> None:
    data = problem_data({"u0": ("sample", "x1"), "u": ("sample", "x1")}, SIZES)
    data.arrays["u"] = data.arrays["u"][:2]
    with pytest.raises(ConfigError, match=r"different numbers of samples: \{'u0': 3, 'u': 2\}"):
        save_pdebench(data, tmp_path / "a.hdf5")


def test_a_name_that_is_a_key_of_the_layout_is_refused(tmp_path: Path) -> None:
    data = problem_data({"u": ("sample", "time", "x1"), "tensor": ("sample", "sensor")}, SIZES)
    with pytest.raises(ConfigError, match="needs the key tensor: rename that field"):
        save_pdebench(data, tmp_path / "a.hdf5")


def edited(path: Path, old: str, new: str) -> Path:
    with h5py.File(path, "a") as file:
        text = file.attrs["sciml"]
        assert old in text
        file.attrs["sciml"] = text.replace(old, new)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"key": "tensor"', '"key": "tenzor"', "tenzor is missing, which the file's description names"),
        ('"role": "target"', '"role": "evil"', "role 'evil', expected one of input, target"),
        (
            '["sample", "time", "x1"]',
            '["sample", "x1"]',
            r"tensor is float32 \(3, 4, 6\), expected numbers with 2 axes",
        ),
        ('{"attrs"', '{{"attrs"', "the attribute 'sciml' is not readable"),
        ('"layout": "scalar-1d"', '"layout": "well"', "the layout of The Well"),
        ('"shape": [6]', '"shape": [-6]', "the attribute 'sciml' is not readable"),
        ('"x1": "x-coordinate"', '"points": "tensor"', "no points, which the file's description names"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    grid = RegularGrid((6,), ((0.0, 1.0),))
    path = save_pdebench(problem_data({"u": ("sample", "time", "x1")}, SIZES, grid=grid), tmp_path / "a.hdf5")
    with pytest.raises(DataFormatError, match=message):
        open_dataset(edited(path, old, new), "pdebench-hdf5")
