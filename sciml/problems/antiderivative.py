"""The antiderivative operator."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.problems._ode import DrivenODE
from sciml.spaces.random import RandomFunctions, cubic_splines

__all__ = ["Antiderivative"]


@dataclass(frozen=True)
class Antiderivative(DrivenODE):
    """Antiderivative: s'(x) = u(x), s(0) = 0.

    The operator is linear, so linear least squares solves it; print that beside any network.

    Args:
        length_scale: Length-scale of the Gaussian process (squared exponential kernel) that the inputs are drawn from,
            in units of x.
        duration: Length of the interval, in units of x.
        inputs: Sampler of the inputs instead of that process.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019). Solved exactly for the spline through the drawn nodes.

    Example:
        >>> data = Antiderivative().generate(3, seed=0, resolution=50)
        >>> data["u"].shape, data["s"].shape, float(data["s"][0, 0])
        ((3, 50), (3, 50), 0.0)
    """

    name = "antiderivative"
    equation = "s'(x) = u(x), s(0) = 0"
    scheme = "antiderivative of a cubic spline through the nodes of the input"

    def rhs(self, state: Tensor, u: Tensor) -> Tensor:
        return u[:, None]

    def solve(self, u: RandomFunctions, times: Tensor) -> Tensor:
        if not hasattr(u, "antiderivative"):
            nodes = torch.linspace(0, self.duration, 1000, dtype=torch.float64)
            u = cubic_splines(nodes, u(nodes))
        integral = u.antiderivative()
        if times.dim() == 1:
            return integral(times.double())
        return torch.cat([integral[i : i + 1](row.double()) for i, row in enumerate(times)])
