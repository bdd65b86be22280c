"""Which entry of a batch goes to which argument of ``forward``, resolved once."""

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from torch import nn

from sciml.errors import ConfigError

__all__ = ["Binding", "bind"]

# Forward argument to batch key; the parts of a function have its name before the dot.
_FALLBACK = {
    "u": "x",
    "sensors": "u.pos",
    "sensor_weights": "u.weight",
    "sensor_mask": "u.mask",
    "query_weights": "y.weight",
    "query_mask": "y.mask",
}


class Binding:
    """Calls a model with the entries of a batch.

    Args:
        arguments: Forward argument to batch key, in the order of the signature.
        positional: Number of leading arguments passed by position.
    """

    def __init__(self, arguments: Mapping[str, str], positional: int) -> None:
        pairs = list(arguments.items())
        self.arguments = dict(arguments)
        self._positional = tuple(key for _, key in pairs[:positional])
        self._keyword = tuple(pairs[positional:])

    def __call__(self, model: nn.Module, batch: Mapping[str, Any]) -> Any:
        args = [batch[key] for key in self._positional]
        if self._keyword:
            return model(*args, **{name: batch[key] for name, key in self._keyword})
        return model(*args)

    def __repr__(self) -> str:
        return f"Binding({', '.join(f'{name}={key}' for name, key in self.arguments.items())})"


def bind(model: nn.Module, keys: Collection[str], inputs: Mapping[str, str] | None = None) -> Binding:
    """Match the arguments of ``model.forward`` with the keys of a batch.

    An argument takes the key of its own name; ``u`` falls back to ``x``; ``inputs`` overrides both.

    Args:
        model: The model, before any wrapping or compilation.
        keys: Names that a batch holds.
        inputs: Forward argument to batch key, where the names differ.

    Raises:
        ConfigError: If a required argument has no key; the message lists both sides.

    Example:
        >>> bind(nn.Linear(2, 3), {"x", "y"}, {"input": "x"})
        Binding(input=x)
    """
    inputs = dict(inputs or {})
    parameters = inspect.signature(model.forward).parameters
    named = {
        name: p
        for name, p in parameters.items()
        if p.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    unknown = set(inputs) - set(named)
    if unknown:
        raise ConfigError(
            f"inputs names {sorted(unknown)}, but forward of {type(model).__name__} takes {list(named)}. "
            f"The batch holds {sorted(keys)}."
        )
    arguments: dict[str, str] = {}
    positional, by_position = 0, True
    missing = []
    # A model may take optional arguments only in some of its forms, as sensors for a branch that can read them.
    unused = {name for name in getattr(model, "unused_arguments", ()) if name not in inputs}
    for name, parameter in named.items():
        if name in unused:
            by_position = False
            continue
        key = inputs.get(name, name if name in keys else _FALLBACK.get(name, name))
        if key not in keys:
            if parameter.default is inspect.Parameter.empty or name in inputs:
                missing.append(name if key == name else f"{name} (from {key})")
            by_position = False
            continue
        arguments[name] = key
        by_position = by_position and parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        positional += by_position
    if missing:
        raise ConfigError(
            f"forward of {type(model).__name__} takes {list(named)}, the batch holds {sorted(keys)}: "
            f"nothing for {', '.join(missing)}. Name the keys with model.inputs, for example "
            f"inputs={{'{missing[0].split()[0]}': '{_suggestion(keys, arguments.values())}'}}."
        )
    return Binding(arguments, positional)


def _suggestion(keys: Collection[str], used: Collection[str]) -> str:
    """The key that an argument without one most likely means: an input function, before points and weights."""
    free = [key for key in keys if key not in used] or list(keys)
    order = {"x": 0, "u": 1, "params": 3, "coords": 4}
    return min(free, key=lambda key: (5 if "." in key else order.get(key, 2), key), default="x")
