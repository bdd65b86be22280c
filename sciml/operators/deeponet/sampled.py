"""The base of branches that read functions at any sensors: what they are given, brought into one form and checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid

__all__ = ["SampledBranch"]


class SampledBranch(nn.Module, ABC):
    """A branch for functions known at sensors that may differ in place and number, from call to call or per function.

    A subclass writes :meth:`encode` and gets all inputs in one form.

    Args:
        channels: Channels of the input functions.
        dim: Dimension of their domain.
        domain: Grid on which functions without ``sensors`` are given, at this or any other resolution: a finer grid on
            the same box is read with its own points and weights.

    Shapes:
        - **u**: ``(batch, channels, m)`` or ``(batch, channels, *grid)``; without the axis of channels for one channel.
        - **sensors**: ``(m, dim)`` for all functions, or ``(batch, m, dim)``; ``(m,)`` in one dimension.
        - **weights**: quadrature weights of the sensors, ``(m,)`` or ``(batch, m)``.
        - **mask**: ``(batch, m)``, False on padding, whose values, places and weights are ignored.
        - **output**: ``(batch, features)``.

    Raises:
        ConfigError: If sensors are missing, weights are missing where they matter, or shapes do not fit.
    """

    # Whether sensors without weights are refused; their weights then count alike.
    needs_weights: ClassVar[bool] = True

    def __init__(self, channels: int, dim: int, domain: RegularGrid | None = None) -> None:
        super().__init__()
        if channels < 1 or dim < 1:
            raise ConfigError(f"channels={channels} and dim={dim}, expected positive numbers.")
        if domain is not None and domain.dim != dim:
            raise ConfigError(
                f"domain has {domain.dim} axes, dim is {dim}: expected the domain of the input functions."
            )
        self.channels, self.dim, self.domain = channels, dim, domain

    @abstractmethod
    def encode(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Coefficients from values ``(batch, channels, m)``, points and weights without or with a batch axis."""

    def forward(
        self, u: Tensor, sensors: Tensor | None = None, weights: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Coefficients ``(batch, features)`` of functions at sensors."""
        if sensors is None:
            values, points, given = self._on_domain(u)
            weights = given if weights is None else weights
        else:
            values = self._values(u)
            points = sensors[:, None] if sensors.dim() == 1 else sensors
        weights = self._checked(u, values, points, weights, mask)
        if mask is not None:
            # Padding may hold anything, also NaN.
            values = torch.where(mask[:, None], values, 0)
            weights = torch.where(mask, weights, 0)
            points = torch.where(mask[..., None], points, 0) if points.dim() == 3 else points
        return self.encode(values, points, weights)

    def _values(self, u: Tensor) -> Tensor:
        if self.channels == 1 and (u.dim() == 2 or u.shape[1] != 1):
            u = u[:, None]
        if u.dim() < 3 or u.shape[1] != self.channels:
            raise ConfigError(
                f"u has shape {tuple(u.shape)}, but this branch reads (batch, {self.channels}, sensors): "
                f"{self.channels} channels come before the sensors."
            )
        return u if u.dim() == 3 else u.flatten(2)

    def _on_domain(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.domain is None:
            raise ConfigError(
                f"u has shape {tuple(u.shape)}, but nothing says where its values are taken: pass sensors and "
                "sensor_weights, a Function, or build the branch with domain=RegularGrid(...)."
            )
        if self.channels == 1 and u.dim() == 1 + self.dim:
            u = u[:, None]
        if u.dim() != 2 + self.dim or u.shape[1] != self.channels:
            raise ConfigError(
                f"u has shape {tuple(u.shape)}, expected (batch, {self.channels}, *grid) with the {self.dim} axes of "
                "the domain. Values at scattered sensors come with sensors=... and sensor_weights=..."
            )
        points, weights = _grid_samples(self.domain.with_shape(tuple(u.shape[2:])), u.dtype, u.device)
        return u.flatten(2), points, weights

    def _checked(
        self, u: Tensor, values: Tensor, points: Tensor, weights: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """The weights, after a look at all shapes."""
        batch, _, m = values.shape
        if points.shape not in ((m, self.dim), (batch, m, self.dim)):
            raise ConfigError(
                f"sensors have shape {tuple(points.shape)}, u {tuple(u.shape)}: expected ({m}, {self.dim}) for all "
                f"functions, or ({batch}, {m}, {self.dim})."
            )
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (batch, m)):
            raise ConfigError(
                f"sensor_mask has shape {tuple(mask.shape)} and type {mask.dtype}, expected booleans ({batch}, {m})."
            )
        if weights is None:
            if self.needs_weights:
                raise ConfigError(
                    f"{type(self).__name__} integrates over the sensors and needs sensor_weights ({m},) or ({batch}, "
                    f"{m}): take those of a discretisation, such as PointCloud(points, weights=...).weights."
                )
            return values.new_ones(m)
        if weights.shape not in ((m,), (batch, m)):
            raise ConfigError(
                f"sensor_weights have shape {tuple(weights.shape)}, u {tuple(u.shape)}: expected ({m},) or ({batch}, "
                f"{m}), one number a sensor."
            )
        return weights


def _grid_samples(grid: RegularGrid, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    # A tracer's tensors must not outlive the trace.
    return (_make_samples if torch.compiler.is_compiling() else _cached_samples)(grid, dtype, device)


def _make_samples(grid: RegularGrid, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):
        return grid.points.to(device, dtype), grid.weights.to(device, dtype)


_cached_samples = lru_cache(maxsize=32)(_make_samples)
