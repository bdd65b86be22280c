"""Truth, prediction and error on a surface in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics import relative_l2

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SurfaceSample", "plot_surface_samples"]

_WIDTH = 4.0  # of one picture, in inches
_BAR = 1.0  # of a colour bar with its labels
_MARGIN = 0.4  # above the first row


@dataclass(frozen=True)
class SurfaceSample:
    """One row of the picture.

    Args:
        points: Points of the surface ``(points, 3)``.
        y: Target ``(points,)``.
        prediction: Like the target.
        triangles: Indices ``(triangles, 3)`` of their corners; points are drawn when None.
        weights: Quadrature weights ``(points,)`` for the error above the picture; equal when None.
        label: What the row shows.
    """

    points: Tensor
    y: Tensor
    prediction: Tensor
    triangles: Tensor | None = None
    weights: Tensor | None = None
    label: str = ""


def plot_surface_samples(
    samples: Sequence[SurfaceSample],
    *,
    name: str = "solution",
    units: str | None = None,
    axes: Sequence[int] = (0, 1, 2),
    scale: Sequence[float] = (1.0, 1.0, 1.0),
    length_unit: str = "",
    view: tuple[float, float] = (22.0, -125.0),
    path: str | Path | None = None,
) -> Figure:
    """Draw scalar functions on surfaces: truth, prediction and error side by side.

    Truth and prediction share their colours, over all rows; errors have their own, centred at zero. Colours end at the
    1st and 99th percentile of the truth and at the 99th of the error, since a few points, such as the stagnation point
    of a flow, would take all of the range; the colour bars end in arrows.

    Args:
        samples: Rows of the picture.
        name: Word for ``y``.
        units: Units of ``y``.
        axes: Which coordinate runs to the right, to the back and upwards.
        scale: Length of one unit of each coordinate, in the order of the coordinates.
        length_unit: Unit of length after scaling; with it the sizes of the bodies are written.
        view: Elevation and azimuth of the eye in degrees.
        path: Where to save; not saved when None.

    Raises:
        ConfigError: If there are no samples, or their shapes do not fit.
        ImportError: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> points, y = torch.rand(20, 3), torch.ones(20)
        >>> figure = plot_surface_samples([SurfaceSample(points, y, 1.1 * y)])
        >>> figure.texts[2].get_text()
        'relative L2 error 0.100'
    """
    _check(samples)
    if sorted(axes) != [0, 1, 2] or len(scale) != 3:
        raise ConfigError(
            f"axes are {list(axes)} and scale {list(scale)}; expected an order of 0, 1, 2, and 3 factors."
        )
    places = [_array(sample.points)[:, list(axes)] * np.asarray(scale)[list(axes)] for sample in samples]
    extent = np.max([np.ptp(place, axis=0) for place in places], axis=0)
    figure, panels, bars = _layout(len(samples), max(_slope(place, view) for place in places))
    styles = _styles(samples)
    images: list[Any] = [None] * 3
    for row, sample, place in zip(panels, samples, places, strict=True):
        truth, guess = _array(sample.y), _array(sample.prediction)
        for column, (panel, values, style) in enumerate(zip(row, (truth, guess, guess - truth), styles, strict=True)):
            images[column] = _draw(panel, place, values, sample.triangles, style)
            panel.set_box_aspect(extent, zoom=1.2)
            panel.view_init(*view)
            panel.set_proj_type("ortho")
            panel.set_axis_off()
    mark = f" [{units}]" if units else ""
    labels = [_label(sample, place, length_unit) for sample, place in zip(samples, places, strict=True)]
    _write_titles(figure, panels, labels, [_error_text(sample) for sample in samples], name)
    figure.colorbar(images[0], cax=bars[0], label=name + mark, extend="both")
    figure.colorbar(images[2], cax=bars[1], label=f"prediction $-$ truth{mark}", extend="both")
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    return figure


def _slope(place: np.ndarray, view: tuple[float, float]) -> float:
    """Height over width of a body as it is seen."""
    elevation, azimuth = np.radians(view)
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    back = np.array([np.cos(azimuth), np.sin(azimuth), 0])
    up = np.cos(elevation) * np.array([0, 0, 1]) - np.sin(elevation) * back
    return float(np.ptp(place @ up) / max(np.ptp(place @ right), 1e-300))


def _layout(rows: int, slope: float) -> tuple[Figure, Any, list[Any]]:
    """Figure, panels (rows, 3) and places of the two colour bars.

    Pictures in space are square; long bodies leave much of them empty, so squares overlap where nothing is drawn.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    pitch = _WIDTH * min(max(slope, 0.3), 1.0) + 0.5
    lefts = (0.0, _WIDTH, 2 * _WIDTH + _BAR)
    width, height = 3 * _WIDTH + 2 * _BAR, rows * pitch + _MARGIN
    figure = Figure(figsize=(width, height))
    panels = np.empty((rows, 3), dtype=object)
    for row in range(rows):
        bottom = height - _MARGIN - (row + 0.5) * pitch - 0.5 * _WIDTH + 0.1
        for column, left in enumerate(lefts):
            place = (left / width, bottom / height, _WIDTH / width, _WIDTH / height)
            panels[row, column] = figure.add_axes(place, projection="3d")
            panels[row, column].patch.set_visible(False)
    size = (0.15 / width, min(0.8, 3.5 / height))
    bars = [
        figure.add_axes(((left + 0.1) / width, 0.5 - size[1] / 2, *size)) for left in (lefts[2] - _BAR, width - _BAR)
    ]
    return figure, panels, bars


