"""Quadrature rules on a line: nodes from left to right and weights, float64."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError

__all__ = ["RULES", "scaled", "trapezoid"]


def _gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(n)


def _clenshaw_curtis(n: int) -> tuple[np.ndarray, np.ndarray]:
    if n < 2:
        raise ConfigError(f"Clenshaw-Curtis has both ends and needs at least 2 points, not {n}.")
    last = n - 1
    j, k = np.arange(n), np.arange(1, last // 2 + 1)
    factor = np.where(2 * k == last, 1.0, 2.0) / (4 * k**2 - 1)
    weights = (1 - np.cos(2 * np.pi / last * np.outer(j, k)) @ factor) * 2 / last
    weights[[0, -1]] /= 2
    # The sine makes the nodes symmetric to the last bit; the fraction first, those of nested rules equal.
    return np.sin(np.pi / 2 * ((2 * j - last) / last)), weights


def _chebyshev(n: int) -> tuple[np.ndarray, np.ndarray]:
    j, k = np.arange(n), np.arange(1, n // 2 + 1)
    # Fejer's first rule. For even n the last cosine is zero at every node.
    weights = (1 - 2 * np.cos(np.pi / n * np.outer(2 * j + 1, k)) @ (1 / (4.0 * k**2 - 1))) * 2 / n
    return np.sin(np.pi / 2 * (2 * j + 1 - n) / n), weights


# On [-1, 1], by number of points. All integrate polynomials of degree n - 1 exactly, Gauss-Legendre of 2n - 1.
RULES: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {
    "gauss-legendre": _gauss_legendre,
    "clenshaw-curtis": _clenshaw_curtis,
    "chebyshev": _chebyshev,
}


def scaled(rule: str, n: int, begin: float, end: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a rule on an interval."""
    if n < 1:
        raise ConfigError(f"a rule of {n} points is none, expected at least 1.")
    nodes, weights = (torch.from_numpy(part) for part in RULES[rule](n))
    # Both ends are met exactly, and the weights sum to the length as closely as one sum can.
    nodes = (1 - nodes) / 2 * begin + (1 + nodes) / 2 * end
    return nodes, weights * ((end - begin) / math.fsum(weights.tolist()))


def trapezoid(nodes: Tensor, begin: float, end: float) -> Tensor:
    """Weights of the trapezoid rule; the function is constant from the outermost nodes to the ends.

    Args:
        nodes: Not decreasing, ``(n,)``.
        begin: Left end.
        end: Right end.
    """
    if nodes[0] < begin or nodes[-1] > end:
        raise ConfigError(
            f"points run from {nodes[0].item()} to {nodes[-1].item()}, outside the bounds ({begin}, {end})."
        )
    middles = (nodes[1:] + nodes[:-1]) / 2
    edges = torch.cat([nodes.new_tensor([begin]), middles, nodes.new_tensor([end])])
    return edges.diff()
