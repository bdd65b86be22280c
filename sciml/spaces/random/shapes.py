"""Fields with two values, sums of bumps, and random star-shaped domains."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.random.base import RandomFunctions, Sampler, generators
from sciml.spaces.random.spectral import SpectralGRF

__all__ = ["GaussianBumps", "PiecewiseConstant", "StarShape"]


@dataclass(frozen=True)
class PiecewiseConstant(Sampler):
    """Two values, by the sign of another random field.

    Args:
        field: The sampler whose functions decide.
        above: Value where they are not below the threshold.
        below: Value elsewhere.
        threshold: Number that they are compared with.

    Reference:
        Li et al.: Fourier neural operator (2021): permeabilities 12 and 3 of Darcy flow.

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> draw = PiecewiseConstant().sample(1, seed=0)
        >>> draw.on(RegularGrid((16, 16), ((0, 1), (0, 1)))).values.unique().tolist()
        [3.0, 12.0]
    """

    field: Sampler = field(
        default_factory=lambda: SpectralGRF(gamma=2.0, tau=3.0, sigma=1.0, bc="neumann", dim=2, modes=64)
    )
    above: float = 12.0
    below: float = 3.0
    threshold: float = 0.0

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of axes."""
        return self.field.dim

    def sample(self, num: int, seed: int = 0, start: int = 0) -> RandomFunctions:
        return _TwoValued(self, self.field.sample(num, seed, start))


@dataclass(frozen=True, eq=False)
class _TwoValued(RandomFunctions):
    sampler: PiecewiseConstant
    inner: RandomFunctions

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.inner.dim

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: slice) -> "_TwoValued":
        return _TwoValued(self.sampler, self.inner[index])

    def _choose(self, values: Tensor) -> Tensor:
        levels = torch.tensor([self.sampler.below, self.sampler.above], dtype=values.dtype, device=values.device)
        return levels[(values >= self.sampler.threshold).long()]

    def _evaluate(self, points: Tensor) -> Tensor:
        return self._choose(self.inner._evaluate(points))

    def _evaluate_tensor(self, axes: list[Tensor]) -> Tensor:
        return self._choose(self.inner._evaluate_tensor(axes))


