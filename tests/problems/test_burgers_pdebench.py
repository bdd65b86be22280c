"""Burgers by finite volumes: exact solutions with and without fronts, a spectral solver, conservation, bounds."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems import Burgers, BurgersPDEBench
from sciml.spaces.random import PDEBenchInitial, SpectralGRF


def sine_averages(n: int) -> Tensor:
    """Averages of sin 2 pi x over n cells."""
    edges = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    return -torch.cos(2 * math.pi * edges).diff() * n / (2 * math.pi)


def cole_hopf(x: np.ndarray, t: float, viscosity: float) -> np.ndarray:
    """Solution that starts from sin 2 pi x, by quadrature of the heat kernel with scaled exponents."""
    r = np.linspace(-1.2, 1.2, 6001)
    potential = (1 - np.cos(2 * np.pi * (x[:, None] - r))) / (4 * np.pi * viscosity)
    exponent = -(r**2) / (4 * viscosity * t) - potential
    weight = np.exp(exponent - exponent.max(1, keepdims=True))
    return (r / t * weight).sum(1) / weight.sum(1)


def mean_error(nu: float, n: int) -> float:
    """Against exact averages over the cells, at t = 0.5."""
    u = BurgersPDEBench(nu=nu, duration=0.5, frames=2).solve(sine_averages(n)[None])[0, -1].numpy()
    centres = (np.arange(n) + 0.5) / n
    nodes, weights = np.polynomial.legendre.leggauss(3)
    exact = sum(
        w / 2 * cole_hopf(centres + node / (2 * n), 0.5, nu / np.pi) for node, w in zip(nodes, weights, strict=True)
    )
    return float(np.abs(u - exact).mean())


def test_smooth_solutions_converge_with_order_two_to_the_cole_hopf_formula() -> None:
    errors = [mean_error(0.1, n) for n in (64, 128, 256)]
    assert all(1.8 < math.log2(a / b) < 2.3 for a, b in pairwise(errors)), errors
    assert errors[-1] < 2e-5


def test_a_front_thinner_than_a_cell_lies_where_the_cole_hopf_formula_has_it() -> None:
    # The front is 0.7 cells of 512 wide: in the mean, first order is what can be expected there.
    errors = [mean_error(0.001, n) for n in (128, 512)]
    assert errors[1] < 2e-4
    assert errors[1] < 0.35 * errors[0]


def test_random_solutions_equal_those_of_a_spectral_solver() -> None:
    start = SpectralGRF(gamma=2.0, tau=5.0, sigma=50.0, modes=6).sample(3, seed=1)
    x = torch.arange(4096, dtype=torch.float64) / 4096
    spectral = Burgers(nu=0.02 / math.pi, duration=0.5, steps_per_unit=2000).solve(start(x[::4]))[:, 0]
    averages = start(x + 0.5 / 4096).unflatten(1, (512, 8)).mean(2)
    ours = BurgersPDEBench(nu=0.02, duration=0.5, frames=3).solve(averages)[:, -1]
    # Cell k of 512 begins at point 2k of 1024: its average is Simpson's rule over three points.
    simpson = (spectral[:, ::2] + 4 * spectral[:, 1::2] + spectral[:, ::2].roll(-1, 1)) / 6
    relative = (ours - simpson).norm(dim=1) / simpson.norm(dim=1)
    assert relative.max() < 1e-3


@pytest.mark.parametrize("nu", [0.001, 0.1, 4.0])
def test_mass_is_kept_and_no_extrema_arise(nu: float) -> None:
    u = BurgersPDEBench(nu=nu, frames=9, cells=256).generate(8, seed=3, resolution=256)["u"]
    np.testing.assert_allclose(u.mean(2), u[:, :1].mean(2).repeat(9, 1), atol=1e-13)
    assert (np.diff(u.max(2), axis=1) < 1e-12).all()
    assert (np.diff(u.min(2), axis=1) > -1e-12).all()
    # Total variation does not grow: there are no wiggles beside a front.
    variation = np.abs(np.diff(u, axis=2, append=u[..., :1])).sum(2)
    assert (np.diff(variation, axis=1) < 1e-10).all()


def test_small_waves_decay_as_by_the_heat_equation_with_nu_over_pi() -> None:
    u = BurgersPDEBench(nu=0.2, duration=1.0, frames=3).solve(1e-7 * sine_averages(64)[None])[0]
    rate = 0.2 / math.pi * (2 * math.pi) ** 2
    for frame, t in enumerate((0.0, 0.5, 1.0)):
        torch.testing.assert_close(u[frame], math.exp(-rate * t) * u[0], rtol=1e-5, atol=0)


def test_mirrored_and_shifted_states_have_mirrored_and_shifted_solutions() -> None:
    problem = BurgersPDEBench(nu=0.01, duration=0.3, frames=2)
    u0 = PDEBenchInitial().sample(4, seed=0)((torch.arange(128, dtype=torch.float64) + 0.5) / 128)
    u = problem.solve(u0)
    torch.testing.assert_close(problem.solve(-u0.flip(-1)), -u.flip(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(problem.solve(u0.roll(17, -1)), u.roll(17, -1), rtol=0, atol=1e-12)


def test_samples_depend_on_seed_and_place_alone_and_resolutions_are_averages() -> None:
    problem = BurgersPDEBench(frames=3, cells=128)
    whole = problem.generate(40, seed=2, resolution=128)
    part = problem.generate(2, seed=2, resolution=128, start=37)
    coarse = problem.generate(2, seed=2, resolution=32, start=37)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles) == {"u0", "u"}
    for name, values in part.arrays.items():
        np.testing.assert_allclose(values, whole[name][37:39], rtol=0, atol=1e-12)
        averages = values.reshape(*values.shape[:-1], 32, 4).mean(-1)
        np.testing.assert_allclose(coarse[name], averages, rtol=0, atol=1e-14)
    x = torch.from_numpy(whole.coords["x1"])
    np.testing.assert_allclose(whole["u0"], problem.sampler().sample(40, 2)(x), atol=1e-14)


def test_states_in_single_precision_are_solved_in_double() -> None:
    problem = BurgersPDEBench(frames=2, duration=0.1)
    u = problem.solve(sine_averages(64).float()[None])
    assert u.dtype == torch.float64
    torch.testing.assert_close(u, problem.solve(sine_averages(64)[None]), rtol=0, atol=1e-6)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="nu is 0"):
        BurgersPDEBench(nu=0)
    with pytest.raises(ConfigError, match="at least 2 frames"):
        BurgersPDEBench(frames=1)
    with pytest.raises(ConfigError, match="finite initial states"):
        BurgersPDEBench().solve(torch.full((1, 8), math.nan))
