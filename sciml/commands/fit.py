"""``sciml fit``, ``test`` and ``predict``: train, evaluate with baselines, write pictures, apply."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml.config import apply_overrides, read_config, refuse_class_path
from sciml.errors import ConfigError, DataFormatError

__all__ = ["fit", "predict", "test"]

FIT_HELP = """\
usage: sciml fit [CONFIG] [--section.argument VALUE ...] [--resume] [--overwrite] [--allow-class-path]

Train a model from a configuration file, from options, or from both; options win.

sections:
  model       --model NAME, --model.ARGUMENT VALUE        sciml models lists them, sciml models NAME describes one
  data        --data NAME_OR_PATH, --data.validation 100  sciml datasets
  task        --task NAME, --task.loss relative_l2        sciml tasks
  optimizer   --optimizer adamw, --optimizer.lr 1e-3
  scheduler   --scheduler onecycle, --scheduler.max_lr 1e-3
  trainer     --trainer.max_epochs 40, --trainer.run_dir runs/mine, --trainer.seed 1, ...
  methods     --methods "[{name: gradient-noise, eta: 0.01}]"   sciml methods
  callbacks   --callbacks "[{name: ema, decay: 0.999}]"

switches:
  --resume            continue the run in trainer.run_dir where it stopped
  --overwrite         replace the run in trainer.run_dir
  --allow-class-path  accept class_path in the configuration, which imports code

examples:
  sciml fit examples/darcy.yaml
  sciml fit examples/darcy.yaml --model tfno --model.rank 0.4 --trainer.run_dir runs/tfno
  sciml fit --model deeponet --data burgers-small --trainer.max_epochs 20
