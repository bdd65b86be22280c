"""Training curves: which columns of a log are drawn, and where."""

import csv
from pathlib import Path

import pytest

from sciml.errors import ConfigError
from sciml.plotting import plot_history

pytest.importorskip("matplotlib")

LOG: list[dict[str, float]] = [
    {"step": 10, "epoch": 1, "train/loss": 1.0, "train/grad_norm": 5.0, "lr": 0.1},
    {"step": 20, "epoch": 2, "train/loss": 0.1, "val/relative_l2": 0.3, "lr": 0.01},
    {"step": 30, "epoch": 3, "train/loss": 0.01, "val/relative_l2": 0.2, "lr": 0.001},
]


def test_loss_and_validation_are_drawn_on_a_logarithmic_axis_and_the_learning_rate_below() -> None:
    upper, lower = plot_history(LOG).axes
    curves = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in upper.lines}
    assert curves == {
        "train/loss": ([10, 20, 30], [1.0, 0.1, 0.01]),
        "val/relative_l2": ([20, 30], [0.3, 0.2]),
    }
    assert upper.get_yscale() == "log"
    assert list(lower.lines[0].get_ydata()) == [0.1, 0.01, 0.001]


def test_the_lines_of_a_csv_file_give_the_same_picture(tmp_path: Path) -> None:
    columns = list(dict.fromkeys(name for row in LOG for name in row))
    with open(tmp_path / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(LOG)
    with open(tmp_path / "metrics.csv", newline="") as file:
        from_file = plot_history(list(csv.DictReader(file)))
    for axes, expected in zip(from_file.axes, plot_history(LOG).axes, strict=True):
        for line, other in zip(axes.lines, expected.lines, strict=True):
            assert list(line.get_xdata()) == list(other.get_xdata())
            assert list(line.get_ydata()) == list(other.get_ydata())


def test_a_single_point_is_visible() -> None:
    upper, _ = plot_history(LOG[:1]).axes
    assert upper.lines[0].get_marker() == "o"


def test_the_picture_is_saved(tmp_path: Path) -> None:
    plot_history(LOG, tmp_path / "new" / "history.png")
    assert (tmp_path / "new" / "history.png").read_bytes()[:4] == b"\x89PNG"


def test_a_log_without_curves_is_refused() -> None:
    with pytest.raises(ConfigError, match="rows is empty"):
        plot_history([])
    with pytest.raises(ConfigError, match="columns step, lr: expected train/loss"):
        plot_history([{"step": 1, "lr": 0.1}])
