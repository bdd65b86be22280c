"""Scientific machine learning on graphs and operators, with a plugin API.

Importing the package loads neither torch nor any plugin; the public names below are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sciml.data import Dataset, load_dataset, open_dataset
    from sciml.registry import ModelSpec, PluginError, Registry
    from sciml.train import Method, Task, Trainer, load

_PUBLIC = {
    "Dataset": "sciml.data",
    "Method": "sciml.train",
    "ModelSpec": "sciml.registry",
    "PluginError": "sciml.errors",
    "Registry": "sciml.registry",
    "Task": "sciml.train",
    "Trainer": "sciml.train",
    "load": "sciml.train",
    "load_dataset": "sciml.data",
    "open_dataset": "sciml.data",
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sciml' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
