"""Proper orthogonal decomposition of functions on common points, with quadrature weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.deeponet.inputs import query_points
from sciml.operators.deeponet.interpolation import PiecewiseLinear, interpolate_rows, same_points

__all__ = ["PODModes"]


class PODModes(nn.Module):
    r"""Mean and leading modes of sampled functions: the best basis for them in the weighted mean square.

    With weights :math:`W`, the modes are :math:`W^{-1/2} V` for the right singular vectors :math:`V` of
    :math:`(S - \bar S) W^{1/2}`; they are orthonormal in the weighted inner product. Functions with several channels
    have modes with as many channels, and one coefficient per mode.

    Args:
        points: Number of points.
        modes: Number of modes.
        dim: Dimension of the domain.
        channels: Channels of the functions.

    Empty modes, as made by the constructor, are filled by :meth:`fit` or by loading a state; :meth:`from_data` does
    both at once and also chooses their number. All tensors are buffers: they move with the module and are in its state.

    Shapes:
        - **coords**: ``(..., dim)``; other points than those of the data get interpolated modes, linear between the
          points.
        - **output**: ``(..., channels * modes)``, channel after channel.

    Raises:
        ConfigError: If the modes are used before they have been fitted.

    Reference:
        Lu et al.: A comprehensive and fair comparison of two neural operators (2022). The thin singular value
        decomposition replaces the covariance matrix, in double precision; weights are added. Of both signs of a mode,
        the one whose largest entry is positive is taken.

    Example:
        >>> x = torch.linspace(0, 1, 50)
        >>> functions = torch.randn(20, 2) @ torch.stack([torch.sin(3 * x), x**2])
        >>> modes = PODModes.from_data(functions, x, modes=0.999)
        >>> modes.num_modes, modes(torch.rand(7, 1)).shape
        (2, torch.Size([7, 2]))
    """

    mean: Tensor
    modes: Tensor
    points: Tensor
    weights: Tensor
    singular_values: Tensor

    def __init__(self, points: int, modes: int, dim: int = 1, channels: int = 1) -> None:
        super().__init__()
        if min(points, modes, dim, channels) < 1:
            raise ConfigError(f"points={points}, modes={modes}, dim={dim}, channels={channels}: expected at least 1.")
        self.channels = channels
        # Made when there are modes.
        self.interpolation: PiecewiseLinear | None = None
        self.register_buffer("mean", torch.zeros(points, channels))
        self.register_buffer("modes", torch.zeros(points, channels * modes))
        self.register_buffer("points", torch.zeros(points, dim))
        self.register_buffer("weights", torch.ones(points))
        self.register_buffer("singular_values", torch.zeros(modes))

    @property
    def num_modes(self) -> int:
        """Number of modes."""
        return self.modes.shape[1] // self.channels

    @property
    def out_features(self) -> int:
        """Features of the output."""
        return self.modes.shape[1]

    @property
    def fitted(self) -> bool:
        """Whether there are modes."""
        return self.interpolation is not None

    @classmethod
    def from_data(
        cls,
        functions: Any,
        points: Any,
        modes: int | float = 0.999,
        weights: Any = None,
        authors_scaling: bool = False,
    ) -> PODModes:
        """Modes of functions.

        Args:
            functions: ``(functions, points)`` or ``(functions, channels, points)``, of the training split only.
            points: ``(points, dim)``, ``(points,)`` in one dimension, or a discretisation, whose weights are used.
            modes: Number of modes; or, as a number with a point, the part of the variance that they have to hold.
            weights: Quadrature weights ``(points,)``, positive; None takes those of a discretisation, and the Euclidean
                inner product for plain points.
            authors_scaling: Multiply the modes by ``sqrt(values per mode) / modes``, as the authors do.

        Raises:
            ConfigError: If shapes do not fit, weights are not positive, or there are fewer modes than asked for.
        """
        values, where, weight = _checked(functions, points, weights)
        _, singular, _ = decomposition = _decompose(values, weight)
        number = _count(singular, modes)
        made = cls(len(where), number, where.shape[1], values.shape[1])
        made._fill(values, where, weight, decomposition, authors_scaling)
        return made

    def fit(self, functions: Any, points: Any, weights: Any = None, authors_scaling: bool = False) -> None:
        """Fill the modes, as many as there are; arguments as in :meth:`from_data`."""
        values, where, weight = _checked(functions, points, weights)
        if where.shape != self.points.shape or values.shape[1] != self.channels:
            raise ConfigError(
                f"the functions have {values.shape[1]} channels on points {tuple(where.shape)}, the modes were made "
                f"for {self.channels} on {tuple(self.points.shape)}."
            )
        decomposition = _decompose(values, weight)
        _count(decomposition[1], self.num_modes)
        self._fill(values, where, weight, decomposition, authors_scaling)

    def _fill(
        self, values: Tensor, where: Tensor, weight: Tensor, decomposition: tuple[Tensor, Tensor, Tensor], scale: bool
    ) -> None:
        mean, singular, modes = decomposition
        p = self.num_modes
        factor = modes.shape[1] ** 0.5 / p if scale else 1.0
        by_point = (factor * modes[:p]).unflatten(1, (self.channels, -1)).permute(2, 1, 0).flatten(1)
        for buffer, value in (
            (self.mean, mean.t()),
            (self.modes, by_point),
            (self.points, where),
            (self.weights, weight),
            (self.singular_values, singular[:p]),
        ):
            buffer.copy_(value)
        self.interpolation = PiecewiseLinear(self.points)

    def at(self, coords: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean ``(..., channels)`` and modes ``(..., channels * modes)`` at points, by default those of the data."""
        if self.interpolation is None:
            raise ConfigError(
                "the POD modes are empty: give the targets of the training split to from_data(targets, points) or "
                "fit(targets, points), or load a state."
            )
        if coords is None or same_points(coords, self.points):
            return self.mean, self.modes
        if coords.shape[-1] != self.points.shape[1]:
            raise ConfigError(
                f"coords has last dimension {coords.shape[-1]} (shape {tuple(coords.shape)}), but the modes live on "
                f"points of shape {tuple(self.points.shape)}."
            )
        index, factor = self.interpolation(coords.reshape(-1, coords.shape[-1]).to(self.points.dtype))
        both = interpolate_rows(torch.cat([self.mean, self.modes], 1), index, factor)
        both = both.reshape(*coords.shape[:-1], -1)
        return both[..., : self.channels], both[..., self.channels :]

    def forward(self, coords: Tensor) -> Tensor:
        """Modes at points."""
        return self.at(coords)[1]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if f"{prefix}modes" in state_dict:
            self.interpolation = PiecewiseLinear(self.points)

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"points={len(self.points)}, modes={self.num_modes}, channels={self.channels}, fitted={self.fitted}"


