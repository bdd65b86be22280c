"""Reaction and diffusion in one dimension: the Fisher-KPP equation."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems._fourier import wave_numbers
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random import PDEBenchInitial, RandomFunctions, Sampler

__all__ = ["ReactionDiffusion"]


@dataclass(frozen=True)
class ReactionDiffusion(Problem):
    """Reaction-diffusion: u_t = nu u_xx + rho u (1 - u) on [0, 1), periodic, from states in [0, 1].

    Args:
        nu: Diffusion, in the square of the period over the unit of time.
        rho: Rate of the reaction, per unit of time.
        duration: Final time T, in the same unit of time.
        frames: Number of times, from 0 to T.
        steps_per_unit: Least number of time steps per unit of time.
        inputs: Sampler whose functions, scaled to [0, 1], are the initial states; PDEBench's when None.

    Reference:
        Takamoto et al.: PDEBench (2022). Strang splitting: logistic growth and diffusion, each solved exactly.

    Example:
        >>> data = ReactionDiffusion(frames=3).generate(2, seed=0, resolution=16)
        >>> data["u"].shape, bool((data["u"] >= -1e-3).all())
        ((2, 3, 16), True)
    """

    nu: float = 0.5
    rho: float = 1.0
    duration: float = 1.0
    frames: int = 101
    steps_per_unit: int = 1000
    inputs: Sampler | None = None

    name = "reaction-diffusion"
    equation = "u_t = nu u_xx + rho u (1 - u) on [0, 1), periodic"
    scheme = "Strang splitting of exact logistic growth and exact diffusion by FFT"
    default_resolution = 1024

    def __post_init__(self) -> None:
        if not (self.nu > 0 and self.duration > 0 and self.frames >= 2 and self.steps_per_unit >= 1):
            raise ConfigError(
                f"nu is {self.nu}, duration {self.duration}, frames {self.frames} and steps_per_unit "
                f"{self.steps_per_unit}; expected positive numbers, and at least 2 frames."
            )

    def sampler(self) -> Sampler:
        """Where the initial states come from, before they are scaled to [0, 1]."""
        return self.inputs or PDEBenchInitial()

    def initial(self, inputs: RandomFunctions, x: Tensor) -> Tensor:
        """Absolute values of the functions over their maximum on 1024 points, ``(num, n)``."""
        fine = torch.arange(1024, dtype=torch.float64) / 1024
        return inputs(x).abs() / inputs(fine).abs().amax(1, keepdim=True)

    def solve(self, u0: Tensor) -> Tensor:
        """Solution at the frames ``(batch, frames, n)``, float64, from states ``(batch, n)`` on a period."""
        n, intervals = u0.shape[-1], self.frames - 1
        steps = max(1, math.ceil(self.steps_per_unit * self.duration / intervals))
        h = self.duration / intervals / steps
        decay = torch.exp(-self.nu * wave_numbers(n).square() * h)
        growth, half = math.exp(self.rho * h), math.exp(self.rho * h / 2)

        def react(u: Tensor, factor: float) -> Tensor:
            return u * factor / (1 + u * (factor - 1))

        u = u0.double()
        result = [u]
        for _ in range(intervals):
            u = react(u, half)
            for step in range(steps):
                u = torch.fft.irfft(torch.fft.rfft(u) * decay, n)
                # Two half steps of the reaction that meet are one whole step.
                u = react(u, growth if step < steps - 1 else half)
            result.append(u)
        return torch.stack(result, 1)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution)
        grid = RegularGrid((n,), ((0.0, 1.0),), periodic=True, alignment="cell")
        inputs = self.sampler().sample(num, seed, start)
        solution = self.solve(self.initial(inputs, grid.axes[0])).numpy()
        times = torch.linspace(0, self.duration, self.frames, dtype=torch.float64)
        return ProblemData(
            {"u0": solution[:, 0], "u": solution},
            {"u0": ("sample", "x1"), "u": ("sample", "time", "x1")},
            {"x1": grid.axes[0].numpy(), "time": times.numpy()},
            {"u0": "input", "u": "target"},
            attrs=self.attributes(),
            grid=grid,
        )

    def residual(self, u: Tensor, u_t: Tensor, u_xx: Tensor) -> Tensor:
        """u_t - nu u_xx - rho u (1 - u), zero for a solution; tensors of one shape."""
        return u_t - self.nu * u_xx - self.rho * u * (1 - u)
