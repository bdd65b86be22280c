r"""Transposed convolutions: sums over the input's points of kernels that are functions.

.. math:: out(y) = \sum_i \frac{h}{h_0} f(x_i) \, \kappa((y - x_i)/h_0)

with the piecewise linear kernel through the taps; the reference's pattern of period ``stride`` vanishes in the limit.
"""

from collections.abc import Callable
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sciml.operators.convert.cache import KernelCache
from sciml.operators.convert.extension import extend
from sciml.operators.convert.lattice import Window
from sciml.operators.convert.site import Site
from sciml.operators.convert.taps import Taps, box_taps, hat_taps, refine, smooth

__all__ = [
    "LatticeConvTranspose1d",
    "LatticeConvTranspose2d",
    "LatticeConvTranspose3d",
    "LatticePixelShuffle",
    "transpose_class",
]

_FUNCTIONS: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


class _LatticeConvTranspose(nn.modules.conv._ConvTransposeNd):
    site: Site

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve ``(batch, in_channels, *points)``; a wanted size is that of the reference's scale."""
        dim = len(self.kernel_size)
        call = self.site.call()
        scales = self.site.scales(input.shape[-dim:], call.inputs[-dim:])
        if all(s == 1 for s in scales):
            return self.site.lifted(super().forward(input, output_size), call.output[-dim:])
        paddings: tuple[int, ...] = self.padding  # type: ignore[assignment]
        sizes = zip(self.kernel_size, self.stride, self.dilation, paddings, strict=True)
        windows = [Window(*size) for size in sizes]
        return refined_transpose(
            input, self.weight, self.bias, windows, scales, call.output[-dim:], self.site, self.groups, self._kernels
        )

    @property
    def _kernels(self) -> KernelCache:
        return self.__dict__.setdefault("_kernel_cache", KernelCache())


class LatticeConvTranspose1d(_LatticeConvTranspose, nn.ConvTranspose1d):
    """Transposed convolution on a line."""


class LatticeConvTranspose2d(_LatticeConvTranspose, nn.ConvTranspose2d):
    """Transposed convolution in the plane."""


class LatticeConvTranspose3d(_LatticeConvTranspose, nn.ConvTranspose3d):
    """Transposed convolution in space."""


class LatticePixelShuffle(nn.PixelShuffle):
    """Channels to the parts of a cell, as the transposed convolution that a pixel shuffle is."""

    site: Site

    def forward(self, input: Tensor) -> Tensor:
        """``(batch, channels r^2, *points)`` to ``(batch, channels, *points)``, ``r`` times finer."""
        call = self.site.call()
        scales = self.site.scales(input.shape[-2:], call.inputs[-2:])
        if all(s == 1 for s in scales):
            return self.site.lifted(super().forward(input), call.output[-2:])
        r = self.upscale_factor
        # One channel at a time: its r^2 parts are the taps of a kernel of size r.
        weight = torch.eye(r * r, dtype=input.dtype, device=input.device).view(r * r, 1, r, r)
        x = input.unflatten(-3, (-1, r * r)).flatten(0, -4)
        window = Window(r, r)
        values = refined_transpose(x, weight, None, [window, window], scales, call.output[-2:], self.site)
        return values.view(*input.shape[:-3], -1, *values.shape[-2:])


def refined_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    windows: list[Window],
    scales: tuple[Fraction, ...],
    output: tuple[int, ...],
    site: Site,
    groups: int = 1,
    kernels: Callable[..., Tensor] | None = None,
) -> Tensor:
    """A transposed convolution at other scales than the reference.

    Args:
        x: ``(batch, in, *points)``.
        weight: ``(in, out / groups, *taps)``.
        bias: ``(out,)``.
        windows: Of the convolution whose transpose it is.
        scales: Per axis.
        output: Points per axis of the output at the reference.
        site: Where the layer stands.
        groups: Blocks of channels.
        kernels: A cache.
    """
    dim = len(windows)
    taps, counts = [], []
    for axis, window, s, n in zip(site.lattice(dim), windows, scales, output, strict=True):
        make = box_taps if window.tiles else hat_taps
        taps.append(make(window, s, window.offset(axis.kind, s, s), window.stride))
        counts.append(site.count(axis, n, s))
    weight = (kernels or KernelCache())(scales, weight, lambda w: refine(w, tuple(taps)))
    values = _spread(x, weight, taps, counts, groups)
    for number, (window, t, count) in enumerate(zip(windows, taps, counts, strict=True), 2):
        if window.tiles:
            # Kernels that lie beside one another reach beyond the ends by less than one of them: divide by their share.
            ones = x.new_ones(1, 1, x.shape[number])
            share = _spread(ones, refine(ones.new_ones(1, 1, window.kernel), (t,)), [t], [count], 1)
            values = values / share.view(*[-1 if axis == number else 1 for axis in range(2, dim + 2)])
    return values if bias is None else values + bias.view(-1, *[1] * dim).to(values)


def _spread(x: Tensor, weight: Tensor, taps: list[Taps], counts: list[int], groups: int) -> Tensor:
    """Each input's kernel added up, the outputs of the lattice cut out."""
    dim = len(taps)
    strides, dilations = tuple(t.stride for t in taps), tuple(t.dilation for t in taps)
    values = _FUNCTIONS[dim](x, weight, None, strides, 0, 0, groups, dilations)
    ends = [t.blur for t in taps]
    amounts = [
        (end + t.first, count - n - t.first)
        for n, end, t, count in zip(values.shape[2:], ends, taps, counts, strict=True)
    ]
    return smooth(extend(values, amounts, ["zeros"] * dim), tuple(taps))


_CLASSES = {
    nn.ConvTranspose1d: LatticeConvTranspose1d,
    nn.ConvTranspose2d: LatticeConvTranspose2d,
    nn.ConvTranspose3d: LatticeConvTranspose3d,
}


def transpose_class(module: nn.Module) -> type[nn.Module]:
    """The converted class of a torch transposed convolution."""
    return next(new for old, new in _CLASSES.items() if isinstance(module, old))
