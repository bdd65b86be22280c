"""Input, truth, prediction and error of an operator, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["OperatorSample", "plot_operator_samples"]


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
    path: str | Path | None = None,
) -> Figure:
    """Draw samples of an operator on a line or on a plane.

    On a plane each row shows input, truth, prediction and error, with one colour bar for each quantity: truth and
    prediction share theirs, over all rows. On a line the functions are curves.

    Args:
        samples: Rows of the picture; they may have different resolutions.
        names: Words for ``x`` and ``y``.
        units: Units of ``x`` and ``y``; unknown units are left out.
        path: Where to save; not saved when None.

    Raises:
        ConfigError: If there are no samples, or they have neither one nor two grid axes.
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    if not samples or samples[0].y.dim() not in (2, 3):
        raise ConfigError("pictures need at least one sample (channels, *grid) on a line or a plane.")
    names = {"x": "input", "y": "solution", **(names or {})}
    labels = {key: name + (f" [{units[key]}]" if units and units.get(key) else "") for key, name in names.items()}
    draw, width = (_lines, 11.0) if samples[0].y.dim() == 2 else (_planes, 12.5)
    figure = Figure(figsize=(width, 2.55 * len(samples) + 0.3), layout="constrained")
    draw(figure, samples, labels)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    return figure


def _array(u: Tensor) -> np.ndarray:
    return u[0].detach().cpu().double().numpy()


def _error_text(sample: OperatorSample) -> str:
    truth = _array(sample.y)
    return f"relative L2 error {np.linalg.norm(_array(sample.prediction) - truth) / np.linalg.norm(truth):.3f}"


def _planes(figure: Figure, samples: Sequence[OperatorSample], labels: Mapping[str, str]) -> None:
    axes: Any = figure.subplots(len(samples), 4, squeeze=False)
    y_all = [_array(u) for s in samples for u in (s.y, s.prediction)]
    x_all = [_array(s.x) for s in samples]
    error_max = max(np.abs(_array(s.prediction) - _array(s.y)).max() for s in samples) or 1.0
    y_limits = {"vmin": min(u.min() for u in y_all), "vmax": max(u.max() for u in y_all), "cmap": "viridis"}
    x_style = _input_style(x_all)
    error_style = {"vmin": -error_max, "vmax": error_max, "cmap": "RdBu_r"}
    images: list[Any] = [None] * 4
    for row, sample in zip(axes, samples, strict=True):
        error = sample.prediction - sample.y
        columns = [(sample.x, x_style), (sample.y, y_limits), (sample.prediction, y_limits), (error, error_style)]
        extent = _extent(sample)
        for index, (axis, (values, style)) in enumerate(zip(row, columns, strict=True)):
            # The first grid axis runs to the right, the second upwards.
            images[index] = axis.imshow(
                _array(values).T, origin="lower", extent=extent, interpolation="nearest", **style
            )
            axis.set_xlabel("$x_1$")
            axis.set_ylabel("$x_2$" if index else f"{sample.label}\n$x_2$".lstrip())
        row[3].set_title(_error_text(sample), fontsize=9)
    for axis, title in zip(axes[0], (labels["x"], labels["y"] + ", truth", "prediction", ""), strict=True):
        if title:
            axis.set_title(title, fontsize=10)
    two_levels = [x_style["vmin"], x_style["vmax"]] if x_style["cmap"] != "cividis" else None
    figure.colorbar(images[0], ax=axes[:, 0], shrink=0.85, label=labels["x"], ticks=two_levels)
    figure.colorbar(images[2], ax=axes[:, 1:3], shrink=0.85, label=labels["y"])
    figure.colorbar(images[3], ax=axes[:, 3], shrink=0.85, label="prediction - truth")


def _input_style(values: Sequence[np.ndarray]) -> dict[str, Any]:
    levels = np.unique(np.concatenate([u.ravel() for u in values]))
    low, high = float(levels[0]), float(levels[-1])
    if len(levels) == 2:
        from matplotlib.colors import ListedColormap

        return {"vmin": low, "vmax": high, "cmap": ListedColormap(["#d9c8a9", "#3b5b7a"])}
    return {"vmin": low, "vmax": high, "cmap": "cividis"}


def _extent(sample: OperatorSample) -> tuple[float, float, float, float] | None:
    if sample.grid is None:
        return None
    edges = []
    for nodes, dx in zip(sample.grid.axes, sample.grid.spacing, strict=True):
        edges += [float(nodes[0]) - dx / 2, float(nodes[-1]) + dx / 2]
    return edges[0], edges[1], edges[2], edges[3]


def _lines(figure: Figure, samples: Sequence[OperatorSample], labels: Mapping[str, str]) -> None:
    axes: Any = figure.subplots(len(samples), 3, squeeze=False)
    for row, sample in zip(axes, samples, strict=True):
        nodes = np.arange(sample.y.shape[-1]) if sample.grid is None else sample.grid.axes[0].numpy()
        coordinate = "index" if sample.grid is None else "$x$"
        inputs = np.linspace(nodes[0], nodes[-1], sample.x.shape[-1])
        row[0].plot(inputs, _array(sample.x), color="tab:gray")
        row[0].set_ylabel(f"{sample.label}\n{labels['x']}".lstrip())
        row[1].plot(nodes, _array(sample.y), color="black", label="truth")
        row[1].plot(nodes, _array(sample.prediction), "--", color="tab:red", label="prediction")
        row[1].set_ylabel(labels["y"])
        row[1].legend(frameon=False)
        row[2].plot(nodes, _array(sample.prediction - sample.y), color="tab:blue")
        row[2].axhline(0, color="black", linewidth=0.5)
        row[2].set_ylabel("prediction - truth")
        row[2].set_title(_error_text(sample), fontsize=9)
        for axis in row:
            axis.set_xlabel(coordinate)
