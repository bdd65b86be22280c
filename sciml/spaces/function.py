"""A function given by its values on a discretisation."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.discretization import BaseDiscretization, Discretization
from sciml.spaces.norms import h1_norm, l1_norm, l2_norm, linf_norm

__all__ = ["Function"]


@dataclass(frozen=True, eq=False)
class Function:
    """Values of one or several functions on a discretisation.

    Args:
        values: ``(..., channels, *disc.shape)``: the last axes are the grid, or the points.
        disc: Where the values are taken.
        name: Name of the quantity.
        units: Physical units of the values; None when unknown.
        time: Times of the frames ``(frames,)`` when the axis before the channels is time.

    Raises:
        ConfigError: If the last axes of the values are not those of the discretisation, or frames and times differ.
        TypeError: If the values are no tensor, or functions on different discretisations are combined.

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> grid = RegularGrid(shape=(4,), bounds=((0.0, 2.0),), periodic=True)
        >>> Function(torch.ones(1, 4), grid).integral()
        tensor([2.])
    """

    values: Tensor
    disc: Discretization
    name: str = "u"
    units: str | None = None
    time: Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor):
            raise TypeError(f"values are a {type(self.values).__name__}, expected a tensor: torch.as_tensor(values).")
        if not isinstance(self.disc, BaseDiscretization | Discretization):
            raise TypeError(f"disc is a {type(self.disc).__name__}, expected a grid, mesh or point cloud.")
        if self.values.dim() <= self._axes or tuple(self.values.shape[-self._axes :]) != self.disc.shape:
            kind = "grid" if self._axes > 1 or self.disc.dim == 1 else "points"
            raise ConfigError(
                f"values of {self.name!r} have shape {tuple(self.values.shape)}, the {kind} {self.disc.shape}: "
                f"expected (..., channels, *{kind})."
            )
        if self.time is not None and self.values.shape[-self._axes - 2 : -self._axes - 1] != self.time.shape:
            raise ConfigError(
                f"values of {self.name!r} have shape {tuple(self.values.shape)}, time {tuple(self.time.shape)}: "
                "expected (..., frames, channels, *points) and (frames,)."
            )

    @property
    def _axes(self) -> int:
        return len(self.disc.shape)

    @property
    def _dtype(self) -> torch.dtype:
        # A coefficient with two values may be stored as Booleans; its points and weights are floats all the same.
        dtype = self.values.dtype
        return dtype.to_real() if dtype.is_floating_point or dtype.is_complex else torch.get_default_dtype()

    @property
    def weights(self) -> Tensor:
        """Quadrature weights in the shape of the discretisation, on the device and in the dtype of the values."""
        return self.disc.weights_nd(self._dtype, self.values.device)

    @property
    def points(self) -> Tensor:
        """Points ``(num_points, dim)``, on the device and in the dtype of the values."""
        return self.disc.points_on(self._dtype, self.values.device)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.values.shape[-self._axes - 1]

    def _norm(self, norm: Any, **options: Any) -> Tensor:
        values = self.values if self.values.is_complex() else self.values.to(self._dtype)
        leading = values.shape[: -self._axes - 1]
        return norm(values.reshape(-1, *values.shape[-self._axes - 1 :]), self.disc, **options).reshape(leading)

    def l1_norm(self) -> Tensor:
        """L1 norm over channels and domain, one value for each of the leading axes."""
        return self._norm(l1_norm)

    def l2_norm(self) -> Tensor:
        """L2 norm over channels and domain, one value for each of the leading axes."""
        return self._norm(l2_norm)

    def linf_norm(self) -> Tensor:
        """Largest absolute value over channels and points, one value for each of the leading axes."""
        return self._norm(linf_norm)

    def h1_norm(self, order: int = 2) -> Tensor:
        """H1 norm over channels and domain, one value for each of the leading axes.

        Args:
            order: Order of finite differences.
        """
        return self._norm(h1_norm, order=order)

    def integral(self) -> Tensor:
        """Integral over the domain, ``(..., channels)``."""
        return (self.values * self.weights).flatten(-self._axes).sum(-1)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Function":
        """Copy to a device or dtype."""
        return replace(self, values=self.values.to(device=device, dtype=dtype))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> "Function":
        """One or some of the functions along the first axis, which is neither time nor channels."""
        if self.values.dim() - self._axes - 1 - (self.time is not None) < 1:
            raise ConfigError(f"{self.name!r} holds one function, there is no axis of functions to index.")
        if not isinstance(index, int | slice | Tensor):
            raise TypeError(f"index is a {type(index).__name__}, expected an integer, slice or tensor for one axis.")
        return replace(self, values=self.values[index])

    def _check(self, other: "Function") -> None:
        if not isinstance(other, Function):
            raise TypeError(f"{self.name!r} is a Function, the other operand a {type(other).__name__}.")
        if self.disc != other.disc:
            raise TypeError(
                f"{self.name!r} lives on {self.disc}, {other.name!r} on {other.disc}. Resample one of them first."
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