"""


def fit(tokens: list[str]) -> int:
    """Train, test and draw; returns the exit code."""
    switches, rest = _switches(tokens)
    path = rest.pop(0) if rest and not rest[0].startswith("--") else None
    config = apply_overrides(read_config(path) if path else {}, rest)
    if switches["help"]:
        print(FIT_HELP)
        _print_arguments(config)
        return 0
    if not switches["allow-class-path"]:
        refuse_class_path(config)
    trainer = config.setdefault("trainer", {})
    if not trainer.get("run_dir"):
        trainer["run_dir"] = f"runs/{_run_name(path, config)}"
    if not (trainer.get("max_epochs") or trainer.get("max_steps")):
        raise ConfigError("no length: give --trainer.max_epochs or --trainer.max_steps.")
    if switches["resume"] and switches["overwrite"]:
        raise ConfigError("--resume continues a run and --overwrite replaces it: choose one.")
    # The stored configuration must not replace a run when it is used again.
    trainer.pop("overwrite", None)

    from sciml.commands.run import build_run

    run = build_run(config)
    run.trainer.overwrite = switches["overwrite"]
    if run.trainer.is_main:
        print(_opening(run), flush=True)
    result = run.fit(resume="auto" if switches["resume"] else None)
    if not run.trainer.is_main:
        run.trainer.test(run.model, run.data, run.task)
        return 0
    report = _evaluate(run)
    report["seconds"] = result.seconds
    assert run.trainer.run is not None
    run.trainer.run.write_metrics(report)
    print(_table(report, run.config["model"].get("name", "model")))
    print(
        f"{report['parameters']} parameters, {result.steps} steps, {result.seconds:.1f} s of training in this process"
    )
    if result.stop_reason:
        print(f"stopped early: {result.stop_reason}")
    print(f"run folder: {run.trainer.run.path}")
    for figure in _draw(run, report):
        print(f"picture:    {figure}")
    return 0


def _opening(run: Any) -> str:
    """What is about to be trained, and on what."""
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    splits = ", ".join(f"{name} {len(run.data[name])}" for name in run.data)
    name = run.config["model"].get("name", type(run.model).__name__)
    return f"{name} with {parameters} parameters; {run.data.name} ({splits} samples)"


def _switches(tokens: list[str]) -> tuple[dict[str, bool], list[str]]:
    names = ("resume", "overwrite", "allow-class-path", "help")
    tokens = ["--help" if token == "-h" else token for token in tokens]
    given = {name: f"--{name}" in tokens for name in names}
    return given, [token for token in tokens if token.removeprefix("--") not in names or not token.startswith("--")]


def _run_name(path: str | None, config: Mapping[str, Any]) -> str:
    if path is not None:
        stem = Path(path).stem
        return Path(path).parent.name if stem == "config" else stem
    parts = [str((config.get(key) or {}).get("name", "")) for key in ("model", "data")]
    return "-".join(Path(part).stem for part in parts if part) or "run"


def _print_arguments(config: Mapping[str, Any]) -> None:
    from sciml.commands.describe import arguments_text
    from sciml.registry import model_spec, registry
    from sciml.train import Trainer

    print(f"trainer:\n{arguments_text(Trainer, explain=True)}")
    for kind, section in (("models", "model"), ("tasks", "task")):
        name = (config.get(section) or {}).get("name")
        if name:
            build = model_spec(name).build if kind == "models" else registry(kind).load(name)
            print(f"\n{section} {name}:\n{arguments_text(build, explain=True)}")


def _evaluate(run: Any) -> dict[str, Any]:
    """Metrics of the model on every test split, of trivial baselines beside it, and what the numbers belong to."""
    import torch

    import sciml

    report: dict[str, Any] = {name: _test_split(run, name) for name in run.data.names("test")}
    report["baselines"] = {
        label: {name: _errors(predictor(run.data[name]), run.data[name], run.task) for name in run.data.names("test")}
        for label, predictor in _baselines(run).items()
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
    from sciml.tasks import OperatorRegression, linear_baseline, mean_baseline

    train = run.data.train
    source = next((name for name in ("x", "u") if name in train.tensors), None)
    shared_points = "coords" not in train.tensors or "coords" in train.shared
    if not isinstance(run.task, OperatorRegression) or source is None or run.task.target != "y" or not shared_points:
        return {}
    baselines = {"training mean": mean_baseline(run.data)}
    # Beyond some thousand unknowns a dense least-squares fit takes longer than the training it is compared with.
    if train[source][0].numel() <= 4096 and train["y"][0].numel() <= 4096:
        baselines["linear least squares"] = linear_baseline(run.data, source)
    return baselines


def _test_split(run: Any, name: str) -> dict[str, Any]:
    """Metrics on one split; a model that cannot take its resolution says so instead, and the run is kept."""
    try:
        metrics: dict[str, Any] = run.trainer.test(run.model, run.data, run.task, prefix=name)[name]
    except ValueError as error:
        return {"error": " ".join(str(error).split())}
    return metrics


def _errors(prediction: Any, split: Any, task: Any) -> dict[str, float]:
    from sciml.metrics import mean_and_standard_error

    values = task.metrics()["relative_l2"](prediction, dict(split.tensors), split)
    mean, spread = mean_and_standard_error(values.double())
    return {"relative_l2": float(mean), "relative_l2_se": float(spread)}


def _table(report: Mapping[str, Any], label: str) -> str:
    splits = [name for name in report if name.startswith("test")]
    if not splits:
        return "no test split: nothing to evaluate"
    rows = {label: {name: report[name] for name in splits}, **report["baselines"]}
    width = max(len(name) for name in rows) + 2
    lines = ["relative L2 error (mean ± standard error over test samples)"]
    lines.append(" " * width + "".join(f"{name:>20s}" for name in splits))
    for name, values in rows.items():
        lines.append(f"{name:{width}s}" + "".join(f"{_cell(values[split]):>20s}" for split in splits))
    lines += [f"{split}: {report[split]['error']}" for split in splits if "error" in report[split]]
    return "\n".join(lines)


def _cell(values: Mapping[str, Any]) -> str:
    return "-" if "error" in values else f"{values['relative_l2']:.4f} ± {values['relative_l2_se']:.4f}"


def _draw(run: Any, report: Mapping[str, Any]) -> list[Path]:
    """One test sample per split, and the training curve, into the run folder."""
    from sciml.plotting import OperatorSample, plot_history, plot_operator_samples

    folder = run.trainer.run.path
    figures = []
    rows = run.trainer.run.rows()
    if rows:
        plot_history(rows, path=folder / "history.png")
        figures.append(folder / "history.png")
    samples = []
    for name in run.data.names("test"):
        if "error" in report[name]:
            continue
        split = run.data[name].select(slice(0, 1))
        if "x" in split.tensors and "y" in split.tensors and split["x"].dim() == split["y"].dim():
            samples.append(
                OperatorSample(split["x"][0], split["y"][0], run.predict(split)[0], split.grids.get("y"), name)
            )
    if samples and samples[0].y.dim() in (2, 3):
        units = {name: field.units for name, field in run.data.spec.fields.items()}
        cards = run.data.card.get("fields") or {}
        names = {name: cards[name]["label"] for name in ("x", "y") if "label" in (cards.get(name) or {})}
        plot_operator_samples(samples, names=names, units=units, path=folder / "prediction.png")
        figures.append(folder / "prediction.png")
    return figures


def _run_folder(path: str) -> Any:
    from sciml.train import RunFolder

    run = RunFolder(path)
    if not run.path.is_dir():
        raise FileNotFoundError(f"there is no run folder {path}.")
    return run


def test(arguments: argparse.Namespace) -> int:
    """Evaluate the model of a run folder again."""
    folder = _run_folder(arguments.run)
    config = read_config(folder.config)
    if not arguments.allow_class_path:
        refuse_class_path(config)
    from sciml.commands.run import build_run
    from sciml.train import load

    config["trainer"] = {**config["trainer"], "run_dir": None, "progress": False}
    run = build_run(config)
    trained = load(folder.path, model=run.model if "class_path" in config["model"] else None)
    run.model, run.task = trained.model.to(run.trainer.engine.device), trained.task
    print(_table(_evaluate(run), config["model"].get("name", "model")))
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Apply the model of a run folder to a data file."""
    import numpy as np

    from sciml.data import load_dataset, open_dataset
    from sciml.train import device_of, load

    folder = _run_folder(arguments.run)
    out = Path(arguments.out)
    if out.suffix != ".npz":
        raise ConfigError(f"--out is {arguments.out}, expected a file that ends with .npz.")
    trained = load(folder.path)
    try:
        split = load_dataset(arguments.data).train
    except ConfigError as error:
        fields = open_dataset(arguments.data)
        raise DataFormatError(f"{arguments.data} holds {', '.join(fields.arrays)}: {error}") from error
    dtype = next(trained.model.parameters()).dtype
    split = split.to(device_of(trained.model)).map(
        lambda batch: {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()}
    )
    prediction = trained.predict(split)
    arrays: dict[str, Any] = {name: value.cpu().numpy() for name, value in split.tensors.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **{**arrays, "prediction": prediction.numpy()})
    print(f"{len(prediction)} predictions {tuple(prediction.shape)} in {out}; arrays: prediction, {', '.join(arrays)}")
    if trained.task.target in split.tensors:
        errors = _errors(prediction, split.to("cpu"), trained.task)
        print(f"relative L2 error against the file: {errors['relative_l2']:.4f} ± {errors['relative_l2_se']:.4f}")
    return 0
