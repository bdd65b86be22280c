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
from sciml.spaces import RegularGrid, gradient
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
