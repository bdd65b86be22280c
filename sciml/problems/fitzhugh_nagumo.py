"""Two reacting and diffusing fields: the FitzHugh-Nagumo equations."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random.base import generators

__all__ = ["FitzHughNagumo"]


@dataclass(frozen=True)
class FitzHughNagumo(Problem):
    """FitzHugh-Nagumo: u_t = Du Lap u + u - u^3 - k - v, v_t = Dv Lap v + u - v on a square without flux, from noise.

    Args:
        diffusion_u: Diffusion Du of the activator, in the square of the length over the unit of time.
        diffusion_v: Diffusion Dv of the inhibitor, likewise.
        k: Constant of the reaction, in units of u per unit of time.
        duration: Final time T, in the same unit of time.
        frames: Number of times, from 0 to T.
        step: Largest time step, likewise; never larger than the diffusion allows.

    Reference:
        Takamoto et al.: PDEBench (2022): [-1, 1]^2, Du = 1e-3, Dv = 5e-3, k = 5e-3, T = 5, 101 frames, standard normal
        numbers in every cell at the start, other ones at every resolution. Five-point differences between the centres
        of cells, Runge-Kutta of order 4.

    Example:
        >>> data = FitzHughNagumo(duration=0.1, frames=2).generate(2, seed=0, resolution=16)
        >>> data["data"].shape  # time, then the fields u and v
        (2, 2, 2, 16, 16)
    """

    diffusion_u: float = 1e-3
    diffusion_v: float = 5e-3
    k: float = 5e-3
    duration: float = 5.0
    frames: int = 101
    step: float = 0.005

    name = "fitzhugh-nagumo"
    equation = "u_t = Du Lap u + u - u^3 - k - v, v_t = Dv Lap v + u - v on [-1, 1]^2, no flux"
    scheme = "five-point differences between cell centres, Runge-Kutta of order 4"
    default_resolution = 64
    layout = "groups"

    def __post_init__(self) -> None:
        positive = self.diffusion_u > 0 and self.diffusion_v > 0 and self.duration > 0 and self.step > 0
        if not (positive and self.frames >= 2):
            raise ConfigError(
                f"diffusion_u is {self.diffusion_u}, diffusion_v {self.diffusion_v}, duration {self.duration}, step "
                f"{self.step} and frames {self.frames}; expected positive numbers, and at least 2 frames."
            )

    def grid(self, n: int) -> RegularGrid:
        """Centres of the cells."""
        return RegularGrid((n, n), ((-1.0, 1.0), (-1.0, 1.0)), alignment="cell")

    def rate(self, state: Tensor) -> Tensor:
        """Time derivative of states ``(batch, 2, n, n)``."""
        n = state.shape[-1]
        # A copy of the last cells beyond the walls: no flux through them.
        wide = torch.nn.functional.pad(state, (1, 1, 1, 1), mode="replicate")
        laplace = wide[..., 2:, 1:-1] + wide[..., :-2, 1:-1] + wide[..., 1:-1, 2:] + wide[..., 1:-1, :-2] - 4 * state
        laplace = laplace * (n / 2) ** 2
        u, v = state.unbind(1)
        return torch.stack(
            [
                self.diffusion_u * laplace[:, 0] + u - u**3 - self.k - v,
                self.diffusion_v * laplace[:, 1] + u - v,
            ],
            1,
        )

    def solve(self, state: Tensor) -> Tensor:
        """States at the frames ``(batch, frames, 2, n, n)``, float64, from states ``(batch, 2, n, n)``."""
        n = state.shape[-1]
        # The scheme is stable up to 2.78 over the largest eigenvalue of the diffusion, 8 D (n / 2)^2.
        limit = 2.5 / (8 * max(self.diffusion_u, self.diffusion_v) * (n / 2) ** 2)
        interval = self.duration / (self.frames - 1)
        steps = math.ceil(interval / min(self.step, limit) - 1e-9)
        h = interval / steps
        state = state.double()
        result = [state]
        for _ in range(self.frames - 1):
            for _ in range(steps):
                k1 = self.rate(state)
                k2 = self.rate(state + h / 2 * k1)
                k3 = self.rate(state + h / 2 * k2)
                k4 = self.rate(state + h * k3)
                state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            result.append(state)
        return torch.stack(result, 1)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution)
        grid = self.grid(n)
        noise = np.stack([rng.standard_normal((2, n, n)) for rng in generators(num, seed, start)])
        states = self.solve(torch.from_numpy(noise)).numpy()
        return ProblemData(
            {"initial": noise, "data": states},
            {"initial": ("sample", "channel", "x1", "x2"), "data": ("sample", "time", "channel", "x1", "x2")},
            {
                "x1": grid.axes[0].numpy(),
                "x2": grid.axes[1].numpy(),
                "time": np.linspace(0, self.duration, self.frames),
            },
            {"initial": "input", "data": "target"},
            attrs=self.attributes(),
            grid=grid,
        )
