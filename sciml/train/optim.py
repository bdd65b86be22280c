"""Optimizers and learning-rate schedules from ``{"name": ..., arguments}``: the one place where their names resolve."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from sciml.errors import ConfigError, unknown_name

__all__ = [
    "OPTIMIZERS",
    "SCHEDULERS",
    "Schedule",
    "build_optimizer",
    "build_schedule",
    "complete_optimizer",
    "complete_schedule",
    "optimizer_recipe",
    "schedule_recipe",
]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "adamax": torch.optim.Adamax,
    "lbfgs": torch.optim.LBFGS,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}

Interval = Literal["step", "epoch", "metric"]

SCHEDULERS: dict[str, tuple[type[Any], Interval]] = {
    "constant": (lr_scheduler.ConstantLR, "epoch"),
    "cosine": (lr_scheduler.CosineAnnealingLR, "step"),
    "exponential": (lr_scheduler.ExponentialLR, "epoch"),
    "linear": (lr_scheduler.LinearLR, "step"),
    "multistep": (lr_scheduler.MultiStepLR, "epoch"),
    "onecycle": (lr_scheduler.OneCycleLR, "step"),
    "plateau": (lr_scheduler.ReduceLROnPlateau, "metric"),
    "step": (lr_scheduler.StepLR, "epoch"),
}

# Arguments that default to the length of the run, counted in the units of the schedule.
_RUN_LENGTH = {"cosine": "T_max", "linear": "total_iters", "onecycle": "total_steps"}


@dataclass
class Schedule:
    """A learning-rate scheduler and when it steps.

    Attributes:
        scheduler: The torch scheduler.
        interval: After every optimizer step, every epoch, or every validation with the monitored metric.
    """

    scheduler: Any
    interval: Interval

    def step(self, *metric: float) -> None:
        """Advance by one interval.

        Raises:
            ConfigError: If the schedule was made for a shorter run.
        """
        try:
            self.scheduler.step(*metric)
        except ValueError as error:
            raise ConfigError(
                f"the schedule cannot go on: {error} A schedule keeps the length it was made for; a run that is "
                "extended needs one without an end (constant, exponential, step), or a longer one from the start."
            ) from error


def optimizer_recipe(given: Any) -> Mapping[str, Any] | Callable[[nn.Module], Optimizer] | None:
    """What a user may give as the optimizer of a run: a name, a mapping with a name, or a function of the model.

    Raises:
        ConfigError: If it is something else. A finished optimizer is refused: it holds the parameters of a model
            before it was moved, cast or transformed, and a resumed run could not make it again.

    Example:
        >>> optimizer_recipe("adam")
        {'name': 'adam'}
    """
    if isinstance(given, Optimizer):
        name = type(given).__name__
        known = name.lower() if name.lower() in OPTIMIZERS else "adam"
        raise ConfigError(
            f"optimizer is a finished {name}, expected a name, {{'name': ..., arguments}} or a function of the model. "
            f"Give {{'name': '{known}', 'lr': 1e-3}}, or lambda model: {name}(model.parameters(), lr=1e-3)."
        )
    if isinstance(given, type) and issubclass(given, Optimizer):
        raise ConfigError(
            f"optimizer is the class {given.__name__}, expected a name, {{'name': ..., arguments}} or a function of "
            f"the model, such as lambda model: {given.__name__}(model.parameters(), lr=1e-3)."
        )
    return given if callable(given) else _recipe("optimizer", given, OPTIMIZERS, " or a function of the model")


def schedule_recipe(given: Any) -> Mapping[str, Any] | None:
    """What a user may give as the scheduler of a run: a name, or a mapping with a name.

    Raises:
        ConfigError: If it is something else.

    Example:
        >>> schedule_recipe("cosine")
        {'name': 'cosine'}
    """
    return _recipe("scheduler", given, SCHEDULERS)


def _recipe(kind: str, given: Any, known: Mapping[str, Any], other: str = "") -> Mapping[str, Any] | None:
    if isinstance(given, str):
        given = {"name": given}
    if given is None:
        return None
    if not isinstance(given, Mapping):
        names = ", ".join(sorted(known))
        raise ConfigError(
            f"{kind} is a {type(given).__name__}, expected a name, {{'name': ..., arguments}}{other}. "
            f"Known {kind}s: {names}."
        )
    name, arguments = _split_name(kind, given, known)
    found = known[name]
    cls, extra = (found[0], {"interval"}) if isinstance(found, tuple) else (found, set())
    _refuse_unknown(kind, name, cls, set(arguments) - extra)
    return given


def complete_optimizer(config: Mapping[str, Any] | str) -> dict[str, Any]:
    """A recipe with the arguments that were left out, so that it says all of what is used.

    What torch chooses by device (``fused``, ``foreach``) stays open.

    Example:
        >>> complete_optimizer({"name": "rmsprop", "lr": 0.1})["alpha"]
        0.99
    """
    name, arguments = _split_name("optimizer", config, OPTIMIZERS)
    return {"name": name, **_defaults(OPTIMIZERS[name]), **arguments}


def complete_schedule(config: Mapping[str, Any] | str, mode: str = "min") -> dict[str, Any]:
    """A recipe with the arguments that were left out; those that follow from the length of the run stay open.

    Args:
        config: Name, or name and arguments.
        mode: Whether the metric that ``plateau`` follows should fall (``min``) or rise (``max``).

    Example:
        >>> complete_schedule("linear")
        {'name': 'linear', 'start_factor': 0.3333333333333333, 'end_factor': 1.0, 'interval': 'step'}
    """
    name, arguments = _split_name("scheduler", config, SCHEDULERS)
    cls, interval = SCHEDULERS[name]
    defaults = _defaults(cls) | {"interval": interval} | ({"mode": mode} if name == "plateau" else {})
    open_ones = {"last_epoch", _RUN_LENGTH.get(name)}
    return {"name": name, **{key: value for key, value in defaults.items() if key not in open_ones}, **arguments}


def _defaults(cls: type[Any]) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, bool | int | float | str | tuple)}


def build_optimizer(config: Mapping[str, Any] | str, model: nn.Module) -> Optimizer:
    """The named torch optimizer over the trainable parameters of a model.

    The fused implementation is used where it exists and every parameter is real and floating point.

    Args:
        config: ``name`` and the arguments of the optimizer, or the name alone.
        model: The model.

    Raises:
        ConfigError: If an argument does not exist or has a wrong value, or nothing is trainable.
        UnknownNameError: If there is no such optimizer.

    Example:
        >>> build_optimizer({"name": "sgd", "lr": 0.1}, nn.Linear(2, 1)).defaults["lr"]
        0.1
    """
    name, arguments = _split_name("optimizer", config, OPTIMIZERS)
    cls = OPTIMIZERS[name]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ConfigError(f"{type(model).__name__} has no trainable parameter: nothing to optimise.")
    if "fused" not in arguments and _can_fuse(cls, parameters):
        arguments["fused"] = True
    return _construct("optimizer", name, cls, parameters, arguments)


def build_schedule(
    config: Mapping[str, Any] | str, optimizer: Optimizer, num_steps: int | None, num_epochs: int
) -> Schedule:
    """The named torch scheduler, with the length of the run filled in where it is left out.

    Args:
        config: ``name``, the arguments of the scheduler, and optionally ``interval`` (step, epoch or metric); or the
            name alone.
        optimizer: The optimizer.
        num_steps: Optimizer steps of the whole run.
        num_epochs: Epochs of the whole run.

    Raises:
        ConfigError: If an argument does not exist or has a wrong value.
        UnknownNameError: If there is no such scheduler.
    """
    name, arguments = _split_name("scheduler", config, SCHEDULERS)
    cls, default_interval = SCHEDULERS[name]
    _default_peak(name, arguments, optimizer)
    interval = arguments.pop("interval", default_interval)
    if interval not in ("step", "epoch", "metric"):
        raise ConfigError(f"scheduler.interval is {interval!r}, expected step, epoch or metric.")
    length = _RUN_LENGTH.get(name)
    if length is not None and arguments.get(length) is None and not (name == "onecycle" and "epochs" in arguments):
        arguments[length] = num_steps if interval == "step" else num_epochs
    return Schedule(_construct("scheduler", name, cls, optimizer, arguments), interval)


def _split_name(kind: str, config: Mapping[str, Any] | str, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {"name": config} if isinstance(config, str) else dict(config)
    name = arguments.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{kind} needs a name, given {arguments}. Known {kind}s: {', '.join(sorted(known))}.")
    if name.lower() not in known:
        raise unknown_name(kind, name, known)
    return name.lower(), arguments


def _construct(kind: str, name: str, cls: type[Any], first: Any, arguments: dict[str, Any]) -> Any:
    accepted = _refuse_unknown(kind, name, cls, arguments)
    missing = [p for p in _required(cls) if p in accepted and p not in arguments]
    if missing:
        raise ConfigError(
            f"{kind} {name} needs {', '.join(missing)}: {kind}.{missing[0]}. Known: {', '.join(accepted)}."
        )
    if (size := arguments.get("step_size", 1)) == 0:
        raise ConfigError(f"{kind}.step_size is {size}, expected at least 1.")
    try:
        return cls(first, **arguments)
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise ConfigError(f"{kind} {name} with {arguments}: {error}") from error


def _refuse_unknown(kind: str, name: str, cls: type[Any], arguments: Iterable[str]) -> list[str]:
    """The names of the arguments that a class takes, all others being refused."""
    accepted = [p for p in inspect.signature(cls).parameters if p not in ("self", "params", "optimizer")]
    unknown = sorted(set(arguments) - set(accepted))
    if unknown:
        raise ConfigError(f"{kind} {name} has no argument {', '.join(unknown)}. Its arguments: {', '.join(accepted)}.")
    return accepted


def _required(cls: type[Any]) -> list[str]:
    return [name for name, p in inspect.signature(cls).parameters.items() if p.default is inspect.Parameter.empty]


def _default_peak(name: str, arguments: dict[str, Any], optimizer: Optimizer) -> None:
    """``onecycle`` alone climbs to the rate of the optimizer."""
    if name == "onecycle" and arguments.get("max_lr") is None:
        arguments["max_lr"] = [group["lr"] for group in optimizer.param_groups]


def _can_fuse(cls: type[Optimizer], parameters: Iterable[Tensor]) -> bool:
    if "fused" not in inspect.signature(cls).parameters:
        return False
    return all(
        parameter.is_floating_point() and parameter.device.type in ("cpu", "cuda") and not parameter.is_sparse
        for parameter in parameters
    )
