"""Piecewise linear elements: against scikit-fem, and exact where they must be."""

import numpy as np
import pytest
import torch

from sciml.errors import ConfigError
from sciml.problems._fem import mass, solve_dirichlet, solve_positive, stiffness
from sciml.problems._meshing import mesh_polygon, star_loop
from sciml.spaces import Mesh
from sciml.spaces.random import StarShape


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return mesh_polygon([star_loop(StarShape().sample(1, seed=5), 0.2)], 0.2)


def test_matrices_equal_those_of_scikit_fem(mesh: Mesh) -> None:
    fem = pytest.importorskip("skfem")
    models = pytest.importorskip("skfem.models.poisson")
    grid = fem.MeshTri(mesh.vertices.numpy().T.copy(), mesh.cells.numpy().T.copy())
    basis = fem.Basis(grid, fem.ElementTriP1())
    assert abs(stiffness(mesh) - fem.asm(models.laplace, basis)).max() < 1e-12
    assert abs(mass(mesh) - fem.asm(models.mass, basis)).max() < 1e-15
    a = np.random.default_rng(0).uniform(1, 5, len(mesh.cells))
    weighted = fem.BilinearForm(lambda u, v, w: a[:, None] * (u.grad[0] * v.grad[0] + u.grad[1] * v.grad[1]))
    assert abs(stiffness(mesh, a) - fem.asm(weighted, basis)).max() < 1e-11


def test_constants_have_no_energy_and_rows_of_the_mass_are_the_weights(mesh: Mesh) -> None:
    assert np.abs(stiffness(mesh) @ np.ones(mesh.num_points)).max() < 1e-12
    np.testing.assert_allclose(mass(mesh).sum(1).A1, mesh.weights, rtol=1e-12)


def test_linear_functions_are_solved_exactly_several_at_once(mesh: Mesh) -> None:
    x, y = mesh.vertices.numpy().T
    exact = np.stack([1 + 2 * x - 3 * y, y])
    u = solve_dirichlet(mesh, np.zeros((2, mesh.num_points)), exact[:, mesh.boundary_nodes], a=4.0)
    np.testing.assert_allclose(u, exact, atol=1e-12)


def test_a_coefficient_of_two_values_bends_the_solution_where_they_meet() -> None:
    """-(a u')' = 0 between x = 0 and 1, a = 1 left and 3 right of the middle: slopes in the ratio of 3 to 1."""
    square = Mesh([[x / 4, y / 4] for x in range(5) for y in range(5)], _cells(5))
    middle = square.vertices[square.cells].mean(1)[:, 0].numpy()
    x = square.vertices[:, 0].numpy()
    exact = np.where(x < 0.5, 1.5 * x, 0.75 + 0.5 * (x - 0.5))
    u = solve_dirichlet(
        square, np.zeros((1, 25)), exact[square.boundary_nodes.numpy()], a=np.where(middle < 0.5, 1.0, 3.0)
    )
    np.testing.assert_allclose(u[0], exact, atol=1e-12)


def _cells(n: int) -> list[list[int]]:
    corners = [
        (i * n + j, (i + 1) * n + j, (i + 1) * n + j + 1, i * n + j + 1) for i in range(n - 1) for j in range(n - 1)
    ]
    return [cell for a, b, c, d in corners for cell in ([a, b, c], [a, c, d])]


def test_the_sparse_solver_equals_the_dense_one(mesh: Mesh) -> None:
    matrix = stiffness(mesh) + mass(mesh)
    right = np.random.default_rng(0).standard_normal((mesh.num_points, 3))
    np.testing.assert_allclose(solve_positive(matrix, right), np.linalg.solve(matrix.toarray(), right), rtol=1e-9)


def test_a_mesh_without_inner_vertices_is_refused() -> None:
    square = Mesh(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), torch.tensor([[0, 1, 2], [0, 2, 3]]))
    with pytest.raises(ConfigError, match="no vertex inside"):
        solve_dirichlet(square, np.zeros((1, 4)))
