"""The deep operator network: any branch, any trunk, several outputs, and query points in three layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.deeponet.derivatives import contracted_derivative, partial_derivative
from sciml.operators.deeponet.inputs import (
    LAYOUTS,
    Layout,
    check_mask,
    check_trunk_input,
    plain_values,
    query_layout,
    query_points,
    read_branch,
)
from sciml.operators.deeponet.merge import (
    MULTI_OUTPUT,
    MultiOutput,
    basis_size,
    contract,
    merge_network,
    merge_products,
)
from sciml.operators.deeponet.networks import Network, build_pair, feature_size
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.operators.deeponet.transforms import apply_transform

__all__ = ["DeepONet"]


class DeepONet(nn.Module):
    r"""Deep operator network: branch and trunk networks joined by an inner product.

    .. math:: G_c(u)(y) = \sum_{k=1}^{p} b_{ck}(u)\, t_k(y) + b_{c0}

    Args:
        branch: Maps sampled input functions to coefficients: a module, taken as it is; a list of modules, whose
            features are put side by side; or a list of widths. A fully connected network gets the samples as one
            vector, function after function; a sensor-free branch (:class:`SampledBranch`) also the sensors; any other
            network gets ``u`` as it is, be it an image or a graph.
        trunk: Maps query points to basis values, given like the branch.
        bias: Add one number per output channel, zero at the start.
        out_channels: Channels of the output function.
        num_basis: Number :math:`p` of basis functions per channel. Lists of widths then leave out their last entry,
            which follows from it.
        multi_output: How the features of branch and trunk divide among the channels (:mod:`.merge`); ``split_branch``
            shares the trunk. ``independent`` takes lists of one network per channel, or widths.
        stacked: With a list of widths as branch: ``p`` separate networks with one output each, the stacked form.
        trunk_features: What the trunk reads in place of the query points, such as :func:`periodic_features`.
        output_transform: Called with values, ``u`` and query points (:mod:`.transforms`), such as
            :func:`hard_dirichlet`.
        merge: ``dot`` for the inner product; ``product-mlp``, or a network from ``p`` numbers to one, works on the
            products :math:`b_k t_k` of every function and point instead, which takes ``p`` times the memory.
        layout: Layout of the query points where a call names none; None decides by their axes.
        activation: Name of the activation for networks given as widths.
        trunk_last_activation: End a trunk given as widths with the activation.

    Shapes:
        - **u**: ``(batch, sensors)``, ``(batch, channels, sensors)`` or ``(batch, channels, *grid)``: values of the
          input function; a :class:`~sciml.spaces.Function`; or whatever the branch takes.
        - **coords**: ``(points, dim)`` for all functions (aligned), ``(batch, points, dim)`` for each (ragged), or with
          ``layout="unaligned"`` one point per row ``(batch, dim)``; in the units of the training. Further columns, such
          as an earlier state at the point, are read like coordinates.
        - **output**: ``(batch, points)``; ``(batch, out_channels, points)`` for several channels; ``(batch,)`` or
          ``(batch, out_channels)`` for unaligned queries.

    Raises:
        ConfigError: If features of branch and trunk do not fit each other or the channels, if ``u`` has another number
            of sensor values than the branch takes, or ``coords`` another dimension or layout.

    Reference:
        Lu, Jin, Karniadakis: DeepONet (2019). There the trunk ends with an activation and the branch does not, weights
        are Glorot normal and biases zero, as in networks made from widths here.

    Example:
        >>> net = DeepONet(branch=[100, 40, 40], trunk=[1, 40, 40])
        >>> net(torch.zeros(8, 100), torch.linspace(0, 1, 50)[:, None]).shape
        torch.Size([8, 50])
    """

    invariances = ("query_order",)

    def __init__(
        self,
        branch: Network,
        trunk: Network,
        bias: bool = True,
        out_channels: int = 1,
        *,
        num_basis: int | None = None,
        multi_output: MultiOutput = "split_branch",
        stacked: bool = False,
        trunk_features: Callable[[Tensor], Tensor] | None = None,
        output_transform: Callable[[Tensor, Any, Tensor], Tensor] | None = None,
        merge: Literal["dot", "product-mlp"] | nn.Module = "dot",
        layout: Layout | None = None,
        activation: str = "relu",
        trunk_last_activation: bool = True,
    ) -> None:
        super().__init__()
        if multi_output not in MULTI_OUTPUT:
            raise ConfigError(f"multi_output is {multi_output!r}, expected {', '.join(MULTI_OUTPUT)}.")
        if layout is not None and layout not in LAYOUTS:
            raise ConfigError(f"layout is {layout!r}, expected {', '.join(LAYOUTS)} or None.")
        self.out_channels, self.multi_output, self.layout = out_channels, multi_output, layout
        self.branch, self.trunk = build_pair(
            branch, trunk, num_basis, out_channels, multi_output, stacked, activation, trunk_last_activation
        )
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.trunk_features = trunk_features
        self.output_transform = output_transform
        sizes = feature_size(self.branch), feature_size(self.trunk)
        if sizes[0] is not None and sizes[1] is not None:
            num_basis = basis_size(multi_output, sizes[0], sizes[1], out_channels)
        self.merge = merge_network(merge, num_basis, activation)

    @property
    def unused_arguments(self) -> tuple[str, ...]:
        """Arguments of :meth:`forward` that the branch cannot read, so that batches need not be stripped of them."""
        return () if isinstance(self.branch, SampledBranch) else ("sensors", "sensor_weights", "sensor_mask")

    def forward(
        self,
        u: Any,
        coords: Any,
        layout: Layout | None = None,
        mask: Tensor | None = None,
        function: Tensor | None = None,
        sensors: Tensor | None = None,
        sensor_weights: Tensor | None = None,
        sensor_mask: Tensor | None = None,
    ) -> Tensor:
        """Evaluate the output functions at the query points.

        Args:
            u: Input functions.
            coords: Query points; also a discretisation, or a function on one.
            layout: Layout of the query points.
            mask: ``(batch, points)`` for ragged points, False on padding, where the output is zero.
            function: ``(rows,)``, for unaligned points: row of ``u`` that belongs to each, so that a function with many
                points goes through the branch once.
            sensors: Points of ``u`` for a sensor-free branch, ``(m, dim)`` or ``(batch, m, dim)``.
            sensor_weights: Their quadrature weights, ``(m,)`` or ``(batch, m)``.
            sensor_mask: ``(batch, m)``, False on padding.
        """
        coefficients = self.coefficients(u, sensors, sensor_weights, sensor_mask)
        if function is not None:
            coefficients = coefficients[function]
            u = u[function] if isinstance(u, Tensor) else u
        if not isinstance(coords, Tensor):
            coords, own_mask = query_points(coords, coefficients)
            mask = own_mask if mask is None else mask
        layout = query_layout(coords, len(coefficients), layout or self.layout)
        if function is not None and layout != "unaligned":
            raise ConfigError(f"function names the input of each query point: layout='unaligned', not {layout}.")
        if mask is not None:
            check_mask(mask, coords, layout)
            coords = torch.where(mask[..., None], coords, 0)
        values = self.combine(coefficients, self.basis(coords), layout)
        if self.output_transform is not None:
            values = apply_transform(self.output_transform, values, plain_values(u), coords, self.out_channels, layout)
        if mask is not None:
            values = torch.where(mask if values.dim() == 2 else mask[:, None], values, 0)
        return values

    def coefficients(
        self,
        u: Any,
        sensors: Tensor | None = None,
        sensor_weights: Tensor | None = None,
        sensor_mask: Tensor | None = None,
    ) -> Tensor:
        """What the branch gives for the input functions, ``(batch, features)``."""
        return read_branch(self.branch, u, sensors, sensor_weights, sensor_mask)

    def basis(self, coords: Tensor) -> Tensor:
        """What the trunk gives at points ``(..., dim)``: ``(..., features)``."""
        features = coords if self.trunk_features is None else self.trunk_features(coords)
        check_trunk_input(self.trunk, features, coords)
        return self.trunk(features)

    def combine(self, coefficients: Tensor, basis: Tensor, layout: Layout = "aligned", bias: bool = True) -> Tensor:
        """Output functions from coefficients and basis, before the output transform.

        With :meth:`coefficients` and :meth:`trunk_derivatives`, a residual needs the branch once.

        Args:
            coefficients: From :meth:`coefficients`.
            basis: From :meth:`basis` or :meth:`trunk_derivatives`.
            layout: Layout of the points behind the basis.
            bias: Add the bias; a derivative has none.
        """
        basis_size(self.multi_output, coefficients.shape[-1], basis.shape[-1], self.out_channels)
        offset = self.bias if bias else None
        if self.merge is None:
            return contract(coefficients, basis, offset, self.out_channels, self.multi_output, layout)
        values = merge_products(self.merge, coefficients, basis, self.out_channels, self.multi_output, layout)
        if offset is None:
            return values
        return values + (offset[:, None] if self.out_channels > 1 and layout != "unaligned" else offset)

    def trunk_derivatives(self, coords: Tensor, multi_index: Sequence[int]) -> Tensor:
        r"""Derivatives :math:`\partial^\alpha t_k(y)` of the basis, ``(..., features)``; they serve all functions.

        Args:
            coords: ``(..., dim)``.
            multi_index: Order of the derivative along each axis.
        """
        return partial_derivative(self.basis, coords, multi_index)

    def derivative(self, u: Any, coords: Tensor, multi_index: Sequence[int], layout: Layout | None = None) -> Tensor:
        r"""Derivatives :math:`\partial^\alpha G(u)(y)` with respect to the query point.

        The basis is differentiated once per point, in forward mode, and contracted: functions cost no more than in an
        evaluation.

        Args:
            u: Input functions.
            coords: Query points.
            multi_index: Order of the derivative along each axis: ``(2, 0)`` is the second one along the first axis.
            layout: Layout of the query points.

        Returns:
            In the shape of the output.

        Raises:
            ConfigError: If the multi-index does not fit the points, or an output transform other than
                :class:`HardDirichlet`, or a merging network, hides the inner product.

        Example:
            >>> net = DeepONet(branch=[100, 40, 40], trunk=[2, 40, 40], activation="tanh")
            >>> net.derivative(torch.zeros(8, 100), torch.rand(50, 2), (2, 0)).shape
            torch.Size([8, 50])
        """
        return contracted_derivative(self, u, coords, multi_index, layout)

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"out_channels={self.out_channels}, multi_output={self.multi_output}, layout={self.layout}"
