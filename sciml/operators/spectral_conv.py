"""Spectral convolutions: linear maps of channels, one per Fourier mode, on periodic grids of any resolution."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.operators.fourier import truncated_fft, truncated_ifft

__all__ = ["BaseSpectralConv", "SpectralConv", "complex_bmm", "kept_modes"]

Pair = tuple[Tensor, Tensor]


def kept_modes(modes: Sequence[int]) -> tuple[int, ...]:
    """Coefficients per axis that ``modes`` wave numbers leave for real functions: half of them (plus one) on the last.

    Example:
        >>> kept_modes([12, 12])
        (12, 7)
    """
    return (*modes[:-1], modes[-1] // 2 + 1)


class BaseSpectralConv(nn.Module, ABC):
    """What spectral convolutions have in common; a subclass says how the modes' weights are stored.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        modes: Wave numbers kept per axis, positive and negative together.
        bias: Add one constant per output channel.
    """

    def __init__(self, in_channels: int, out_channels: int, modes: Sequence[int], bias: bool = True) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.modes = tuple(modes)
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None

    @property
    def init_std(self) -> float:
        """Standard deviation of a complex weight at the start, as in the reference implementation."""
        return math.sqrt(2 / (self.in_channels + self.out_channels))

    @abstractmethod
    def mix(self, coefficients: Tensor, window: tuple[slice, ...]) -> Pair:
        """Multiply each mode's channels by its matrix.

        Args:
            coefficients: ``(2, *kept, batch, in_channels)``.
            window: Per axis, the part of the weights that belongs to the kept modes.

        Returns:
            Real and imaginary part, ``(prod(kept), batch, out_channels)``.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(batch, in_channels, *grid)`` to ``(batch, out_channels, *grid)``."""
        grid = x.shape[2:]
        full = kept_modes(self.modes)
        kept = tuple(min(k, n) for k, n in zip(full, (*grid[:-1], grid[-1] // 2 + 1), strict=True))
        # Weights belong to wave numbers, so a coarser grid uses the block around wave number zero.
        starts = [*(m // 2 - k // 2 for m, k in zip(full[:-1], kept[:-1], strict=True)), 0]
        window = tuple(slice(s, s + k) for s, k in zip(starts, kept, strict=True))
        with torch.autocast(x.device.type, enabled=False):  # half precision loses the small coefficients
            values = x if x.dtype == self.dtype else x.to(self.dtype)
            real, imag = self.mix(truncated_fft(values, kept), window)
            if self.bias is not None:
                # A constant is the coefficient of wave number zero: no pass over the grid.
                zero = _flat_index([*(k // 2 for k in kept[:-1]), 0], kept)
                real[zero] = real[zero] + self.bias
            spectrum = torch.stack([real, imag]).view(2, *kept, len(x), self.out_channels)
            return truncated_ifft(spectrum, grid)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, in which the convolution is computed."""
        return next(self.parameters()).dtype

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.in_channels}, {self.out_channels}, modes={self.modes}, bias={self.bias is not None}"


class SpectralConv(BaseSpectralConv):
    r"""Spectral convolution with one dense complex matrix per mode.

    .. math:: \hat y_k = W_k\, \hat x_k \;\; (k \text{ among the kept modes}), \qquad \hat y_k = 0 \text{ otherwise}

    and a bias is added to :math:`y`. The weights belong to wave numbers, not to grid points: the same weights act on
    any resolution, and a grid too coarse for all modes uses those that it can represent.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        modes: Wave numbers kept per axis, positive and negative together: ``m`` keeps ``-(m // 2) ... m - m // 2 - 1``
            on leading axes, and ``0 ... m // 2`` on the last, whose negative half is redundant for real functions.
        bias: Add one constant per output channel.

    Shapes:
        - **x**: ``(batch, in_channels, *grid)``.
        - **output**: ``(batch, out_channels, *grid)``.
        - **weight**: ``(2, *kept_modes(modes), in_channels, out_channels)``, real and imaginary parts. Thanks to real
          storage ``double()``, fused optimizers and safetensors work; each half is contiguous for matrix products.

    Reference:
        Li et al.: Fourier neural operator for parametric partial differential equations (2021).

    Example:
        >>> SpectralConv(3, 5, [8, 8])(torch.zeros(2, 3, 16, 11)).shape
        torch.Size([2, 5, 16, 11])
    """

    def __init__(self, in_channels: int, out_channels: int, modes: Sequence[int], bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, modes, bias)
        self.weight = nn.Parameter(torch.empty(2, *kept_modes(self.modes), in_channels, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw complex normal weights of variance ``2 / (in_channels + out_channels)``."""
        nn.init.normal_(self.weight, std=self.init_std / math.sqrt(2))
        if self.bias is not None:
            nn.init.normal_(self.bias, std=self.init_std)

    def mix(self, coefficients: Tensor, window: tuple[slice, ...]) -> Pair:
        """Multiply each mode's channels by its matrix."""
        weight = self.weight[(slice(None), *window)]
        return complex_bmm(coefficients.flatten(1, -3), weight.flatten(1, -3))


def complex_bmm(a: Tensor | Pair, b: Tensor | Pair) -> Pair:
    """Batched product of complex matrices that are given as pairs of real and imaginary parts.

    Real arithmetic is as fast as complex here, and works in every real type and under compilers.

    Example:
        >>> a = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 4, 6)
        >>> x, y = (torch.complex(*part) for part in a)
        >>> torch.allclose(torch.complex(*complex_bmm(*a)), x @ y, atol=1e-5)
        True
    """
    (a_real, a_imag), (b_real, b_imag) = a, b
    real = torch.baddbmm(torch.bmm(a_real, b_real), a_imag, b_imag, alpha=-1)
    return real, torch.baddbmm(torch.bmm(a_real, b_imag), a_imag, b_real)


def _flat_index(index: Sequence[int], shape: Sequence[int]) -> int:
    flat = 0
    for i, n in zip(index, shape, strict=True):
        flat = flat * n + i
    return flat
