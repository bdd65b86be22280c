"""From a configuration to the components of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sciml.config import check_arguments, import_class, named
from sciml.data import Dataset, Split, load_dataset
from sciml.errors import ConfigError, unknown_name
from sciml.registry import model_spec, registry
from sciml.train import EMA, Callback, EarlyStopping, FitResult, Method, Task, Trainer, build_model, derive_seed
from sciml.train.optim import OPTIMIZERS, SCHEDULERS

__all__ = ["Run", "build_run"]

CALLBACKS: dict[str, type[Callback]] = {"early-stopping": EarlyStopping, "ema": EMA}


@dataclass
class Run:
    """Everything that one training run consists of.

    Attributes:
        config: The complete configuration, which runs again as it stands.
    """

    config: dict[str, Any]
    data: Dataset
    model: nn.Module
    task: Task
    trainer: Trainer
    methods: list[Method] = field(default_factory=list)
    inputs: Mapping[str, str] | None = None

    def fit(self, resume: str | None = None) -> FitResult:
        """Train."""
        return self.trainer.fit(
            self.model,
            self.data,
            self.task,
            self.methods,
            optimizer=self.config.get("optimizer"),
            scheduler=self.config.get("scheduler"),
            inputs=self.inputs,
            resume=resume,
            config=self.config,
        )

    def predict(self, split: Split) -> Tensor:
        """Predictions for all samples of a split, in the units of the data."""
        return self.trainer.predict(self.model, split, self.task)


def build_run(config: Mapping[str, Any], data: Dataset | None = None) -> Run:
    """Build all components of a configuration.

    Args:
        config: As from :func:`sciml.config.read_config`.
        data: Instead of the dataset that the configuration names.

    Raises:
        ConfigError: If something is missing or does not fit.
        UnknownNameError: If a component does not exist.
    """
    config = dict(config)
    for section, known in (("optimizer", OPTIMIZERS), ("scheduler", SCHEDULERS)):
        if config.get(section):
            named(section, config, sorted(known))
    trainer_arguments = check_arguments("trainer", Trainer, config.get("trainer") or {})
    callbacks = [_callback(part) for part in config.get("callbacks") or []]
    trainer = Trainer(**{**trainer_arguments, "callbacks": callbacks})
    methods = [_method(index, part) for index, part in enumerate(config.get("methods") or [])]
    if data is None:
        name, arguments = named("data", config)
        data = load_dataset(name, **arguments)
    # The weights of a run depend on its seed alone, not on what was drawn before.
    torch.manual_seed(derive_seed(trainer.seed, "model"))
    model, inputs = _model(config, data)
    config["task"] = {"name": _task_name(config, data, model), **(config.get("task") or {})}
    task_name, task_arguments = named("task", config)
    task = registry("tasks").create(
        task_name, **check_arguments("task", registry("tasks").load(task_name), task_arguments)
    )
    return Run(config, data, model, task, trainer, methods, inputs)


def _task_name(config: Mapping[str, Any], data: Dataset, model: nn.Module) -> str:
    given = (config.get("task") or {}).get("name")
    return given or data.spec.task or getattr(type(model), "task", None) or "operator"


def _model(config: Mapping[str, Any], data: Dataset) -> tuple[nn.Module, Mapping[str, str] | None]:
    part = dict(config.get("model") or {})
    inputs = part.pop("inputs", None)
    if "class_path" in part:
        return _build_class("model", part), inputs
    name, arguments = named("model", {"model": part})
    entry = model_spec(name)
    arguments = {key: _nested(f"model.{key}", value) for key, value in arguments.items()}
    arguments = check_arguments("model", entry.build, arguments)
    return build_model(name, data.spec, **arguments), inputs or dict(entry.inputs) or None


def _nested(where: str, value: Any) -> Any:
    """A mapping that names a component becomes that component."""
    if isinstance(value, Mapping) and "class_path" in value:
        return _build_class(where, value)
    if not (isinstance(value, Mapping) and "name" in value):
        return value
    arguments = {key: _nested(f"{where}.{key}", part) for key, part in value.items() if key != "name"}
    return build_model(value["name"], **check_arguments(where, model_spec(value["name"]).build, arguments))


def _build_class(where: str, part: Mapping[str, Any]) -> nn.Module:
    unknown = set(part) - {"class_path", "init_args"}
    if unknown:
        raise ConfigError(f"{where} with class_path takes init_args only, not {', '.join(sorted(unknown))}.")
    cls = import_class(part["class_path"])
    model = cls(**check_arguments(f"{where}.init_args", cls, part.get("init_args") or {}))
    if not isinstance(model, nn.Module):
        raise ConfigError(f"class_path {part['class_path']!r} built a {type(model).__name__}, expected an nn.Module.")
    return model


def _method(index: int, part: Mapping[str, Any]) -> Method:
    name, arguments = named("methods", {"methods": part})
    loaded = registry("methods").load(name)
    method = loaded(**check_arguments(f"methods[{index}]", loaded, arguments))
    if not isinstance(method, Method):
        raise ConfigError(f"method {name!r} is a {type(method).__name__}, expected a sciml.Method.")
    return method


def _callback(part: Mapping[str, Any]) -> Callback:
    name, arguments = named("callbacks", {"callbacks": part})
    if name not in CALLBACKS:
        raise unknown_name("callback", name, CALLBACKS)
    return CALLBACKS[name](**check_arguments(f"callbacks.{name}", CALLBACKS[name], arguments))
