"""U-shaped neural operator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.adapters.base import DEFAULT_MODES, GridAdapter
from sciml.operators.adapters.package import build_quietly, reference_model

__all__ = ["UNO"]


class UNO(GridAdapter):
    """U-shaped neural operator of the package neuraloperator: Fourier layers on grids that get coarser and finer again.

    Known defects of ``neuraloperator`` 2.0.0 (:func:`~sciml.operators.adapters.known_defects`): the layers that rescale
    move waves along all grid axes but the last to other frequencies, which training at one resolution makes up for, but
    which changes the operator at another one; single precision only; complex weights, so no fused optimizer.

    Args:
        in_channels: Channels of the input function.
        out_channels: Channels of the output function.
        modes: Wave numbers kept per axis on the finest grid; one number for all axes, or one per axis. Coarser layers
            keep proportionally fewer.
        dim: Number of grid axes; needed when ``modes`` is one number.
        hidden_channels: Width of the layers on the finest grid.
        scalings: Factor on the number of points in each layer; their product is one.
        widths: Width of each layer relative to ``hidden_channels``.
        grid_embedding: Append the coordinates of the unit cube to the input.
        padding: Zeros put around the lifted function, as a fraction of the grid on each side.
        lifting_ratio: Hidden width of the lifting network, relative to ``hidden_channels``.
        projection_ratio: Hidden width of the projection network, relative to ``hidden_channels``.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``, or ``(batch, *grid)`` for one channel.
        - **output**: ``(batch, out_channels, *grid)``.

    Raises:
        ConfigError: If arguments do not fit one another, or the input has another shape or type.
        ImportError: If the package is not installed.

    Reference:
        Rahman, Ross, Azizzadenesheli: U-NO: U-shaped neural operators (2022). The skip connections of the pointwise
        networks are linear, since the default of ``neuraloperator`` cannot change the width.

    Example:
        >>> model = UNO(1, 1, modes=[6, 6], hidden_channels=8)  # doctest: +SKIP
        >>> model(torch.zeros(2, 1, 16, 16)).shape  # doctest: +SKIP
        torch.Size([2, 1, 16, 16])
    """

    resolution_note = (
        "the layers of uno that rescale act on other frequencies there (known defect 'rescaled-spectrum' of "
        "neuraloperator 2.0); the result does not converge. fno and tfno hold at any resolution."
    )

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: int | Sequence[int] = DEFAULT_MODES,
        dim: int | None = None,
        hidden_channels: int = 32,
        scalings: Sequence[float] = (1, 0.5, 1, 2, 1),
        widths: Sequence[float] = (1, 2, 2, 2, 1),
        grid_embedding: bool = True,
        padding: float = 0.0,
        lifting_ratio: float = 2,
        projection_ratio: float = 2,
    ) -> None:
        super().__init__(in_channels, out_channels, modes, dim)
        if len(scalings) != len(widths) or abs(math.prod(scalings) - 1) > 1e-9:
            raise ConfigError(
                f"scalings are {list(scalings)} and widths {list(widths)}; expected as many of both, and scalings "
                "whose product is 1, so that the output lives on the grid of the input."
            )
        self.hidden_channels = hidden_channels
        self.scalings = list(scalings)
        self.widths = list(widths)
        self.grid_embedding = grid_embedding
        self.padding = padding
        self.lifting_ratio = lifting_ratio
        self.projection_ratio = projection_ratio
        self.uno: nn.Module = build_quietly(
            reference_model("UNO"),
            in_channels=in_channels,
            out_channels=out_channels,
            hidden_channels=hidden_channels,
            lifting_channels=int(lifting_ratio * hidden_channels),
            projection_channels=int(projection_ratio * hidden_channels),
            positional_embedding="grid" if grid_embedding else None,
            n_layers=len(scalings),
            uno_out_channels=[int(width * hidden_channels) for width in widths],
            uno_n_modes=_layer_modes(self.modes, scalings),
            uno_scalings=[[scaling] * self.dim for scaling in scalings],
            channel_mlp_skip="linear",
            domain_padding=padding or None,
        )

    @property
    def model(self) -> nn.Module:
        return self.uno

    @staticmethod
    def example() -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments of a small model, and a batch for it."""
        x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        arguments = {"in_channels": 1, "out_channels": 1, "modes": [4, 4], "hidden_channels": 4}
        return arguments, {"x": x, "y": x.roll(1, -1) ** 2}


def _layer_modes(modes: Sequence[int], scalings: Sequence[float]) -> list[list[int]]:
    """Modes of each layer: no more than the coarser of its two grids carries."""
    level, found = 1.0, []
    for scaling in scalings:
        coarser = min(level, level * scaling, 1.0)
        found.append([max(2, round(coarser * m)) for m in modes])
        level *= scaling
    return found
