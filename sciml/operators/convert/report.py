"""What a conversion did, and how far its results depend on the grid."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from sciml.errors import ConversionError
from sciml.operators.convert.operator import OperatorModule
from sciml.spaces import Function, RegularGrid, resample

__all__ = ["DiscretizationError", "conversion_report", "discretization_error"]


class _Sampler(Protocol):
    def sample(self, num: int, seed: int) -> Any: ...


def conversion_report(operator: OperatorModule) -> str:
    """A table of the modules: layer, rule, order of consistency for smooth functions, number of parameters.

    Args:
        operator: A converted network.

    Example:
        >>> from sciml.operators.convert import to_operator
        >>> print(conversion_report(to_operator(nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.ReLU()), (16,))))
        module  layer   rule              order  parameters
        0       Conv1d  convolution, hat  1               8
        1       ReLU    pointwise         exact           0
    """
    header = ("module", "layer", "rule", "order", "parameters")
    rows = [header] + [(r.path, r.layer, r.rule, r.order, str(r.parameters)) for r in operator.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), ""][:4]) for row in rows]
    return "\n".join(f"{line}  {row[-1].rjust(widths[-1])}" for line, row in zip(lines, rows, strict=True))


@dataclass(frozen=True)
class DiscretizationError:
    r"""How the output of an operator changes with the grid.

    Attributes:
        spacings: Largest spacing of each grid.
        shapes: Points per axis of each grid.
        limit: :math:`E_{lim} = \lVert N_h - R N_{ref} \rVert / \lVert R N_{ref} \rVert`, against a far finer grid.
        training: :math:`E_0 = \lVert R N_h - N_{h_0} \rVert / \lVert N_{h_0} \rVert`, against the grid of training.
        order: Slope of the logarithm of the limit error; NaN where errors are of the size of rounding.
        finest: Points per axis of the reference grid of ``limit``.
    """

    spacings: tuple[float, ...]
    shapes: tuple[tuple[int, ...], ...]
    limit: tuple[float, ...]
    training: tuple[float, ...]
    order: float
    finest: tuple[int, ...]

    def table(self) -> str:
        """The errors, one line per grid."""
        lines = [f"{'grid':>12s}  {'h':>10s}  {'E_lim':>10s}  {'E_0':>10s}"]
        for shape, h, limit, training in zip(self.shapes, self.spacings, self.limit, self.training, strict=True):
            lines.append(f"{'x'.join(map(str, shape)):>12s}  {h:10.3g}  {limit:10.3e}  {training:10.3e}")
        lines.append(f"order of E_lim {self.order:.2f}, against {'x'.join(map(str, self.finest))} points")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


def discretization_error(
    operator: nn.Module | Callable[[Function], Any],
    sampler: _Sampler | Callable[[RegularGrid], Function],
    scales: Sequence[int] = (1, 2, 4, 8),
    *,
    reference: RegularGrid | None = None,
    finest: int | None = None,
    num: int = 8,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> DiscretizationError:
    """How far the output depends on the grid: errors against the limit and against the grid of training.

    Args:
        operator: Maps a function ``(batch, channels, *grid)`` to one on the same grid, or a coarser one.
        sampler: Input functions: of :mod:`sciml.spaces.random`, or called with a grid.
        scales: How much finer than the reference the grids are.
        reference: The grid of training; that of a converted network if left out.
        finest: Scale of the grid that stands for the limit; four times the largest if left out.
        num: Number of functions.
        seed: Of the sampler.
        dtype: Type of the inputs.

    Raises:
        ConversionError: If the grid of training is not known, or the output is no function on a grid.

    Example:
        >>> from sciml.operators.convert import to_operator
        >>> from sciml.spaces.random import SpectralGRF
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Conv1d(1, 1, 5, padding=2, padding_mode="circular").double()
        >>> errors = discretization_error(to_operator(net, (32,)), SpectralGRF(gamma=4.0, tau=3.0, dim=1))
        >>> round(errors.order, 1)
        2.0
    """
    grid = reference or getattr(operator, "reference", None)
    if not isinstance(grid, RegularGrid):
        raise ConversionError("the grid of training is not known: reference=RegularGrid(...).")
    finest = finest or 4 * max(scales)
    draw = sampler if callable(sampler) else sampler.sample(num, seed=seed).on

    def output(scale: int) -> Function:
        f = draw(grid.refine(scale))
        with torch.no_grad():
            result = operator(Function(f.values.to(dtype), f.disc, f.name))
        if not isinstance(result, Function) or not isinstance(result.disc, RegularGrid):
            raise ConversionError(f"the output at scale {scale} is no function on a grid.")
        return result

    best, first = output(finest), output(1)
    limit, training, spacings, shapes = [], [], [], []
    for scale in scales:
        own = output(scale)
        limit.append(_difference(own, best))
        training.append(_difference(first, own))
        spacings.append(grid.refine(scale).h)
        shapes.append(grid.refine(scale).shape)
    return DiscretizationError(
        tuple(spacings), tuple(shapes), tuple(limit), tuple(training), _slope(spacings, limit), best.disc.shape
    )


def _difference(coarse: Function, fine: Function) -> float:
    """Relative L2 distance on the coarse grid, mean over the functions."""
    assert isinstance(coarse.disc, RegularGrid)
    assert isinstance(fine.disc, RegularGrid)
    factor = round(coarse.disc.h / fine.disc.h)
    if fine.disc == coarse.disc:
        moved = fine
    elif coarse.disc.alignment == "cell":
        moved = resample(fine, coarse.disc, "conservative")
    else:
        moved = Function(fine.disc.restrict(fine.values, factor), coarse.disc)
    return float(((coarse - moved).l2_norm() / moved.l2_norm()).mean())


def _slope(spacings: Sequence[float], errors: Sequence[float]) -> float:
    used = [(math.log(h), math.log(e)) for h, e in zip(spacings, errors, strict=True) if e > 1e-13]
    if len(used) < 2:
        return math.nan
    points = np.array(used)
    return float(np.polyfit(points[:, 0], points[:, 1], 1)[0])
