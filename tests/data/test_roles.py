"""From files with roles to batches: which tensors a model gets, at which points, with which weights."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sciml.data import Fields, load_dataset, open_dataset, operator_dataset, save_pdebench
from sciml.data.roles import split_by_roles
from sciml.errors import ConfigError
from sciml.problems.base import ProblemData
from sciml.spaces import RegularGrid

RNG = np.random.default_rng(0)


def stored(tmp_path: Path, arrays: dict[str, Any], axes: dict[str, str], roles: dict[str, str], **more: Any) -> Fields:
    """The file with these fields, opened; axes as words."""
    filled: dict[str, Any] = {"coords": {}, "units": {}, "attrs": {}, "grid": None}
    split_axes = {name: tuple(words.split()) for name, words in axes.items()}
    data = ProblemData(arrays=arrays, axes=split_axes, roles=roles, **(filled | more))
    return open_dataset(save_pdebench(data, tmp_path / "a.hdf5"), "pdebench-hdf5")


def single(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def test_fields_on_one_grid_are_x_and_y_with_times_as_channels(tmp_path: Path) -> None:
    grid = RegularGrid((6, 5), ((0.0, 1.0), (0.0, 2.0)))
    arrays = {"a": RNG.random((3, 6, 5)), "u": RNG.random((3, 4, 5, 6))}
    coords = {"x1": grid.axes[0].numpy(), "x2": grid.axes[1].numpy(), "time": np.arange(4.0)}
    axes = {"a": "sample x1 x2", "u": "sample time x2 x1"}
    fields = stored(tmp_path, arrays, axes, {"a": "input", "u": "target"}, coords=coords, grid=grid)
    split = split_by_roles(fields)
    assert torch.equal(split["x"], single(arrays["a"])[:, None])
    assert torch.equal(split["y"], single(arrays["u"]).transpose(2, 3))
    assert split.grids == {"x": grid, "y": grid}
    assert split.shared == frozenset()
    data = operator_dataset({"train": split}, "demo", units={"y": "m"})
    assert (data.spec["y"].channels, data.spec["y"].shape, data.spec["y"].units) == (4, (6, 5), "m")
    assert data.spec.grid == grid


def test_several_fields_of_a_role_on_a_grid_are_channels(tmp_path: Path) -> None:
    names = ("a", "b", "u", "v")
    arrays = {name: RNG.random((3, 6)) for name in names}
    roles = {"a": "input", "b": "input", "u": "target", "v": "target"}
    fields = stored(tmp_path, arrays, dict.fromkeys(names, "sample x1"), roles, coords={"x1": np.arange(6.0)})
    split = split_by_roles(fields)
    assert torch.equal(split["x"], single(np.stack([arrays["a"], arrays["b"]], 1)))
    assert torch.equal(split["y"], single(np.stack([arrays["u"], arrays["v"]], 1)))


def sensors(tmp_path: Path) -> tuple[dict[str, np.ndarray], Fields]:
    grid = RegularGrid((5,), ((0.0, 1.0),))
    arrays = {"f": RNG.random((3, 7)), "u": RNG.random((3, 4, 5)), "k": RNG.random((3, 2))}
    axes = {"f": "sample sensor", "u": "sample time x1", "k": "sample param"}
    coords = {"sensor": np.linspace(0, 1, 7), "x1": grid.axes[0].numpy(), "time": np.array([0.0, 0.5, 1.0, 2.0])}
    roles = {"f": "input", "u": "target", "k": "params"}
    return arrays, stored(tmp_path, arrays, axes, roles, coords=coords, grid=grid, units={"u": "K"})


def test_values_at_sensors_and_a_target_in_space_and_time_are_aligned_points(tmp_path: Path) -> None:
    arrays, fields = sensors(tmp_path)
    split = split_by_roles(fields)
    assert torch.equal(split["u"], single(arrays["f"]))
    assert torch.equal(split["u.pos"], single(np.linspace(0, 1, 7))[:, None])
    assert torch.equal(split["params"], single(arrays["k"]))
    assert split["coords"].shape == (20, 2)
    assert split.shared == {"coords", "u.pos", "u.weight", "y.weight"}
    for point, value in zip(split["coords"], split["y"][1], strict=True):
        x, t = round(float(point[0]) * 4), [0.0, 0.5, 1.0, 2.0].index(float(point[1]))
        assert float(value) == pytest.approx(arrays["u"][1, t, x], rel=1e-6)


def test_weights_integrate_in_space_and_time(tmp_path: Path) -> None:
    _, fields = sensors(tmp_path)
    split = split_by_roles(fields)
    x, t = split["coords"].unbind(1)
    assert float(split["y.weight"].sum()) == pytest.approx(2.0)
    assert float((split["y.weight"] * x * t).sum()) == pytest.approx(0.5 * 2.0, rel=1e-6)  # bilinear: exact


def test_queries_are_drawn_for_every_function(tmp_path: Path) -> None:
    _, fields = sensors(tmp_path)
    whole, drawn = split_by_roles(fields), split_by_roles(fields, queries=6, seed=1)
    assert drawn["coords"].shape == (3, 6, 2)
    assert drawn.shared == {"u.pos", "u.weight"}
    for i in range(3):
        rows = [(whole["coords"] == point).all(1).nonzero().item() for point in drawn["coords"][i]]
        assert len(set(rows)) == 6
        assert torch.equal(drawn["y"][i], whole["y"][i, rows])
        assert torch.equal(drawn["y.weight"][i], whole["y.weight"][rows])
    assert not torch.equal(drawn["coords"][0], drawn["coords"][1])
    again = split_by_roles(fields, queries=6, seed=1)
    assert torch.equal(again["coords"], drawn["coords"])
    assert not torch.equal(split_by_roles(fields, queries=6, seed=2)["coords"], drawn["coords"])
    with pytest.raises(ConfigError, match="queries is 21, expected 1 to 20"):
        split_by_roles(fields, queries=21)


def test_a_field_on_a_grid_can_be_taken_as_points(tmp_path: Path) -> None:
    grid = RegularGrid((6, 5), ((0.0, 1.0), (0.0, 2.0)))
    arrays = {"a": RNG.random((3, 6, 5)), "u": RNG.random((3, 2, 6, 5))}
    coords = {"x1": grid.axes[0].numpy(), "x2": grid.axes[1].numpy()}
    axes = {"a": "sample x1 x2", "u": "sample channel x1 x2"}
    fields = stored(tmp_path, arrays, axes, {"a": "input", "u": "target"}, coords=coords, grid=grid)
    split = split_by_roles(fields, layout="points")
    assert torch.equal(split["u"], single(arrays["a"]).flatten(1))
    assert torch.equal(split["y"], single(arrays["u"]).flatten(2))
    torch.testing.assert_close(split["coords"], grid.points.float())
    torch.testing.assert_close(split["y.weight"], grid.weights.float())
    with pytest.raises(ConfigError, match=r"f \(sample, sensor\) is not a field on a grid"):
        split_by_roles(sensors(tmp_path)[1], layout="grid")


def test_several_inputs_at_sensors_keep_their_names(tmp_path: Path) -> None:
    arrays = {"f": RNG.random((3, 7)), "g": RNG.random((3, 4)), "u": RNG.random((3, 9))}
    axes = {"f": "sample sensor", "g": "sample knot", "u": "sample point"}
    roles = {"f": "input", "g": "input", "u": "target"}
    points = RNG.random((9, 2))
    split = split_by_roles(stored(tmp_path, arrays, axes, roles, coords={"points": points}))
    assert torch.equal(split["f"], single(arrays["f"]))
    assert torch.equal(split["g"], single(arrays["g"]))
    assert torch.equal(split["coords"], single(points))
    assert "y.weight" not in split.tensors


def test_samples_with_points_of_their_own_are_padded_with_masks(tmp_path: Path) -> None:
    sizes = [5, 8, 6]
    arrays = {
        "points": [RNG.random((n, 2)) for n in sizes],
        "u": [RNG.random(n) for n in sizes],
        "f": [RNG.random(n) for n in sizes],
        "weights": [RNG.random(n) for n in sizes],
        "shape": RNG.random((3, 4)),
    }
    axes = {"points": "sample point dim", "shape": "sample param"}
    axes |= dict.fromkeys(("u", "f", "weights"), "sample point")
    roles = {"points": "coords", "u": "target", "f": "input", "shape": "params"}
    split = split_by_roles(stored(tmp_path, arrays, axes, roles))
    assert split["y"].shape == split["y.mask"].shape == split["u"].shape == split["u.mask"].shape == (3, 8)
    assert split["y.mask"].sum(1).tolist() == sizes
    for i, n in enumerate(sizes):
        assert torch.equal(split["y"][i, :n], single(arrays["u"][i]))
        assert torch.equal(split["u"][i, :n], single(arrays["f"][i]))
        assert torch.equal(split["coords"][i, :n], single(arrays["points"][i]))
        assert torch.equal(split["u.pos"][i, :n], single(arrays["points"][i]))
        assert torch.equal(split["y.weight"][i, :n], single(arrays["weights"][i]))
        assert split["y.weight"][i, n:].sum() == 0
    assert torch.equal(split["params"], single(arrays["shape"]))


def test_what_cannot_be_learned_is_said(tmp_path: Path) -> None:
    fields = stored(tmp_path, {"u": RNG.random((3, 6))}, {"u": "sample x1"}, {"u": "target"})
    with pytest.raises(ConfigError, match=r"does not say what is input and what is target \(arrays: u\)"):
        split_by_roles(fields)
    arrays = {"f": RNG.random((3, 7)), "u": RNG.random((3, 9)), "v": RNG.random((3, 4))}
    axes = {"f": "sample sensor", "u": "sample point", "v": "sample time"}
    roles = {"f": "input", "u": "target", "v": "target"}
    fields = stored(tmp_path, arrays, axes, roles, coords={"points": RNG.random((9, 2))})
    with pytest.raises(ConfigError, match="the targets u, v have different axes"):
        split_by_roles(fields)
    fields = stored(tmp_path, {"f": arrays["f"], "u": arrays["v"]}, {"f": axes["f"], "u": axes["v"]}, roles)
    with pytest.raises(ConfigError, match="no coordinates of the axis time"):
        split_by_roles(fields)
    with pytest.raises(ConfigError, match="layout is 'mesh', expected 'auto', 'grid' or 'points'"):
        split_by_roles(fields, layout="mesh")  # type: ignore[arg-type]


def test_a_described_file_is_a_dataset_without_a_card(tmp_path: Path) -> None:
    arrays, fields = sensors(tmp_path)
    data = load_dataset(fields.path, validation=1)
    assert {name: len(data[name]) for name in data} == {"train": 2, "val": 1}
    assert torch.equal(data.train["u"], single(arrays["f"])[:2])
    assert data.train["coords"].shape == (20, 2)
    assert data.spec["coords"].shared
    assert data.spec["y"].units == "K"
    assert load_dataset(fields.path, dtype="float64").train["y"].dtype == torch.float64


def test_a_file_of_pdebench_itself_is_read_as_before(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["nu"], file["tensor"] = RNG.random((3, 4, 4), "f4"), RNG.random((3, 1, 4, 4), "f4")
    assert load_dataset(tmp_path / "a.hdf5").train["x"].shape == (3, 1, 4, 4)
