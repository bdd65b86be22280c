"""Configurations: a YAML file and command-line overrides to one mapping, and that mapping to components.

Keys are ``model``, ``data``, ``task``, ``optimizer``, ``scheduler`` (each ``{name: ..., arguments}``), ``trainer``,
``methods`` (a list) and ``callbacks`` (a list). Values are checked against the signature of what they configure.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from sciml.errors import ConfigError, unknown_name

__all__ = ["CONFIG_VERSION", "apply_overrides", "check_arguments", "parse_value", "read_config", "refuse_class_path"]

CONFIG_VERSION = 1
SECTIONS = ("model", "data", "task", "optimizer", "scheduler", "trainer", "methods", "callbacks")
_NAMED = ("model", "data", "task", "optimizer", "scheduler")
_VERSION_KEY = "sciml_config"


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as everywhere else."""


_Loader.yaml_implicit_resolvers = deepcopy(yaml.SafeLoader.yaml_implicit_resolvers)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _load_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # a SafeLoader with one more pattern


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        ConfigError: If it is not YAML, not a mapping, of another version, or has a section that does not exist.
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no configuration {path}.")
    try:
        config = _load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise ConfigError(
            f"{path} holds a {type(config).__name__}, expected a mapping with the keys {_list(SECTIONS)}."
        )
    version = config.pop(_VERSION_KEY, CONFIG_VERSION)
    if version != CONFIG_VERSION:
        raise ConfigError(f"{path} has {_VERSION_KEY} {version}, this version of sciml reads {CONFIG_VERSION}.")
    for key, value in config.items():
        _check_section(str(key), value, str(path))
    return config


def _check_section(key: str, value: Any, where: str) -> None:
    if key not in SECTIONS:
        raise _unknown_option(key, SECTIONS, where)
    if key in ("methods", "callbacks"):
        if not isinstance(value, list) or not all(isinstance(part, dict) and "name" in part for part in value):
            raise ConfigError(f"{where}: {key} is {value!r}, expected a list of mappings with a name.")
    elif not isinstance(value, dict):
        raise ConfigError(f"{where}: {key} is {value!r}, expected a mapping.")


def _unknown_option(key: str, known: Sequence[str], where: str) -> ConfigError:
    close = get_close_matches(key, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ConfigError(f"{where}: unknown option {key!r}.{hint} Known: {_list(known)}.")


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def parse_value(text: str) -> Any:
    """A command-line value as YAML reads it: numbers, true, null, [1, 2], {a: 1}, else text.

    Example:
        >>> parse_value("1e-3"), parse_value("[8, 8]"), parse_value("fno")
        (0.001, [8, 8], 'fno')
    """
    try:
        return _load_yaml(text)
    except yaml.YAMLError:
        return text


def apply_overrides(config: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    """A configuration with command-line options such as ``--model fno --model.modes 12`` put on top.

    ``--model NAME`` means ``model.name``; another name than that of the file drops the file's arguments for it.

    Args:
        config: From :func:`read_config`.
        tokens: ``--key value`` or ``--key=value``.

    Raises:
        ConfigError: If an option has no value, or belongs to no section.

    Example:
        >>> apply_overrides({"model": {"name": "fno", "modes": 8}}, ["--model.modes", "12"])
        {'model': {'name': 'fno', 'modes': 12}}
    """
    result = deepcopy(dict(config))
    options = _options(tokens)
    for key, value in options:
        if key in _NAMED and not isinstance(value, Mapping):
            section = result.get(key) or {}
            result[key] = {**section, "name": value} if section.get("name") == value else {"name": value}
    for key, value in options:
        section, _, rest = key.partition(".")
        if not rest:
            if key in _NAMED and not isinstance(value, Mapping):
                continue
            _check_section(key, value, "command line")
            result[key] = value
            continue
        if section not in SECTIONS or section in ("methods", "callbacks"):
            raise _unknown_option(f"--{key}", [f"--{name}" for name in SECTIONS], "command line")
        _assign(result.setdefault(section, {}), rest.split("."), value)
    return result


def _options(tokens: Sequence[str]) -> list[tuple[str, Any]]:
    options = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if not token.startswith("--"):
            raise ConfigError(f"command line: {token!r} is no option; write --section.argument value.")
        key, equals, text = token[2:].partition("=")
        if not equals:
            position += 1
            if position == len(tokens) or tokens[position].startswith("--"):
                raise ConfigError(f"command line: --{key} needs a value.")
            text = tokens[position]
        options.append((key.replace("-", "_"), parse_value(text)))
        position += 1
    return options


def _assign(target: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise ConfigError(f"command line: {'.'.join(path)} goes into {part!r}, which is no mapping.")
    target[path[-1]] = value


def refuse_class_path(config: Any, where: str = "configuration") -> None:
    """Refuse a configuration that names a Python object to import.

    Raises:
        ConfigError: If ``class_path`` occurs anywhere.
    """
    if isinstance(config, Mapping):
        if "class_path" in config:
            raise ConfigError(
                f"{where} names class_path {config['class_path']!r}, which would import code. If you trust it, "
                "allow it with --allow-class-path."
            )
        for key, value in config.items():
            refuse_class_path(value, f"{where}.{key}" if where != "configuration" else str(key))
    elif isinstance(config, list):
        for index, value in enumerate(config):
            refuse_class_path(value, f"{where}[{index}]")


def import_class(path: str) -> Callable[..., Any]:
    """The object behind ``package.module.Name``; only for configurations that the user trusts."""
    module, _, name = path.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"class_path {path!r} cannot be imported: {error}") from error
    return found


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
            raise _unknown_option(f"{where}.{name}", [f"{where}.{other}" for other in known], "configuration")
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
            result[name] = parser.parse_object({name: value})[name]
        except Exception as error:
            raise ConfigError(_type_message(where, name, value, plain)) from error
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


_PLAIN = (int, float, str, bool, type(None), Path, list, tuple, dict)


def _plain_type(hint: Any) -> Any:
    """The part of an annotation that plain data can satisfy, or None: ``list[str] | Callable`` gives ``list[str]``."""
    if hint is Any or hint in _PLAIN or get_origin(hint) is Literal:
        return hint
    parts = [_plain_type(part) for part in get_args(hint) if part is not Ellipsis]
    if get_origin(hint) in (Union, UnionType):
        kept = tuple(part for part in parts if part is not None)
        return Union[kept] if kept else None  # noqa: UP007  (made at run time)
    containers = (list, tuple, dict, Sequence, Mapping, Iterable)
    if get_origin(hint) in containers and None not in parts:
        more = (Ellipsis,) if Ellipsis in get_args(hint) else ()
        return get_origin(hint)[(*parts, *more)]
    return None


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and ("name" in value or "class_path" in value)


def _type_message(where: str, name: str, value: Any, expected: Any) -> str:
    text = inspect.formatannotation(expected).replace("typing.", "").replace("collections.abc.", "")
    return f"{where}.{name} is {value!r}, expected {text}."


def named(section: str, config: Mapping[str, Any], known: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a section.

    Raises:
        ConfigError: If the section or its name is missing.
    """
    part = config.get(section)
    if not part or not isinstance(part.get("name"), str):
        hint = f" Known: {_list(known)}." if known else ""
        raise ConfigError(
            f"no {section}: give --{section} NAME, or {section}: {{name: ...}} in the configuration.{hint}"
        )
    arguments = {str(key): value for key, value in part.items() if key != "name"}
    if known and part["name"] not in known:
        raise unknown_name(section, part["name"], known)
    return part["name"], arguments
