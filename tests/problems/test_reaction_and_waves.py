"""FitzHugh-Nagumo and shallow water: conservation, symmetry, orders, independent and exact solutions."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems.base import Problem
from sciml.problems.fitzhugh_nagumo import FitzHughNagumo
from sciml.problems.shallow_water import ShallowWater

# FitzHugh-Nagumo


def test_uniform_states_follow_the_ordinary_equation() -> None:
    problem = FitzHughNagumo(frames=3, duration=2.0)
    start = torch.tensor([0.7, -0.2], dtype=torch.float64)
    ours = problem.solve(start[None, :, None, None].expand(1, 2, 6, 6))
    done = solve_ivp(
        lambda t, s: [s[0] - s[0] ** 3 - problem.k - s[1], s[0] - s[1]], (0, 2), start.tolist(), rtol=1e-11, atol=1e-12
    )
    assert ours[0, -1, :, 2, 3].tolist() == pytest.approx(done.y[:, -1].tolist(), abs=1e-7)


def test_noise_equals_an_adaptive_solver_on_a_matrix_of_differences() -> None:
    n, problem = 8, FitzHughNagumo(frames=2, duration=1.0)
    noise = torch.from_numpy(problem.generate(1, seed=0, resolution=n)["initial"])
    one = -2 * np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)
    one[0, 0] = one[-1, -1] = -1.0
    laplace = (np.kron(one, np.eye(n)) + np.kron(np.eye(n), one)) * (n / 2) ** 2

    def rate(t: float, s: np.ndarray) -> np.ndarray:
        u, v = s.reshape(2, -1)
        return np.concatenate(
            [problem.diffusion_u * laplace @ u + u - u**3 - problem.k - v, problem.diffusion_v * laplace @ v + u - v]
        )

    done = solve_ivp(rate, (0, 1), noise.numpy().ravel(), "RK45", rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(problem.solve(noise)[0, -1].numpy().ravel(), done.y[:, -1], atol=2e-6)


def test_diffusion_without_reaction_keeps_the_mass_of_v() -> None:
    problem = FitzHughNagumo(frames=2, duration=0.5)
    state = torch.randn(2, 2, 12, 12, dtype=torch.float64)
    u, v = state.unbind(1)
    rate = problem.rate(state)
    torch.testing.assert_close(rate[:, 1].mean((1, 2)), (u - v).mean((1, 2)), rtol=0, atol=1e-12)


def test_fitzhugh_nagumo_has_order_four_in_time() -> None:
    state = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = FitzHughNagumo(frames=2, duration=1.0, step=1 / 2560).solve(state)[:, -1]
    errors = [
        (FitzHughNagumo(frames=2, duration=1.0, step=1 / n).solve(state)[:, -1] - exact).abs().max().item()
        for n in (80, 160, 320)
    ]
    assert all(3.6 < math.log2(a / b) < 4.4 for a, b in pairwise(errors)), errors


def test_fine_grids_take_the_steps_that_diffusion_allows() -> None:
    states = FitzHughNagumo(diffusion_v=0.05, frames=2, duration=0.2, step=0.2).generate(1, seed=0, resolution=48)
    assert np.abs(states["data"]).max() < 6


# Shallow water


def radial(n: int = 32, radius: float = 0.5, **settings: float) -> tuple[ShallowWater, Tensor]:
    problem = ShallowWater(frames=3, duration=0.5, **settings)  # type: ignore[arg-type]
    return problem, problem.initial(torch.tensor([radius], dtype=torch.float64), n)


def test_mass_is_kept_until_waves_reach_the_walls() -> None:
    problem, start = radial(64)
    mass = problem.solve(start)[0, :, 0].sum((1, 2))
    assert (mass / mass[0] - 1).abs().max() < 1e-10


def test_exchanged_axes_and_reflections_leave_a_radial_flow_as_it_is() -> None:
    problem, start = radial()
    end = problem.solve(start)[0, -1]
    assert torch.equal(end[0], end[0].T)
    assert torch.equal(end[1], end[2].T)
    torch.testing.assert_close(end[0].flip(0), end[0], rtol=0, atol=1e-13)
    torch.testing.assert_close(end[1].flip(0), -end[1], rtol=0, atol=1e-13)
    assert end[1].abs().max() > 0.1


def test_axes_are_told_apart() -> None:
    """A wall of water along the second axis moves along the first one only."""
    problem, start = radial()
    start = torch.ones_like(start) * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)[:, None, None]
    start[0, 0, :16] = 2.0
    end = problem.solve(start)[0, -1]
    assert end[2].abs().max() == 0
    assert end[1].abs().max() > 0.1
    assert (end - end[:, :, :1]).abs().max() < 1e-14


def stoker(x: np.ndarray, t: float, left: float = 2.0, right: float = 1.0) -> np.ndarray:
    """Exact depth of the dam break on a line, g = 1: rarefaction, plateau, shock."""

    def mismatch(middle: float) -> float:
        rarefaction = 2 * (math.sqrt(left) - math.sqrt(middle))
        return rarefaction - (middle - right) * math.sqrt((middle + right) / (2 * middle * right))

    h = brentq(mismatch, right, left)
    v = 2 * (math.sqrt(left) - math.sqrt(h))
    shock = h * v / (h - right)
    fan = (2 * math.sqrt(left) - x / t) ** 2 / 9
    result = np.where(x < -math.sqrt(left) * t, left, np.where(x < (v - math.sqrt(h)) * t, fan, h))
    return np.where(x > shock * t, right, result)


def test_the_dam_break_on_a_line_converges_to_its_exact_solution() -> None:
    errors = []
    for n in (100, 200, 400):
        problem = ShallowWater(frames=2, duration=0.8)
        state = torch.zeros(1, 3, n, 4, dtype=torch.float64)
        x = problem.grid(n).axes[0]
        state[0, 0] = torch.where(x < 0, 2.0, 1.0)[:, None]
        steps = math.ceil(0.8 * problem.wave_speed() / (0.4 * 5 / n))
        for _ in range(steps):
            middle = state + 0.8 / steps * -problem._flux_difference(state) / (5 / n)
            state = (state + middle + 0.8 / steps * -problem._flux_difference(middle) / (5 / n)) / 2
        errors.append(np.abs(state[0, 0, :, 0].numpy() - stoker(x.numpy(), 0.8)).mean())
    # First order in the mean, as for every scheme with a shock.
    assert all(a / b > 1.7 for a, b in pairwise(errors)), errors
    assert errors[-1] < 3e-3


def test_waves_leave_through_the_walls() -> None:
    problem = ShallowWater(frames=5, duration=16.0)
    start = problem.initial(torch.tensor([0.7], dtype=torch.float64), 32)
    momentum = problem.solve(start)[0, 1:, 1:].abs().amax((1, 2, 3)).tolist()
    # In two dimensions waves leave a wake that fades; walls that reflect would keep them.
    assert all(later < 0.75 * earlier for earlier, later in pairwise(momentum)), momentum
    assert momentum[-1] < 0.002


PROBLEMS: list[Problem] = [FitzHughNagumo(duration=0.2, frames=2), ShallowWater(duration=0.2, frames=2)]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_samples_depend_on_seed_and_place_alone(problem: Problem) -> None:
    whole = problem.generate(4, seed=2, resolution=12)
    part = problem.generate(2, seed=2, resolution=12, start=1)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles)
    for name, values in part.arrays.items():
        np.testing.assert_allclose(values, whole[name][1:3], rtol=0, atol=1e-13)
        for axis, size in zip(whole.axes[name], values.shape, strict=True):
            assert axis in ("sample", "channel") or len(whole.coords[axis]) == size


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FitzHughNagumo(step=0.0), "step 0.0"),
        (lambda: ShallowWater(cfl=0.9), "cfl at most 0.5"),
        (lambda: ShallowWater(radius=(0.7, 0.3)), r"radius is \(0\.7, 0\.3\)"),
    ],
)
def test_impossible_parameters_are_refused(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]
