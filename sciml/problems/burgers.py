"""The viscous Burgers equation on a periodic interval."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems._fourier import integrating_factor_rk4, wave_numbers
from sciml.problems._resolved import warn_if_unresolved
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random import RandomFunctions, Sampler, SpectralGRF

__all__ = ["Burgers"]


@dataclass(frozen=True)
class Burgers(Problem):
    """Burgers equation: u_t + (u^2 / 2)_x = nu u_xx on [0, 1), periodic, from u(0) to u(T).

    Args:
        nu: Viscosity, in the square of the period over the unit of time.
        duration: Final time T, in the same unit of time.
        frames: Number of equally spaced times of the target, the last of them T; one gives the final state alone.
        steps_per_unit: Time steps per unit of time.
        modes: Fourier modes of the initial states.
        points: Points of the solver, at least three for every mode.

    Reference:
        Li et al.: Fourier neural operator (2021): nu = 0.1, initial states from N(0, 625 (-Laplace + 25)^-2). Solved
        with a Fourier method, products free of aliasing by the 2/3 rule, diffusion exact, Runge-Kutta of order 4.

    Example:
        >>> data = Burgers(steps_per_unit=100).generate(2, seed=0, resolution=64)
        >>> data["u0"].shape, data["u"].shape
        ((2, 64), (2, 64))
    """

    nu: float = 0.1
    duration: float = 1.0
    frames: int = 1
    steps_per_unit: int = 400
    modes: int = 128
    points: int = 512

    name = "burgers"
    equation = "u_t + (u^2 / 2)_x = nu u_xx on [0, 1), periodic"
    scheme = "Fourier, 2/3 rule, integrating factor, Runge-Kutta of order 4"
    default_resolution = 128

    def __post_init__(self) -> None:
        if not (self.nu > 0 and self.duration > 0 and self.frames >= 1 and self.steps_per_unit >= 1):
            raise ConfigError(
                f"nu is {self.nu}, duration {self.duration}, frames {self.frames} and steps_per_unit "
                f"{self.steps_per_unit}; expected positive numbers."
            )
        if self.points < 3 * self.modes:
            raise ConfigError(
                f"points is {self.points} for {self.modes} modes, expected at least {3 * self.modes}: fewer cannot "
                "hold the squares of the initial states."
            )

    def sampler(self) -> Sampler:
        """Where the initial states come from."""
        return SpectralGRF(gamma=2.0, tau=5.0, sigma=25.0, bc="periodic", modes=self.modes)

    def solve(self, u0: Tensor) -> Tensor:
        """States at the frames.

        Args:
            u0: Initial states ``(batch, n)`` at ``n`` equispaced points of the period, any dtype; solved in double.

        Returns:
            ``(batch, frames, n)``, float64.

        Raises:
            ConfigError: If the solution is not finite: more steps are needed.

        Warns:
            UserWarning: If a front is thinner than the points resolve.
        """
        n = u0.shape[-1]
        k = wave_numbers(n)
        keep = torch.arange(n // 2 + 1) <= n // 3
        factor = torch.where(keep, -0.5j * k, 0)

        def nonlinear(state: Tensor) -> Tensor:
            return factor * torch.fft.rfft(torch.fft.irfft(state, n).square())

        steps = max(1, math.ceil(self.steps_per_unit * self.duration / self.frames))
        step = self.duration / self.frames / steps
        state = torch.fft.rfft(u0.double()) * keep
        states = integrating_factor_rk4(state, -self.nu * k.square(), nonlinear, step, steps, self.frames)
        spectra = torch.stack(list(states), 1)
        result = torch.fft.irfft(spectra, n)
        if not bool(torch.isfinite(result).all()):
            raise ConfigError(f"steps_per_unit is {self.steps_per_unit}, too few for nu {self.nu}: the solution grew.")
        warn_if_unresolved(
            spectra[..., : n // 3 + 1],
            "the solution",
            f"Solve on more than {n} points (and with more steps), or take burgers-pdebench, which holds fronts.",
        )
        return result

    def solve_for(self, inputs: RandomFunctions, grid: RegularGrid) -> Tensor:
        """Solutions ``(num, frames, n)`` on a periodic grid, computed on the points of the solver."""
        fine = RegularGrid((self.points,), ((0.0, 1.0),), periodic=True)
        solution = self.solve(inputs.on(fine).values[:, 0])
        # A trigonometric polynomial is known everywhere: take its coefficients to the grid.
        coefficients = torch.fft.rfft(solution) / self.points
        k = torch.arange(coefficients.shape[-1], dtype=torch.float64)
        phase = 2 * math.pi * grid.axes[0][:, None] * k
        weight = torch.where(k > 0, 2.0, 1.0).double()
        return (coefficients.real * weight) @ torch.cos(phase).T - (coefficients.imag * weight) @ torch.sin(phase).T

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        grid = RegularGrid((self._resolution(resolution),), ((0.0, 1.0),), periodic=True)
        inputs = self.sampler().sample(num, seed, start)
        solution = self.solve_for(inputs, grid).numpy()
        coords = {"x1": grid.axes[0].numpy()}
        axes: dict[str, tuple[str, ...]] = {"u0": ("sample", "x1"), "u": ("sample", "x1")}
        if self.frames > 1:
            axes["u"] = ("sample", "time", "x1")
            coords["time"] = self.duration / self.frames * torch.arange(1, self.frames + 1, dtype=torch.float64).numpy()
        else:
            solution = solution[:, 0]
        u0 = inputs.on(grid).values[:, 0].numpy()
        roles = {"u0": "input", "u": "target"}
        return ProblemData({"u0": u0, "u": solution}, axes, coords, roles, attrs=self.attributes(), grid=grid)

    def residual(self, u: Tensor, u_t: Tensor, u_x: Tensor, u_xx: Tensor) -> Tensor:
        """u_t + u u_x - nu u_xx, zero for a solution; tensors of one shape."""
        return u_t + u * u_x - self.nu * u_xx
