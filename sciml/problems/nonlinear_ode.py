"""A nonlinear ordinary differential equation of first order."""

from dataclasses import dataclass

from torch import Tensor

from sciml.problems._ode import DrivenODE

__all__ = ["NonlinearODE"]


@dataclass(frozen=True)
class NonlinearODE(DrivenODE):
    """Nonlinear ODE: s' = -s^2 + u(x), s(0) = 0.

    Args:
        length_scale: Length-scale of the Gaussian process (squared exponential kernel) that the inputs are drawn from,
            in units of x.
        duration: Length of the interval, in units of x.
        inputs: Sampler of the inputs instead of that process.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019).

    Example:
        >>> NonlinearODE().generate(3, seed=0, resolution=50)["s"].shape
        (3, 50)
    """

    name = "nonlinear-ode"
    equation = "s'(x) = -s(x)^2 + u(x), s(0) = 0"
    scheme = "Runge-Kutta of order 4, 200 steps per unit"

    def rhs(self, state: Tensor, u: Tensor) -> Tensor:
        return u[:, None] - state.square()
