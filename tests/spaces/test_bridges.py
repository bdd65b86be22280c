"""Functions to and from xarray, PyTorch Geometric and plain tensors: nothing is lost, nothing assumed."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GraphConv

from sciml.errors import ConfigError
from sciml.spaces import (
    Discretization,
    Function,
    FunctionBatch,
    Mesh,
    PointCloud,
    RegularGrid,
    TensorGrid,
    from_pyg,
    from_tensors,
    from_xarray,
    to_pyg,
    to_tensors,
    to_xarray,
)

BOX = ((0.0, 1.0), (-1.0, 2.0))
POINTS = torch.tensor([[0.0, -1.0], [1.0, -1.0], [1.0, 2.0], [0.0, 2.0], [0.4, 0.3]], dtype=torch.float64)
DISCS: dict[str, Discretization] = {
    "grid": RegularGrid((4, 3), BOX, periodic=(True, False), alignment="cell"),
    "line": RegularGrid((4,), BOX[:1], periodic=True),
    "tensor": TensorGrid.clenshaw_curtis((4, 3), BOX),
    "mesh": Mesh(POINTS, Mesh.delaunay(POINTS).cells, tags={"bottom": [[0, 1]]}),
    "cells": Mesh.delaunay(POINTS, centers=True),
    "cloud": PointCloud(POINTS, "voronoi", bounds=BOX),
    "free": PointCloud(POINTS, torch.arange(1.0, 6.0)),
}


@pytest.fixture(params=DISCS)
def disc(request: pytest.FixtureRequest) -> Discretization:
    return DISCS[request.param]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(2,), (3, 2)])
def test_xarray_gives_back_the_same_function(disc: Discretization, leading: tuple, dtype: torch.dtype) -> None:
    u = Function(torch.randn(*leading, *disc.shape, dtype=dtype), disc, "p", "Pa")
    array = to_xarray(u)
    back = from_xarray(array)
    assert torch.equal(back.values, u.values)
    assert back.values.dtype == dtype
    assert (back.disc, back.name, back.units) == (disc, "p", "Pa")
    # Axes by name: their order does not matter.
    assert torch.equal(from_xarray(array.transpose()).values, u.values)


def test_xarray_survives_a_file(disc: Discretization, tmp_path: Path) -> None:
    time = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    u = Function(torch.randn(2, 3, 1, *disc.shape), disc, "p", "Pa", time)
    to_xarray(u).to_netcdf(tmp_path / "u.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "u.nc", engine="h5netcdf") as array:
        back = from_xarray(array.load())
    assert torch.equal(back.values, u.values)
    assert back.disc == disc
    assert torch.equal(back.time, time)  # type: ignore[arg-type]


def test_xarray_has_the_coordinates_in_ij_order() -> None:
    grid = RegularGrid((4, 3), BOX)
    x, y = grid.points.T.reshape(2, 4, 3)
    array = to_xarray(Function((10 * x + y)[None], grid))
    assert array.dims == ("channel", "x1", "x2")
    assert float(array.sel(x1=1.0, x2=0.5)[0]) == 10.5


def test_a_foreign_array_needs_a_discretisation_that_fits_its_coordinates() -> None:
    lat, lon = np.linspace(-1, 2, 4, dtype=np.float32), np.linspace(0, 1, 3)
    array = xr.DataArray(
        np.random.default_rng(0).random((3, 4, 5)), {"lon": lon, "lat": lat}, ["lon", "lat", "run"], name="t2m"
    )
    grid = RegularGrid((4, 3), ((-1.0, 2.0), (0.0, 1.0)))
    u = from_xarray(array, grid, dims=["lat", "lon"])
    assert u.values.shape == (5, 1, 4, 3)
    assert u.name == "t2m"
    assert u.values[2, 0, 1, 0].item() == array.values[0, 1, 2]
    with pytest.raises(ConfigError, match="pass disc=RegularGrid"):
        from_xarray(array)
    with pytest.raises(ConfigError, match=r"expected x1, x2 of sizes \(4, 3\): name them by dims"):
        from_xarray(array, grid)
    with pytest.raises(ConfigError, match=r"expected lon, lat of sizes \(4, 3\)"):
        from_xarray(array, grid, dims=["lon", "lat"])
    with pytest.raises(ConfigError, match="coordinates 'lat' of the array run from -1 to 2"):
        from_xarray(array, RegularGrid((4, 3), ((0.0, 2.0), (0.0, 1.0))), dims=["lat", "lon"])


def test_a_part_of_an_array_is_not_taken_for_the_whole() -> None:
    array = to_xarray(Function(torch.randn(1, 5), RegularGrid((5,), ((0.0, 1.0),))))
    with pytest.raises(ConfigError, match="they must be equal"):
        from_xarray(array.isel(x1=slice(0, 3)))


def test_arrays_have_one_axis_of_samples() -> None:
    with pytest.raises(ConfigError, match="flatten them first"):
        to_xarray(Function(torch.zeros(2, 3, 1, 4), DISCS["line"]))


def test_a_graph_gives_back_the_same_function_at_its_points(disc: Discretization) -> None:
    u = Function(torch.randn(3, *disc.shape, dtype=torch.float64), disc, "p", "Pa")
    back = from_pyg(to_pyg(u, radius=0.9), "p", "Pa")
    assert isinstance(back, Function)
    assert torch.equal(back.values, u.values.flatten(1))
    assert torch.equal(back.points, disc.points)
    torch.testing.assert_close(back.weights, disc.weights, rtol=1e-14, atol=0)
    torch.testing.assert_close(back.l2_norm(), u.l2_norm(), rtol=1e-12, atol=0)


def test_a_mesh_has_its_edges_and_faces_in_a_graph() -> None:
    mesh = Mesh.delaunay(POINTS)
    data = to_pyg(Function(torch.randn(1, 5), mesh))
    assert torch.equal(data.edge_index, mesh.edge_index)
    assert data.face.shape == (3, len(mesh.cells))
    assert data.validate()
    assert data.is_undirected()
    back = from_pyg(to_pyg(Function(torch.randn(1, 5, dtype=torch.float64), mesh)))
    assert back.disc == mesh  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["cloud", "mesh"])
def test_a_batch_of_graphs_is_a_ragged_batch(kind: str) -> None:
    several = []
    for n in (5, 9):
        points = torch.rand(n, 2, dtype=torch.float64)
        disc = Mesh.delaunay(points) if kind == "mesh" else PointCloud(points, torch.rand(n))
        several.append(Function(torch.randn(2, n, dtype=torch.float64), disc))
    batch = FunctionBatch.ragged(several)
    graphs = to_pyg(batch, radius=0.5)
    assert isinstance(graphs, Batch)
    assert GraphConv(2, 4).double()(graphs.x, graphs.edge_index).shape == (14, 4)
    back = from_pyg(graphs)
    assert isinstance(back, FunctionBatch)
    assert torch.equal(back.ptr, batch.ptr)  # type: ignore[arg-type]
    assert (back - batch).l2_norm().eq(0).all()


def test_gradients_flow_through_a_graph() -> None:
    values = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)

    def loss(v: torch.Tensor) -> torch.Tensor:
        back = from_pyg(to_pyg(Function(v, DISCS["cloud"])))
        assert isinstance(back, Function)
        return back.l2_norm()

    assert torch.autograd.gradcheck(loss, (values,))


def test_graphs_without_weights_or_points_are_refused() -> None:
    with pytest.raises(ConfigError, match="weights are never assumed"):
        from_pyg(Data(x=torch.zeros(3, 1), pos=torch.rand(3, 2)))
    with pytest.raises(ConfigError, match="no pos, only x"):
        from_pyg(Data(x=torch.zeros(3, 1)))
    with pytest.raises(ConfigError, match="or a batch"):
        to_pyg(Function(torch.zeros(2, 1, 5), DISCS["cloud"]))


def test_plain_tensors_become_functions_and_come_back() -> None:
    values = torch.randn(4, 2, 5)
    u = from_tensors(values, POINTS, "voronoi", bounds=BOX, name="p")
    assert u.disc == DISCS["cloud"]
    parts = to_tensors(u)
    assert list(parts) == ["p", "p.pos", "p.weight"]
    again = from_tensors(parts["p"], DISCS["cloud"].points, DISCS["cloud"].weights, bounds=BOX)
    assert again.disc == u.disc
    mesh = Mesh.delaunay(POINTS)
    assert from_tensors(values, POINTS, cells=mesh.cells).disc == mesh
    for both in ({}, {"weights": "uniform", "cells": mesh.cells}):
        with pytest.raises(ConfigError, match="one of them"):
            from_tensors(values, POINTS, **both)


def test_batches_say_which_points_belong_to_which_function() -> None:
    several = [Function(torch.randn(1, 5), DISCS["cloud"]), Function(torch.randn(1, 5), DISCS["free"])]
    batch = FunctionBatch.ragged(several)
    assert list(to_tensors(batch)) == ["u", "u.pos", "u.weight", "u.ptr"]
    padded = to_tensors(batch.to_padded(7))
    assert {name: tuple(part.shape) for name, part in padded.items()} == {
        "u": (2, 1, 7),
        "u.pos": (2, 7, 2),
        "u.weight": (2, 7),
        "u.mask": (2, 7),
    }
