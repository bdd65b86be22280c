"""Attention over points: the points count by their quadrature weights, tokens that are no points as they did."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sciml.nn.integral_attention import IntegralAttention
from sciml.operators.convert.site import ONE, Site, adopt

__all__ = ["LatticeAttention", "attention"]


class LatticeAttention(IntegralAttention):
    """Multi-head attention whose sources are the points of the input, where there are as many.

    Tokens in front of the points (a class token) keep the weight that each of the reference's points has. A sequence
    that keeps its length, as that of patches, is attended to as it was.
    """

    site: Site

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Attend, with the weights of the present pass."""
        axis = 0 if key.dim() == 2 or not self.batch_first else 1
        reference = self.site.call().inputs
        weights = self._weights(key.shape[axis], reference[axis] if len(reference) > axis else 0, key)
        return super().forward(query, key, value, *args, weights=weights, **kwargs)

    def _weights(self, tokens: int, reference: int, like: Tensor) -> Tensor | None:
        """Weights of the tokens relative to the points of the reference; None where all are equal."""
        run, points = self.site.run, self.site.points
        extra = reference - math.prod(points)
        scale = math.prod(run.scale, start=ONE)
        now = math.prod(int(axis.count(n, s)) for axis, n, s in zip(self.site.axes, points, run.scale, strict=True))
        if extra < 0 or tokens != extra + now or (run.weights is None and (scale == 1 or extra == 0)):
            return None
        weights = run.weights
        if weights is None:
            weights = like.new_full((now,), 1 / float(scale))
        front = weights.new_ones((*weights.shape[:-1], extra))
        return torch.cat([front, weights.to(like.device)], -1) if extra else weights.to(like.device)


def attention(module: nn.Module, site: Site) -> nn.Module:
    """The converted attention with the parameters of a torch layer."""
    assert isinstance(module, nn.MultiheadAttention)
    return adopt(module, LatticeAttention, site)
