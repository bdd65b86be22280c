"""The complete configuration of a run: what the user gave, and beside it what the data and the defaults filled in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from sciml.config import check_arguments
from sciml.errors import ConfigError
from sciml.registry import model_spec
from sciml.train import Trainer
from sciml.train.build import is_plain, origin_of

__all__ = ["complete_model", "complete_trainer", "with_defaults"]

# Switches of one call, and what has a section of its own.
_NOT_STORED = ("callbacks", "overwrite")


def with_defaults(where: str, build: Callable[..., Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A section with the defaults of the arguments that it leaves out.

    Args:
        where: Name of the section.
        build: What it configures.
        part: The section.

    Example:
        >>> def build(width: int, ratio: float = 1.0, names: list[str] | None = None): ...
        >>> with_defaults("model", build, {"name": "demo", "width": 8})
        {'name': 'demo', 'width': 8, 'ratio': 1.0}
    """
    parameters = inspect.signature(build).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    return _filled(where, build, part, defaults)


def complete_model(part: Mapping[str, Any], model: nn.Module) -> dict[str, Any]:
    """The section of a model with the sizes that came from the data, and the defaults."""
    origin = origin_of(model)
    if origin is None or part.get("name") != origin.name:
        return dict(part)
    return _filled("model", model_spec(origin.name).build, part, origin.complete)


def complete_trainer(part: Mapping[str, Any], trainer: Trainer) -> dict[str, Any]:
    """The section of the trainer with every argument as it is used."""
    names = [name for name in inspect.signature(Trainer).parameters if name not in _NOT_STORED]
    return _filled("trainer", Trainer, part, {name: getattr(trainer, name, None) for name in names})


def _filled(
    where: str, build: Callable[..., Any], part: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """What the user gave stays as it was given; of the rest, what a configuration can hold."""
    more = {name: value for name, value in values.items() if name not in part and value is not None}
    return {**part, **{name: value for name, value in more.items() if _can_be_read(where, build, name, value)}}


def _can_be_read(where: str, build: Callable[..., Any], name: str, value: Any) -> bool:
    """An object, or a default that its own annotation does not allow, is filled in again when the run is repeated."""
    if name in ("name", "inputs") or not is_plain(value):
        return False
    try:
        check_arguments(where, build, {name: value})
    except ConfigError:
        return False
    return True
