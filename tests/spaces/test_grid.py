"""Regular grids: quadrature that is exact where theory says so, nested refinement, equality by content."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ConfigError
from sciml.spaces import Discretization, RegularGrid
from sciml.testing.strategies import regular_grids

SQUARE = ((0.0, 1.0), (0.0, 1.0))


@settings(deadline=None)
@given(regular_grids())
def test_weights_sum_to_the_volume(grid: RegularGrid) -> None:
    # Section 6 of the sheet: 1e-12 for grids, relative to the volume.
    assert abs(grid.weights.sum().item() - grid.volume) <= 1e-12 * grid.volume
    assert grid.volume == pytest.approx(math.prod(end - begin for begin, end in grid.bounds))
    assert grid.weights.dtype == torch.float64
    assert grid.weights_nd().shape == grid.shape


@settings(deadline=None)
@given(regular_grids(alignments=["node"], periodic=False), st.data())
def test_the_trapezoid_rule_is_exact_for_multilinear_functions(grid: RegularGrid, data: st.DataObject) -> None:
    slopes = data.draw(st.lists(st.integers(-5, 5), min_size=grid.dim, max_size=grid.dim))
    values = math.prod(1 + slope * grid.points[:, axis] for axis, slope in enumerate(slopes))
    exact = math.prod(
        (end - begin) + slope * (end**2 - begin**2) / 2 for slope, (begin, end) in zip(slopes, grid.bounds, strict=True)
    )
    scale = (values.abs() * grid.weights).sum().item()
    assert (values * grid.weights).sum().item() == pytest.approx(exact, rel=1e-10, abs=1e-12 * scale)


@settings(deadline=None)
@given(
    regular_grids(dims=[1], min_size=1, max_size=12, alignments=["node", "cell", "left"], periodic=True),
    st.data(),
)
def test_the_periodic_rule_is_exact_for_trigonometric_polynomials_below_n(
    grid: RegularGrid, data: st.DataObject
) -> None:
    (n,), (length,) = grid.shape, grid.lengths
    degree = data.draw(st.integers(1, n - 1)) if n > 1 else 0
    phase = 2 * math.pi * degree * (grid.points[:, 0] - grid.bounds[0][0]) / length
    values = torch.cos(phase) + 2 * torch.sin(phase) + 3
    exact = 3 * length if degree else 4 * length
    assert (values * grid.weights).sum().item() == pytest.approx(exact, rel=1e-12)


def test_the_periodic_rule_is_wrong_at_degree_n() -> None:
    grid = RegularGrid(shape=(6,), bounds=((0.0, 1.0),), periodic=True)
    assert (torch.cos(12 * math.pi * grid.points[:, 0]) * grid.weights).sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("alignment", "periodic", "points", "weights"),
    [
        ("node", False, [1.0, 2.0, 3.0, 4.0], [0.5, 1.0, 1.0, 0.5]),
        ("node", True, [1.0, 1.75, 2.5, 3.25], [0.75] * 4),
        ("cell", False, [1.375, 2.125, 2.875, 3.625], [0.75] * 4),
        ("cell", True, [1.375, 2.125, 2.875, 3.625], [0.75] * 4),
        ("left", False, [1.0, 1.75, 2.5, 3.25], [0.75] * 4),
    ],
)
def test_points_and_weights_of_each_alignment(
    alignment: str, periodic: bool, points: list[float], weights: list[float]
) -> None:
    grid = RegularGrid(shape=(4,), bounds=((1.0, 4.0),), periodic=periodic, alignment=alignment)
    assert grid.points[:, 0].tolist() == points
    assert grid.weights.tolist() == weights
    assert grid.h == pytest.approx(points[1] - points[0])
    assert grid.uniform == (len(set(weights)) == 1)


def test_points_run_in_ij_order_and_match_numpy() -> None:
    grid = RegularGrid(shape=(3, 4, 2), bounds=((0.0, 2.0), (1.0, 4.0), (-1.0, 0.0)))
    axes = (np.linspace(0, 2, 3), np.linspace(1, 4, 4), np.linspace(-1, 0, 2))
    expected = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    np.testing.assert_allclose(grid.points.numpy(), expected, rtol=1e-15)
    assert grid.h == 1.0
    assert grid.dim == 3
    assert grid.num_points == 24


def test_periodicity_may_differ_between_axes() -> None:
    grid = RegularGrid(shape=(2, 3), bounds=((0.0, 1.0), (0.0, 2.0)), periodic=(True, False))
    expected = [[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]]  # (1/2) times (1/2, 1, 1/2)
    assert grid.weights_nd().tolist() == expected
    assert not grid.uniform


@settings(deadline=None)
@given(regular_grids(alignments=["node", "left"]), st.integers(1, 4))
def test_restricting_the_refined_grid_gives_the_coarse_points_bit_for_bit(grid: RegularGrid, factor: int) -> None:
    fine = grid.refine(factor)
    assert fine.coarsen(factor) == grid
    coordinates = fine.points.T.reshape(grid.dim, *fine.shape)
    restricted = fine.restrict(coordinates, factor).flatten(1).T
    assert torch.equal(restricted, grid.points)


@settings(deadline=None)
@given(regular_grids(alignments=["cell"]), st.integers(1, 4))
def test_fine_cells_lie_in_coarse_cells(grid: RegularGrid, factor: int) -> None:
    fine = grid.refine(factor)
    assert fine.coarsen(factor) == grid
    for coarse_axis, fine_axis, n in zip(grid.axes, fine.axes, grid.shape, strict=True):
        torch.testing.assert_close(fine_axis.reshape(n, factor).mean(1), coarse_axis, rtol=1e-12, atol=1e-12)


@settings(deadline=None)
@given(regular_grids(max_size=40))
def test_all_points_lie_in_the_box_and_closed_axes_end_exactly_at_its_ends(grid: RegularGrid) -> None:
    assert grid.contains(grid.points).all()
    for axis, (begin, end), periodic in zip(grid.axes, grid.bounds, grid.periodic, strict=True):  # type: ignore[arg-type]
        assert (axis.diff() > 0).all()
        assert (axis[0] == begin) == (grid.alignment != "cell")
        assert (axis[-1] == end) == (grid.alignment == "node" and not periodic)


@pytest.mark.parametrize("bounds", [(-3.3, 1.1), (-1.1, 3.3), (-1.22, 2.0)])
def test_ends_are_met_where_begin_plus_length_is_rounded_to_another_number(bounds: tuple[float, float]) -> None:
    begin, end = bounds
    assert begin + (end - begin) != end
    for n in range(2, 60):
        grid = RegularGrid(shape=(n,), bounds=(bounds,))
        assert (grid.axes[0][0].item(), grid.axes[0][-1].item()) == bounds
        assert grid.contains(grid.points).all()


def test_points_outside_the_box_are_not_contained() -> None:
    grid = RegularGrid(shape=(4, 4), bounds=((0.0, 1.0), (2.0, 3.0)))
    points = torch.tensor([[0.5, 2.5], [0.0, 3.0], [1.1, 2.5], [0.5, 1.9]])
    assert grid.contains(points).tolist() == [True, True, False, False]
    with pytest.raises(ConfigError, match=r"\(n, 2\)"):
        grid.contains(torch.zeros(3))


def test_grids_are_equal_and_hash_by_content() -> None:
    grid = RegularGrid(shape=(4, 5), bounds=SQUARE, periodic=True)
    same = RegularGrid(shape=[4, 5], bounds=[[0, 1], [0, 1]], periodic=[True, True])  # type: ignore[arg-type]
    assert grid == same
    assert hash(grid) == hash(same)
    others = [
        RegularGrid((5, 4), SQUARE, periodic=True),
        RegularGrid((4, 5), ((0, 1), (0, 2)), periodic=True),
        RegularGrid((4, 5), SQUARE, periodic=(True, False)),
        RegularGrid((4, 5), SQUARE, periodic=True, alignment="cell"),
    ]
    assert all(a != b for a, b in itertools.combinations([grid, *others], 2))
    assert len({grid, same, *others}) == 5


def test_weights_are_computed_in_double_precision_and_then_cast() -> None:
    grid = RegularGrid(shape=(7, 11), bounds=SQUARE)
    weights = grid.weights_nd(torch.float32)
    assert weights.dtype == torch.float32
    assert torch.equal(weights, grid.weights_nd().float())


def test_a_regular_grid_is_a_discretization() -> None:
    assert isinstance(RegularGrid(shape=(4,), bounds=((0.0, 1.0),)), Discretization)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (4, 4), "bounds": ((0, 1),)}, "one pair per axis"),
        ({"shape": 4, "bounds": ((0, 1),)}, "one integer per axis"),
        ({"shape": (4.5,), "bounds": ((0, 1),)}, "one integer per axis"),
        ({"shape": (), "bounds": ()}, "at least one axis"),
        ({"shape": (4,), "bounds": (0.0, 1.0)}, "one pair per axis"),
        ({"shape": (4,), "bounds": ((1.0, 1.0),)}, "begin < end"),
        ({"shape": (4,), "bounds": ((0.0, math.inf),)}, "finite"),
        ({"shape": (4,), "bounds": ((0.0, math.nan),)}, "finite"),
        ({"shape": (1,), "bounds": ((0, 1),)}, "a closed axis needs at least 2"),
        ({"shape": (0,), "bounds": ((0, 1),), "periodic": True}, "an axis needs at least 1"),
        ({"shape": (4,), "bounds": ((0, 1),), "periodic": (True, False)}, "periodic has 2 values"),
        ({"shape": (4,), "bounds": ((0, 1),), "alignment": "centre"}, "'node', 'cell' or 'left'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RegularGrid(**arguments)


def test_coarsening_and_restriction_that_are_not_exact_are_refused() -> None:
    grid = RegularGrid(shape=(6,), bounds=((0.0, 1.0),))
    with pytest.raises(ConfigError, match="5 intervals, which do not divide by 2"):
        grid.coarsen(2)
    with pytest.raises(ConfigError, match="expected at least 1"):
        grid.refine(0)
    with pytest.raises(ConfigError, match="the grid"):
        grid.restrict(torch.zeros(7))
    with pytest.raises(ConfigError, match="resample instead"):
        RegularGrid(shape=(6,), bounds=((0.0, 1.0),), alignment="cell").restrict(torch.zeros(6))
