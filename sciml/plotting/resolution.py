"""Errors of models against the resolution of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sciml.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_resolution_errors"]

Shape = Sequence[int]


def plot_resolution_errors(
    errors: Mapping[str, Mapping[tuple[int, ...], tuple[float, float]]],
    *,
    trained: Sequence[Shape] = (),
    metric: str = "relative L2 error",
    path: str | Path | None = None,
) -> Figure:
    """Draw how an error changes with the resolution, on logarithmic axes; a model for functions gives a flat curve.

    Args:
        errors: By label, the shape of the grid to the mean error and its standard error, drawn as a bar.
        trained: Shapes of the training grids, marked by dotted lines.
        metric: Label of the error.
        path: Where to save; not saved when None.

    Raises:
        ConfigError: If there is nothing to draw.
        ImportError: If matplotlib is not installed.

    Example:
        >>> measured = {"fno": {(16, 16): (0.12, 0.01), (32, 32): (0.13, 0.01)}}
        >>> [text.get_text() for text in plot_resolution_errors(measured, trained=[(16, 16)]).axes[0].get_xticklabels()]
        ['16', '32']
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    shapes = sorted({shape for curve in errors.values() for shape in curve}, key=_per_axis)
    if not shapes:
        raise ConfigError("errors holds no numbers, expected at least one shape of a grid with its error.")
    figure = Figure(figsize=(5.6, 4.0), layout="constrained")
    axes = figure.subplots()
    for number, (label, curve) in enumerate(errors.items()):
        points = sorted((_per_axis(shape), *value) for shape, value in curve.items())
        x, y, spread = zip(*points, strict=True) if points else ((), (), ())
        # The first is the model; trivial predictors stand behind it.
        style = {"linewidth": 2.0} if number == 0 else {"linewidth": 1.0, "linestyle": "--"}
        axes.errorbar(x, y, yerr=spread, marker="o", markersize=4, capsize=3, label=label, **style)
    for number, shape in enumerate(sorted(trained, key=_per_axis)):
        axes.axvline(_per_axis(shape), color="grey", linestyle=":", label=None if number else "training resolution")
    axes.set(xscale="log", yscale="log", xlabel="points per axis", ylabel=metric)
    ticks = {_per_axis(shape): _label(shape) for shape in (*map(tuple, trained), *shapes)}
    axes.set_xticks(sorted(ticks), [ticks[x] for x in sorted(ticks)])
    axes.xaxis.minorticks_off()
    for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        set_formatter(lambda value, position: f"{value:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize="small")
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    return figure


def _per_axis(shape: Shape) -> float:
    """Points per axis; the geometric mean where they differ."""
    return float(shape[0]) if len(set(shape)) == 1 else math.prod(shape) ** (1 / len(shape))


def _label(shape: Shape) -> str:
    return str(shape[0]) if len(set(shape)) == 1 else " x ".join(map(str, shape))
