"""Partial differential equations in one dimension: reference values, orders, independent solvers, exact solutions."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems import Advection, Burgers, DiffusionReaction, Problem, ReactionDiffusion, VariableAdvection
from sciml.problems._chebyshev import exponential_functions, interpolation_matrix
from sciml.spaces.random import RandomFunctions, SpectralGRF, cubic_splines


def grid(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float64) / n


# Burgers


@pytest.mark.parametrize(("nu", "expected"), [(0.1, 0.0179142565), (0.01, 0.2135394100)])
def test_burgers_meets_the_reference_values(nu: float, expected: float) -> None:
    u = Burgers(nu=nu, steps_per_unit=2000).solve(torch.sin(2 * math.pi * grid(512))[None])
    assert u[0, 0, 128].item() == pytest.approx(expected, abs=6e-11)


@pytest.mark.parametrize("nu", [0.1, 0.03])
def test_burgers_equals_the_cole_hopf_formula(nu: float) -> None:
    """The heat kernel on the line, applied to exp(-(1 - cos 2 pi x) / (4 pi nu)), for u0 = sin 2 pi x."""
    t = 0.5

    def potential(y: float) -> float:
        return math.exp(-(1 - math.cos(2 * math.pi * y)) / (4 * math.pi * nu))

    def exact(x: float) -> float:
        kernel = lambda y: math.exp(-((x - y) ** 2) / (4 * nu * t)) * potential(y)  # noqa: E731
        reach = 12 * math.sqrt(nu * t)
        top = quad(lambda y: (x - y) / t * kernel(y), x - reach, x + reach, epsabs=1e-13, limit=400)[0]
        return top / quad(kernel, x - reach, x + reach, epsabs=1e-13, limit=400)[0]

    solution = Burgers(nu=nu, duration=t).solve(torch.sin(2 * math.pi * grid(256))[None])[0, 0]
    for index in (10, 64, 100):
        assert solution[index].item() == pytest.approx(exact(index / 256), abs=1e-9)


def test_burgers_converges_spectrally_in_space_and_with_order_four_in_time() -> None:
    start = torch.sin(2 * math.pi * grid(256))[None]
    reference = Burgers(nu=0.02, steps_per_unit=8000).solve(start)[0, 0]
    by_time = [(Burgers(nu=0.02, steps_per_unit=n).solve(start)[0, 0] - reference).abs().max() for n in (200, 400, 800)]
    assert all(3.7 < math.log2(a / b) < 4.2 for a, b in pairwise(by_time))
    by_space = []
    for n in (32, 64, 128):
        coarse = Burgers(nu=0.02, steps_per_unit=1000).solve(start[:, :: 256 // n])[0, 0]
        by_space.append((coarse - reference[:: 256 // n]).abs().max().item())
    assert by_space[1] < by_space[0] ** 1.6
    assert by_space[2] < 1e-8


def test_burgers_keeps_its_mean_and_an_odd_start_odd() -> None:
    start = 0.3 + torch.sin(2 * math.pi * grid(128)) + 0.2 * torch.sin(4 * math.pi * grid(128))
    u = Burgers(frames=4).solve(torch.stack([start, start - 0.3]))
    torch.testing.assert_close(u[0].mean(-1), torch.full((4,), 0.3, dtype=torch.float64), rtol=0, atol=1e-13)
    odd = u[1]
    torch.testing.assert_close(odd.flip(-1).roll(1, -1), -odd, rtol=0, atol=1e-12)


def test_a_grid_sees_the_solution_of_the_solver() -> None:
    problem = Burgers(steps_per_unit=100)
    fine, coarse = problem.generate(2, seed=0, resolution=512), problem.generate(2, seed=0, resolution=64)
    np.testing.assert_allclose(fine["u"][:, ::8], coarse["u"], atol=1e-11)
    np.testing.assert_allclose(fine["u0"][:, ::8], coarse["u0"], atol=1e-10)
    odd = problem.generate(2, seed=0, resolution=48)
    np.testing.assert_allclose(odd["u"][:, ::3], coarse["u"][:, ::4], atol=1e-11)


def test_burgers_that_is_not_resolved_in_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps_per_unit is 2"):
        Burgers(nu=1e-3, steps_per_unit=2, duration=20.0).solve(20 * torch.sin(2 * math.pi * grid(512))[None])
    with pytest.raises(ConfigError, match="at least 384"):
        Burgers(points=256)


# Diffusion and reaction with a source


def at_end(problem: DiffusionReaction, x: list[float]) -> list[float]:
    nodes = problem.collocation
    final = problem.solve((nodes * torch.sin(2 * math.pi * nodes))[None], 2)[0, -1]
    return (interpolation_matrix(nodes, torch.tensor(x, dtype=torch.float64)) @ final).tolist()


def test_diffusion_reaction_meets_the_reference_values() -> None:
    assert at_end(DiffusionReaction(), [0.25, 0.75]) == pytest.approx([0.206176, -0.618977], abs=5e-7)


def test_diffusion_reaction_has_order_four_in_time() -> None:
    settings = {"diffusion": 0.2, "reaction": 3.0, "nodes": 24}
    reference = at_end(DiffusionReaction(steps=800, **settings), [0.3])[0]
    errors = [abs(at_end(DiffusionReaction(steps=n, **settings), [0.3])[0] - reference) for n in (10, 20, 40)]
    assert all(3.4 < math.log2(a / b) < 4.8 for a, b in pairwise(errors)), errors


def test_diffusion_reaction_equals_finite_differences_with_an_implicit_solver() -> None:
    problem = DiffusionReaction(reaction=0.5)
    functions = problem.sampler().sample(1, seed=4)
    ours = (
        problem.solve(functions(problem.collocation), 3)[0]
        @ interpolation_matrix(problem.collocation, torch.tensor([0.25, 0.5], dtype=torch.float64)).T
    )
    values = []
    for n in (100, 200):
        x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        u = functions(x)[0, 1:-1].numpy()

        def rate(t: float, s: np.ndarray, n: int = n, u: np.ndarray = u) -> np.ndarray:
            wide = np.pad(s, 1)
            return problem.diffusion * n**2 * (wide[2:] - 2 * s + wide[:-2]) + problem.reaction * s**2 + u

        done = solve_ivp(rate, (0, 1), np.zeros(n - 1), "BDF", [0.5, 1.0], rtol=1e-9, atol=1e-11)
        values.append(done.y[[n // 4 - 1, n // 2 - 1]].T)
    extrapolated = (4 * values[1] - values[0]) / 3
    np.testing.assert_allclose(ours[1:], extrapolated, atol=2e-7)
    assert np.abs(values[0] - extrapolated).max() > 3 * np.abs(values[1] - extrapolated).max()


def test_the_data_of_diffusion_reaction_are_zero_at_the_start_and_at_the_walls() -> None:
    data = DiffusionReaction().generate(3, seed=0, resolution=30)
    assert data["s"].shape == (3, 30, 30)
    assert not data["s"][:, 0].any()
    assert np.abs(data["s"][:, :, [0, -1]]).max() < 1e-14
    assert np.abs(data["s"][:, -1]).max() > 0.1


def test_exponential_functions_of_a_diagonal_matrix_are_those_of_its_numbers() -> None:
    z = torch.tensor([-3.0, -1e-9, 0.5], dtype=torch.float64)
    phi = exponential_functions(torch.diag(z), 2)
    expected = [math.expm1(value) / value for value in z.tolist()]
    assert phi[1].diagonal().tolist() == pytest.approx(expected, rel=1e-12)
    assert phi[2].diagonal()[1].item() == pytest.approx(0.5, rel=1e-8)


# Advection


def test_advection_is_a_shift_and_keeps_its_mass() -> None:
    problem = Advection(beta=0.5, frames=5, duration=2.0, inputs=SpectralGRF(modes=8))
    data = problem.generate(2, seed=0, resolution=64)
    # Half a period per unit of time: 16 cells of 64 every half unit.
    for frame in range(5):
        np.testing.assert_allclose(data["u"][:, frame], np.roll(data["u"][:, 0], 16 * frame, axis=1), atol=1e-11)
    np.testing.assert_allclose(data["u"].mean(2), data["u"][:, :1].mean(2).repeat(5, 1), atol=1e-10)


def upwind(problem: VariableAdvection, n: int, row: int, states: RandomFunctions | None = None) -> np.ndarray:
    """First-order upwind differences on a fine grid: independent of characteristics."""
    x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    v = problem.sampler().sample(row + 1, seed=0)[row : row + 1]
    speed = problem._speed(v, x)[0].numpy()
    u = problem._initial(v, x[None], states)[0].numpy().copy()
    steps = math.ceil(problem.duration * n * speed.max())
    h = problem.duration / steps
    periodic = problem.case in ("I", "IV")
    for step in range(steps):
        change = u[1:] - u[:-1]
        u[1:] -= h * n * speed[1:] * change
        u[0] = u[-1] if periodic else (math.sin(math.pi * (step + 1) * h) if problem.case == "III" else 0.0)
    return u


@pytest.mark.parametrize("case", ["I", "II", "III", "IV"])
def test_variable_advection_equals_upwind_differences(case: str) -> None:
    problem = VariableAdvection(case, length_scale=0.5, duration=0.6)  # type: ignore[arg-type]
    v = problem.sampler().sample(2, seed=0)
    errors = []
    for n in (400, 800):
        x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        exact = problem.solve(v[1:2], x, torch.tensor([0.6], dtype=torch.float64))[0, 0].numpy()
        errors.append(np.abs(exact - upwind(problem, n, 1)).mean())
    assert errors[1] < 6e-3
    # First order, where the speed is not that of the grid and differences are exact.
    assert errors[1] < 0.65 * errors[0] or errors[1] < 1e-3


def two_inputs(**settings: float) -> VariableAdvection:
    return VariableAdvection("IV", initial="random", **settings)  # type: ignore[arg-type]


def test_a_random_speed_moves_a_random_state_as_upwind_differences_do() -> None:
    problem = two_inputs(length_scale=0.5, duration=0.6)
    v, states = problem.sampler().sample(1, seed=0), problem.initial_states(1, 0, 0)
    errors = []
    for n in (400, 800, 1600):
        x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        exact = problem.solve(v, x, torch.tensor([0.6], dtype=torch.float64), states)[0, 0].numpy()
        errors.append(np.abs(exact - upwind(problem, n, 0, states)).mean() / np.abs(exact).mean())
    assert errors[2] < 0.02
    assert all(b < 0.6 * a for a, b in pairwise(errors)), errors


def test_a_random_state_is_carried_round_once_where_the_speed_is_one() -> None:
    problem = two_inputs()
    x = torch.linspace(0, 1, 11, dtype=torch.float64)
    still = cubic_splines(x, torch.zeros(3, 11, dtype=torch.float64))
    states = problem.initial_states(3, 5, 0)
    assert states is not None
    solution = problem.solve(still, x, torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64), states)
    torch.testing.assert_close(solution[:, 0], states(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(solution[:, 1], states((x - 0.3).remainder(1.0)), rtol=0, atol=1e-9)
    torch.testing.assert_close(solution[:, 2], states(x), rtol=0, atol=1e-9)


def test_speed_and_initial_state_are_two_independent_inputs() -> None:
    data = two_inputs().generate(400, seed=0, resolution=12)
    assert data.roles == {"v": "input", "u0": "input", "u": "target"}
    np.testing.assert_allclose(data["u"][:, 0], data["u0"], rtol=0, atol=1e-12)
    # 144 correlations of 400 samples: five standard errors of 1 / sqrt(400).
    correlation = np.corrcoef(data["v"], data["u0"], rowvar=False)[:12, 12:]
    assert np.abs(correlation).max() < 5 / 20
    assert np.abs(data["u"][:, :, 0] - data["u"][:, :, -1]).max() < 1e-9  # one period


def test_random_initial_states_are_refused_where_a_case_has_none() -> None:
    with pytest.raises(
        ConfigError, match="initial is 'random' in case 'III', expected 'case', or 'random' in case 'IV'"
    ):
        VariableAdvection("III", initial="random")
    with pytest.raises(ConfigError, match="initial is 'sine'"):
        VariableAdvection("IV", initial="sine")  # type: ignore[arg-type]


def test_a_speed_that_turns_back_is_refused() -> None:
    problem = VariableAdvection("III", inputs=SpectralGRF(sigma=5000.0, modes=4))
    with pytest.raises(ConfigError, match="not positive everywhere"):
        problem.generate(3, seed=0)
    with pytest.raises(ConfigError, match="'I', 'II', 'III' or 'IV'"):
        VariableAdvection("V")  # type: ignore[arg-type]


# Reaction and diffusion


def test_constant_states_grow_logistically() -> None:
    problem = ReactionDiffusion(rho=2.0, frames=5)
    u = problem.solve(torch.full((1, 16), 0.1))
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    expected = 0.1 * torch.exp(2 * t) / (1 + 0.1 * (torch.exp(2 * t) - 1))
    torch.testing.assert_close(u[0, :, 3], expected, rtol=1e-7, atol=0)


def test_without_reaction_waves_decay() -> None:
    u = ReactionDiffusion(nu=0.1, rho=0.0, frames=2).solve(0.5 + 0.4 * torch.cos(2 * math.pi * grid(32))[None])
    expected = 0.5 + 0.4 * math.exp(-0.1 * 4 * math.pi**2) * torch.cos(2 * math.pi * grid(32))
    torch.testing.assert_close(u[0, -1], expected, rtol=0, atol=1e-12)


def test_strang_splitting_has_order_two_and_meets_an_adaptive_solver() -> None:
    start = (0.5 + 0.4 * torch.cos(2 * math.pi * grid(32)))[None]
    k = 2 * math.pi * np.fft.fftfreq(32, 1 / 32)

    def rate(t: float, u: np.ndarray) -> np.ndarray:
        return 0.05 * np.fft.ifft(-(k**2) * np.fft.fft(u)).real + 4.0 * u * (1 - u)

    reference = solve_ivp(rate, (0, 0.5), start[0].numpy(), "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    errors = []
    for n in (20, 40, 80):
        problem = ReactionDiffusion(nu=0.05, rho=4.0, duration=0.5, frames=2, steps_per_unit=n)
        errors.append(np.abs(problem.solve(start)[0, -1].numpy() - reference).max())
    assert all(1.8 < math.log2(a / b) < 2.2 for a, b in pairwise(errors)), errors


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Advection(duration=0), "duration 0 .* a positive number"),
        (lambda: Advection(frames=1), "frames 1; expected .* at least 2"),
        (lambda: Advection(beta=math.inf), "beta is inf"),
        (lambda: VariableAdvection(length_scale=-1), "length_scale is -1 .* expected positive numbers"),
        (lambda: Burgers(nu=0), "nu is 0"),
        (lambda: DiffusionReaction(diffusion=0), "diffusion is 0, .* expected positive numbers"),
        (lambda: DiffusionReaction(nodes=3), "nodes is 3 and steps 100, expected at least 4 and 1"),
        (lambda: ReactionDiffusion(frames=1), "frames 1 .* at least 2 frames"),
        (lambda: Advection().generate(1, resolution=3), "resolution is 3, expected at least 4 points per axis"),
    ],
)
def test_impossible_parameters_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


PROBLEMS: list[Problem] = [
    Burgers(steps_per_unit=50),
    Burgers(steps_per_unit=50, frames=3),
    DiffusionReaction(steps=10),
    Advection(frames=3),
    VariableAdvection("I"),
    VariableAdvection("IV"),
    VariableAdvection("IV", initial="random"),
    ReactionDiffusion(frames=3, steps_per_unit=50),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_samples_depend_on_seed_and_place_alone(problem: Problem) -> None:
    whole = problem.generate(5, seed=2, resolution=24)
    part = problem.generate(2, seed=2, resolution=24, start=2)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles)
    for name, values in part.arrays.items():
        np.testing.assert_allclose(values, whole[name][2:4], rtol=0, atol=1e-11)
        assert len(whole.axes[name]) == values.ndim
        for axis, size in zip(whole.axes[name], values.shape, strict=True):
            assert axis == "sample" or len(whole.coords[axis]) == size
    assert whole.attrs["parameters"] == problem.parameters()
