"""Norms: closed forms, Parseval, homogeneity, and gradients that are finite everywhere."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces import Function, Mesh, PointCloud, RegularGrid, TensorGrid, h1_norm, l1_norm, l2_norm, linf_norm
from sciml.testing.strategies import grid_functions, regular_grids

NORMS = [l1_norm, l2_norm, linf_norm, h1_norm]
SQUARE = RegularGrid(shape=(6, 5), bounds=((0.0, 1.0), (0.0, 2.0)))
Norm = Callable[[Tensor, RegularGrid], Tensor]


@pytest.mark.parametrize("n", [3, 4, 7, 64])
@pytest.mark.parametrize("alignment", ["node", "cell"])
def test_the_l2_norm_of_a_sine_is_the_root_of_a_half_from_three_points_on(n: int, alignment: str) -> None:
    grid = RegularGrid(shape=(n,), bounds=((0.0, 1.0),), periodic=True, alignment=alignment)
    u = torch.sin(2 * math.pi * grid.points.T)
    assert l2_norm(u, grid).item() == pytest.approx(1 / math.sqrt(2), rel=1e-12)


@settings(deadline=None)
@given(st.integers(7, 20), st.integers(1, 3), st.integers(1, 3), st.floats(0.5, 4))
def test_the_h1_norm_of_a_band_limited_function_is_exact(n: int, k: int, m: int, length: float) -> None:
    grid = RegularGrid(shape=(n, n + 1), bounds=((0.0, length), (0.0, 1.0)), periodic=True)
    x, y = grid.points.T.reshape(2, 1, n, n + 1)
    a, b = 2 * math.pi * k / length, 2 * math.pi * m
    u = torch.sin(a * x) * torch.cos(b * y)
    # Each product of squares has mean 1/4.
    exact = math.sqrt((1 + a**2 + b**2) * length / 4)
    assert h1_norm(u[None], grid).item() == pytest.approx(exact, rel=1e-10)


@settings(deadline=None)
@given(regular_grids(dims=[1, 2], periodic=True))
def test_parseval_holds_on_periodic_grids(grid: RegularGrid) -> None:
    u = torch.randn(2, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    axes = tuple(range(1, grid.dim + 1))
    modes = torch.fft.fftn(u, dim=axes, norm="forward").abs().square().sum(axes)
    torch.testing.assert_close(l2_norm(u, grid).square(), grid.volume * modes, rtol=1e-10, atol=0)


def test_the_norms_of_a_polynomial_converge_to_the_integrals_with_order_two() -> None:
    def errors(n: int) -> list[float]:
        grid = RegularGrid(shape=(n,), bounds=((0.0, 1.0),))
        u = grid.points.T**3 - 0.5
        # int |x^3 - 1/2| = (3/4) 2^(-1/3) - 1/4;  int (x^3 - 1/2)^2 = 1/7;  int (3 x^2)^2 = 9/5
        exact = (0.75 * 2 ** (-1 / 3) - 0.25, math.sqrt(1 / 7), math.sqrt(1 / 7 + 9 / 5))
        return [abs(norm(u, grid).item() - e) for norm, e in zip((l1_norm, l2_norm, h1_norm), exact, strict=True)]

    coarse, fine = errors(33), errors(129)
    assert math.log(coarse[1] / fine[1], 4) == pytest.approx(2, abs=0.2)
    assert math.log(coarse[2] / fine[2], 4) == pytest.approx(2, abs=0.2)
    # The kink of |x^3 - 1/2| moves between the points, so the order of the L1 norm is only bounded below.
    assert fine[0] < coarse[0] / 4


def test_norms_equal_sums_written_out_in_numpy() -> None:
    u = torch.randn(3, 2, *SQUARE.shape, dtype=torch.float64)
    weights = np.outer([0.1, 0.2, 0.2, 0.2, 0.2, 0.1], [0.25, 0.5, 0.5, 0.5, 0.25])
    values = u.numpy()
    np.testing.assert_allclose(l1_norm(u, SQUARE), (np.abs(values) * weights).sum((1, 2, 3)), rtol=1e-10)
    np.testing.assert_allclose(l2_norm(u, SQUARE), np.sqrt((values**2 * weights).sum((1, 2, 3))), rtol=1e-10)
    np.testing.assert_allclose(linf_norm(u, SQUARE), np.abs(values).max((1, 2, 3)), rtol=0)
    slopes = np.gradient(values, *SQUARE.spacing, axis=(-2, -1), edge_order=2)
    h1 = np.sqrt(((values**2 + slopes[0] ** 2 + slopes[1] ** 2) * weights).sum((1, 2, 3)))
    np.testing.assert_allclose(h1_norm(u, SQUARE), h1, rtol=1e-10)


@pytest.mark.parametrize("norm", NORMS)
@settings(deadline=None)
@given(u=grid_functions(grids=regular_grids(min_size=3), batch=2), factor=st.sampled_from([-3.0, 0.5]))
def test_norms_are_homogeneous_and_subadditive(norm: Norm, u: Function, factor: float) -> None:
    size = norm(u.values, u.disc)
    assert (size >= 0).all()
    torch.testing.assert_close(norm(factor * u.values, u.disc), abs(factor) * size, rtol=1e-10, atol=0)
    other = u.values.flip(-1) + 1
    assert (norm(u.values + other, u.disc) <= (size + norm(other, u.disc)) * (1 + 1e-12)).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("periodic", [True, False])
def test_norms_pass_gradcheck(norm: Norm, periodic: bool) -> None:
    grid = RegularGrid(shape=(4, 5), bounds=SQUARE.bounds, periodic=periodic)
    u = torch.randn(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: norm(v, grid), (u,))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("periodic", [True, False])
def test_the_gradient_at_the_zero_function_is_zero(norm: Norm, periodic: bool) -> None:
    grid = RegularGrid(shape=(4, 5), bounds=SQUARE.bounds, periodic=periodic)
    u = torch.zeros(2, 1, 4, 5, requires_grad=True)
    (slope,) = torch.autograd.grad(norm(u, grid).sum(), u)
    assert slope.eq(0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_single_precision_is_kept_and_channels_are_optional(norm: Norm) -> None:
    u = torch.randn(3, *SQUARE.shape, dtype=torch.float64)
    single = norm(u.float(), SQUARE)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), norm(u, SQUARE), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm(u[:, None], SQUARE), norm(u, SQUARE))


@pytest.mark.parametrize("norm", NORMS)
def test_values_of_another_shape_are_refused(norm: Norm) -> None:
    with pytest.raises(ConfigError, match=r"\(batch, channels, 6, 5\)"):
        norm(torch.zeros(2, 1, 5, 6), SQUARE)
    with pytest.raises(ConfigError, match="batch"):
        norm(torch.zeros(6, 5), SQUARE)


def test_the_l2_norm_of_a_sine_converges_with_order_two_on_random_graded_meshes() -> None:
    def error(n: int, seed: int) -> float:
        x = torch.rand(n - 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 2  # dense at 0
        mesh = Mesh.delaunay(torch.cat([torch.tensor([0.0, 1.0]).double(), x]))
        return abs(l2_norm(torch.sin(2 * math.pi * mesh.points.T), mesh).item() - math.sqrt(0.5))

    # A random mesh has no single order: the mean over draws falls with h^2, that is (log n / n)^2 in one dimension.
    coarse, fine = (np.mean([error(n, seed) for seed in range(40)]) for n in (40, 640))
    assert math.log(coarse / fine, 16) > 1.7


def test_norms_on_a_refined_mesh_converge_to_the_integrals() -> None:
    mesh = Mesh.delaunay(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.4, 0.3]]).double())

    def errors(mesh: Mesh) -> list[float]:
        x, y = mesh.points.T
        u = (torch.sin(math.pi * x) * torch.sin(math.pi * y))[None]
        # Mean of a sine: 2/pi; of its square: 1/2; the slopes: pi^2/4 each.
        exact = {l1_norm: 4 / math.pi**2, l2_norm: 0.5, h1_norm: math.sqrt(0.25 + math.pi**2 / 2)}
        return [abs(norm(u, mesh).item() - value) for norm, value in exact.items()]

    for coarse, fine in zip(errors(mesh.refine(16)), errors(mesh.refine(32)), strict=True):
        assert math.log2(coarse / fine) == pytest.approx(2, abs=0.2)


def test_the_h1_norm_of_a_linear_function_on_a_mesh_has_exact_slopes() -> None:
    mesh = Mesh.delaunay(torch.rand(20, 2, dtype=torch.float64))
    u = 3 * mesh.points[:, 0] - 4 * mesh.points[:, 1]
    exact = l2_norm(u[None], mesh) ** 2 + 25 * mesh.volume
    torch.testing.assert_close(h1_norm(u[None], mesh) ** 2, exact, rtol=1e-9, atol=0)


def test_norms_of_a_polynomial_are_exact_on_gauss_points() -> None:
    grid = TensorGrid.gauss_legendre(4, ((0.0, 2.0),))
    u = grid.points.T**3
    assert l2_norm(u, grid).item() == pytest.approx(math.sqrt(2**7 / 7), rel=1e-12)
    assert h1_norm(u, grid).item() == pytest.approx(math.sqrt(2**7 / 7 + 9 * 2**5 / 5), rel=1e-12)


DISCS = {
    "tensor": TensorGrid.gauss_legendre((3, 4), SQUARE.bounds),
    "mesh": Mesh.delaunay(SQUARE.points),
    "cells": Mesh.delaunay(SQUARE.points, centers=True),
    "cloud": PointCloud(SQUARE.points, "knn", bounds=SQUARE.bounds),
}


@pytest.mark.parametrize("kind", DISCS)
@pytest.mark.parametrize("norm", NORMS)
def test_norms_on_every_discretisation(norm: Norm, kind: str) -> None:
    disc = DISCS[kind]
    if norm is h1_norm and kind in ("cells", "cloud"):
        with pytest.raises(ConfigError, match="no derivative"):
            norm(torch.zeros(2, *disc.shape), disc)  # type: ignore[arg-type]
        return
    u = torch.randn(3, 2, *disc.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: norm(v, disc), (u,))
    single = norm(u.detach().float(), disc)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), norm(u.detach(), disc), rtol=1e-4, atol=1e-5)
    zero = torch.zeros_like(u, requires_grad=True)
    assert torch.autograd.grad(norm(zero, disc).sum(), zero)[0].eq(0).all()
    flat = u.detach().reshape(3, 2, -1).numpy()
    weights = disc.weights.numpy()
    if norm is l2_norm:
        np.testing.assert_allclose(norm(u.detach(), disc), np.sqrt((flat**2 * weights).sum((1, 2))), rtol=1e-12)
    if norm is l1_norm:
        np.testing.assert_allclose(norm(u.detach(), disc), (abs(flat) * weights).sum((1, 2)), rtol=1e-12)


def test_complex_values_have_norms() -> None:
    u = torch.randn(2, 1, *SQUARE.shape, dtype=torch.complex128)
    for norm in (l1_norm, l2_norm, linf_norm):
        assert norm(u, SQUARE).dtype == torch.float64
        torch.testing.assert_close(norm(u, SQUARE), norm(u.abs(), SQUARE), rtol=1e-12, atol=0)
