"""Values of a configuration, checked against the signature of what they configure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sciml.errors import ConfigError

__all__ = ["check_arguments", "unknown_option"]


def unknown_option(key: str, known: Sequence[str], where: str) -> ConfigError:
    """Error for an option that does not exist, with the nearest one and all that do."""
    close = get_close_matches(key, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ConfigError(f"{where}: unknown option {key!r}.{hint} Known: {', '.join(known)}.")


def check_arguments(where: str, build: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with the types that a signature asks for.

    Text is converted where the annotation says so (``"0.1"`` to a float, a list to a tuple); arguments that the user
    left out stay out.

    Args:
        where: Section of the configuration, for messages.
        build: Class or function whose signature counts.
        arguments: What the user gave.

    Raises:
        ConfigError: If an argument does not exist or has a wrong type.

    Example:
        >>> def build(width: int, ratio: float = 1.0): ...
        >>> check_arguments("model", build, {"ratio": 2})
        {'ratio': 2.0}
    """
    from jsonargparse import ArgumentParser

    parameters = inspect.signature(build).parameters
    known = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(arguments)
    for name in arguments:
        if name not in known:
            raise unknown_option(f"{where}.{name}", [f"{where}.{other}" for other in known], "configuration")
    hints = _hints(build)
    result = dict(arguments)
    for name, value in arguments.items():
        built = not isinstance(value, str | int | float | list | tuple | dict | None)
        if built or _is_component(value) or hints.get(name, Any) is Any:
            continue
        plain = _plain_type(hints[name])
        if plain is None:
            raise ConfigError(f"{where}.{name} cannot be {value!r}: it takes a component, given as {{name: ...}}.")
        # Only types of plain data reach the parser: for others it would import whatever a text names.
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument(f"--{name}", type=plain)
        try:
            if value is None and plain is not Any and type(None) not in (plain, *get_args(plain)):
                raise ValueError("null is for arguments that may be left out")
            result[name] = parser.parse_object({name: value})[name]
        except Exception as error:
            shown = "null" if value is None else repr(value)
            raise ConfigError(f"{where}.{name} is {shown}, expected {type_words(plain)}.") from error
    return result


def _hints(build: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the arguments; without those that cannot be resolved at run time."""
    try:
        return get_type_hints(build.__init__ if inspect.isclass(build) else build)
    except (NameError, TypeError, AttributeError):
        parameters = inspect.signature(build).parameters
        return {
            name: p.annotation
            for name, p in parameters.items()
            if p.annotation is not inspect.Parameter.empty and not isinstance(p.annotation, str)
        }


_CONTAINERS = (list, tuple, dict, Sequence, Mapping, Iterable)
_WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Path: "a path",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
}
_PLURAL: dict[Any, str] = {
    int: "integers",
    float: "numbers",
    str: "texts",
    bool: "values true or false",
    Path: "paths",
    list: "lists",
    tuple: "lists",
    dict: "mappings",
}


def _plain_type(hint: Any) -> Any:
    """The part of an annotation that plain data can satisfy, or None: ``list[str] | Callable`` gives ``list[str]``."""
    if hint is Any or hint in tuple(_WORDS) or get_origin(hint) is Literal:
        return hint
    parts = [_plain_type(part) for part in get_args(hint) if part is not Ellipsis]
    if get_origin(hint) in (Union, UnionType):
        kept = tuple(part for part in parts if part is not None)
        return Union[kept] if kept else None  # noqa: UP007  (made at run time)
    if get_origin(hint) in _CONTAINERS and None not in parts:
        more = (Ellipsis,) if Ellipsis in get_args(hint) else ()
        return get_origin(hint)[(*parts, *more)]
    return None


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and ("name" in value or "class_path" in value)


def type_words(hint: Any) -> str:
    """A type of plain data in words.

    Example:
        >>> type_words(int | None), type_words(tuple[float, ...]), type_words(Literal["min", "max"])
        ('an integer or null', 'a list of numbers', "'min' or 'max'")
    """
    if hint in _WORDS:
        return _WORDS[hint]
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(type_words(part) for part in parts))
    if origin is tuple and Ellipsis not in parts:
        return f"a list of {len(parts)}: {', '.join(type_words(part) for part in parts)}"
    if origin in (dict, Mapping):
        return "a mapping"
    if origin in _CONTAINERS:
        return f"a list of {_PLURAL.get(parts[0]) or _plural_words(parts[0])}"
    return "any value" if hint is Any else "another value"


def _plural_words(hint: Any) -> str:
    words = type_words(hint)
    return f"items, each {words}"
