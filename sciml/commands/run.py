"""From a configuration to the components of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.commands.resolve import complete_model, complete_trainer, with_defaults
from sciml.config import CONFIG_VERSION, SECTIONS, VERSION_KEY, check_arguments, import_class, named, section_value
from sciml.data import Dataset, Split, find_dataset, load_dataset
from sciml.data.resolutions import resolution_options
from sciml.errors import ConfigError, UnknownNameError, unknown_name
from sciml.registry import model_spec, registry
from sciml.train import EMA, Callback, EarlyStopping, FitResult, Method, Task, Trainer, build_model, derive_seed
from sciml.train.build import construct
from sciml.train.loggers import LOGGERS
from sciml.train.optim import OPTIMIZERS, SCHEDULERS, optimizer_recipe, schedule_recipe

__all__ = ["Run", "build_run", "check_config"]

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
    config = _sections(config)
    check_config(config)
    trainer_arguments = check_arguments("trainer", Trainer, config.get("trainer") or {})
    callbacks = [_callback(part) for part in config.get("callbacks") or []]
    trainer = construct("trainer", Trainer, **{**trainer_arguments, "callbacks": callbacks})
    methods = [_method(index, part) for index, part in enumerate(config.get("methods") or [])]
    if data is None:
        config["data"] = _stored_data(config)
        data = _data(config)
    _check_loggers(trainer)
    # The weights of a run depend on its seed alone, not on what was drawn before.
    torch.manual_seed(derive_seed(trainer.seed, "model"))
    model, inputs = _model(config, data)
    config["task"] = {"name": _task_name(config, data, model), **(config.get("task") or {})}
    task_name, task_arguments = named("task", config)
    loaded = registry("tasks").load(task_name)
    task = construct(f"task {task_name}", loaded, **check_arguments("task", loaded, task_arguments))
    if not isinstance(task, Task):
        raise ConfigError(f"task {task_name!r} is a {type(task).__name__}, expected a sciml.Task.")
    config["task"] = with_defaults("task", loaded, config["task"])
    complete = _complete(config, model, trainer)
    return Run({VERSION_KEY: CONFIG_VERSION, **complete}, data, model, task, trainer, methods, inputs)


def _complete(config: Mapping[str, Any], model: nn.Module, trainer: Trainer) -> dict[str, Any]:
    """The configuration with everything that was left out, so that it runs again whatever the defaults become.

    The optimizer, which may be the task's, is filled in when training starts.
    """
    complete = {**config, "model": complete_model(config["model"], model)}
    complete["trainer"] = complete_trainer(config.get("trainer") or {}, trainer)
    if config.get("data") and (function := _data_function(config["data"])) is not None:
        complete["data"] = with_defaults("data", function, config["data"])
    if config.get("methods"):
        load = registry("methods").load
        complete["methods"] = [with_defaults("methods", load(part["name"]), part) for part in config["methods"]]
    if config.get("callbacks"):
        complete["callbacks"] = [with_defaults("callbacks", CALLBACKS[p["name"]], p) for p in config["callbacks"]]
    return {name: complete[name] for name in SECTIONS if name in complete}


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse names and arguments that do not exist, in the sections that are there; nothing is built or loaded.

    Raises:
        ConfigError: If an argument does not exist, has a wrong type or lies in a section without a name.
        UnknownNameError: If a component does not exist.
    """
    check_arguments("trainer", Trainer, config.get("trainer") or {})
    for section, table, recipe in (
        ("optimizer", OPTIMIZERS, optimizer_recipe),
        ("scheduler", SCHEDULERS, schedule_recipe),
    ):
        if config.get(section):
            name, arguments = named(section, config, sorted(table))
            recipe(config[section])
            found: Any = table[name]
            check_arguments(section, found[0] if isinstance(found, tuple) else found, _without(arguments, "interval"))
    for index, part in enumerate(config.get("methods") or []):
        name, arguments = named("methods", {"methods": part})
        check_arguments(f"methods[{index}]", registry("methods").load(name), arguments)
    for section in ("model", "task"):
        part = config.get(section) or {}
        if isinstance(part.get("name"), str):
            name, arguments = named(section, config)
            build = model_spec(name).build if section == "model" else registry("tasks").load(name)
            check_arguments(section, build, _without(arguments, "inputs") if section == "model" else arguments)


