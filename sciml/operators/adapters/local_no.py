"""Neural operator with localized kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.adapters.base import DEFAULT_MODES, GridAdapter, grid_sizes
from sciml.operators.adapters.package import build_quietly, reference_model

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["LocalNO"]


class LocalNO(GridAdapter):
    """Local neural operator of the package neuraloperator: Fourier, differential and local integral layers in parallel.

    Known defects of ``neuraloperator`` 2.0.0 (:func:`~sciml.operators.adapters.known_defects`): the model is absent
    unless torch-harmonics before 0.9 is installed; its local integrals work in two dimensions only; its output grows
    without bound as the grid is refined, most of all with ``grid_embedding``, whose jump at the periodic boundary the
    differential layers see; single precision only; complex weights, so no fused optimizer.

    Args:
        in_channels: Channels of the input function.
        out_channels: Channels of the output function.
        grid_shape: Points per axis of the training grid, on which the local kernels are laid out.
        modes: Wave numbers kept per axis; one number for all axes, or one per axis.
        dim: Number of grid axes; needed when ``modes`` is one number.
        hidden_channels: Width of the layers.
        num_layers: Number of layers.
        local_integrals: Have local integral kernels; None has them in two dimensions.
        differential: Have differential kernels.
        boundary: How the local layers continue functions over the boundary.
        grid_embedding: Append the coordinates of the unit cube to the input.
        padding: Zeros put around the lifted function, as a fraction of the grid on each side.
        lifting_ratio: Hidden width of the lifting network, relative to ``hidden_channels``.
        projection_ratio: Hidden width of the projection network, relative to ``hidden_channels``.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``, or ``(batch, *grid)`` for one channel.
        - **output**: ``(batch, out_channels, *grid)``.

    Raises:
        ConfigError: If arguments do not fit one another, or the input has another shape or type.
        ImportError: If the package is not installed, or lacks the model for want of a fitting torch-harmonics.

    Reference:
        Liu-Schiaffini et al.: Neural operators with localized integral and differential kernels (2024).

    Example:
        >>> model = LocalNO(1, 1, grid_shape=[16, 16], modes=[6, 6], hidden_channels=8)  # doctest: +SKIP
        >>> model(torch.zeros(2, 1, 16, 16)).shape  # doctest: +SKIP
        torch.Size([2, 1, 16, 16])
    """

    resolution_note = (
        "the local layers of neuraloperator 2.0 do not converge as the grid is refined (known defect "
        "'local-resolution'). fno and tfno hold at any resolution."
    )

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_shape: Sequence[int],
        modes: int | Sequence[int] = DEFAULT_MODES,
        dim: int | None = None,
        hidden_channels: int = 32,
        num_layers: int = 4,
        local_integrals: bool | None = None,
        differential: bool = True,
        boundary: Literal["periodic", "zeros"] = "periodic",
        grid_embedding: bool = True,
        padding: float = 0.0,
        lifting_ratio: float = 2,
        projection_ratio: float = 2,
    ) -> None:
        super().__init__(in_channels, out_channels, modes, dim)
        if len(grid_shape) != self.dim:
            raise ConfigError(f"grid_shape is {list(grid_shape)}, expected {self.dim} numbers, as many as axes.")
        if local_integrals and self.dim != 2:
            raise ConfigError(
                f"local_integrals is true in {self.dim} dimensions, but those of neuraloperator 2.0 work in two only "
                "(known defect 'local-integrals-in-the-plane'). Leave them out."
            )
        self.grid_shape = list(grid_shape)
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.local_integrals = local_integrals
        self.differential = differential
        self.boundary = boundary
        self.grid_embedding = grid_embedding
        self.padding = padding
        self.lifting_ratio = lifting_ratio
        self.projection_ratio = projection_ratio
        self.local_no: nn.Module = build_quietly(
            reference_model("LocalNO"),
            in_channels=in_channels,
            out_channels=out_channels,
            n_modes=tuple(self.modes),
            hidden_channels=hidden_channels,
            default_in_shape=tuple(grid_shape),
            n_layers=num_layers,
            disco_layers=self.dim == 2 if local_integrals is None else local_integrals,
            diff_layers=differential,
            conv_padding_mode=boundary,
            positional_embedding="grid" if grid_embedding else None,
            domain_padding=padding or None,
            lifting_channel_ratio=lifting_ratio,
            projection_channel_ratio=projection_ratio,
        )

    @property
    def model(self) -> nn.Module:
        return self.local_no

    @classmethod
    def from_spec(cls, spec: DataSpec, **kwargs: Any) -> LocalNO:
        """Build the model for a dataset; the training grid is that of its ``x``.

        Args:
            spec: What the dataset says about itself.
            **kwargs: Arguments of the constructor; they win over the dataset.
        """
        return cls(**{**grid_sizes(spec, kwargs), "grid_shape": list(spec["x"].shape), **kwargs})

    @staticmethod
    def example() -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments of a small model, and a batch for it."""
        x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        arguments = {
            "in_channels": 1,
            "out_channels": 1,
            "grid_shape": [16, 16],
            "modes": [4, 4],
            "hidden_channels": 4,
            "num_layers": 1,
        }
        return arguments, {"x": x, "y": x.roll(1, -1) ** 2}
