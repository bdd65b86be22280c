"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_history"]


def plot_history(rows: Sequence[Mapping[str, float | str]], path: str | Path | None = None) -> Figure:
    """Loss and validation metrics over optimizer steps on a logarithmic axis, and the learning rate below.

    Args:
        rows: The log of a run: ``FitResult.history``, or the lines of ``metrics.csv`` as ``csv.DictReader`` gives them;
            empty cells are left out.
        path: Where to save; not saved when None.

    Raises:
        ConfigError: If there is nothing to draw.
        ImportError: If matplotlib is not installed.

    Example:
        >>> log = [{"step": 10, "train/loss": 1.0, "lr": 0.1}, {"step": 20, "train/loss": 0.1, "lr": 0.01}]
        >>> plot_history(log).axes[0].get_yscale()
        'log'
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    if not rows:
        raise ConfigError("rows is empty, expected the log of at least one epoch.")
    columns = [name for name in dict.fromkeys(key for row in rows for key in row) if "/" in name]
    curves = [name for name in columns if name == "train/loss" or name.startswith("val")]
    if not curves:
        raise ConfigError(f"rows have the columns {', '.join(rows[0])}: expected train/loss, or names with val.")
    figure = Figure(figsize=(7.0, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for name in curves:
        _curve(upper, rows, name)
    upper.set_yscale("log")
    upper.legend(frameon=False)
    upper.set_ylabel("loss, metrics")
    upper.grid(alpha=0.3, which="both")
    _curve(lower, rows, "lr")
    lower.set_ylabel("learning rate")
    lower.set_xlabel("optimizer step")
    lower.grid(alpha=0.3)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    return figure


def _curve(axis: Any, rows: Sequence[Mapping[str, float | str]], name: str) -> None:
    points = [(float(row["step"]), float(row[name])) for row in rows if row.get(name) not in (None, "")]
    style = {"marker": "o"} if len(points) == 1 else {}
    axis.plot([p[0] for p in points], [p[1] for p in points], label=name, **style)
