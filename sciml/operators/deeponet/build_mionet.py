"""MIONet and the modified DeepONet from plain numbers, and how they are registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from sciml.operators.deeponet.build import input_field, num_values, query_sizes, trunk_features
from sciml.operators.deeponet.inputs import Layout
from sciml.operators.deeponet.mionet import MIONet
from sciml.operators.deeponet.modified import ModifiedDeepONet
from sciml.registry import ModelSpec

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["MIONET", "MODIFIED_DEEPONET", "mionet"]


def mionet(
    sensors: Sequence[int],
    dim: int = 1,
    out_channels: int = 1,
    modes: int = 64,
    branch: Sequence[int] = (128, 128),
    trunk: Sequence[int] = (128, 128),
    activation: str = "relu",
    bias: bool = True,
    multi_output: Literal["split_branch", "split_both", "split_trunk"] = "split_branch",
    layout: Layout | None = None,
    periods: Sequence[float | None] | None = None,
    harmonics: int = 2,
) -> MIONet:
    """A :class:`MIONet` with fully connected networks, from widths.

    Args:
        sensors: Sensor values of each input function; the inputs are ``u``, ``u2`` and ``u3``.
        dim: Dimension of the query points.
        out_channels: Channels of the output function.
        modes: Number of basis functions per output channel.
        branch: Widths of the hidden layers of each branch.
        trunk: Widths of the hidden layers of the trunk.
        activation: Name of the activation.
        bias: Add one number per output channel.
        multi_output: How branches and trunk serve several channels, as for :func:`deeponet`.
        layout: Layout of the query points where a call names none.
        periods: Period along each axis, or null.
        harmonics: Number of harmonics for periodic axes.

    Raises:
        ConfigError: If the options do not go together.

    Example:
        >>> net = mionet(sensors=[100, 60], modes=40, branch=[40], trunk=[40])
        >>> net(torch.zeros(8, 100), torch.rand(50, 1), torch.zeros(8, 60)).shape
        torch.Size([8, 50])
    """
    features = trunk_features(dim, periods, harmonics, 0, 1.0)
    return MIONet(
        [[size, *branch] for size in sensors],
        [dim if features is None else features.out_features, *trunk],
        bias,
        out_channels,
        num_basis=modes,
        multi_output=multi_output,
        trunk_features=features,
        layout=layout,
        activation=activation,
    )


def _mionet_from_spec(spec: DataSpec, **kwargs: Any) -> MIONet:
    """One branch an input function: ``u`` (or ``x``), ``u2`` and ``u3`` first, others in the order of the data."""
    order = {"u": 0, "x": 0, "u2": 1, "u3": 2}
    fields = sorted(spec.inputs, key=lambda field: order.get(field.name, 3))
    return mionet(**{"sensors": [num_values(field) for field in fields], **query_sizes(spec), **kwargs})


def _mionet_example() -> tuple[dict[str, Any], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    u, u2 = torch.randn(6, 20, generator=generator), torch.randn(6, 12, generator=generator)
    batch = {"u": u, "u2": u2, "coords": torch.linspace(0, 1, 20)[:, None], "y": u.cumsum(1) * u2[:, :1] / 20}
    return {"sensors": [20, 12], "dim": 1, "modes": 8, "branch": [16], "trunk": [16]}, batch


def _modified_from_spec(spec: DataSpec, **kwargs: Any) -> ModifiedDeepONet:
    return ModifiedDeepONet(**{"sensors": num_values(input_field(spec)), **query_sizes(spec), **kwargs})


def _modified_example() -> tuple[dict[str, Any], dict[str, Tensor]]:
    u = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    batch = {"u": u, "coords": torch.linspace(0, 1, 20)[:, None], "y": u.cumsum(1) / 20}
    return {"sensors": 20, "dim": 1, "width": 8, "depth": 3}, batch


MIONET = ModelSpec(build=mionet, from_spec=_mionet_from_spec, example=_mionet_example)


MODIFIED_DEEPONET = ModelSpec(build=ModifiedDeepONet, from_spec=_modified_from_spec, example=_modified_example)
