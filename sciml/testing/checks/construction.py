"""Checks of how a model is described and built: documentation, example, dataset, configuration."""

import inspect
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from sciml.config import apply_overrides, check_arguments, named, read_config
from sciml.testing import batches
from sciml.testing.candidate import Candidate, differing_state
from sciml.testing.check import SkipCheck
from sciml.train.randomness import seed_all

__all__ = ["builds_from_example", "configuration_round_trip", "documented_arguments", "documented_names", "from_spec"]

_HEADING = re.compile(r"^( *)(?:Args|Arguments):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^(\**\w+(?:\s*,\s*\**\w+)*)\s*(?:\([^)]*\))?\s*:")


def documented_arguments(candidate: Candidate) -> None:
    """Every argument of the constructor is described in the ``Args:`` section of the docstring."""
    build = _unwrapped(candidate.spec.build)
    names = [
        name
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    sources = [build, build.__init__] if inspect.isclass(build) else [build]
    documented = {name for source in sources for name in documented_names(inspect.getdoc(source) or "")}
    missing = [name for name in names if name not in documented]
    assert not missing, (
        f"the docstring of {build.__qualname__} does not describe {', '.join(missing)}. Add a line "
        f"'{missing[0]}: What it is.' to its section 'Args:'."
    )


def documented_names(docstring: str) -> set[str]:
    """Names described in the ``Args:`` section of a Google docstring.

    Example:
        >>> sorted(documented_names("Title.\\n\\nArgs:\\n    a, b: Sizes.\\n        Go on: here.\\n    *c (int): C."))
        ['a', 'b', 'c']
    """
    heading = _HEADING.search(docstring)
    if heading is None:
        return set()
    names: set[str] = set()
    outer, base = len(heading[1]), None
    for line in docstring[heading.end() :].splitlines():
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if indent <= outer:
            break
        base = indent if base is None else base
        entry = _ENTRY.match(line.strip())
        if entry is not None and indent == base:
            names |= {name.strip(" *") for name in entry[1].split(",")}
    return names


def _unwrapped(build: Callable[..., Any]) -> Any:
    while isinstance(build, partial):
        build = build.func
    return inspect.unwrap(build)


def builds_from_example(candidate: Candidate) -> None:
    """``example()`` gives arguments that build the model, and the same batch each time, with which it can be called."""
    arguments, batch = candidate.example()
    again = candidate.example()[1]
    changing = sorted(name for name in batch if name not in again or not torch.equal(batch[name], again[name]))
    assert not changing, (
        f"two calls of example() give different {', '.join(changing)}. Draw them with "
        "torch.Generator().manual_seed(0), so that every run tests the same."
    )
    model, kept = candidate.build(), repr(arguments)
    candidate.spec.build(**arguments)
    assert repr(arguments) == kept, "the constructor changes its arguments. Copy a list or dict before changing it."
    candidate.binding(model, batch)


def from_spec(candidate: Candidate) -> None:
    """``from_spec(spec, **arguments)`` fills in what the dataset determines, and what the user gives wins."""
    build = candidate.spec.from_spec
    if build is None:
        raise SkipCheck("there is no from_spec: a user has to give all sizes.")
    arguments, batch = candidate.example()
    expected = tuple(candidate.predict(candidate.build()).shape)
    spec = batches.data_spec(batch)
    parameters = inspect.signature(candidate.spec.build).parameters
    optional = {
        name: value
        for name, value in arguments.items()
        if name not in parameters or parameters[name].default is not inspect.Parameter.empty
    }
    model = _built(build, spec, optional)
    shape = tuple(candidate.predict(model).shape)
    left_out = [name for name in arguments if name not in optional]
    assert shape == expected, (
        f"from_spec without {', '.join(left_out) or 'sizes'} makes a model that gives {shape}, the example {expected}. "
        "Take the sizes from spec.in_channels, spec.out_channels, spec.dim or spec['name']."
    )
    differing = differing_state(_built(build, spec, arguments), candidate.build())
    assert not differing, (
        f"from_spec with all arguments of the example gives other {', '.join(differing[:3])} than the constructor. "
        "What the user gives must win: cls(**{**sizes, **kwargs})."
    )


def _built(build: Callable[..., Any], spec: Any, arguments: Mapping[str, Any]) -> nn.Module:
    seed_all(0)
    try:
        return build(spec, **arguments)
    except Exception as error:
        raise AssertionError(
            f"from_spec with {', '.join(arguments) or 'no arguments'} raised {type(error).__name__}: {error} "
            f"The fields of the dataset are {', '.join(spec.fields)}; fill in every argument that has no default."
        ) from error


def configuration_round_trip(candidate: Candidate) -> None:
    """The arguments survive a configuration file and the command line, and build an equal model."""
    model, (arguments, _) = candidate.build(), candidate.example()
    try:
        plain = json.loads(json.dumps(arguments))
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"the example's arguments are not plain data ({error}). Take numbers, strings, lists or dicts of them; "
            "turn names into objects in the constructor."
        ) from error
    assert "name" not in plain, "an argument is called 'name', which names the model in a configuration. Rename it."
    for source, config in (("a file", _from_file(plain)), ("the command line", _from_command_line(plain))):
        _, given = named("model", config)
        parsed = check_arguments("model", candidate.spec.build, given)
        changed = sorted(name for name in plain if name not in parsed or _plain(parsed[name]) != plain[name])
        assert not changed, (
            f"{changed[0]}={plain[changed[0]]!r} comes back from {source} as {parsed.get(changed[0])!r}. "
            "Correct its type hint in the constructor."
        )
        seed_all(0)
        differing = differing_state(candidate.spec.build(**parsed), model)
        assert not differing, (
            f"the model from {source} has other {', '.join(differing[:3])}. "
            "The constructor must treat a list from YAML as it treats a tuple."
        )


def _plain(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return value


def _from_file(arguments: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sciml-") as folder:
        path = Path(folder, "config.yaml")
        path.write_text(yaml.safe_dump({"model": {"name": "candidate", **arguments}}), encoding="utf-8")
        return read_config(path)


def _from_command_line(arguments: Mapping[str, Any]) -> dict[str, Any]:
    # JSON is YAML, on one line.
    options = [part for name, value in arguments.items() for part in (f"--model.{name}", json.dumps(value))]
    return apply_overrides({}, ["--model", "candidate", *options])
