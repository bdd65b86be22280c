r"""Local layers of neural operators on regular grids: integrals over a small disc, and derivatives.

Both are defined at any resolution. Spacings are those of the unit cube, ``1 / n`` along an axis of ``n`` points.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import ConfigError

__all__ = ["DifferentialLayer", "LocalIntegral", "disc_basis"]

Boundary = Literal["periodic", "zeros"]
_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class DifferentialLayer(nn.Module):
    r"""A learned directional derivative: :math:`(W * f - (\sum_k W_k) f) / h`.

    Without the sum of its taps a convolution of fixed size, divided by the spacing, converges to
    :math:`\sum_k W_k\, k \cdot \nabla f`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        dim: Number of axes.
        kernel_size: Taps per axis, odd.
        boundary: What lies beyond the ends.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``
        - **output**: ``(batch, out_channels, *grid)``

    Raises:
        ConfigError: If the kernel is even, or there are not one to three axes.

    Reference:
        Liu-Schiaffini et al.: Neural operators with localized integral and differential kernels (2024).

    Example:
        >>> layer = DifferentialLayer(1, 1, dim=1)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[[-0.5, 0.0, 0.5]]]))
        >>> x = torch.sin(2 * math.pi * torch.arange(128) / 128).view(1, 1, -1)
        >>> bool((layer(x)[0, 0, 0] - 2 * math.pi).abs() < 0.01)
        True
    """

    def __init__(
        self, in_channels: int, out_channels: int, dim: int, kernel_size: int = 3, boundary: Boundary = "periodic"
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or kernel_size < 3 or dim not in _CONVOLUTIONS:
            raise ConfigError(
                f"kernel_size is {kernel_size} and dim {dim}, expected an odd number from 3 and one to three axes."
            )
        self.dim, self.kernel_size, self.boundary = dim, kernel_size, _checked(boundary)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *[kernel_size] * dim))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Differentiate ``(batch, in_channels, *grid)``."""
        # The sum of the taps comes off the one in the middle: one convolution instead of two.
        middle = self.weight.new_zeros(self.weight.shape[2:])
        middle[(self.kernel_size // 2,) * self.dim] = 1
        total = self.weight.flatten(2).sum(-1).view(*self.weight.shape[:2], *[1] * self.dim)
        spacing = math.prod(1 / n for n in x.shape[2:]) ** (1 / self.dim)
        return _convolve(x, (self.weight - total * middle) / spacing, self.boundary)


class LocalIntegral(nn.Module):
    r"""A convolution with a kernel on a small disc: :math:`\int_{|z| < \rho} \kappa(z) f(x + z)\, dz`.

    The kernel is piecewise linear in radius and angle, a sum of :func:`disc_basis` functions; its quadrature refines
    with the grid, the weights do not.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        radius: Of the disc, in lengths of an axis.
        rings: Basis functions along the radius, the first of them around the middle.
        sectors: Basis functions around each ring; two sides on a line.
        dim: One or two axes.
        boundary: What lies beyond the ends.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``
        - **output**: ``(batch, out_channels, *grid)``

    Raises:
        ConfigError: If the arguments do not fit, or a grid has no points in the part of the disc of a basis function.

    Reference:
        Liu-Schiaffini et al.: Neural operators with localized integral and differential kernels (2024); Ocampo, Price,
        McEwen: Scalable and equivariant spherical CNNs by discrete-continuous convolutions (2023).

    Example:
        >>> layer = LocalIntegral(1, 4, radius=0.1)
        >>> layer(torch.zeros(2, 1, 32, 32)).shape, layer(torch.zeros(2, 1, 64, 48)).shape
        (torch.Size([2, 4, 32, 32]), torch.Size([2, 4, 64, 48]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        radius: float,
        rings: int = 2,
        sectors: int = 4,
        dim: int = 2,
        boundary: Boundary = "periodic",
    ) -> None:
        super().__init__()
        if not 0 < radius < 0.5 or rings < 1 or sectors < 2 or dim not in (1, 2):
            raise ConfigError(
                f"radius is {radius}, rings {rings}, sectors {sectors} and dim {dim}; expected a radius below half an "
                "axis, at least one ring and two sectors, and one or two axes."
            )
        self.radius, self.rings, self.sectors, self.dim = radius, rings, 2 if dim == 1 else sectors, dim
        self.boundary = _checked(boundary)
        count = 1 + (rings - 1) * self.sectors
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, count))
        nn.init.uniform_(self.weight, -1 / math.sqrt(in_channels * count), 1 / math.sqrt(in_channels * count))

    def forward(self, x: Tensor) -> Tensor:
        """Integrate ``(batch, in_channels, *grid)``."""
        basis = disc_basis(tuple(x.shape[2:]), self.radius, self.rings, self.sectors).to(x)
        kernel = torch.tensordot(self.weight.to(x.dtype), basis, 1)
        return _convolve(x, kernel, self.boundary)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"radius={self.radius}, rings={self.rings}, sectors={self.sectors}, dim={self.dim}"


def disc_basis(shape: Sequence[int], radius: float, rings: int, sectors: int) -> Tensor:
    """Functions on a disc, piecewise linear in radius and angle, each with the sum one on a grid.

    Args:
        shape: Points per axis of the unit cube, one or two axes.
        radius: Where all functions vanish.
        rings: Functions along the radius.
        sectors: Functions around each ring but the first.

    Returns:
        ``(1 + (rings - 1) * sectors, *odd sizes)``, the middle of the disc in the middle, float64.

    Raises:
        ConfigError: If a function meets no point of the grid.

    Example:
        >>> disc_basis((64, 64), 0.1, 2, 4).shape
        torch.Size([5, 13, 13])
    """
    reach = [math.ceil(radius * n) - 1 for n in shape]
    axes = [torch.arange(-r, r + 1, dtype=torch.float64) / n for r, n in zip(reach, shape, strict=True)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    distance = points.square().sum(0).sqrt() * (rings / radius)
    angle = torch.atan2(points[1], points[0]) if len(shape) == 2 else (points[0] < 0) * math.pi
    functions = [(1 - distance).clamp_min(0)]
    for ring in range(1, rings):
        along = (1 - (distance - ring).abs()).clamp_min(0)
        for sector in range(sectors):
            turn = torch.remainder(angle * sectors / (2 * math.pi) - sector + sectors / 2, sectors) - sectors / 2
            functions.append(along * (1 - turn.abs()).clamp_min(0))
    basis = torch.stack(functions)
    sums = basis.flatten(1).sum(1)
    if bool((sums <= 1e-12).any()):
        raise ConfigError(
            f"radius {radius} with {rings} rings and {sectors} sectors is too small for a grid of {tuple(shape)} "
            "points: a part of the disc holds none. Give a larger radius, fewer rings or sectors, or more points."
        )
    return basis / sums.view(-1, *[1] * len(shape))


def _convolve(x: Tensor, kernel: Tensor, boundary: Boundary) -> Tensor:
    """Cross-correlation with a kernel of odd sizes, to an output on the same grid."""
    dim = kernel.dim() - 2
    reach = [size // 2 for size in kernel.shape[2:]]
    if boundary == "zeros":
        return _CONVOLUTIONS[dim](x, kernel.to(x.dtype), padding=tuple(reach))
    x = F.pad(x, [r for r in reversed(reach) for _ in range(2)], mode="circular")
    return _CONVOLUTIONS[dim](x, kernel.to(x.dtype))


def _checked(boundary: str) -> Boundary:
    if boundary not in ("periodic", "zeros"):
        raise ConfigError(f"boundary is {boundary!r}, expected 'periodic' or 'zeros'.")
    return boundary  # type: ignore[return-value]
