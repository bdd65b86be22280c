"""Batch and instance normalisation with quadrature weights, and their running statistics."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from sciml.errors import ConfigError
from sciml.nn._point_weights import adopt
from sciml.nn.weighted_norm import normalise, space_weights, summed, weighted_moments

__all__ = ["WeightedBatchNorm", "WeightedInstanceNorm"]


class WeightedBatchNorm(_BatchNorm):
    r"""``torch.nn.BatchNorm1d``, ``2d`` and ``3d`` in one, whose moments over batch and space have quadrature weights.

    Arguments, parameters, buffers and ``state_dict`` are those of torch's layers, and so are the results without
    weights or with equal ones. The running variance is the unbiased one,

    .. math:: \frac{n}{n - 1}\, s^2, \qquad n = \frac{(\sum_j w_j)^2}{\sum_j w_j^2},

    with the effective number of values :math:`n`, which is their number where weights are equal, does not depend on
    their scale and leaves points of weight zero out: if the values of all points with a weight are independent, the
    expectation is their variance. Points of weight zero are normalised with the moments of the others; their values
    must be finite.

    Shapes:
        - **x**: ``(batch, channels, *grid)``; with ``channel_dim=-1`` ``(batch, *grid, channels)``.
        - **weights**: ``(*grid)`` or ``(batch, *grid)``, or with the axes of the grid flattened; not negative, and only
          their ratios matter, those between samples included.
        - **output**: As **x**.

    Raises:
        ConfigError: In a call, if channels or weights do not fit, weights are negative or not finite, or fewer than two
            values count in training.

    Reference:
        Berner et al.: Principled approaches for extending neural architectures to function spaces (2025), which leaves
        the running variance open.

    Example:
        >>> layer = WeightedBatchNorm(8)
        >>> layer(torch.randn(3, 8, 16, 16), torch.rand(16, 16)).shape
        torch.Size([3, 8, 16, 16])
    """

    @classmethod
    def from_module(cls, module: nn.Module) -> "WeightedBatchNorm":
        """The layer with the same parameters and buffers as a ``torch.nn.BatchNorm1d``, ``2d`` or ``3d``.

        Args:
            module: The layer; not a ``SyncBatchNorm``, whose moments span processes.

        Raises:
            TypeError: If it is of another class.
        """
        return adopt(module, cls, _BatchNorm)

    def _check_input_dim(self, input: Tensor) -> None:
        _check_channels(input, self.num_features)

    def forward(self, x: Tensor, weights: Tensor | None = None, channel_dim: int = 1) -> Tensor:
        """Normalise, and in training update the running statistics."""
        x = x.movedim(channel_dim, 1)
        w = None if weights is None else space_weights(weights, x)
        if w is None or not (self.training or self.running_mean is None):
            return super().forward(x).movedim(1, channel_dim)
        self._check_input_dim(x)
        flat = x.reshape(*x.shape[:2], -1)
        mean, variance = weighted_moments(flat, w, (0, 2), keepdim=True)
        if self.training:
            unbiased = variance * bessel(w.to(mean.dtype), flat.shape, (0, 2))
            if self.track_running_stats:
                self._track(mean.flatten(), unbiased.flatten())
        weight, bias = (None if p is None else p[:, None].to(mean.dtype) for p in (self.weight, self.bias))
        return normalise(flat, mean, variance, self.eps, weight, bias).view(x.shape).movedim(1, channel_dim)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        rate = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if rate is None:
                rate = 1.0 / float(self.num_batches_tracked)
        _update(self.running_mean, mean, rate or 0.0)
        _update(self.running_var, variance, rate or 0.0)


class WeightedInstanceNorm(_InstanceNorm):
    """``torch.nn.InstanceNorm1d``, ``2d`` and ``3d`` in one, whose moments over space have quadrature weights.

    Arguments, parameters, buffers and ``state_dict`` are those of torch's layers, and so are the results without
    weights or with equal ones, running statistics included (see :class:`WeightedBatchNorm` for their variance). Points
    of weight zero are normalised with the moments of the others; their values must be finite. A sample without a point
    of positive weight has mean and variance zero. There must be a batch axis.

    Shapes:
        - **x**: ``(batch, channels, *grid)``; with ``channel_dim=-1`` ``(batch, *grid, channels)``.
        - **weights**: ``(*grid)`` or ``(batch, *grid)``, or with the axes of the grid flattened; not negative, and only
          their ratios within a sample matter.
        - **output**: As **x**.

    Raises:
        ConfigError: In a call, if channels or weights do not fit, weights are negative or not finite, or fewer than two
            points of a sample count while running statistics are updated.

    Reference:
        Berner et al.: Principled approaches for extending neural architectures to function spaces (2025).

    Example:
        >>> layer = WeightedInstanceNorm(8)
        >>> layer(torch.randn(3, 100, 8), torch.rand(3, 100), channel_dim=-1).shape
        torch.Size([3, 100, 8])
    """

    @classmethod
    def from_module(cls, module: nn.Module) -> "WeightedInstanceNorm":
        """The layer with the same parameters and buffers as a ``torch.nn.InstanceNorm1d``, ``2d`` or ``3d``.

        Args:
            module: The layer.

        Raises:
            TypeError: If it is of another class.
        """
        return adopt(module, cls, _InstanceNorm)

    def forward(self, x: Tensor, weights: Tensor | None = None, channel_dim: int = 1) -> Tensor:
        """Normalise, and in training update the running statistics, if there are any."""
        x = x.movedim(channel_dim, 1)
        _check_channels(x, self.num_features)
        w = None if weights is None else space_weights(weights, x)
        own_moments = self.training or not self.track_running_stats
        if w is None or not own_moments:
            return self._apply_instance_norm(x).movedim(1, channel_dim)
        flat = x.flatten(2)
        mean, variance = weighted_moments(flat, w, 2, keepdim=True)
        if self.track_running_stats:
            factor = bessel(w.to(mean.dtype), flat.shape, (2,))
            _update(self.running_mean, mean.mean(0).flatten(), self.momentum or 0.0)
            _update(self.running_var, (variance * factor).mean(0).flatten(), self.momentum or 0.0)
        weight, bias = (None if p is None else p[:, None].to(mean.dtype) for p in (self.weight, self.bias))
        return normalise(flat, mean, variance, self.eps, weight, bias).view(x.shape).movedim(1, channel_dim)


def bessel(weights: Tensor, shape: torch.Size, dims: tuple[int, ...]) -> Tensor:
    """The factor ``n / (n - 1)`` of an unbiased variance, with the effective number of values ``n``.

    Args:
        weights: Not negative.
        shape: To which they broadcast.
        dims: The axes over which the variance is formed.

    Raises:
        ConfigError: If fewer than two weights are positive.
    """
    effective = summed(weights, shape, dims).square() / summed(weights.square(), shape, dims)
    if not torch.compiler.is_compiling() and not bool((effective > 1).all()):
        raise ConfigError(
            "fewer than two values per channel have a positive weight, too few for the statistics of training. "
            "Give more points, or call eval()."
        )
    return effective / (effective - 1)


def _check_channels(x: Tensor, channels: int) -> None:
    if x.dim() < 2 or x.shape[1] != channels:
        raise ConfigError(
            f"x has shape (batch, channels, *grid) = {tuple(x.shape)}, expected {channels} channels. "
            "Is channel_dim right?"
        )


def _update(running: Tensor | None, value: Tensor, rate: float) -> None:
    if running is not None:
        running.lerp_(value.detach().to(running.dtype), rate)
