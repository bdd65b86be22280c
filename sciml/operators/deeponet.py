"""The deep operator network, from two networks as objects, or from widths as in a configuration file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.nn import MLP
from sciml.registry import ModelSpec

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["DEEPONET", "DeepONet", "deeponet"]


class DeepONet(nn.Module):
    r"""Deep operator network: branch and trunk networks joined by an inner product.

    .. math:: G_c(u)(y) = \sum_{k=1}^{p} b_{ck}(u)\, t_k(y) + b_{c0}

    Args:
        branch: Maps sampled input functions to ``out_channels * p`` coefficients. An :class:`~sciml.nn.MLP` gets the
            samples as one vector, function after function; any other network gets ``u`` as it is.
        trunk: Maps query locations to ``p`` basis values.
        bias: Add one number per output channel, zero at the start.
        out_channels: Channels of the output function; they share the trunk.

    Shapes:
        - **u**: ``(batch, sensors)``, ``(batch, channels, sensors)`` or ``(batch, channels, *grid)``: values of the
          input function at fixed sensors.
        - **coords**: ``(points, dim)`` for all functions, or ``(batch, points, dim)``, in the units of the training.
        - **output**: ``(batch, points)``; ``(batch, out_channels, points)`` for several channels.

    Raises:
        ValueError: If branch and trunk give numbers of features that do not fit, if ``u`` has another number of sensor
            values than the branch takes, or ``coords`` another dimension than the trunk takes.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019), the unstacked form. There the trunk ends with an activation and the
        branch does not, weights are Glorot normal and biases zero; :func:`deeponet` builds such networks, here branch
        and trunk are taken as they are.

    Example:
        >>> net = DeepONet(branch=MLP(100, 40, 40), trunk=MLP(1, 40, 40, final_activation=True))
        >>> net(torch.zeros(8, 100), torch.linspace(0, 1, 50)[:, None]).shape
        torch.Size([8, 50])
    """

    invariances = ("query_order",)

    def __init__(self, branch: nn.Module, trunk: nn.Module, bias: bool = True, out_channels: int = 1) -> None:
        super().__init__()
        self.branch = branch
        self.trunk = trunk
        self.out_channels = out_channels
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        if isinstance(branch, MLP) and isinstance(trunk, MLP):
            self._check_features(branch.out_features, trunk.out_features)

    def forward(self, u: Tensor, coords: Tensor) -> Tensor:
        """Evaluate the output functions at the query points."""
        coefficients = self.branch(self._sensor_values(u))
        basis = self.trunk(self._query_points(coords, len(u)))
        p = basis.shape[-1]
        self._check_features(coefficients.shape[-1], p)
        if basis.ndim == 2 and self.out_channels == 1:
            # One product for all functions and points; equals einsum("bp,np->bn") + bias.
            if self.bias is None:
                return coefficients @ basis.t()
            return torch.addmm(self.bias, coefficients, basis.t())
        values = coefficients.unflatten(1, (self.out_channels, p)) @ basis.transpose(-1, -2)
        if self.bias is not None:
            values = values + self.bias[:, None]
        return values if self.out_channels > 1 else values.squeeze(1)

    def _sensor_values(self, u: Tensor) -> Tensor:
        if not isinstance(self.branch, MLP):
            return u
        flat = u.flatten(1)
        if flat.shape[1] != self.branch.in_features:
            raise ValueError(
                f"u has {flat.shape[1]} sensor values per function (shape {tuple(u.shape)}), but this branch takes "
                f"{self.branch.in_features}. A DeepONet reads its input at fixed sensors: resample the input to those "
                f"it was trained on, or build the branch for {flat.shape[1]} values."
            )
        return flat

    def _query_points(self, coords: Tensor, batch: int) -> Tensor:
        if coords.ndim not in (2, 3) or (coords.ndim == 3 and len(coords) != batch):
            raise ValueError(
                f"coords has shape {tuple(coords.shape)}, expected (points, dim) for all functions, or "
                f"({batch}, points, dim) for a batch of {batch} functions."
            )
        if isinstance(self.trunk, MLP) and coords.shape[-1] != self.trunk.in_features:
            raise ValueError(
                f"coords has last dimension {coords.shape[-1]}, but this trunk takes {self.trunk.in_features}. Give "
                f"one column per axis of the output domain, or build the trunk for {coords.shape[-1]}."
            )
        return coords

    def _check_features(self, coefficients: int, basis: int) -> None:
        wanted = self.out_channels * basis
        if coefficients != wanted:
            raise ValueError(
                f"the branch gives {coefficients} features and the trunk {basis}; with "
                f"out_channels={self.out_channels} the branch must give {self.out_channels} x {basis} = {wanted}."
            )


def deeponet(
    sensors: int,
    dim: int = 1,
    out_channels: int = 1,
    modes: int = 64,
    branch: Sequence[int] = (128, 128),
    trunk: Sequence[int] = (128, 128),
    activation: str = "relu",
    bias: bool = True,
) -> DeepONet:
    """A :class:`DeepONet` with fully connected branch and trunk, from widths.

    The branch is linear in its last layer, the trunk ends with the activation; weights are Glorot normal. The reference
    configuration is ``deeponet(sensors=100, dim=1, modes=40, branch=[40], trunk=[40])``.

    Args:
        sensors: Sensor values per input function, over channels and points.
        dim: Dimension of the query points.
        out_channels: Channels of the output function.
        modes: Number of basis functions ``p``.
        branch: Widths of the hidden layers of the branch.
        trunk: Widths of the hidden layers of the trunk.
        activation: Name of the activation in both. The kinks of ``relu`` resolve the coordinates better than smooth
            functions do; take ``tanh`` where a loss needs second derivatives.
        bias: Add one number per output channel.

    Example:
        >>> net = deeponet(sensors=100, modes=40, branch=[40], trunk=[40])
        >>> sum(p.numel() for p in net.parameters())
        7401
    """
    return DeepONet(
        branch=MLP(sensors, *branch, out_channels * modes, activation=activation, init="glorot-normal"),
        trunk=MLP(dim, *trunk, modes, activation=activation, final_activation=True, init="glorot-normal"),
        bias=bias,
        out_channels=out_channels,
    )


def _from_spec(spec: DataSpec, **kwargs: Any) -> DeepONet:
    """Sensors are all values of ``u`` (or ``x``); the dimension is that of ``coords``, or of the grid of ``y``."""
    source = spec["u" if "u" in spec.fields else "x"]
    target = spec["y"]
    dim = len(target.shape)
    if "coords" in spec.fields:
        coords = spec["coords"]
        dim = coords.channels or coords.shape[-1]
    sizes = {
        "sensors": (source.channels or 1) * math.prod(source.shape),
        "dim": dim,
        "out_channels": target.channels or 1,
    }
    return deeponet(**{**sizes, **kwargs})


def _example() -> tuple[dict[str, Any], dict[str, Tensor]]:
    u = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    batch = {"u": u, "coords": torch.linspace(0, 1, 20)[:, None], "y": u.cumsum(1) / 20}
    return {"sensors": 20, "dim": 1, "modes": 8, "branch": [16], "trunk": [16]}, batch


DEEPONET = ModelSpec(build=deeponet, from_spec=_from_spec, example=_example)