def _sections(config: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in config.items() if key != VERSION_KEY and value is not None}
    return {key: section_value(key, value, "configuration") for key, value in given.items()}


def _without(arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if key != name}


def _stored_data(config: Mapping[str, Any]) -> dict[str, Any]:
    """The section ``data`` with absolute paths, so that a stored configuration runs from any folder."""
    part = dict(config.get("data") or {})
    name = part.get("name")
    if isinstance(name, str) and _is_path(name):
        part["name"] = str(Path(name).absolute())
    if isinstance(part.get("root"), str):
        part["root"] = str(Path(part["root"]).absolute())
    return part


def _is_path(name: str) -> bool:
    return Path(name).is_file() or (Path(name) / "card.yaml").is_file()


def _data(config: Mapping[str, Any]) -> Dataset:
    name, arguments = named("data", config)
    if (function := _data_function(config["data"])) is not None:
        wanted = resolution_options(arguments, function)
        own = {key: value for key, value in arguments.items() if key not in wanted}
        arguments = check_arguments("data", function, own) | wanted
    return load_dataset(name, **arguments)


def _data_function(part: Mapping[str, Any]) -> Any:
    """The function behind a name that is neither a file nor a dataset with a card."""
    name = part.get("name")
    if not isinstance(name, str) or name not in registry("datasets") or _is_path(name):
        return None
    return None if _has_card(name, part.get("root")) else registry("datasets").load(name)


def _has_card(name: str, root: str | None) -> bool:
    try:
        find_dataset(name, root)
    except UnknownNameError:
        return False
    return True


def _check_loggers(trainer: Trainer) -> None:
    """A tracker that is not installed is found before the run folder is touched."""
    for name in trainer.loggers:
        if isinstance(name, str) and name in LOGGERS and find_spec(name) is None:
            raise ConfigError(f"trainer.loggers names {name}, which is not installed: pip install 'sciml[tracking]'.")


def _task_name(config: Mapping[str, Any], data: Dataset, model: nn.Module) -> str:
    given = (config.get("task") or {}).get("name")
    return given or data.spec.task or getattr(type(model), "task", None) or "operator"


def _model(config: Mapping[str, Any], data: Dataset) -> tuple[nn.Module, Mapping[str, str] | None]:
    part = dict(config.get("model") or {})
    inputs = part.pop("inputs", None)
    if inputs is not None and not isinstance(inputs, Mapping):
        raise ConfigError(f"model.inputs is {inputs!r}, expected a mapping of forward arguments to names of the data.")
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
    arguments = check_arguments(f"{where}.init_args", cls, part.get("init_args") or {})
    model = construct(f"{where} {part['class_path']}", cls, **arguments)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"class_path {part['class_path']!r} built a {type(model).__name__}, expected an nn.Module.")
    return model


def _method(index: int, part: Mapping[str, Any]) -> Method:
    name, arguments = named("methods", {"methods": part})
    loaded = registry("methods").load(name)
    method = construct(f"method {name}", loaded, **check_arguments(f"methods[{index}]", loaded, arguments))
    if not isinstance(method, Method):
        raise ConfigError(f"method {name!r} is a {type(method).__name__}, expected a sciml.Method.")
    return method


def _callback(part: Mapping[str, Any]) -> Callback:
    name, arguments = named("callbacks", {"callbacks": part})
    if name not in CALLBACKS:
        raise unknown_name("callback", name, CALLBACKS)
    cls = CALLBACKS[name]
    callback: Callback = construct(f"callback {name}", cls, **check_arguments(f"callbacks.{name}", cls, arguments))
    return callback
