"""A function given by its values on a grid."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.grid import RegularGrid
from sciml.spaces.norms import h1_norm, l2_norm

__all__ = ["Function"]


@dataclass(frozen=True, eq=False)
class Function:
    """Values of one or several functions on a grid.

    Args:
        values: ``(..., channels, *grid)``.
        grid: Where the values are taken.
        name: Name of the quantity.
        units: Physical units of the values; None when unknown.

    Raises:
        ConfigError: If the last axes of the values are not those of the grid.
        TypeError: If the values are no tensor, or functions on different grids are combined.

    Example:
        >>> grid = RegularGrid(shape=(4,), bounds=((0.0, 2.0),), periodic=True)
        >>> Function(torch.ones(1, 4), grid).integral()
        tensor([2.])
    """

    values: Tensor
    grid: RegularGrid
    name: str = "u"
    units: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor):
            raise TypeError(f"values are a {type(self.values).__name__}, expected a tensor: torch.as_tensor(values).")
        if self.values.dim() <= self.grid.dim or tuple(self.values.shape[-self.grid.dim :]) != self.grid.shape:
            raise ConfigError(
                f"values of {self.name!r} have shape {tuple(self.values.shape)}, the grid {self.grid.shape}: "
                "expected (..., channels, *grid)."
            )

    @property
    def _dtype(self) -> torch.dtype:
        # A coefficient with two values may be stored as Booleans; its points and weights are floats all the same.
        return self.values.dtype if self.values.is_floating_point() else torch.get_default_dtype()

    @property
    def weights(self) -> Tensor:
        """Quadrature weights in the shape of the grid, on the device and in the dtype of the values."""
        return self.grid.weights_nd(self._dtype, self.values.device)

    @property
    def points(self) -> Tensor:
        """Points ``(num_points, dim)``, on the device and in the dtype of the values."""
        return self.grid.points.to(self.values.device, self._dtype)

    def _batched(self) -> Tensor:
        return self.values.to(self._dtype).reshape(-1, *self.values.shape[-self.grid.dim - 1 :])

    def l2_norm(self) -> Tensor:
        """L2 norm over channels and domain, ``values.shape[:-1-dim]``."""
        return l2_norm(self._batched(), self.grid).reshape(self.values.shape[: -self.grid.dim - 1])

    def h1_norm(self) -> Tensor:
        """H1 norm over channels and domain, ``values.shape[:-1-dim]``."""
        return h1_norm(self._batched(), self.grid).reshape(self.values.shape[: -self.grid.dim - 1])

    def integral(self) -> Tensor:
        """Integral over the domain, ``values.shape[:-dim]``."""
        return (self.values * self.weights).flatten(-self.grid.dim).sum(-1)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Function":
        """Copy to a device or dtype."""
        return replace(self, values=self.values.to(device=device, dtype=dtype))

    def _check(self, other: "Function") -> None:
        if not isinstance(other, Function):
            raise TypeError(f"{self.name!r} is a Function, the other operand a {type(other).__name__}.")
        if self.grid != other.grid:
            raise TypeError(
                f"{self.name!r} lives on {self.grid}, {other.name!r} on {other.grid}. Resample one of them first."
            )

    def __add__(self, other: "Function") -> "Function":
        self._check(other)
        return replace(self, values=self.values + other.values)

    def __sub__(self, other: "Function") -> "Function":
        self._check(other)
        return replace(self, values=self.values - other.values)

    def __mul__(self, factor: float) -> "Function":
        return replace(self, values=self.values * factor)

    __rmul__ = __mul__
