"""What layers ask of quadrature weights, and how a layer takes over the state of a plain one."""

import math
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn.recast import recast

M = TypeVar("M", bound=nn.Module)


class Extent(NamedTuple):
    """What is known of the values of weights.

    Args:
        some_zero: Whether a weight may be zero.
        equal: Whether all are equal and positive.
    """

    some_zero: bool
    equal: bool


def extent(weights: Tensor, name: str = "weights") -> Extent:
    """Check the values of weights; while a graph is compiled, nothing is checked and nothing known.

    Args:
        weights: Floating-point weights of any shape, with at least one element.
        name: What the caller calls them.

    Raises:
        ConfigError: If one is negative or not finite.
    """
    if torch.compiler.is_compiling():
        return Extent(some_zero=True, equal=False)
    low, high = torch.stack(torch.aminmax(weights.detach())).tolist()
    if not (low >= 0 and high < math.inf):
        raise ConfigError(
            f"{name} lie between {low:.4g} and {high:.4g}, expected finite quadrature weights that are not negative. "
            "Give points that do not count the weight zero."
        )
    return Extent(some_zero=low == 0, equal=low == high > 0)


def working_dtype(x: Tensor) -> torch.dtype:
    """The type in which sums over points are formed: at least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def along_points(weights: Tensor, values: Tensor) -> Tensor:
    """Weights of the points of values ``(batch, ..., points, channels)`` as ``(batch or 1, 1, ..., 1, points)``.

    Args:
        weights: ``(points,)`` or, where there is a batch axis, ``(batch, points)``.
        values: Values ``(batch, ..., points, channels)`` or ``(points, channels)``.

    Raises:
        ConfigError: If the weights have another shape.
    """
    points, batch = values.shape[-2], values.shape[0] if values.dim() > 2 else None
    if weights.shape not in ((points,), (batch, points)):
        raise wrong_shape(weights, points, batch)
    lead = len(weights) if weights.dim() == 2 else 1
    return weights.reshape(lead, *[1] * (values.dim() - 2), points).to(working_dtype(values))


def without_masked(values: Tensor, weights: Tensor) -> Tensor:
    """Values ``(batch, ..., points, channels)`` with zeros where their weights, from :func:`along_points`, vanish."""
    # Twice as fast as masked_fill with a mask that is broadcast.
    return torch.where(weights.mT == 0, 0.0, values)


def wrong_shape(weights: Tensor, points: int, batch: int | None) -> ConfigError:
    """The error for weights that do not belong to the points."""
    each = "" if batch is None else f", or ({batch}, {points}) for points that differ between samples"
    shape = tuple(weights.shape)
    return ConfigError(f"weights have shape {shape}, expected one for each of the points, ({points},){each}.")


def adopt(module: nn.Module, cls: type[M], base: Any) -> M:
    """An instance of a class with the very parameters, buffers, children, hooks and attributes of a plain module.

    Args:
        module: A module whose ``forward`` is that of ``base`` or ``cls``.
        cls: The class wanted; it has no attributes beyond those of ``base``.
        base: The plain class.

    Raises:
        TypeError: If the module is of another kind, or computes something else.
    """
    if not isinstance(module, base) or type(module).forward not in (base.forward, cls.forward):
        raise TypeError(
            f"module is a {type(module).__name__}, expected one that computes what torch's {base.__name__} does. "
            f"Build {cls.__name__} with the same arguments and load the state_dict, if that is meant."
        )
    return recast(module, cls)
