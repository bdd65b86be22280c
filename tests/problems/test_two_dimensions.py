"""Darcy flow and Navier-Stokes: reference values, orders, exact flows, and independent solvers."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems import Darcy, DarcyPDEBench, NavierStokes, NavierStokesForced, Problem
from sciml.problems.darcy import solve_diffusion

# Darcy


@pytest.mark.parametrize(("n", "expected"), [(33, 0.07361474), (65, 0.07365719), (129, 0.07366781)])
def test_the_middle_of_the_poisson_problem_meets_the_reference_values(n: int, expected: float) -> None:
    assert solve_diffusion(np.ones((n, n)))[n // 2, n // 2] == pytest.approx(expected, abs=6e-9)


def test_the_order_is_two_and_the_limit_the_exact_value() -> None:
    middle = [solve_diffusion(np.ones((n, n)))[n // 2, n // 2] for n in (17, 33, 65)]
    errors = [abs(value - 0.0736713533) for value in middle]
    assert all(1.95 < math.log2(a / b) < 2.05 for a, b in pairwise(errors))


def manufactured(n: int) -> float:
    """u = sin(pi x) sin(2 pi y), a = exp(x + y / 2): largest error."""
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    a, u = np.exp(x + y / 2), np.sin(np.pi * x) * np.sin(2 * np.pi * y)
    u_x = np.pi * np.cos(np.pi * x) * np.sin(2 * np.pi * y)
    u_y = 2 * np.pi * np.sin(np.pi * x) * np.cos(2 * np.pi * y)
    source = -a * (u_x + u_y / 2 - 5 * np.pi**2 * u)
    return float(np.abs(solve_diffusion(a, source) - u).max())


def test_a_manufactured_solution_that_tells_the_axes_apart_is_met_with_order_two() -> None:
    errors = [manufactured(n) for n in (17, 33, 65)]
    assert all(1.9 < math.log2(a / b) < 2.1 for a, b in pairwise(errors)), errors
    assert errors[-1] < 2e-3


def test_a_random_medium_equals_a_sparse_solver_that_goes_from_face_to_face() -> None:
    n = 14
    a = Darcy(modes=8).sampler().sample(1, seed=0).on(Darcy()._grid_of(n)).values[0, 0].numpy()
    number = -np.ones((n, n), dtype=int)
    number[1:-1, 1:-1] = np.arange((n - 2) ** 2).reshape(n - 2, n - 2)
    matrix = sparse.lil_matrix(((n - 2) ** 2,) * 2)
    for i in range(n):
        for j in range(n):
            for k, m in ((i + 1, j), (i, j + 1)):
                if k < n and m < n:
                    face = (a[i, j] + a[k, m]) / 2 * (n - 1) ** 2
                    p, q = number[i, j], number[k, m]
                    for one, other in ((p, q), (q, p)):
                        if one >= 0:
                            matrix[one, one] += face
                            if other >= 0:
                                matrix[one, other] -= face
    expected = spsolve(matrix.tocsc(), np.ones((n - 2) ** 2)).reshape(n - 2, n - 2)
    np.testing.assert_allclose(solve_diffusion(a)[1:-1, 1:-1], expected, rtol=1e-11)


def test_media_have_two_materials_and_their_shares() -> None:
    data = Darcy(modes=16).generate(40, seed=0, resolution=17)
    assert set(np.unique(data["nu"])) == {3.0, 12.0}
    # The field is symmetric about zero: half of each, with the scatter of smooth fields.
    assert (data["nu"] == 12.0).mean() == pytest.approx(0.5, abs=0.15)
    assert not data["tensor"][:, [0, -1]].any()
    assert not data["tensor"][:, :, [0, -1]].any()
    assert (data["tensor"][:, 1:-1, 1:-1] > 0).all()
    assert set(np.unique(DarcyPDEBench().generate(3, seed=0, resolution=17)["nu"])) == {0.1, 1.0}


def test_the_pdebench_solution_scales_with_its_source() -> None:
    one, ten = (DarcyPDEBench(beta=beta).generate(1, seed=0, resolution=17)["tensor"] for beta in (1.0, 10.0))
    np.testing.assert_allclose(ten, 10 * one, rtol=1e-12)


def test_impossible_media_are_refused() -> None:
    with pytest.raises(ConfigError, match="the first larger"):
        Darcy(high=3.0, low=12.0)
    with pytest.raises(ConfigError, match=r"smallest coefficient is 0\.0"):
        Darcy().solve(torch.zeros(1, 9, 9))
    with pytest.raises(ConfigError, match=r"beta is -1, .* expected positive numbers, high above low"):
        DarcyPDEBench(beta=-1)


# Navier-Stokes


def mesh(n: int, length: float = 1.0) -> tuple[Tensor, Tensor]:
    side = torch.arange(n, dtype=torch.float64) * (length / n)
    x, y = torch.meshgrid(side, side, indexing="ij")
    return x, y


def test_the_taylor_green_vortex_decays_as_it_must() -> None:
    x, y = mesh(64)
    w0 = 4 * math.pi * torch.cos(2 * math.pi * x) * torch.cos(2 * math.pi * y)
    w = NavierStokes(nu=0.01, duration=1.0, frames=2).solve(w0[None], torch.zeros(64, 64))
    for frame, t in enumerate((0.5, 1.0)):
        exact = math.exp(-8 * math.pi**2 * 0.01 * t) * w0
        assert (w[0, frame] - exact).abs().max() < 4e-8 * exact.abs().max()


def test_waves_along_the_diagonal_feel_force_and_viscosity_alone() -> None:
    problem = NavierStokes(nu=0.02, duration=2.0, frames=1)
    w = problem.solve(torch.zeros(1, 32, 32))[0, 0]
    rate = 0.02 * 8 * math.pi**2
    torch.testing.assert_close(w, problem.force(32) * (1 - math.exp(-rate * 2.0)) / rate, rtol=0, atol=1e-9)


def euler(w: np.ndarray, force: np.ndarray, nu: float, duration: float, steps: int) -> np.ndarray:
    """Crank-Nicolson diffusion, explicit transport as v . grad w: the scheme of the first data sets, first order."""
    n, h = len(w), duration / steps
    k = 2 * np.pi * np.fft.fftfreq(n, 1 / n)
    k1, k2 = k[:, None], k[None, :]
    square = k1**2 + k2**2
    inverse = np.where(square > 0, 1 / np.maximum(square, 1e-30), 0)
    keep = (np.abs(k1) <= 2 * np.pi * (n // 3)) & (np.abs(k2) <= 2 * np.pi * (n // 3))
    state, f = np.fft.fft2(w) * keep, np.fft.fft2(force)
    for _ in range(steps):
        psi = state * inverse
        parts = [np.fft.ifft2(z).real for z in (1j * k2 * psi, -1j * k1 * psi, 1j * k1 * state, 1j * k2 * state)]
        transport = np.fft.fft2(parts[0] * parts[2] + parts[1] * parts[3]) * keep
        state = (state * (1 - h / 2 * nu * square) + h * (f - transport)) / (1 + h / 2 * nu * square)
    return np.fft.ifft2(state).real


def test_turbulent_states_equal_the_limit_of_another_scheme() -> None:
    problem = NavierStokes(nu=1e-3, duration=1.0, frames=1)
    w0 = 10 * problem.sampler().sample(1, seed=0).on(problem._grid(32)).values[:, 0]
    ours = problem.solve(w0)[0, 0].numpy()
    force = problem.force(32).numpy()
    rough = [euler(w0[0].numpy(), force, 1e-3, 1.0, steps) for steps in (400, 800)]
    limit = 2 * rough[1] - rough[0]
    assert np.abs(ours - w0[0].numpy()).max() > 0.3 * np.abs(w0.numpy()).max()
    assert np.abs(ours - limit).max() < 2e-4 * np.abs(ours).max()
    assert np.abs(rough[1] - limit).max() > 5 * np.abs(ours - limit).max()


def test_the_order_in_time_is_four() -> None:
    base = {"nu": 1e-3, "duration": 0.5, "frames": 1}
    w0 = 60 * NavierStokes().sampler().sample(1, seed=1).on(NavierStokes()._grid(32)).values[:, 0]
    exact = NavierStokes(step=0.5 / 640, **base).solve(w0)
    errors = [(NavierStokes(step=0.5 / n, **base).solve(w0) - exact).abs().max().item() for n in (40, 80, 160)]
    assert all(3.6 < math.log2(a / b) < 4.5 for a, b in pairwise(errors)), errors


def test_flows_keep_their_mean_and_exchanged_axes_exchange_the_sign() -> None:
    problem = NavierStokes(nu=1e-3, duration=0.5, frames=1)
    w0 = problem.sampler().sample(1, seed=2).on(problem._grid(32)).values[:, 0]
    none = torch.zeros(32, 32)
    w = problem.solve(w0, none)
    assert w.mean().abs() < 1e-14
    torch.testing.assert_close(problem.solve(-w0.mT, none), -w.mT, rtol=0, atol=1e-12)


def test_the_forced_problem_starts_from_rest_and_solves_waves_exactly() -> None:
    problem = NavierStokesForced(reynolds=10.0, duration=3.0)
    x, y = mesh(32, 2 * math.pi)
    force = torch.sin(2 * x + y)
    rate = 5 / 10.0
    expected = force * (1 - math.exp(-rate * 3.0)) / rate
    torch.testing.assert_close(problem.solve(force[None])[0], expected, rtol=0, atol=1e-9)


def test_forces_have_the_variance_of_their_spectrum() -> None:
    k = torch.arange(-20, 21, dtype=torch.float64)
    power = 27.0 * (k[:, None] ** 2 + k**2 + 9) ** -4.0
    power[20, 20] = 0
    deviation = math.sqrt(power.sum().item()) / (2 * math.pi)
    draws = NavierStokesForced().sampler().sample(400, seed=0)
    values = draws(2 * math.pi * torch.rand(1, 2, dtype=torch.float64))
    assert values.std().item() == pytest.approx(deviation, rel=5 / math.sqrt(800))


def test_a_step_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"step is 0\.5, too large"):
        NavierStokes(nu=1e-5, step=0.5, duration=200.0).solve(torch.randn(1, 32, 32) * 50)
    with pytest.raises(ConfigError, match=r"nu is 0, .* expected positive numbers, and at least 8 points"):
        NavierStokes(nu=0)


PROBLEMS: list[Problem] = [
    Darcy(modes=8),
    DarcyPDEBench(),
    NavierStokes(duration=0.1, frames=2, points=16, modes=4),
    NavierStokesForced(duration=0.1, points=16, modes=4),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_samples_depend_on_seed_and_place_alone(problem: Problem) -> None:
    whole = problem.generate(4, seed=2, resolution=16)
    part = problem.generate(2, seed=2, resolution=16, start=1)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles)
    for name, values in part.arrays.items():
        np.testing.assert_allclose(values, whole[name][1:3], rtol=0, atol=1e-12)
        for axis, size in zip(whole.axes[name], values.shape, strict=True):
            assert axis == "sample" or len(whole.coords[axis]) == size


@pytest.mark.parametrize("problem", [Darcy(modes=8), NavierStokes(duration=0.1, frames=1, points=32, modes=4)])
def test_the_same_inputs_come_at_every_resolution(problem: Problem) -> None:
    sizes = (9, 17) if isinstance(problem, Darcy) else (16, 32)
    coarse, fine = (problem.generate(2, seed=0, resolution=n) for n in sizes)
    name = "nu" if isinstance(problem, Darcy) else "w0"
    np.testing.assert_allclose(coarse[name], fine[name][:, ::2, ::2], atol=1e-10)
