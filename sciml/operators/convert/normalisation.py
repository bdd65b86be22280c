"""Normalisations over space: their moments are integrals where the points have weights."""

import math

from torch import Tensor, nn

from sciml.nn.weighted_batch_norm import WeightedBatchNorm, WeightedInstanceNorm
from sciml.nn.weighted_norm import WeightedGroupNorm
from sciml.operators.convert.site import Site, adopt

__all__ = ["LatticeBatchNorm", "LatticeGroupNorm", "LatticeInstanceNorm", "normalisation"]


class LatticeGroupNorm(WeightedGroupNorm):
    """Group normalisation with the weights of the present pass."""

    site: Site

    def forward(self, x: Tensor, weights: Tensor | None = None, channel_dim: int = 1) -> Tensor:
        """Normalise ``(batch, channels, *points)``."""
        return super().forward(x, _weights(self.site, x), channel_dim)


class LatticeInstanceNorm(WeightedInstanceNorm):
    """Instance normalisation with the weights of the present pass."""

    site: Site

    def forward(self, x: Tensor, weights: Tensor | None = None, channel_dim: int = 1) -> Tensor:
        """Normalise ``(batch, channels, *points)``."""
        return super().forward(x, _weights(self.site, x), channel_dim)


class LatticeBatchNorm(WeightedBatchNorm):
    """Batch normalisation with the weights of the present pass."""

    site: Site

    def forward(self, x: Tensor, weights: Tensor | None = None, channel_dim: int = 1) -> Tensor:
        """Normalise ``(batch, channels, *points)``, or ``(nodes, channels)``."""
        given = self.site.run.weights
        if x.dim() == 2 and given is not None and len(x) == given.shape[-1] and self.site.axes[0].kind == "cloud":
            return super().forward(x.t()[None], given.to(x.device), 1)[0].t()
        return super().forward(x, _weights(self.site, x), channel_dim)


def normalisation(module: nn.Module, site: Site) -> nn.Module:
    """The converted class of a torch normalisation over space."""
    if isinstance(module, nn.GroupNorm):
        return adopt(module, LatticeGroupNorm, site)
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        return adopt(module, LatticeInstanceNorm, site)
    return adopt(module, LatticeBatchNorm, site)


def _weights(site: Site, x: Tensor) -> Tensor | None:
    """Weights of the points of a function; None on grids of equal cells, and where the points are others by now."""
    weights = site.run.weights
    if weights is None or x.dim() < 3 or math.prod(x.shape[2:]) != weights.shape[-1]:
        return None
    return weights.to(x.device)
