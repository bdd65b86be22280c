"""Gaussian processes by their kernel, and the distance of two of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from sciml.errors import ConfigError, unknown_name
from sciml.spaces.random.base import RandomFunctions, Sampler, standard_normal
from sciml.spaces.random.piecewise import PiecewisePolynomials, cubic_splines

__all__ = ["KERNELS", "GaussianProcess", "wasserstein_distance"]


# Kernels of the distance in units of the length-scale; the periodic one is treated apart.
KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "rbf": lambda r: torch.exp(-r.square() / 2),
    "matern12": lambda r: torch.exp(-r),
    "matern32": lambda r: (1 + math.sqrt(3) * r) * torch.exp(-math.sqrt(3) * r),
    "matern52": lambda r: (1 + math.sqrt(5) * r + 5 / 3 * r.square()) * torch.exp(-math.sqrt(5) * r),
}


@dataclass(frozen=True)
class GaussianProcess(Sampler):
    r"""Gaussian process of mean zero and variance one.

    ==========  ====================================================================
    kernel      :math:`k(r)` along an axis, with :math:`\rho = |r| / \ell`
    ==========  ====================================================================
    rbf         :math:`\exp(-\rho^2/2)`
    matern12    :math:`\exp(-\rho)`
    matern32    :math:`(1 + \sqrt3 \rho) \exp(-\sqrt3 \rho)`
    matern52    :math:`(1 + \sqrt5 \rho + 5\rho^2/3) \exp(-\sqrt5 \rho)`
    periodic    :math:`\exp(-2 \sin^2(\pi r / L) / \ell^2)`, L the length of the axis
    ==========  ====================================================================

    In several dimensions the kernel is the product over the axes, which for ``rbf`` is the isotropic one. Values are
    drawn at equispaced nodes, by a factor of the kernel matrix for every axis, and interpolated by cubic splines.

    The kernel matrix of a smooth process is singular to rounding. The usual remedy, a jitter of 1e-10 on its diagonal,
    puts white noise of 1e-5 on every function, which limits the accuracy of whatever is computed from it. Here the
    Cholesky factorisation leaves out nodes whose variance, given the others, is below ``tolerance``: functions are
    smooth, and their variance is met to the tolerance.

    Args:
        kernel: Name of the kernel.
        length_scale: :math:`\ell`, in the units of the coordinates; for ``periodic`` without units.
        bounds: ``(begin, end)`` per axis.
        nodes: Nodes per axis, at least some ten per length-scale.
        tolerance: Variance that may be lost at a node.

    Raises:
        UnknownNameError: If there is no such kernel.
        ConfigError: If a number is not positive, or the bounds are empty.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019) draws its input functions on 1000 nodes, with a jitter of 1e-13.

    Example:
        >>> functions = GaussianProcess(length_scale=0.2).sample(3, seed=0)
        >>> functions(torch.linspace(0, 1, 50)).shape
        torch.Size([3, 50])
    """

    kernel: str = "rbf"
    length_scale: float = 0.2
    bounds: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    nodes: int = 1000
    tolerance: float = 1e-13

    def __post_init__(self) -> None:
        if self.kernel not in (*KERNELS, "periodic"):
            raise unknown_name("kernel", self.kernel, (*KERNELS, "periodic"))
        if not (self.length_scale > 0 and 0 < self.tolerance < 1 and self.nodes >= 4):
            raise ConfigError(
                f"length_scale is {self.length_scale}, tolerance {self.tolerance} and nodes {self.nodes}; expected "
                "positive numbers, a tolerance below 1, and at least 4 nodes."
            )
        try:
            object.__setattr__(self, "bounds", tuple((float(a), float(b)) for a, b in self.bounds))
        except TypeError:
            raise ConfigError(f"bounds is {self.bounds}, expected one pair per axis: ((0.0, 1.0),).") from None
        if any(a >= b for a, b in self.bounds):
            raise ConfigError(f"bounds is {self.bounds}, expected begin < end on every axis.")

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of axes."""
        return len(self.bounds)

    def covariance(self, x: Tensor, y: Tensor) -> Tensor:
        """Kernel ``(n, m)`` between points ``(n, dim)`` and ``(m, dim)``.

        Example:
            >>> x = torch.zeros(1, 1)
            >>> GaussianProcess(length_scale=0.5).covariance(x, x + 0.5).round(decimals=4)
            tensor([[0.6065]])
        """
        total = x.new_ones(len(x), len(y))
        for axis, (begin, end) in enumerate(self.bounds):
            distance = (x[:, None, axis] - y[None, :, axis]).abs()
            if self.kernel == "periodic":
                total = total * torch.exp(
                    -2 * torch.sin(math.pi * distance / (end - begin)).square() / self.length_scale**2
                )
            else:
                total = total * KERNELS[self.kernel](distance / self.length_scale)
        return total

    def sample(self, num: int, seed: int = 0, start: int = 0) -> RandomFunctions:
        periodic = self.kernel == "periodic"
        # The end of a period is its begin, which a factor of both would only repeat.
        size = self.nodes - 1 if periodic else self.nodes
        values = standard_normal(num, (size,) * self.dim, seed, start)
        axes = []
        for axis, bounds in enumerate(self.bounds):
            nodes, factor = _factor(self, bounds)
            values = (values.movedim(axis + 1, -1) @ factor.T).movedim(-1, axis + 1)
            if periodic:
                values = torch.cat([values, values.narrow(axis + 1, 0, 1)], axis + 1)
            axes.append(nodes)
        if self.dim == 1:
            return cubic_splines(axes[0], values, periodic)
        return TensorSplines(tuple(axes), values, periodic)


