"""The set branch: sensors are a set of (place, value) pairs, pooled by weights or by attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.nn import MLP
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.spaces import RegularGrid

__all__ = ["SetBranch"]


class SetBranch(SampledBranch):
    r"""Branch on the set of sensors, which may lie anywhere and come in any order and number.

    .. math:: b = \rho\Big(\sum_j \alpha_j\, \varphi(x_j, u(x_j))\Big), \qquad
        \alpha_j = \frac{w_j e^{s(x_j, u(x_j))}}{\sum_l w_l e^{s(x_l, u(x_l))}}

    with :math:`s = 0` for the mean. Attention has several scores :math:`s`, each with its own features.

    Args:
        out_features: Number of coefficients.
        dim: Dimension of the domain of the input functions.
        channels: Their channels.
        width: Features of each sensor.
        hidden: Widths of the hidden layers of the networks :math:`\varphi`, :math:`\rho` and :math:`s`.
        pooling: ``mean``, weighted by the sensors' weights, or ``attention``.
        heads: Number of scores for attention; each pools its own part of the features.
        activation: Name of the activation.
        domain: Grid of functions that come without sensors.

    Shapes:
        As for :class:`SampledBranch`; without weights all sensors count alike.

    Raises:
        ConfigError: As for :class:`SampledBranch`; if there is no such pooling, or ``heads`` does not
            divide ``width``.

    Reference:
        Prasthofer, De Ryck, Mishra: Variable-input deep operator networks (2022), for attention. Unlike there, the
        sensors' weights enter as a measure, so that a sensor split in two with half the weight changes nothing.

    Example:
        >>> SetBranch(40, width=32)(torch.zeros(8, 7), torch.rand(8, 7, 1)).shape
        torch.Size([8, 40])
    """

    needs_weights: ClassVar[bool] = False

    def __init__(
        self,
        out_features: int,
        dim: int = 1,
        channels: int = 1,
        width: int = 64,
        hidden: Sequence[int] = (64,),
        pooling: Literal["mean", "attention"] = "mean",
        heads: int = 4,
        activation: str = "gelu",
        domain: RegularGrid | None = None,
    ) -> None:
        super().__init__(channels, dim, domain)
        if pooling not in ("mean", "attention"):
            raise ConfigError(f"pooling is {pooling!r}, expected 'mean' or 'attention'.")
        if pooling == "attention" and (heads < 1 or width % heads):
            raise ConfigError(f"width={width} does not divide into heads={heads} equal parts.")
        self.out_features = out_features
        self.local = MLP(dim + channels, *hidden, width, activation=activation)
        self.score = MLP(dim + channels, *hidden, heads, activation=activation) if pooling == "attention" else None
        self.head = MLP(width, *hidden, out_features, activation=activation)

    def encode(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Pool the features of the sensors."""
        pairs = torch.cat([points.expand(len(u), -1, -1), u.mT], -1)
        features, weights = self.local(pairs), weights.expand(len(u), -1)
        if self.score is None:
            pooled = (weights[:, None] @ features).squeeze(1) / weights.sum(1, keepdim=True)
            return self.head(pooled)
        # Weights of zero, as on padding, become scores of minus infinity.
        share = (self.score(pairs) + weights.log()[..., None]).softmax(1)
        parts = features.unflatten(-1, (share.shape[-1], -1))
        return self.head(torch.einsum("bmh,bmhf->bhf", share, parts).flatten(1))
