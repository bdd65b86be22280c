"""Multi-head attention between functions: torch's layer with quadrature weights of the source points."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import ConfigError
from sciml.nn._point_weights import adopt, along_points, without_masked, working_dtype, wrong_shape
from sciml.nn.attention import attention_matrix, weighted_attention

__all__ = ["IntegralAttention"]


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
        q, k, v, weights = self._with_slots(*self._projections(query, key, value), weights)
        mask = self._mask(q, k, key_padding_mask, attn_mask)
        q, k, v = (x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            matrix = F.dropout(attention_matrix(q, k, weights, mask), dropout)
            out = matrix @ without_masked(v, along_points(weights, v))
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

    def _projections(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values ``(batch, points, embed_dim)``."""
        if query.dim() not in (2, 3) or key.dim() != query.dim() or key.shape[:-1] != value.shape[:-1]:
            raise ConfigError(
                f"query, key and value have shapes {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}, "
                "expected all with or all without a batch axis, and as many values as keys."
            )
        bias = self.in_proj_bias
        if self.in_proj_weight is not None and query is key is value:
            return self._batch_first(F.linear(query, self.in_proj_weight, bias)).chunk(3, -1)  # type: ignore[return-value]
        if self.in_proj_weight is not None:
            maps = self.in_proj_weight.chunk(3)
        else:
            maps = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None, None, None) if bias is None else bias.chunk(3)
        triples = zip((query, key, value), maps, biases, strict=True)
        q, k, v = (F.linear(self._batch_first(x), w, b) for x, w, b in triples)
        return q, k, v

    def _batch_first(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            return x[None]
        return x if self.batch_first else x.transpose(0, 1)

    def _with_slots(self, q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Append the learned slot and the slot of zeros, each with the weight one."""
        if weights.shape not in ((k.shape[1],), k.shape[:2]):
            raise wrong_shape(weights, k.shape[1], len(k))
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(len(k), -1, -1)], 1)
            v = torch.cat([v, self.bias_v.expand(len(v), -1, -1)], 1)
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        return q, k, v, F.pad(weights.to(working_dtype(k)), (0, k.shape[1] - weights.shape[-1]), value=1.0)

    def _mask(self, q: Tensor, k: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None) -> Tensor | None:
        """Both masks as one that is added to the logits and broadcasts to ``(batch, heads, targets, points)``."""
        batch, targets, points = len(q), q.shape[1], k.shape[1] - self.add_zero_attn - (self.bias_k is not None)
        shapes = {(targets, points): (1, 1), (batch * self.num_heads, targets, points): (batch, self.num_heads)}
        mask = None
        if attn_mask is not None:
            lead = shapes.get(tuple(attn_mask.shape))
            if lead is None:
                raise ConfigError(f"attn_mask has shape {tuple(attn_mask.shape)}, expected one of {list(shapes)}.")
            mask = _additive(attn_mask, q.dtype).reshape(*lead, targets, points)
        if key_padding_mask is not None:
            if key_padding_mask.numel() != batch * points or key_padding_mask.shape[-1] != points:
                shape = tuple(key_padding_mask.shape)
                raise ConfigError(f"key_padding_mask has shape {shape}, expected ({batch}, {points}).")
            padding = _additive(key_padding_mask, q.dtype).reshape(batch, 1, 1, points)
            mask = padding if mask is None else mask + padding
        return None if mask is None else F.pad(mask, (0, k.shape[1] - points))


def _additive(ignored: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask of torch's attention layers as what is added to logits."""
    if ignored.dtype != torch.bool:
        return ignored.to(dtype)
    return torch.zeros_like(ignored, dtype=dtype).masked_fill(ignored, -torch.inf)
