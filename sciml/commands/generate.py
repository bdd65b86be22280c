"""``sciml data generate``: samples of a problem into a file; the problem's parameters are options."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

from sciml.errors import ConfigError, unknown_name
from sciml.registry import registry

__all__ = ["generate"]

EPILOG = """\
A run that was stopped or killed goes on when the same command is given again, and ends with the same bytes.

examples:
  sciml data generate burgers --num 1000 --seed 0 --out burgers.hdf5
  sciml data generate burgers --num 200 --nu 0.01 --resolution 512 --out burgers.hdf5
  sciml data generate navier-stokes --num 20 --format well --out navier-stokes

sciml problems lists the problems.
"""


def generate(tokens: Sequence[str]) -> int:
    """Generate a file as the command line says."""
    name = next((token for token in tokens[:1] if not token.startswith("-")), None)
    problem = registry("problems").load(name) if name is not None else None
    known = {field.name: field for field in fields(problem)} if problem is not None else {}
    parser = _parser(problem, known)
    arguments, rest = parser.parse_known_args(list(tokens))
    for token in rest:
        if token.startswith("--"):
            raise unknown_name(f"option or parameter of {name}", token[2:].partition("=")[0], [*_OPTIONS, *known])
        raise ConfigError(f"{token!r} is neither an option nor the value of one.")
    given = {key: value for key, value in vars(arguments).items() if key in known and key not in _OPTIONS}
    parameters = {key: value for key, value in given.items() if value is not None} | _set(arguments.set, known, name)

    from sciml.data.generation import generate as make
    from sciml.data.generation import resolve_problem

    file = make(
        resolve_problem(arguments.name, parameters),
        arguments.num,
        arguments.out,
        resolution=_resolution(arguments.resolution),
        seed=arguments.seed,
        start=arguments.start,
        workers=arguments.workers,
        chunk=arguments.chunk,
        format=arguments.format,
        overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )
    print(f"{arguments.num} samples of {arguments.name}: {file} ({file.stat().st_size / 2**20:.1f} MiB)")
    return 0


_OPTIONS: dict[str, dict[str, Any]] = {
    "num": {"type": int, "required": True, "metavar": "N", "help": "number of samples"},
    "out": {"required": True, "metavar": "FILE", "help": "file to write; with --format well a folder"},
    "resolution": {"metavar": "N", "help": "points per axis (64, or 64,32); default: the problem's"},
    "seed": {"type": int, "default": 0, "metavar": "N", "help": "seed of the sequence of samples"},
    "start": {"type": int, "default": 0, "metavar": "N", "help": "first sample of the sequence"},
    "format": {"choices": ("pdebench", "well"), "default": "pdebench", "help": "layout of the file"},
    "workers": {"type": int, "metavar": "N", "help": "processes, one thread each; default: all cores"},
    "chunk": {"type": int, "metavar": "N", "help": "samples that are generated and kept at a time"},
    "set": {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": "parameter of the problem"},
    "overwrite": {"action": "store_true", "help": "replace an existing file, and begin again"},
    "quiet": {"action": "store_true", "help": "show no progress"},
}


def _parser(problem: Any, known: dict[str, Field[Any]]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sciml data generate",
        description=_description(problem),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="name of a problem")
    for option, settings in _OPTIONS.items():
        parser.add_argument(f"--{option}", **settings)
    if known:
        from sciml.commands.describe import _explanations

        texts = _explanations(inspect.getdoc(problem) or "")
        group = parser.add_argument_group("parameters of the problem")
        for key, field in known.items():
            if key not in _OPTIONS:
                text = f"{texts.get(key, '')} (default {_default(field)})".strip()
                flags = dict.fromkeys((f"--{key}", f"--{key.replace('_', '-')}"))
                group.add_argument(
                    *flags, dest=key, type=_reader(problem, key), metavar="VALUE", help=text.replace("%", "%%")
                )
    return parser


def _description(problem: Any) -> str:
    if problem is None:
        return "Generate samples of a problem. sciml data generate NAME --help lists the parameters of one."
    return f"{(inspect.getdoc(problem) or '').partition(chr(10))[0]}\n\n{getattr(problem, 'equation', '')}"


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _set(pairs: Sequence[str], known: dict[str, Field[Any]], name: str | None) -> dict[str, Any]:
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise ConfigError(f"--set {pair}: expected NAME=VALUE.")
        if key not in known:
            raise unknown_name(f"parameter of {name}", key, known)
        try:
            values[key] = _reader(registry("problems").load(str(name)), key)(text)
        except argparse.ArgumentTypeError as error:
            raise ConfigError(f"--set {pair}: {error}") from error
    return values


def _reader(problem: Any, key: str) -> Any:
    """Text to a value of the parameter's type."""
    kind = get_type_hints(problem).get(key, Any)

    def read(text: str) -> Any:
        import yaml

        try:
            # YAML 1.1 takes 1e-3 for a word.
            value = float(text) if kind is float else text if kind is str else yaml.safe_load(text)
        except (ValueError, yaml.YAMLError):
            value = None
        if isinstance(value, list):
            value = tuple(value)
        if (kind in (int, bool) and type(value) is not kind) or value is None:
            raise argparse.ArgumentTypeError(f"{text!r} is no {getattr(kind, '__name__', kind)}")
        return value

    return read


def _resolution(text: str | None) -> Any:
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--resolution is {text!r}, expected a number, or numbers with commas, as 64,32.") from None
    return sizes[0] if len(sizes) == 1 else sizes
