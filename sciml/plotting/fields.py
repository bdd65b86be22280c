"""Input, truth, prediction and error of an operator, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics import relative_l2
from sciml.spaces import RegularGrid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["OperatorSample", "plot_operator_samples"]

_PANEL = 2.3  # width of one picture of a field, in inches


@dataclass(frozen=True)
class OperatorSample:
    """One row of the picture.

    Args:
        x: Input function ``(channels, *grid)``; the first channel is drawn.
        y: Target function ``(channels, *grid)``.
        prediction: Like the target.
        grid: Grid of the functions; indices are drawn when None.
        label: What the row shows.
    """

    x: Tensor
    y: Tensor
    prediction: Tensor
    grid: RegularGrid | None = None
    label: str = ""


def plot_operator_samples(
    samples: Sequence[OperatorSample],
    *,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str | None] | None = None,
    coordinates: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw samples of an operator on a line or on a plane.

    On a plane each row shows input, truth, prediction and error, with one colour bar for each quantity: truth and
    prediction share theirs, over all rows. Colours follow the truth: predictions far outside its range are cut, and the
    colour bar ends in an arrow. On a line the functions are curves. The relative L2 error above each error is that of
    the channel that is drawn, with the weights of the grid.

    Args:
        samples: Rows of the picture; they may have different resolutions.
        names: Words for ``x`` and ``y``.
        units: Units of ``x`` and ``y``; unknown units are left out.
        coordinates: Labels of the axes of the grid, with their units if known, such as ``("t [s]", "x [m]")``.
        path: Where to save; not saved when None.

    Raises:
        ConfigError: If there are no samples, they have neither one nor two grid axes, or their shapes do not fit.
        ImportError: If matplotlib is not installed.

    Example:
        >>> u = torch.rand(1, 8, 8)
        >>> figure = plot_operator_samples([OperatorSample(u > 0.5, u, 1.1 * u)])
        >>> figure.axes[3].get_title()
        'relative L2 error 0.100'
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    dim = _dim(samples)
    if coordinates is None:
        coordinates = ("$x$",) if dim == 1 else ("$x_1$", "$x_2$")
    if len(coordinates) != dim:
        raise ConfigError(f"coordinates has {len(coordinates)} labels, the samples {dim} axes.")
    names = {"x": "input", "y": "solution", **(names or {})}
    marks = {key: f" [{units[key]}]" if units and units.get(key) else "" for key in names}
    labels = {**{key: name + marks[key] for key, name in names.items()}, "error": "prediction $-$ truth" + marks["y"]}
    figure = Figure(layout="constrained")
    (_lines if dim == 1 else _planes)(figure, samples, labels, coordinates)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    return figure


def _dim(samples: Sequence[OperatorSample]) -> int:
    if not samples or samples[0].y.dim() not in (2, 3):
        raise ConfigError("pictures need at least one sample (channels, *grid) on a line or a plane.")
    dim = samples[0].y.dim() - 1
    for sample in samples:
        shapes = [tuple(u.shape) for u in (sample.x, sample.y, sample.prediction)]
        grid = None if sample.grid is None else sample.grid.shape
        if shapes[1] != shapes[2] or {len(shape) for shape in shapes} != {dim + 1} or grid not in (None, shapes[1][1:]):
            raise ConfigError(
                f"sample {sample.label!r} has x {shapes[0]}, y {shapes[1]}, prediction {shapes[2]} and grid {grid}: "
                f"expected (channels, *grid) with {dim} grid axes in all of them, and y like the prediction."
            )
    return dim


def _array(u: Tensor) -> np.ndarray:
    return u[0].detach().cpu().double().numpy()


def _error_text(sample: OperatorSample) -> str:
    truth, prediction = (u[:1].detach().cpu().double()[None] for u in (sample.y, sample.prediction))
    weights = None if sample.grid is None else sample.grid.weights_nd()
    return f"relative L2 error {relative_l2(prediction, truth, weights).item():.3f}"


def _planes(figure: Figure, samples: Sequence[OperatorSample], labels: Mapping[str, str], names: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    extents = [_extent(sample) for sample in samples]
    slopes = [(top - bottom) / (right - left) for left, right, bottom, top in extents]
    # Very long or very flat boxes, such as many time steps, are squeezed.
    aspect = "equal" if all(1 / 3 <= slope <= 3 for slope in slopes) else "auto"
    height = _PANEL * (min(max(slopes), 3.0) if aspect == "equal" else 1.0)
    figure.set_size_inches(4 * _PANEL + 3.1, len(samples) * (height + 0.3) + 0.55)
    axes: Any = figure.subplots(len(samples), 4, squeeze=False)
    styles, extend = _styles(samples)
    images: list[Any] = [None] * 4
    for index, (row, sample, extent) in enumerate(zip(axes, samples, extents, strict=True)):
        fields = (sample.x, sample.y, sample.prediction, sample.prediction.double() - sample.y.double())
        kind = "" if sample.grid else "index of "
        # Rows with the same axes are labelled once, at the bottom.
        last = index + 1 == len(extents) or extent != extents[index + 1]
        for column, (axis, values, style) in enumerate(zip(row, fields, styles, strict=True)):
            # The first grid axis runs to the right, the second upwards.
            images[column] = axis.imshow(
                _array(values).T, origin="lower", extent=extent, interpolation="nearest", aspect=aspect, **style
            )
            axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            axis.tick_params(labelleft=column == 0, labelbottom=last, labelsize=9)
            axis.set_xlabel(f"{kind}{names[0]}" if last else "")
        row[0].set_ylabel(f"{sample.label}\n{kind}{names[1]}".lstrip())
        row[3].set_title(_error_text(sample), fontsize=10)
    for axis, title in zip(axes[0], (labels["x"], labels["y"] + ", truth", "prediction"), strict=False):
        axis.set_title(title, fontsize=10)
    size: dict[str, Any] = {"aspect": 25, "shrink": 1 - 0.2 / len(samples)}
    bars = [
        figure.colorbar(images[0], ax=axes[:, 0], **size),
        figure.colorbar(images[2], ax=axes[:, 1:3], label=labels["y"], extend=extend, **size),
        figure.colorbar(images[3], ax=axes[:, 3], label=labels["error"], **size),
    ]
    if len(getattr(styles[0]["cmap"], "colors", ())) == 2:
        low, high = styles[0]["vmin"], styles[0]["vmax"]
        bars[0].set_ticks([0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high], labels=[f"{low:g}", f"{high:g}"])
        bars[0].ax.tick_params(length=0)


def _styles(samples: Sequence[OperatorSample]) -> tuple[list[dict[str, Any]], str]:
    """Colours of the four columns, and at which ends predictions are cut."""
    truth = _finite([s.y for s in samples])
    prediction = _finite([s.prediction for s in samples])
    error = _finite([s.prediction.double() - s.y.double() for s in samples])
    margin = 0.25 * (truth.max() - truth.min())
    low = min(truth.min(), max(prediction.min(), truth.min() - margin))
    high = max(truth.max(), min(prediction.max(), truth.max() + margin))
    cut = (prediction.min() < low, prediction.max() > high)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[cut]
    worst = np.abs(error).max() or 1.0
    y_style = {"vmin": low, "vmax": high, "cmap": "viridis"}
    return [_input_style(samples), y_style, y_style, {"vmin": -worst, "vmax": worst, "cmap": "RdBu_r"}], extend


def _finite(fields: Sequence[Tensor]) -> np.ndarray:
    values = np.concatenate([_array(u).ravel() for u in fields])
    values = values[np.isfinite(values)]
    return values if len(values) else np.zeros(1)


def _input_style(samples: Sequence[OperatorSample]) -> dict[str, Any]:
    from matplotlib.colors import ListedColormap

    levels = np.unique(_finite([s.x for s in samples]))
    cmap = ListedColormap(["#d9c8a9", "#3b5b7a"]) if len(levels) == 2 else "cividis"
    return {"vmin": float(levels[0]), "vmax": float(levels[-1]), "cmap": cmap}


def _extent(sample: OperatorSample) -> tuple[float, float, float, float]:
    """Edges of the picture: each point is the centre of its cell."""
    edges: list[float] = []
    for axis, n in enumerate(sample.y.shape[1:]):
        first, last, dx = 0.0, n - 1.0, 1.0
        if sample.grid is not None:
            nodes, dx = sample.grid.axes[axis], sample.grid.spacing[axis]
            first, last = float(nodes[0]), float(nodes[-1])
        edges += [first - dx / 2, last + dx / 2]
    return edges[0], edges[1], edges[2], edges[3]


def _lines(figure: Figure, samples: Sequence[OperatorSample], labels: Mapping[str, str], names: Sequence[str]) -> None:
    figure.set_size_inches(11.0, 2.55 * len(samples) + 0.3)
    axes: Any = figure.subplots(len(samples), 3, squeeze=False)
    for row, sample in zip(axes, samples, strict=True):
        nodes = np.arange(sample.y.shape[-1]) if sample.grid is None else sample.grid.axes[0].numpy()
        inputs = np.linspace(nodes[0], nodes[-1], sample.x.shape[-1])
        row[0].plot(inputs, _array(sample.x), color="tab:gray")
        row[0].set_ylabel(f"{sample.label}\n{labels['x']}".lstrip())
        row[1].plot(nodes, _array(sample.y), color="black", label="truth")
        row[1].plot(nodes, _array(sample.prediction), "--", color="tab:red", label="prediction")
        row[1].set_ylabel(labels["y"])
        row[1].legend(frameon=False)
        row[2].plot(nodes, _array(sample.prediction.double() - sample.y.double()), color="tab:blue")
        row[2].axhline(0, color="black", linewidth=0.5)
        row[2].set_ylabel(labels["error"])
        row[2].set_title(_error_text(sample), fontsize=10)
        for axis in row:
            axis.set_xlabel(names[0] if sample.grid else f"index of {names[0]}")
            axis.margins(x=0.01)
