"""A module as an instance of another class, with its very state."""

from typing import TypeVar

from torch import nn

__all__ = ["recast"]

M = TypeVar("M", bound=nn.Module)


def recast(module: nn.Module, cls: type[M]) -> M:
    """An instance of a class with the parameters, buffers, children, hooks and attributes of a module.

    They are shared, not copied: whoever trains one trains the other.

    Args:
        module: A module of a class that ``cls`` inherits from, or with the same attributes.
        cls: The class wanted.
    """
    new = cls.__new__(cls)
    new.__dict__ = {
        name: value.copy() if isinstance(value, dict | set) else value for name, value in module.__dict__.items()
    }
    return new
