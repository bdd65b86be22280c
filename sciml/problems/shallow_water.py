"""The shallow-water equations: a column of water that collapses."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random.base import generators

__all__ = ["ShallowWater"]


@dataclass(frozen=True)
class ShallowWater(Problem):
    """Shallow water: h_t + div(h v) = 0, (h v)_t + div(h v v) + g grad(h^2) / 2 = 0 on a square, a radial dam break.

    At the start the water rests, with depth 2 within a circle of random radius around the middle, and 1 outside.

    Args:
        gravity: g, in the unit of length over the square of that of time.
        duration: Final time T, in units of time.
        frames: Number of times, from 0 to T.
        half_width: The square is [-half_width, half_width]^2, in units of length; waves leave it freely.
        radius: Smallest and largest radius of the column, in units of length.
        depth: Depth within the column and outside, in units of length.
        cfl: Courant number, without units.

    Reference:
        Takamoto et al.: PDEBench (2022): half_width 2.5, radius from 0.3 to 0.7, 101 frames to T = 1. Solved with
        finite volumes: limited linear reconstruction (minmod), HLL fluxes, Runge-Kutta of order 2.

    Example:
        >>> data = ShallowWater(duration=0.1, frames=2).generate(2, seed=0, resolution=16)
        >>> data["h"].shape  # time comes first
        (2, 2, 16, 16)
    """

    gravity: float = 1.0
    duration: float = 1.0
    frames: int = 101
    half_width: float = 2.5
    radius: tuple[float, float] = (0.3, 0.7)
    depth: tuple[float, float] = (2.0, 1.0)
    cfl: float = 0.4

    name = "shallow-water"
    equation = "h_t + div(h v) = 0, (h v)_t + div(h v v) + g grad(h^2) / 2 = 0"
    scheme = "finite volumes: minmod reconstruction, HLL fluxes, Runge-Kutta of order 2"
    default_resolution = 64
    layout = "groups"

    def __post_init__(self) -> None:
        if not (self.gravity > 0 and self.duration > 0 and self.frames >= 2 and 0 < self.cfl <= 0.5):
            raise ConfigError(
                f"gravity is {self.gravity}, duration {self.duration}, frames {self.frames} and cfl {self.cfl}; "
                "expected positive numbers, at least 2 frames, and cfl at most 0.5."
            )
        if not (0 < self.radius[0] <= self.radius[1] < self.half_width and min(self.depth) > 0):
            raise ConfigError(
                f"radius is {self.radius} and depth {self.depth}; expected radii within the square and positive depths."
            )

    def grid(self, n: int) -> RegularGrid:
        """Centres of the cells."""
        side = (-self.half_width, self.half_width)
        return RegularGrid((n, n), (side, side), alignment="cell")

    def initial(self, radii: Tensor, n: int) -> Tensor:
        """States ``(num, 3, n, n)`` of depth and momenta, for radii ``(num,)``."""
        distance = self.grid(n).points.norm(dim=1).view(n, n)
        inside, outside = self.depth
        h = torch.where(distance <= radii[:, None, None], inside, outside).double()
        return torch.stack([h, torch.zeros_like(h), torch.zeros_like(h)], 1)

    def solve(self, state: Tensor) -> Tensor:
        """States at the frames ``(batch, frames, 3, n, n)``, float64, from states ``(batch, 3, n, n)``."""
        dx = 2 * self.half_width / state.shape[-1]
        interval = self.duration / (self.frames - 1)
        # A step for the fastest wave that there can be, so that it does not depend on the other samples.
        steps = math.ceil(interval * self.wave_speed() / (self.cfl * dx))
        h = interval / steps
        state = state.double()
        result = [state]
        for _ in range(self.frames - 1):
            for _ in range(steps):
                middle = state + h * self._rate(state, dx)
                state = (state + middle + h * self._rate(middle, dx)) / 2
            result.append(state)
        return torch.stack(result, 1)

    def _rate(self, state: Tensor, dx: float) -> Tensor:
        # Along the second axis the momenta exchange their parts, and so do the axes of the arrays.
        along_first = self._flux_difference(state)
        turned = self._flux_difference(state[:, [0, 2, 1]].mT)[:, [0, 2, 1]].mT
        return -(along_first + turned) / dx

    def _flux_difference(self, state: Tensor) -> Tensor:
        """Differences of the fluxes through the faces along the first axis, ``(batch, 3, n, n)``."""
        # Two cells beyond the walls repeat the last one: waves leave.
        ends = [state[:, :, :1]] * 2
        wide = torch.cat([*ends, state, *[state[:, :, -1:]] * 2], 2)
        jump = wide.diff(dim=2)
        before, after = jump[:, :, :-1], jump[:, :, 1:]
        slope = torch.where(before * after > 0, torch.where(before.abs() < after.abs(), before, after), 0.0)
        cell = wide[:, :, 1:-1]
        left, right = (cell + slope / 2)[:, :, :-1], (cell - slope / 2)[:, :, 1:]
        return self._hll(left, right).diff(dim=2)

    def _physical(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flux along the first axis, velocity and wave speed."""
        h, first, second = state.unbind(1)
        velocity = first / h
        flux = torch.stack([first, first * velocity + self.gravity / 2 * h.square(), second * velocity], 1)
        return flux, velocity, (self.gravity * h).sqrt()

    def _hll(self, left: Tensor, right: Tensor) -> Tensor:
        flux_left, v_left, c_left = self._physical(left)
        flux_right, v_right, c_right = self._physical(right)
        slow = torch.minimum(v_left - c_left, v_right - c_right).clamp(max=0)[:, None]
        fast = torch.maximum(v_left + c_left, v_right + c_right).clamp(min=0)[:, None]
        return (fast * flux_left - slow * flux_right + slow * fast * (right - left)) / (fast - slow)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution, least=8)
        radii = torch.tensor([rng.uniform(*self.radius) for rng in generators(num, seed, start)], dtype=torch.float64)
        states = self.solve(self.initial(radii, n))
        h = states[:, :, 0].contiguous().numpy()
        grid = self.grid(n)
        return ProblemData(
            {"h0": h[:, 0], "h": h},
            {"h0": ("sample", "x1", "x2"), "h": ("sample", "time", "x1", "x2")},
            {
                "x1": grid.axes[0].numpy(),
                "x2": grid.axes[1].numpy(),
                "time": np.linspace(0, self.duration, self.frames),
            },
            {"h0": "input", "h": "target"},
            attrs=self.attributes(radius=list(self.radius), depth=list(self.depth)),
            grid=grid,
        )

    def wave_speed(self) -> float:
        """Bound of the speed of waves: that of the front if the column fell onto dry ground."""
        return 2 * math.sqrt(self.gravity * max(self.depth))
