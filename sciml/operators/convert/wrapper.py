"""The baseline: resample to the grid of the network, run it, resample back."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.site import grid_of
from sciml.spaces import Function, RegularGrid, resample

__all__ = ["InterpolationWrapper", "ModuleWrapper"]


class InterpolationWrapper(nn.Module):
    """A network on its own grid, between two interpolations.

    On the reference grid it is the network. It loses what that grid cannot hold, and is the baseline that every
    conversion is compared with.

    Args:
        network: Maps ``(batch, channels, *grid)`` to ``(batch, channels, *grid)``.
        reference: The grid that the network was trained on, or its shape (cells of the unit box).
        method: A method of :func:`sciml.spaces.resample` for grids: ``linear``, ``cubic``, ``fourier``.

    Shapes:
        - **x**: ``(batch, channels, *any grid on the same box)``, a tensor or a :class:`~sciml.spaces.Function`
        - **output**: as the input, with the channels of the network

    Raises:
        ConversionError: If the network does not keep the shape of the grid.

    Example:
        >>> wrapper = InterpolationWrapper(nn.Conv2d(1, 1, 3, padding=1), (16, 16))
        >>> wrapper(torch.zeros(2, 1, 40, 40)).shape
        torch.Size([2, 1, 40, 40])
    """

    def __init__(self, network: nn.Module, reference: RegularGrid | Sequence[int], method: str = "linear") -> None:
        super().__init__()
        self.network = network
        self.reference = grid_of(reference)
        self.method = method

    def forward(self, x: Tensor | Function, *args: Any, **kwargs: Any) -> Tensor | Function:
        """The network's answer on the grid of the input."""
        dim = self.reference.dim
        grid = x.disc if isinstance(x, Function) else self.reference.with_shape(tuple(x.shape[-dim:]))
        function = x if isinstance(x, Function) else Function(x, grid)
        coarse = resample(function, self.reference, self.method, outside="extrapolate").values
        values = self.network(coarse, *args, **kwargs)
        if tuple(values.shape[-dim:]) != self.reference.shape:
            raise ConversionError(
                f"the network returns {tuple(values.shape)} on the grid {self.reference.shape}; an interpolation "
                "wrapper needs an output on the grid of the input."
            )
        result = resample(Function(values, self.reference), grid, self.method, outside="extrapolate")
        return result if isinstance(x, Function) else result.values


class ModuleWrapper(nn.Module):
    """A module inside of a network, between two interpolations; what ``on_unknown='wrap'`` makes.

    Args:
        module: The module as it is.
        resize: ``resize(x, to_reference)`` moves the last axes to the reference's sizes, or back.
    """

    def __init__(self, module: nn.Module, resize: Callable[[Tensor, bool], Tensor]) -> None:
        super().__init__()
        self.module = module
        self._resize = resize

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the module at the reference."""
        values = self.module(self._resize(x, True), *args, **kwargs)
        return self._resize(values, False) if isinstance(values, torch.Tensor) else values
