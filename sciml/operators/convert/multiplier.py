r"""Circular convolutions as Fourier multipliers.

With taps at :math:`z_k` (in reference spacings, around the output) and :math:`n_0` points, the first output lying
:math:`o` points behind the first of :math:`n` inputs, a circular convolution multiplies the wave number :math:`f` by

.. math:: m(f) = e^{2 \pi \mathrm{i} f o / n} \sum_k W_k e^{2 \pi \mathrm{i} f z_k / n_0}, \qquad |f| \le n_0 / 2

On other lattices the same wave numbers are multiplied, and all others dropped.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import Window
from sciml.operators.fourier import frequencies, truncated_fft, truncated_ifft
from sciml.operators.spectral_conv import SpectralConv, complex_bmm, kept_modes

__all__ = ["multiplier", "multiply", "spectral_conv_from"]


def multiplier(
    weight: Tensor,
    windows: Sequence[Window],
    offsets: Sequence[Fraction],
    reference: Sequence[int],
    grid: Sequence[int],
) -> Tensor:
    """Multipliers of the wave numbers that a grid keeps of the reference.

    Args:
        weight: ``(out, in, *taps)``.
        windows: The windows of the taps.
        offsets: First output behind first input, in points of the grid.
        reference: Points per axis whose spacing the taps have.
        grid: Points per axis in use.

    Returns:
        Complex ``(*modes, in, out)`` in the order of :func:`sciml.operators.truncated_fft`.
    """
    values = weight.to(torch.complex128 if weight.dtype == torch.float64 else torch.complex64)
    for axis, parts in enumerate(zip(windows, offsets, reference, grid, strict=True)):
        phases = _phases(*parts, last=axis == len(grid) - 1).to(values)
        values = torch.tensordot(values, phases, ([2], [0]))
    return values.movedim((0, 1), (-1, -2))


def multiply(x: Tensor, kernel: Tensor, bias: Tensor | None, strides: Sequence[int], groups: int) -> Tensor:
    """Multiply the wave numbers of functions, add a constant, keep every ``stride``-th point.

    Args:
        x: ``(batch, in, *grid)``.
        kernel: What :func:`multiplier` gives, ``(*modes, in / groups, out)``.
        bias: ``(out,)``.
        strides: Points between two outputs.
        groups: Blocks of channels that do not mix.
    """
    grid, modes = x.shape[2:], kernel.shape[:-2]
    coefficients = truncated_fft(x.to(kernel.real.dtype), modes).flatten(1, -3)
    flat = kernel.flatten(0, -3)
    blocks = zip(coefficients.chunk(groups, -1), flat.chunk(groups, -1), strict=True)
    parts = [torch.stack(complex_bmm(c, torch.stack([k.real, k.imag]))) for c, k in blocks]
    spectrum = torch.cat(parts, -1)
    values = truncated_ifft(spectrum.view(2, *modes, len(x), -1), grid).to(x.dtype)
    for axis, stride in enumerate(strides, 2):
        values = values if stride == 1 else values[(slice(None),) * axis + (slice(None, None, stride),)]
    return values if bias is None else values + bias.view(-1, *[1] * len(grid)).to(values)


def spectral_conv_from(conv: nn.modules.conv._ConvNd, reference: Sequence[int]) -> SpectralConv:
    """The spectral convolution that equals a circular convolution, with weights of its own.

    Args:
        conv: A torch convolution with circular padding, stride 1, one group, and as many outputs as inputs.
        reference: Points per axis whose spacing the taps have.

    Raises:
        ConversionError: If the convolution is none of these.

    Example:
        >>> conv = nn.Conv1d(2, 3, 5, padding=2, padding_mode="circular").double()
        >>> x = torch.randn(4, 2, 16, dtype=torch.float64)
        >>> torch.allclose(spectral_conv_from(conv, [16])(x), conv(x))
        True
    """
    from sciml.operators.convert.convolution import windows  # the layers import this module

    axes = windows(conv)
    same = all(
        sum(conv._reversed_padding_repeated_twice[2 * i : 2 * i + 2]) == d * (k - 1)
        for i, (k, d) in enumerate(reversed(list(zip(conv.kernel_size, conv.dilation, strict=True))))
    )
    if conv.padding_mode != "circular" or any(s != 1 for s in conv.stride) or conv.groups != 1 or not same:
        raise ConversionError(
            f"{conv} is not circular with stride 1, one group and 'same' padding; only such a one is a multiplier."
        )
    kernel = multiplier(conv.weight.detach(), axes, [w.center for w in axes], reference, reference)
    spectral = SpectralConv(conv.in_channels, conv.out_channels, list(reference), bias=conv.bias is not None)
    spectral = spectral.to(conv.weight)
    with torch.no_grad():
        spectral.weight.copy_(torch.stack([kernel.real, kernel.imag]))
        if conv.bias is not None and spectral.bias is not None:
            spectral.bias.copy_(conv.bias)
    assert kernel.shape[:-2] == kept_modes(tuple(reference))
    return spectral


def _phases(window: Window, offset: Fraction, reference: int, n: int, last: bool) -> Tensor:
    """``(taps, modes)``: what each tap does to the wave numbers along one axis."""
    kept = _modes(reference, n, last)
    wave = torch.tensor(frequencies(kept, half=last), dtype=torch.float64)
    taps = torch.tensor([float(z / reference + offset / n) for z in window.taps], dtype=torch.float64)
    phases = torch.polar(torch.ones(len(taps), kept, dtype=torch.float64), 2 * math.pi * torch.outer(taps, wave))
    # The highest wave number of an even grid stands for both signs.
    nyquist = (2 * wave.abs() == n) & torch.tensor(n <= reference)
    return torch.where(nyquist, phases.real.to(phases.dtype), phases)


def _modes(reference: int, n: int, last: bool) -> int:
    if last:
        return min(reference, n) // 2 + 1
    return n if n <= reference else reference + 1 - reference % 2
