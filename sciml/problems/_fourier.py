"""Pseudo-spectral time stepping of periodic problems u_t = L u + N(u), many samples together."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["integrating_factor_rk4", "wave_numbers"]


def wave_numbers(n: int, length: float = 1.0) -> Tensor:
    """Angular wave numbers of a real transform on ``n`` points of a period."""
    return 2 * math.pi / length * torch.arange(n // 2 + 1, dtype=torch.float64)


def integrating_factor_rk4(
    state: Tensor, linear: Tensor, nonlinear: Callable[[Tensor], Tensor], step: float, num_steps: int, frames: int
) -> Iterator[Tensor]:
    """Runge-Kutta of order four for the nonlinear part, the linear one solved exactly.

    Args:
        state: Spectral coefficients ``(batch, k)``.
        linear: Eigenvalues of L ``(k,)``.
        nonlinear: N in spectral coefficients.
        step: Length of a time step.
        num_steps: Number of steps between two frames.
        frames: Number of frames after the initial state.

    Yields:
        The coefficients at each frame.
    """
    half, whole = torch.exp(linear * step / 2), torch.exp(linear * step)
    for _ in range(frames):
        for _ in range(num_steps):
            k1 = nonlinear(state)
            middle = half * state
            k2 = nonlinear(middle + step / 2 * half * k1)
            k3 = nonlinear(middle + step / 2 * k2)
            k4 = nonlinear(whole * state + step * half * k3)
            state = whole * state + step / 6 * (whole * k1 + 2 * half * (k2 + k3) + k4)
        yield state
