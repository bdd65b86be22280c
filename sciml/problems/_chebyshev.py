"""Chebyshev collocation on an interval, and exponential time stepping with dense matrices."""

import math

import numpy as np
import torch
from scipy.fft import dct
from scipy.linalg import expm
from torch import Tensor

__all__ = ["coefficients", "exponential_functions", "interpolation_matrix", "nodes_and_derivative"]


def nodes_and_derivative(n: int, begin: float = 0.0, end: float = 1.0) -> tuple[Tensor, Tensor]:
    """Chebyshev nodes of the second kind, ascending, and the matrix of the first derivative, both ``n + 1`` long.

    Example:
        >>> x, derivative = nodes_and_derivative(8)
        >>> torch.allclose(derivative @ x**3, 3 * x**2)
        True
    """
    x = -torch.cos(torch.arange(n + 1, dtype=torch.float64) * (math.pi / n))
    weights = torch.ones(n + 1, dtype=torch.float64)
    weights[[0, -1]] = 2.0
    weights[1::2] *= -1
    difference = x[:, None] - x + torch.eye(n + 1, dtype=torch.float64)
    matrix = weights[:, None] / weights / difference
    matrix -= torch.diag(matrix.sum(1))  # rows of a derivative sum to zero
    return begin + (x + 1) * (end - begin) / 2, matrix * (2 / (end - begin))


def coefficients(values: Tensor) -> Tensor:
    """Coefficients in Chebyshev polynomials of values ``(..., n + 1)`` at the nodes.

    Example:
        >>> x, _ = nodes_and_derivative(4, -1, 1)
        >>> coefficients(2 * x**2).abs().round(decimals=6)  # T_0 + T_2
        tensor([1., 0., 1., 0., 0.], dtype=torch.float64)
    """
    n = values.shape[-1] - 1
    result = torch.from_numpy(dct(values.detach().flip(-1).numpy(), type=1)) / n
    result[..., [0, -1]] /= 2
    return result


def interpolation_matrix(nodes: Tensor, points: Tensor) -> Tensor:
    """Barycentric interpolation from Chebyshev nodes of the second kind to points, ``(points, nodes)``."""
    weights = torch.ones(len(nodes), dtype=torch.float64)
    weights[[0, -1]] = 0.5
    weights[1::2] *= -1
    difference = points[:, None].double() - nodes
    exact = difference.abs() < 1e-14
    ratio = weights / torch.where(exact, torch.ones_like(difference), difference)
    matrix = ratio / ratio.sum(1, keepdim=True)
    return torch.where(exact.any(1, keepdim=True), exact.double(), matrix)


def exponential_functions(matrix: Tensor, order: int = 3) -> list[Tensor]:
    r"""The functions :math:`\varphi_0 = e^A` and :math:`\varphi_k(A) = (\varphi_{k-1}(A) - 1/(k-1)!) A^{-1}`.

    Computed as blocks of the exponential of one larger matrix, which is stable where A is nearly singular.

    Example:
        >>> [round(float(phi), 6) for phi in exponential_functions(torch.ones(1, 1, dtype=torch.float64), 2)]
        [2.718282, 1.718282, 0.718282]
    """
    n = len(matrix)
    large = np.zeros(((order + 1) * n, (order + 1) * n))
    large[:n, :n] = matrix.numpy()
    for block in range(order):
        large[block * n : (block + 1) * n, (block + 1) * n : (block + 2) * n] = np.eye(n)
    top = expm(large)[:n]
    return [torch.from_numpy(top[:, k * n : (k + 1) * n].copy()) for k in range(order + 1)]
