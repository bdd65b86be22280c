"""Samples have the distribution that they claim: covariances, spectra, boundary conditions, bounds."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import idctn
from scipy.interpolate import CubicSpline
from torch import Tensor

from sciml.spaces import RegularGrid
from sciml.spaces.random import (
    Chebyshev,
    GaussianProcess,
    PDEBenchInitial,
    PiecewiseConstant,
    PowerSeries,
    SpectralGRF,
    StarShape,
    wasserstein_distance,
)
from sciml.spaces.random.base import generators
from sciml.spaces.random.gaussian_process import _factor

NUM = 20_000


def pairs(dim: int) -> tuple[Tensor, Tensor]:
    both = torch.rand(2, 10, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return both[0], both[1]


def within_five_sigma(samples_x: Tensor, samples_y: Tensor, covariance: Tensor, var_x: Tensor, var_y: Tensor) -> None:
    """Isserlis: the variance of the product of two centred Gaussians is var_x var_y + cov^2."""
    error = (samples_x * samples_y).mean(0) - covariance
    sigma = ((var_x * var_y + covariance**2) / len(samples_x)).sqrt()
    assert bool((error.abs() < 5 * sigma).all()), (error / sigma).tolist()


@pytest.mark.parametrize(
    "process",
    [
        GaussianProcess(),
        GaussianProcess("matern12", 0.4, nodes=400),
        GaussianProcess("matern32", 0.2, nodes=200),
        GaussianProcess("matern52", 0.2, nodes=200),
        GaussianProcess("periodic", 0.7, nodes=200),
        GaussianProcess(length_scale=0.4, bounds=((0, 1), (0, 2)), nodes=24),
    ],
    ids=lambda process: f"{process.kernel}-{process.dim}d",
)
def test_draws_of_a_process_have_its_kernel(process: GaussianProcess) -> None:
    x, y = pairs(process.dim)
    if process.kernel == "matern12":
        # Rough paths are exact at the nodes only; between them a spline cannot follow.
        x, y = (torch.round(part * 399) / 399 for part in (x, y))
    draw = process.sample(NUM, seed=0)
    kernel = process.covariance(x, y).diagonal()
    one = torch.ones(len(x), dtype=torch.float64)
    within_five_sigma(draw(x), draw(y), kernel, one, one)


@pytest.mark.parametrize("process", [GaussianProcess(), GaussianProcess("matern32", nodes=300)])
def test_the_factor_reproduces_the_kernel_and_draws_of_a_smooth_process_are_smooth(process: GaussianProcess) -> None:
    nodes, factor = _factor(process, (0.0, 1.0))
    kernel = process.covariance(nodes[:, None], nodes[:, None])
    assert (factor @ factor.T - kernel).abs().max() < 2e-13
    if process.kernel == "rbf":
        draw = process.sample(20, seed=0)
        # Fourth differences over 0.001 see noise, not the function, whose fourth derivative is of the order 3 / l^4.
        assert draw(nodes).diff(n=4, dim=1).abs().max() < 2e-7


def analytic(field: SpectralGRF, x: Tensor, y: Tensor) -> Tensor:
    """Covariance as a plain sum over wave vectors, one dimension, periodic."""
    k = torch.arange(1, field.modes + 1, dtype=torch.float64)
    power = field.sigma**2 * (4 * math.pi**2 * k**2 + field.tau**2) ** (-field.gamma)
    return (2 * power * torch.cos(2 * math.pi * k * (x - y)[:, None])).sum(1)


def test_the_periodic_field_has_its_spectrum_and_the_deviation_of_burgers_data() -> None:
    field = SpectralGRF(gamma=2.0, tau=5.0, sigma=25.0, modes=128)
    x, y = (part[:, 0] for part in pairs(1))
    # The sum over all k in closed form, by partial fractions of 1 / (k^2 + a^2)^2 with a = 5 / (2 pi).
    a = 5 / (2 * math.pi)
    coth = 1 / math.tanh(math.pi * a)
    series = math.pi * coth / (4 * a**3) + math.pi**2 / (4 * a**2 * math.sinh(math.pi * a) ** 2) - 1 / (2 * a**4)
    deviation = math.sqrt(2 * 625 / (4 * math.pi**2) ** 2 * series)
    assert deviation == pytest.approx(0.596, rel=5e-3)
    assert analytic(field, x, x)[0].sqrt().item() == pytest.approx(deviation, rel=1e-6)
    draw = field.sample(NUM, seed=0)
    within_five_sigma(draw(x), draw(y), analytic(field, x, y), analytic(field, x, x), analytic(field, y, y))
    assert draw(RegularGrid((256,), ((0, 1),), periodic=True).points).mean(1).abs().max() < 1e-12


def test_the_periodic_field_in_two_dimensions_is_the_sum_over_all_wave_vectors() -> None:
    field = SpectralGRF(2.5, 7.0, 7**0.75, dim=2, modes=5)
    x, y = pairs(2)
    k = torch.stack(torch.meshgrid(*[torch.arange(-5, 6, dtype=torch.float64)] * 2, indexing="ij"), -1).reshape(-1, 2)
    k = k[k.any(1)]
    power = field.sigma**2 * (4 * math.pi**2 * k.square().sum(1) + field.tau**2) ** (-field.gamma)
    covariance = (power * torch.cos(2 * math.pi * (x - y) @ k.T)).sum(1)
    variance = power.sum().expand(len(x))
    draw = field.sample(NUM, seed=1)
    within_five_sigma(draw(x), draw(y), covariance, variance, variance)


def test_the_neumann_field_is_the_inverse_cosine_transform_of_its_coefficients() -> None:
    s, alpha, tau = 12, 2.0, 3.0
    field = SpectralGRF(gamma=alpha, tau=tau, sigma=tau ** (alpha - 1), bc="neumann", dim=2, modes=s)
    draw = field.sample(3, seed=0)
    xi = np.stack([rng.standard_normal((s, s)) for rng in generators(3, seed=0, start=0)])
    k = np.arange(s)
    scale = tau ** (alpha - 1) * (np.pi**2 * (k[:, None] ** 2 + k**2) + tau**2) ** (-alpha / 2)
    scale[0, 0] = 0
    expected = idctn(s * scale * xi, axes=(1, 2), norm="ortho")
    grid = RegularGrid((s, s), ((0, 1), (0, 1)), alignment="cell")
    np.testing.assert_allclose(draw.on(grid).values[:, 0], expected, atol=1e-12)


def test_boundary_conditions_hold_exactly() -> None:
    side = torch.linspace(0, 1, 7, dtype=torch.float64)
    edges = torch.cat([torch.stack([torch.full_like(side, at), side], 1) for at in (0.0, 1.0)])
    neumann = SpectralGRF(2.0, 3.0, 1.0, "neumann", dim=2, modes=10).sample(3, seed=0)
    where = edges.clone().requires_grad_()
    (slope,) = torch.autograd.grad(neumann(where).sum(), where)
    assert slope[:, 0].abs().max() < 1e-12
    assert slope[:, 1].abs().max() > 0.01
    dirichlet = SpectralGRF(2.0, 3.0, 1.0, "dirichlet", dim=2, modes=10).sample(3, seed=0)
    assert dirichlet(edges).abs().max() < 1e-13
    assert dirichlet(edges.flip(1)).abs().max() < 1e-13
    periodic = SpectralGRF(modes=20).sample(3, seed=0)
    torch.testing.assert_close(periodic(side + 1), periodic(side), rtol=0, atol=1e-11)
    closed = GaussianProcess("periodic", 0.5, nodes=200).sample(3, seed=0)
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for function in (closed, closed.derivative()):
        value = function(ends)
        torch.testing.assert_close(value[:, 0], value[:, 1], rtol=0, atol=1e-9)


def test_coordinates_of_another_box_are_scaled() -> None:
    unit = SpectralGRF(modes=8).sample(2, seed=0)
    wide = SpectralGRF(modes=8, bounds=((-1.0, 3.0),)).sample(2, seed=0)
    x = torch.rand(9, dtype=torch.float64)
    torch.testing.assert_close(wide(4 * x - 1), unit(x))


def test_splines_are_those_of_scipy_with_their_derivatives_and_antiderivatives() -> None:
    draw = GaussianProcess(nodes=50, length_scale=0.3).sample(4, seed=0)
    nodes = np.linspace(0, 1, 50)
    spline = CubicSpline(nodes, draw(torch.from_numpy(nodes)).numpy(), axis=1)
    x = np.random.default_rng(0).uniform(0, 1, 30)
    at = torch.from_numpy(x)
    np.testing.assert_allclose(draw(at), spline(x), atol=1e-11)
    np.testing.assert_allclose(draw.antiderivative()(at), spline.antiderivative()(x), atol=1e-12)
    np.testing.assert_allclose(draw.derivative()(at), spline.derivative()(x), atol=1e-9)


@pytest.mark.parametrize("sampler", [Chebyshev(6), PowerSeries(6), Chebyshev(5, bounds=(-1.0, 3.0))])
def test_polynomials_have_exact_derivatives_and_antiderivatives(sampler: Chebyshev | PowerSeries) -> None:
    draw = sampler.sample(3, seed=0)
    begin, end = sampler.bounds
    at = (begin + (end - begin) * torch.rand(9, 1, dtype=torch.float64)).requires_grad_()
    integral = draw.antiderivative()
    for row in range(3):
        (slope,) = torch.autograd.grad(integral(at)[row].sum(), at)
        torch.testing.assert_close(slope[:, 0], draw(at)[row].detach())
        (slope,) = torch.autograd.grad(draw(at)[row].sum(), at)
        torch.testing.assert_close(slope[:, 0], draw.derivative()(at)[row].detach())
    assert integral(torch.tensor([begin], dtype=torch.float64)).abs().max() < 1e-12


def test_chebyshev_polynomials_stay_below_their_bound() -> None:
    values = Chebyshev(10, 0.5).sample(500, seed=0)(torch.linspace(0, 1, 201))
    assert values.abs().max() <= 5.0
    assert values.abs().max() > 1.0


def test_shares_of_folded_and_windowed_waves_are_as_asked() -> None:
    table = PDEBenchInitial().sample(NUM, seed=0).table
    for column, expected in ((6, 0.1), (8, 0.1)):
        assert table[:, column].mean().item() == pytest.approx(expected, abs=5 * math.sqrt(0.09 / NUM))
    assert set(table[:, :2].unique().tolist()) == {float(k) for k in range(1, 9)}
    folded = PDEBenchInitial(fold_probability=1.0, window_probability=0.0).sample(50, seed=0)
    values = folded(torch.linspace(0, 1, 300))
    assert bool(((values >= 0).all(1) | (values <= 0).all(1)).all())


def test_two_values_follow_the_sign_of_the_field() -> None:
    sampler = PiecewiseConstant()
    at = torch.rand(50, 2, dtype=torch.float64)
    inner, outer = sampler.field.sample(4, seed=2)(at), sampler.sample(4, seed=2)(at)
    assert torch.equal(outer == 12.0, inner >= 0)
    assert torch.equal(outer == 3.0, inner < 0)


def test_stars_have_their_area_and_contain_what_they_should() -> None:
    stars = StarShape().sample(5, seed=0)
    at = 3 * torch.rand(400_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1.5
    inside = stars.contains(at).double().mean(1) * 9
    assert (inside - stars.area()).abs().max() < 5 * 9 * math.sqrt(0.25 / 400_000)
    edge = stars.boundary(40)
    assert bool(stars.contains(0.999 * edge[2])[2].all())
    assert not bool(stars.contains(1.001 * edge[2])[2].any())


def test_the_distance_of_processes_is_a_metric_and_exact_for_commuting_kernels() -> None:
    a, b, c = (GaussianProcess(length_scale=scale) for scale in (0.1, 0.2, 0.4))
    assert wasserstein_distance(a, b) == pytest.approx(wasserstein_distance(b, a), rel=1e-6)
    assert wasserstein_distance(a, c) <= wasserstein_distance(a, b) + wasserstein_distance(b, c)
    assert 0 < wasserstein_distance(a, b) < wasserstein_distance(a, c)
    # Matrices that commute: the distance is that of their roots. Circulant kernels on a full period do.
    first, second = (GaussianProcess("periodic", scale) for scale in (0.5, 1.0))
    x = torch.arange(200, dtype=torch.float64)[:, None] / 199
    roots = []
    for process in (first, second):
        values, vectors = torch.linalg.eigh(process.covariance(x, x))
        roots.append((vectors * values.clamp(min=0).sqrt()) @ vectors.T)
    expected = torch.linalg.norm(roots[0] - roots[1]) / math.sqrt(200)
    assert wasserstein_distance(first, second) == pytest.approx(expected.item(), rel=1e-3)
