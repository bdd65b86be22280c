"""Coordinates as channels, so that a network knows where a point is, at any resolution."""

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["GridEmbedding"]


class GridEmbedding(nn.Module):
    """Appends the coordinates of the unit cube to the channels of a function on a regular grid.

    A network that finds the boundary by zeros padded around it knows it to a spacing of its grid only. With coordinates
    it need not pad zeros, and what it learned holds at other resolutions.

    Args:
        alignment: Where the points lie: ``left`` (``j / n``, also for periodic nodes), ``cell`` (``(j + 1/2) / n``) or
            ``node`` (``j / (n - 1)``).

    Shapes:
        - **x**: ``(batch, channels, *grid)``
        - **output**: ``(batch, channels + dim, *grid)``

    Raises:
        ValueError: If there is no such alignment.

    Example:
        >>> GridEmbedding("cell")(torch.zeros(1, 1, 4))[0, 1]
        tensor([0.1250, 0.3750, 0.6250, 0.8750])
    """

    def __init__(self, alignment: Literal["left", "cell", "node"] = "left") -> None:
        super().__init__()
        if alignment not in ("left", "cell", "node"):
            raise ValueError(f"alignment is {alignment!r}, expected 'left', 'cell' or 'node'.")
        self.alignment = alignment

    def forward(self, x: Tensor) -> Tensor:
        """Append the coordinates."""
        offset = 0.5 if self.alignment == "cell" else 0.0
        closed = 1 if self.alignment == "node" else 0
        axes = [(torch.arange(n, device=x.device, dtype=x.dtype) + offset) / max(n - closed, 1) for n in x.shape[2:]]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        return torch.cat([x, grid.expand(len(x), *[-1] * grid.dim())], 1)

    def extra_repr(self) -> str:
        """The alignment, for printing."""
        return repr(self.alignment)
