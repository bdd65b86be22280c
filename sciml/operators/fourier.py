"""Truncated Fourier transforms on periodic grids: only the wanted coefficients, in real arithmetic.

Read :func:`truncated_fft` first, then its inverse. Coefficients are kept as ``(2, *modes, batch, channels)``: real
parts, then imaginary parts, and the modes in front, where a spectral convolution needs them for its batched matrix
products. Complex numbers appear only inside the path for many modes.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["frequencies", "truncated_fft", "truncated_ifft"]

# A dense transform of n points to k modes costs O(n k), an FFT O(n log n) at a far lower rate of operations. Measured
# forward and backward on CPU for 32 to 8192 points, the matrix product is 1.2 to 7 times faster with up to 32
# coefficients on an axis, and slower from about 50.
MATMUL_MODES = 32


def frequencies(modes: int, half: bool = False) -> list[int]:
    """Wave numbers kept along an axis, in the order of the coefficients.

    Args:
        modes: Number of coefficients.
        half: Last axis of a real transform: only non-negative wave numbers.

    Example:
        >>> frequencies(4), frequencies(5), frequencies(3, half=True)
        ([-2, -1, 0, 1], [-2, -1, 0, 1, 2], [0, 1, 2])
    """
    start = 0 if half else -(modes // 2)
    return list(range(start, start + modes))


def truncated_fft(x: Tensor, modes: Sequence[int]) -> Tensor:
    r"""Fourier coefficients of low wave numbers, of real functions on a periodic grid in any dimension.

    .. math:: \hat x_k = \frac{1}{\prod_i n_i} \sum_j x_j\, e^{-2 \pi \mathrm{i} \sum_i k_i j_i / n_i}

    Equals ``torch.fft.rfftn(x, norm="forward")`` at the wave numbers of :func:`frequencies`. Functions that have no
    wave numbers beyond these keep their coefficients at any resolution.

    Args:
        x: Function values, ``(batch, channels, *grid)``.
        modes: Coefficients per grid axis: at most ``n`` on leading axes and ``n // 2 + 1`` on the last.

    Shapes:
        - **output**: ``(2, *modes, batch, channels)``; real parts, then imaginary parts.

    Example:
        >>> x = torch.cos(2 * math.pi * torch.arange(8) / 8)[None, None]
        >>> (truncated_fft(x, [3])[0].flatten().abs() > 1e-6).tolist()
        [False, True, False]
    """
    batch, channels, *grid = x.shape
    real, imag = _forward_last(x.reshape(-1, grid[-1]), modes[-1])
    # Each step moves the innermost grid axis, now a set of modes, to the front.
    for n, k in zip(reversed(grid[:-1]), reversed(modes[:-1]), strict=True):
        real, imag = _forward(real.reshape(-1, n), imag.reshape(-1, n), k)
    return torch.stack([real, imag]).view(2, *modes, batch, channels)


def truncated_ifft(coefficients: Tensor, grid: Sequence[int]) -> Tensor:
    r"""Real functions on a periodic grid from coefficients of low wave numbers; the inverse of :func:`truncated_fft`.

    Equals ``torch.fft.irfftn(..., s=grid, norm="forward")`` of the spectrum that is zero elsewhere; as there, imaginary
    parts that no real function has are ignored.

    Args:
        coefficients: ``(2, *modes, batch, channels)``.
        grid: Points per axis of the output.

    Shapes:
        - **output**: ``(batch, channels, *grid)``.

    Example:
        >>> x = torch.randn(2, 3, 5, 7)
        >>> torch.allclose(truncated_ifft(truncated_fft(x, [5, 4]), [5, 7]), x, atol=1e-6)
        True
    """
    _, *modes, batch, channels = coefficients.shape
    real, imag = coefficients.unbind(0)
    for n, k in zip(grid[:-1], modes[:-1], strict=True):
        real, imag = _inverse(real.reshape(k, -1), imag.reshape(k, -1), n)
    values = _inverse_last(real.reshape(modes[-1], -1), imag.reshape(modes[-1], -1), grid[-1])
    return values.view(batch, channels, *grid)


def _forward_last(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Real ``(rows, n)`` to the real and imaginary parts ``(k, rows)`` of the wave numbers 0 ... k-1."""
    n = x.shape[-1]
    if k > MATMUL_MODES:
        spectrum = torch.fft.rfft(x, norm="forward")[:, :k].t()
        return spectrum.real, spectrum.imag
    (matrix,) = _matrices("forward_last", n, k, x)
    # The modes come out in front and contiguous; this order is also several times faster than x @ matrix.
    real, imag = (matrix @ x.t()).view(2, k, -1).unbind(0)
    return real, imag


