"""Attention as an integral over the source points: with quadrature weights it converges as the points are refined.

The formulas; the layer is :class:`~sciml.nn.integral_attention.IntegralAttention`.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from sciml.nn._point_weights import along_points, extent, without_masked

__all__ = ["attention_matrix", "linear_attention", "weighted_attention"]


def weighted_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weights: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    r"""Softmax attention with quadrature weights of the source points.

    .. math:: o_i = \frac{\sum_j w_j\, e^{q_i \cdot k_j / \sqrt d}\, v_j}{\sum_j w_j\, e^{q_i \cdot k_j / \sqrt d}}
        \;\to\; \frac{\int e^{q_i \cdot k(y) / \sqrt d}\, v(y)\, dy}{\int e^{q_i \cdot k(y) / \sqrt d}\, dy}

    Computed by ``scaled_dot_product_attention`` with the logarithms of the weights added to the logits. Only ratios of
    weights matter; equal weights are left out, and then this is plain attention, bit for bit.

    Args:
        q: Queries.
        k: Keys of the source points.
        v: Values at the source points.
        weights: Quadrature weights of the source points, not negative. A point of weight zero is masked: nothing
            depends on its key and value, no gradient reaches them nor the weight. None means equal weights.
        mask: Which source a query sees (True), or what is added to the logits, as in
            ``scaled_dot_product_attention``.
        is_causal: Also hide sources that come after the query in order.
        dropout: Probability of dropping a pair; applied whenever it is positive.
        scale: In place of ``1 / sqrt(d)``.

    Shapes:
        - **q**: ``(batch, *heads, targets, d)`` or ``(targets, d)``.
        - **k**, **v**: ``(batch, *heads, points, d)`` or ``(points, d)``.
        - **weights**: ``(points,)`` or ``(batch, points)``.
        - **mask**: Anything that broadcasts to ``(batch, *heads, targets, points)``; together with weights that differ
          between samples it is expanded over the batch, otherwise nothing of this size is made.
        - **output**: As **q**, with the channels of **v**. A query that sees no point of positive weight gets zero,
          and passes no gradient on.

    Raises:
        ConfigError: If the weights have another shape, are negative or not finite.

    Reference:
        Berner et al.: Principled approaches for extending neural architectures to function spaces (2025).

    Example:
        >>> q, k, v = torch.randn(3, 2, 4, 5, 8).unbind()
        >>> weights = torch.tensor([0.5, 1.0, 1.0, 1.0, 0.5])
        >>> weighted_attention(q, k, v, weights).shape
        torch.Size([2, 4, 5, 8])
    """
    if weights is not None:
        weights, k, v = _prepared(weights, k, v)
    plain = weights is None and mask is None
    bias = None if plain else _bias(q, k, weights, mask, is_causal)
    return F.scaled_dot_product_attention(q, k, v, bias, dropout, is_causal and plain, scale=scale)


def attention_matrix(
    q: Tensor,
    k: Tensor,
    weights: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """How much of the value at each source :func:`weighted_attention` takes, the weights of the points included.

    Args:
        q: As there.
        k: As there.
        weights: As there.
        mask: As there.
        is_causal: As there.
        scale: As there.

    Shapes:
        - **output**: ``(batch, *heads, targets, points)``; rows add up to one, or are zero where nothing is seen.

    Raises:
        ConfigError: If the weights have another shape, are negative or not finite.

    Example:
        >>> attention_matrix(torch.zeros(1, 8), torch.zeros(2, 8), torch.tensor([1.0, 3.0]))
        tensor([[0.2500, 0.7500]])
    """
    if weights is not None:
        weights, k, _ = _prepared(weights, k, k)
    logits = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.mT
    bias = _bias(q, k, weights, mask, is_causal)
    if bias is None:
        return logits.softmax(-1)
    if bias.dtype == torch.bool:
        bias = torch.zeros_like(bias, dtype=logits.dtype).masked_fill(~bias, -torch.inf)
    # The softmax of a row of minus infinities is not a number.
    blind = (bias == -torch.inf).all(-1, keepdim=True)
    return (logits + bias.masked_fill(blind, 0.0)).softmax(-1).masked_fill(blind, 0.0)


def linear_attention(q: Tensor, k: Tensor, v: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Attention without softmax, in linear time: an integral operator with the kernel ``q(x) . k(y)``.

    .. math:: o_i = \sum_j w_j\, (q_i \cdot k_j)\, v_j = q_i^\top \Big(\sum_j w_j\, k_j v_j^\top\Big)
        \;\to\; \int (q_i \cdot k(y))\, v(y)\, dy

    Args:
        q: Queries.
        k: Keys of the source points; usually normalised over the points, see
            :class:`~sciml.nn.weighted_norm.WeightedInstanceNorm`.
        v: Values at the source points.
        weights: Quadrature weights of the source points, not negative; the output is proportional to them. A point of
            weight zero is masked. None means ``1 / points``, the mean over the points.

    Shapes:
        - **q**: ``(batch, *heads, targets, d)`` or ``(targets, d)``.
        - **k**: ``(batch, *heads, points, d)`` or ``(points, d)``.
        - **v**: ``(batch, *heads, points, channels)`` or ``(points, channels)``.
        - **weights**: ``(points,)`` or ``(batch, points)``.
        - **output**: ``(batch, *heads, targets, channels)``.

    Raises:
        ConfigError: If the weights have another shape, are negative or not finite.

    Reference:
        Cao: Choose a transformer: Fourier or Galerkin (2021), with equal weights and without the normalisations.

    Example:
        >>> linear_attention(torch.ones(3, 2), torch.ones(4, 2), torch.ones(4, 1), torch.full((4,), 0.25)).flatten()
        tensor([2., 2., 2.])
    """
    if weights is None:
        return q @ (k.mT @ v) / k.shape[-2]
    weights = along_points(weights, k)
    if extent(weights).some_zero:
        k, v = without_masked(k, weights), without_masked(v, weights)
    return q @ ((k * weights.mT.to(k.dtype)).mT @ v)


def _prepared(weights: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """Weights along the sources, None where they are equal; keys and values without what stands at masked points."""
    weights = along_points(weights, k)
    some_zero, equal = extent(weights)
    if equal and not weights.requires_grad:
        return None, k, v
    if some_zero:
        # Zero times infinity, or times not a number, would be an influence.
        k, v = without_masked(k, weights), without_masked(v, weights)
    return weights, k, v


def _bias(q: Tensor, k: Tensor, weights: Tensor | None, mask: Tensor | None, is_causal: bool) -> Tensor | None:
    """All masks in one, and the logarithms of the weights."""
    if is_causal:
        causal = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
        if mask is None:
            mask = causal
        else:
            mask = mask & causal if mask.dtype == torch.bool else mask.masked_fill(~causal, -torch.inf)
    if weights is None:
        return mask
    logs = _log(weights).to(q.dtype)
    if mask is None:
        return logs
    return torch.where(mask, logs, -torch.inf) if mask.dtype == torch.bool else logs + mask


def _log(weights: Tensor) -> Tensor:
    """Logarithms of weights over their largest, minus infinity without a gradient where they vanish."""
    # Only ratios matter: small numbers are more exact in short types, and equal weights give exact zeros.
    largest = weights.detach().amax(-1, keepdim=True)
    weights = weights / largest.where(largest > 0, 1.0)
    positive = weights > 0
    return weights.where(positive, 1.0).log().where(positive, -torch.inf)
