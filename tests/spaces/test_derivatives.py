"""Gradients: exact for band-limited functions and polynomials, of the stated order elsewhere."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces import Mesh, PointCloud, RegularGrid, TensorGrid, gradient
from sciml.testing.strategies import regular_grids


def line(n: int, periodic: bool = False, length: float = 1.0) -> RegularGrid:
    return RegularGrid(shape=(n,), bounds=((0.0, length),), periodic=periodic)


def test_the_spectral_derivative_of_exp_sin_is_exact_to_1e_10_at_64_points() -> None:
    grid = line(64, periodic=True)
    phase = 2 * math.pi * grid.points[:, 0]
    u = torch.exp(torch.sin(phase))
    error = gradient(u, grid)[0] - 2 * math.pi * torch.cos(phase) * u
    assert error.abs().max() < 1e-10


@settings(deadline=None)
@given(st.integers(3, 16), st.floats(0.1, 10), st.data())
def test_the_spectral_derivative_is_exact_below_nyquist(n: int, length: float, data: st.DataObject) -> None:
    grid = line(n, periodic=True, length=length)
    k = data.draw(st.integers(0, (n - 1) // 2))
    wave = 2 * math.pi * k / length
    x = grid.points[:, 0]
    torch.testing.assert_close(
        gradient(torch.cos(wave * x), grid)[0], -wave * torch.sin(wave * x), rtol=1e-10, atol=1e-10 * (1 + wave)
    )


@pytest.mark.parametrize("n", [2, 8])
def test_the_nyquist_mode_has_derivative_zero(n: int) -> None:
    alternating = (-1.0) ** torch.arange(n, dtype=torch.float64)
    assert gradient(alternating, line(n, periodic=True)).abs().max() < 1e-14


def test_a_single_periodic_point_is_constant() -> None:
    assert gradient(torch.ones(3, 1), line(1, periodic=True)).tolist() == [[[0.0]] * 3]


@pytest.mark.parametrize("order", [2, 4])
def test_finite_differences_are_exact_for_polynomials_up_to_their_order(order: int) -> None:
    grid = RegularGrid(shape=(7,), bounds=((-1.0, 2.0),))
    x = grid.points[:, 0]
    for degree in range(order + 1):
        exact = degree * x ** max(degree - 1, 0)
        torch.testing.assert_close(gradient(x**degree, grid, order)[0], exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("where", ["inside", "boundary"])
@pytest.mark.parametrize("alignment", ["node", "cell"])
def test_finite_differences_have_their_order_inside_and_at_the_boundary(order: int, where: str, alignment: str) -> None:
    def error(n: int) -> float:
        grid = RegularGrid(shape=(n,), bounds=((0.0, 1.0),), alignment=alignment)
        x = grid.points[:, 0]
        difference = (gradient(torch.exp(2 * x), grid, order)[0] - 2 * torch.exp(2 * x)).abs()
        ends = torch.cat([difference[: order // 2], difference[-(order // 2) :]])
        return (difference[n // 4 : -(n // 4)] if where == "inside" else ends).max().item()

    errors = [error(n) for n in (41, 81, 161)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_second_order_differences_equal_numpy() -> None:
    grid = RegularGrid(shape=(5, 7), bounds=((0.0, 2.0), (1.0, 4.0)))
    u = torch.randn(3, 2, 5, 7, dtype=torch.float64)
    expected = np.gradient(u.numpy(), *grid.spacing, axis=(-2, -1), edge_order=2)
    np.testing.assert_allclose(gradient(u, grid).numpy(), np.stack(expected), rtol=1e-10, atol=1e-12)


def slow_gradient(u: Tensor, grid: RegularGrid, order: int) -> Tensor:
    """One matrix per axis: the derivative of the interpolating polynomial, or of the trigonometric interpolant."""
    parts = []
    for axis, n in enumerate(grid.shape):
        x = grid.axes[axis].numpy()
        matrix = np.zeros((n, n))
        for i in range(n):
            if grid.periodic[axis]:  # type: ignore[index]
                j = np.arange(n)
                k = np.arange(-((n - 1) // 2), (n - 1) // 2 + 1)[:, None]
                factor = 2j * math.pi * k / grid.lengths[axis]
                matrix[i] = np.sum(factor * np.exp(2j * math.pi * k * (i - j) / n), axis=0).real / n
            else:
                start = min(max(i - order // 2, 0), n - order - 1)
                nodes = range(start, start + order + 1)
                for j in nodes:
                    others = [x[m] for m in nodes if m != j]
                    polynomial = np.poly1d(np.poly(others)) / np.prod(x[j] - np.array(others))
                    matrix[i, j] = polynomial.deriv()(x[i])
        parts.append(torch.tensordot(u, torch.from_numpy(matrix), dims=([axis], [1])).movedim(-1, axis))
    return torch.stack(parts)


@settings(deadline=None)
@given(regular_grids(dims=[1, 2, 3], min_size=5, max_size=7), st.sampled_from([2, 4]))
def test_the_gradient_equals_a_slow_twin(grid: RegularGrid, order: int) -> None:
    u = torch.randn(grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = slow_gradient(u, grid, order)
    # Shifted by far more than its spacing, a grid has nodes, and the twin polynomials, that are rounded coarsely.
    torch.testing.assert_close(gradient(u, grid, order), expected, rtol=1e-8, atol=1e-8 * expected.abs().max().item())


def test_mixed_axes_are_not_confused() -> None:
    grid = RegularGrid(shape=(8, 9), bounds=((0.0, 2.0), (0.0, 1.0)), periodic=(True, False))
    x, y = grid.points.T.reshape(2, 8, 9)
    gradients = gradient(torch.sin(math.pi * x) * y, grid)
    torch.testing.assert_close(gradients[0], math.pi * torch.cos(math.pi * x) * y, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients[1], torch.sin(math.pi * x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
def test_the_gradient_passes_gradcheck(periodic: bool) -> None:
    grid = RegularGrid(shape=(5, 6), bounds=((0.0, 1.0), (0.0, 2.0)), periodic=periodic)
    u = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: gradient(v, grid, 4), (u,))


def test_single_precision_is_kept() -> None:
    for periodic in (True, False):
        grid = line(9, periodic)
        u = torch.randn(9, dtype=torch.float64)
        result = gradient(u.float(), grid)
        assert result.dtype == torch.float32
        torch.testing.assert_close(result.double(), gradient(u, grid), rtol=1e-4, atol=1e-5)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected the grid \(9,\)"):
        gradient(torch.zeros(8), line(9))
    with pytest.raises(ConfigError, match="expected 2 or 4"):
        gradient(torch.zeros(9), line(9), order=3)
    with pytest.raises(ConfigError, match="needs 5"):
        gradient(torch.zeros(4), line(4), order=4)
    with pytest.raises(ConfigError, match="derivatives need floats"):
        gradient(torch.zeros(9, dtype=torch.bool), line(9))


@pytest.mark.parametrize("rule", ["gauss_legendre", "clenshaw_curtis", "chebyshev"])
@pytest.mark.parametrize("n", [4, 9, 40])
def test_the_derivative_on_a_quadrature_rule_is_that_of_the_polynomial(rule: str, n: int) -> None:
    grid = getattr(TensorGrid, rule)((n, 3), ((-1.0, 2.0), (0.0, 1.0)))
    x, y = grid.points.T.reshape(2, n, 3)
    u, slope = torch.exp(x) * y, torch.exp(x) * y
    polynomial = x ** (n - 1) * y
    du, dp = gradient(u, grid)[0], gradient(polynomial / 2.0**n, grid)
    torch.testing.assert_close(dp[0] * 2.0**n, (n - 1) * x ** (n - 2) * y, rtol=1e-9, atol=1e-9 * 2.0**n)
    torch.testing.assert_close(dp[1] * 2.0**n, x ** (n - 1), rtol=1e-10, atol=1e-12 * 2.0**n)
    if n == 40:  # far more points than exp needs: what is left is rounding, amplified by n^2
        torch.testing.assert_close(du, slope, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("order", [2, 4])
def test_differences_on_uneven_points_are_exact_for_polynomials_and_have_their_order(order: int) -> None:
    def grid(n: int) -> TensorGrid:
        t = torch.linspace(0, 1, n, dtype=torch.float64)
        return TensorGrid([t + 0.3 * t**2, [0.0, 0.2, 0.5, 0.6, 1.0]], "trapezoid")

    def error(n: int) -> float:
        x, y = grid(n).points.T.reshape(2, n, 5)
        return (gradient(torch.sin(3 * x) * y, grid(n), order)[0] - 3 * torch.cos(3 * x) * y).abs().max().item()

    x, y = grid(7).points.T.reshape(2, 7, 5)
    for degree in range(order + 1):
        exact = degree * x ** max(degree - 1, 0) + 0 * y
        torch.testing.assert_close(gradient(x**degree + y, grid(7), order)[0], exact, rtol=1e-10, atol=1e-10)
        exact = degree * y ** max(degree - 1, 0) + 0 * x
        torch.testing.assert_close(gradient(y**degree + x, grid(7), order)[1], exact, rtol=1e-10, atol=1e-10)
    errors = [error(n) for n in (81, 161, 321)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_differences_on_even_points_equal_those_of_the_regular_grid() -> None:
    regular = RegularGrid(shape=(9, 6), bounds=((0.0, 1.0), (0.0, 2.0)))
    u = torch.randn(3, 9, 6, dtype=torch.float64)
    for order in (2, 4):
        expected = gradient(u, regular, order)
        torch.testing.assert_close(
            gradient(u, TensorGrid(regular.axes, "trapezoid"), order), expected, rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_gradient_on_a_mesh_is_exact_for_linear_functions_and_equals_a_fit_in_every_cell(dim: int) -> None:
    mesh = Mesh.delaunay(torch.rand(30, dim, dtype=torch.float64))
    slopes = torch.arange(1, dim + 1, dtype=torch.float64)
    found = gradient((mesh.points @ slopes)[None] + 1, mesh)
    assert found.shape == (dim, 1, len(mesh.cells))
    torch.testing.assert_close(found[:, 0], slopes[:, None].expand(-1, len(mesh.cells)), rtol=1e-8, atol=1e-8)
    u = torch.randn(4, 2, mesh.num_points, dtype=torch.float64)
    found = gradient(u, mesh)
    for number in (0, len(mesh.cells) // 2):
        cell = mesh.cells[number]
        plane = np.column_stack([mesh.vertices[cell].numpy(), np.ones(dim + 1)])
        expected = np.linalg.solve(plane, u[1, 1, cell].numpy())[:dim]
        np.testing.assert_allclose(found[:, 1, 1, number].numpy(), expected, rtol=1e-7, atol=1e-8)


def test_gradients_on_meshes_and_rules_pass_gradcheck_and_keep_single_precision() -> None:
    mesh = Mesh.delaunay(torch.rand(8, 2, dtype=torch.float64))
    for disc in (
        mesh,
        TensorGrid.chebyshev((3, 4), ((0.0, 1.0),) * 2),
        TensorGrid([torch.arange(6.0) ** 2], "trapezoid"),
    ):
        u = torch.randn(2, *disc.shape, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda v, disc=disc: gradient(v, disc), (u,))
        single = gradient(u.detach().float(), disc)
        assert single.dtype == torch.float32
        expected = gradient(u.detach(), disc)
        torch.testing.assert_close(single.double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_scattered_points_and_cell_values_have_no_derivative() -> None:
    points = torch.rand(9, 2)
    cloud = PointCloud(points, "uniform", volume=1.0)
    with pytest.raises(ConfigError, match=r"Mesh\.delaunay\(points\)"):
        gradient(torch.zeros(9), cloud)
    cells = Mesh.delaunay(points, centers=True)
    with pytest.raises(ConfigError, match="vertices of a mesh"):
        gradient(torch.zeros(cells.num_points), cells)
    with pytest.raises(ConfigError, match="needs 5"):
        gradient(torch.zeros(4), TensorGrid([torch.arange(4.0)], "trapezoid"), order=4)
