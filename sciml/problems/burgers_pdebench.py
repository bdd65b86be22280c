"""The Burgers equation with PDEBench's viscosity, initial states and times; it holds fronts thinner than a cell."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems._fourier import wave_numbers
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random import PDEBenchInitial, Sampler

__all__ = ["BurgersPDEBench"]

_CFL = 0.8
# Samples solved together: their states stay in the cache of a core.
_BATCH = 32
# Numbers of steps are multiples of it, so that samples with similar largest values are solved together.
_STEP_MULTIPLE = 4


@dataclass(frozen=True)
class BurgersPDEBench(Problem):
    r"""Burgers equation as in PDEBench: u_t + (u^2 / 2)_x = (nu / pi) u_xx on [0, 1), periodic. Mind the pi.

    Values are averages over cells. Advection is solved by finite volumes of second order (linear in each cell, slopes
    limited after van Leer, fluxes of the exact Riemann problem half a step ahead), diffusion exactly by FFT, the two
    joined by Strang splitting. Mass is kept, no new extrema arise, and fronts of any steepness stay sharp; where the
    solution is smooth, :class:`~sciml.problems.Burgers` is more accurate.

    Args:
        nu: :math:`\pi` times the viscosity, in the square of the period over the unit of time; PDEBench has 0.001,
            0.002, 0.004, 0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 1, 2 and 4.
        duration: Final time T, in the same unit of time.
        frames: Number of times, from 0 to T.
        cells: Least number of cells of the solver; the data are averages over these.
        inputs: Sampler of the initial states instead of PDEBench's; its functions must have period 1.

    Reference:
        Takamoto et al.: PDEBench (2022): 201 frames to T = 2 on 1024 cells, also by finite volumes of second order.

    Example:
        >>> BurgersPDEBench(frames=3, cells=64).generate(2, seed=0, resolution=32)["u"].shape  # time comes first
        (2, 3, 32)
    """

    nu: float = 0.01
    duration: float = 2.0
    frames: int = 201
    cells: int = 1024
    inputs: Sampler | None = None

    name = "burgers-pdebench"
    equation = "u_t + (u^2 / 2)_x = (nu / pi) u_xx on [0, 1), periodic"
    scheme = "finite volumes (MUSCL-Hancock, van Leer, exact Riemann solver) and exact diffusion, Strang splitting"
    default_resolution = 1024
    layout = "pdebench"

    def __post_init__(self) -> None:
        if not (self.nu > 0 and self.duration > 0 and self.frames >= 2 and self.cells >= 4):
            raise ConfigError(
                f"nu is {self.nu}, duration {self.duration}, frames {self.frames} and cells {self.cells}; expected "
                "positive numbers, at least 2 frames and 4 cells."
            )

    def sampler(self) -> Sampler:
        """Where the initial states come from."""
        return self.inputs or PDEBenchInitial()

    def solve(self, u0: Tensor) -> Tensor:
        """States at equally spaced times, the first 0 and the last T.

        Args:
            u0: Averages ``(batch, n)`` over ``n`` equal cells of the period, any dtype; solved in double.

        Returns:
            ``(batch, frames, n)``, float64.

        Raises:
            ConfigError: If a state is not finite.
        """
        u0 = u0.double()
        if not bool(torch.isfinite(u0).all()):
            raise ConfigError("u0 has NaN or infinite values, expected finite initial states.")
        n = u0.shape[-1]
        # Largest values never grow, so steps chosen at the start are stable to the end.
        steps = u0.abs().amax(1) * (self.duration / (self.frames - 1) * n / _CFL)
        steps = ((steps / _STEP_MULTIPLE).ceil().clamp(min=1) * _STEP_MULTIPLE).long()
        result = torch.empty(len(u0), self.frames, n, dtype=torch.float64, device=u0.device)
        for count in steps.unique().tolist():
            for rows in torch.nonzero(steps == count).squeeze(1).split(_BATCH):
                result[rows] = self._march(u0[rows], count)
        return result

    def _march(self, u: Tensor, steps: int) -> Tensor:
        """All frames ``(batch, frames, n)`` with the same number of steps between two of them."""
        n = u.shape[-1]
        h = self.duration / (self.frames - 1) / steps
        decay = torch.exp(-self.nu / math.pi * wave_numbers(n).square() * h).to(u.device)
        half = decay.sqrt()
        result = [u]
        for _ in range(self.frames - 1):
            u = _diffuse(u, half)
            for step in range(steps):
                # Half a step of diffusion after one step and half of it before the next are one whole step.
                u = _diffuse(_advect(u, h * n), decay if step < steps - 1 else half)
            result.append(u)
        return torch.stack(result, 1)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution)
        factor = -(-self.cells // n)
        fine, grid = (RegularGrid((size,), ((0.0, 1.0),), periodic=True, alignment="cell") for size in (n * factor, n))
        inputs = self.sampler().sample(num, seed, start)
        solution = self.solve(inputs.on(fine).values[:, 0]).unflatten(-1, (n, factor)).mean(-1).numpy()
        times = torch.linspace(0, self.duration, self.frames, dtype=torch.float64)
        return ProblemData(
            {"u0": solution[:, 0], "u": solution},
            {"u0": ("sample", "x1"), "u": ("sample", "time", "x1")},
            {"x1": grid.axes[0].numpy(), "time": times.numpy()},
            {"u0": "input", "u": "target"},
            attrs=self.attributes(),
            grid=grid,
        )

    def residual(self, u: Tensor, u_t: Tensor, u_x: Tensor, u_xx: Tensor) -> Tensor:
        """u_t + u u_x - (nu / pi) u_xx, zero for a solution; tensors of one shape."""
        return u_t + u * u_x - self.nu / math.pi * u_xx


def _diffuse(u: Tensor, decay: Tensor) -> Tensor:
    return torch.fft.irfft(torch.fft.rfft(u) * decay, u.shape[-1])


def _advect(u: Tensor, ratio: float) -> Tensor:
    """One step of u_t + (u^2 / 2)_x = 0 for cell averages ``(batch, n)``; ``ratio`` is the step over the cell size."""
    wide = torch.cat([u[:, -2:], u, u[:, :2]], 1)
    jump = wide.diff(dim=1)
    product = (jump[:, 1:] * jump[:, :-1]).clamp_(min=0)
    # Harmonic mean of the two differences, zero at extrema; half of it is half the change across a cell.
    slope = product / torch.where(product > 0, wide[:, 2:] - wide[:, :-2], 1)
    inner = wide[:, 1:-1]
    # Half a step ahead, both edge values change by -u u_x.
    ahead = inner - ratio * inner * slope
    left, right = (ahead + slope)[:, :-1], (ahead - slope)[:, 1:]
    flux = torch.maximum(left.clamp(min=0), -right.clamp(max=0)).square() / 2
    return u - ratio * flux.diff(dim=1)
