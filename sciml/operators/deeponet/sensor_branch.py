"""The resampling branch: any network for fixed sensors, fed with values interpolated from the sensors at hand."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.deeponet.interpolation import PiecewiseLinear, same_points
from sciml.operators.deeponet.networks import feature_size, vector_size
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.spaces import RegularGrid

__all__ = ["SensorBranch"]


class SensorBranch(SampledBranch):
    """A branch for fixed sensors that takes others, too: linear interpolation first, constant beyond the last sensors.

    At the reference sensors the values pass unchanged. Weights are ignored.

    Args:
        network: Branch for the reference sensors: a fully connected one gets vectors, any other ``(batch, channels,
            *grid)``, or ``(batch, channels, m)`` for scattered sensors.
        sensors: Reference sensors ``(m, dim)``, or the grid that they form.
        channels: Channels of the input functions.

    Shapes:
        As for :class:`SampledBranch`.

    Raises:
        ConfigError: As for :class:`SampledBranch`; if a fully connected network takes another number of values.

    Example:
        >>> branch = SensorBranch(nn.Linear(100, 40), torch.linspace(0, 1, 100))
        >>> branch(torch.zeros(8, 7), torch.rand(8, 7, 1)).shape
        torch.Size([8, 40])
    """

    needs_weights: ClassVar[bool] = False
    points: Tensor

    def __init__(self, network: nn.Module, sensors: Tensor | RegularGrid, channels: int = 1) -> None:
        grid = sensors if isinstance(sensors, RegularGrid) else None
        points = grid.points.to(torch.get_default_dtype()) if grid is not None else torch.as_tensor(sensors)
        points = points[:, None] if points.dim() == 1 else points
        super().__init__(channels, points.shape[1], grid)
        self.network, self.out_features = network, feature_size(network)
        self.register_buffer("points", points.detach().clone())
        self._vector = vector_size(network) is not None or isinstance(network, nn.Linear)
        wanted = network.in_features if isinstance(network, nn.Linear) else vector_size(network)
        if wanted is not None and wanted != channels * len(points):
            raise ConfigError(
                f"the network takes {wanted} values, the reference sensors have shape {tuple(points.shape)} and the "
                f"functions {channels} channels: expected {channels} x {len(points)} = {channels * len(points)}."
            )

    def encode(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Interpolate to the reference sensors, and apply the network."""
        values = u if same_points(points, self.points) else self._resampled(u, points, weights)
        if self._vector:
            return self.network(values.flatten(1))
        return self.network(values if self.domain is None else values.unflatten(2, self.domain.shape))

    def _resampled(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        if self.dim == 1 and points.dim() == 3:
            return _on_lines(u, points[..., 0], weights, self.points[:, 0])
        if points.dim() == 2 and weights.dim() == 1:
            index, factor = PiecewiseLinear(points)(self.points)
            return torch.einsum("bcmv,mv->bcm", u[:, :, index], factor)
        # Scattered sensors of its own for every function: a triangulation for each.
        valid = weights.expand(len(u), -1) > 0
        places = points.expand(len(u), -1, -1)
        return torch.cat(
            [
                self._resampled(v[None, :, ok], x[ok], v.new_ones(int(ok.sum())))
                for v, x, ok in zip(u, places, valid, strict=True)
            ]
        )


def _on_lines(u: Tensor, x: Tensor, weights: Tensor, reference: Tensor) -> Tensor:
    """Linear interpolation for every function from its own sensors ``(batch, m)``; those of weight zero are padding."""
    valid = weights.expand_as(x) > 0
    # Padding goes to the far right, as a copy of the last sensor.
    last = torch.where(valid, x, -torch.inf).max(1, keepdim=True)
    place, value = torch.where(valid, x, last.values), u
    value = torch.where(valid[:, None], u, u.gather(2, last.indices[:, None].expand(-1, u.shape[1], 1)))
    place, order = place.sort(1)
    value = value.gather(2, order[:, None].expand_as(value))
    wanted = reference.expand(len(x), -1).contiguous()
    right = torch.searchsorted(place, wanted).clamp(1).clamp(max=x.shape[1] - 1)
    left = (right - 1).clamp(0)
    begin, end = place.gather(1, left), place.gather(1, right)
    part = ((wanted - begin) / (end - begin).clamp_min(torch.finfo(x.dtype).tiny)).clamp(0, 1)[:, None]
    channels = (-1, u.shape[1], -1)
    low, high = (value.gather(2, side[:, None].expand(*channels)) for side in (left, right))
    return low + part * (high - low)
