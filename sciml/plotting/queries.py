"""Input function, truth, prediction and error where the target is known at query points."""

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

__all__ = ["QuerySample", "plot_query_samples"]


@dataclass(frozen=True)
class QuerySample:
    """One row of the picture.

    Args:
        u: Input function at its sensors ``(sensors,)``; several of them by name.
        coords: Query points ``(points, dim)``, dim 1 or 2.
        y: Target ``(points,)``.
        prediction: Like the target.
        sensors: Where the input is known ``(sensors,)``, by name where there are several inputs; indices are drawn
            when None.
        label: What the row shows.
    """

    u: Tensor | Mapping[str, Tensor]
    coords: Tensor
    y: Tensor
    prediction: Tensor
    sensors: Tensor | Mapping[str, Tensor] | None = None
    label: str = ""

    def curves(self) -> dict[str, tuple[Tensor, Tensor | None]]:
        """Values and places of every input, by name; a single one has none."""
        inputs = {"": self.u} if isinstance(self.u, Tensor) else self.u
        places = self.sensors if isinstance(self.sensors, Mapping) else dict.fromkeys(inputs, self.sensors)
        return {name: (values, places.get(name)) for name, values in inputs.items()}


def plot_query_samples(
    samples: Sequence[QuerySample],
    *,
    names: Mapping[str, str] | None = None,
    coordinates: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw samples of an operator whose target is known at points of a line or a plane, scattered or not.

    In the plane the values are coloured on the Delaunay triangles of the points; truth and prediction share their
    colours, over all rows.

    Args:
        samples: Rows of the picture.
        names: Words for ``u`` and ``y``.
        coordinates: Labels of the axes.
        path: Where to save; not saved when None.

    Raises:
        ConfigError: If there are no samples, or their shapes do not fit.
        ImportError: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> x = torch.linspace(0, 1, 20)
        >>> figure = plot_query_samples([QuerySample(x, x[:, None], x**2, 1.1 * x**2)])
        >>> figure.axes[2].get_title()
        'relative L2 error 0.100'
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    dim = _dim(samples)
    names = {"u": "input", "y": "solution", **(names or {})}
    coordinates = coordinates or (("$x$",) if dim == 1 else ("$x_1$", "$x_2$"))
    if len(coordinates) != dim:
        raise ConfigError(f"coordinates has {len(coordinates)} labels, the query points have {dim} axes.")
    figure = Figure(layout="constrained")
    (_lines if dim == 1 else _planes)(figure, samples, names, coordinates)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    return figure


def _dim(samples: Sequence[QuerySample]) -> int:
    dims = {sample.coords.shape[-1] for sample in samples}
    if len(dims) != 1 or not dims <= {1, 2}:
        raise ConfigError(f"pictures need samples with query points (points, 1) or (points, 2), given {sorted(dims)}.")
    for sample in samples:
        shapes = [tuple(part.shape) for part in (sample.coords, sample.y, sample.prediction)]
        fit = len(shapes[0]) == 2 and shapes[1] == shapes[2] == shapes[0][:1]
        for u, sensors in sample.curves().values():
            fit = fit and u.dim() == 1 and (sensors is None or sensors.shape == u.shape)
        if not fit:
            inputs = ", ".join(str(tuple(u.shape)) for u, _ in sample.curves().values())
            raise ConfigError(
                f"sample {sample.label!r} has u {inputs}, coords {shapes[0]}, y {shapes[1]} and prediction "
                f"{shapes[2]}; expected (sensors,), (points, dim), (points,) and (points,)."
            )
    return dims.pop()


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()


def _error_text(sample: QuerySample) -> str:
    truth, prediction = (values.detach().cpu().double()[None] for values in (sample.y, sample.prediction))
    return f"relative L2 error {relative_l2(prediction, truth).item():.3f}"


def _draw_input(axis: Any, sample: QuerySample, name: str) -> None:
    curves = sample.curves()
    for label, (values, sensors) in curves.items():
        at = np.arange(len(values)) if sensors is None else _numpy(sensors)
        axis.plot(at, _numpy(values), label=label, color="tab:gray" if len(curves) == 1 else None)
    axis.set_xlabel("sensor" if any(sensors is None for _, sensors in curves.values()) else "$x$")
    axis.set_ylabel(f"{sample.label}\n{name}".lstrip())
    axis.margins(x=0.01)
    if len(curves) > 1:
        axis.legend(frameon=False)


def _lines(figure: Figure, samples: Sequence[QuerySample], names: Mapping[str, str], labels: Sequence[str]) -> None:
    figure.set_size_inches(11.0, 2.55 * len(samples) + 0.3)
    axes: Any = figure.subplots(len(samples), 3, squeeze=False)
    for row, sample in zip(axes, samples, strict=True):
        order = np.argsort(_numpy(sample.coords)[:, 0])
        x, truth, guess = (_numpy(v)[order] for v in (sample.coords[:, 0], sample.y, sample.prediction))
        _draw_input(row[0], sample, names["u"])
        row[1].plot(x, truth, color="black", label="truth")
        row[1].plot(x, guess, "--", color="tab:red", label="prediction")
        row[1].set_ylabel(names["y"])
        row[1].legend(frameon=False)
        row[2].plot(x, guess - truth, color="tab:blue")
        row[2].axhline(0, color="black", linewidth=0.5)
        row[2].set_ylabel("prediction $-$ truth")
        row[2].set_title(_error_text(sample), fontsize=10)
        for axis in row[1:]:
            axis.set_xlabel(labels[0])
            axis.margins(x=0.01)


def _planes(figure: Figure, samples: Sequence[QuerySample], names: Mapping[str, str], labels: Sequence[str]) -> None:
    figure.set_size_inches(13.0, 2.9 * len(samples) + 0.2)
    axes: Any = figure.subplots(len(samples), 4, squeeze=False)
    truths = np.concatenate([_numpy(sample.y) for sample in samples])
    worst = max(np.abs(_numpy(sample.prediction - sample.y)).max() for sample in samples) or 1.0
    value_style: dict[str, Any] = {"vmin": truths.min(), "vmax": truths.max(), "cmap": "viridis"}
    error_style: dict[str, Any] = {"vmin": -worst, "vmax": worst, "cmap": "RdBu_r"}
    image: Any = None
    error: Any = None
    for row, sample in zip(axes, samples, strict=True):
        _draw_input(row[0], sample, names["u"])
        at = _numpy(sample.coords)
        truth, guess = _numpy(sample.y), _numpy(sample.prediction)
        image = row[1].tripcolor(*at.T, truth, shading="gouraud", **value_style)
        row[2].tripcolor(*at.T, guess, shading="gouraud", **value_style)
        error = row[3].tripcolor(*at.T, guess - truth, shading="gouraud", **error_style)
        row[3].set_title(_error_text(sample), fontsize=10)
        for axis in row[1:]:
            axis.set_xlabel(labels[0])
            axis.set_ylabel(labels[1] if axis is row[1] else "")
    axes[0, 1].set_title(f"{names['y']}, truth", fontsize=10)
    axes[0, 2].set_title("prediction", fontsize=10)
    figure.colorbar(image, ax=axes[:, 1:3], label=names["y"], aspect=25)
    figure.colorbar(error, ax=axes[:, 3], label="prediction $-$ truth", aspect=25)
