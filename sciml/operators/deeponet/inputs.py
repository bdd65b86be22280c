"""What users give to a DeepONet: functions at sensors and query points, checked once, where they enter."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.deeponet.networks import vector_size
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.spaces import Function, FunctionBatch

__all__ = [
    "LAYOUTS",
    "Layout",
    "check_mask",
    "check_trunk_input",
    "flat_values",
    "plain_values",
    "query_layout",
    "query_points",
    "read_branch",
]

Layout = Literal["aligned", "unaligned", "ragged"]
LAYOUTS: tuple[str, ...] = get_args(Layout)


def batched_values(function: Function | FunctionBatch) -> Tensor:
    """Values ``(batch, channels, *grid)`` of a function; one without a batch axis counts as a batch of one.

    Raises:
        ConfigError: If there are more axes before the channels than the batch.
    """
    if isinstance(function, FunctionBatch) and function.layout != "shared":
        raise ConfigError(
            f"the functions {function.name!r} have sensors of their own, and this branch reads fixed ones: take "
            "QuadratureBranch, SetBranch, BasisBranch or SensorBranch."
        )
    values = function.values
    extra = values.dim() - function.weights.dim()
    if extra > 2:
        raise ConfigError(
            f"the function {function.name!r} has values of shape {tuple(values.shape)}, expected (batch, channels, "
            "*grid): flatten the axes before the channels."
        )
    return values if extra == 2 else values[None]


def plain_values(u: Any) -> Any:
    """Values of functions; any other input as it is."""
    if isinstance(u, FunctionBatch) and u.layout != "shared":
        return u.to_padded().values
    return batched_values(u) if isinstance(u, Function | FunctionBatch) else u


def read_branch(
    branch: nn.Module, u: Any, sensors: Tensor | None, weights: Tensor | None, mask: Tensor | None
) -> Tensor:
    """Coefficients of the branch for its input, which it gets in the form that it reads.

    Raises:
        ConfigError: If the input does not fit the branch, or the branch gives no vector per function.
    """
    if isinstance(branch, SampledBranch):
        if isinstance(u, FunctionBatch) and u.layout != "shared":
            padded = u.to_padded()
            u, sensors, weights, mask = padded.values, padded.points, padded.weights, padded.mask
        elif isinstance(u, Function | FunctionBatch):
            u, sensors, weights = batched_values(u).flatten(2), u.points, u.weights.flatten()
        coefficients = branch(u, sensors, weights, mask)
    else:
        if sensors is not None or weights is not None or mask is not None:
            raise ConfigError(
                f"sensors, sensor_weights and sensor_mask are given, but the branch ({type(branch).__name__}) reads "
                "fixed sensors. Take one that reads any sensors: QuadratureBranch, SetBranch, BasisBranch or "
                "SensorBranch."
            )
        if isinstance(u, Function | FunctionBatch):
            u = batched_values(u)
        size = vector_size(branch)
        coefficients = branch(u if size is None else flat_values(u, size))
    if not isinstance(coefficients, Tensor) or coefficients.dim() != 2:
        shape = tuple(coefficients.shape) if isinstance(coefficients, Tensor) else type(coefficients).__name__
        raise ConfigError(
            f"the branch gives {shape}, expected (batch, features): end it with pooling or nn.Flatten() and a linear "
            "layer."
        )
    return coefficients


def flat_values(u: Tensor, size: int) -> Tensor:
    """Sensor values as one vector per function, function after function.

    Raises:
        ConfigError: If there is another number of them.

    Example:
        >>> flat_values(torch.zeros(3, 2, 5), 10).shape
        torch.Size([3, 10])
    """
    flat = u if u.dim() == 2 else u.flatten(1)
    if flat.shape[-1] != size or flat.dim() != 2:
        number = flat.shape[-1] if flat.dim() == 2 else u.numel()
        raise ConfigError(
            f"u has {number} sensor values per function (shape {tuple(u.shape)}), but this branch takes {size}. It "
            "reads its input at fixed sensors: resample the input to those it was trained on (SensorBranch does so in "
            "every call), or take a branch that reads any sensors, such as QuadratureBranch."
        )
    return flat


def query_points(coords: Any, like: Tensor) -> tuple[Tensor, Tensor | None]:
    """Query points and their mask, from a tensor, a discretisation or functions.

    Raises:
        TypeError: If there are no points in it.
    """
    if isinstance(coords, Tensor):
        return coords, None
    if isinstance(coords, FunctionBatch) and coords.layout != "shared":
        padded = coords.to_padded()
        return padded.points.to(like), padded.mask
    points = getattr(coords, "points", None)
    if not isinstance(points, Tensor):
        raise TypeError(
            f"coords is a {type(coords).__name__}, expected a tensor (points, dim), a discretisation or a function."
        )
    return points.to(like), None


def query_layout(coords: Tensor, batch: int, layout: str | None) -> Layout:
    """The layout of query points: the one asked for, or by their axes ``aligned`` or ``ragged``.

    Args:
        coords: Query points.
        batch: Number of functions, or of rows for unaligned queries.
        layout: ``aligned``, ``unaligned`` or ``ragged``; None decides by the number of axes, never for ``unaligned``.

    Raises:
        ConfigError: If the query points do not have the shape of the layout.

    Example:
        >>> query_layout(torch.zeros(50, 2), 8, None), query_layout(torch.zeros(8, 2), 8, "unaligned")
        ('aligned', 'unaligned')
    """
    axes = coords.dim()
    if layout is None:
        if axes == 2:
            return "aligned"
        if axes == 3 and len(coords) == batch:
            return "ragged"
        raise ConfigError(
            f"coords has shape {tuple(coords.shape)}, expected (points, dim) for all functions, or ({batch}, points, "
            f"dim) for a batch of {batch} functions. One point per function is layout='unaligned' and ({batch}, dim)."
        )
    if layout == "aligned" and axes == 2:
        return "aligned"
    if layout == "unaligned" and axes == 2 and len(coords) == batch:
        return "unaligned"
    if layout == "ragged" and axes == 3 and len(coords) == batch:
        return "ragged"
    shapes = {"aligned": "(points, dim)", "unaligned": f"({batch}, dim)", "ragged": f"({batch}, points, dim)"}
    if layout not in shapes:
        raise ConfigError(f"layout is {layout!r}, expected {', '.join(LAYOUTS)} or None.")
    raise ConfigError(
        f"coords has shape {tuple(coords.shape)}, but layout={layout!r} takes {shapes[layout]} with {batch} rows of "
        f"u. The same points for all functions are layout='aligned', points of its own for every function 'ragged'."
    )


def check_trunk_input(trunk: nn.Module, features: Tensor, coords: Tensor) -> None:
    """Refuse query points of another dimension than a fully connected trunk takes."""
    wanted = vector_size(trunk)
    if wanted is None or features.shape[-1] == wanted:
        return
    if features is coords:
        raise ConfigError(
            f"coords has last dimension {coords.shape[-1]}, but this trunk takes {wanted}; its shape is "
            f"{tuple(coords.shape)}. Give one column per axis of the output domain, or build the trunk "
            f"for {coords.shape[-1]}."
        )
    raise ConfigError(
        f"trunk_features turn coords of shape {tuple(coords.shape)} into {features.shape[-1]} features, but this trunk "
        f"takes {wanted}: build the trunk for {features.shape[-1]}."
    )


def check_mask(mask: Tensor, coords: Tensor, layout: Layout) -> None:
    """Refuse a mask that does not belong to ragged query points."""
    if layout != "ragged" or mask.dtype != torch.bool or mask.shape != coords.shape[:-1]:
        raise ConfigError(
            f"mask has shape {tuple(mask.shape)} and type {mask.dtype}, coords {tuple(coords.shape)} and layout "
            f"{layout!r}; expected booleans (batch, points) with ragged coords (batch, points, dim)."
        )
