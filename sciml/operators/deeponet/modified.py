"""The modified DeepONet, whose hidden layers are mixed from encodings of the input function and of the query point."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn import ACTIVATIONS, activation_function
from sciml.operators.deeponet.inputs import Layout, batched_values, flat_values, query_layout, query_points
from sciml.operators.deeponet.transforms import without_single_axes
from sciml.spaces import Function

__all__ = ["ModifiedDeepONet"]


class ModifiedDeepONet(nn.Module):
    r"""DeepONet with the modified fully connected architecture, often easier to train with physics-informed losses.

    .. math::
        U = \phi(W_u u + b_u), \quad V = \phi(W_y y + b_y), \quad
        H^1_u = \phi(W^1_u u + b^1_u), \quad H^1_y = \phi(W^1_y y + b^1_y)

        Z^l = \phi(W^l H^l + b^l), \quad H^{l+1} = (1 - Z^l) \odot U + Z^l \odot V, \quad
        G(u)(y) = \langle H^L_u, H^L_y \rangle + b_0

    Because both encodings enter both networks, there is no basis that all functions share: memory is ``batch * points *
    width`` for each layer.

    Args:
        sensors: Sensor values per input function, over channels and points.
        dim: Dimension of the query points.
        width: Width of all layers.
        depth: Number :math:`L` of states :math:`H`.
        out_channels: Channels of the output; the last states are cut into as many groups.
        activation: Name of :math:`\phi`.
        bias: Add one number per output channel.
        layout: Layout of the query points where a call names none.

    Shapes:
        As for :class:`DeepONet`.

    Raises:
        ConfigError: If ``width`` does not divide by ``out_channels``, or shapes do not fit.

    Reference:
        Wang, Wang, Perdikaris: Improved architectures and training algorithms for deep operator networks (2021).
        Weights are Glorot normal, biases zero; :math:`b_0` is added.

    Example:
        >>> net = ModifiedDeepONet(sensors=100, dim=1, width=40, depth=3)
        >>> net(torch.zeros(8, 100), torch.rand(50, 1)).shape
        torch.Size([8, 50])
    """

    invariances = ("query_order",)

    def __init__(
        self,
        sensors: int,
        dim: int = 1,
        width: int = 100,
        depth: int = 3,
        out_channels: int = 1,
        activation: str = "tanh",
        bias: bool = True,
        layout: Layout | None = None,
    ) -> None:
        super().__init__()
        activation_function(activation)
        if min(sensors, dim, width, depth, out_channels) < 1 or width % out_channels:
            raise ConfigError(
                f"sensors={sensors}, dim={dim}, width={width}, depth={depth}, out_channels={out_channels}: expected "
                "positive numbers, and a width that divides by out_channels."
            )
        self.sensors, self.dim, self.out_channels, self.activation, self.layout = (
            sensors,
            dim,
            out_channels,
            activation,
            layout,
        )
        self.encode_u, self.encode_y = nn.Linear(sensors, width), nn.Linear(dim, width)
        sizes = [(sensors, dim)] + [(width, width)] * (depth - 1)
        self.branch_layers = nn.ModuleList([nn.Linear(size, width) for size, _ in sizes])
        self.trunk_layers = nn.ModuleList([nn.Linear(size, width) for _, size in sizes])
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, u: Any, coords: Any, layout: Layout | None = None) -> Tensor:
        """Evaluate the output functions at the query points."""
        u = flat_values(batched_values(u) if isinstance(u, Function) else u, self.sensors)
        coords, _ = query_points(coords, u)
        layout = query_layout(coords, len(u), layout or self.layout)
        if coords.shape[-1] != self.dim:
            raise ConfigError(
                f"coords has last dimension {coords.shape[-1]} (shape {tuple(coords.shape)}), but this trunk takes "
                f"{self.dim}."
            )
        # (batch, 1, sensors) meets (1 or batch, points, dim)
        points = {"aligned": coords[None], "unaligned": coords[:, None], "ragged": coords}[layout]
        b, t = self._states(u[:, None], points)
        values = (b * t).unflatten(-1, (self.out_channels, -1)).sum(-1).transpose(1, 2)
        if self.bias is not None:
            values = values + self.bias[:, None]
        return without_single_axes(values, self.out_channels, layout)

    def _states(self, u: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Last states of both networks, which broadcast to ``(batch, points, width)``."""
        phi = ACTIVATIONS[self.activation]
        code_u, code_y = phi(self.encode_u(u)), phi(self.encode_y(y))
        b, t = phi(self.branch_layers[0](u)), phi(self.trunk_layers[0](y))
        for on_branch, on_trunk in zip(self.branch_layers[1:], self.trunk_layers[1:], strict=True):
            b, t = (
                torch.lerp(*torch.broadcast_tensors(code_u, code_y, phi(f(h))))
                for f, h in ((on_branch, b), (on_trunk, t))
            )
        return b, t
