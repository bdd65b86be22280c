"""Ordinary differential equations driven by a random input function, solved for many inputs at once."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import Function, RegularGrid
from sciml.spaces.random import GaussianProcess, RandomFunctions, Sampler
from sciml.spaces.random.base import generators

__all__ = ["DrivenODE", "runge_kutta"]


def runge_kutta(problem: "DrivenODE", inputs: RandomFunctions, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Classical Runge-Kutta of order four for all inputs together.

    Returns:
        Times ``(steps + 1,)``, states ``(num, steps + 1, dim)`` and their derivatives, float64.
    """
    h = problem.duration / steps
    # Inputs at the steps and half-way between them.
    u = inputs(torch.linspace(0, problem.duration, 2 * steps + 1, dtype=torch.float64))
    state = torch.zeros(len(u), problem.num_states, dtype=torch.float64)
    states = [state]
    for step in range(steps):
        left, middle, right = u[:, 2 * step], u[:, 2 * step + 1], u[:, 2 * step + 2]
        k1 = problem.rhs(state, left)
        k2 = problem.rhs(state + h / 2 * k1, middle)
        k3 = problem.rhs(state + h / 2 * k2, middle)
        k4 = problem.rhs(state + h * k3, right)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(state)
    trajectory = torch.stack(states, 1)
    slopes = problem.rhs(trajectory.flatten(0, 1), u[:, ::2].reshape(-1)).view_as(trajectory)
    return torch.linspace(0, problem.duration, steps + 1, dtype=torch.float64), trajectory, slopes


@dataclass(frozen=True)
class DrivenODE(Problem):
    """Base of problems s' = f(s, u(t)), s(0) = 0 on [0, T]; one component of the state is the target.

    Args:
        length_scale: Length-scale of the Gaussian process (squared exponential kernel) that the inputs are drawn from.
        duration: T.
        inputs: Sampler of the inputs instead of that process.
    """

    length_scale: float = 0.2
    duration: float = 1.0
    inputs: Sampler | None = None

    default_resolution: ClassVar[int] = 100
    num_states: ClassVar[int] = 1
    steps_per_unit: ClassVar[int] = 200

    def __post_init__(self) -> None:
        if not (self.length_scale > 0 and self.duration > 0):
            raise ConfigError(
                f"length_scale is {self.length_scale} and duration {self.duration}, expected positive numbers."
            )

    @abstractmethod
    def rhs(self, state: Tensor, u: Tensor) -> Tensor:
        """Right-hand side ``(num, states)`` for states ``(num, states)`` and inputs ``(num,)``."""

    def sampler(self) -> Sampler:
        """Where the inputs come from."""
        if self.inputs is not None:
            return self.inputs
        nodes = max(1000, round(1000 * self.duration))
        return GaussianProcess(length_scale=self.length_scale, bounds=((0.0, self.duration),), nodes=nodes)

    def solve(self, u: RandomFunctions, times: Tensor) -> Tensor:
        """The target at given times.

        Args:
            u: Input functions.
            times: ``(n,)`` for all functions, or ``(num, n)``.

        Returns:
            ``(num, n)``, float64; cubic Hermite interpolation between the steps, of the order of the steps.
        """
        steps = max(1, round(self.steps_per_unit * self.duration))
        nodes, states, slopes = runge_kutta(self, u, steps)
        return _hermite(nodes, states[..., 0], slopes[..., 0], times.double().expand(len(u), -1))

    def generate(
        self,
        num: int,
        *,
        seed: int = 0,
        resolution: int | None = None,
        start: int = 0,
        queries: int | None = None,
    ) -> ProblemData:
        """Inputs ``u`` at equispaced sensors, and the target ``s`` at the same points.

        Args:
            num: Number of samples.
            seed: Seed of the sequence.
            resolution: Number of sensors.
            start: First sample.
            queries: Give the target at as many random times instead, others for every sample, in ``coords``.
        """
        n = self._resolution(resolution, least=2)
        functions = self.sampler().sample(num, seed, start)
        grid = RegularGrid((n,), ((0.0, self.duration),))
        u = functions.on(grid).values[:, 0].numpy()
        arrays: dict[str, np.ndarray] = {"u": u}
        axes: dict[str, tuple[str, ...]] = {"u": ("sample", "x1")}
        if queries is None:
            arrays["s"], axes["s"] = self.solve(functions, grid.axes[0]).numpy(), ("sample", "x1")
        else:
            rows = [rng.uniform(0, self.duration, queries) for rng in generators(num, seed, start, stream=1)]
            times = torch.from_numpy(np.stack(rows))
            arrays |= {"coords": times[..., None].numpy(), "s": self.solve(functions, times).numpy()}
            axes |= {"coords": ("sample", "point", "dim"), "s": ("sample", "point")}
        roles = {"u": "input", "s": "target", "coords": "coords"}
        return ProblemData(
            arrays,
            axes,
            {"x1": grid.axes[0].numpy()},
            {name: roles[name] for name in arrays},
            attrs=self.attributes(),
            grid=grid,
        )

    def solve_on(self, functions: RandomFunctions, grid: RegularGrid) -> Function:
        """The target as a function on a grid."""
        return Function(self.solve(functions, grid.axes[0])[:, None], grid, "s")


def _hermite(nodes: Tensor, values: Tensor, slopes: Tensor, times: Tensor) -> Tensor:
    h = nodes[1] - nodes[0]
    cell = (torch.searchsorted(nodes, times.contiguous(), right=True) - 1).clamp(0, len(nodes) - 2)
    t = (times - nodes[cell]) / h
    left, right = values.gather(1, cell), values.gather(1, cell + 1)
    slope_left, slope_right = h * slopes.gather(1, cell), h * slopes.gather(1, cell + 1)
    return (
        (1 + 2 * t) * (1 - t) ** 2 * left
        + t * (1 - t) ** 2 * slope_left
        + t**2 * (3 - 2 * t) * right
        + t**2 * (t - 1) * slope_right
    )
