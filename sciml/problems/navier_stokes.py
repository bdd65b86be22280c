"""Two-dimensional incompressible flow on a torus, as vorticity."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems._fourier import integrating_factor_rk4
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random import RandomFunctions, Sampler, SpectralGRF

__all__ = ["NavierStokes", "NavierStokesForced"]


@dataclass(frozen=True)
class _Vorticity(Problem):
    """Base of problems w_t + v . grad w = nu Laplace w + f, div v = 0, on a square torus."""

    equation: ClassVar[str] = "w_t + v . grad w = nu Laplace w + f, div v = 0, w = curl v, periodic"
    scheme: ClassVar[str] = "Fourier, 2/3 rule, integrating factor, Runge-Kutta of order 4"
    length: ClassVar[float]

    def _solve(self, w0: Tensor, force: Tensor, nu: float, duration: float, frames: int, step: float) -> Tensor:
        """Vorticity ``(batch, frames, n, n)`` at equally spaced times, the last of them the end.

        Args:
            w0: Initial vorticity ``(batch, n, n)``.
            force: Right-hand side ``(n, n)`` or ``(batch, n, n)``.
            nu: Viscosity.
            duration: Final time.
            frames: Number of times.
            step: Largest time step.
        """
        n = w0.shape[-1]
        unit = 2 * math.pi / self.length
        k1 = unit * torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)[:, None]
        k2 = unit * torch.arange(n // 2 + 1, dtype=torch.float64)
        square = k1**2 + k2**2
        # Strictly below n / 3: where n divides by 3, products of the mode n / 3 with itself come back as that mode.
        largest = unit * ((n - 1) // 3 + 0.5)
        keep = (k1.abs() < largest) & (k2 < largest)
        inverse = torch.where(square > 0, 1 / square.clamp(min=1e-30), 0)
        # Stream function psi with -Laplace psi = w; velocity (psi_y, -psi_x); transport in divergence form.
        to_velocity = torch.stack([1j * k2 * inverse, -1j * k1 * inverse])
        divergence = -torch.stack([1j * k1.expand_as(square), 1j * k2.expand_as(square)]) * keep
        source = torch.fft.rfft2(force.double()) * keep
        batch = w0.shape[0]

        def rate(state: Tensor) -> Tensor:
            w = state.view(batch, n, -1)
            fields = torch.fft.irfft2(torch.cat([w[None], to_velocity[:, None] * w]), (n, n))
            flux = torch.fft.rfft2(fields[1:] * fields[0])
            return (torch.einsum("dij,dbij->bij", divergence, flux) + source).view(batch, -1)

        steps = max(1, math.ceil(duration / frames / step - 1e-9))
        state = (torch.fft.rfft2(w0.double()) * keep).view(batch, -1)
        linear = -(nu * square).reshape(-1)
        states = integrating_factor_rk4(state, linear, rate, duration / frames / steps, steps, frames)
        result = torch.stack([torch.fft.irfft2(frame.view(batch, n, -1), (n, n)) for frame in states], 1)
        if not bool(torch.isfinite(result).all()):
            raise ConfigError(f"step is {step}, too large on {n} points: the solution grew without bound.")
        return result

    def _grid(self, n: int) -> RegularGrid:
        return RegularGrid((n, n), ((0.0, self.length), (0.0, self.length)), periodic=True)

    def _working_grid(self, n: int, points: int) -> RegularGrid:
        """The grid of the data, or a multiple of it that has the points of the solver."""
        return self._grid(n * max(1, math.ceil(points / n)))


def _check(nu: float, duration: float, frames: int, step: float, points: int) -> None:
    if not (nu > 0 and duration > 0 and frames >= 1 and step > 0 and points >= 8):
        raise ConfigError(
            f"nu is {nu}, duration {duration}, frames {frames}, step {step} and points {points}; expected positive "
            "numbers, and at least 8 points."
        )


@dataclass(frozen=True)
class NavierStokes(_Vorticity):
    """Navier-Stokes on the unit torus: from the initial vorticity to vorticity at later times, with a fixed force.

    Args:
        nu: Viscosity, in the square of the period over the unit of time; 1e-3, 1e-4 and 1e-5 are usual.
        duration: Final time T, in the same unit of time.
        frames: Number of equally spaced times of the target, the last of them T.
        step: Largest time step, likewise; 1e-2 keeps the scheme stable up to 128 points.
        modes: Fourier modes of the initial states per axis.
        points: Least number of points per axis of the solver.

    Reference:
        Li et al.: Fourier neural operator (2021): initial vorticity N(0, 7^(3/2) (-Laplace + 49)^(-5/2)), force
        0.1 (sin 2 pi (x + y) + cos 2 pi (x + y)).

    Example:
        >>> data = NavierStokes(duration=0.1, frames=2, points=16, modes=4).generate(2, seed=0, resolution=16)
        >>> data["w"].shape  # time comes first
        (2, 2, 16, 16)
    """

    nu: float = 1e-3
    duration: float = 10.0
    frames: int = 10
    step: float = 5e-3
    modes: int = 20
    points: int = 64

    name = "navier-stokes"
    default_resolution = 64
    length = 1.0

    def __post_init__(self) -> None:
        _check(self.nu, self.duration, self.frames, self.step, self.points)

    def sampler(self) -> Sampler:
        """Where the initial vorticity comes from."""
        return SpectralGRF(gamma=2.5, tau=7.0, sigma=7**0.75, bc="periodic", dim=2, modes=self.modes)

    def force(self, n: int) -> Tensor:
        """The force ``(n, n)`` on the grid."""
        x, y = torch.meshgrid(*self._grid(n).axes, indexing="ij")
        phase = 2 * math.pi * (x + y)
        return 0.1 * (torch.sin(phase) + torch.cos(phase))

    def solve(self, w0: Tensor, force: Tensor | None = None) -> Tensor:
        """Vorticity ``(batch, frames, n, n)``, float64, from initial vorticity ``(batch, n, n)``.

        Args:
            w0: At equispaced points of the period.
            force: Instead of the force of the problem, ``(n, n)`` or ``(batch, n, n)``.
        """
        force = self.force(w0.shape[-1]) if force is None else force
        return self._solve(w0, force, self.nu, self.duration, self.frames, self.step)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution, least=8)
        grid = self._working_grid(n, self.points)
        every = grid.shape[0] // n
        w0 = self.sampler().sample(num, seed, start).on(grid).values[:, 0]
        w = self.solve(w0)[..., ::every, ::every]
        coarse = self._grid(n)
        times = self.duration / self.frames * torch.arange(1, self.frames + 1, dtype=torch.float64)
        return ProblemData(
            {"w0": w0[:, ::every, ::every].numpy(), "w": w.contiguous().numpy()},
            {"w0": ("sample", "x1", "x2"), "w": ("sample", "time", "x1", "x2")},
            {"x1": coarse.axes[0].numpy(), "x2": coarse.axes[1].numpy(), "time": times.numpy()},
            {"w0": "input", "w": "target"},
            attrs=self.attributes(),
            grid=coarse,
        )


@dataclass(frozen=True)
class NavierStokesForced(_Vorticity):
    """Navier-Stokes on the torus [0, 2 pi]^2: from a random force to the vorticity at the end, from rest.

    Args:
        reynolds: Reynolds number, without units: the inverse of the viscosity.
        duration: Final time T, in units of length over speed.
        step: Largest time step, likewise.
        modes: Fourier modes of the force per axis.
        points: Least number of points per axis of the solver.

    Reference:
        The random-forcing benchmark of the works on neural operators from neural networks: Re = 500, T = 5, force
        N(0, 27 (-Laplace + 9)^-4).

    Example:
        >>> data = NavierStokesForced(duration=0.1, points=16, modes=4).generate(2, seed=0, resolution=16)
        >>> data["f"].shape, data["w"].shape
        ((2, 16, 16), (2, 16, 16))
    """

    reynolds: float = 500.0
    duration: float = 5.0
    step: float = 1e-2
    modes: int = 20
    points: int = 64

    name = "navier-stokes-forced"
    default_resolution = 64
    length = 2 * math.pi

    def __post_init__(self) -> None:
        _check(self.reynolds, self.duration, 1, self.step, self.points)

    def sampler(self) -> Sampler:
        """Where the force comes from."""
        # Eigenvalues of the Laplacian on a period of 2 pi are k^2: those of the unit box over (2 pi)^2.
        scale = (2 * math.pi) ** 2
        bounds = ((0.0, self.length),) * 2
        sigma = math.sqrt(27.0) * scale**2 / (2 * math.pi)
        tau = 3 * 2 * math.pi
        return SpectralGRF(gamma=4.0, tau=tau, sigma=sigma, dim=2, modes=self.modes, bounds=bounds)

    def solve(self, force: Tensor) -> Tensor:
        """Vorticity at the end ``(batch, n, n)``, float64, for forces ``(batch, n, n)``."""
        rest = torch.zeros_like(force, dtype=torch.float64)
        return self._solve(rest, force, 1 / self.reynolds, self.duration, 1, self.step)[:, 0]

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution, least=8)
        grid = self._working_grid(n, self.points)
        every = grid.shape[0] // n
        forces: RandomFunctions = self.sampler().sample(num, seed, start)
        f = forces.on(grid).values[:, 0]
        w = self.solve(f)[:, ::every, ::every]
        coarse = self._grid(n)
        return ProblemData(
            {"f": f[:, ::every, ::every].numpy(), "w": w.contiguous().numpy()},
            {"f": ("sample", "x1", "x2"), "w": ("sample", "x1", "x2")},
            {"x1": coarse.axes[0].numpy(), "x2": coarse.axes[1].numpy()},
            {"f": "input", "w": "target"},
            attrs=self.attributes(),
            grid=coarse,
        )
