"""Configurations: a YAML file and command-line overrides to one mapping, and that mapping to components.

Keys are ``model``, ``data``, ``task``, ``optimizer``, ``scheduler`` (each ``{name: ..., arguments}``), ``trainer``,
``methods`` (a list) and ``callbacks`` (a list). Values are checked against the signature of what they configure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from sciml.commands.arguments import check_arguments, unknown_option
from sciml.data.strict_yaml import DuplicateKey, load_yaml
from sciml.errors import ConfigError, unknown_name

__all__ = [
    "CONFIG_VERSION",
    "SECTIONS",
    "VERSION_KEY",
    "apply_overrides",
    "check_arguments",
    "named",
    "parse_value",
    "read_config",
    "refuse_class_path",
    "section_value",
]

CONFIG_VERSION = 1
SECTIONS = ("model", "data", "task", "optimizer", "scheduler", "trainer", "methods", "callbacks")
_NAMED = ("model", "data", "task", "optimizer", "scheduler")
VERSION_KEY = "sciml_config"


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
        config = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    keys = f"expected a mapping with the keys {_list(SECTIONS)}."
    if config is None:
        raise ConfigError(f"{path} is empty, {keys}")
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds {_a_kind(config)}, {keys}")
    version = config.pop(VERSION_KEY, CONFIG_VERSION)
    if version != CONFIG_VERSION:
        raise ConfigError(f"{path} has {VERSION_KEY} {version}, this version of sciml reads {CONFIG_VERSION}.")
    return {str(key): section_value(str(key), value, str(path)) for key, value in config.items()}


def _a_kind(value: Any) -> str:
    return {list: "a list", str: "a text", int: "a number", float: "a number"}.get(type(value), "a single value")


def section_value(key: str, value: Any, where: str) -> Any:
    """The value of a section; a name alone stands for ``{name: ...}``.

    Raises:
        ConfigError: If there is no such section, or it has another form.
    """
    if key not in SECTIONS:
        raise unknown_option(key, SECTIONS, where)
    shown = "empty" if value is None else repr(value)
    if key in ("methods", "callbacks"):
        parts = [{"name": part} if isinstance(part, str) else part for part in value] if type(value) is list else None
        if parts is None or not all(isinstance(part, dict) and "name" in part for part in parts):
            raise ConfigError(f"{where}: {key} is {shown}, expected a list of mappings with a name.")
        return parts
    if key in _NAMED and isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: {key} is {shown}, expected a mapping{' or a name' * (key in _NAMED)}.")
    return value


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def parse_value(text: str) -> Any:
    """A command-line value as YAML reads it: numbers, true, null, [1, 2], {a: 1}, else text.

    Example:
        >>> parse_value("1e-3"), parse_value("[8, 8]"), parse_value("fno")
        (0.001, [8, 8], 'fno')
    """
    try:
        return load_yaml(text)
    except DuplicateKey as error:
        raise ConfigError(f"command line: {text!r}: {error}.") from error
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
            result[key] = section_value(key, value, "command line")
            continue
        if section not in SECTIONS or section in ("methods", "callbacks"):
            raise unknown_option(f"--{key}", [f"--{name}" for name in SECTIONS], "command line")
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
