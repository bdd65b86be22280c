r"""Message passing over points of a function: sums over neighbours become integrals, by weights of the points.

.. math:: \sum_{j \in N(i)} m_{ij} \to \sum_{j \in N(i)} \frac{w_j}{w_0} m_{ij}

where :math:`w_0` is the weight of each of the reference's points. The neighbours must be those within a fixed distance:
with more points, more of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.site import Site, adopt

__all__ = ["ATTENTION", "NORMALISED", "SUMS", "IntegralMessagePassing", "message_passing", "readout"]

# Convolutions of PyG by what has to be weighted: the sum of the messages, the degrees, or a softmax over neighbours.
SUMS = (
    "sage_conv.SAGEConv",
    "gin_conv.GINConv",
    "gin_conv.GINEConv",
    "nn_conv.NNConv",
    "graph_conv.GraphConv",
    "edge_conv.EdgeConv",
    "simple_conv.SimpleConv",
    "cg_conv.CGConv",
    "pointnet_conv.PointNetConv",
)
NORMALISED = ("gcn_conv.GCNConv",)
ATTENTION = ("gat_conv.GATConv", "gatv2_conv.GATv2Conv")


class IntegralMessagePassing:
    """What all converted convolutions of PyG share: the weights of the sources of the edges."""

    site: Site

    def weights(self, like: Tensor) -> Tensor | None:
        """Weights of the nodes relative to the reference, ``(nodes,)``; None where all are as there."""
        weights = self.site.run.weights
        return None if weights is None else weights.to(like)

    @contextmanager
    def sources(self, edge_index: Any) -> Iterator[Tensor]:
        """The nodes that the messages come from, while these are aggregated."""
        if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
            raise ConversionError(
                f"{self.site.path} receives a sparse matrix; with weights it takes an edge_index (2, edges)."
            )
        before = self.__dict__.get("_sources")
        self.__dict__["_sources"] = edge_index[0 if self.flow == "source_to_target" else 1]  # type: ignore[attr-defined]
        try:
            yield self.__dict__["_sources"]
        finally:
            self.__dict__["_sources"] = before


class _Sums(IntegralMessagePassing):
    """Sums, means and maxima of messages."""

    def propagate(self, edge_index: Any, *args: Any, **kwargs: Any) -> Tensor:
        if self.site.run.weights is None:
            return super().propagate(edge_index, *args, **kwargs)  # type: ignore[misc]
        with self.sources(edge_index):
            return super().propagate(edge_index, *args, **kwargs)  # type: ignore[misc]

    def aggregate(
        self, inputs: Tensor, index: Tensor, ptr: Tensor | None = None, dim_size: int | None = None
    ) -> Tensor:
        weights = self.weights(inputs)
        if weights is None:
            return super().aggregate(inputs, index, ptr, dim_size)  # type: ignore[misc]
        weights = weights[self.__dict__["_sources"]]
        module: Any = self
        # Without this, what has no weight could still be the largest, or infinite.
        kept = weights > 0
        inputs, index, weights = inputs[kept], index[kept], weights[kept]
        aggregate = module.aggr_module
        return _aggregate(aggregate, inputs, index, dim_size, weights, module.node_dim, self.site.path)


class _Normalised(IntegralMessagePassing):
    """GCN: sums of the neighbours over the roots of two degrees, which are sums of weights."""

    def forward(self, x: Tensor, edge_index: Any, edge_weight: Tensor | None = None) -> Tensor:
        weights = self.weights(x)
        module: Any = self
        if weights is None:
            return super().forward(x, edge_index, edge_weight)  # type: ignore[misc]
        with self.sources(edge_index) as sources:
            given = weights[sources] if edge_weight is None else weights[sources] * edge_weight
        if module.normalize and module.add_self_loops:
            loops = edge_index[0] == edge_index[1]
            missing = torch.ones(len(x), dtype=torch.bool, device=x.device)
            missing[edge_index[0, loops]] = False
            own = missing.nonzero().flatten()
            edge_index = torch.cat([edge_index, own.expand(2, -1)], 1)
            # PyG gives loops the weight 2 of an improved GCN only beside weights of other edges.
            loop = 2.0 if module.improved and edge_weight is not None else 1.0
            given = torch.cat([given, loop * weights[own]])
        return super().forward(x, edge_index, given)  # type: ignore[misc]


class _Attention(IntegralMessagePassing):
    """A softmax over neighbours in which each counts by its weight."""

    def forward(self, x: Any, edge_index: Any, edge_attr: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        module: Any = self
        weights = self.site.run.weights
        if weights is None or edge_attr is None or not module.add_self_loops or module.fill_value != "mean":
            return super().forward(x, edge_index, edge_attr, *args, **kwargs)  # type: ignore[misc]
        # Loops have the mean of the neighbours' attributes, which is a mean over space.
        others = edge_index[0] != edge_index[1]
        edge_index, edge_attr = edge_index[:, others], edge_attr[others]
        source, target = edge_index if module.flow == "source_to_target" else edge_index.flip(0)
        shares = weights.to(edge_attr)[source]
        own = _mean(edge_attr.view(len(shares), -1), target, len(weights), shares[:, None]).view(
            -1, *edge_attr.shape[1:]
        )
        nodes = torch.arange(len(weights), device=edge_index.device)
        module.add_self_loops = False
        try:
            return super().forward(  # type: ignore[misc]
                x, torch.cat([edge_index, nodes.expand(2, -1)], 1), torch.cat([edge_attr, own]), *args, **kwargs
            )
        finally:
            module.add_self_loops = True

    def edge_updater(self, edge_index: Any, size: Any = None, **kwargs: Any) -> Tensor:
        module: Any = self
        if self.site.run.weights is None:
            return super().edge_updater(edge_index, size=size, **kwargs)  # type: ignore[misc]
        with self.sources(edge_index) as sources:
            weights = self.site.run.weights.to(sources.device)
            kept = weights[sources] > 0
            attributes = kwargs.pop("edge_attr", None)
            attributes = None if attributes is None else attributes[kept]
            with self.sources(edge_index[:, kept]):
                dropout, module.dropout = module.dropout, 0.0
                try:
                    alpha = super().edge_updater(  # type: ignore[misc]
                        edge_index[:, kept], size=size, edge_attr=attributes, **kwargs
                    )
                finally:
                    module.dropout = dropout
        full = alpha.new_zeros(len(kept), *alpha.shape[1:])
        full[kept] = alpha
        return nn.functional.dropout(full, dropout, module.training)

    def edge_update(self, **kwargs: Any) -> Tensor:
        from torch_geometric.utils import scatter

        alpha = super().edge_update(**kwargs)  # type: ignore[misc]
        weights = self.weights(alpha)
        if weights is None:
            return alpha
        index, count = kwargs["index"], kwargs["dim_size"]
        alpha = alpha * weights[self.__dict__["_sources"]].view(-1, *[1] * (alpha.dim() - 1))
        total = scatter(alpha, index, 0, count, "sum")
        return alpha / total[index].clamp_min(torch.finfo(alpha.dtype).tiny)


class _Readout:
    """Sums, means and maxima over the nodes of each graph."""

    site: Site

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
        **kwargs: Any,
    ) -> Tensor:
        weights = self.site.run.weights
        if weights is None or len(weights) != x.shape[dim]:
            return super().forward(x, index, ptr, dim_size, dim, **kwargs)  # type: ignore[misc]
        if index is None:
            raise ConversionError(f"{self.site.path} needs the graph of every node as an index, not as pointers.")
        return _aggregate(self, x, index, dim_size, weights.to(x), dim, self.site.path)


def _aggregate(
    aggregation: Any, x: Tensor, index: Tensor, count: int | None, weights: Tensor, dim: int, path: str
) -> Tensor:
    """Aggregate by index along a dimension, every entry with its weight."""
    from torch_geometric.nn import aggr
    from torch_geometric.utils import scatter

    dim = dim % x.dim()
    weights = weights.view(-1, *[1] * (x.dim() - dim - 1))
    if isinstance(aggregation, aggr.SumAggregation):
        return scatter(x * weights, index, dim, count, "sum")
    if isinstance(aggregation, aggr.MeanAggregation):
        return _mean(x, index, count, weights, dim)
    if isinstance(aggregation, aggr.MaxAggregation):
        kept = weights.flatten() > 0
        return scatter(x.movedim(dim, 0)[kept].movedim(0, dim), index[kept], dim, count, "max")
    raise ConversionError(
        f"{path} aggregates by {type(aggregation).__name__}, for which there is no integral: take sum, mean or max."
    )


def _mean(x: Tensor, index: Tensor, count: int | None, weights: Tensor, dim: int = 0) -> Tensor:
    """Weighted means by index; zero where there is nothing."""
    from torch_geometric.utils import scatter

    total = scatter(weights.expand_as(x), index, dim, count, "sum")
    return scatter(x * weights, index, dim, count, "sum") / torch.where(total > 0, total, torch.ones_like(total))


@cache
def _class(parent: Any, mixin: Any) -> Any:
    """One class for each pair, so that converted modules of a kind have one type."""
    return type(f"Integral{parent.__name__}", (mixin, parent), {})


def message_passing(module: Any, site: Site) -> nn.Module:
    """The converted convolution with the parameters of one of PyG's; ``cached`` normalisations are computed anew."""
    name = f"{type(module).__module__.rpartition('.')[2]}.{type(module).__name__}"
    mixin: Any = _Normalised if name in NORMALISED else _Attention if name in ATTENTION else _Sums
    parent: Any = type(module)
    new = adopt(module, _class(parent, mixin), site)
    if getattr(new, "cached", False):
        new.cached = False
    return new


def readout(module: Any, site: Site) -> nn.Module:
    """The converted aggregation over nodes."""
    parent, mixin = module.__class__, _Readout
    return adopt(module, _class(parent, mixin), site)
