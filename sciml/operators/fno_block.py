"""One Fourier layer, with the skip connections that it can have."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from sciml.nn.activations import ACTIVATIONS
from sciml.nn.channel_mlp import ChannelLinear, ChannelMLP
from sciml.operators.spectral_conv import BaseSpectralConv

__all__ = ["FNOBlock", "Gate", "Skip"]

Skip = Literal["linear", "gate", "identity", "none"]


class FNOBlock(nn.Module):
    r"""One Fourier layer: spectral convolution and skip, then a pointwise network and its skip.

    .. math::
        h = \sigma(K x + L x + S_1 x), \qquad y = \sigma(\mathrm{MLP}(h) + S_2 x)

    Args:
        conv: The spectral convolution :math:`K`, from ``channels`` to ``channels``.
        channels: Width.
        activation: Name of :math:`\sigma`.
        skip: Kind of :math:`S_1`: ``linear`` map of channels, ``gate`` (one factor per channel), ``identity`` or
            ``none``.
        channel_mlp: Apply the pointwise network and its skip; otherwise :math:`y = \sigma(h)`, as in the reference.
        channel_mlp_expansion: Hidden width of the network, relative to ``channels``.
        channel_mlp_skip: Kind of :math:`S_2`.
        dropout: Dropout in the pointwise network.
        local: A local layer :math:`L` beside the spectral convolution, from ``channels`` to ``channels``.
        last: Leave out both activations :math:`\sigma`, as in the last block.
    """

    def __init__(
        self,
        conv: BaseSpectralConv,
        channels: int,
        activation: str = "gelu",
        skip: Skip = "linear",
        channel_mlp: bool = True,
        channel_mlp_expansion: float = 0.5,
        channel_mlp_skip: Skip = "gate",
        dropout: float = 0.0,
        last: bool = False,
        local: nn.Module | None = None,
    ) -> None:
        super().__init__()
        hidden = round(channels * channel_mlp_expansion)
        self.activation = "identity" if last else activation
        self.conv = conv
        self.local = local
        self.skip = _make_skip(skip, channels)
        # The network inside the block keeps its GELU whatever the activation of the block is, as in the reference.
        self.channel_mlp = ChannelMLP(channels, hidden, channels, dropout=dropout) if channel_mlp else None
        self.channel_mlp_skip = _make_skip(channel_mlp_skip, channels) if channel_mlp else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, *grid)`` to the same shape."""
        activation = ACTIVATIONS[self.activation]
        y = self.conv(x) if self.local is None else self.conv(x) + self.local(x)
        y = activation(_add_skip(y, x, self.skip))
        if self.channel_mlp is None:
            return activation(y)
        return activation(_add_skip(self.channel_mlp(y), x, self.channel_mlp_skip))


class Gate(nn.Module):
    """Multiplies each channel by a learned factor, one at the start.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``(batch, channels, *grid)``."""
        return x * self.weight.view(-1, *(1,) * (x.ndim - 2))


def _make_skip(kind: str, channels: int) -> nn.Module | None:
    makers: dict[str, Callable[[], nn.Module | None]] = {
        "linear": lambda: ChannelLinear(channels, channels, bias=False),
        "gate": lambda: Gate(channels),
        "identity": nn.Identity,
        "none": lambda: None,
    }
    if kind not in makers:
        raise ValueError(f"skip is {kind!r}, expected one of {', '.join(makers)}.")
    return makers[kind]()


def _add_skip(y: Tensor, x: Tensor, skip: nn.Module | None) -> Tensor:
    """``y + skip(x)``, in one pass where the kind of skip allows it."""
    if skip is None:
        return y
    if isinstance(skip, ChannelLinear):
        return skip(x, plus=y.flatten(2))
    if isinstance(skip, Gate):
        return torch.addcmul(y, x, skip.weight.view(-1, *(1,) * (x.ndim - 2)))
    return y + skip(x)
