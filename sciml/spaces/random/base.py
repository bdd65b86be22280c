"""Random functions: a sampler draws functions once, and these can be evaluated anywhere.

A sampler is a frozen dataclass with ``sample(num, seed, start)``; function ``i`` of a seed depends on the seed and on
``start + i`` alone, so that data made in parts, in parallel or at several resolutions hold the same functions.
"""

import abc

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.discretization import Discretization
from sciml.spaces.function import Function
from sciml.spaces.grid import RegularGrid
from sciml.spaces.tensor_grid import TensorGrid

__all__ = ["RandomFunctions", "Sampler", "generators", "standard_normal"]


def generators(num: int, seed: int, start: int, stream: int = 0) -> list[np.random.Generator]:
    """One generator a function, from the seed and its place in the sequence.

    Args:
        num: Number of generators.
        seed: Seed of the sequence.
        start: Place of the first one.
        stream: Another independent set of generators for the same functions.

    Raises:
        ConfigError: If ``num`` is not positive, or another number negative.
    """
    if num < 1 or seed < 0 or start < 0:
        raise ConfigError(f"num, seed and start are {num}, {seed} and {start}; expected at least 1, 0 and 0.")
    # The key keeps seed and place apart; a list of both would not, for seeds beyond 32 bits.
    return [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, start + i))) for i in range(num)]


def standard_normal(num: int, size: tuple[int, ...], seed: int, start: int) -> Tensor:
    """Standard normal numbers ``(num, *size)``, float64."""
    values = np.empty((num, *size))
    for row, rng in zip(values, generators(num, seed, start), strict=True):
        rng.standard_normal(out=row)
    return torch.from_numpy(values)


class RandomFunctions(abc.ABC):
    """A batch of scalar functions that can be evaluated at any points.

    Attributes:
        dim: Dimension of the domain.
    """

    dim: int

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def __getitem__(self, index: slice) -> "RandomFunctions":
        """The functions of a slice; one function is ``draw[i : i + 1]``."""

    @abc.abstractmethod
    def _evaluate(self, points: Tensor) -> Tensor:
        """Values ``(num, n)`` at float64 points ``(n, dim)``."""

    def _evaluate_tensor(self, axes: list[Tensor]) -> Tensor:
        """Values ``(num, *lengths)`` on the product of axes; faster where the functions are sums of products."""
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
        return self._evaluate(points).reshape(-1, *(len(axis) for axis in axes))

    def __call__(self, points: Tensor) -> Tensor:
        """Values at points, computed in double precision.

        Args:
            points: ``(n, dim)``, or ``(n,)`` in one dimension.

        Returns:
            ``(num, n)`` on the device and in the type of the points; differentiable in them.

        Raises:
            ConfigError: If the points have another dimension.
        """
        if self.dim == 1 and points.dim() == 1:
            points = points[:, None]
        if points.dim() != 2 or points.shape[1] != self.dim:
            raise ConfigError(f"points have shape {tuple(points.shape)}, expected (n, {self.dim}).")
        return self._evaluate(points.double()).to(points.dtype)

    def on(self, disc: Discretization, name: str = "u") -> Function:
        """The functions on a discretisation, values ``(num, 1, *disc.shape)``, float64.

        Raises:
            ConfigError: If the discretisation has another dimension.
        """
        if disc.dim != self.dim:
            raise ConfigError(f"the discretisation has dimension {disc.dim}, the functions {self.dim}.")
        if isinstance(disc, RegularGrid | TensorGrid):
            values = self._evaluate_tensor([axis.double() for axis in disc.axes])
        else:
            values = self._evaluate(disc.points)
        return Function(values.reshape(len(self), 1, *disc.shape), disc, name)


class Sampler(abc.ABC):
    """Draws random functions; subclasses are frozen dataclasses."""

    dim: int

    @abc.abstractmethod
    def sample(self, num: int, seed: int = 0, start: int = 0) -> RandomFunctions:
        """Functions ``start`` to ``start + num - 1`` of the sequence of a seed."""
