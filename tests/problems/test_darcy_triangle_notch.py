"""Darcy flow in the triangle with a notch: bounds, linearity, and another kind of elements."""

import math

import numpy as np
import pytest
import torch

from sciml.errors import ConfigError
from sciml.problems.darcy_triangle_notch import DarcyTriangleNotch
from sciml.spaces import Mesh


def test_the_mesh_is_the_triangle_without_its_notch() -> None:
    mesh = DarcyTriangleNotch().mesh(48)
    assert mesh.volume == pytest.approx(math.sqrt(3) / 4 - 0.02 * 0.4, rel=1e-12)
    assert not mesh.contains(torch.tensor([[0.5, 0.2], [0.1, 0.5]])).any()
    assert mesh.contains(torch.tensor([[0.5, 0.45], [0.1, 0.05]])).all()


def test_boundary_values_are_met_and_bound_the_flow_without_a_source() -> None:
    problem = DarcyTriangleNotch(source=0.0)
    mesh = problem.mesh(32)
    g = problem.sampler().sample(4, seed=0)
    u = problem.solve(g, mesh).values[:, 0]
    x, y = mesh.vertices.T
    outer = mesh.boundary_nodes[(y[mesh.boundary_nodes] > 0.4 + 1e-9) | ((x[mesh.boundary_nodes] - 0.5).abs() > 0.011)]
    torch.testing.assert_close(u[:, outer], g(x[outer]), rtol=0, atol=1e-14)
    notch = (x >= 0.49) & (x <= 0.51) & (y <= 0.4)
    assert notch.sum() > 20
    assert (u[:, notch] == 0).all()
    values = g(torch.linspace(0, 1, 1001, dtype=torch.float64))
    assert (u <= values.amax(1, keepdim=True).clamp(min=0) + 1e-9).all()
    assert (u >= values.amin(1, keepdim=True).clamp(max=0) - 1e-9).all()


def test_the_pressure_equals_the_one_of_quadratic_elements_up_to_the_corners_of_the_notch() -> None:
    fem = pytest.importorskip("skfem")
    models = pytest.importorskip("skfem.models.poisson")
    problem = DarcyTriangleNotch(permeability=2.0)
    mesh, g = problem.mesh(64), problem.sampler().sample(1, seed=1)
    ours = problem.solve(g, mesh).values[0, 0].numpy()
    grid = fem.MeshTri(mesh.vertices.numpy().T.copy(), mesh.cells.numpy().T.copy())
    basis = fem.Basis(grid, fem.ElementTriP2())
    border = basis.get_dofs().all()
    x, y = basis.doflocs
    known = basis.zeros()
    known[border] = g(torch.from_numpy(x[border].copy()))[0]
    known[border[(x[border] >= 0.49) & (x[border] <= 0.51) & (y[border] <= 0.4)]] = 0
    load = 10 * fem.asm(models.unit_load, basis)
    exact = fem.solve(*fem.condense(2 * fem.asm(models.laplace, basis), load, x=known, D=border))[basis.nodal_dofs[0]]
    error = math.sqrt(mesh.weights.numpy() @ (ours - exact) ** 2 / (mesh.weights.numpy() @ exact**2))
    assert error < 3e-3


def test_the_flow_is_the_sum_of_those_by_source_and_boundary() -> None:
    both, boundary = (DarcyTriangleNotch(source=f) for f in (10.0, 0.0))
    mesh = both.mesh(16)
    g = both.sampler().sample(3, seed=0)
    by_source = both.solve(g, mesh).values - boundary.solve(g, mesh).values
    torch.testing.assert_close(by_source[0], by_source[2], rtol=0, atol=1e-11)
    assert by_source.max() > 0.01


def test_samples_depend_on_seed_and_place_alone_and_share_their_points() -> None:
    problem = DarcyTriangleNotch(sensors=11)
    whole, part = problem.generate(4, seed=2, resolution=12), problem.generate(2, seed=2, resolution=12, start=1)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles)
    for name in ("g", "u"):
        np.testing.assert_allclose(part[name], whole[name][1:3], rtol=0, atol=1e-11)
    assert whole["g"].shape == (4, 11)
    mesh = Mesh(whole.coords["points"], whole["cells"])
    np.testing.assert_allclose(mesh.weights, whole["weights"], rtol=1e-14)
    assert whole["u"].shape == (4, mesh.num_points)


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"permeability is 0\.0"):
        DarcyTriangleNotch(permeability=0.0)
    with pytest.raises(ConfigError, match="resolution is 4, expected at least 8"):
        DarcyTriangleNotch().generate(1, resolution=4)
