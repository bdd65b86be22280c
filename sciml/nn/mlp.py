"""Fully connected networks: :class:`MLP` for vectors, :class:`FieldMLP` for functions sampled on one fixed grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.nn.activations import ACTIVATIONS, activation_function

if TYPE_CHECKING:
    from sciml.spaces import DataSpec, FieldSpec

__all__ = ["MLP", "FieldMLP"]

Init = Literal["torch", "glorot-normal", "glorot-uniform"]


class MLP(nn.Module):
    r"""Multi-layer perceptron over the last axis.

    .. math:: h_0 = x, \qquad h_{l+1} = \sigma(W_l h_l + b_l), \qquad y = W_L h_L + b_L

    Args:
        *widths: Width of every layer, from input to output.
        activation: Name of :math:`\sigma`.
        final_activation: Apply :math:`\sigma` to the output, too, as the trunk of a DeepONet does.
        dropout: Probability of zeroing a hidden value.
        init: How to draw the weights: as ``torch.nn.Linear`` does, or Glorot normal or uniform with zero biases, which
            DeepONets use.

    Shapes:
        - **x**: ``(..., widths[0])``.
        - **output**: ``(..., widths[-1])``.

    Raises:
        ValueError: If fewer than two widths are given, or ``init`` does not exist.
        UnknownNameError: If there is no such activation.

    Example:
        >>> MLP(100, 40, 40)(torch.zeros(8, 100)).shape
        torch.Size([8, 40])
    """

    def __init__(
        self,
        *widths: int,
        activation: str = "gelu",
        final_activation: bool = False,
        dropout: float = 0.0,
        init: Init = "torch",
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"widths is {widths}, expected at least two positive numbers: input, ..., output.")
        if init not in ("torch", "glorot-normal", "glorot-uniform"):
            raise ValueError(f"init is {init!r}, expected torch, glorot-normal or glorot-uniform.")
        activation_function(activation)
        self.widths = widths
        self.activation = activation
        self.final_activation = final_activation
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is {dropout}, expected a probability from 0 to 1.")
        self.dropout = dropout
        self.init = init
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(widths)])
        if init != "torch":
            self.reset_parameters()

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return self.widths[0]

    @property
    def out_features(self) -> int:
        """Width of the output."""
        return self.widths[-1]

    def reset_parameters(self) -> None:
        """Draw the weights again."""
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            if self.init == "torch":
                layer.reset_parameters()
                continue
            draw = nn.init.xavier_normal_ if self.init == "glorot-normal" else nn.init.xavier_uniform_
            draw(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to ``(..., widths[0])``."""
        activation = ACTIVATIONS[self.activation]
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < last:
                x = activation(x)
                if self.dropout:
                    x = F.dropout(x, self.dropout, self.training)
        return activation(x) if self.final_activation else x

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"activation={self.activation}, final_activation={self.final_activation}"


class FieldMLP(nn.Module):
    """Fully connected network between functions that are sampled on one fixed grid: the baseline for neural operators.

    All values of the input, over channels and points, are one vector; so are those of the output. The network knows
    nothing of the grid, and another resolution is an error.

    Args:
        in_shape: Shape of one input sample, ``(channels, *grid)``.
        out_shape: Shape of one output sample.
        hidden: Widths of the hidden layers.
        activation: Name of the activation.
        dropout: Probability of zeroing a hidden value.

    Shapes:
        - **x**: ``(batch, *in_shape)``.
        - **output**: ``(batch, *out_shape)``.

    Raises:
        ValueError: If a sample has another shape than ``in_shape``.

    Example:
        >>> FieldMLP(in_shape=(1, 16, 16), out_shape=(2, 16, 16), hidden=(64,))(torch.zeros(4, 1, 16, 16)).shape
        torch.Size([4, 2, 16, 16])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        hidden: Sequence[int] = (256, 256),
        activation: str = "gelu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.in_shape = tuple(in_shape)
        self.out_shape = tuple(out_shape)
        self.hidden = tuple(hidden)
        self.activation = activation
        self.dropout = dropout
        widths = (math.prod(self.in_shape), *self.hidden, math.prod(self.out_shape))
        self.network = MLP(*widths, activation=activation, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, *in_shape)`` to ``(batch, *out_shape)``."""
        if x.shape[1:] != self.in_shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)}, but this FieldMLP takes (batch, {', '.join(map(str, self.in_shape))}). "
                "A fully connected network works on the grid that it was built for: resample the input, or take an fno."
            )
        return self.network(x.flatten(1)).unflatten(1, self.out_shape)

    @classmethod
    def from_spec(cls, spec: DataSpec, **kwargs: Any) -> FieldMLP:
        """Build the model for a dataset, with the shapes of its ``x`` and ``y``.

        Args:
            spec: What the dataset says about itself.
            **kwargs: Arguments of the constructor; they win over the dataset.
        """
        return cls(**{"in_shape": _sample_shape(spec["x"]), "out_shape": _sample_shape(spec["y"]), **kwargs})

    @staticmethod
    def example() -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments of a small model, and a batch for it."""
        x = torch.randn(4, 1, 16, generator=torch.Generator().manual_seed(0))
        return {"in_shape": [1, 16], "out_shape": [1, 16], "hidden": [8]}, {"x": x, "y": x.cumsum(-1) / 16}


def _sample_shape(field: FieldSpec) -> tuple[int, ...]:
    return field.shape if field.channels is None else (field.channels, *field.shape)
