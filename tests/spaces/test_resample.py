"""Resampling: exact on the classes that each method names, equal to scipy, differentiable, and loud about misuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BarycentricInterpolator, CubicSpline, LinearNDInterpolator, RBFInterpolator
from scipy.interpolate import RegularGridInterpolator as ScipyGrid
from scipy.signal import resample as scipy_fourier
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree
from torch import Tensor

from sciml.errors import ConfigError, UnknownNameError
from sciml.spaces import Discretization, Function, Mesh, PointCloud, RegularGrid, TensorGrid
from sciml.spaces.resample import METHODS, interpolate, resample


def line(n: int, periodic: bool = False, alignment: str = "node", end: float = 1.0) -> RegularGrid:
    return RegularGrid((n,), ((0.0, end),), periodic, alignment)


def square(*shape: int, periodic: bool | tuple[bool, bool] = False, alignment: str = "node") -> RegularGrid:
    return RegularGrid(shape, ((-1.0, 1.0), (0.0, 3.0)), periodic, alignment)


def cloud(n: int, dim: int = 2, seed: int = 0) -> PointCloud:
    points = torch.from_numpy(np.random.default_rng(seed).uniform(size=(n, dim)))
    return PointCloud(points, "uniform", bounds=((0.0, 1.0),) * dim)


def inner(m: int, seed: int = 1) -> Tensor:
    """Points in the middle of the unit square."""
    return 0.25 + 0.5 * torch.from_numpy(np.random.default_rng(seed).uniform(size=(m, 2)))


def in_square(m: int) -> Tensor:
    points = torch.from_numpy(np.random.default_rng(2).uniform(size=(m, 2)))
    return points * torch.tensor([2.0, 3.0]) + torch.tensor([-1.0, 0.0])


def on(disc: Discretization, function: object) -> Function:
    values = function(disc.points)  # type: ignore[operator]
    return Function(values.reshape(1, *disc.shape), disc)


# Exactness on the class of each method, at points and from grid to grid.


@pytest.mark.parametrize("alignment", ["node", "cell", "left"])
def test_linear_is_exact_for_multilinear_functions_up_to_the_ends_of_the_box(alignment: str) -> None:
    def bilinear(p: Tensor) -> Tensor:
        return 2 + 3 * p[:, 0] - p[:, 1] + 5 * p[:, 0] * p[:, 1]

    f = on(square(4, 6, alignment=alignment), bilinear)
    torch.testing.assert_close(interpolate(f.values, f.disc, in_square(50)), bilinear(in_square(50))[None])
    fine = square(9, 5)
    torch.testing.assert_close(resample(f, fine).values, on(fine, bilinear).values)


@pytest.mark.parametrize("alignment", ["node", "cell"])
def test_cubic_is_exact_for_cubic_polynomials_up_to_the_ends_of_the_box(alignment: str) -> None:
    def cubic(p: Tensor) -> Tensor:
        return 1 + p[:, 0] ** 3 - 2 * p[:, 0] ** 2 * p[:, 1] ** 3 + p[:, 1]

    f = on(square(5, 7, alignment=alignment), cubic)
    torch.testing.assert_close(interpolate(f.values, f.disc, in_square(50), "cubic"), cubic(in_square(50))[None])
    fine = square(9, 4)
    torch.testing.assert_close(resample(f, fine, "cubic").values, on(fine, cubic).values)


@given(n=st.integers(1, 9), m=st.integers(1, 20), data=st.data())
def test_fourier_is_exact_below_nyquist_at_points_and_on_finer_grids_of_any_alignment(
    n: int, m: int, data: st.DataObject
) -> None:
    degree = (n - 1) // 2
    amplitudes = torch.tensor(data.draw(st.lists(st.floats(-1, 1), min_size=2 * degree + 1, max_size=2 * degree + 1)))

    def wave(p: Tensor) -> Tensor:
        k = torch.arange(degree + 1, dtype=torch.float64)
        phase = 2 * math.pi * p * k / 3
        basis = torch.cat([phase.cos(), phase.sin()[:, 1:]], 1)
        return basis @ amplitudes.double()

    alignments = st.sampled_from(["node", "cell", "left"])
    f = on(line(n, True, data.draw(alignments), end=3.0), wave)
    new = line(max(m, n), True, data.draw(alignments), end=3.0)
    torch.testing.assert_close(resample(f, new, "fourier").values, on(new, wave).values)
    points = torch.linspace(-4, 7, 13, dtype=torch.float64)[:, None]
    torch.testing.assert_close(interpolate(f.values, f.disc, points, "fourier"), wave(points)[None])


@pytest.mark.parametrize("rule", ["chebyshev", "clenshaw_curtis", "gauss_legendre"])
def test_barycentric_is_exact_for_polynomials_of_full_degree(rule: str) -> None:
    grid = getattr(TensorGrid, rule)((6, 4), ((-1.0, 1.0), (0.0, 3.0)))

    def polynomial(p: Tensor) -> Tensor:
        return 1 - p[:, 0] ** 5 * p[:, 1] ** 3 + 2 * p[:, 0] ** 2

    f = on(grid, polynomial)
    torch.testing.assert_close(
        interpolate(f.values, grid, in_square(50), "barycentric"), polynomial(in_square(50))[None]
    )
    fine = square(8, 7)
    torch.testing.assert_close(resample(f, fine, "barycentric").values, on(fine, polynomial).values)


def test_barycentric_converges_to_rounding_for_an_analytic_function_at_200_points() -> None:
    grid = TensorGrid.chebyshev(200)
    x = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    values = interpolate(1 / (1 + 25 * grid.axes[0] ** 2), grid, x, "barycentric")
    torch.testing.assert_close(values, 1 / (1 + 25 * x**2), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("method", ["p1", "linear", "rbf"])
def test_p1_and_radial_functions_are_exact_for_linear_functions(dim: int, method: str) -> None:
    points = cloud(60, dim)
    middle = 0.3 + 0.4 * torch.from_numpy(np.random.default_rng(1).uniform(size=(40, dim)))
    slope = torch.arange(1.0, dim + 1, dtype=torch.float64)
    f = on(points, lambda p: 2 + p @ slope)
    torch.testing.assert_close(interpolate(f.values, points, middle, method), (2 + middle @ slope)[None])
    mesh = Mesh.delaunay(points.points)
    torch.testing.assert_close(interpolate(f.values, mesh, middle, method), (2 + middle @ slope)[None])


@pytest.mark.parametrize("method", METHODS)
def test_constants_stay_constant(method: str) -> None:
    source: Discretization = cloud(40) if method in ("p1", "idw", "rbf") else RegularGrid((6, 8), ((0, 1),) * 2, True)
    target: Discretization = RegularGrid((4, 5), ((0.3, 0.7),) * 2)
    if method == "barycentric":
        source = TensorGrid.chebyshev(6, ((0, 1),) * 2)
    if method == "conservative":
        target = RegularGrid((9, 5), ((0, 1),) * 2, alignment="cell")
    f = Function(torch.full((2, *source.shape), 3.0, dtype=torch.float64), source)
    new = resample(f, target, method)
    torch.testing.assert_close(new.values, torch.full((2, *target.shape), 3.0, dtype=torch.float64))


@pytest.mark.parametrize("method", ["linear", "cubic", "nearest", "idw", "rbf"])
def test_the_values_at_the_old_points_are_kept(method: str) -> None:
    for disc in (square(5, 6), square(5, 6, periodic=True), square(6, 5, alignment="cell")):
        values = torch.randn(3, *disc.shape, dtype=torch.float64)
        at_nodes = interpolate(values, disc, disc.points, method)
        torch.testing.assert_close(at_nodes, values.flatten(1), rtol=0, atol=1e-12)


# Independent answers.


def test_cubic_equals_the_splines_of_scipy_on_uneven_axes_and_beyond_the_ends() -> None:
    axis = np.sort(np.random.default_rng(0).uniform(size=9))
    values, x = np.random.default_rng(1).normal(size=(4, 9)), np.linspace(-0.2, 1.2, 40)
    grid = TensorGrid([axis], "trapezoid", ((0.0, 1.0),))
    ours = interpolate(torch.from_numpy(values), grid, torch.from_numpy(x), "cubic", outside="extrapolate")
    np.testing.assert_allclose(ours, CubicSpline(axis, values.T)(x).T, rtol=1e-9, atol=1e-9)


def test_cubic_equals_the_periodic_splines_of_scipy() -> None:
    grid = line(7, periodic=True, alignment="cell", end=3.0)
    values, x = np.random.default_rng(1).normal(size=(4, 7)), np.linspace(-1, 5, 40)
    nodes = np.append(grid.axes[0], grid.axes[0][0] + 3)
    spline = CubicSpline(nodes, np.concatenate([values, values[:, :1]], 1).T, bc_type="periodic")
    ours = interpolate(torch.from_numpy(values), grid, torch.from_numpy(x), "cubic")
    np.testing.assert_allclose(ours, spline(x).T, rtol=1e-10, atol=1e-10)


def test_methods_of_axes_equal_scipy_in_three_dimensions() -> None:
    axes = [np.sort(np.random.default_rng(k).uniform(size=5 + k)) for k in range(3)]
    values = np.random.default_rng(4).normal(size=(5, 6, 7))
    points = np.stack([np.random.default_rng(5 + k).uniform(a[0], a[-1], 30) for k, a in enumerate(axes)], 1)
    grid = TensorGrid(axes, "trapezoid")
    for method in ("linear", "cubic", "nearest"):
        # The default solver of scipy's splines stops at 1e-6.
        exact = {"solver": spsolve} if method == "cubic" else {}
        expected = ScipyGrid(axes, values, method=method, **exact)(points)
        ours = interpolate(torch.from_numpy(values), grid, torch.from_numpy(points), method)
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9, err_msg=method)


@pytest.mark.parametrize(("n", "m"), [(8, 16), (8, 6), (9, 6), (6, 9), (9, 7), (8, 7), (7, 8), (8, 4), (6, 6)])
def test_fourier_between_grids_equals_scipy(n: int, m: int) -> None:
    values = np.random.default_rng(0).normal(size=(3, n))
    f = Function(torch.from_numpy(values), line(n, True))
    np.testing.assert_allclose(
        resample(f, line(m, True), "fourier").values, scipy_fourier(values, m, axis=1), atol=1e-12
    )


@pytest.mark.parametrize("n", [5, 6])
def test_fourier_by_fft_equals_the_sum_over_points_on_shifted_grids(n: int) -> None:
    f = Function(torch.randn(2, n, dtype=torch.float64), line(n, True))
    new = line(11, True, "cell")
    slow = interpolate(f.values, f.disc, new.points, "fourier")
    torch.testing.assert_close(resample(f, new, "fourier").values, slow)


def test_barycentric_equals_scipy() -> None:
    grid = TensorGrid.gauss_legendre(7)
    values, x = np.random.default_rng(0).normal(size=7), np.linspace(-1, 1, 21)
    ours = interpolate(torch.from_numpy(values), grid, torch.from_numpy(x), "barycentric")
    np.testing.assert_allclose(ours, BarycentricInterpolator(grid.axes[0].numpy(), values)(x), rtol=1e-10)


def test_p1_equals_scipy_on_a_delaunay_mesh() -> None:
    points, new = cloud(50), inner(100)
    values = torch.randn(50, dtype=torch.float64)
    expected = LinearNDInterpolator(points.points.numpy(), values.numpy())(new.numpy())
    np.testing.assert_allclose(interpolate(values, points, new, "p1"), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_radial_functions_equal_scipy(dim: int) -> None:
    points, new = cloud(80, dim), cloud(30, dim, seed=3).points
    values = torch.randn(80, dtype=torch.float64)
    expected = RBFInterpolator(points.points.numpy(), values.numpy(), neighbors=16, kernel="cubic", degree=1)(new)
    np.testing.assert_allclose(interpolate(values, points, new, "rbf"), expected, rtol=1e-7, atol=1e-9)


def test_inverse_distances_equal_a_slow_twin_across_the_period() -> None:
    grid, new = square(5, 6, periodic=True), in_square(20)
    values = torch.randn(grid.num_points, dtype=torch.float64)
    expected = []
    for x in new:
        way = (x - grid.points).abs()
        way = torch.minimum(way, torch.tensor(grid.lengths) - way)
        near = way.norm(dim=1).topk(3, largest=False)
        weight = near.values**-2
        expected.append((weight * values[near.indices]).sum() / weight.sum())
    ours = interpolate(values.reshape(grid.shape), grid, new, "idw", neighbours=3)
    torch.testing.assert_close(ours, torch.stack(expected))


def test_the_nearest_of_scattered_points_is_that_of_scipy() -> None:
    points, new = cloud(30), inner(40)
    values = torch.arange(30.0, dtype=torch.float64)
    expected = cKDTree(points.points.numpy()).query(new.numpy())[1]
    assert interpolate(values, points, new, "nearest").tolist() == expected.tolist()


def test_values_in_cells_are_those_of_the_cell_around_the_point() -> None:
    mesh = Mesh.delaunay(cloud(30).points, centers=True)
    values, new = torch.arange(mesh.num_points), inner(40)
    assert interpolate(values, mesh, new, "nearest").tolist() == mesh.locate(new)[0].tolist()


# Identities between grids.


@given(n=st.integers(2, 16), seed=st.integers(0, 10))
def test_fourier_to_twice_the_points_and_back_is_the_identity(n: int, seed: int) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, n)))
    f = Function(values, line(n, True))
    back = resample(resample(f, line(2 * n, True), "fourier"), line(n, True), "fourier")
    torch.testing.assert_close(back.values, values)


@pytest.mark.parametrize("method", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("periodic", [False, True])
def test_restriction_to_a_nested_grid_returns_what_was_refined(method: str, periodic: bool) -> None:
    grid = square(5, 7, periodic=periodic)
    f = Function(torch.randn(2, 5, 7, dtype=torch.float64), grid)
    fine = resample(f, grid.refine(3), method)
    torch.testing.assert_close(grid.refine(3).restrict(fine.values, 3), f.values)


@given(
    n=st.integers(2, 12),
    m=st.integers(2, 12),
    old=st.sampled_from(["node", "cell", "wrap", "wrapcell", "chebyshev"]),
    new=st.sampled_from(["node", "cell", "wrap", "wrapcell", "chebyshev"]),
)
def test_conservative_resampling_keeps_the_integral(n: int, m: int, old: str, new: str) -> None:
    def grid(kind: str, size: int) -> RegularGrid | TensorGrid:
        if kind == "chebyshev":
            return TensorGrid.chebyshev(size, ((0.0, 1.0),))
        return line(size, "wrap" in kind, "cell" if "cell" in kind else "node")

    values = torch.from_numpy(np.random.default_rng(n).normal(size=(2, 3, n)))
    f = Function(values, grid(old, n))
    torch.testing.assert_close(resample(f, grid(new, m), "conservative").integral(), f.integral())


def test_conservative_coarsening_of_cells_takes_means() -> None:
    values = torch.randn(1, 6, 8, dtype=torch.float64)
    coarse = resample(Function(values, square(6, 8, alignment="cell")), square(3, 2, alignment="cell"), "conservative")
    torch.testing.assert_close(coarse.values, values.reshape(1, 3, 2, 2, 4).mean((2, 4)))


def test_axes_are_not_confused_and_may_have_methods_of_their_own() -> None:
    grid = square(16, 5, periodic=(True, False))

    def f(p: Tensor) -> Tensor:
        return torch.sin(3 * math.pi * p[:, 0]) * (1 + p[:, 1] ** 3)

    fine = square(24, 9, periodic=(True, False))
    new = resample(on(grid, f), fine, ("fourier", "cubic"))
    torch.testing.assert_close(new.values, on(fine, f).values)
    at_points = interpolate(on(grid, f).values, grid, in_square(20), ("fourier", "cubic"))
    torch.testing.assert_close(at_points, f(in_square(20))[None])


@pytest.mark.parametrize("method", ["linear", "cubic", "fourier", "nearest"])
def test_grid_to_grid_equals_grid_to_points(method: str) -> None:
    grid, fine = square(6, 8, periodic=True), square(7, 12, periodic=True)
    f = Function(torch.randn(2, 3, 6, 8, dtype=torch.float64), grid)
    at_points = interpolate(f.values, grid, fine.points, method).reshape(2, 3, *fine.shape)
    torch.testing.assert_close(resample(f, fine, method).values, at_points)


@pytest.mark.parametrize(("method", "order"), [("linear", 2), ("cubic", 4), ("p1", 2)])
def test_smooth_functions_converge_with_the_order_of_the_method(method: str, order: int) -> None:
    def f(p: Tensor) -> Tensor:
        return torch.exp(torch.sin(3 * p[:, 0]) + p[:, 1])

    def error(n: int) -> float:
        grid = RegularGrid((n, n), ((0.0, 1.0),) * 2)
        source: Discretization = Mesh.delaunay(grid.points) if method == "p1" else grid
        return float((interpolate(on(source, f).values, source, inner(500), method) - f(inner(500))).abs().max())

    assert abs(math.log2(error(33) / error(65)) - order) < 0.2


# Gradients, types, batches.

_SOURCES = {
    "linear": square(4, 5),
    "cubic": square(4, 5, periodic=(True, False)),
    "fourier": square(4, 5, periodic=True),
    "barycentric": TensorGrid.chebyshev((4, 5), ((-1.0, 1.0), (0.0, 3.0))),
    "p1": Mesh.delaunay(square(4, 5).points),
    "idw": square(4, 5, periodic=True),
    "rbf": square(4, 5),
}


@pytest.mark.parametrize("method", _SOURCES)
def test_interpolation_passes_gradcheck_in_values_and_points(method: str) -> None:
    disc = _SOURCES[method]
    values = torch.randn(2, *disc.shape, dtype=torch.float64, requires_grad=True)
    points = in_square(4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, p: interpolate(v, disc, p, method, neighbours=6), (values, points))


def test_the_polynomial_through_a_node_has_the_right_slope_there() -> None:
    grid = TensorGrid.clenshaw_curtis(5)
    x = grid.points.clone().requires_grad_()
    interpolate(grid.axes[0] ** 4, grid, x, "barycentric").sum().backward()
    torch.testing.assert_close(x.grad, 4 * grid.points**3)


@pytest.mark.parametrize("method", ["linear", "cubic", "fourier", "nearest", "conservative"])
def test_resampling_between_grids_passes_gradcheck(method: str) -> None:
    values = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    old, new = square(4, 6, periodic=True), square(6, 5, periodic=True)
    assert torch.autograd.gradcheck(lambda v: resample(Function(v, old), new, method).values, values)


@pytest.mark.parametrize("method", _SOURCES)
def test_single_precision_is_kept_and_agrees_with_double(method: str) -> None:
    disc = _SOURCES[method]
    values = torch.randn(2, 3, *disc.shape)
    ours = interpolate(values, disc, in_square(9).float(), method)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(
        ours, interpolate(values.double(), disc, in_square(9), method).float(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("method", ["cubic", "fourier", "conservative", "rbf"])
def test_complex_values_are_resampled_by_parts(method: str) -> None:
    f = Function(torch.randn(2, 4, 5, dtype=torch.complex128), square(4, 5, periodic=True))
    new = square(3, 4, periodic=True)
    values = resample(f, new, method).values
    parts = [resample(Function(part, f.disc), new, method).values for part in (f.values.real, f.values.imag)]
    torch.testing.assert_close(values, torch.complex(*parts))


def test_integers_and_booleans_go_to_the_nearest_point() -> None:
    f = Function(torch.tensor([[True, False, True]]), line(3))
    assert resample(f, line(5), "nearest").values.dtype == torch.bool
    assert interpolate(f.values.int(), f.disc, torch.tensor([0.1, 0.6, 0.9]), "nearest").tolist() == [[1, 0, 1]]


def test_name_units_times_and_leading_axes_are_kept() -> None:
    f = Function(torch.randn(2, 3, 1, 5), line(5), "speed", "m/s", torch.arange(3.0))
    new = resample(f, PointCloud(torch.rand(7), "uniform", ((0.0, 1.0),)), "cubic")
    assert (new.values.shape, new.name, new.units) == ((2, 3, 1, 7), "speed", "m/s")
    assert new.time is f.time
    assert resample(f, line(5)) is f


def test_all_functions_of_a_batch_are_resampled_as_each_alone() -> None:
    f = Function(torch.randn(3, 2, 6, 4, dtype=torch.float64), square(6, 4))
    batch = resample(f, square(5, 9), "cubic").values
    torch.testing.assert_close(batch[1], resample(f[1], square(5, 9), "cubic").values)


@pytest.mark.parametrize("method", _SOURCES)
def test_no_points_give_no_values(method: str) -> None:
    disc = _SOURCES[method]
    assert interpolate(torch.zeros(2, *disc.shape), disc, torch.zeros(0, 2), method).shape == (2, 0)


def test_points_a_rounding_error_below_a_period_belong_to_its_end() -> None:
    grid = line(4, periodic=True)
    values = torch.arange(4.0, dtype=torch.float64)
    for method in ("linear", "cubic", "fourier", "nearest", "idw", "rbf"):
        at = torch.tensor([-1e-18, 0.0, 1.0, 1 - 1e-17], dtype=torch.float64)
        result = interpolate(values, grid, at, method, neighbours=3)
        torch.testing.assert_close(result, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)


# Beyond the domain.


def test_points_outside_are_refused_marked_or_extrapolated() -> None:
    grid, points = line(3), torch.tensor([-0.5, 0.5, 2.0])
    values = 2 * grid.axes[0]
    with pytest.raises(ConfigError, match=r"2 points lie outside .* the first at \[-0.5\].*outside='extrapolate'"):
        interpolate(values, grid, points)
    assert interpolate(values, grid, points, outside="nan").isnan().tolist() == [True, False, True]
    assert interpolate(values, grid, points, outside="extrapolate").tolist() == [-1.0, 1.0, 4.0]


def test_a_larger_grid_is_refused_marked_or_extrapolated() -> None:
    f = on(square(4, 4), lambda p: p.sum(1))
    larger = RegularGrid((3, 3), ((-1.0, 1.0), (0.0, 4.0)))
    with pytest.raises(ConfigError, match="1 coordinates of axis 1 lie outside"):
        resample(f, larger)
    torch.testing.assert_close(resample(f, larger, outside="extrapolate").values, on(larger, lambda p: p.sum(1)).values)
    expected = torch.zeros(1, 3, 3, dtype=torch.bool)
    expected[..., 2] = True
    assert torch.equal(resample(f, larger, outside="nan").values.isnan(), expected)


def test_a_mesh_extrapolates_from_the_cell_that_is_nearest() -> None:
    mesh = Mesh.delaunay(cloud(40).points)
    f, new = on(mesh, lambda p: p @ torch.tensor([1.0, 2.0]).double()), torch.tensor([[1.1, 0.5], [0.5, 0.5]]).double()
    with pytest.raises(ConfigError, match="1 points lie outside"):
        interpolate(f.values, mesh, new)
    torch.testing.assert_close(
        interpolate(f.values, mesh, new, outside="extrapolate"), torch.tensor([[2.1, 1.5]]).double()
    )
    assert interpolate(f.values, mesh, new, outside="nan").isnan().tolist() == [[True, False]]


def test_points_may_be_whole_numbers() -> None:
    assert interpolate(torch.tensor([1.0, 2.0, 4.0]), line(3, end=2.0), torch.tensor([1, 2])).tolist() == [2.0, 4.0]


def test_the_ends_in_single_precision_count_as_inside() -> None:
    grid = RegularGrid((5,), ((0.0, 0.1),))
    values = grid.axes[0].float()
    assert interpolate(values, grid, torch.tensor([0.1])).item() == pytest.approx(0.1)


# Bad input.


def test_misuse_is_refused_with_a_way_out() -> None:
    f = on(line(6), lambda p: p[:, 0])
    scattered = on(cloud(9), lambda p: p[:, 0])
    centres = on(Mesh.delaunay(cloud(9).points, centers=True), lambda p: p[:, 0])
    for function, disc, method, message in [
        (f, line(9), "fourier", "needs periodic axes.*take 'cubic'"),
        (f, line(9), "barycentric", "take 'cubic', or sample on TensorGrid.chebyshev"),
        (f, line(9), ("cubic", "linear"), "method has 2 names, the grid 1 axes"),
        (f, line(9), "p1", "on a grid take 'linear'"),
        (f, line(9, end=2.0), "conservative", "on the same box only"),
        (f, square(3, 3), "linear", "dimension 2, that of 'u' 1"),
        (f, cloud(4, dim=1), "conservative", "resample to a grid, not to points"),
        (on(line(3), lambda p: p[:, 0]), line(9), "cubic", "3 points, the method 'cubic' needs at least 4"),
        (scattered, square(3, 3), "cubic", "needs a grid.*take 'linear', 'rbf'"),
        (scattered, square(3, 3), ("linear", "linear"), "one per axis needs a grid"),
        (centres, square(3, 3), "linear", "vertices of a mesh.*'nearest', 'idw' or 'rbf'"),
        (Function(f.values > 0.5, f.disc), line(9), "linear", "take the method 'nearest'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            resample(function, disc, method)
    half = TensorGrid([torch.linspace(0, 1, 4)], [torch.full((4,), 0.1)], ((0.0, 1.0),))
    with pytest.raises(ConfigError, match="weights of axis 0 do not sum to its length, so they are not of cells"):
        resample(on(half, lambda p: p[:, 0]), line(9), "conservative")
    with pytest.raises(UnknownNameError, match=r"unknown resampling method 'cubik'. Did you mean 'cubic'"):
        resample(f, line(9), "cubik")
    with pytest.raises(ConfigError, match=r"points have shape \(4, 2\), expected \(n, 1\)"):
        interpolate(f.values, f.disc, torch.zeros(4, 2))
    with pytest.raises(ConfigError, match=r"expected \(6,\) as the last axes"):
        interpolate(torch.zeros(5), f.disc, torch.zeros(4))
    with pytest.raises(ConfigError, match="outside is 'clip', expected 'raise'"):
        resample(f, line(9), outside="clip")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="neighbours is 0"):
        interpolate(f.values, f.disc, torch.zeros(4), "idw", neighbours=0)


def test_radial_functions_through_points_on_a_line_are_refused() -> None:
    x = torch.linspace(0, 1, 9, dtype=torch.float64)
    on_line = PointCloud(torch.stack([x, x], 1), "uniform", bounds=((0.0, 1.0),) * 2)
    with pytest.raises(ConfigError, match=r"lie on a line or plane.*'idw'"):
        interpolate(x, on_line, torch.tensor([[0.4, 0.6]]).double(), "rbf")
    with pytest.raises(ConfigError, match="they need 3"):
        interpolate(x, on_line, torch.tensor([[0.4, 0.6]]).double(), "rbf", neighbours=2)
