"""Several functions at once: on one discretisation, or each on its own points, one after the other or padded.

=========  =======================  ==================  ==================  =====================================
layout     values                   points              weights             which points belong to which function
=========  =======================  ==================  ==================  =====================================
shared     ``(B, C, *disc.shape)``  ``(n, d)``          ``disc.shape``      all to all
ragged     ``(total, C)``           ``(total, d)``      ``(total,)``        ``ptr`` ``(B + 1,)``, as in PyG
padded     ``(B, C, N)``            ``(B, N, d)``       ``(B, N)``          ``mask`` ``(B, N)``
=========  =======================  ==================  ==================  =====================================
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces import _batch_parts, _point_norms
from sciml.spaces.discretization import Discretization
from sciml.spaces.function import Function
from sciml.spaces.point_cloud import PointCloud

__all__ = ["FunctionBatch"]


@dataclass(frozen=True, eq=False)
class FunctionBatch:
    """A batch of functions; made by :meth:`shared`, :meth:`ragged` or :meth:`padded`.

    The three layouts turn into each other without loss. Padding has value, coordinates and weight 0, so that it changes
    no norm and no integral.

    Attributes:
        values: As in the table of the module.
        points: Coordinates, in the dtype and on the device of the values.
        weights: Quadrature weights, likewise.
        ptr: Where each function begins in a ragged batch, and the total at last.
        mask: True at the points of a padded batch, False on padding.
        discs: The discretisations of the functions where they are known.
        name: Name of the quantity.
        units: Physical units of the values; None when unknown.

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> grids = [RegularGrid(shape=(n,), bounds=((0.0, 2.0),)) for n in (3, 5)]
        >>> batch = FunctionBatch.ragged([Function(torch.ones(1, *grid.shape), grid) for grid in grids])
        >>> batch.ptr.tolist(), batch.to_padded().values.shape, batch.integral()
        ([0, 3, 8], torch.Size([2, 1, 5]), tensor([[2.],
                [2.]]))
    """

    values: Tensor
    points: Tensor
    weights: Tensor
    ptr: Tensor | None = None
    mask: Tensor | None = None
    discs: tuple[Discretization, ...] | None = None
    name: str = "u"
    units: str | None = None

    @classmethod
    def shared(cls, values: Tensor, disc: Discretization, name: str = "u", units: str | None = None) -> "FunctionBatch":
        """Functions on one discretisation.

        Args:
            values: ``(B, C, *disc.shape)``.
            disc: Where the values are taken.
            name: Name of the quantity.
            units: Units of the values.

        Raises:
            ConfigError: If the values do not have the shape of the discretisation.
        """
        like = Function(values, disc, name, units)
        if values.dim() != len(disc.shape) + 2:
            raise ConfigError(f"values have shape {tuple(values.shape)}, expected (B, C, {str(disc.shape)[1:]}.")
        return cls(values, like.points, like.weights, None, None, (disc,) * len(values), name, units)

    @classmethod
    def ragged(
        cls,
        values: Sequence[Function] | Tensor,
        points: Tensor | None = None,
        weights: Tensor | None = None,
        ptr: Tensor | None = None,
        name: str = "u",
        units: str | None = None,
    ) -> "FunctionBatch":
        """Functions on points of their own, one function after the other.

        Args:
            values: A list of functions ``(C, *disc.shape)``, and nothing else; or values ``(total, C)``.
            points: Coordinates ``(total, d)``.
            weights: Quadrature weights ``(total,)``.
            ptr: Where each function begins, and the total: ``(B + 1,)``.
            name: Name of the quantity.
            units: Units of the values.

        Raises:
            ConfigError: If the parts do not fit one another.
        """
        if not isinstance(values, Tensor):
            return cls(**_batch_parts.joined(list(values)))
        values, points, weights, ptr = _batch_parts.ragged(values, points, weights, ptr)
        return cls(values, points, weights, ptr, None, None, name, units)

    @classmethod
    def padded(
        cls, values: Tensor, points: Tensor, weights: Tensor, mask: Tensor, name: str = "u", units: str | None = None
    ) -> "FunctionBatch":
        """Functions on points of their own, padded to the same number.

        Args:
            values: ``(B, C, N)``; what stands on padding is replaced by 0.
            points: Coordinates ``(B, N, d)``.
            weights: Quadrature weights ``(B, N)``.
            mask: True at points, False on padding, ``(B, N)``.
            name: Name of the quantity.
            units: Units of the values.

        Raises:
            ConfigError: If the parts do not fit one another, or a function has no points.
        """
        values, points, weights, mask = _batch_parts.padded(values, points, weights, mask)
        return cls(values, points, weights, None, mask, None, name, units)

    @property
    def layout(self) -> Literal["shared", "ragged", "padded"]:
        """How the functions are stored."""
        if self.ptr is not None:
            return "ragged"
        return "shared" if self.mask is None else "padded"

    @property
    def disc(self) -> Discretization:
        """The discretisation of a shared batch.

        Raises:
            ConfigError: If the functions are stored each on its own.
        """
        if self.layout != "shared" or not self.discs:
            raise ConfigError(f"the batch is {self.layout}, its functions have discretisations of their own: discs.")
        return self.discs[0]

    def __len__(self) -> int:
        return len(self.values) if self.ptr is None else len(self.ptr) - 1

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.values.shape[1]

    @property
    def counts(self) -> Tensor:
        """Number of points of each function, ``(B,)``."""
        if self.ptr is not None:
            return self.ptr.diff()
        if self.mask is not None:
            return self.mask.sum(1)
        return torch.full((len(self),), self.disc.num_points, device=self.values.device)

    def with_values(self, values: Tensor) -> "FunctionBatch":
        """Other values at the same points, such as a prediction; any number of channels.

        Raises:
            ConfigError: If they do not have the shape of the values here, channels aside.
        """
        if values.dim() != self.values.dim() or self._sizes(values) != self._sizes(self.values):
            raise ConfigError(
                f"values have shape {tuple(values.shape)}, those of the batch {tuple(self.values.shape)}; only the "
                "channels may differ."
            )
        if self.mask is not None:
            values = values.masked_fill(~self.mask[:, None], 0)
        return replace(self, values=values)

    @staticmethod
    def _sizes(values: Tensor) -> tuple[int, ...]:
        return (values.shape[0], *values.shape[2:])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "FunctionBatch":
        """Copy to a device or dtype."""
        values, points, weights = (part.to(device, dtype) for part in (self.values, self.points, self.weights))
        ptr, mask = (None if part is None else part.to(device) for part in (self.ptr, self.mask))
        return replace(self, values=values, points=points, weights=weights, ptr=ptr, mask=mask)

    def to_ragged(self) -> "FunctionBatch":
        """The same functions, one after the other."""
        if self.layout == "ragged":
            return self
        ptr = torch.nn.functional.pad(self.counts.cumsum(0), (1, 0))
        if self.mask is not None:
            values = self.values.transpose(1, 2)[self.mask]
            return replace(
                self, values=values, points=self.points[self.mask], weights=self.weights[self.mask], ptr=ptr, mask=None
            )
        values = self.values.flatten(2).transpose(1, 2).flatten(0, 1)
        weights = self.weights.flatten().repeat(len(self))
        return replace(self, values=values, points=self.points.repeat(len(self), 1), weights=weights, ptr=ptr)

    def to_padded(self, length: int | None = None) -> "FunctionBatch":
        """The same functions, padded with zeros behind their points.

        Args:
            length: Points of the padded functions; None takes the longest.

        Raises:
            ConfigError: If a function is longer.
        """
        ragged, counts = self.to_ragged(), self.counts
        longest = int(counts.max())
        length = longest if length is None else length
        if length < longest:
            raise ConfigError(f"length is {length}, but a function has {longest} points.")
        mask = torch.arange(length, device=counts.device) < counts[:, None]
        values, points, weights = (
            _batch_parts.spread(part, mask) for part in (ragged.values, ragged.points, ragged.weights)
        )
        return replace(ragged, values=values.transpose(1, 2), points=points, weights=weights, ptr=None, mask=mask)

    def to_shared(self) -> "FunctionBatch":
        """The same functions with the points stored once.

        Raises:
            ConfigError: If they do not live on one discretisation.
        """
        if self.layout == "shared":
            return self
        if self.discs is None or any(disc != self.discs[0] for disc in self.discs[1:]):
            raise ConfigError("the functions do not live on one known discretisation; resample them to one first.")
        ragged, disc = self.to_ragged(), self.discs[0]
        values = ragged.values.reshape(len(self), -1, self.channels).transpose(1, 2)
        return self.shared(values.reshape(*values.shape[:2], *disc.shape), disc, self.name, self.units)

    def to_functions(self) -> list[Function]:
        """Each function by itself, with its own discretisation, or a point cloud where none is known."""
        ragged = self.to_ragged()
        assert ragged.ptr is not None
        counts = ragged.ptr.diff().tolist()
        values, points, weights = (part.split(counts) for part in (ragged.values, ragged.points, ragged.weights))
        discs = self.discs or [PointCloud(*pair) for pair in zip(points, weights, strict=True)]
        return [
            Function(part.T.reshape(-1, *disc.shape), disc, self.name, self.units)
            for part, disc in zip(values, discs, strict=True)
        ]

    @property
    def _measured(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values that are numbers, weights that broadcast to them, and where functions begin in a ragged batch."""
        values = self.values.to(self.weights.dtype) if self.values.dtype == torch.bool else self.values
        return values, self.weights if self.layout == "shared" else self.weights.unsqueeze(1), self.ptr

    def integral(self) -> Tensor:
        """Integrals over the domains, ``(B, C)``."""
        return _point_norms.integral(*self._measured)

    def l1_norm(self) -> Tensor:
        """L1 norms over channels and domain, ``(B,)``."""
        return _point_norms.l1(*self._measured)

    def l2_norm(self) -> Tensor:
        """L2 norms over channels and domain, ``(B,)``."""
        return _point_norms.l2(*self._measured)

    def linf_norm(self) -> Tensor:
        """Largest absolute values over channels and points, ``(B,)``."""
        return _point_norms.linf(*self._measured)

    def h1_norm(self, order: int = 2) -> Tensor:
        """H1 norms over channels and domain, ``(B,)``; one call for each run of functions on equal discretisations.

        Args:
            order: Order of finite differences.

        Raises:
            ConfigError: If the discretisations are unknown, or have no derivative.
        """
        if self.discs is None:
            raise ConfigError("the functions are known at points only; give them as a list of functions on meshes.")
        if self.layout == "shared":
            return Function(self.values, self.disc).h1_norm(order)
        runs = [list(run) for _, run in groupby(self.to_functions(), key=lambda function: function.disc)]
        norms = [Function(torch.stack([f.values for f in run]), run[0].disc).h1_norm(order) for run in runs]
        return torch.cat(norms)

    def __add__(self, other: "FunctionBatch") -> "FunctionBatch":
        _batch_parts.check_same_points(self, other)
        return replace(self, values=self.values + other.values)

    def __sub__(self, other: "FunctionBatch") -> "FunctionBatch":
        _batch_parts.check_same_points(self, other)
        return replace(self, values=self.values - other.values)

    def __mul__(self, factor: float) -> "FunctionBatch":
        return replace(self, values=self.values * factor)

    __rmul__ = __mul__