def _forward(real: Tensor, imag: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Complex ``(rows, n)`` to ``(k, rows)``, wave numbers of :func:`frequencies`."""
    n = real.shape[-1]
    if k > MATMUL_MODES:
        spectrum = torch.fft.fft(torch.complex(real, imag), norm="forward")
        spectrum = spectrum.index_select(1, _positions(k, n, real.device)).t()
        return spectrum.real, spectrum.imag
    of_real, of_imag = _matrices("forward", n, k, real)
    real, imag = torch.addmm(of_real @ real.t(), of_imag, imag.t()).view(2, k, -1).unbind(0)
    return real, imag


def _inverse(real: Tensor, imag: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Complex ``(k, rows)`` to ``(rows, n)``."""
    k = real.shape[0]
    if k > MATMUL_MODES:
        kept = torch.complex(real, imag).t()
        spectrum = kept.new_zeros(kept.shape[0], n).index_copy(1, _positions(k, n, real.device), kept)
        values = torch.fft.ifft(spectrum, norm="forward")
        return values.real, values.imag
    cos, sin = _matrices("inverse", n, k, real)
    real, imag = real.t(), imag.t()
    return torch.addmm(real @ cos, imag, sin, alpha=-1), torch.addmm(real @ sin, imag, cos)


def _inverse_last(real: Tensor, imag: Tensor, n: int) -> Tensor:
    """Half of a Hermitian spectrum, ``(k, rows)``, to real ``(rows, n)``."""
    k = real.shape[0]
    if k > MATMUL_MODES:
        return torch.fft.irfft(torch.complex(real, imag).t(), n=n, norm="forward")
    (matrix,) = _matrices("inverse_last", n, k, real)
    return torch.cat([real, imag]).t() @ matrix


def _positions(k: int, n: int, device: torch.device) -> Tensor:
    """Where an FFT of ``n`` points holds the kept wave numbers."""
    return torch.tensor(frequencies(k), device=device) % n


def _matrices(kind: str, n: int, k: int, like: Tensor) -> tuple[Tensor, ...]:
    """The matrices of one transform between ``n`` points and ``k`` modes, made once."""
    if torch.compiler.is_compiling():
        return _make_matrices(kind, n, k, like.dtype, like.device)
    with torch.inference_mode(False):  # what an evaluation stores must serve in training, too
        return _kept_matrices(kind, n, k, like.dtype, like.device)


def _make_matrices(kind: str, n: int, k: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    last = kind.endswith("last")
    wave = torch.tensor(frequencies(k, half=last), dtype=torch.float64)
    # The remainder keeps the phase exact for large products of wave number and index.
    phase = torch.outer(wave, torch.arange(n, dtype=torch.float64)).remainder(n) * (2 * math.pi / n)
    cos, sin = phase.cos(), phase.sin()
    if kind == "forward_last":
        made: tuple[Tensor, ...] = (torch.cat([cos, -sin]) / n,)
    elif kind == "forward":
        made = torch.cat([cos, -sin]) / n, torch.cat([sin, cos]) / n
    elif kind == "inverse":
        made = cos, sin
    else:
        # Wave numbers other than 0 and n/2 stand for a conjugate pair.
        pairs = torch.where((wave == 0) | (2 * wave == n), 1.0, 2.0)[:, None]
        made = (torch.cat([pairs * cos, -pairs * sin]),)
    return tuple(matrix.to(device, dtype) for matrix in made)


_kept_matrices = lru_cache(maxsize=256)(_make_matrices)
