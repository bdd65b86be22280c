"""What a run ends with: metrics on the test splits, trivial baselines beside them, a table and pictures."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

__all__ = ["TITLES", "draw", "error_table", "evaluate_run", "headline", "sample_errors"]

TITLES = {"relative_l2": "relative L2 error", "relative_h1": "relative H1 error", "mse": "mean squared error"}


def evaluate_run(run: Any) -> dict[str, Any]:
    """Metrics of the model on every test split, of trivial baselines beside it, and what the numbers belong to."""
    import torch

    import sciml

    names = run.data.names("test")
    report: dict[str, Any] = {name: _test_split(run, name) for name in names}
    metric = headline(run.task)
    report["baselines"] = {}
    if metric is not None:
        for label, predictor in _baselines(run).items():
            report["baselines"][label] = {
                name: _baseline(predictor, run.data[name], run.task, metric) for name in names
            }
    report["parameters"] = sum(parameter.numel() for parameter in run.model.parameters())
    report["versions"] = {
        "sciml": sciml.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    report["data_hash"] = run.data.hash
    return report


def _baselines(run: Any) -> dict[str, Any]:
    from sciml.tasks import OperatorRegression, constant_baseline, linear_baseline, mean_baseline

    train = run.data.train
    sources = [field.name for field in run.data.spec.inputs if field.name in train.tensors]
    shared_points = "coords" not in train.tensors or "coords" in train.shared
    if not isinstance(run.task, OperatorRegression) or not sources or run.task.target != "y":
        return {}
    if not shared_points:
        return {"training mean": constant_baseline(run.data)}
    baselines = {"training mean": mean_baseline(run.data)}
    # Beyond some thousand unknowns a dense least-squares fit takes longer than the training it is compared with.
    if sum(train[name][0].numel() for name in sources) <= 4096 and train["y"][0].numel() <= 4096:
        baselines["linear least squares"] = linear_baseline(run.data, sources)
    return baselines


def headline(task: Any) -> str | None:
    """The first metric of a task, which the table shows."""
    return next(iter(task.metrics()), None)


def _baseline(predictor: Any, split: Any, task: Any, metric: str) -> dict[str, Any]:
    """The metric of a trivial predictor; it says why where it cannot be computed, as between unknown grids."""
    try:
        return sample_errors(predictor(split), split, task, metric)
    except (ValueError, RuntimeError, TypeError, LookupError) as error:
        return {"error": " ".join(str(error).split())}


def _test_split(run: Any, name: str) -> dict[str, Any]:
    """Metrics on one split; a model that cannot take its resolution says so instead, and the run is kept."""
    try:
        alone = replace(run.data, splits={name: run.data[name]})
        metrics: dict[str, Any] = run.trainer.test(run.model, alone, run.task, prefix=name)[name]
    except (ValueError, RuntimeError, TypeError, LookupError) as error:
        return {"error": " ".join(str(error).split())}
    return metrics


def sample_errors(prediction: Any, split: Any, task: Any, metric: str) -> dict[str, float]:
    from sciml.metrics import mean_and_standard_error

    values = task.metrics()[metric](prediction, dict(split.tensors), split)
    mean, spread = mean_and_standard_error(values.double())
    return {metric: float(mean), f"{metric}_se": float(spread)}


def error_table(report: Mapping[str, Any], label: str, metric: str | None) -> str:
    splits = [name for name in report if name.startswith("test")]
    if not splits:
        return "no test split: nothing to evaluate"
    if metric is None:
        return "the task has no metrics: nothing to evaluate"
    rows = {label: {name: report[name] for name in splits}, **report["baselines"]}
    width = max(len(name) for name in rows) + 2
    columns = max(20, *(len(name) + 2 for name in splits))
    lines = [f"{TITLES.get(metric, metric)} (mean ± standard error over test samples)"]
    lines.append(" " * width + "".join(f"{name:>{columns}s}" for name in splits))
    for name, values in rows.items():
        lines.append(f"{name:{width}s}" + "".join(f"{_cell(values[split], metric):>{columns}s}" for split in splits))
    lines += [f"{split}: {report[split]['error']}" for split in splits if "error" in report[split]]
    return "\n".join(lines)


def _cell(values: Mapping[str, Any], metric: str) -> str:
    if metric not in values:
        return "-"
    value, error = values[metric], values[f"{metric}_se"]
    # Four digits after the point would hide what a small error is.
    return f"{value:.4f} ± {error:.4f}" if value >= 1e-3 or value == 0 else f"{value:.2e} ± {error:.0e}"


def draw(run: Any, report: Mapping[str, Any]) -> list[Path]:
    """One test sample per split, the training curve and the error at several resolutions, into the run folder."""
    from sciml.plotting import plot_history, plot_operator_samples, plot_query_samples, plot_surface_samples

    folder = run.trainer.run.path
    figures = []
    rows = run.trainer.run.rows()
    if rows:
        plot_history(rows, path=folder / "history.png")
        figures.append(folder / "history.png")
    figures += _draw_resolutions(run, report, folder / "resolution.png")
    on_grids, at_points, on_surfaces = [], [], []
    for name in run.data.names("test"):
        if "error" in report[name]:
            continue
        split = run.data[name].select(slice(0, 1))
        # A task of a plugin may predict something else than the field y.
        if "y" not in split.tensors or (prediction := run.predict(split)).shape != split["y"].shape:
            continue
        if "x" in split.tensors and split["x"].dim() == split["y"].dim() in (3, 4):
            on_grids.append(_on_grid(split, prediction, name))
        elif (sample := _at_points(split, prediction, name, run.data.spec)) is not None:
            at_points.append(sample)
        elif (surface := _on_surface(split, prediction, name)) is not None:
            on_surfaces.append(surface)
    if on_grids and len({sample.y.dim() for sample in on_grids}) == 1:
        units = {name: field.units for name, field in run.data.spec.fields.items()}
        cards = run.data.card.get("fields") or {}
        names = {name: cards[name]["label"] for name in ("x", "y") if "label" in (cards.get(name) or {})}
        plot_operator_samples(on_grids, names=names, units=units, path=folder / "prediction.png")
        figures.append(folder / "prediction.png")
    elif at_points:
        plot_query_samples(at_points, path=folder / "prediction.png")
        figures.append(folder / "prediction.png")
    elif on_surfaces:
        field = (run.data.card.get("fields") or {}).get("y") or {}
        options = {"name": field.get("label", "solution"), "units": run.data.spec["y"].units}
        options |= run.data.card.get("picture") or {}
        plot_surface_samples(on_surfaces, **options, path=folder / "prediction.png")
        figures.append(folder / "prediction.png")
    return figures


def _draw_resolutions(run: Any, report: Mapping[str, Any], path: Path) -> list[Path]:
    """Errors of the model and of the baselines against the grid, where the test splits have several."""
    from sciml.plotting import plot_resolution_errors

    metric = headline(run.task)
    if metric is None:
        return []
    shapes = _grid_shapes(run, "test")
    rows = {run.config["model"].get("name", "model"): report, **report["baselines"]}
    curves = {
        label: {
            shape: (values[name][metric], values[name][f"{metric}_se"])
            for name, shape in shapes.items()
            if metric in values[name]
        }
        for label, values in rows.items()
    }
    if len(next(iter(curves.values()))) < 2:
        return []
    trained = sorted(set(_grid_shapes(run, "train").values()))
    plot_resolution_errors(curves, trained=trained, metric=TITLES.get(metric, metric), path=path)
    return [path]


def _grid_shapes(run: Any, prefix: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the grids of the target, where it has some."""
    target = getattr(run.task, "target", "y")
    grids = {name: run.data[name].grids.get(target) for name in run.data.names(prefix)}
    return {name: grid.shape for name, grid in grids.items() if grid is not None}