@dataclass(frozen=True)
class GaussianBumps(Sampler):
    r"""Sums of Gaussian bumps :math:`\sum_i a_i \exp(-|x - c_i|^2 / (2 s_i^2))` at random places of a box.

    Args:
        num_bumps: Number of bumps.
        widths: Smallest and largest width :math:`s_i`.
        amplitudes: Smallest and largest :math:`a_i`.
        bounds: ``(begin, end)`` per axis.

    Raises:
        ConfigError: If a range is empty, or a width not positive.

    Example:
        >>> GaussianBumps(bounds=((0, 1), (0, 1))).sample(3, seed=0)(torch.rand(7, 2)).shape
        torch.Size([3, 7])
    """

    num_bumps: int = 5
    widths: tuple[float, float] = (0.05, 0.2)
    amplitudes: tuple[float, float] = (0.0, 1.0)
    bounds: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def __post_init__(self) -> None:
        if self.num_bumps < 1 or not 0 < self.widths[0] <= self.widths[1] or self.amplitudes[0] > self.amplitudes[1]:
            raise ConfigError(
                f"num_bumps is {self.num_bumps}, widths {self.widths} and amplitudes {self.amplitudes}; expected a "
                "positive number, and pairs in ascending order with positive widths."
            )

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of axes."""
        return len(self.bounds)

    def sample(self, num: int, seed: int = 0, start: int = 0) -> RandomFunctions:
        low, high = np.array(self.bounds, dtype=float).T
        rows = [
            np.column_stack(
                [
                    rng.uniform(low, high, (self.num_bumps, self.dim)),
                    rng.uniform(*self.widths, self.num_bumps),
                    rng.uniform(*self.amplitudes, self.num_bumps),
                ]
            )
            for rng in generators(num, seed, start)
        ]
        return _Bumps(torch.from_numpy(np.stack(rows)))


@dataclass(frozen=True, eq=False)
class _Bumps(RandomFunctions):
    """Centres, width and amplitude of each bump, ``(num, bumps, dim + 2)``."""

    table: Tensor

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.table.shape[-1] - 2

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: slice) -> "_Bumps":
        return _Bumps(self.table[index])

    def _evaluate(self, points: Tensor) -> Tensor:
        table = self.table.to(points.device)
        centre, width, amplitude = table[..., : self.dim], table[..., -2], table[..., -1]
        square = (points - centre[:, :, None]).square().sum(-1)
        return (amplitude[..., None] * torch.exp(-square / (2 * width[..., None].square()))).sum(1)


@dataclass(frozen=True)
class StarShape:
    r"""Star-shaped domains :math:`|x| \le r(\theta)` with a random smooth radius.

    .. math:: r(\theta) = 1 + \sum_{m=2}^{M} a_m \cos m\theta + b_m \sin m\theta, \qquad |a_m|, |b_m| \le A

    Args:
        amplitude: A, uniformly distributed.
        max_mode: M.

    Raises:
        ConfigError: If the radius could reach zero.

    Example:
        >>> shape = StarShape().sample(2, seed=0)[0:1]
        >>> shape.radius(torch.zeros(1)).shape
        torch.Size([1, 1])
    """

    amplitude: float = 0.1
    max_mode: int = 5

    def __post_init__(self) -> None:
        if self.max_mode < 2 or not 0 <= self.amplitude * math.sqrt(2) * (self.max_mode - 1) < 1:
            raise ConfigError(
                f"amplitude is {self.amplitude} and max_mode {self.max_mode}; expected at least mode 2, and an "
                "amplitude below 1 / (sqrt(2) (max_mode - 1)), so that the radius stays positive."
            )

    def sample(self, num: int, seed: int = 0, start: int = 0) -> "Stars":
        """Domains ``start`` to ``start + num - 1`` of the sequence of a seed."""
        size = (2, self.max_mode - 1)
        rows = [rng.uniform(-self.amplitude, self.amplitude, size) for rng in generators(num, seed, start)]
        return Stars(torch.from_numpy(np.stack(rows)))


@dataclass(frozen=True, eq=False)
class Stars:
    """A batch of star-shaped domains.

    Args:
        coefficients: ``(num, 2, modes)``: of the cosines and sines, from mode 2.
    """

    coefficients: Tensor

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, index: slice) -> "Stars":
        return Stars(self.coefficients[index])

    def radius(self, angle: Tensor) -> Tensor:
        """Radius ``(num, n)`` at angles ``(n,)``."""
        modes = torch.arange(2, 2 + self.coefficients.shape[-1], dtype=torch.float64, device=angle.device)
        phase = modes[:, None] * angle.double()
        waves = torch.stack([torch.cos(phase), torch.sin(phase)])
        return (1 + torch.einsum("nkm,kma->na", self.coefficients.to(angle.device), waves)).to(angle.dtype)

    def boundary(self, num_points: int) -> Tensor:
        """Points on the boundary ``(num, num_points, 2)``, equally spaced in angle."""
        angle = torch.arange(num_points, dtype=torch.float64) * (2 * math.pi / num_points)
        direction = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
        return self.radius(angle)[..., None] * direction

    def contains(self, points: Tensor) -> Tensor:
        """Which points ``(n, 2)`` lie in each domain, ``(num, n)``."""
        angle = torch.atan2(points[:, 1], points[:, 0])
        return points.norm(dim=1) <= self.radius(angle)

    def area(self) -> Tensor:
        r"""Areas ``(num,)``: :math:`\pi (1 + \tfrac12 \sum_m a_m^2 + b_m^2)`."""
        return math.pi * (1 + 0.5 * self.coefficients.square().sum((1, 2)))
