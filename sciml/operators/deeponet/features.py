"""Features of the query point that the trunk reads in its place: periodic ones, and random Fourier features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError

__all__ = ["FourierFeatures", "PeriodicFeatures", "periodic_features"]


class PeriodicFeatures(nn.Module):
    r"""Harmonics :math:`\cos k \omega y_j, \sin k \omega y_j` of some coordinates, which make a trunk exactly periodic.

    Args:
        periods: Period of each axis; None leaves a coordinate as it is.
        num_harmonics: Number :math:`n` of harmonics per periodic axis, :math:`k = 1, \dots, n`.

    Shapes:
        - **coords**: ``(..., dim)``.
        - **output**: ``(..., features)``: for each axis ``(cos 1, sin 1, cos 2, sin 2, ...)`` or the coordinate.

    Raises:
        ConfigError: If a period is not positive, there are no harmonics, or coords have another dimension.

    Reference:
        Lu et al.: A comprehensive and fair comparison of two neural operators (2022). The argument is reduced to one
        period first, so that the features keep their digits far from the origin.

    Example:
        >>> features = PeriodicFeatures([1.0, None], num_harmonics=2)
        >>> features(torch.rand(50, 2)).shape, features.out_features
        (torch.Size([50, 5]), 5)
    """

    def __init__(self, periods: Sequence[float | None], num_harmonics: int = 2) -> None:
        super().__init__()
        self.periods, self.num_harmonics = tuple(periods), num_harmonics
        if not self.periods or any(period is not None and not period > 0 for period in self.periods):
            raise ConfigError(f"periods are {self.periods}, expected for each axis a positive number or None.")
        if num_harmonics < 1:
            raise ConfigError(f"num_harmonics is {num_harmonics}, expected at least 1.")

    @property
    def out_features(self) -> int:
        """Number of features."""
        return sum(1 if period is None else 2 * self.num_harmonics for period in self.periods)

    def forward(self, coords: Tensor) -> Tensor:
        """Features ``(..., out_features)`` of the points."""
        if coords.shape[-1] != len(self.periods):
            raise ConfigError(
                f"coords has last dimension {coords.shape[-1]} (shape {tuple(coords.shape)}), but the features have "
                f"periods for {len(self.periods)} axes: {self.periods}. Give one period, or None, per axis."
            )
        orders = torch.arange(1, self.num_harmonics + 1, dtype=coords.dtype, device=coords.device)
        parts = []
        for axis, period in enumerate(self.periods):
            y = coords[..., axis : axis + 1]
            if period is None:
                parts.append(y)
                continue
            angle = 2 * math.pi * orders * (torch.remainder(y, period) / period)
            parts.append(torch.stack([angle.cos(), angle.sin()], -1).flatten(-2))
        return torch.cat(parts, -1)

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"periods={self.periods}, num_harmonics={self.num_harmonics}"


def periodic_features(period: float | Sequence[float | None], n: int = 2) -> PeriodicFeatures:
    """Harmonics that make a DeepONet exactly periodic, ``trunk_features=periodic_features(1.0)``.

    Args:
        period: Period of the one axis, or for each axis a period or None.
        n: Number of harmonics.

    Example:
        >>> periodic_features(1.0)(torch.zeros(3, 1))
        tensor([[1., 0., 1., 0.],
                [1., 0., 1., 0.],
                [1., 0., 1., 0.]])
    """
    return PeriodicFeatures(period if isinstance(period, Sequence) else [period], n)


class FourierFeatures(nn.Module):
    r"""Random Fourier features :math:`\cos 2\pi B y, \sin 2\pi B y` with normal frequencies :math:`B`.

    Args:
        dim: Dimension of the query points.
        num_frequencies: Number of frequencies; there are twice as many features.
        scale: Standard deviation of the frequencies, in cycles per unit of the coordinates.

    Shapes:
        - **coords**: ``(..., dim)``.
        - **output**: ``(..., 2 * num_frequencies)``.

    Raises:
        ConfigError: If a size is not positive, or coords have another dimension.

    Reference:
        Tancik et al.: Fourier features let networks learn high frequency functions in low dimensional domains (2020).
        The frequencies are drawn from torch's global generator and kept in the state, untrained.

    Example:
        >>> FourierFeatures(2, 16)(torch.rand(50, 2)).shape
        torch.Size([50, 32])
    """

    frequencies: Tensor

    def __init__(self, dim: int, num_frequencies: int, scale: float = 1.0) -> None:
        super().__init__()
        if dim < 1 or num_frequencies < 1 or not scale > 0:
            raise ConfigError(
                f"dim={dim}, num_frequencies={num_frequencies}, scale={scale}: expected positive numbers."
            )
        self.register_buffer("frequencies", scale * torch.randn(dim, num_frequencies))

    @property
    def out_features(self) -> int:
        """Number of features."""
        return 2 * self.frequencies.shape[1]

    def forward(self, coords: Tensor) -> Tensor:
        """Features ``(..., 2 * num_frequencies)`` of the points."""
        if coords.shape[-1] != len(self.frequencies):
            raise ConfigError(
                f"coords has last dimension {coords.shape[-1]} (shape {tuple(coords.shape)}), but the Fourier features "
                f"take {len(self.frequencies)}."
            )
        angle = 2 * math.pi * (coords @ self.frequencies)
        return torch.cat([angle.cos(), angle.sin()], -1)
