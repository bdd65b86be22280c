"""Diffusion and reaction with a source."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems._chebyshev import coefficients, exponential_functions, interpolation_matrix, nodes_and_derivative
from sciml.problems._resolved import warn_if_unresolved
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random import GaussianProcess, Sampler

__all__ = ["DiffusionReaction"]


@dataclass(frozen=True)
class DiffusionReaction(Problem):
    """Diffusion-reaction with a source: s_t = D s_xx + k s^2 + u(x) on (0, 1), zero at the start and at both ends.

    Args:
        diffusion: D, in the square of the length over the unit of time.
        reaction: k, in the inverse of the unit of time and of that of s.
        duration: Final time T, in the same unit of time.
        length_scale: Length-scale of the Gaussian process (squared exponential kernel) that the sources are drawn from,
            in lengths of the interval.
        inputs: Sampler of the sources instead of that process.
        nodes: Chebyshev polynomials in space.
        steps: Least number of time steps.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019), D = k = 0.01. Chebyshev collocation in space; in time the exponential
        Runge-Kutta method of order 4 of Krogstad, which is exact for the linear equation with its source.

    Example:
        >>> data = DiffusionReaction().generate(2, seed=0, resolution=20)
        >>> data["u"].shape, data["s"].shape  # time comes first
        ((2, 20), (2, 20, 20))
    """

    diffusion: float = 0.01
    reaction: float = 0.01
    duration: float = 1.0
    length_scale: float = 0.2
    inputs: Sampler | None = None
    nodes: int = 64
    steps: int = 100

    name = "diffusion-reaction"
    equation = "s_t = D s_xx + k s^2 + u(x) on (0, 1), s = 0 at t = 0, x = 0 and x = 1"
    scheme = "Chebyshev collocation, exponential Runge-Kutta of order 4"
    default_resolution = 100

    def __post_init__(self) -> None:
        if not (self.diffusion > 0 and self.duration > 0 and self.length_scale > 0):
            raise ConfigError(
                f"diffusion is {self.diffusion}, duration {self.duration} and length_scale {self.length_scale}; "
                "expected positive numbers."
            )
        if self.nodes < 4 or self.steps < 1:
            raise ConfigError(f"nodes is {self.nodes} and steps {self.steps}, expected at least 4 and 1.")

    def sampler(self) -> Sampler:
        """Where the sources come from."""
        return self.inputs or GaussianProcess(length_scale=self.length_scale)

    @cached_property
    def _space(self) -> tuple[Tensor, Tensor]:
        """Collocation nodes, and the second derivative between the inner ones."""
        x, derivative = nodes_and_derivative(self.nodes)
        return x, (derivative @ derivative)[1:-1, 1:-1]

    @property
    def collocation(self) -> Tensor:
        """Points in space at which :meth:`solve` takes the source."""
        return self._space[0]

    def solve(self, source: Tensor, frames: int) -> Tensor:
        """Solution at equally spaced times, the first 0 and the last T.

        Args:
            source: Values ``(batch, nodes + 1)`` at :attr:`collocation`.
            frames: Number of times, at least 2.

        Returns:
            ``(batch, frames, nodes + 1)`` at the collocation points, float64.

        Warns:
            UserWarning: If the source is too rough for as many nodes.
        """
        way_out = f"Take more than {self.nodes} nodes, or smoother sources."
        warn_if_unresolved(coefficients(source.double()), "the source", way_out)
        intervals = frames - 1
        inner = max(1, -(-self.steps // intervals))
        h = self.duration / (intervals * inner)
        linear = self.diffusion * h * self._space[1]
        e1, p1, p2, p3 = (matrix.T for matrix in exponential_functions(linear))
        e2, q1, q2, _ = (matrix.T for matrix in exponential_functions(linear / 2))
        u = source.double()[:, 1:-1]

        def rate(s: Tensor) -> Tensor:
            return self.reaction * s.square() + u

        s = torch.zeros_like(u)
        result = [s]
        for _ in range(intervals):
            for _ in range(inner):
                n1 = rate(s)
                half = s @ e2
                n2 = rate(half + h / 2 * n1 @ q1)
                n3 = rate(half + h * (n1 @ (q1 / 2 - q2) + n2 @ q2))
                n4 = rate(s @ e1 + h * (n1 @ (p1 - 2 * p2) + 2 * n3 @ p2))
                s = s @ e1 + h * (n1 @ (p1 - 3 * p2 + 4 * p3) + (n2 + n3) @ (2 * p2 - 4 * p3) + n4 @ (4 * p3 - p2))
            result.append(s)
        return torch.nn.functional.pad(torch.stack(result, 1), (1, 1))

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution)
        functions = self.sampler().sample(num, seed, start)
        grid = RegularGrid((n,), ((0.0, 1.0),))
        solution = self.solve(functions(self.collocation), n) @ interpolation_matrix(self.collocation, grid.axes[0]).T
        times = torch.linspace(0, self.duration, n, dtype=torch.float64)
        return ProblemData(
            {"u": functions.on(grid).values[:, 0].numpy(), "s": solution.numpy()},
            {"u": ("sample", "x1"), "s": ("sample", "time", "x1")},
            {"x1": grid.axes[0].numpy(), "time": times.numpy()},
            {"u": "input", "s": "target"},
            attrs=self.attributes(),
            grid=grid,
        )

    def residual(self, s: Tensor, s_t: Tensor, s_xx: Tensor, u: Tensor) -> Tensor:
        """s_t - D s_xx - k s^2 - u, zero for a solution; tensors of one shape."""
        return s_t - self.diffusion * s_xx - self.reaction * s.square() - u
