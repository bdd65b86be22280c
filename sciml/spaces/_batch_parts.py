"""Checks and parts of batches of functions, see :mod:`sciml.spaces.function_batch`."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.function import Function

if TYPE_CHECKING:
    from sciml.spaces.function_batch import FunctionBatch

__all__ = ["check_same_points", "joined", "padded", "ragged", "spread"]

Parts = tuple[Tensor, Tensor, Tensor, Tensor]


def _floats(part: Tensor, values: Tensor) -> Tensor:
    """Coordinates or weights in the type of the values where that is a float, and on their device."""
    dtype = values.dtype.to_real() if values.is_floating_point() or values.is_complex() else torch.get_default_dtype()
    return part.to(values.device, dtype)


def ragged(values: Tensor, points: Tensor | None, weights: Tensor | None, ptr: Tensor | None) -> Parts:
    """The parts of a ragged batch, after a look at their shapes."""
    if points is None or weights is None or ptr is None:
        raise ConfigError("values are a tensor: give points, weights and ptr as well, or a list of functions.")
    if values.dim() != 2 or points.dim() != 2 or len(points) != len(values) or weights.shape != values.shape[:1]:
        raise ConfigError(
            f"values have shape {tuple(values.shape)}, points {tuple(points.shape)}, weights "
            f"{tuple(weights.shape)}: expected (total, C), (total, d) and (total,)."
        )
    if ptr.dim() != 1 or len(ptr) < 2 or ptr[0] != 0 or ptr[-1] != len(values) or not (ptr.diff() > 0).all():
        raise ConfigError(f"ptr is {ptr.tolist()}, expected increasing indices from 0 to {len(values)}.")
    return values, _floats(points, values), _floats(weights, values), ptr.to(values.device)


def padded(values: Tensor, points: Tensor, weights: Tensor, mask: Tensor) -> Parts:
    """The parts of a padded batch, after a look at their shapes, with zeros on padding."""
    ends = (values.shape[0], values.shape[-1]) if values.dim() == 3 else None
    if mask.dtype != torch.bool or any(tuple(part.shape[:2]) != ends for part in (points, weights, mask)):
        raise ConfigError(
            f"values have shape {tuple(values.shape)}, points {tuple(points.shape)}, weights "
            f"{tuple(weights.shape)}, mask {tuple(mask.shape)} of {mask.dtype}: expected (B, C, N), (B, N, d), "
            "(B, N) and Booleans (B, N)."
        )
    if not mask.any(1).all():
        raise ConfigError(f"function {int((~mask.any(1)).nonzero()[0])} has no points: its mask is False.")
    mask = mask.to(values.device)
    points, weights = _floats(points, values), _floats(weights, values)
    return (
        values.masked_fill(~mask[:, None], 0),
        points.masked_fill(~mask[..., None], 0),
        weights.masked_fill(~mask, 0),
        mask,
    )


def spread(part: Tensor, mask: Tensor) -> Tensor:
    """Rows ``(total, ...)`` at the True places of a mask ``(B, N)``, zeros elsewhere: ``(B, N, ...)``."""
    wide = mask.reshape(*mask.shape, *(1,) * (part.dim() - 1))
    return part.new_zeros(*mask.shape, *part.shape[1:]).masked_scatter(wide, part)


def check_same_points(a: "FunctionBatch", b: "FunctionBatch") -> None:
    """Refuse functions that do not live at the same points in the same layout, naming both."""
    if type(a) is not type(b):
        raise TypeError(f"{a.name!r} is a {type(a).__name__}, the other operand a {type(b).__name__}.")
    if a.layout == b.layout and len(a) == len(b) and a.points.shape == b.points.shape:
        if a.discs is not None and a.discs == b.discs:
            return
        mine, theirs = ([part.points, part.weights, part.ptr, part.mask] for part in (a, b))
        if all(_same(x, y) for x, y in zip(mine, theirs, strict=True)):
            return
    raise TypeError(
        f"{a.name!r} is {_where(a)}, {b.name!r} {_where(b)}. Resample one of them, or bring both to one layout."
    )


def _where(batch: "FunctionBatch") -> str:
    discs = batch.discs or ("points without a discretisation",)
    more = ", ..." if len(set(discs)) > 1 else ""
    return f"a {batch.layout} batch of {len(batch)} functions at {int(batch.counts.sum())} points on {discs[0]}{more}"


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two parts are equal, bit for bit."""
    return a is b or (a is not None and b is not None and a.shape == b.shape and torch.equal(a, b))


def joined(functions: list[Function]) -> dict[str, Any]:
    """The parts of a ragged batch of functions that are known one by one."""
    if not functions:
        raise ConfigError("the list of functions is empty.")
    first = functions[0]
    for i, f in enumerate(functions):
        if not isinstance(f, Function):
            raise TypeError(f"entry {i} is a {type(f).__name__}, expected a Function.")
        if f.values.dim() != len(f.disc.shape) + 1 or f.time is not None:
            raise ConfigError(f"function {i} has shape {tuple(f.values.shape)}, expected one function (C, *points).")
        if (f.channels, f.disc.dim, f.units) != (first.channels, first.disc.dim, first.units):
            raise ConfigError(
                f"function {i} has {f.channels} channels, {f.disc.dim} coordinates and units {f.units!r}, function 0 "
                f"has {first.channels}, {first.disc.dim} and {first.units!r}."
            )
    ptr = torch.tensor([0, *(f.disc.num_points for f in functions)], device=first.values.device).cumsum(0)
    return {
        "values": torch.cat([f.values.flatten(1).T for f in functions]),
        "points": torch.cat([f.points for f in functions]),
        "weights": torch.cat([f.weights.flatten() for f in functions]),
        "ptr": ptr,
        "discs": tuple(f.disc for f in functions),
        "name": first.name,
        "units": first.units,
    }
