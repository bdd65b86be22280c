"""The sensor-free DeepONet from plain numbers, and how it is registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.operators.deeponet.build import input_field, query_sizes
from sciml.operators.deeponet.core import DeepONet
from sciml.operators.deeponet.inputs import Layout
from sciml.operators.deeponet.quadrature import QuadratureBranch
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.operators.deeponet.set_branch import SetBranch
from sciml.registry import ModelSpec
from sciml.spaces import RegularGrid

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["SENSOR_FREE_DEEPONET", "sensor_free_deeponet"]


def sensor_free_deeponet(
    channels: int = 1,
    sensor_dim: int = 1,
    dim: int = 1,
    out_channels: int = 1,
    modes: int = 64,
    encoder: Literal["quadrature", "mean", "attention"] = "quadrature",
    width: int = 64,
    frequency_scale: float = 1.0,
    branch: Sequence[int] = (128,),
    trunk: Sequence[int] = (128, 128),
    activation: str = "relu",
    bias: bool = True,
    multi_output: Literal["split_branch", "split_both", "split_trunk"] = "split_branch",
    layout: Layout | None = None,
    bounds: Sequence[Sequence[float]] | None = None,
    periodic: bool | Sequence[bool] = False,
    alignment: Literal["node", "cell", "left"] = "node",
) -> DeepONet:
    """A :class:`DeepONet` that reads its input at any sensors, from widths.

    Args:
        channels: Channels of the input functions.
        sensor_dim: Dimension of their domain.
        dim: Dimension of the query points.
        out_channels: Channels of the output function.
        modes: Number of basis functions per output channel.
        encoder: ``quadrature`` integrates against learned kernels (:class:`QuadratureBranch`), ``mean`` and
            ``attention`` pool features of the sensors (:class:`SetBranch`).
        width: Number of kernels, or of features of each sensor.
        frequency_scale: Standard deviation of the random frequencies of the kernels, in cycles per unit of the sensors'
            coordinates; for ``quadrature``.
        branch: Widths of the hidden layers of the branch; behind the integrals, or in every network of the set branch.
        trunk: Widths of the hidden layers of the trunk.
        activation: Name of the activation.
        bias: Add one number per output channel.
        multi_output: How branch and trunk serve several channels, as for :func:`deeponet`.
        layout: Layout of the query points where a call names none.
        bounds: ``(begin, end)`` for each axis of the domain of inputs that come on a regular grid, without sensors, in
            any resolution; null where sensors are always given.
        periodic: Whether these grids are periodic, for all axes or each.
        alignment: Where their points lie (:class:`~sciml.spaces.RegularGrid`).

    Raises:
        ConfigError: If the options do not go together.

    Example:
        >>> net = sensor_free_deeponet(bounds=[[0.0, 1.0]])
        >>> net(torch.zeros(8, 100), torch.rand(50, 1)).shape, net(torch.zeros(8, 33), torch.rand(50, 1)).shape
        (torch.Size([8, 50]), torch.Size([8, 50]))
    """
    domain = None if bounds is None else _domain(sensor_dim, bounds, periodic, alignment)
    features = modes if multi_output == "split_trunk" else modes * out_channels
    encoding: SampledBranch
    if encoder == "quadrature":
        encoding = QuadratureBranch(
            features,
            sensor_dim,
            channels,
            width,
            hidden=branch,
            activation=activation,
            frequency_scale=frequency_scale,
            domain=domain,
        )
    elif encoder in ("mean", "attention"):
        pooling: Any = encoder
        encoding = SetBranch(
            features, sensor_dim, channels, width, branch, pooling, activation=activation, domain=domain
        )
    else:
        raise ConfigError(f"encoder is {encoder!r}, expected quadrature, mean or attention.")
    return DeepONet(
        encoding,
        [dim, *trunk],
        bias,
        out_channels,
        num_basis=modes,
        multi_output=multi_output,
        layout=layout,
        activation=activation,
    )


def _domain(dim: int, bounds: Sequence[Sequence[float]], periodic: Any, alignment: Any) -> RegularGrid:
    if len(bounds) != dim:
        raise ConfigError(f"bounds are {list(bounds)}, but sensor_dim={dim}: give one pair for every axis.")
    flags = periodic if isinstance(periodic, bool) else tuple(periodic)
    return RegularGrid((2,) * dim, tuple((pair[0], pair[1]) for pair in bounds), flags, alignment)


def _sensor_free_from_spec(spec: DataSpec, **kwargs: Any) -> DeepONet:
    """Channels, dimension and domain from the grid of the input, or from its sensors."""
    source = input_field(spec)
    sizes: dict[str, Any] = {"channels": source.channels or 1, **query_sizes(spec)}
    sensors = next((name for name in ("sensors", f"{source.name}.pos") if name in spec.fields), None)
    if source.grid is not None:
        grid = source.grid
        sizes |= {"sensor_dim": grid.dim, "bounds": grid.bounds, "periodic": grid.periodic, "alignment": grid.alignment}
    elif sensors is not None:
        field = spec[sensors]
        sizes["sensor_dim"] = field.shape[-1] if field.shape else field.channels or 1
    return sensor_free_deeponet(**{**sizes, **kwargs})


def _sensor_free_example() -> tuple[dict[str, Any], dict[str, Tensor]]:
    u = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    batch = {
        "u": u,
        "sensors": torch.linspace(0, 1, 20)[:, None],
        "sensor_weights": torch.full((20,), 1 / 20),
        "coords": torch.linspace(0, 1, 20)[:, None],
        "y": u.cumsum(1) / 20,
    }
    return {"modes": 8, "width": 16, "branch": [16], "trunk": [16]}, batch


SENSOR_FREE_DEEPONET = ModelSpec(
    build=sensor_free_deeponet, from_spec=_sensor_free_from_spec, example=_sensor_free_example
)
