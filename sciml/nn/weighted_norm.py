r"""Normalisation over space with quadrature weights: moments are integrals, and converge as the points are refined.

Start with :func:`weighted_moments`; the layers are torch's with ``weights`` as a further argument of ``forward``. Those
with running statistics are in ``sciml.nn.weighted_batch_norm``.
"""

import math

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn._point_weights import adopt, extent, working_dtype, wrong_shape

__all__ = ["WeightedGroupNorm", "WeightedLayerNorm", "normalise", "space_weights", "weighted_moments"]


def weighted_moments(
    x: Tensor, weights: Tensor | None, dim: int | tuple[int, ...], keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    r"""Mean and variance with quadrature weights.

    .. math:: m = \frac{\sum_j w_j x_j}{\sum_j w_j}, \qquad s^2 = \frac{\sum_j w_j (x_j - m)^2}{\sum_j w_j}

    Args:
        x: Values.
        weights: Not negative; only ratios matter. Values of weight zero do not count, whatever they are. None means
            equal weights.
        dim: The axes to sum over.
        keepdim: Keep them with size one.

    Shapes:
        - **x**: Any.
        - **weights**: Anything that broadcasts to the shape of **x**, with as many axes.
        - **output**: Mean and variance, that of the population, in float32 for shorter types. Where all weights are
          zero both are zero.

    Raises:
        ConfigError: If the weights do not broadcast, are negative or not finite.

    Example:
        >>> mean, variance = weighted_moments(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]), 0)
        >>> mean, variance
        (tensor(2.), tensor(2.))
    """
    dims = (dim,) if isinstance(dim, int) else dim
    x = x.to(working_dtype(x))
    if weights is None:
        variance, mean = torch.var_mean(x, dims, correction=0, keepdim=keepdim)
        return mean, variance
    pairs = zip(weights.shape, x.shape, strict=False)
    if weights.dim() != x.dim() or not all(w in (1, n) for w, n in pairs):
        raise ConfigError(f"weights have shape {tuple(weights.shape)}, which does not broadcast to {tuple(x.shape)}.")
    weights = weights.to(x.dtype)
    if extent(weights).some_zero:
        # Zero times infinity is not zero; a sum of no weights is zero.
        x = x.masked_fill(weights == 0, 0.0)
    total = summed(weights, x.shape, dims)
    share = weights / total.where(total > 0, 1.0)
    mean = (x * share).sum(dims, keepdim=True)
    variance = ((x - mean).square() * share).sum(dims, keepdim=keepdim)
    return mean if keepdim else mean.squeeze(dims), variance


def summed(weights: Tensor, shape: torch.Size, dims: tuple[int, ...]) -> Tensor:
    """Sum over axes, which are kept, of weights that broadcast to a shape."""
    repeats = math.prod(shape[d] for d in dims if weights.shape[d] == 1)
    return weights.sum(dims, keepdim=True) * repeats


def space_weights(weights: Tensor, x: Tensor) -> Tensor:
    """Weights of the points of ``(batch, channels, *grid)`` as ``(batch or 1, 1, points)``.

    Args:
        weights: ``(*grid)`` or ``(batch, *grid)``; or with the axes of the grid flattened into one.
        x: A function on that grid.

    Raises:
        ConfigError: If the weights have another shape.
    """
    batch, grid = x.shape[0], x.shape[2:]
    points = math.prod(grid)
    if weights.shape in (grid, (points,)):
        return weights.reshape(1, 1, points)
    if weights.shape in ((batch, *grid), (batch, points)):
        return weights.reshape(batch, 1, points)
    raise wrong_shape(weights, points, batch)


def normalise(
    x: Tensor, mean: Tensor, variance: Tensor, eps: float, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """``(x - mean) / sqrt(variance + eps) * weight + bias``, all of which broadcast, in the type of ``x``."""
    factor = torch.rsqrt(variance + eps)
    factor = factor if weight is None else factor * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    return torch.addcmul(shift, x.to(factor.dtype), factor).to(x.dtype)


class WeightedGroupNorm(nn.GroupNorm):
    """``torch.nn.GroupNorm`` whose moments over space have quadrature weights.

    Arguments, parameters and ``state_dict`` are those of ``torch.nn.GroupNorm``, and so is the result without weights
    or with equal ones. Points of weight zero are normalised with the moments of the others; their values must be
    finite. A sample without a point of positive weight has mean and variance zero.

    Shapes:
        - **x**: ``(batch, channels, *grid)``; with ``channel_dim=-1`` ``(batch, *grid, channels)``.
        - **weights**: ``(*grid)`` or ``(batch, *grid)``, or with the axes of the grid flattened; not negative, and only
          their ratios matter.
        - **output**: As **x**.

    Raises:
        ConfigError: In a call, if channels or weights do not fit, or weights are negative or not finite.

    Reference:
        Berner et al.: Principled approaches for extending neural architectures to function spaces (2025).

    Example:
        >>> layer = WeightedGroupNorm(2, 8)
        >>> layer(torch.randn(3, 8, 16, 16), torch.rand(16, 16)).shape
        torch.Size([3, 8, 16, 16])
        >>> layer(torch.randn(3, 100, 8), torch.rand(3, 100), channel_dim=-1).shape
        torch.Size([3, 100, 8])
    """

    @classmethod
    def from_module(cls, module: nn.GroupNorm) -> "WeightedGroupNorm":
        """The layer with the same parameters as a ``torch.nn.GroupNorm``."""
        return adopt(module, cls, nn.GroupNorm)

    def forward(self, x: Tensor, weights: Tensor | None = None, channel_dim: int = 1) -> Tensor:
        """Normalise."""
        x = x.movedim(channel_dim, 1)
        if weights is None:
            return super().forward(x).movedim(1, channel_dim)
        if x.shape[1] != self.num_channels:
            raise ConfigError(f"x has {x.shape[1]} channels, expected {self.num_channels}. Is channel_dim right?")
        w = space_weights(weights, x)[:, None]
        groups = x.flatten(2).unflatten(1, (self.num_groups, -1))
        mean, variance = weighted_moments(groups, w, (2, 3), keepdim=True)
        weight, bias = (
            None if p is None else p.view(self.num_groups, -1, 1).to(mean.dtype) for p in (self.weight, self.bias)
        )
        y = normalise(groups, mean, variance, self.eps, weight, bias)
        return y.view(x.shape).movedim(1, channel_dim)


class WeightedLayerNorm(nn.LayerNorm):
    """``torch.nn.LayerNorm`` over axes of space, or of space and channels, whose moments have quadrature weights.

    Arguments, parameters and ``state_dict`` are those of ``torch.nn.LayerNorm``, and so is the result without weights
    or with equal ones, and always where only channels are normalised, which happens at each point alone. Points of
    weight zero are normalised with the moments of the others; their values must be finite. Where all weights are zero,
    mean and variance are zero.

    Shapes:
        - **x**: ``(batch, channels, *grid)``; with ``channel_dim=-1`` ``(batch, *grid, channels)``. The last axes are
          those of ``normalized_shape``.
        - **weights**: ``(*grid)`` or ``(batch, *grid)``, or with the axes of the grid flattened; not negative, and only
          their ratios matter.
        - **output**: As **x**.

    Raises:
        ConfigError: In a call, if shapes do not fit, or weights are negative or not finite.

    Reference:
        Berner et al.: Principled approaches for extending neural architectures to function spaces (2025).

    Example:
        >>> layer = WeightedLayerNorm((8, 16, 16))
        >>> layer(torch.randn(3, 8, 16, 16), torch.rand(16, 16)).shape
        torch.Size([3, 8, 16, 16])
    """

    @classmethod
    def from_module(cls, module: nn.LayerNorm) -> "WeightedLayerNorm":
        """The layer with the same parameters as a ``torch.nn.LayerNorm``."""
        return adopt(module, cls, nn.LayerNorm)

    def forward(self, x: Tensor, weights: Tensor | None = None, channel_dim: int = 1) -> Tensor:
        """Normalise."""
        axes = len(self.normalized_shape)
        if weights is None:
            return super().forward(x)
        if x.shape[-axes:] != self.normalized_shape:
            raise ConfigError(f"x has shape {tuple(x.shape)}, expected {self.normalized_shape} as its last axes.")
        moved = x.movedim(channel_dim, 1)
        w = space_weights(weights, moved)
        if axes == 1 and channel_dim in (-1, x.dim() - 1):
            return super().forward(x)
        w = w.unflatten(2, moved.shape[2:]).movedim(1, channel_dim)
        mean, variance = weighted_moments(x, w, tuple(range(-axes, 0)), keepdim=True)
        weight, bias = (None if p is None else p.to(mean.dtype) for p in (self.weight, self.bias))
        return normalise(x, mean, variance, self.eps, weight, bias)
