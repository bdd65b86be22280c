"""The errors that sciml raises on purpose; the command line prints their message in one line and exits with code 2."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ConversionError",
    "DataFormatError",
    "NonFiniteError",
    "PluginError",
    "SciMLError",
    "UnknownNameError",
    "unknown_name",
]


class SciMLError(Exception):
    """Base of all errors whose message is written for the user."""


class ConfigError(SciMLError, ValueError):
    """A configuration, argument or combination of components that cannot work."""


class UnknownNameError(SciMLError, LookupError):
    """A name that no component, option or split has."""


class PluginError(SciMLError, RuntimeError):
    """A component that is declared but cannot be loaded; names the distribution and the cause."""


class ConversionError(ConfigError):
    """A network, or a part of it, that cannot become a neural operator; names the module and the choices."""


class DataFormatError(SciMLError, ValueError):
    """A data file that no reader understands, or whose content is wrong."""


class CheckpointError(SciMLError, RuntimeError):
    """A checkpoint or run folder that cannot be used."""


class NonFiniteError(SciMLError, ArithmeticError):
    """The loss or a gradient became NaN or infinite during training."""


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """Error for a name that does not exist, with close matches and the names that do.

    Args:
        kind: What was looked up, for example ``"model"``.
        name: What the user gave.
        known: The names that exist.
        hint: The way out, where there is more to say than the list.

    Example:
        >>> print(unknown_name("model", "fnoo", ["fno", "tfno"]))
        unknown model 'fnoo'. Did you mean 'fno', 'tfno'? Known models: fno, tfno.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    parts = [f"unknown {kind} {name!r}."]
    if close:
        parts.append(f"Did you mean {', '.join(map(repr, close))}?")
    parts.append(f"Known {kind}s: {', '.join(names) or 'none'}.")
    if hint:
        parts.append(hint)
    return UnknownNameError(" ".join(parts))
