"""Models by name, and what must be remembered to build the same model again."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from sciml.errors import ConfigError, SciMLError
from sciml.registry import model_spec, registry
from sciml.spaces import DataSpec, FieldSpec, RegularGrid
from sciml.train.record import recorded

__all__ = ["Origin", "build_model", "construct", "is_plain", "origin_of", "spec_from_dict", "spec_to_dict"]


@dataclass(frozen=True)
class Origin:
    """Where a model came from.

    Attributes:
        name: Registry name.
        arguments: What the user gave.
        spec: The data specification that filled in the rest, or None.
        complete: All arguments of the constructor, with what the specification and the defaults filled in.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    spec: DataSpec | None = None
    complete: Mapping[str, Any] = field(default_factory=dict)


_ORIGINS: WeakKeyDictionary[nn.Module, Origin] = WeakKeyDictionary()


def construct(where: str, build: Callable[..., Any], *given: Any, **arguments: Any) -> Any:
    """Call a constructor with what a user gave, so that its refusal names the section and the arguments.

    Args:
        where: What is built, for the message.
        build: Class or function.
        *given: Arguments that do not come from the user.
        **arguments: Arguments of the user.

    Raises:
        ConfigError: If the constructor raises an error of values, types or shapes; it is the cause.

    Example:
        >>> construct("model linear", nn.Linear, in_features=2, out_features="wide")
        Traceback (most recent call last):
        sciml.errors.ConfigError: model linear cannot be built with in_features=2, out_features='wide': ...
    """
    try:
        return build(*given, **arguments)
    except SciMLError:
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        shown = ", ".join(f"{key}={_short(value)}" for key, value in arguments.items()) or "no arguments"
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{where} cannot be built with {shown}: {reason}") from error


def _short(value: Any) -> str:
    text = repr(value) if is_plain(value) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def build_model(name: str, spec: DataSpec | None = None, **arguments: Any) -> nn.Module:
    """A registered model, with sizes that were left out taken from a data specification.

    Args:
        name: Registry name.
        spec: Specification of the dataset; None builds from the arguments alone.
        **arguments: Arguments of the model.

    Raises:
        UnknownNameError: If no model has this name.
        ConfigError: If the arguments do not fit the model.
    """
    entry = model_spec(name)
    parameters = inspect.signature(entry.build).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        unknown = sorted(set(arguments) - set(parameters))
        if unknown:
            raise ConfigError(f"model {name} has no argument {', '.join(unknown)}. It has: {', '.join(parameters)}.")
    build = entry.from_spec if spec is not None and entry.from_spec is not None else None
    if build is None:
        missing = [p.name for p in parameters.values() if _required(p) and p.name not in arguments]
        if missing:
            raise ConfigError(f"model {name} needs {', '.join(missing)}. Give them, or a spec of the data.")
    given = (entry.build,) if build is None else (build, spec)
    model, complete = recorded(entry.build, lambda: construct(f"model {name}", *given, **arguments))
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model {name} built a {type(model).__name__}, expected a torch.nn.Module.")
    _ORIGINS[model] = Origin(name, dict(arguments), spec if build is not None else None, complete)
    return model


def _required(parameter: inspect.Parameter) -> bool:
    by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return by_name and parameter.default is inspect.Parameter.empty


def origin_of(model: nn.Module) -> Origin | None:
    """How to build this model again, or None when that is not known.

    A model made by :func:`build_model` remembers it. For an instance of a registered class, the constructor's arguments
    are read from attributes of the same names, if all of them are plain data.
    """
    if model in _ORIGINS:
        return _ORIGINS[model]
    for name, entry in registry("models").items():
        if entry.error is None and entry.value.endswith(f":{type(model).__name__}"):
            if model_spec(name).build is not type(model):
                continue
            parameters = inspect.signature(type(model)).parameters
            if not all(hasattr(model, key) and is_plain(getattr(model, key)) for key in parameters):
                return None
            return Origin(name, {key: getattr(model, key) for key in parameters})
    return None


def is_plain(value: Any) -> bool:
    """Whether a value can stand in a configuration: numbers, texts, lists and mappings of them."""
    if isinstance(value, list | tuple):
        return all(is_plain(part) for part in value)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(part) for key, part in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def spec_to_dict(spec: DataSpec) -> dict[str, Any]:
    """A data specification as plain data."""
    return {
        "task": spec.task,
        "name": spec.name,
        "fields": {name: dataclasses.asdict(value) for name, value in spec.fields.items()},
    }


def spec_from_dict(data: Mapping[str, Any]) -> DataSpec:
    """The inverse of :func:`spec_to_dict`."""
    fields = {}
    for name, value in data["fields"].items():
        grid = value["grid"]
        fields[name] = FieldSpec(
            **{**value, "shape": tuple(value["shape"]), "grid": None if grid is None else grid_from_dict(grid)}
        )
    return DataSpec(fields, task=data["task"], name=data["name"])


def grid_from_dict(data: Mapping[str, Any]) -> RegularGrid:
    """A grid from plain data."""
    return RegularGrid(
        shape=tuple(data["shape"]),
        bounds=tuple(tuple(pair) for pair in data["bounds"]),
        periodic=data["periodic"] if isinstance(data["periodic"], bool) else tuple(data["periodic"]),
        alignment=data["alignment"],
    )
