"""Darcy flow through a random medium on the unit square."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.linalg import solveh_banded
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random import GaussianBumps, PiecewiseConstant, RandomFunctions, Sampler, SpectralGRF

__all__ = ["Darcy", "DarcyPDEBench", "solve_diffusion"]


def solve_diffusion(a: np.ndarray, source: np.ndarray | float = 1.0) -> np.ndarray:
    """Solution of -div(a grad u) = f with u = 0 on the boundary of the unit square, one medium.

    Five-point differences on nodes that include the boundary, with the mean of both nodes on each face; the matrix is
    banded, and factorised as such.

    Args:
        a: Coefficient at the nodes ``(n, n)``, positive.
        source: f, a number or values at the nodes.

    Returns:
        u at the nodes ``(n, n)``.

    Example:
        >>> round(float(solve_diffusion(np.ones((33, 33)))[16, 16]), 8)
        0.07361474
    """
    n = len(a)
    m = n - 2
    h2 = 1.0 / (n - 1) ** 2
    first = (a[1:, 1:-1] + a[:-1, 1:-1]) / 2  # faces between neighbours along the first axis
    second = (a[1:-1, 1:] + a[1:-1, :-1]) / 2
    bands = np.zeros((m + 1, m * m))
    bands[0] = (first[1:] + first[:-1] + second[:, 1:] + second[:, :-1]).ravel()
    # Below the diagonal: the next node of the row, none after its last, and the node in the next row.
    bands[1].reshape(m, m)[:, :-1] = -second[:, 1:-1]
    bands[m, : m * (m - 1)] -= first[1:-1].ravel()
    right = np.broadcast_to(np.asarray(source, dtype=float), a.shape)[1:-1, 1:-1] * h2
    inner = solveh_banded(bands, right.ravel(), lower=True, overwrite_ab=True, check_finite=False)
    return np.pad(inner.reshape(m, m), 1)


@dataclass(frozen=True)
class _Diffusion(Problem):
    """Base of the two Darcy problems: the sampler gives the medium, the source is constant."""

    equation: ClassVar[str] = "-div(a grad u) = f on (0, 1)^2, u = 0 on the boundary"
    scheme: ClassVar[str] = "five-point differences, mean of the coefficient on faces, banded Cholesky factorisation"

    @property
    def source(self) -> float:
        """The constant right-hand side."""
        raise NotImplementedError

    def sampler(self) -> Sampler:
        """Where the media come from."""
        raise NotImplementedError

    def media(self, num: int, seed: int, start: int) -> RandomFunctions:
        """Coefficients as functions."""
        return self.sampler().sample(num, seed, start)

    @staticmethod
    def _grid_of(n: int) -> RegularGrid:
        return RegularGrid((n, n), ((0.0, 1.0), (0.0, 1.0)))

    def solve(self, a: Tensor) -> Tensor:
        """Solutions ``(batch, n, n)``, float64, for coefficients ``(batch, n, n)`` at nodes with the boundary.

        Raises:
            ConfigError: If a coefficient is not positive.
        """
        values = a.double().numpy()
        if not (values > 0).all():
            raise ConfigError(f"the smallest coefficient is {values.min()}, expected positive ones.")
        return torch.from_numpy(np.stack([solve_diffusion(medium, self.source) for medium in values]))

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution)
        grid = self._grid_of(n)
        a = self.media(num, seed, start).on(grid).values[:, 0]
        axes = ("sample", "x1", "x2")
        return ProblemData(
            {"nu": a.numpy(), "tensor": self.solve(a).numpy()},
            {"nu": axes, "tensor": axes},
            {"x1": grid.axes[0].numpy(), "x2": grid.axes[1].numpy()},
            {"nu": "input", "tensor": "target"},
            attrs=self.attributes(),
            grid=grid,
        )


@dataclass(frozen=True)
class Darcy(_Diffusion):
    """Darcy flow: -div(a grad u) = 1 on the unit square, u = 0 on the boundary, a medium of two materials.

    The coefficient is 12 where a Gaussian field N(0, (-Laplace + 9)^-2) with Neumann conditions is not negative,
    otherwise 3.

    Args:
        high: Larger coefficient a; it has no units, as f = 1 and the side of the square have none.
        low: Smaller coefficient, likewise.
        modes: Cosines of the field per axis.

    Reference:
        Li et al.: Fourier neural operator (2021).

    Example:
        >>> data = Darcy(modes=16).generate(2, seed=0, resolution=17)
        >>> data["nu"].shape, data["tensor"].shape
        ((2, 17, 17), (2, 17, 17))
    """

    high: float = 12.0
    low: float = 3.0
    modes: int = 128

    name = "darcy"
    default_resolution = 85

    def __post_init__(self) -> None:
        if not self.high > self.low > 0:
            raise ConfigError(f"high is {self.high} and low {self.low}, expected positive numbers, the first larger.")

    @property
    def source(self) -> float:
        return 1.0

    def sampler(self) -> Sampler:
        field = SpectralGRF(gamma=2.0, tau=3.0, sigma=1.0, bc="neumann", dim=2, modes=self.modes)
        return PiecewiseConstant(field, above=self.high, below=self.low)


@dataclass(frozen=True)
class DarcyPDEBench(_Diffusion):
    """Darcy flow of PDEBench: -div(a grad u) = beta, a medium of two materials that meet along a level set of bumps.

    The coefficient is 1 where a sum of five Gaussian bumps exceeds its mean, else 0.1.

    Args:
        beta: The constant source, in units of u times a over the square of a side.
        high: Coefficient a above the mean, in a unit of its own.
        low: Coefficient below, likewise.

    Reference:
        Takamoto et al.: PDEBench (2022), beta from 0.01 to 100.

    Example:
        >>> np.unique(DarcyPDEBench().generate(1, seed=0, resolution=17)["nu"]).tolist()
        [0.1, 1.0]
    """

    beta: float = 1.0
    high: float = 1.0
    low: float = 0.1

    name = "darcy-pdebench"
    default_resolution = 128

    def __post_init__(self) -> None:
        if not (self.high > self.low > 0 and self.beta > 0):
            raise ConfigError(
                f"beta is {self.beta}, high {self.high} and low {self.low}; expected positive numbers, high above low."
            )

    @property
    def source(self) -> float:
        return self.beta

    def sampler(self) -> Sampler:
        return GaussianBumps(5, widths=(0.05, 0.25), amplitudes=(-1.0, 1.0), bounds=((0.0, 1.0), (0.0, 1.0)))

    def media(self, num: int, seed: int, start: int) -> RandomFunctions:
        return _AboveMean(self.sampler().sample(num, seed, start), self.high, self.low)


@dataclass(frozen=True, eq=False)
class _AboveMean(RandomFunctions):
    """Two values, by whether a function is above its own mean over the square."""

    inner: RandomFunctions
    high: float
    low: float
    dim = 2

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: slice) -> "_AboveMean":
        return _AboveMean(self.inner[index], self.high, self.low)

    def _evaluate(self, points: Tensor) -> Tensor:
        mean = self.inner.on(RegularGrid((64, 64), ((0.0, 1.0), (0.0, 1.0)), alignment="cell")).integral()
        values = torch.tensor([self.low, self.high], dtype=torch.float64, device=points.device)
        return values[(self.inner(points) > mean).long()]
