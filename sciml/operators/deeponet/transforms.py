"""What is done to the output functions: exact Dirichlet conditions, and pointwise scales.

An output transform is called with the values ``(batch, channels, points)``, the input ``u`` (of a function its values)
and the query points ``(points, dim)``, or ``(batch, points, dim)`` where every function has its own. Unaligned queries
arrive as one point per function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError

__all__ = ["HardDirichlet", "PointwiseScale", "Standardize", "hard_dirichlet"]

Distance = Callable[[Tensor], Tensor]
Lift = Callable[[Any, Tensor], Tensor]
Transform = Callable[[Tensor, Any, Tensor], Tensor]


def with_all_axes(values: Tensor, out_channels: int, layout: str) -> Tensor:
    """Values of a DeepONet as ``(batch, channels, points)``."""
    values = values[..., None] if layout == "unaligned" else values
    return values[:, None] if out_channels == 1 else values


def without_single_axes(values: Tensor, out_channels: int, layout: str) -> Tensor:
    """The inverse of :func:`with_all_axes`."""
    values = values.squeeze(1) if out_channels == 1 else values
    return values.squeeze(-1) if layout == "unaligned" else values


def apply_transform(
    transform: Transform, values: Tensor, u: Any, coords: Tensor, out_channels: int, layout: str
) -> Tensor:
    """Values of a DeepONet in any layout, transformed as ``(batch, channels, points)``.

    Raises:
        ConfigError: If the transform changes the shape.
    """
    given = with_all_axes(values, out_channels, layout)
    changed = transform(given, u, coords[:, None] if layout == "unaligned" else coords)
    if changed.shape != given.shape:
        raise ConfigError(
            f"output_transform turns values of shape {tuple(given.shape)} into {tuple(changed.shape)}; expected the "
            "same shape, (batch, channels, points)."
        )
    return without_single_axes(changed, out_channels, layout)


class HardDirichlet(nn.Module):
    r"""Output :math:`g(u)(y) + \ell(y)\, N(u)(y)`, equal to :math:`g` wherever :math:`\ell` vanishes.

    Args:
        distance_fn: Maps points ``(..., dim)`` to :math:`\ell`, ``(...)``; zero exactly on the Dirichlet boundary.
        lift_fn: Maps ``(u, points)`` to :math:`g`: ``(...)`` as the points, or all values ``(batch, channels,
            points)`` where it depends on ``u``. None stands for zero.

    Shapes:
        - **values**: ``(batch, channels, points)``.
        - **coords**: ``(points, dim)`` or ``(batch, points, dim)``.
        - **output**: As the values.

    Raises:
        ConfigError: If a function gives another shape.

    Example:
        >>> wall = HardDirichlet(lambda y: y[..., 0] * (1 - y[..., 0]))
        >>> wall(torch.ones(2, 1, 3), None, torch.tensor([[0.0], [0.5], [1.0]]))[0]
        tensor([[0.0000, 0.2500, 0.0000]])
    """

    def __init__(self, distance_fn: Distance, lift_fn: Lift | None = None) -> None:
        super().__init__()
        self.distance_fn, self.lift_fn = distance_fn, lift_fn

    def distance(self, coords: Tensor) -> Tensor:
        """The factor at the points, ``coords.shape[:-1]``."""
        distance = self.distance_fn(coords)
        if distance.shape != coords.shape[:-1]:
            raise ConfigError(
                f"distance_fn gives {tuple(distance.shape)} for coords of shape {tuple(coords.shape)}, expected "
                f"{tuple(coords.shape[:-1])}: one number a point, such as y[..., 0] * (1 - y[..., 0])."
            )
        return distance

    def lift(self, u: Any, coords: Tensor, shape: torch.Size) -> Tensor | None:
        """The boundary values, ready to be added to values of this shape."""
        if self.lift_fn is None:
            return None
        lift = self.lift_fn(u, coords)
        if lift.shape == shape:
            return lift
        if lift.shape != coords.shape[:-1]:
            raise ConfigError(
                f"lift_fn gives {tuple(lift.shape)} for coords of shape {tuple(coords.shape)}, expected "
                f"{tuple(coords.shape[:-1])}, or {tuple(shape)}: (batch, channels, points)."
            )
        return lift if coords.dim() == 2 else lift[:, None]

    def forward(self, values: Tensor, u: Any, coords: Tensor) -> Tensor:
        """Values that meet the boundary condition."""
        distance, lift = self.distance(coords), self.lift(u, coords, values.shape)
        values = values * (distance if coords.dim() == 2 else distance[:, None])
        return values if lift is None else values + lift


def hard_dirichlet(distance_fn: Distance, lift_fn: Lift | None = None) -> HardDirichlet:
    """Output transform for exact Dirichlet conditions: ``output_transform=hard_dirichlet(...)``.

    Args:
        distance_fn: Maps points ``(..., dim)`` to a factor ``(...)`` that is zero exactly on the boundary.
        lift_fn: Maps ``(u, points)`` to the boundary values, continued into the domain; None stands for zero.

    Example:
        >>> hard_dirichlet(lambda y: y[..., 0])
        HardDirichlet()
    """
    return HardDirichlet(distance_fn, lift_fn)


class PointwiseScale(nn.Module):
    r"""Output :math:`N(u)(y_n)\, \mathrm{std}(y_n) + \mathrm{mean}(y_n)`, with statistics of the training targets.

    Args:
        mean: ``(points,)`` or ``(channels, points)``, at the query points of the training.
        std: In the same shape.

    Shapes:
        - **values**: ``(batch, channels, points)``.
        - **output**: As the values.

    Raises:
        ConfigError: If the values have another number of points: the statistics belong to those of the training.

    Example:
        >>> scale = PointwiseScale.from_targets(torch.tensor([[0.0, 2.0], [2.0, 6.0]]))
        >>> scale(torch.zeros(1, 1, 2), None, torch.zeros(2, 1))
        tensor([[[1., 4.]]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        if mean.shape != std.shape or mean.dim() not in (1, 2):
            raise ConfigError(
                f"mean has shape {tuple(mean.shape)} and std {tuple(std.shape)}, expected both (points,) or "
                "(channels, points)."
            )
        self.register_buffer("mean", mean.detach().clone())
        self.register_buffer("std", std.detach().clone())

    @classmethod
    def from_targets(cls, targets: Tensor, eps: float = 1e-8) -> PointwiseScale:
        """Statistics over the functions of the training split.

        Args:
            targets: ``(functions, points)`` or ``(functions, channels, points)``; at least two functions.
            eps: Added to the standard deviation, which may vanish on a boundary.

        Raises:
            ConfigError: If there are fewer than two functions, or no axis of points.
        """
        if targets.dim() not in (2, 3) or len(targets) < 2:
            raise ConfigError(
                f"targets have shape {tuple(targets.shape)}, expected (functions, points) or (functions, channels, "
                "points) with at least two functions."
            )
        return cls(targets.mean(0), targets.std(0) + eps)

    def forward(self, values: Tensor, u: Any, coords: Tensor) -> Tensor:
        """Values in the units of the targets."""
        if values.shape[-1] != self.mean.shape[-1] or coords.dim() != 2:
            raise ConfigError(
                f"the pointwise scale belongs to {self.mean.shape[-1]} points, coords has shape {tuple(coords.shape)}: "
                "evaluate at the query points of the training, or scale per channel."
            )
        return values * self.std + self.mean


class Standardize(nn.Module):
    """Standardises sensor values, as the first layer of a branch: ``nn.Sequential(Standardize(mean, std), MLP(...))``.

    Args:
        mean: In a shape that broadcasts to one sample of the input.
        std: In the same shape; positive.

    Shapes:
        - **u**: ``(batch, *shape)``.
        - **output**: As the input.

    Raises:
        ConfigError: If a standard deviation is not positive.

    Example:
        >>> Standardize(torch.tensor(1.0), torch.tensor(2.0))(torch.tensor([[3.0]]))
        tensor([[1.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        if not bool((std > 0).all()):
            raise ConfigError(f"std has the smallest value {std.min().item()}, expected positive numbers.")
        self.register_buffer("mean", mean.detach().clone())
        self.register_buffer("std", std.detach().clone())

    def forward(self, u: Tensor) -> Tensor:
        """Values with mean zero and deviation one."""
        return (u - self.mean) / self.std
