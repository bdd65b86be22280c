"""Gaussian random fields by their spectrum, with periodic, Neumann or Dirichlet conditions on a box."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.random.base import RandomFunctions, Sampler, standard_normal

__all__ = ["SpectralGRF"]

_CONDITIONS = ("periodic", "neumann", "dirichlet")


@dataclass(frozen=True)
class SpectralGRF(Sampler):
    r"""Gaussian random field :math:`N(0, \sigma^2 (-\Delta + \tau^2)^{-\gamma})` on a box.

    .. math:: u(x) = \sum_k \sigma (\omega_k^2 + \tau^2)^{-\gamma/2} \, \xi_k \, \varphi_k(x), \qquad \xi_k \sim N(0, 1)

    with the orthonormal eigenfunctions of the Laplacian on the unit box: products over the axes of :math:`1` and
    :math:`\sqrt2 \cos \omega x`, :math:`\sqrt2 \sin \omega x` with :math:`\omega = 2 \pi k` (periodic),
    :math:`1, \sqrt2 \cos \pi k x` (Neumann), or :math:`\sqrt2 \sin \pi k x` (Dirichlet). The constant has coefficient
    zero. Coordinates are scaled to the unit box.

    Args:
        gamma: Smoothness :math:`\gamma`.
        tau: Inverse length-scale :math:`\tau`, in units of the box.
        sigma: Scale :math:`\sigma`.
        bc: Conditions on the boundary.
        dim: Number of axes.
        modes: Largest k per axis (periodic, Dirichlet), or number of cosines (Neumann). On a grid of cells with as many
            points as cosines the field equals an inverse discrete cosine transform of its coefficients.
        bounds: ``(begin, end)`` per axis; the unit box when None.

    Raises:
        ConfigError: If an argument has a value that cannot be.

    Reference:
        Li et al.: Fourier neural operator (2021) draws Burgers and Navier-Stokes data from the periodic, Darcy
        coefficients from the Neumann field.

    Example:
        >>> field = SpectralGRF(gamma=2.5, tau=7.0, sigma=7**0.75, dim=2, modes=12).sample(2, seed=0)
        >>> from sciml.spaces import RegularGrid
        >>> field.on(RegularGrid((16, 16), ((0, 1), (0, 1)), periodic=True)).values.shape
        torch.Size([2, 1, 16, 16])
    """

    gamma: float = 2.0
    tau: float = 5.0
    sigma: float = 25.0
    bc: Literal["periodic", "neumann", "dirichlet"] = "periodic"
    dim: int = 1
    modes: int = 64
    bounds: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        if self.bc not in _CONDITIONS:
            raise ConfigError(f"bc is {self.bc!r}, expected one of {', '.join(_CONDITIONS)}.")
        if not (self.sigma > 0 and self.tau >= 0 and self.modes >= 1 and self.dim >= 1):
            raise ConfigError(
                f"sigma is {self.sigma}, tau {self.tau}, modes {self.modes} and dim {self.dim}; expected sigma > 0, "
                "tau >= 0, and at least one mode and axis."
            )
        if self.bounds is not None and len(self.bounds) != self.dim:
            raise ConfigError(f"bounds has {len(self.bounds)} axes, dim is {self.dim}.")

    @property
    def frequencies(self) -> Tensor:
        """Angular frequency of each basis function of an axis, on the unit interval."""
        k = torch.arange(1, self.modes + 1, dtype=torch.float64)
        if self.bc == "periodic":
            return 2 * math.pi * torch.cat([torch.zeros(1, dtype=torch.float64), k, k])
        return math.pi * (k if self.bc == "dirichlet" else k - 1)

    def scales(self) -> Tensor:
        """Standard deviation of each coefficient, one axis a dimension."""
        square = torch.zeros((), dtype=torch.float64)
        for _ in range(self.dim):
            square = square[..., None] + self.frequencies.square()
        constant = (0,) * self.dim
        if self.bc != "dirichlet":
            square[constant] = 1.0
        scales = self.sigma * (square + self.tau**2) ** (-self.gamma / 2)
        if self.bc != "dirichlet":
            scales[constant] = 0.0
        return scales

    def sample(self, num: int, seed: int = 0, start: int = 0) -> "Expansion":
        size = len(self.frequencies)
        return Expansion(self, standard_normal(num, (size,) * self.dim, seed, start) * self.scales())


@dataclass(frozen=True, eq=False)
class Expansion(RandomFunctions):
    """Functions by their coefficients in products of sines and cosines.

    Args:
        field: Whose basis it is.
        coefficients: ``(num, size, ...)``, one axis a dimension.
    """

    field: SpectralGRF
    coefficients: Tensor

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of axes."""
        return self.field.dim

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, index: slice) -> "Expansion":
        return Expansion(self.field, self.coefficients[index])

    def _basis(self, axis: int, x: Tensor) -> Tensor:
        """Basis functions ``(n, size)`` of one axis."""
        if self.field.bounds is not None:
            begin, end = self.field.bounds[axis]
            x = (x - begin) / (end - begin)
        omega = self.field.frequencies.to(x.device)
        root = math.sqrt(2)
        if self.field.bc == "dirichlet":
            return root * torch.sin(x[:, None] * omega)
        cosines = omega if self.field.bc == "neumann" else omega[: self.field.modes + 1]
        basis = root * torch.cos(x[:, None] * cosines)
        basis = torch.cat([torch.ones_like(basis[:, :1]), basis[:, 1:]], 1)
        if self.field.bc == "neumann":
            return basis
        return torch.cat([basis, root * torch.sin(x[:, None] * omega[1 : self.field.modes + 1])], 1)

    def _evaluate(self, points: Tensor) -> Tensor:
        values = self.coefficients.to(points.device)
        values = torch.tensordot(values, self._basis(0, points[:, 0]), dims=([1], [1])).movedim(-1, 1)
        for axis in range(1, self.dim):
            values = torch.einsum("bnk...,nk->bn...", values, self._basis(axis, points[:, axis]))
        return values

    def _evaluate_tensor(self, axes: list[Tensor]) -> Tensor:
        values = self.coefficients.to(axes[0].device)
        for axis, x in enumerate(axes):
            values = torch.tensordot(values, self._basis(axis, x), dims=([1], [1]))
        return values
