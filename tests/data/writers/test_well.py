"""The layout of The Well: groups and attributes, statistics, and the official dataset class as the judge."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from sciml.data import open_dataset, save_well
from sciml.data.writers import WellWriter
from sciml.errors import ConfigError
from sciml.problems.base import ProblemData
from sciml.spaces import RegularGrid

RNG = np.random.default_rng(0)
SPACE = ("x1", "x2", "x3")


def flow(dim: int = 2, num: int = 3, **more: Any) -> ProblemData:
    """A density, a velocity, a pair of concentrations, a constant permeability, and scalars, on an uneven grid."""
    shape = (6, 5, 4)[:dim]
    space = SPACE[:dim]
    axes = {
        "density": ("sample", "time", *space),
        "velocity": ("sample", "time", "channel", *space),
        "species": ("sample", "channel", "time", *space),
        "permeability": ("sample", *space),
        "force": ("sample", "param"),
        "inflow": ("sample", "time"),
    }
    sizes = {"sample": num, "time": 4, "param": 2, **dict(zip(space, shape, strict=True))}
    channels = {"velocity": dim, "species": 2}
    arrays = {
        name: RNG.standard_normal([channels[name] if axis == "channel" else sizes[axis] for axis in names])
        for name, names in axes.items()
    }
    grid = RegularGrid(shape, tuple((0.0, n) for n in range(1, dim + 1)), periodic=(True, False, False)[:dim])
    coords = {axis: values.numpy() for axis, values in zip(space, grid.axes, strict=True)}
    coords["time"] = 0.25 * np.arange(4)
    filled = {
        "roles": {"density": "target", "permeability": "input"},
        "units": {"density": "kg/m^3"},
        "attrs": {"equation": "flow", "parameters": {"nu": 0.1, "label": "thick", "steps": 7}},
    }
    return ProblemData(arrays=arrays, axes=axes, coords=coords, grid=grid, **(filled | more))


def text(values: Any) -> list[str]:
    return [value if isinstance(value, str) else value.decode() for value in values]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_groups_and_attributes_are_those_of_the_well(tmp_path: Path, dim: int) -> None:
    data = flow(dim)
    path = save_well(data, tmp_path / "flow", vectors=["velocity"], boundary={"x1": "wall"} if dim == 1 else None)
    assert path == tmp_path / "flow" / "data" / "train" / "flow.hdf5"
    shape = data.grid.shape
    with h5py.File(path) as file:
        assert set(file) == {"dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields"}
        assert file.attrs["dataset_name"] == "flow"
        assert file.attrs["grid_type"] == "cartesian"
        assert (file.attrs["n_spatial_dims"], file.attrs["n_trajectories"]) == (dim, 3)
        assert text(file.attrs["simulation_parameters"]) == ["nu", "steps"]
        assert file.attrs["nu"] == 0.1
        dimensions = file["dimensions"]
        assert text(dimensions.attrs["spatial_dims"]) == ["x", "y", "z"][:dim]
        assert dimensions["time"].attrs["sample_varying"] == False  # noqa: E712
        np.testing.assert_array_equal(dimensions["time"][:], data.coords["time"].astype(np.float32))
        for axis, name in zip(SPACE[:dim], "xyz", strict=False):
            np.testing.assert_array_equal(dimensions[name][:], data.coords[axis].astype(np.float32))
            boundary = file[f"boundary_conditions/{name}_boundary"]
            assert text(boundary.attrs["associated_dims"]) == [name]
            assert boundary["mask"].dtype == bool
            assert boundary["mask"][:].nonzero()[0].tolist() == [0, len(data.coords[axis]) - 1]
            assert boundary["values"].shape == (2,)
        kinds = [file[f"boundary_conditions/{name}_boundary"].attrs["bc_type"] for name in "xyz"[:dim]]
        assert kinds == (["wall"] if dim == 1 else ["periodic", "open", "open"][:dim])
        fields = file["t0_fields"]
        names = {"density", "species_0", "species_1", "permeability"} | ({"velocity"} & set(fields))
        assert set(fields) == set(text(fields.attrs["field_names"])) == names
        assert fields["density"].shape == (3, 4, *shape)
        assert fields["density"].dtype == np.float32
        assert fields["density"].attrs["dim_varying"].tolist() == [True] * dim
        assert fields["permeability"].shape == (3, *shape)
        assert [bool(fields[name].attrs["time_varying"]) for name in ("density", "permeability")] == [True, False]
        assert file["t1_fields/velocity"].shape == (3, 4, *shape, dim)
        assert text(file["t1_fields"].attrs["field_names"]) == ["velocity"]
        assert len(file["t2_fields"].attrs["field_names"]) == 0
        scalars = file["scalars"]
        assert set(scalars) == {"nu", "steps", "force_0", "force_1", "inflow"}
        assert [bool(scalars["inflow"].attrs[f"{axis}_varying"]) for axis in ("sample", "time")] == [True, True]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_values_are_read_back_to_the_bit(tmp_path: Path, dim: int) -> None:
    data = flow(dim)
    path = save_well(data, tmp_path / "flow", vectors=["velocity"])
    with open_dataset(path, "well") as fields:
        expected = {
            "density": data.arrays["density"],
            "velocity": np.moveaxis(data.arrays["velocity"], 2, -1),
            "species_1": data.arrays["species"][:, 1],
            "permeability": data.arrays["permeability"],
            "force_1": data.arrays["force"][:, 1],
            "inflow": data.arrays["inflow"],
        }
        for name, values in expected.items():
            np.testing.assert_array_equal(fields[name][:], values.astype(np.float32))
        assert fields.axes["velocity"] == ("sample", "time", *SPACE[:dim], "channel")
        assert fields.roles == {"density": "target", "permeability": "input"}
        assert fields.attrs["units"] == {"density": "kg/m^3"}
        assert fields.attrs["equation"] == "flow"
        assert RegularGrid(**fields.attrs["grid"]) == data.grid
        assert fields.attrs["boundary"]["x_boundary"] == "periodic"


def test_statistics_are_those_of_all_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml.data.writers.well_stats._BLOCK_BYTES", 2000)  # several blocks
    data = flow(num=5)
    save_well(data, tmp_path / "flow", vectors=["velocity"])
    stats = yaml.safe_load((tmp_path / "flow" / "stats.yaml").read_text())
    density, velocity = data.arrays["density"].astype("f4"), data.arrays["velocity"].astype("f4")
    assert stats["mean"]["density"] == pytest.approx(density.mean(dtype=float), rel=1e-10)
    assert stats["std"]["density"] == pytest.approx(density.std(dtype=float), rel=1e-10)
    assert stats["rms"]["density"] == pytest.approx(np.sqrt((density.astype(float) ** 2).mean()), rel=1e-10)
    change = np.diff(density.astype(float), axis=1)
    assert stats["mean_delta"]["density"] == pytest.approx(change.mean(), rel=1e-10)
    assert stats["std_delta"]["density"] == pytest.approx(change.std(), rel=1e-10)
    np.testing.assert_allclose(stats["std"]["velocity"], velocity.std(axis=(0, 1, 3, 4), dtype=float), rtol=1e-10)
    assert "permeability" in stats["mean"]
    assert "permeability" not in stats["mean_delta"]


def test_appending_gives_what_writing_at_once_gives(tmp_path: Path) -> None:
    data = flow(num=5)
    save_well(data, tmp_path / "flow", name="flow", split="valid")
    with WellWriter(tmp_path / "parts.hdf5", "flow") as writer:
        for part in (slice(0, 2), slice(2, 5)):
            arrays = {name: values[part] for name, values in data.arrays.items()}
            writer.append(ProblemData(arrays, data.axes, data.coords, data.roles, data.units, data.attrs, data.grid))
    whole = open_dataset(tmp_path / "flow" / "data" / "valid" / "flow.hdf5", "well")
    parts = open_dataset(tmp_path / "parts.hdf5", "well")
    assert parts.attrs["n_trajectories"] == 5
    assert set(whole.arrays) == set(parts.arrays)
    for name in whole.arrays:
        np.testing.assert_array_equal(whole[name][...], parts[name][...])
    assert not (tmp_path / "flow" / "stats.yaml").exists()  # of the training split only


def test_what_the_well_cannot_hold_is_refused(tmp_path: Path) -> None:
    data = flow()
    with pytest.raises(ConfigError, match="split is 'val', expected one of train, valid, test"):
        save_well(data, tmp_path, split="val")
    with pytest.raises(ConfigError, match="vectors names species, which has not 3 channels"):
        save_well(flow(3), tmp_path, vectors=["species"])
    with pytest.raises(ConfigError, match="boundary of x2 is 'noflux', expected one of periodic, wall, open"):
        save_well(data, tmp_path, boundary={"x2": "noflux"})
    ragged = ProblemData({"u": [np.zeros(2), np.zeros(3)]}, {"u": ("sample", "point")}, {}, {}, {}, {}, None)
    with pytest.raises(ConfigError, match="fields on regular grids only; save_pdebench writes points"):
        save_well(ragged, tmp_path)
    data.axes["inflow"] = ("sample", "x2")
    with pytest.raises(ConfigError, match=r"inflow has the axes sample, x2; The Well has fields on the whole grid"):
        save_well(data, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_official_dataset_class_reads_our_files(tmp_path: Path, dim: int) -> None:
    pytest.importorskip("the_well")
    from the_well.data import WellDataset
    from the_well.data.normalization import ZScoreNormalization

    data = flow(dim)
    for split in ("train", "valid", "test"):
        save_well(data, tmp_path / "flow", split=split, vectors=["velocity"])
    root = str(tmp_path / "flow")
    official = WellDataset(path=root, well_split_name="train", n_steps_input=1, n_steps_output=2)
    assert len(official) == 3 * 2
    assert official.metadata.dataset_name == "flow"
    assert official.metadata.spatial_resolution == data.grid.shape
    sample = official[3]  # second trajectory, second window
    density = data.arrays["density"].astype("f4")
    names = official.metadata.field_names[0]
    np.testing.assert_array_equal(sample["input_fields"][0, ..., names.index("density")], density[1, 1])
    np.testing.assert_array_equal(sample["output_fields"][1, ..., names.index("density")], density[1, 3])
    velocity = np.moveaxis(data.arrays["velocity"].astype("f4"), 2, -1)
    np.testing.assert_array_equal(sample["input_fields"][0, ..., len(names) :], velocity[1, 1])
    np.testing.assert_array_equal(sample["constant_fields"][..., 0], data.arrays["permeability"][1].astype("f4"))
    expected = {"nu": 0.1, "steps": 7.0, "force_1": data.arrays["force"][1, 1]}
    for name, value in expected.items():
        found = sample["constant_scalars"][official.metadata.constant_scalar_names.index(name)]
        assert float(found) == pytest.approx(value, rel=1e-6)
    assert sample["boundary_conditions"].tolist() == [[2.0, 2.0], [1.0, 1.0], [1.0, 1.0]][:dim]
    grid = np.stack(np.meshgrid(*(data.coords[axis] for axis in SPACE[:dim]), indexing="ij"), -1)
    np.testing.assert_array_equal(sample["space_grid"], grid.astype("f4"))
    scaled = WellDataset(
        path=root, well_split_name="train", use_normalization=True, normalization_type=ZScoreNormalization
    )
    values = np.stack([scaled[i]["input_fields"][..., 0] for i in range(len(scaled))])
    assert abs(values.mean()) < 0.2
    assert len(WellDataset(path=root, well_split_name="test")) == 9
    found = official.to_xarray(backend="numpy")
    np.testing.assert_array_equal(found["density"], density)
