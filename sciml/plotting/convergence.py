"""Errors against the spacing of the grid, on logarithmic axes with lines of known order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sciml.errors import ConfigError
from sciml.operators.convert import DiscretizationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_discretization_error"]


def plot_discretization_error(
    errors: Mapping[str, DiscretizationError] | DiscretizationError,
    *,
    orders: tuple[int, ...] = (1, 2),
    path: str | Path | None = None,
) -> Figure:
    """Draw how far operators depend on the grid: against the limit on the left, against training on the right.

    Args:
        errors: What :func:`~sciml.operators.convert.discretization_error` found, by label. Errors of the size of
            rounding are not drawn.
        orders: Slopes of the reference lines.
        path: Where to save; not saved when None.

    Raises:
        ConfigError: If there are no errors.
        ImportError: If matplotlib is not installed.

    Example:
        >>> measured = DiscretizationError((0.1, 0.05), ((10,), (20,)), (4e-2, 1e-2), (0.0, 3e-2), 2.0, (80,))
        >>> len(plot_discretization_error({"hat": measured}).axes)
        2
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    curves = {"": errors} if isinstance(errors, DiscretizationError) else dict(errors)
    if not curves:
        raise ConfigError("errors is empty, expected at least one result of discretization_error.")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for label, curve in curves.items():
        name = label if np.isnan(curve.order) else f"{label} (order {curve.order:.1f})".strip()
        for axes, values in ((left, curve.limit), (right, curve.training)):
            drawn = [(h, e) for h, e in zip(curve.spacings, values, strict=True) if e > 1e-13]
            axes.loglog(*np.array(drawn or [(np.nan, np.nan)]).T, marker="o", label=name)
    _slopes(left, curves, orders)
    left.set(title="against the limit", ylabel="relative $L^2$ distance")
    right.set(title="against the grid of training")
    spacings = sorted({h for curve in curves.values() for h in curve.spacings})
    for axes in (left, right):
        axes.set_xlabel("spacing $h$")
        axes.set_xticks(spacings, [f"{h:.2g}" for h in spacings])
        axes.xaxis.minorticks_off()
        axes.grid(True, which="major", alpha=0.3)
    left.legend(fontsize="small")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _slopes(axes: object, curves: Mapping[str, DiscretizationError], orders: tuple[int, ...]) -> None:
    """Dashed lines of the orders, from the largest error of all."""
    spacings = np.array(sorted({h for curve in curves.values() for h in curve.spacings}))
    top = max((e for curve in curves.values() for e in curve.limit), default=0.0)
    if len(spacings) < 2 or top <= 0:
        return
    for order, style in zip(orders, ("--", ":", "-.", "--"), strict=False):
        line = top * (spacings / spacings[-1]) ** order
        axes.loglog(spacings, line, style, color="grey", linewidth=1, label=f"order {order}")  # type: ignore[attr-defined]
