"""DeepONets from plain numbers, as configuration files give them, and how they are registered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.operators.deeponet.core import DeepONet
from sciml.operators.deeponet.features import FourierFeatures, PeriodicFeatures
from sciml.operators.deeponet.inputs import Layout
from sciml.operators.deeponet.merge import MultiOutput
from sciml.registry import ModelSpec

if TYPE_CHECKING:
    from sciml.spaces import DataSpec, FieldSpec

__all__ = ["DEEPONET", "deeponet"]


def deeponet(
    sensors: int,
    dim: int = 1,
    out_channels: int = 1,
    modes: int = 64,
    branch: Sequence[int] = (128, 128),
    trunk: Sequence[int] = (128, 128),
    activation: str = "relu",
    bias: bool = True,
    multi_output: MultiOutput = "split_branch",
    stacked: bool = False,
    layout: Layout | None = None,
    periods: Sequence[float | None] | None = None,
    harmonics: int = 2,
    fourier_features: int = 0,
    fourier_scale: float = 1.0,
    merge: Literal["dot", "product-mlp"] = "dot",
) -> DeepONet:
    """A :class:`DeepONet` with fully connected branch and trunk, from widths.

    The branch is linear in its last layer, the trunk ends with the activation; weights are Glorot normal. The reference
    configuration is ``deeponet(sensors=100, dim=1, modes=40, branch=[40], trunk=[40])``.

    Args:
        sensors: Sensor values per input function, over channels and points.
        dim: Dimension of the query points.
        out_channels: Channels of the output function.
        modes: Number of basis functions ``p`` per output channel.
        branch: Widths of the hidden layers of the branch; of each of its networks when it is stacked.
        trunk: Widths of the hidden layers of the trunk.
        activation: Name of the activation in both. The kinks of ``relu`` resolve the coordinates better than smooth
            functions do; take ``tanh`` where a loss needs second derivatives.
        bias: Add one number per output channel.
        multi_output: How branch and trunk serve several channels: ``split_branch`` shares the trunk, ``split_trunk``
            the branch, ``split_both`` neither last layer, ``independent`` nothing.
        stacked: Make the branch of separate networks, one per basis function.
        layout: Layout of the query points where a call names none; ``unaligned`` for one point per row.
        periods: Period along each axis, or null: the output is then exactly periodic.
        harmonics: Number of harmonics for periodic axes.
        fourier_features: Number of random Fourier frequencies that the trunk reads in place of the points.
        fourier_scale: Standard deviation of these frequencies, in cycles per unit of the coordinates.
        merge: ``dot``, or ``product-mlp`` for a network on the products of coefficients and basis functions.

    Raises:
        ConfigError: If the options do not go together.

    Example:
        >>> net = deeponet(sensors=100, modes=40, branch=[40], trunk=[40])
        >>> sum(p.numel() for p in net.parameters())
        7401
    """
    features = trunk_features(dim, periods, harmonics, fourier_features, fourier_scale)
    return DeepONet(
        branch=[sensors, *branch],
        trunk=[dim if features is None else features.out_features, *trunk],
        bias=bias,
        out_channels=out_channels,
        num_basis=modes,
        multi_output=multi_output,
        stacked=stacked,
        trunk_features=features,
        merge=merge,
        layout=layout,
        activation=activation,
    )


def trunk_features(
    dim: int, periods: Sequence[float | None] | None, harmonics: int, fourier_features: int, fourier_scale: float
) -> PeriodicFeatures | FourierFeatures | None:
    """The features that these options ask for, or None.

    Raises:
        ConfigError: If both kinds are asked for, or the number of periods is not that of the axes.
    """
    if periods is not None and fourier_features:
        raise ConfigError("periods and fourier_features exclude each other: random frequencies break the period.")
    if periods is not None:
        if len(periods) != dim:
            raise ConfigError(f"periods are {list(periods)}, but dim={dim}: give a period or null for every axis.")
        return PeriodicFeatures(periods, harmonics)
    return FourierFeatures(dim, fourier_features, fourier_scale) if fourier_features else None


def input_field(spec: DataSpec) -> FieldSpec:
    """The input function of a dataset, ``u`` or ``x``."""
    return spec["u" if "u" in spec.fields else "x"]


def num_values(field: FieldSpec) -> int:
    """Values per sample of a field."""
    return (field.channels or 1) * math.prod(field.shape)


def query_sizes(spec: DataSpec) -> dict[str, int]:
    """Dimension of the query points, from ``coords`` or the grid of ``y``, and channels of the output."""
    target = spec["y"]
    dim = len(target.shape)
    if "coords" in spec.fields:
        coords = spec["coords"]
        dim = coords.channels or coords.shape[-1]
    return {"dim": dim, "out_channels": target.channels or 1}


def _from_spec(spec: DataSpec, **kwargs: Any) -> DeepONet:
    """Sensors are all values of ``u`` (or ``x``); the dimension is that of ``coords``, or of the grid of ``y``."""
    return deeponet(**{"sensors": num_values(input_field(spec)), **query_sizes(spec), **kwargs})


def _example() -> tuple[dict[str, Any], dict[str, Tensor]]:
    u = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    batch = {"u": u, "coords": torch.linspace(0, 1, 20)[:, None], "y": u.cumsum(1) / 20}
    return {"sensors": 20, "dim": 1, "modes": 8, "branch": [16], "trunk": [16]}, batch


DEEPONET = ModelSpec(build=deeponet, from_spec=_from_spec, example=_example)
