"""``sciml fit``, ``test`` and ``predict``: train, evaluate with baselines, write pictures, apply."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml.commands.report import TITLES, draw, error_table, evaluate_run, headline, sample_errors
from sciml.config import apply_overrides, read_config, refuse_class_path
from sciml.errors import ConfigError

__all__ = ["fit", "predict", "test"]

FIT_HELP = """\
usage: sciml fit [CONFIG] [--section.argument VALUE ...] [--resume] [--overwrite] [--allow-class-path]

Train a model from a configuration file, from options, or from both; options win. Needed are a model, data and a length.
Without trainer.run_dir the run is written to runs/CONFIG, or to runs/MODEL-DATA where there is no configuration file.

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
    from sciml.commands.run import build_run, check_config
    from sciml.train.build import construct

    # What is wrong comes before what is missing: a misspelt option is often both.
    check_config(config)
    _refuse_missing(config)
    trainer = config.setdefault("trainer", {})
    if not trainer.get("run_dir"):
        trainer["run_dir"] = f"runs/{_run_name(path, config)}"
    if switches["resume"] and switches["overwrite"]:
        raise ConfigError("--resume continues a run and --overwrite replaces it: choose one.")
    # The stored configuration must not replace a run when it is used again.
    trainer.pop("overwrite", None)

    run = build_run(config)
    run.trainer.overwrite = switches["overwrite"]
    names = ("accelerator", "devices", "num_nodes", "strategy", "precision")
    construct("trainer", lambda **_: run.trainer.engine, **{name: trainer[name] for name in names if name in trainer})
    if run.trainer.is_main:
        _say(_opening(run))
    result = run.fit(resume="auto" if switches["resume"] else None)
    if not run.trainer.is_main:
        run.trainer.test(run.model, run.data, run.task)
        return 0
    report = evaluate_run(run)
    report["seconds"] = result.seconds
    assert run.trainer.run is not None
    run.trainer.run.write_metrics(report)
    _say(error_table(report, run.config["model"].get("name", "model"), headline(run.task)))
    _say(f"{report['parameters']} parameters, {result.steps} steps, {result.seconds:.1f} s of training in this process")
    if result.stop_reason:
        _say(f"stopped early: {result.stop_reason}")
    _say(f"run folder: {run.trainer.run.path}")
    for figure in draw(run, report):
        _say(f"picture:    {figure}")
    return 0


def _refuse_missing(config: Mapping[str, Any]) -> None:
    """Everything that a run lacks, in one line."""
    model, data, trainer = (config.get(section) or {} for section in ("model", "data", "trainer"))
    missing = []
    if not (isinstance(model.get("name"), str) or "class_path" in model):
        missing.append("no model: give --model NAME (sciml models lists them)")
    if not isinstance(data.get("name"), str):
        missing.append("no data: give --data NAME_OR_PATH (sciml datasets)")
    if not (trainer.get("max_epochs") or trainer.get("max_steps")):
        missing.append("no length: give --trainer.max_epochs or --trainer.max_steps")
    if missing:
        raise ConfigError(f"{'; '.join(missing)}. sciml fit --help lists all options.")


def _say(text: str) -> None:
    """Print, and go on where nobody listens: a closed pipe or a full disk must not cost a run."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        try:
            # What is left in the buffer must not fail again when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            reason = getattr(error, "strerror", None) or error
            print(f"sciml: the output cannot be written ({reason}); the run goes on", file=sys.stderr, flush=True)
        except (OSError, ValueError):
            return


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
    parts = [Path(str((config.get(key) or {}).get("name", ""))).name for key in ("model", "data")]
    # mine.pt and mine.h5 are different data.
    return "-".join(part.replace(".", "-").replace(":", "-") for part in parts if part) or "run"


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
    print(error_table(evaluate_run(run), config["model"].get("name", "model"), headline(run.task)))
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Apply the model of a run folder to a data file, with or without a target, or to a split of a dataset."""
    import numpy as np

    from sciml.train import device_of, load

    folder = _run_folder(arguments.run)
    out = Path(arguments.out)
    if out.suffix != ".npz":
        raise ConfigError(f"--out is {arguments.out}, expected a file that ends with .npz.")
    trained = load(folder.path)
    split = _split_to_predict(arguments.data, arguments.split)
    _check_fields(split, trained, arguments.data)
    dtype = next((p.dtype for p in trained.model.parameters() if p.is_floating_point()), None)
    split = split.to(device_of(trained.model)).map(
        lambda batch: {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()}
    )
    try:
        prediction = trained.predict(split)
    except (ValueError, RuntimeError, TypeError, LookupError) as error:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in split.tensors.items())
        raise ConfigError(f"the model of {arguments.run} cannot take {arguments.data} ({shapes}): {error}") from error
    arrays: dict[str, Any] = {name: value.cpu().numpy() for name, value in split.tensors.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **{**arrays, "prediction": prediction.numpy()})
    print(f"{len(prediction)} predictions {tuple(prediction.shape)} in {out}; arrays: prediction, {', '.join(arrays)}")
    metric = headline(trained.task)
    if metric is not None and getattr(trained.task, "target", None) in split.tensors:
        errors = sample_errors(prediction, split.to("cpu"), trained.task, metric)
        title = TITLES.get(metric, metric)
        print(f"{title} against the file: {errors[metric]:.4f} ± {errors[f'{metric}_se']:.4f}")
    return 0


def _split_to_predict(data: str, wanted: str | None) -> Any:
    """The samples of a file, or one split of a dataset; where there are several, the user chooses."""
    from sciml.data import load_dataset
    from sciml.data.cards import load_inputs

    path = Path(data)
    if path.is_file() and path.name != "card.yaml":
        if wanted not in (None, "train"):
            raise ConfigError(f"--split is {wanted!r}, but {data} is a file without splits: leave it out.")
        return load_inputs(path)
    dataset = load_dataset(data)
    names = list(dataset)
    if wanted is None and len(names) > 1:
        sizes = ", ".join(f"{name} ({len(dataset[name])} samples)" for name in names)
        raise ConfigError(f"{data} has the splits {sizes}: choose one with --split NAME.")
    return dataset[wanted or names[0]]


def _check_fields(split: Any, trained: Any, data: str) -> None:
    """Refuse samples that the model was not made for, by what it remembers of its training data."""
    for name, spec in ((trained.info.get("spec") or {}).get("fields") or {}).items():
        if spec["role"] != "input":
            continue
        if name not in split.tensors:
            raise ConfigError(f"{data} holds {', '.join(split.tensors)}, but the model was trained on {name!r}.")
        shape, lead = tuple(split[name].shape), 1 + (spec["channels"] is not None)
        if len(shape) != lead + len(spec["shape"]) or (lead == 2 and shape[1] != spec["channels"]):
            trained_on = ("samples", *([spec["channels"]] if lead == 2 else []), *spec["shape"])
            expected = ", ".join(map(str, trained_on))
            raise ConfigError(f"{name} of {data} has the shape {shape}, but the model was trained on ({expected}).")
