"""The package ``neuraloperator``: imported late, kept quiet, and missing with a message that says what to install."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

__all__ = ["build_quietly", "has_local_no", "has_package", "reference_model"]

_MISSING = "the models {names} come from the package neuraloperator: pip install neuraloperator==2.0.0."
_ABSENT = {
    "LocalNO": "It needs torch-harmonics in a version before 0.9 (pip install --no-build-isolation "
    "torch-harmonics==0.8.0 compiles it in some minutes); with any other version neuraloperator leaves LocalNO out "
    "without a word.",
    "OTNO": "It is in the repository of neuraloperator, but not in the released package.",
}


def has_package() -> bool:
    """Whether ``neuraloperator`` is installed."""
    return find_spec("neuralop") is not None


def has_local_no() -> bool:
    """Whether ``neuraloperator`` is installed, and with it the torch-harmonics that its LocalNO needs."""
    try:
        reference_model("LocalNO")
    except ImportError:
        return False
    return True


def reference_model(name: str) -> type[Any]:
    """A class of ``neuralop.models``.

    Args:
        name: ``UNO``, ``GINO``, ``CODANO``, ``LocalNO`` or ``OTNO``.

    Raises:
        ImportError: If the package is not installed, or has no such model; the message says what to do.
    """
    if not has_package():
        raise ImportError(_MISSING.format(names="uno, gino, codano and local-no"))
    models = _import_quietly("neuralop.models")
    if not hasattr(models, name):
        version = metadata.version("neuraloperator")
        raise ImportError(f"neuraloperator {version} has no {name}. {_ABSENT.get(name, '')}".rstrip())
    return getattr(models, name)


def _import_quietly(module: str) -> Any:
    """Import without what the package does on the side: it prints, and changes the filters for warnings."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return import_module(module)


def build_quietly(build: Callable[..., Any], **arguments: Any) -> Any:
    """Call a constructor that prints."""
    with redirect_stdout(io.StringIO()):
        return build(**arguments)
