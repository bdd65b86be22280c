"""POD-DeepONet: the basis is computed from the training targets, the branch learns the coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn import MLP
from sciml.operators.deeponet.inputs import (
    Layout,
    check_trunk_input,
    plain_values,
    query_layout,
    query_points,
    read_branch,
)
from sciml.operators.deeponet.merge import basis_size, contract
from sciml.operators.deeponet.networks import Network, feature_size
from sciml.operators.deeponet.pod_modes import PODModes
from sciml.operators.deeponet.transforms import apply_transform

__all__ = ["PODDeepONet"]


class PODDeepONet(nn.Module):
    r"""DeepONet whose trunk is the proper orthogonal decomposition of the training targets.

    .. math:: G(u)(y) = \bar\phi(y) + \sum_{k=1}^{p} b_k(u)\, \phi_k(y)

    With a trunk, its functions join the modes, and a bias is added:
    :math:`\dots + \sum_{k=1}^{q} b_{p+k}(u)\, t_k(y) + b_0`.

    Args:
        branch: Maps sampled input functions to ``p + q`` coefficients: a module, or widths up to the last hidden layer.
        modes: Mean and modes of the training targets.
        trunk: Maps query points to ``q`` functions for each channel of the output; a module or widths.
        output_transform: As for :class:`DeepONet`.
        activation: Name of the activation for networks given as widths.

    Shapes:
        - **u**: As for :class:`DeepONet`.
        - **coords**: As for :class:`DeepONet`; None stands for the points of the targets. At other points the modes are
          interpolated.
        - **output**: ``(batch, points)``, ``(batch, channels, points)`` for targets with several channels, which share
          the coefficients.

    Raises:
        ConfigError: If the branch gives another number of coefficients than there are functions, or shapes do not fit.

    Reference:
        Lu et al.: A comprehensive and fair comparison of two neural operators (2022). The modes come from the training
        targets only, have quadrature weights, and are not scaled unless asked for.

    Example:
        >>> x = torch.linspace(0, 1, 50)[:, None]
        >>> targets = torch.randn(20, 3) @ torch.cat([x, x**2, x**3], 1).t()
        >>> net = PODDeepONet.from_data(targets, x, branch=[100, 40], modes=3)
        >>> net(torch.zeros(8, 100)).shape, net(torch.zeros(8, 100), torch.rand(7, 1)).shape
        (torch.Size([8, 50]), torch.Size([8, 7]))
    """

    invariances = ("query_order",)

    def __init__(
        self,
        branch: Network,
        modes: PODModes,
        trunk: Network | None = None,
        output_transform: Callable[[Tensor, Any, Tensor], Tensor] | None = None,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"activation": activation, "init": "glorot-normal"}
        self.modes, self.out_channels = modes, modes.channels
        if trunk is not None and not isinstance(trunk, nn.Module):
            trunk = MLP(*trunk, final_activation=True, **options)
        extra = 0 if trunk is None else feature_size(trunk)
        if not isinstance(branch, nn.Module):
            if extra is None:
                raise ConfigError("branch is given by widths, but the trunk does not say how many functions it has.")
            branch = MLP(*branch, modes.num_modes + extra // self.out_channels, **options)
        self.branch, self.trunk = branch, trunk
        self.bias = None if trunk is None else nn.Parameter(torch.zeros(self.out_channels))
        self.output_transform = output_transform
        size = feature_size(branch)
        if size is not None and extra is not None:
            basis_size("split_trunk", size, modes.out_features + extra, self.out_channels)

    @classmethod
    def from_data(
        cls,
        targets: Any,
        points: Any,
        branch: Network | Callable[[int], nn.Module],
        modes: int | float = 0.999,
        weights: Any = None,
        trunk: Network | None = None,
        authors_scaling: bool = False,
        **options: Any,
    ) -> PODDeepONet:
        """The model for the targets of the training split.

        Args:
            targets: ``(functions, points)`` or ``(functions, channels, points)``.
            points: ``(points, dim)``, or a discretisation.
            branch: As in the constructor; or a function from the number of modes to the branch.
            modes: Number of modes, or the part of the variance that they have to hold.
            weights: Quadrature weights of the points.
            trunk: As in the constructor.
            authors_scaling: As in :meth:`PODModes.from_data`.
            **options: Further arguments of the constructor.

        Raises:
            ConfigError: If shapes do not fit.
        """
        basis = PODModes.from_data(targets, points, modes, weights, authors_scaling)
        if not isinstance(branch, nn.Module | Sequence):
            branch = branch(basis.num_modes)
        return cls(branch, basis, trunk, **options)

    def fit_data(self, split: Mapping[str, Tensor] | Any) -> None:
        """Fill empty modes from a training split, before the first step; modes that have been fitted are kept.

        Args:
            split: A split, or a mapping with ``y``, ``coords`` and possibly ``y.weight``, in the units of the training.

        Raises:
            ConfigError: If the targets have no common points.
        """
        if self.modes.fitted:
            return
        tensors = getattr(split, "tensors", split)
        grid: Any = getattr(split, "grids", {}).get("y")
        if "coords" not in tensors and grid is None:
            raise ConfigError(
                f"POD needs the points of the targets; the data hold {sorted(tensors)}, and no grid of y."
            )
        points = grid.points if grid is not None else tensors["coords"]
        weights = grid.weights if grid is not None else tensors.get("y.weight")
        if points.dim() != 2 or "y.mask" in tensors:
            raise ConfigError(
                f"POD needs all targets on the same points, coords has shape {tuple(points.shape)}: resample them, or "
                "take a deeponet."
            )
        self.modes.fit(tensors["y"].reshape(len(tensors["y"]), self.out_channels, -1), points, weights)

    def forward(self, u: Any, coords: Any = None, layout: Layout | None = None) -> Tensor:
        """Evaluate the output functions at the query points."""
        coefficients = read_branch(self.branch, u, None, None, None)
        if coords is None:
            coords = self.modes.points
        elif not isinstance(coords, Tensor):
            coords, _ = query_points(coords, coefficients)
        layout = query_layout(coords, len(coefficients), layout)
        mean, basis = self._basis(coords)
        basis_size("split_trunk", coefficients.shape[-1], basis.shape[-1], self.out_channels)
        if layout != "unaligned":
            mean = mean.mT
        if self.bias is not None:
            mean = mean + (self.bias if layout == "unaligned" else self.bias[:, None])
        if self.out_channels == 1:
            # The mean takes the place of the bias.
            mean = mean.squeeze(-1 if layout == "unaligned" else -2)
            values = contract(coefficients, basis, mean, 1, "split_trunk", layout)
        else:
            values = contract(coefficients, basis, None, self.out_channels, "split_trunk", layout) + mean
        if self.output_transform is None:
            return values
        return apply_transform(self.output_transform, values, plain_values(u), coords, self.out_channels, layout)

    def _basis(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``(..., channels)``, and modes followed by the functions of the trunk for every channel."""
        mean, modes = self.modes.at(coords)
        if self.trunk is None:
            return mean, modes
        check_trunk_input(self.trunk, coords, coords)
        groups = (self.out_channels, -1)
        both = torch.cat([modes.unflatten(-1, groups), self.trunk(coords).unflatten(-1, groups)], -1)
        return mean, both.flatten(-2)