@cache
def _factor(process: GaussianProcess, bounds: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Nodes of an axis, and a factor L of the kernel matrix K = L L^T between them."""
    nodes = torch.linspace(*bounds, process.nodes, dtype=torch.float64)
    inner = nodes[:-1] if process.kernel == "periodic" else nodes
    line = GaussianProcess(process.kernel, process.length_scale, (bounds,), process.nodes)
    return nodes, _semidefinite_cholesky(line.covariance(inner[:, None], inner[:, None]), process.tolerance)


def _semidefinite_cholesky(matrix: Tensor, tolerance: float) -> Tensor:
    """Factor of a semidefinite matrix, column i belonging to node i; zero columns where nothing is left to explain.

    The nodes are taken in a fixed order that spreads them; if the largest remaining variance chose the next node, the
    factor would depend on rounding.
    """
    size = len(matrix)
    factor, left = torch.zeros_like(matrix), matrix.diagonal().clone()
    used = 0
    columns = torch.zeros_like(matrix)  # the non-zero columns, side by side
    for node in _spread(size):
        if left[node] > tolerance:
            column = matrix[:, node] - columns[:, :used] @ columns[node, :used]
            column = column / column[node].sqrt()
            columns[:, used] = factor[:, node] = column
            used += 1
            left -= column.square()
            if left.max() <= tolerance:
                break
    return factor


def _spread(size: int) -> list[int]:
    """Both ends, then the middle of the widest gaps, again and again: numbers by their reversed binary digits."""
    bits = max((size - 1).bit_length(), 1)
    reversed_digits = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(2**bits))
    return [*dict.fromkeys([0, size - 1]), *(i for i in reversed_digits if 0 < i < size - 1)]


@dataclass(frozen=True, eq=False)
class TensorSplines(RandomFunctions):
    """Products of cubic splines on a tensor grid of nodes.

    Args:
        axes: Nodes along each axis.
        values: ``(num, *lengths)`` at the nodes.
        periodic: Along all axes.
    """

    axes: tuple[Tensor, ...]
    values: Tensor
    periodic: bool = False

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of axes."""
        return len(self.axes)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: slice) -> "TensorSplines":
        return TensorSplines(self.axes, self.values[index], self.periodic)

    def _basis(self, axis: int, x: Tensor) -> Tensor:
        """Cardinal splines ``(n, nodes)`` of one axis."""
        return _cardinal_splines(self.axes[axis], self.periodic)(x[:, None]).T

    def _evaluate(self, points: Tensor) -> Tensor:
        # Axis after axis, keeping the points: (num, *lengths) to (num, n, *rest).
        result = torch.tensordot(self.values, self._basis(0, points[:, 0]), dims=([1], [1])).movedim(-1, 1)
        for axis in range(1, self.dim):
            basis = self._basis(axis, points[:, axis])
            result = torch.einsum("bnk...,nk->bn...", result, basis)
        return result

    def _evaluate_tensor(self, axes: list[Tensor]) -> Tensor:
        values = self.values
        for axis, x in enumerate(axes):
            values = torch.tensordot(values, self._basis(axis, x), dims=([1], [1]))
        return values


_SPLINES: dict[tuple[int, float, float, bool], PiecewisePolynomials] = {}


def _cardinal_splines(nodes: Tensor, periodic: bool) -> PiecewisePolynomials:
    """Splines that are one at one of the equispaced nodes and zero at the others."""
    key = (len(nodes), float(nodes[0]), float(nodes[-1]), periodic)
    if key not in _SPLINES:
        unit = torch.eye(len(nodes), dtype=torch.float64)
        if periodic:
            # Node 0 and the last are the same: the first cardinal function takes both, the last one none.
            unit[0, -1], unit[-1, -1] = 1.0, 0.0
        _SPLINES[key] = cubic_splines(nodes, unit, periodic)
    return _SPLINES[key]


def wasserstein_distance(first: GaussianProcess, second: GaussianProcess, num_points: int = 200) -> float:
    r"""2-Wasserstein distance of two processes on equispaced points, per point.

    .. math:: W_2 = \big(\operatorname{tr}(K_1 + K_2 - 2 (K_1 K_2)^{1/2})\big)^{1/2} / \sqrt n

    Raises:
        ConfigError: If the processes live on different intervals, or in several dimensions.

    Example:
        >>> wasserstein_distance(GaussianProcess(), GaussianProcess()) < 1e-6
        True
    """
    if first.bounds != second.bounds or first.dim != 1:
        raise ConfigError(f"the processes live on {first.bounds} and {second.bounds}, expected one common interval.")
    x = torch.linspace(*first.bounds[0], num_points, dtype=torch.float64)[:, None]
    one, two = first.covariance(x, x), second.covariance(x, x)
    values, vectors = torch.linalg.eigh(one)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    # (K1 K2)^(1/2) has the trace of (K1^(1/2) K2 K1^(1/2))^(1/2), which is symmetric.
    cross = torch.linalg.eigvalsh(root @ two @ root).clamp(min=0).sqrt().sum()
    return float(((one.trace() + two.trace() - 2 * cross).clamp(min=0) / num_points).sqrt())
