"""The tensorised Fourier neural operator: an FNO whose spectral weights are stored in Tucker form."""

from __future__ import annotations

from collections.abc import Sequence

from sciml.operators.fno import FNO
from sciml.operators.fno_block import Skip

__all__ = ["TFNO"]


class TFNO(FNO):
    r"""Tensorised Fourier neural operator: :class:`FNO` with spectral weights in Tucker form.

    Args:
        in_channels: Channels of the input function.
        out_channels: Channels of the output function.
        modes: Wave numbers kept per axis; one number for all axes, or one per axis.
        hidden_channels: Width of the Fourier layers.
        num_layers: Number of Fourier layers.
        rank: About which fraction of the parameters of the dense spectral weights to keep; or the ranks for
            ``(*modes, in, out)``.
        dim: Number of grid axes; needed when ``modes`` is one number.
        grid_embedding: Append the coordinates of the unit cube to the input.
        padding: Zeros around the lifted function, as a fraction of the grid per side.
        activation: Name of the activation.
        lifting_ratio: Hidden width of the lifting network, relative to ``hidden_channels``.
        projection_ratio: Hidden width of the projection network, relative to ``hidden_channels``.
        skip: Skip connection around each spectral convolution.
        channel_mlp: Pointwise network after each spectral convolution.
        channel_mlp_expansion: Hidden width of that network, relative to ``hidden_channels``.
        channel_mlp_skip: Skip connection around that network.
        dropout: Dropout in these networks.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``.
        - **output**: ``(batch, out_channels, *grid)``.

    Raises:
        ValueError: As :class:`FNO`, or if the rank is not positive.

    Reference:
        Kossaifi et al.: Multi-grid tensorized Fourier neural operator for high-resolution PDEs (2024); the Tucker form
        with the ranks and initial scale of ``neuraloperator`` 2.0. Its CP and tensor-train forms are not here.

    Example:
        >>> import torch
        >>> TFNO(1, 1, modes=(8, 8), hidden_channels=16, rank=0.2)(torch.zeros(4, 1, 16, 16)).shape
        torch.Size([4, 1, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: int | Sequence[int] = 12,
        hidden_channels: int = 32,
        num_layers: int = 4,
        rank: float | Sequence[int] = 0.1,
        dim: int | None = None,
        grid_embedding: bool = True,
        padding: float | Sequence[float] = 0.0,
        activation: str = "gelu",
        lifting_ratio: float = 2,
        projection_ratio: float = 2,
        skip: Skip = "linear",
        channel_mlp: bool = True,
        channel_mlp_expansion: float = 0.5,
        channel_mlp_skip: Skip = "gate",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            modes=modes,
            hidden_channels=hidden_channels,
            num_layers=num_layers,
            dim=dim,
            grid_embedding=grid_embedding,
            padding=padding,
            activation=activation,
            lifting_ratio=lifting_ratio,
            projection_ratio=projection_ratio,
            skip=skip,
            channel_mlp=channel_mlp,
            channel_mlp_expansion=channel_mlp_expansion,
            channel_mlp_skip=channel_mlp_skip,
            dropout=dropout,
            rank=rank,
        )
