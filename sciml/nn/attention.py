"""Attention as an integral over the source points: with quadrature weights it converges as the points are refined.

:func:`weighted_attention` and :func:`linear_attention` are the formulas; :class:`IntegralAttention` is torch's
multi-head attention with weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import ConfigError
from sciml.nn._point_weights import adopt, extent, working_dtype

__all__ = ["IntegralAttention", "attention_matrix", "linear_attention", "weighted_attention"]


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
    bias, k, v = _bias(q, k, v, weights, mask, is_causal)
    causal = is_causal and bias is None
    return F.scaled_dot_product_attention(q, k, v, bias, dropout_p=dropout, is_causal=causal, scale=scale)


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
    if is_causal and mask is None:
        mask = _causal(q, k)
    bias, k, _ = _bias(q, k, None, weights, mask, is_causal)
    logits = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.mT
    if bias is None:
        return logits.softmax(-1)
    # The softmax of a row of minus infinities is not a number.
    blind = (bias == -torch.inf).all(-1, keepdim=True)
    logits = logits + bias.to(logits.dtype).masked_fill(blind, 0.0)
    return logits.softmax(-1).masked_fill(blind, 0.0)


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
    weights = _along_points(weights, k)
    if extent(weights).some_zero:
        k, v = _filled(k, weights), _filled(v, weights)
    return q @ ((k * weights.mT.to(k.dtype)).mT @ v)


class IntegralAttention(nn.MultiheadAttention):
    """``torch.nn.MultiheadAttention`` with quadrature weights of the source points.

    Arguments, parameters, ``state_dict`` and calls are those of ``torch.nn.MultiheadAttention``; ``forward`` has
    ``weights`` in addition. Without weights, and with equal ones, the result is that of torch. Source and target may
    have different points: queries at any points make the output a function that can be evaluated anywhere.

    The slots that ``add_bias_kv`` and ``add_zero_attn`` append are not points and have the weight one. With these
    options the weights are therefore relative to those of the points that the layer was, or will be, trained with:
    points twice as dense have the weight one half. Without these options only ratios of weights matter.

    A query that sees no point of positive weight attends to nothing: its output is the bias of the last layer, its row
    of attention weights is zero. (Without ``weights`` torch's own answer stands, which is not a number where
    ``need_weights`` is true.)

    Raises:
        ConfigError: In a call, if the weights have another shape, are negative or not finite, or a mask or the inputs
            do not fit.

    Reference:
        Berner et al.: Principled approaches for extending neural architectures to function spaces (2025).

    Example:
        >>> plain = nn.MultiheadAttention(16, 4, batch_first=True)
        >>> layer = IntegralAttention.from_module(plain)
        >>> x, weights = torch.randn(2, 9, 16), torch.rand(2, 9)
        >>> layer(x, x, x, weights=weights)[0].shape
        torch.Size([2, 9, 16])
        >>> torch.equal(layer(x, x, x)[0], plain(x, x, x)[0])
        True
    """

    @classmethod
    def from_module(cls, module: nn.MultiheadAttention) -> "IntegralAttention":
        """The layer with the same parameters: training one trains the other.

        Args:
            module: A plain ``torch.nn.MultiheadAttention``.

        Raises:
            TypeError: If it is of another class that computes something else.
        """
        return adopt(module, cls, nn.MultiheadAttention)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend; see ``torch.nn.MultiheadAttention`` for all but the last argument.

        Args:
            query: Features of the targets.
            key: Features of the source points.
            value: Features of the source points.
            key_padding_mask: Which source points not to look at (True), or what to add to their logits.
            need_weights: Also return the attention weights; these contain the weights of the points.
            attn_mask: Which sources a target must not look at (True), or what to add to the logits.
            average_attn_weights: Return the mean of the attention weights over heads.
            is_causal: A hint that ``attn_mask``, which must be given, is causal.
            weights: Quadrature weights of the source points, ``(points,)`` or ``(batch, points)`` whatever
                ``batch_first`` is; zero masks a point.
        """
        if weights is None:
            return super().forward(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        if is_causal and attn_mask is None:
            raise ConfigError("is_causal is a hint on attn_mask, which is missing. Give the causal attn_mask as well.")
        batched = query.dim() == 3
        q, k, v, weights = self._projections(query, key, value, weights)
        mask = self._mask(q, k, key_padding_mask, attn_mask)
        q, k, v = (x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            matrix = F.dropout(attention_matrix(q, k, weights, mask), dropout)
            out = matrix @ _filled(v, _along_points(weights, v))
        else:
            out = weighted_attention(q, k, v, weights, mask, dropout=dropout)
        out = self.out_proj(out.transpose(1, 2).flatten(2))
        if not batched:
            out = out.squeeze(0)
        elif not self.batch_first:
            out = out.transpose(0, 1)
        if not need_weights:
            return out, None
        matrix = matrix.mean(1) if average_attn_weights else matrix
        return out, matrix if batched else matrix.squeeze(0)
