"""Codomain attention neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.adapters.base import DEFAULT_MODES, GridAdapter
from sciml.operators.adapters.package import build_quietly, reference_model

__all__ = ["CODANO"]


class CODANO(GridAdapter):
    """Codomain attention neural operator of the package neuraloperator: every input channel is a token.

    Known defects of ``neuraloperator`` 2.0.0 (:func:`~sciml.operators.adapters.known_defects`): none of its models of
    this kind runs on a line; arguments documented as optional are needed (they are given here); single precision only;
    complex weights, so no fused optimizer.

    Args:
        in_channels: Channels of the input function, one token each.
        out_channels: Channels of the output function, a multiple of ``in_channels``.
        modes: Wave numbers kept per axis; one number for all axes, or one per axis.
        dim: Number of grid axes, 2 or 3; needed when ``modes`` is one number.
        hidden_channels: Width of each token.
        num_layers: Number of attention layers.
        num_heads: Heads of each attention layer.
        token_channels: Channels that attention takes together, a divisor of ``hidden_channels``; None takes them all,
            so that variables attend to variables.
        lifting_ratio: Hidden width of the lifting network, relative to ``hidden_channels``.
        projection_ratio: Hidden width of the projection network, relative to ``hidden_channels``.
        padding: Zeros put around the function, as a fraction of the grid on each side.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``, or ``(batch, *grid)`` for one channel.
        - **output**: ``(batch, out_channels, *grid)``.

    Raises:
        ConfigError: If arguments do not fit one another, or the input has another shape or type.
        ImportError: If the package is not installed.

    Reference:
        Rahman et al.: Pretraining codomain attention neural operators for solving multiphysics PDEs (2024). No
        variable-specific encodings: the operator does not know which channel is which, and commutes with exchanging
        them.

    Example:
        >>> model = CODANO(2, 2, modes=[6, 6], hidden_channels=8, num_layers=1)  # doctest: +SKIP
        >>> model(torch.zeros(2, 2, 16, 16)).shape  # doctest: +SKIP
        torch.Size([2, 2, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: int | Sequence[int] = DEFAULT_MODES,
        dim: int | None = None,
        hidden_channels: int = 16,
        num_layers: int = 3,
        num_heads: int = 1,
        token_channels: int | None = None,
        lifting_ratio: float = 2,
        projection_ratio: float = 2,
        padding: float = 0.0,
    ) -> None:
        super().__init__(in_channels, out_channels, modes, dim)
        if self.dim == 1:
            raise ConfigError(
                "dim is 1, but the codano of neuraloperator 2.0 normalises planes and space only (known defect "
                "'codano-on-a-line'). Take fno, tfno or uno."
            )
        if out_channels % in_channels:
            raise ConfigError(
                f"out_channels is {out_channels} and in_channels {in_channels}: codano gives each input channel the "
                "same number of output channels. Take fno, tfno or uno, or leave out inputs."
            )
        tokens = token_channels or hidden_channels
        if hidden_channels % tokens:
            raise ConfigError(f"token_channels is {tokens}, expected a divisor of hidden_channels {hidden_channels}.")
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.token_channels = token_channels
        self.lifting_ratio = lifting_ratio
        self.projection_ratio = projection_ratio
        self.padding = padding
        self.codano: nn.Module = build_quietly(
            reference_model("CODANO"),
            output_variable_codimension=out_channels // in_channels,
            lifting_channels=int(lifting_ratio * hidden_channels),
            hidden_variable_codimension=hidden_channels,
            projection_channels=int(projection_ratio * hidden_channels),
            n_layers=num_layers,
            n_modes=[list(self.modes) for _ in range(num_layers)],
            n_heads=[num_heads] * num_layers,
            per_layer_scaling_factors=[[1] * self.dim] * num_layers,
            attention_scaling_factors=[1] * num_layers,
            attention_token_dim=tokens,
            domain_padding=padding or None,
        )

    @property
    def model(self) -> nn.Module:
        return self.codano

    @staticmethod
    def example() -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments of a small model, and a batch for it."""
        x = torch.randn(3, 2, 12, 12, generator=torch.Generator().manual_seed(0))
        arguments = {
            "in_channels": 2,
            "out_channels": 2,
            "modes": [4, 4],
            "hidden_channels": 4,
            "num_layers": 1,
            "num_heads": 2,
        }
        return arguments, {"x": x, "y": x.roll(1, -1) ** 2}
