"""Coefficients times basis functions: for one or several outputs, and for every layout of the query points.

With ``p`` basis functions for each of ``n`` outputs, branch and trunk give

=============  ==========  =========  ====================================================
multi_output   branch      trunk      output ``k``
=============  ==========  =========  ====================================================
split_branch   ``n * p``   ``p``      group ``k`` of the branch with the whole trunk
split_trunk    ``p``       ``n * p``  the whole branch with group ``k`` of the trunk
split_both     ``n * p``   ``n * p``  group ``k`` of both
independent    ``n * p``   ``n * p``  as split_both, with networks of its own for each group
=============  ==========  =========  ====================================================
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn import MLP
from sciml.operators.deeponet.inputs import Layout
from sciml.operators.deeponet.networks import feature_sizes

__all__ = ["MULTI_OUTPUT", "MultiOutput", "basis_size", "contract", "merge_network", "merge_products"]

MultiOutput = Literal["split_branch", "split_both", "split_trunk", "independent"]
MULTI_OUTPUT: tuple[str, ...] = get_args(MultiOutput)


def basis_size(multi_output: str, branch: int, trunk: int, out_channels: int) -> int:
    """Basis functions per output, from the features of branch and trunk.

    Raises:
        ConfigError: If the features do not divide by the number of outputs, or do not fit each other.

    Example:
        >>> basis_size("split_both", 120, 120, 3)
        40
    """
    p = trunk if multi_output == "split_branch" else trunk // out_channels
    wanted = feature_sizes(multi_output, p, out_channels)
    if (branch, trunk) == wanted:
        return p
    case = f"out_channels={out_channels}" + (f" and multi_output={multi_output!r}" if out_channels > 1 else "")
    if trunk == wanted[1]:
        product = str(wanted[0]) if wanted[0] == p else f"{out_channels} x {p} = {wanted[0]}"
        rule = f"the branch must give {product}"
    else:
        near = out_channels * max(p, 1)
        rule = (
            f"the features of the trunk must divide into {out_channels} equal groups, one per output: take {near} or "
            f"{near + out_channels}"
        )
    raise ConfigError(f"the branch gives {branch} features and the trunk {trunk}; with {case} {rule}.")


def contract(
    coefficients: Tensor,
    basis: Tensor,
    bias: Tensor | None,
    out_channels: int,
    multi_output: str,
    layout: Layout,
) -> Tensor:
    r"""Sums :math:`\sum_k b_{ck} t_{ck}(y) + b_{c0}`, in one matrix product where the layout allows it.

    Args:
        coefficients: ``(batch, features)`` of the branch.
        basis: ``(points, features)`` of the trunk for aligned queries, ``(batch, features)`` for unaligned ones,
            ``(batch, points, features)`` for ragged ones.
        bias: One number per output; for one output also one per point. None adds nothing.
        out_channels: Number of outputs.
        multi_output: How the features divide among the outputs.
        layout: Which queries belong to which function.

    Returns:
        ``(batch, points)``, or ``(batch, out_channels, points)`` for several outputs; without the axis of the points
        for unaligned queries.

    Example:
        >>> contract(torch.ones(2, 3), torch.ones(5, 3), torch.ones(1), 1, "split_branch", "aligned").shape
        torch.Size([2, 5])
    """
    if out_channels == 1:
        return _single(coefficients, basis, bias, layout)
    if layout == "aligned":
        return _aligned(coefficients, basis, bias, out_channels, multi_output)
    b, t = split(coefficients, basis, out_channels, multi_output)
    if layout == "unaligned":
        values = (b * t).sum(-1)
        return values if bias is None else values + bias
    # Size one stands for a factor that all outputs share.
    values = b @ basis.mT if multi_output == "split_branch" else torch.einsum("bcp,bncp->bcn", b, t)
    return values if bias is None else values + bias[:, None]


def _single(coefficients: Tensor, basis: Tensor, bias: Tensor | None, layout: Layout) -> Tensor:
    if layout == "aligned":
        # One product for all functions and points; equals einsum("bp,np->bn") + bias.
        return coefficients @ basis.t() if bias is None else torch.addmm(bias, coefficients, basis.t())
    if layout == "unaligned":
        values = (coefficients * basis).sum(-1)
    else:
        values = (basis @ coefficients.unsqueeze(-1)).squeeze(-1)
    return values if bias is None else values + bias


def _aligned(b: Tensor, t: Tensor, bias: Tensor | None, out_channels: int, multi_output: str) -> Tensor:
    """All functions at all points, ``(batch, out_channels, points)``; equals einsum("bcp,ncp->bcn") + bias."""
    offset = b.new_zeros(()) if bias is None else bias
    if multi_output == "split_branch":
        rows = offset.expand(len(b), out_channels).reshape(-1, 1)
        return torch.addmm(rows, b.reshape(len(rows), -1), t.t()).unflatten(0, (-1, out_channels))
    t = t.unflatten(1, (out_channels, -1))
    offset = offset.expand(out_channels)
    if multi_output == "split_trunk":
        columns = offset.repeat_interleave(len(t))
        return torch.addmm(columns, b, t.permute(2, 1, 0).flatten(1)).unflatten(1, (out_channels, -1))
    b = b.unflatten(1, (out_channels, -1)).transpose(0, 1)
    return torch.baddbmm(offset[:, None, None], b, t.permute(1, 2, 0)).transpose(0, 1)


def split(coefficients: Tensor, basis: Tensor, out_channels: int, multi_output: str) -> tuple[Tensor, Tensor]:
    """Both as ``(..., out_channels, p)``; one group instead where all outputs share it."""
    b_groups, t_groups = feature_sizes(multi_output, 1, out_channels)
    return coefficients.unflatten(-1, (b_groups, -1)), basis.unflatten(-1, (t_groups, -1))


def merge_products(
    network: nn.Module,
    coefficients: Tensor,
    basis: Tensor,
    out_channels: int,
    multi_output: str,
    layout: Layout,
) -> Tensor:
    """A network on the products of coefficients and basis functions, in the place of their sum.

    Args:
        network: Maps ``(..., p)`` to ``(..., 1)``.
        coefficients: As in :func:`contract`.
        basis: As in :func:`contract`.
        out_channels: Number of outputs.
        multi_output: How the features divide among the outputs.
        layout: Which queries belong to which function.

    Returns:
        As :func:`contract`. Takes memory for all products, ``batch * points * out_channels * p`` numbers.
    """
    b, t = split(coefficients, basis, out_channels, multi_output)
    if layout == "unaligned":
        values = network(b * t).squeeze(-1)
    else:
        values = network(b[:, None] * t).squeeze(-1).transpose(1, 2)
    return values.squeeze(1) if out_channels == 1 else values


def merge_network(merge: str | nn.Module, num_basis: int | None, activation: str) -> nn.Module | None:
    """The network for :func:`merge_products`; None for the inner product.

    Raises:
        ConfigError: If there is no such way to merge, or its size is not known.
    """
    if isinstance(merge, nn.Module):
        return merge
    if merge == "dot":
        return None
    if merge != "product-mlp":
        raise ConfigError(f"merge is {merge!r}, expected 'dot', 'product-mlp' or a network.")
    if num_basis is None:
        raise ConfigError("merge='product-mlp' needs num_basis: the sizes of branch and trunk do not tell it.")
    return MLP(num_basis, num_basis, 1, activation=activation, init="glorot-normal")
