"""Activation functions by name, for configuration files."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from sciml.errors import unknown_name

__all__ = ["ACTIVATIONS", "activation_function"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": F.elu,
    "gelu": F.gelu,
    "identity": lambda x: x,
    "leaky_relu": F.leaky_relu,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sin": torch.sin,
    "softplus": F.softplus,
    "tanh": torch.tanh,
}


def activation_function(name: str) -> Callable[[Tensor], Tensor]:
    """The activation function of this name.

    Args:
        name: One of ``ACTIVATIONS``.

    Raises:
        UnknownNameError: If there is no such function.

    Example:
        >>> activation_function("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
