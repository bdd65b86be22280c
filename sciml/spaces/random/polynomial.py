"""Random polynomials, by Chebyshev coefficients or by powers."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import Chebyshev as ChebyshevSeries
from numpy.polynomial import Polynomial as PowerBasis
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.random.base import RandomFunctions, Sampler, generators

__all__ = ["Chebyshev", "PowerSeries"]


@dataclass(frozen=True, eq=False)
class _Polynomials(RandomFunctions):
    """Polynomials by coefficients ``(num, terms)``, in a basis of numpy on an interval."""

    coefficients: Tensor
    bounds: tuple[float, float]
    chebyshev: bool
    dim = 1

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, index: slice) -> "_Polynomials":
        return _Polynomials(self.coefficients[index], self.bounds, self.chebyshev)

    def _evaluate(self, points: Tensor) -> Tensor:
        begin, end = self.bounds
        c = self.coefficients.to(points.device)
        if not self.chebyshev:
            return c @ torch.stack([points[:, 0] ** k for k in range(c.shape[1])])
        z = 2 * (points[:, 0] - begin) / (end - begin) - 1
        basis = [torch.ones_like(z), z]
        for _ in range(2, c.shape[1]):
            basis.append(2 * z * basis[-1] - basis[-2])
        return c @ torch.stack(basis[: c.shape[1]])

    def _mapped(self, kind: str) -> "_Polynomials":
        begin, end = self.bounds
        basis = ChebyshevSeries if self.chebyshev else PowerBasis
        domain = [begin, end] if self.chebyshev else [-1, 1]
        rows = []
        for row in self.coefficients.numpy():
            series = basis(row, domain=domain)
            rows.append((series.integ(lbnd=begin) if kind == "integral" else series.deriv()).coef)
        return _Polynomials(torch.from_numpy(np.stack(rows)), self.bounds, self.chebyshev)

    def derivative(self) -> "_Polynomials":
        """The derivatives."""
        return self._mapped("derivative")

    def antiderivative(self) -> "_Polynomials":
        """The antiderivatives that are zero at the left end."""
        return self._mapped("integral")


def _uniform(num: int, terms: int, bound: float, seed: int, start: int) -> Tensor:
    rows = [rng.uniform(-bound, bound, terms) for rng in generators(num, seed, start)]
    return torch.from_numpy(np.stack(rows))


def _check(num_coefficients: int, bound: float) -> None:
    if num_coefficients < 2 or not 0 < bound < math.inf:
        raise ConfigError(
            f"num_coefficients is {num_coefficients} and bound {bound}; expected at least 2 and a positive number."
        )


@dataclass(frozen=True)
class Chebyshev(Sampler):
    r"""Polynomials :math:`\sum_{i<N} a_i T_i(2x - 1)`, coefficients uniform in :math:`[-M, M]`; never above N M.

    Args:
        num_coefficients: N.
        bound: M.
        bounds: Interval, which is scaled to that of the polynomials.

    Raises:
        ConfigError: If there are fewer than two coefficients, or the bound is not positive.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019).

    Example:
        >>> Chebyshev(num_coefficients=4).sample(2, seed=0)(torch.linspace(0, 1, 5)).shape
        torch.Size([2, 5])
    """

    num_coefficients: int = 20
    bound: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    dim = 1

    def __post_init__(self) -> None:
        _check(self.num_coefficients, self.bound)

    def sample(self, num: int, seed: int = 0, start: int = 0) -> RandomFunctions:
        return _Polynomials(_uniform(num, self.num_coefficients, self.bound, seed, start), self.bounds, True)


@dataclass(frozen=True)
class PowerSeries(Sampler):
    r"""Polynomials :math:`\sum_{i<N} a_i x^i`, coefficients uniform in :math:`[-M, M]`.

    Args:
        num_coefficients: N.
        bound: M.
        bounds: Interval; antiderivatives are zero at its begin.

    Raises:
        ConfigError: If there are fewer than two coefficients, or the bound is not positive.

    Example:
        >>> PowerSeries(num_coefficients=4).sample(2, seed=0)(torch.zeros(1)).abs().max() <= 1
        tensor(True)
    """

    num_coefficients: int = 20
    bound: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    dim = 1

    def __post_init__(self) -> None:
        _check(self.num_coefficients, self.bound)

    def sample(self, num: int, seed: int = 0, start: int = 0) -> RandomFunctions:
        return _Polynomials(_uniform(num, self.num_coefficients, self.bound, seed, start), self.bounds, False)