def _on_grid(split: Any, prediction: Any, label: str) -> Any:
    from sciml.plotting import OperatorSample

    return OperatorSample(split["x"][0], split["y"][0], prediction[0], split.grids.get("y"), label)


def _on_surface(split: Any, prediction: Any, label: str) -> Any:
    """The first channel of the first sample, where its points are the corners of triangles in space."""
    from sciml.plotting import SurfaceSample

    if not {"coords", "y.triangles"} <= set(split.tensors) or split["coords"].shape[-1] != 3:
        return None
    parts = {name: split[name] if name in split.shared else split[name][0] for name in split.tensors}
    coords, triangles = parts["coords"], parts["y.triangles"].long()
    target, guess = (value.reshape(-1, len(coords))[0] for value in (parts["y"], prediction[0]))
    return SurfaceSample(coords, target, guess, triangles, parts.get("y.weight"), label)


def _at_points(split: Any, prediction: Any, label: str, spec: Any) -> Any:
    """The inputs of the first sample, and its first channel where its query points lie on a line or a plane."""
    from sciml.plotting import QuerySample

    sources = [field.name for field in spec.inputs if field.name in split.tensors]
    if not sources or "coords" not in split.tensors:
        return None
    coords = split["coords"] if split["coords"].dim() == 2 else split["coords"][0]
    target, guess = (value[0].reshape(-1, len(coords))[0] for value in (split["y"], prediction))
    valid = split["y.mask"][0] if "y.mask" in split.tensors else slice(None)
    coords, target, guess = coords[valid], target[valid], guess[valid]
    # Fewer points than this make no curve and no triangles.
    if coords.shape[1] not in (1, 2) or len(coords) < 4:
        return None
    inputs = {name: split[name][0].reshape(-1, split[name].shape[-1])[0] for name in sources}
    places = {name: split.tensors.get(f"{name}.pos") for name in sources}
    sensors = {n: at[:, 0] for n, at in places.items() if at is not None and at.shape == (len(inputs[n]), 1)}
    if len(sources) == 1:
        return QuerySample(inputs[sources[0]], coords, target, guess, sensors.get(sources[0]), label)
    return QuerySample(inputs, coords, target, guess, sensors, label)
