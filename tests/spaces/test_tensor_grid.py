"""Tensor grids: exact quadrature, nested refinement, refusal of what is not clear."""

import math

import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid, TensorGrid

RULES = {
    "gauss_legendre": lambda n: 2 * n - 1,
    "clenshaw_curtis": lambda n: n - 1 if n % 2 == 0 else n,  # symmetric rules gain one degree for odd n
    "chebyshev": lambda n: n - 1 if n % 2 == 0 else n,
}


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None)
@given(n=st.integers(2, 40), begin=st.floats(-3, 3), length=st.floats(0.1, 5))
def test_weights_sum_to_the_volume_and_polynomials_are_exact(rule: str, n: int, begin: float, length: float) -> None:
    grid = getattr(TensorGrid, rule)(n, ((begin, begin + length),))
    assert abs(grid.weights.sum().item() - length) <= 1e-12 * length
    # Legendre polynomials of the unit interval: the integral of all but the constant is zero.
    t = (2 * (grid.points[:, 0] - begin) / length - 1).numpy()
    for degree in {1, n // 2, n - 1, RULES[rule](n)} - {0}:
        value = (np.polynomial.legendre.Legendre.basis(degree)(t) * grid.weights.numpy()).sum()
        assert abs(value) < 1e-11 * length


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_gauss_legendre_is_not_exact_at_degree_2n(n: int) -> None:
    grid = TensorGrid.gauss_legendre(n)
    # The square of the polynomial that vanishes at all points.
    leading = math.comb(2 * n, n) / 2**n
    exact = 2 / (2 * n + 1) / leading**2
    p = np.polynomial.legendre.Legendre.basis(n)(grid.points[:, 0].numpy()) / leading
    assert abs((p**2 * grid.weights.numpy()).sum() - exact) > 0.99 * exact


def test_rules_equal_the_textbook_points() -> None:
    simpson = TensorGrid.clenshaw_curtis(3)
    torch.testing.assert_close(simpson.weights, torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64) / 3)
    assert simpson.points[:, 0].tolist() == [-1.0, 0.0, 1.0]
    nodes = torch.cos(torch.pi * (torch.arange(5).double() + 0.5) / 5).flip(0)
    torch.testing.assert_close(TensorGrid.chebyshev(5).points[:, 0], nodes, rtol=1e-14, atol=1e-15)
    assert TensorGrid.chebyshev(1).weights.tolist() == [2.0]


def test_axes_of_different_rules_sizes_and_boxes_in_ij_order() -> None:
    bounds = ((0.0, 2.0), (-1.0, 3.0))
    grid = TensorGrid.gauss_legendre((4, 6), bounds)
    x, y = grid.points.T
    assert grid.shape == (4, 6)
    assert grid.points[0, 1] == grid.points[6, 1]  # the last axis runs fastest
    exact, _ = scipy.integrate.dblquad(lambda y, x: x**3 * y**4, 0, 2, -1, 3)
    assert (grid.weights * x**3 * y**4).sum().item() == pytest.approx(exact, rel=1e-12)
    assert grid.contains(torch.tensor([[1.0, 2.9], [2.1, 0.0]])).tolist() == [True, False]


def test_the_trapezoid_rule_on_the_users_points() -> None:
    grid = TensorGrid([[0.0, 0.5, 2.0]], "trapezoid")
    assert grid.weights.tolist() == [0.25, 1.0, 0.75]
    assert grid.h == 1.5
    reaching = TensorGrid([[0.5, 1.0]], "trapezoid", bounds=((0.0, 2.0),))
    assert reaching.weights.tolist() == [0.75, 1.25]
    nodes = RegularGrid((5,), ((0.0, 1.0),))
    torch.testing.assert_close(TensorGrid(nodes.axes, "trapezoid").weights, nodes.weights, rtol=1e-14, atol=0)


def test_other_measures_set_the_volume() -> None:
    latitude = TensorGrid.gauss_legendre(8, ((-math.pi / 2, math.pi / 2),))
    sphere = TensorGrid(latitude.axes, [latitude.axis_weights[0] * latitude.axes[0].cos()])
    assert sphere.volume == pytest.approx(2.0, rel=1e-8)


@pytest.mark.parametrize("n", [2, 3, 5, 9])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_clenshaw_curtis_grids_are_nested_bit_for_bit(n: int, factor: int) -> None:
    grid = TensorGrid.clenshaw_curtis((n, n + 1), ((0.0, 0.7), (-1.3, 2.0)))
    fine = grid.refine(factor)
    assert fine.coarsen(factor) == grid
    coordinates = fine.points.T.reshape(2, *fine.shape)
    assert torch.equal(fine.restrict(coordinates, factor).flatten(1).T, grid.points)


def test_gauss_grids_are_resized_but_not_nested() -> None:
    grid = TensorGrid.gauss_legendre(4)
    assert grid.refine(2).shape == (8,)
    assert grid.refine(2).coarsen(2) == grid
    with pytest.raises(ConfigError, match="resample instead"):
        grid.restrict(torch.zeros(4))
    with pytest.raises(ConfigError, match="resample"):
        TensorGrid([[0.0, 1.0]], "trapezoid").refine()
    with pytest.raises(ConfigError, match="do not divide by 3"):
        grid.coarsen(3)
    with pytest.raises(ConfigError, match="at least 1"):
        grid.refine(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], "trapezoid"), "at least one axis"),
        (([[0.0, 0.0]], "trapezoid"), "increasing order"),
        (([[0.0, 1.0]], "simpson"), "'trapezoid' or one tensor per axis"),
        (([[0.0, 1.0]], [[1.0]]), r"one for each point, \(2,\)"),
        (([[0.0, 1.0]], [[1.0, -1.0]]), "not negative"),
        (([[0.0, 1.0]], []), "one tensor per axis"),
        (([[0.0, 1.0]], [[1.0, 1.0]], ((0.2, 1.0),)), "bounds around the points"),
        (([[0.0, 1.0]], "trapezoid", ((0.2, 1.0),)), "outside the bounds"),
        (([[0.0, 1.0]], "trapezoid", ((0.0, 1.0), (0.0, 1.0))), "one pair per axis"),
        (([[[0.0, 1.0]]], "trapezoid"), r"the coordinates \(n,\)"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TensorGrid(*arguments)


def test_rules_of_impossible_size_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs at least 2"):
        TensorGrid.clenshaw_curtis(1)
    with pytest.raises(ConfigError, match="at least 1"):
        TensorGrid.gauss_legendre(0)
    with pytest.raises(ConfigError, match="one pair per axis"):
        TensorGrid.chebyshev((3, 4))
