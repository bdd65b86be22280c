"""Functions of one variable that are polynomials between nodes: splines, their derivatives and antiderivatives."""

from dataclasses import dataclass

import torch
from scipy.interpolate import CubicSpline, PPoly
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.random.base import RandomFunctions

__all__ = ["PiecewisePolynomials", "cubic_splines"]


@dataclass(frozen=True, eq=False)
class PiecewisePolynomials(RandomFunctions):
    """A batch of piecewise polynomials on common nodes.

    Args:
        nodes: ``(k + 1,)``, ascending.
        coefficients: ``(num, k, degree + 1)``, in powers of the distance from the left node, highest first.
    """

    nodes: Tensor
    coefficients: Tensor
    dim = 1

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, index: slice) -> "PiecewisePolynomials":
        return PiecewisePolynomials(self.nodes, self.coefficients[index])

    def _evaluate(self, points: Tensor) -> Tensor:
        x, nodes = points[:, 0], self.nodes.to(points.device)
        slack = 1e-6 * (nodes[-1] - nodes[0])
        if bool(((x < nodes[0] - slack) | (x > nodes[-1] + slack)).any()):
            raise ConfigError(
                f"the functions are drawn on [{float(nodes[0]):g}, {float(nodes[-1]):g}], the points reach from "
                f"{float(x.min()):g} to {float(x.max()):g}: give the sampler wider bounds."
            )
        cell = (torch.searchsorted(nodes, x.detach().contiguous(), right=True) - 1).clamp(0, len(nodes) - 2)
        local = x - nodes[cell]
        c = self.coefficients.to(points.device)[:, cell]
        value = c[..., 0]
        for power in range(1, c.shape[-1]):
            value = value * local + c[..., power]
        return value

    def derivative(self) -> "PiecewisePolynomials":
        """The derivatives."""
        degree = self.coefficients.shape[-1] - 1
        factors = torch.arange(degree, 0, -1, dtype=torch.float64)
        return PiecewisePolynomials(self.nodes, self.coefficients[..., :-1] * factors)

    def antiderivative(self) -> "PiecewisePolynomials":
        """The antiderivatives that are zero at the first node."""
        degree = self.coefficients.shape[-1]
        factors = torch.arange(degree, 0, -1, dtype=torch.float64)
        integrated = torch.cat([self.coefficients / factors, torch.zeros_like(self.coefficients[..., :1])], -1)
        widths = self.nodes.diff()[:, None] ** torch.arange(degree, -1, -1, dtype=torch.float64)
        ends = (integrated * widths).sum(-1).cumsum(1)
        integrated[:, 1:, -1] = ends[:, :-1]
        return PiecewisePolynomials(self.nodes, integrated)


def cubic_splines(nodes: Tensor, values: Tensor, periodic: bool = False) -> PiecewisePolynomials:
    """Cubic splines through ``values`` (num, k + 1) at ``nodes``: not-a-knot, or periodic.

    Example:
        >>> x = torch.linspace(0, 1, 20, dtype=torch.float64)
        >>> spline = cubic_splines(x, (x**3)[None])
        >>> spline.antiderivative()(torch.tensor([1.0], dtype=torch.float64)).round(decimals=6)
        tensor([[0.2500]], dtype=torch.float64)
    """
    spline: PPoly = CubicSpline(nodes.numpy(), values.T.numpy(), bc_type="periodic" if periodic else "not-a-knot")
    return PiecewisePolynomials(nodes, torch.from_numpy(spline.c).permute(2, 1, 0).contiguous())
