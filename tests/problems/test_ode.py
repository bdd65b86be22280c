"""Driven equations: reference values, order, an independent solver, and samples that belong to their seed."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp

from sciml.errors import ConfigError
from sciml.problems import Antiderivative, NonlinearODE, Pendulum
from sciml.problems._ode import DrivenODE, runge_kutta
from sciml.spaces import RegularGrid
from sciml.spaces.random import Chebyshev, SpectralGRF, cubic_splines

X = torch.linspace(0, 1, 2001, dtype=torch.float64)
ONE = cubic_splines(X, torch.ones(1, 2001, dtype=torch.float64))
SINE = cubic_splines(X, torch.sin(math.pi * X)[None])
END = torch.tensor([1.0], dtype=torch.float64)


def test_reference_values() -> None:
    _, states, _ = runge_kutta(Pendulum(), ONE, 200)
    assert states[0, -1, 0].item() == pytest.approx(0.4600112761, abs=1e-9)
    assert states[0, -1, 1].item() == pytest.approx(0.8438705678, abs=1e-9)
    assert Pendulum().solve(SINE, END).item() == pytest.approx(0.29811585, abs=1e-8)
    assert NonlinearODE().solve(ONE, END).item() == pytest.approx(math.tanh(1), abs=1e-9)
    assert Antiderivative().solve(SINE, END).item() == pytest.approx(2 / math.pi, abs=1e-9)


@pytest.mark.parametrize("problem", [NonlinearODE(), Pendulum(k=3.0)])
def test_the_scheme_has_order_four(problem: DrivenODE) -> None:
    smooth = Chebyshev(5).sample(3, seed=0)
    reference = runge_kutta(problem, smooth, 640)[1][:, -1]
    errors = [(runge_kutta(problem, smooth, n)[1][:, -1] - reference).abs().max().item() for n in (10, 20, 40)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(3.7 < order < 4.4 for order in orders), orders


@pytest.mark.parametrize("problem", [NonlinearODE(), Pendulum(), Pendulum(duration=3.0, k=2.0, length_scale=0.4)])
def test_solutions_equal_those_of_an_adaptive_solver(problem: DrivenODE) -> None:
    functions = problem.sampler().sample(3, seed=0)
    times = torch.rand(3, 9, dtype=torch.float64).sort(1).values * problem.duration
    ours = problem.solve(functions, times)
    for i in range(3):

        def slope(t: float, s: np.ndarray, row: int = i) -> np.ndarray:
            u = functions[row : row + 1](torch.tensor([t], dtype=torch.float64))[0]
            return problem.rhs(torch.from_numpy(s)[None], u)[0].numpy()

        done = solve_ivp(
            slope, (0, problem.duration), [0.0] * problem.num_states, t_eval=times[i], rtol=1e-9, atol=1e-11
        )
        np.testing.assert_allclose(ours[i], done.y[0], atol=2e-8)


def test_antiderivatives_equal_quadrature_for_splines_and_for_polynomials() -> None:
    # Sines and cosines offer no antiderivative: a spline through 1000 points of them is integrated.
    others = [Antiderivative(inputs=sampler) for sampler in (Chebyshev(8), SpectralGRF(modes=6))]
    for problem in (Antiderivative(), *others):
        functions = problem.sampler().sample(2, seed=1)
        at = torch.tensor([0.3, 1.0], dtype=torch.float64)
        values = problem.solve(functions, at)
        for row in range(2):
            for column, end in enumerate(at.tolist()):
                f = functions[row : row + 1]
                integral = quad(lambda x, f=f: f(torch.tensor([x], dtype=torch.float64)).item(), 0, end, limit=200)[0]
                assert values[row, column].item() == pytest.approx(integral, abs=1e-8)


@pytest.mark.parametrize("problem", [Antiderivative(), NonlinearODE(), Pendulum(duration=2.0)])
@pytest.mark.parametrize("queries", [None, 3])
def test_samples_depend_on_seed_and_place_alone(problem: DrivenODE, queries: int | None) -> None:
    whole = problem.generate(6, seed=2, resolution=20, queries=queries)
    part = problem.generate(2, seed=2, resolution=20, start=3, queries=queries)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles)
    for name, values in part.arrays.items():
        np.testing.assert_allclose(values, whole[name][3:5], rtol=0, atol=1e-11)
        assert len(whole.axes[name]) == values.ndim


def test_random_queries_lie_on_the_solution() -> None:
    problem = Pendulum()
    drawn = problem.generate(2, seed=0, queries=5)
    values = problem.solve(problem.sampler().sample(2, seed=0), torch.from_numpy(drawn["coords"][..., 0]))
    np.testing.assert_allclose(drawn["s"], values, atol=1e-14)
    fine = problem.generate(2, seed=0, resolution=2001)
    for row in range(2):
        times = drawn["coords"][row, :, 0]
        np.testing.assert_allclose(np.interp(times, fine.coords["x1"], fine["s"][row]), drawn["s"][row], atol=1e-6)


def test_the_solution_is_a_function_on_any_grid() -> None:
    problem = NonlinearODE()
    functions = problem.sampler().sample(2, seed=0)
    coarse = RegularGrid((11,), ((0.0, 1.0),))
    on_coarse, on_fine = (problem.solve_on(functions, grid) for grid in (coarse, coarse.refine()))
    assert on_coarse.values.shape == (2, 1, 11)
    torch.testing.assert_close(coarse.refine().restrict(on_fine.values), on_coarse.values, rtol=0, atol=1e-12)
    torch.testing.assert_close(on_coarse.values[:, 0], problem.solve(functions, coarse.axes[0]), rtol=0, atol=0)


def test_the_residual_of_a_solution_is_small() -> None:
    problem = Pendulum(k=2.0)
    functions = problem.sampler().sample(2, seed=0)
    t = torch.linspace(0, 1, 401, dtype=torch.float64)
    s, h = problem.solve(functions, t), float(t[1])
    second = (s[:, 2:] - 2 * s[:, 1:-1] + s[:, :-2]) / h**2
    residual = problem.residual(s[:, 1:-1], second, functions(t)[:, 1:-1])
    assert residual.abs().max() < 1e-3


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="duration -1"):
        Pendulum(duration=-1)
    with pytest.raises(ConfigError, match="at least 2 points"):
        Pendulum().generate(1, resolution=1)
