"""Spectral convolutions whose weights, over all modes, are one tensor in Tucker form."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.operators.spectral_conv import BaseSpectralConv, Pair, complex_bmm, kept_modes

__all__ = ["TuckerSpectralConv", "tucker_rank"]


def tucker_rank(shape: Sequence[int], fraction: float) -> tuple[int, ...]:
    r"""Ranks of a Tucker form with about this fraction of the parameters of a dense tensor.

    All axes shrink by one factor :math:`c`, the root of
    :math:`c^N \prod_i n_i + c \sum_i n_i^2 = \text{fraction} \cdot \prod_i n_i`; ranks are rounded, and at least one.

    Args:
        shape: Sizes :math:`n_i` of the dense tensor.
        fraction: Wanted number of parameters, relative to the dense tensor.

    Raises:
        ValueError: If the fraction is not positive.

    Example:
        >>> tucker_rank((24, 24, 8, 5), 0.42)
        (19, 19, 6, 4)
    """
    if fraction <= 0:
        raise ValueError(f"rank is {fraction}, expected a positive fraction of the dense parameters.")
    from scipy.optimize import brentq

    dense, factors = math.prod(shape), sum(n * n for n in shape)
    c = brentq(lambda c: dense * c ** len(shape) + factors * c - fraction * dense, 0.0, max(fraction, 1.0))
    return tuple(max(round(n * c), 1) for n in shape)


class TuckerSpectralConv(BaseSpectralConv):
    r"""Spectral convolution with weights in Tucker form: a small core and one factor matrix per axis.

    .. math:: W_{k,io} = \sum_{c,a,b} G_{c,ab}\, \Bigl(\prod_j M^{(j)}_{k_j c_j}\Bigr)\, A_{ia}\, B_{ob}

    Never builds more of :math:`W` than pays off: the channel factors act on the input and the output where that takes
    fewer operations than expanding them for every mode.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        modes: Wave numbers kept per axis, as in :class:`SpectralConv`.
        rank: Fraction of the dense number of parameters (see :func:`tucker_rank`), or the ranks of
            ``(*modes, in_channels, out_channels)``.
        bias: Add one constant per output channel.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``.
        - **output**: ``(batch, out_channels, *grid)``.
        - **core**: ``(2, *ranks)``; **factors**: one ``(2, size, rank)`` per axis, in the order ``(*modes, in, out)``.

    Raises:
        ValueError: If the rank is not positive, or names another number of axes.

    Reference:
        Kossaifi et al.: Multi-grid tensorized Fourier neural operator for high-resolution PDEs (2024). The choice of
        ranks and the initial scale are those of ``tltorch``.

    Example:
        >>> conv = TuckerSpectralConv(16, 16, [8, 8], rank=0.3)
        >>> conv(torch.zeros(2, 16, 20, 20)).shape
        torch.Size([2, 16, 20, 20])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        rank: float | Sequence[int] = 0.1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, modes, bias)
        shape = (*kept_modes(self.modes), in_channels, out_channels)
        self.rank = tuple(rank) if isinstance(rank, Sequence) else tucker_rank(shape, rank)
        if len(self.rank) != len(shape) or min(self.rank) < 1:
            raise ValueError(
                f"rank is {self.rank}, expected a fraction or {len(shape)} positive ranks, for axes of sizes {shape}."
            )
        self.core = nn.Parameter(torch.empty(2, *self.rank))
        self.factors = nn.ParameterList([torch.empty(2, n, r) for n, r in zip(shape, self.rank, strict=True)])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw core and factors such that the dense weights have the variance of :class:`SpectralConv`."""
        std = (self.init_std / math.sqrt(math.prod(self.rank))) ** (1 / (len(self.rank) + 1))
        for parameter in (self.core, *self.factors):
            nn.init.normal_(parameter, std=std / math.sqrt(2))
        if self.bias is not None:
            nn.init.normal_(self.bias, std=self.init_std)

    def mix(self, coefficients: Tensor, window: tuple[slice, ...]) -> Pair:
        """Multiply each mode's channels by its matrix."""
        *by_mode, into, out = self.factors
        core: Tensor = self.core
        num_modes = 1
        for factor, part in zip(by_mode, window, strict=True):
            rows = factor[:, part]
            expanded = complex_bmm(_repeat(rows, num_modes), core.reshape(2, num_modes, rows.shape[2], -1))
            core = torch.stack(expanded)
            num_modes *= rows.shape[1]
        core = core.view(2, num_modes, *self.rank[-2:])
        x = coefficients.flatten(1, -3)
        if self._factors_are_cheaper(x.shape[2]):
            inner = complex_bmm(_shared_product(x, into), core)
            return _shared_product(inner, out.transpose(1, 2))
        left = complex_bmm(_repeat(into, num_modes), core)
        return complex_bmm(x, _shared_product(left, out.transpose(1, 2)))

    def _factors_are_cheaper(self, batch: int) -> bool:
        a, b = self.rank[-2:]
        i, o = self.in_channels, self.out_channels
        return batch * (i * a + a * b + b * o) < batch * i * o + i * a * b + i * b * o


def _repeat(matrix: Tensor, batch: int) -> Tensor:
    return matrix[:, None].expand(-1, batch, -1, -1)


def _shared_product(a: Tensor | Pair, b: Tensor) -> Pair:
    """Product of complex matrices ``(2, batch, n, m)`` with one ``(2, m, p)``."""
    first, second = a
    batch, n, m = first.shape
    real, imag = complex_bmm((first.reshape(1, -1, m), second.reshape(1, -1, m)), b[:, None])
    return real.view(batch, n, -1), imag.view(batch, n, -1)
