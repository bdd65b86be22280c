"""POD-DeepONet from plain numbers, and how it is registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.nn import MLP
from sciml.operators.deeponet.build import input_field, num_values, query_sizes
from sciml.operators.deeponet.pod import PODDeepONet
from sciml.operators.deeponet.pod_modes import PODModes
from sciml.registry import ModelSpec

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["POD_DEEPONET", "pod_deeponet"]


def pod_deeponet(
    sensors: int,
    points: int,
    dim: int = 1,
    out_channels: int = 1,
    modes: int = 32,
    branch: Sequence[int] = (128, 128),
    trunk: Sequence[int] = (),
    trunk_modes: int = 0,
    activation: str = "tanh",
    targets: Any = None,
    coords: Any = None,
    weights: Any = None,
) -> PODDeepONet:
    """A :class:`PODDeepONet` with a fully connected branch, from widths.

    Args:
        sensors: Sensor values per input function, over channels and points.
        points: Number of points of the targets.
        dim: Dimension of the query points.
        out_channels: Channels of the output function.
        modes: Number of modes.
        branch: Widths of the hidden layers of the branch.
        trunk: Widths of the hidden layers of a trunk whose functions join the modes.
        trunk_modes: Number of its functions; 0 for no trunk.
        activation: Name of the activation.
        targets: Training targets ``(functions, points)``, or with channels before the points. Without them the modes
            are empty until :meth:`PODDeepONet.fit_data` or a state fills them.
        coords: Points of the targets ``(points, dim)``.
        weights: Quadrature weights of the points.

    Raises:
        ConfigError: If sizes and targets do not fit.

    Example:
        >>> x = torch.linspace(0, 1, 50)[:, None]
        >>> net = pod_deeponet(100, 50, modes=2, targets=torch.randn(9, 2) @ torch.cat([x, x**2], 1).t(), coords=x)
        >>> net(torch.zeros(8, 100)).shape
        torch.Size([8, 50])
    """
    basis = PODModes(points, modes, dim, out_channels)
    if targets is not None:
        if coords is None:
            raise ConfigError("targets need their points: give coords, (points, dim).")
        values = torch.as_tensor(targets)
        basis.fit(values.reshape(len(values), out_channels, -1), coords, weights)
    options: dict[str, Any] = {"activation": activation, "init": "glorot-normal"}
    extra = MLP(dim, *trunk, out_channels * trunk_modes, final_activation=True, **options) if trunk_modes else None
    return PODDeepONet(MLP(sensors, *branch, modes + trunk_modes, **options), basis, extra)


def _pod_from_spec(spec: DataSpec, **kwargs: Any) -> PODDeepONet:
    """Sizes from the dataset; the modes are filled by ``fit_data`` from its training split."""
    target = spec["y"]
    points = num_values(target) // (target.channels or 1)
    sizes = {"sensors": num_values(input_field(spec)), "points": points, **query_sizes(spec)}
    return pod_deeponet(**{**sizes, **kwargs})


def _pod_example() -> tuple[dict[str, Any], dict[str, Tensor]]:
    u = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    x = torch.linspace(0, 1, 15)
    y = u[:, :3] @ torch.stack([x, x.square(), torch.sin(3 * x)])
    arguments = {"sensors": 20, "points": 15, "modes": 3, "branch": [16], "trunk": [16], "trunk_modes": 4}
    arguments |= {"targets": y.tolist(), "coords": x[:, None].tolist()}
    return arguments, {"u": u, "coords": x[:, None], "y": y + 0.1 * x.cos()}


POD_DEEPONET = ModelSpec(build=pod_deeponet, from_spec=_pod_from_spec, example=_pod_example)
