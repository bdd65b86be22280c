"""Geometry-informed neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.operators.adapters.base import Adapter, modes_per_axis, refuse_other_dtype
from sciml.operators.adapters.package import build_quietly, reference_model
from sciml.operators.adapters.point_integral import neighbour_integral, neighbours_within

if TYPE_CHECKING:
    from sciml.spaces import DataSpec

__all__ = ["GINO"]


class GINO(Adapter):
    """Geometry-informed neural operator of the package neuraloperator: from point clouds over a grid to point clouds.

    The geometry is the set of points ``coords``, where the output is wanted too; functions on a grid around it, such as
    the distance to a surface, come in as ``x``. Each sample may have points of its own.

    Known defects of ``neuraloperator`` 2.0.0 (:func:`~sciml.operators.adapters.known_defects`) that are mended here:
    all samples of a batch must share their points; points have no quadrature weights; reducing over neighbours is a
    loop over points; the state holds classes. That remain: the last integral is a sum over the points of the latent
    grid, which fits one resolution of that grid only; single precision; complex weights, so no fused optimizer.

    Args:
        in_channels: Channels of ``x``, the functions on the latent grid.
        out_channels: Channels of the output.
        grid_shape: Points per axis of the latent grid.
        bounds: First and last point of the latent grid on each axis; None is the unit cube.
        modes: Wave numbers kept per axis of the latent grid.
        hidden_channels: Width on the latent grid.
        num_layers: Number of Fourier layers on the latent grid.
        radius: Neighbours are this far apart at most, as a fraction of the box of the latent grid.
        kernel_width: Width of the two hidden layers of the kernel networks.
        geometry_channels: Channels that the geometry is encoded into, beside those of ``x``.
        frequencies: Sines and cosines that the kernel networks see of each coordinate; 0 gives the coordinates.
        projection_ratio: Hidden width of the projection network, relative to ``hidden_channels``.

    Shapes:
        - **x**: ``(batch, in_channels, *grid_shape)``.
        - **coords**: ``(batch, points, dim)``, or ``(points, dim)`` for points that all samples share.
        - **query_weights**: ``(batch, points)`` or ``(points,)``, quadrature weights of the points; equal if left out.
        - **query_mask**: ``(batch, points)``, False on padding, where the output is zero.
        - **output**: ``(batch, points)``, or ``(batch, out_channels, points)`` for several channels.

    Raises:
        ConfigError: If arguments do not fit one another, the inputs have another shape or type, or a point sees no
            point of the latent grid.
        ImportError: If the package is not installed.

    Reference:
        Li et al.: Geometry-informed neural operator for large-scale 3D PDEs (2023). Without weights the values are
        those of ``neuraloperator``, to rounding; with them, the mean over the neighbours of a latent point is that of a
        surface integral.

    Example:
        >>> model = GINO(1, 1, grid_shape=[8, 8, 8], modes=[4, 4, 4], radius=0.2)  # doctest: +SKIP
        >>> model(torch.zeros(2, 1, 8, 8, 8), torch.rand(2, 50, 3)).shape  # doctest: +SKIP
        torch.Size([2, 50])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_shape: Sequence[int],
        bounds: Sequence[Sequence[float]] | None = None,
        modes: int | Sequence[int] = 8,
        hidden_channels: int = 16,
        num_layers: int = 4,
        radius: float = 0.1,
        kernel_width: int = 32,
        geometry_channels: int = 8,
        frequencies: int = 8,
        projection_ratio: int = 4,
    ) -> None:
        super().__init__()
        dim = len(grid_shape)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.grid_shape = list(grid_shape)
        self.bounds = [[float(a), float(b)] for a, b in bounds or [(0.0, 1.0)] * dim]
        self.modes = modes_per_axis(modes, dim)
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.radius = radius
        self.kernel_width = kernel_width
        self.geometry_channels = geometry_channels
        self.frequencies = frequencies
        self.projection_ratio = projection_ratio
        self._check_sizes()
        embedding = "transformer" if frequencies else None
        self.gino: Any = build_quietly(
            reference_model("GINO"),
            in_channels=1,
            out_channels=out_channels,
            latent_feature_channels=in_channels,
            projection_channel_ratio=projection_ratio,
            gno_coord_dim=dim,
            in_gno_radius=radius,
            out_gno_radius=radius,
            in_gno_pos_embed_type=embedding,
            out_gno_pos_embed_type=embedding,
            gno_embed_channels=frequencies,
            fno_in_channels=geometry_channels,
            fno_n_modes=tuple(self.modes),
            fno_hidden_channels=hidden_channels,
            fno_n_layers=num_layers,
            in_gno_channel_mlp_hidden_layers=[kernel_width, kernel_width],
            out_gno_channel_mlp_hidden_layers=[kernel_width, kernel_width],
            gno_use_open3d=False,
            gno_use_torch_scatter=False,
        )
        axes = [torch.linspace(0, 1, n) for n in grid_shape]
        latent = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        self.register_buffer("latent", latent.reshape(-1, dim), persistent=False)
        box = torch.tensor(self.bounds)
        self.register_buffer("origin", box[:, 0], persistent=False)
        self.register_buffer("extent", box[:, 1] - box[:, 0], persistent=False)

    latent: Tensor
    origin: Tensor
    extent: Tensor

    def _check_sizes(self) -> None:
        if not 2 <= len(self.grid_shape) <= 3 or min(self.grid_shape) < 2:
            raise ConfigError(f"grid_shape is {self.grid_shape}, expected two or three numbers of points above one.")
        if len(self.bounds) != len(self.grid_shape) or any(a >= b for a, b in self.bounds):
            raise ConfigError(
                f"bounds are {self.bounds}, expected [first, last] on each of {len(self.grid_shape)} axes."
            )
        if not self.radius > 0:
            raise ConfigError(f"radius is {self.radius}, expected a positive fraction of the box.")

    def forward(
        self, x: Tensor, coords: Tensor, query_weights: Tensor | None = None, query_mask: Tensor | None = None
    ) -> Tensor:
        """Values at the points of each sample."""
        self._check(x, coords)
        points = (coords - self.origin) / self.extent
        outputs = []
        for i, features in enumerate(x):
            place = points if points.dim() == 2 else points[i]
            weight = query_weights if query_weights is None or query_weights.dim() == 1 else query_weights[i]
            mask = None if query_mask is None else query_mask[i]
            outputs.append(self._one(features, place, weight, mask))
        y = torch.stack(outputs)
        return y.squeeze(1) if self.out_channels == 1 else y

    def _one(self, features: Tensor, points: Tensor, weight: Tensor | None, mask: Tensor | None) -> Tensor:
        """One sample: ``(out_channels, points)``."""
        if mask is not None:
            kept = self._one(features, points[mask], None if weight is None else weight[mask], None)
            return kept.new_zeros(self.out_channels, len(points)).index_copy(1, mask.nonzero()[:, 0], kept)
        pairs = neighbours_within(points, self.latent, self.radius)
        back = pairs.reversed()
        self._check_sight(back.counts)
        gino = self.gino
        encoded = neighbour_integral(gino.gno_in, points, self.latent, pairs, weight=weight)
        grid = torch.cat([encoded.reshape(*self.grid_shape, -1), features.movedim(0, -1)], dim=-1)
        hidden = gino.latent_embedding(grid[None])[0].flatten(1).T
        values = neighbour_integral(gino.gno_out, self.latent, points, back, f=hidden)
        return gino.projection(values.T[None])[0]

    def _check(self, x: Tensor, coords: Tensor) -> None:
        dim = len(self.grid_shape)
        if tuple(x.shape[1:]) != (self.in_channels, *self.grid_shape):
            raise ConfigError(
                f"x has shape {tuple(x.shape)}, but this GINO takes (batch, {self.in_channels}, "
                f"{', '.join(map(str, self.grid_shape))}). It sums over the latent grid without weights (known defect "
                "'latent-sum'), so it holds for one resolution of that grid: build it with the grid_shape of the data."
            )
        if coords.dim() not in (2, 3) or coords.shape[-1] != dim or (coords.dim() == 3 and len(coords) != len(x)):
            raise ConfigError(
                f"coords have shape {tuple(coords.shape)}, expected ({len(x)}, points, {dim}), or (points, {dim}) for "
                "points that all samples share."
            )
        refuse_other_dtype(self, x)

    def _check_sight(self, counts: Tensor) -> None:
        if counts.device.type == "meta" or not bool((counts == 0).any()):
            return
        spacing = max(1 / (n - 1) for n in self.grid_shape)
        raise ConfigError(
            f"{int((counts == 0).sum())} of {len(counts)} points have no point of the latent grid within radius "
            f"{self.radius:g}; the output there would be a constant. Grid points are up to {spacing:.3g} apart: take a "
            f"radius above {0.5 * spacing * len(self.grid_shape) ** 0.5:.3g}, and bounds that hold all points."
        )

    @classmethod
    def from_spec(cls, spec: DataSpec, **kwargs: Any) -> GINO:
        """Build the model for a dataset: channels and latent grid are those of its ``x``.

        Args:
            spec: What the dataset says about itself.
            **kwargs: Arguments of the constructor; they win over the dataset.
        """
        sizes: dict[str, Any] = {
            "in_channels": spec.in_channels,
            "out_channels": spec.out_channels,
            "grid_shape": list(spec["x"].shape),
        }
        if spec.grid is not None:
            sizes["bounds"] = [[float(axis[0]), float(axis[-1])] for axis in spec.grid.axes]
        if "modes" not in kwargs:
            sizes["modes"] = [max(2, min(8, n // 2)) for n in spec["x"].shape]
        return cls(**{**sizes, **kwargs})

    @staticmethod
    def example() -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Arguments of a small model, and a batch for it."""
        generator = torch.Generator().manual_seed(0)
        coords = torch.rand(3, 20, 2, generator=generator)
        x = torch.randn(3, 1, 8, 8, generator=generator)
        arguments = {
            "in_channels": 1,
            "out_channels": 1,
            "grid_shape": [8, 8],
            "modes": [4, 4],
            "hidden_channels": 4,
            "num_layers": 1,
            "radius": 0.2,
            "kernel_width": 8,
            "geometry_channels": 2,
            "frequencies": 2,
        }
        return arguments, {"x": x, "coords": coords, "y": coords.square().sum(-1)}
