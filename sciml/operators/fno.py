"""The Fourier neural operator: pointwise networks and spectral convolutions, in one, two or three dimensions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.nn.channel_mlp import ChannelLinear, ChannelMLP
from sciml.operators.fno_block import FNOBlock, Skip
from sciml.operators.local_layers import Boundary, DifferentialLayer, LocalIntegral
from sciml.operators.spectral_conv import BaseSpectralConv, SpectralConv, kept_modes
from sciml.operators.tucker_conv import TuckerSpectralConv

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["FNO"]

Local = Literal["integral", "differential"]


class FNO(nn.Module):
    r"""Fourier neural operator on regular grids in one, two or three dimensions.

    .. math:: G = Q \circ B_L \circ \dots \circ B_1 \circ P

    with pointwise networks :math:`P` (lifting) and :math:`Q` (projection) and the Fourier layers :math:`B_l` of
    :class:`FNOBlock`. Defined at any resolution; sizes of the grid are never arguments.

    Args:
        in_channels: Channels of the input function.
        out_channels: Channels of the output function.
        modes: Wave numbers kept per axis, positive and negative together; one number for all axes, or one per axis.
        hidden_channels: Width of the Fourier layers.
        num_layers: Number of Fourier layers.
        dim: Number of grid axes; needed when ``modes`` is one number.
        grid_embedding: Append the coordinates of the unit cube (``j / n``) to the input. Without them, the operator
            commutes with translations.
        padding: Zeros put around the lifted function, as a fraction of the grid on each side of each axis, for
            functions that are not periodic; one number, or one per axis.
        activation: Name of the activation.
        lifting_ratio: Hidden width of the lifting network, relative to ``hidden_channels``.
        projection_ratio: Hidden width of the projection network, relative to ``hidden_channels``.
        skip: Skip connection around each spectral convolution.
        channel_mlp: Pointwise network after each spectral convolution.
        channel_mlp_expansion: Hidden width of that network, relative to ``hidden_channels``.
        channel_mlp_skip: Skip connection around that network.
        dropout: Dropout in these networks.
        rank: Store the spectral weights in Tucker form, with about this fraction of the parameters or these ranks (see
            :class:`TuckerSpectralConv`); None keeps them dense.
        local: Add a layer of small reach beside the spectral convolution: ``integral`` in all blocks
            (:class:`LocalIntegral`, one or two axes), ``differential`` in the last (:class:`DifferentialLayer`).
        local_radius: Reach of the local integrals, in lengths of an axis.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``, or ``(batch, *grid)`` for one channel.
        - **output**: ``(batch, out_channels, *grid)``; a missing channel axis stays missing if there is one channel.

    Raises:
        ValueError: If ``modes`` and ``dim`` disagree or are not positive, if ``x`` has another number of axes or
            channels, or a kind of skip connection does not exist.

    Reference:
        Li et al.: Fourier neural operator for parametric partial differential equations (2021). The layout and the
        defaults are those of ``neuraloperator`` 2.0, whose weights can be loaded
        (:func:`sciml.operators.from_neuraloperator`). Departures: all parameters are real; on leading axes with an odd
        number of points, and on grids that are too coarse for an even number of modes, the weights stay with their wave
        numbers, where the reference shifts them by one; dropout acts on hidden values only.

    Example:
        >>> model = FNO(in_channels=1, out_channels=2, modes=(8, 8), hidden_channels=16)
        >>> model(torch.zeros(4, 1, 16, 16)).shape, model(torch.zeros(4, 1, 33, 20)).shape
        (torch.Size([4, 2, 16, 16]), torch.Size([4, 2, 33, 20]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: int | Sequence[int] = 12,
        hidden_channels: int = 32,
        num_layers: int = 4,
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
        rank: float | Sequence[int] | None = None,
        local: Local | None = None,
        local_radius: float = 0.1,
    ) -> None:
        super().__init__()
        if local not in (None, "integral", "differential"):
            raise ValueError(f"local is {local!r}, expected 'integral', 'differential' or None.")
        self.local: Local | None = local
        self.local_radius = local_radius
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.modes = _per_axis(modes, dim)
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.dim = len(self.modes)
        self.grid_embedding = grid_embedding
        self.padding = padding
        self.activation = activation
        self.lifting_ratio = lifting_ratio
        self.projection_ratio = projection_ratio
        self.skip: Skip = skip
        self.channel_mlp = channel_mlp
        self.channel_mlp_expansion = channel_mlp_expansion
        self.channel_mlp_skip: Skip = channel_mlp_skip
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is {dropout}, expected a probability from 0 to 1.")
        self.dropout = dropout
        self.rank = rank
        self._padding = _pad_fractions(padding, self.dim)

        lifted = int(lifting_ratio * hidden_channels)
        projected = int(projection_ratio * hidden_channels)
        self.lifting = ChannelMLP(in_channels, lifted, hidden_channels, activation=activation)
        self.grid_weight = nn.Parameter(torch.empty(lifted, self.dim)) if grid_embedding else None
        self.blocks = nn.ModuleList([self._make_block(last=i == num_layers - 1) for i in range(num_layers)])
        self.projection = ChannelMLP(hidden_channels, projected, out_channels, activation=activation)
        self._init_lifting()

    def _init_lifting(self) -> None:
        """Draw the first layer as one linear layer of the input channels and the coordinates."""
        if self.grid_weight is not None:
            first = self._first_layer
            bound = (self.in_channels + self.dim) ** -0.5
            for parameter in (*first.parameters(), self.grid_weight):
                nn.init.uniform_(parameter, -bound, bound)

    def _make_block(self, last: bool) -> FNOBlock:
        return FNOBlock(
            self._make_conv(),
            self.hidden_channels,
            activation=self.activation,
            skip=self.skip,
            channel_mlp=self.channel_mlp,
            channel_mlp_expansion=self.channel_mlp_expansion,
            channel_mlp_skip=self.channel_mlp_skip,
            dropout=self.dropout,
            last=last,
            local=self._make_local(last),
        )

    def _make_local(self, last: bool) -> nn.Module | None:
        boundary: Boundary = "zeros" if any(self._padding) else "periodic"
        width = self.hidden_channels
        if self.local == "integral":
            return LocalIntegral(width, width, self.local_radius, dim=self.dim, boundary=boundary)
        if self.local == "differential" and last:
            return DifferentialLayer(width, width, dim=self.dim, boundary=boundary)
        return None

    def _make_conv(self) -> BaseSpectralConv:
        if self.rank is None:
            return SpectralConv(self.hidden_channels, self.hidden_channels, self.modes)
        return TuckerSpectralConv(self.hidden_channels, self.hidden_channels, self.modes, self.rank)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, in_channels, *grid)`` to ``(batch, out_channels, *grid)``."""
        has_channels = x.ndim == self.dim + 2
        if not has_channels and x.ndim == self.dim + 1 and self.in_channels == 1:
            x = x.unsqueeze(1)
        self._check(x)
        y = self._lift(x)
        margin = [round(fraction * n) for fraction, n in zip(self._padding, x.shape[2:], strict=True)]
        if any(margin):
            y = F.pad(y, [m for m in reversed(margin) for _ in range(2)])
        for block in self.blocks:
            y = block(y)
        if any(margin):
            for axis, (m, n) in enumerate(zip(margin, x.shape[2:], strict=True), start=2):
                y = y.narrow(axis, m, n)
        y = self.projection(y)
        return y if has_channels or self.out_channels > 1 else y.squeeze(1)

    @property
    def _first_layer(self) -> ChannelLinear:
        return cast(ChannelLinear, self.lifting.layers[0])

    def _lift(self, x: Tensor) -> Tensor:
        if self.grid_weight is None:
            return self.lifting(x)
        # The coordinates are equal for all samples: their share of the first layer is a bias that varies over the grid,
        # computed once. Equals lifting the concatenation of x and the coordinates.
        points = _unit_grid(tuple(x.shape[2:]), x.dtype, x.device)
        bias = self._first_layer.bias
        assert bias is not None
        return self.lifting(x, plus=torch.addmm(bias[:, None], self.grid_weight, points))

    def _check(self, x: Tensor) -> None:
        if x.ndim != self.dim + 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"x has shape {tuple(x.shape)}, but this {type(self).__name__} takes (batch, {self.in_channels}, "
                f"{', '.join(f'n{i + 1}' for i in range(self.dim))}). Build it with in_channels and dim (or modes per "
                "axis) that fit the data."
            )

    @classmethod
    def from_spec(cls, spec: DataSpec, **kwargs: Any) -> FNO:
        """Build the model for a dataset: channels and dimension are those of its ``x`` and ``y``.

        Args:
            spec: What the dataset says about itself.
            **kwargs: Arguments of the constructor; they win over the dataset.

        Warns:
            UserWarning: If the training grid has fewer wave numbers than ``modes``.
        """
        sizes = {"in_channels": spec.in_channels, "out_channels": spec.out_channels}
        if "dim" not in kwargs:
            sizes["dim"] = spec.dim
        model = cls(**{**sizes, **kwargs})
        if model.dim == spec.dim:
            padded = [n + 2 * round(f * n) for f, n in zip(model._padding, spec["x"].shape, strict=True)]
            _warn_of_idle_modes(model.modes, padded)
        return model

    @staticmethod
    def example() -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments of a small model, and a batch for it."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(4, 1, 16, 16, generator=generator)
        arguments = {"in_channels": 1, "out_channels": 1, "modes": [4, 4], "hidden_channels": 8, "num_layers": 2}
        return arguments, {"x": x, "y": x.roll(1, -1) ** 2}


def _per_axis(modes: int | Sequence[int], dim: int | None) -> tuple[int, ...]:
    if isinstance(modes, int):
        if dim is None:
            raise ValueError(f"modes is {modes} for every axis, but dim is missing. Give dim, or modes per axis.")
        modes = (modes,) * dim
    if dim is not None and len(modes) != dim:
        raise ValueError(f"modes names {len(modes)} axes ({tuple(modes)}), but dim is {dim}.")
    if not 1 <= len(modes) <= 3 or min(modes) < 1:
        raise ValueError(f"modes is {tuple(modes)}, expected one to three positive numbers, one per grid axis.")
    return tuple(modes)


def _warn_of_idle_modes(modes: Sequence[int], grid: Sequence[int]) -> None:
    """Weights of wave numbers that the training grid lacks are never trained, and act on finer grids as drawn."""
    kept = kept_modes(modes)
    known = (*grid[:-1], grid[-1] // 2 + 1)
    if any(k > n for k, n in zip(kept, known, strict=True)):
        usable = [min(m, n) for m, n in zip(modes, grid, strict=True)]
        warnings.warn(
            f"modes is {list(modes)}, but the training grid of {' x '.join(map(str, grid))} points (padding included) "
            f"has only {usable}: the other weights are never trained, and act as drawn on finer grids. Take "
            f"modes={usable} or fewer.",
            stacklevel=3,
        )


def _pad_fractions(padding: float | Sequence[float], dim: int) -> tuple[float, ...]:
    fractions = tuple(padding) if isinstance(padding, Sequence) else (padding,) * dim
    if len(fractions) != dim or min(fractions) < 0:
        raise ValueError(f"padding is {padding}, expected one non-negative fraction, or one for each of {dim} axes.")
    return fractions


def _unit_grid(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Coordinates ``(dim, points)`` of a grid in the unit cube without its upper faces."""
    if torch.compiler.is_compiling():
        return _make_unit_grid(shape, dtype, device)
    with torch.inference_mode(False):  # what an evaluation stores must serve in training, too
        return _kept_unit_grid(shape, dtype, device)


def _make_unit_grid(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    axes = [torch.arange(n, dtype=torch.float64) / n for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1).to(device, dtype)


_kept_unit_grid = lru_cache(maxsize=64)(_make_unit_grid)
