"""Branch and trunk networks made of several: side by side, or stacked as in the theorem of Chen and Chen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import ConfigError
from sciml.nn import ACTIVATIONS, MLP, activation_function

__all__ = ["Network", "Parallel", "StackedMLP", "build_pair", "feature_size", "feature_sizes", "vector_size"]

Network = nn.Module | Sequence[Any]


class Parallel(nn.Module):
    """Several networks of one input, their features one after the other.

    Args:
        *networks: Each maps the input to ``(..., features)``.

    Shapes:
        - **x**: As the networks take it.
        - **output**: ``(..., sum of features)``.

    Raises:
        ConfigError: If there is no network.

    Example:
        >>> Parallel(nn.Linear(5, 2), nn.Linear(5, 3))(torch.zeros(4, 5)).shape
        torch.Size([4, 5])
    """

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        if not networks:
            raise ConfigError("Parallel got no networks, expected at least one.")
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Any) -> Tensor:
        """Apply every network."""
        return torch.cat([network(x) for network in self.networks], -1)


class StackedMLP(nn.Module):
    """Networks of one architecture with scalar outputs, evaluated together: the branch of the stacked DeepONet.

    Args:
        num_networks: Number of networks, the features of the output.
        *widths: Width of the input, then of the hidden layers of each network; the output, of width 1, is left out.
        activation: Name of the activation of the hidden layers.

    Shapes:
        - **x**: ``(batch, widths[0])``.
        - **output**: ``(batch, num_networks)``.

    Raises:
        ConfigError: If a size is missing or not positive.
        UnknownNameError: If there is no such activation.

    Reference:
        Weights are Glorot normal for each network, biases zero. Equals ``num_networks`` separate ``MLP(*widths, 1)``,
        in one matrix product for the first layer and one batched product for each further one.

    Example:
        >>> StackedMLP(40, 100, 16)(torch.zeros(8, 100)).shape
        torch.Size([8, 40])
    """

    def __init__(self, num_networks: int, *widths: int, activation: str = "relu") -> None:
        super().__init__()
        if not widths or min(num_networks, *widths) < 1:
            raise ConfigError(
                f"a stack of {num_networks} networks of widths {widths} has no meaning: expected positive numbers, the "
                "widths of the input and the hidden layers."
            )
        activation_function(activation)
        self.num_networks, self.widths, self.activation = num_networks, widths, activation
        sizes = list(pairwise([*widths, 1]))
        self.weights = nn.ParameterList([nn.Parameter(torch.empty(num_networks, b, a)) for a, b in sizes])
        self.biases = nn.ParameterList([nn.Parameter(torch.empty(num_networks, b)) for _, b in sizes])
        self.reset_parameters()

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return self.widths[0]

    @property
    def out_features(self) -> int:
        """Number of networks."""
        return self.num_networks

    def reset_parameters(self) -> None:
        """Draw the weights again."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            nn.init.normal_(weight, std=(2 / (weight.shape[1] + weight.shape[2])) ** 0.5)
            nn.init.zeros_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply all networks to ``(batch, widths[0])``."""
        activation = ACTIVATIONS[self.activation]
        # All networks read one input: their first layers are one product.
        h = F.linear(x, self.weights[0].flatten(0, 1), self.biases[0].flatten())
        h = h.unflatten(1, (self.num_networks, -1)).transpose(0, 1)
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            h = torch.baddbmm(bias[:, None], activation(h), weight.mT)
        return h.squeeze(-1).t()

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"num_networks={self.num_networks}, widths={self.widths}, activation={self.activation}"


def vector_size(network: nn.Module) -> int | None:
    """Length of the vectors that a fully connected network reads; None for a network that takes its input as it is."""
    if isinstance(network, MLP | StackedMLP):
        return network.in_features
    if isinstance(network, Parallel):
        sizes = {vector_size(part) for part in network.networks}
        return sizes.pop() if len(sizes) == 1 else None
    return None


def feature_sizes(multi_output: str, num_basis: int, out_channels: int) -> tuple[int, int]:
    """Features of branch and trunk for ``num_basis`` basis functions per output.

    Example:
        >>> feature_sizes("split_branch", 40, 3)
        (120, 40)
    """
    wide = num_basis * out_channels
    return (
        num_basis if multi_output == "split_trunk" else wide,
        num_basis if multi_output == "split_branch" else wide,
    )


def feature_size(network: nn.Module) -> int | None:
    """Features that a network gives, where it says so in an attribute ``out_features``."""
    if isinstance(network, Parallel):
        sizes = [feature_size(part) for part in network.networks]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None
    size = getattr(network, "out_features", None)
    return size if isinstance(size, int) else None


def build_pair(
    branch: Network,
    trunk: Network,
    num_basis: int | None,
    out_channels: int,
    multi_output: str,
    stacked: bool,
    activation: str,
    trunk_last_activation: bool,
) -> tuple[nn.Module, nn.Module]:
    """Branch and trunk as modules, from modules, lists of modules, or lists of widths.

    Raises:
        ConfigError: If ``stacked`` or ``independent`` does not go with what is given.
    """
    independent = multi_output == "independent"
    b_size, t_size = (None, None) if num_basis is None else feature_sizes(multi_output, num_basis, out_channels)
    if independent and num_basis is not None:
        b_size = t_size = num_basis
    copies = out_channels if independent else 1
    if stacked:
        widths = _widths("a stacked branch", branch, b_size)
        branches: Any = [StackedMLP(widths[-1], *widths[:-1], activation=activation) for _ in range(copies)]
        branch = branches if independent else branches[0]
    return (
        _network("branch", branch, b_size, independent, out_channels, activation, False),
        _network("trunk", trunk, t_size, independent, out_channels, activation, trunk_last_activation),
    )


def _network(
    name: str,
    given: Network,
    size: int | None,
    independent: bool,
    out_channels: int,
    activation: str,
    final_activation: bool,
) -> nn.Module:
    parts: Any = list(given) if isinstance(given, list | tuple) else given
    listed = isinstance(parts, list) and bool(parts) and all(isinstance(part, nn.Module) for part in parts)
    if independent and (isinstance(parts, nn.Module) or listed) and (not listed or len(parts) != out_channels):
        number = len(parts) if listed else "one network"
        raise ConfigError(
            f"multi_output='independent' takes a list of out_channels={out_channels} networks as {name}, got {number}."
        )
    if isinstance(parts, nn.Module):
        return parts
    if listed:
        return Parallel(*parts)
    widths = _widths(name, parts, size)
    options: dict[str, Any] = {"activation": activation, "final_activation": final_activation, "init": "glorot-normal"}
    if independent:
        return Parallel(*(MLP(*widths, **options) for _ in range(out_channels)))
    return MLP(*widths, **options)


def _widths(name: str, given: Any, size: int | None) -> list[int]:
    widths = list(given) if isinstance(given, list | tuple) else []
    if not widths or not all(isinstance(width, int) for width in widths):
        shown = type(given).__name__ if isinstance(given, nn.Module) else repr(given)
        raise ConfigError(
            f"{name} is given as {shown}, expected widths such as [100, 40, 40]"
            f"{'' if name.startswith('a ') else ', a module or a list of modules'}."
        )
    return widths if size is None else [*widths, size]
