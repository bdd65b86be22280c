"""A parameter that is a function: trained at the points of one grid, read on any other."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import axes_of, between_scales
from sciml.operators.convert.site import ONE
from sciml.spaces import RegularGrid

__all__ = ["FunctionParameter"]


class FunctionParameter(nn.Module):
    """Learned values at the points of a reference grid, linear between them: a table of positions, a bias per pixel.

    At the reference it is the parameter itself.

    Args:
        values: Values at the start, ``(..., *reference.shape)``.
        reference: Grid of the values.

    Raises:
        ConversionError: If the last axes of the values are not those of the grid.

    Example:
        >>> line = RegularGrid(shape=(4,), bounds=((0.0, 1.0),), periodic=True)
        >>> bias = FunctionParameter(torch.tensor([[0.0, 1.0, 2.0, 1.0]]), line)
        >>> bias((8,)).tolist()
        [[0.0, 0.5, 1.0, 1.5, 2.0, 1.5, 1.0, 0.5]]
    """

    def __init__(self, values: Tensor, reference: RegularGrid) -> None:
        super().__init__()
        if tuple(values.shape[-reference.dim :]) != reference.shape:
            raise ConversionError(
                f"values have shape {tuple(values.shape)}, expected (..., {', '.join(map(str, reference.shape))}) for "
                "the reference grid."
            )
        self.values = nn.Parameter(torch.as_tensor(values))
        self.reference = reference

    def forward(self, shape: Sequence[int]) -> Tensor:
        """Values on the reference's domain at so many points per axis."""
        if tuple(shape) == self.reference.shape:
            return self.values
        axes = axes_of(self.reference)
        if len(shape) != len(axes):
            raise ConversionError(f"shape is {tuple(shape)}, expected {len(axes)} numbers of points.")
        scales = [axis.scale(n, old) for axis, n, old in zip(axes, shape, self.reference.shape, strict=True)]
        return between_scales(self.values, axes, [ONE] * len(axes), scales, list(shape))

    def extra_repr(self) -> str:
        """Shape and grid, for printing."""
        return f"{tuple(self.values.shape)}, reference={self.reference.shape}"