def _checked(functions: Any, points: Any, weights: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Values ``(functions, channels, points)``, points and weights in double precision on the CPU."""
    values = torch.as_tensor(functions).detach().to("cpu", torch.float64)
    if weights is None and not isinstance(points, Tensor | list | tuple):
        weights = getattr(points, "weights", None)
    if not isinstance(points, Tensor):
        points = query_points(points, values)[0] if hasattr(points, "points") else torch.as_tensor(points)
    where = points.detach().to("cpu", torch.float64)
    where = where[:, None] if where.dim() == 1 else where
    n = len(where)
    if values.dim() not in (2, 3) or values.shape[-1] != n or len(values) < 2:
        raise ConfigError(
            f"targets have shape {tuple(values.shape)}, expected (functions, {n}) or (functions, channels, {n}) for "
            f"points of shape {tuple(where.shape)}, with at least two functions: POD needs all functions on the same "
            "points."
        )
    weight = torch.ones(n, dtype=torch.float64)
    if weights is not None:
        weight = torch.as_tensor(weights).detach().to("cpu", torch.float64).flatten()
    if weight.shape != (n,) or not bool((weight > 0).all()):
        raise ConfigError(
            f"weights have shape {tuple(weight.shape)} and the smallest is {weight.min().item():.3g}; expected ({n},) "
            "positive numbers. Points without weight, such as nodes on a boundary with known values, are left out."
        )
    return (values if values.dim() == 3 else values[:, None]), where, weight


def _decompose(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean ``(channels, points)``, singular values, and modes ``(number, channels * points)``."""
    mean = values.mean(0)
    root = weight.sqrt()
    _, singular, right = torch.linalg.svd(((values - mean) * root).flatten(1), full_matrices=False)
    modes = right / root.repeat(values.shape[1])
    largest = modes.gather(1, modes.abs().argmax(1, keepdim=True))
    return mean, singular, modes * largest.sign()


def _count(singular: Tensor, modes: int | float) -> int:
    """The number of modes asked for, directly or as a part of the variance."""
    rank = int((singular > singular[0] * 1e-12).sum()) if bool(singular[0] > 0) else 0
    if isinstance(modes, int):
        if not 1 <= modes <= rank:
            raise ConfigError(f"modes is {modes}, but the functions span {rank} dimensions around their mean.")
        return modes
    if not 0 < modes <= 1 or not rank:
        raise ConfigError(f"modes is {modes}, expected an integer or a part of the variance in (0, 1]; rank {rank}.")
    energy = singular[:rank].square().cumsum(0)
    return min(int((energy < modes * energy[-1] * (1 - 1e-15)).sum()) + 1, rank)
