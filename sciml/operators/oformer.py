"""An operator transformer: attention without softmax beside spectral convolutions, linear in the number of points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import ConfigError
from sciml.nn.attention import linear_attention
from sciml.nn.channel_mlp import ChannelLinear, ChannelMLP
from sciml.operators.spectral_conv import SpectralConv

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["OFormer", "OFormerBlock", "rotate"]


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    r"""Rotary positions: pairs of features turn by angles that grow with the coordinates.

    The features are split evenly over the axes. Products of two rotated vectors depend on the difference of their
    positions only.

    Args:
        x: ``(..., points, features)``, features divisible by twice the number of axes.
        positions: ``(points, dim)``, in units in which one is a step of the finest wave.

    Example:
        >>> x, t = torch.randn(3, 8), torch.rand(3, 2)
        >>> q, k = rotate(x, t), rotate(x, t + 5)
        >>> torch.allclose(q @ q.T, k @ k.T, atol=1e-5)
        True
    """
    dim = positions.shape[-1]
    pairs = x.shape[-1] // (2 * dim)
    rates = 10_000.0 ** (-torch.arange(pairs, dtype=torch.float64, device=x.device) / pairs)
    angles = (positions.double()[..., None] * rates).flatten(-2).to(x.dtype)
    even, odd = x.unflatten(-1, (dim * pairs, 2)).unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class OFormerBlock(nn.Module):
    r"""Attention, spectral convolution and identity, then a pointwise network.

    .. math:: h = (A x + K x + x)/\sqrt 3, \qquad y = h + \mathrm{MLP}(h)

    with :math:`A x = \frac1n Q (\hat K^\top \hat V)`, keys and values normalised over the points, queries and keys
    turned by :func:`rotate`.

    Args:
        channels: Width.
        heads: Heads of the attention.
        modes: Wave numbers of the spectral convolution per axis.
        expansion: Hidden width of the pointwise network, relative to ``channels``.
        positions: Steps of the finest rotary wave along an axis.
    """

    def __init__(
        self, channels: int, heads: int, modes: Sequence[int], expansion: float = 2.0, positions: float = 64.0
    ) -> None:
        super().__init__()
        self.heads, self.positions = heads, positions
        self.mix = ChannelLinear(channels, 3 * channels, bias=False)
        self.out = ChannelLinear(channels, channels)
        self.conv = SpectralConv(channels, channels, modes)
        self.network = ChannelMLP(channels, round(expansion * channels), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, *grid)`` to the same shape."""
        h = (self.attend(x) + self.conv(x) + x) / math.sqrt(3)
        return h + self.network(h)

    def attend(self, x: Tensor) -> Tensor:
        """The attention alone, all points of a grid with equal weights."""
        q, k, v = self.mix(x).flatten(2).unflatten(1, (3, self.heads, -1)).mT.unbind(1)
        # One mean and variance per feature, over the points.
        k, v = (F.layer_norm(part.mT, (part.shape[-2],)).mT for part in (k, v))
        axes = [torch.arange(n, dtype=torch.float64, device=x.device) / n for n in x.shape[2:]]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2) * self.positions
        values = linear_attention(rotate(q, points), rotate(k, points), v)
        return self.out(values.mT.flatten(1, 2).unflatten(-1, x.shape[2:]))


class OFormer(nn.Module):
    """Operator transformer on regular periodic grids.

    Lifting by a pointwise network of the input and the coordinates of the unit cube, blocks of attention without
    softmax beside spectral convolutions, projection by a pointwise network. Time and memory are linear in the number of
    points; the parameters do not depend on it.

    Args:
        in_channels: Channels of the input function.
        out_channels: Channels of the output function.
        dim: Number of axes.
        hidden_channels: Width.
        num_layers: Number of blocks.
        heads: Heads of the attention.
        modes: Wave numbers of the spectral convolutions, the same for all axes.
        expansion: Hidden width of the pointwise networks, relative to ``hidden_channels``.
        positions: Steps of the finest rotary wave along an axis.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``
        - **output**: ``(batch, out_channels, *grid)``

    Raises:
        ConfigError: If the width does not divide by the heads and the pairs of rotary features, or ``x`` has another
            number of axes or channels.

    Reference:
        Li, Meidani, Farimani: Transformer for partial differential equations' operator learning (2022); the layout of
        Berner et al., Principled approaches for extending neural architectures to function spaces (2025).

    Example:
        >>> model = OFormer(1, 2, dim=2, hidden_channels=16, heads=2, modes=4, num_layers=2)
        >>> model(torch.zeros(3, 1, 16, 16)).shape, model(torch.zeros(3, 1, 33, 20)).shape
        (torch.Size([3, 2, 16, 16]), torch.Size([3, 2, 33, 20]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 2,
        hidden_channels: int = 64,
        num_layers: int = 4,
        heads: int = 4,
        modes: int = 16,
        expansion: float = 2.0,
        positions: float = 64.0,
    ) -> None:
        super().__init__()
        if hidden_channels % (2 * dim * heads):
            raise ConfigError(
                f"hidden_channels is {hidden_channels}, expected a multiple of {2 * dim * heads} for {heads} heads "
                f"with pairs of rotary features on {dim} axes."
            )
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, dim
        self.hidden_channels, self.num_layers, self.heads = hidden_channels, num_layers, heads
        self.modes, self.expansion, self.positions = modes, expansion, positions
        self.lifting = ChannelMLP(in_channels + dim, 2 * hidden_channels, hidden_channels)
        self.blocks = nn.ModuleList(
            [OFormerBlock(hidden_channels, heads, [modes] * dim, expansion, positions) for _ in range(num_layers)]
        )
        self.projection = ChannelMLP(hidden_channels, 2 * hidden_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, in_channels, *grid)`` to ``(batch, out_channels, *grid)``."""
        if x.ndim != self.dim + 2 or x.shape[1] != self.in_channels:
            raise ConfigError(
                f"x has shape {tuple(x.shape)}, expected (batch, {self.in_channels}, {self.dim} axes of points): build "
                "the model with in_channels and dim that fit the data."
            )
        axes = [torch.arange(n, dtype=x.dtype, device=x.device) / n for n in x.shape[2:]]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(x), *[-1] * (self.dim + 1))
        y = self.lifting(torch.cat([x, grid], 1))
        for block in self.blocks:
            y = block(y)
        return self.projection(y)

    @classmethod
    def from_spec(cls, spec: DataSpec, **kwargs: Any) -> OFormer:
        """Build the model for a dataset: channels and dimension are those of its ``x`` and ``y``.

        Args:
            spec: What the dataset says about itself.
            **kwargs: Arguments of the constructor; they win over the dataset.
        """
        sizes = {"in_channels": spec.in_channels, "out_channels": spec.out_channels, "dim": spec.dim}
        return cls(**{**sizes, **kwargs})

    @staticmethod
    def example() -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments of a small model, and a batch for it."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(4, 1, 16, 16, generator=generator)
        sizes = {"in_channels": 1, "out_channels": 1, "hidden_channels": 8, "num_layers": 2, "heads": 2, "modes": 4}
        return sizes, {"x": x, "y": x.roll(1, -1) ** 2}
