"""A pendulum with an external force."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.problems._ode import DrivenODE

__all__ = ["Pendulum"]


@dataclass(frozen=True)
class Pendulum(DrivenODE):
    """Gravity pendulum with an external force: s1' = s2, s2' = -k sin s1 + u(t), s(0) = 0; the target is s1.

    Args:
        length_scale: Length-scale of the Gaussian process (squared exponential kernel) that the force is drawn from,
            in units of time.
        duration: Final time T, in units of time.
        inputs: Sampler of the force instead of that process.
        k: Gravity over length, in the inverse square of the unit of time.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019), k = 1 and T in {1, 3, 5}.

    Example:
        >>> Pendulum().generate(3, seed=0, resolution=50, queries=1)["coords"].shape
        (3, 1, 1)
    """

    k: float = 1.0

    name = "pendulum"
    equation = "s1' = s2, s2' = -k sin(s1) + u(t), s(0) = 0"
    scheme = "Runge-Kutta of order 4, 200 steps per unit of time"
    num_states = 2

    def rhs(self, state: Tensor, u: Tensor) -> Tensor:
        return torch.stack([state[:, 1], u - self.k * torch.sin(state[:, 0])], 1)

    def residual(self, s: Tensor, s_tt: Tensor, u: Tensor) -> Tensor:
        """s'' + k sin s - u, zero for a solution; tensors of one shape."""
        return s_tt + self.k * torch.sin(s) - u
