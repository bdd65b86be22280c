"""Scientific machine learning on graphs and operators, with a plugin API.

Importing the package loads neither torch nor any plugin; the public names below are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    # Type checkers and editors see the names where they are; "as" marks them as exported.
    from sciml.data import Dataset as Dataset
    from sciml.data import load_dataset as load_dataset
    from sciml.data import open_dataset as open_dataset
    from sciml.errors import PluginError as PluginError
    from sciml.registry import ModelSpec as ModelSpec
    from sciml.registry import Registry as Registry
    from sciml.train import Method as Method
    from sciml.train import Task as Task
    from sciml.train import Trainer as Trainer
    from sciml.train.load import load as load

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

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sciml' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