def _write_titles(figure: Figure, panels: Any, labels: Sequence[str], errors: Sequence[str], name: str) -> None:
    """Titles above the bodies, not above the squares around them."""
    width, height = figure.get_size_inches()
    pitch = (height - _MARGIN) / len(panels)
    for index, (row, label, error) in enumerate(zip(panels, labels, errors, strict=True)):
        top = 1 - (_MARGIN - 0.3 + index * pitch) / height
        words = (f"{name}, truth", "prediction", error) if index == 0 else ("", "", error)
        for panel, text in zip(row, words, strict=True):
            box = panel.get_position()
            figure.text((box.x0 + box.x1) / 2, top, text, ha="center", va="top", fontsize=10)
        figure.text(0.1 / width, top - 0.22 / height, label, va="top", fontsize=9)


def _label(sample: SurfaceSample, place: np.ndarray, unit: str) -> str:
    """What the row shows, and how large it is where the unit of length is known."""
    size = " x ".join(f"{length:.2g}" for length in np.ptp(place, axis=0))
    return f"{sample.label}\n{size} {unit}".strip() if unit else sample.label


def _check(samples: Sequence[SurfaceSample]) -> None:
    if not samples:
        raise ConfigError("pictures need at least one sample.")
    for sample in samples:
        shapes = [tuple(part.shape) for part in (sample.points, sample.y, sample.prediction)]
        num = len(sample.points)
        if shapes != [(num, 3), (num,), (num,)]:
            raise ConfigError(
                f"sample {sample.label!r} has points {shapes[0]}, y {shapes[1]} and prediction {shapes[2]}; expected "
                "(points, 3), (points,) and (points,)."
            )
        triangles = sample.triangles
        if triangles is not None and (triangles.dim() != 2 or triangles.shape[1] != 3 or int(triangles.max()) >= num):
            raise ConfigError(
                f"sample {sample.label!r} has triangles {tuple(triangles.shape)} with indices up to "
                f"{int(triangles.max())}; expected (triangles, 3) with indices below {num}."
            )


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()


def _error_text(sample: SurfaceSample) -> str:
    truth, guess = (values.detach().cpu().double()[None] for values in (sample.y, sample.prediction))
    weights = None if sample.weights is None else sample.weights.detach().cpu().double()
    return f"relative L2 error {relative_l2(guess, truth, weights).item():.3f}"


def _styles(samples: Sequence[SurfaceSample]) -> list[Mapping[str, Any]]:
    truth = np.concatenate([_array(sample.y) for sample in samples])
    error = np.abs(np.concatenate([_array(sample.prediction) - _array(sample.y) for sample in samples]))
    low, high = np.percentile(truth, [1, 99])
    worst = np.percentile(error, 99) or 1.0
    values = {"vmin": low, "vmax": max(high, low + 1e-12 * (abs(low) or 1)), "cmap": "viridis"}
    return [values, values, {"vmin": -worst, "vmax": worst, "cmap": "RdBu_r"}]


def _draw(panel: Any, place: np.ndarray, values: np.ndarray, triangles: Tensor | None, style: Mapping[str, Any]) -> Any:
    if triangles is None:
        return panel.scatter(*place.T, c=values, s=6, depthshade=False, **style)
    faces = triangles.detach().cpu().long().numpy()
    image = panel.plot_trisurf(*place.T, triangles=faces, cmap=style["cmap"], linewidth=0.2, antialiased=True)
    # A triangle has the mean of its corners; by default it would have their mean height.
    image.set_array(values[faces].mean(1))
    image.set_clim(style["vmin"], style["vmax"])
    image.set_edgecolor("face")
    return image
