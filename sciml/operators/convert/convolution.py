"""Convolutions whose kernels are functions: the same weights at the spacing of the reference and at any other."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.cache import KernelCache
from sciml.operators.convert.extension import extend
from sciml.operators.convert.lattice import LatticeAxis, Window
from sciml.operators.convert.multiplier import multiplier, multiply
from sciml.operators.convert.site import Call, OwnSite, Resolution, Site
from sciml.operators.convert.taps import box_taps, cubic_taps, differential_taps, hat_taps, refine, smooth, stencil_taps
from sciml.spaces import RegularGrid

__all__ = [
    "CellConv1d",
    "CellConv2d",
    "CellConv3d",
    "CubicConv1d",
    "CubicConv2d",
    "CubicConv3d",
    "DifferentialConv1d",
    "DifferentialConv2d",
    "DifferentialConv3d",
    "HatConv1d",
    "HatConv2d",
    "HatConv3d",
    "SpectralConvFrom1d",
    "SpectralConvFrom2d",
    "SpectralConvFrom3d",
    "StencilConv1d",
    "StencilConv2d",
    "StencilConv3d",
    "conv_class",
    "windows",
]

_FUNCTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class _LatticeConv(nn.modules.conv._ConvNd):
    """A torch convolution whose kernel is a function of space.

    It has the parameters of the torch layer, computes the same on the reference's lattice, and refines its kernel on
    any other.

    Args:
        args: Those of the torch layer.
        reference: Grid of the input whose spacing the taps have, or its shape (cells).
        resolution: ``follow`` keeps a stride in points, ``latent`` returns to the reference's lattice.
        kwargs: Those of the torch layer.

    Shapes:
        - **input**: ``(batch, in_channels, *points)`` at any scale of the reference
        - **output**: ``(batch, out_channels, *points)``

    Raises:
        ConversionError: If the input does not fit a scale of the reference, or the form cannot represent it.
    """

    site: Site
    _form: ClassVar[str]
    _taps: ClassVar[Any] = None

    def __init__(
        self,
        *args: Any,
        reference: "RegularGrid | Sequence[int]",
        resolution: Resolution = "follow",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        padding = self._reversed_padding_repeated_twice
        totals = [a + b for a, b in zip(padding[::2], padding[1::2], strict=True)][::-1]

        def output(shape: Sequence[int]) -> tuple[int, ...]:
            sizes = zip(shape, totals, self.kernel_size, self.stride, self.dilation, strict=True)
            return tuple((n + p - d * (k - 1) - 1) // s + 1 for n, p, k, s, d in sizes)

        self.site = OwnSite.of(type(self).__name__, reference, resolution, output)
        check(self)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; the docstring of the class gives the shapes."""
        dim = len(self.kernel_size)
        call = self.site.call()
        scales = self.site.scales(input.shape[-dim:], call.inputs[-dim:])
        if all(s == 1 for s in scales):
            return super().forward(input)
        input, single = (input[None], True) if input.dim() == dim + 1 else (input, False)
        convolve = self._multiply if self._taps is None else self._refine
        values = convolve(input, scales, call)
        return values[0] if single else values

    def _refine(self, x: Tensor, scales: tuple[Fraction, ...], call: Call) -> Tensor:
        dim = len(scales)
        taps, counts, modes = [], [], []
        for axis, window, s, n in zip(self.site.lattice(dim), windows(self), scales, call.output[-dim:], strict=True):
            out_scale, stride = self.site.out_scale(s, window, latent=self._form == "cells")
            taps.append(type(self)._taps(window, s, window.offset(axis.kind, s, out_scale), stride))
            counts.append(self.site.count(axis, n, out_scale))
            modes.append(self._mode(axis, window))
        weight = self._kernels(scales, self.weight, lambda w: refine(w, tuple(taps)))
        amounts = [
            (-t.first, (count - 1) * t.stride + t.last - (n - 1))
            for t, count, n in zip(taps, counts, x.shape[-dim:], strict=True)
        ]
        padding = tuple(left for left, right in amounts if left == right >= 0)
        if len(padding) < dim or set(modes) != {"zeros"} or any(t.blur for t in taps):
            padding = (0,) * dim
            x = smooth(extend(x, amounts, modes), tuple(taps))
        strides, dilations = tuple(t.stride for t in taps), tuple(t.dilation for t in taps)
        return _FUNCTIONS[dim](x, weight, self.bias, strides, padding, dilations, self.groups)

    def _multiply(self, x: Tensor, scales: tuple[Fraction, ...], call: Call) -> Tensor:
        dim = len(scales)
        axes, own = self.site.lattice(dim), windows(self)
        offsets = [w.offset(axis.kind, s, s) for axis, w, s in zip(axes, own, scales, strict=True)]
        strides = [self.site.out_scale(s, w)[1] for w, s in zip(own, scales, strict=True)]
        grid, reference = x.shape[-dim:], call.inputs[-dim:]
        kernel = self._kernels(scales, self.weight, lambda w: multiplier(w, own, offsets, reference, grid))
        return multiply(x, kernel, self.bias, strides, self.groups)

    @property
    def _kernels(self) -> KernelCache:
        cache = self.__dict__.get("_kernel_cache")
        if cache is None:
            cache = self.__dict__["_kernel_cache"] = KernelCache()
        return cache

    def _mode(self, axis: LatticeAxis, window: Window) -> str:
        # A layer that pads nothing never reads beyond the ends; the outer halves of its hats do, half a spacing far.
        if window.padding or self.padding_mode != "zeros" or self._form == "stencil":
            return self.padding_mode
        return "circular" if axis.periodic else "replicate"


def windows(module: nn.modules.conv._ConvNd) -> list[Window]:
    """The windows of a torch convolution along its axes."""
    before = module._reversed_padding_repeated_twice[::-1][1::2]
    sizes = zip(module.kernel_size, module.stride, module.dilation, before, strict=True)
    return [Window(kernel, stride, dilation, padding) for kernel, stride, dilation, padding in sizes]


def check(module: _LatticeConv) -> None:
    """Refuse at once what a form can never do.

    Raises:
        ConversionError: Naming the module and the forms that can.
    """
    site, kernels = module.site, module.kernel_size
    if site.axes[0].kind == "cloud" and any(k > 1 for k in kernels):
        raise ConversionError(
            f"{site.path} is a convolution, which needs a grid, and the reference is a number of points; use attention "
            "or message passing, or reference=RegularGrid(...)."
        )
    if module.padding_mode == "circular":
        for number, axis in enumerate(site.axes):
            if not axis.periodic:
                raise ConversionError(
                    f"{site.path} has circular padding, axis {number} of the reference is not periodic: "
                    "reference=RegularGrid(..., periodic=True)."
                )
    if module._form == "differential" and any(k % 2 == 0 for k in kernels):
        raise ConversionError(
            f"{site.path} has an even kernel {tuple(kernels)}, which has no central differences; convert it as 'hat': "
            f"conv={{{site.path!r}: 'hat', '*': 'differential'}}."
        )
    if module._form == "spectral":
        pointwise = all(k == 1 for k in kernels)
        if not pointwise and module.padding_mode != "circular":
            raise ConversionError(
                f"{site.path} has padding_mode {module.padding_mode!r}; a Fourier multiplier needs 'circular'. Convert "
                f"it as 'hat': conv={{{site.path!r}: 'hat', '*': 'spectral'}}."
            )


class HatConv1d(_LatticeConv, nn.Conv1d):
    """Convolution on a line by a piecewise linear kernel. See :class:`HatConv2d`."""

    _form, _taps = "hat", staticmethod(hat_taps)


class HatConv2d(_LatticeConv, nn.Conv2d):
    r"""Convolution by the kernel :math:`\kappa(z) = \sum_k W_k \varphi(z/h_0 - k)/h_0`, piecewise linear in each axis.

    On a finer lattice it is the quadrature of :math:`\int \kappa(x-y) f(y)\,dy`, of second order for smooth functions
    without jumps at the ends, and keeps the sum of the taps. On a coarser lattice the taps read the linear interpolant.

    Args:
        args: Those of :class:`torch.nn.Conv2d`.
        reference: Grid of the input whose spacing the taps have, or its shape (cells).
        kwargs: Those of :class:`torch.nn.Conv2d`, and ``resolution``, ``"follow"`` or ``"latent"``.

    Shapes:
        - **input**: ``(batch, in_channels, *points)``
        - **output**: ``(batch, out_channels, *points)``

    Raises:
        ConversionError: If an input fits no scale of the reference.

    Reference:
        Berner et al., Principled Approaches for Extending Neural Architectures to Function Spaces for Operator
        Learning, 2025, arXiv 2506.10973.

    Example:
        >>> import torch
        >>> layer = HatConv2d(1, 4, 3, padding=1, reference=(16, 16))
        >>> layer(torch.zeros(2, 1, 16, 16)).shape, layer(torch.zeros(2, 1, 64, 64)).shape
        (torch.Size([2, 4, 16, 16]), torch.Size([2, 4, 64, 64]))
    """

    _form, _taps = "hat", staticmethod(hat_taps)


class HatConv3d(_LatticeConv, nn.Conv3d):
    """Convolution in space by a piecewise linear kernel. See :class:`HatConv2d`."""

    _form, _taps = "hat", staticmethod(hat_taps)


class CubicConv1d(_LatticeConv, nn.Conv1d):
    """Convolution on a line by a piecewise cubic kernel. See :class:`CubicConv2d`."""

    _form, _taps = "cubic", staticmethod(cubic_taps)


class CubicConv2d(_LatticeConv, nn.Conv2d):
    """Convolution by a kernel that is piecewise cubic between the taps; arguments as :class:`HatConv2d`.

    A hat blurs by a spacing of the reference; this kernel has no second moment, and on smooth functions stays much
    closer to what the layer computed at the reference.
    """

    _form, _taps = "cubic", staticmethod(cubic_taps)


class CubicConv3d(_LatticeConv, nn.Conv3d):
    """Convolution in space by a piecewise cubic kernel. See :class:`CubicConv2d`."""

    _form, _taps = "cubic", staticmethod(cubic_taps)


class StencilConv1d(_LatticeConv, nn.Conv1d):
    """Taps that stay where the reference has them, on a line. See :class:`StencilConv2d`."""

    _form, _taps = "stencil", staticmethod(stencil_taps)


class StencilConv2d(_LatticeConv, nn.Conv2d):
    """Convolution whose taps stay at their places, dilated where the lattice is finer; arguments as `HatConv2d`.

    At the points of the reference the output is exactly that of the reference, whatever lies between them.
    """

    _form, _taps = "stencil", staticmethod(stencil_taps)


class StencilConv3d(_LatticeConv, nn.Conv3d):
    """Taps that stay where the reference has them, in space. See :class:`StencilConv2d`."""

    _form, _taps = "stencil", staticmethod(stencil_taps)


class DifferentialConv1d(_LatticeConv, nn.Conv1d):
    """The kernel as a differential operator, on a line. See :class:`DifferentialConv2d`."""

    _form, _taps = "differential", staticmethod(differential_taps)


class DifferentialConv2d(_LatticeConv, nn.Conv2d):
    """The kernel as a sum of central differences, which become derivatives on finer lattices; odd kernels only."""

    _form, _taps = "differential", staticmethod(differential_taps)


class DifferentialConv3d(_LatticeConv, nn.Conv3d):
    """The kernel as a differential operator, in space. See :class:`DifferentialConv2d`."""

    _form, _taps = "differential", staticmethod(differential_taps)


class SpectralConvFrom1d(_LatticeConv, nn.Conv1d):
    """The Fourier multiplier of a circular convolution on a line. See :class:`SpectralConvFrom2d`."""

    _form, _taps = "spectral", None


class SpectralConvFrom2d(_LatticeConv, nn.Conv2d):
    """The Fourier multiplier of a circular convolution: modes of the reference are kept, all others dropped."""

    _form, _taps = "spectral", None


class SpectralConvFrom3d(_LatticeConv, nn.Conv3d):
    """The Fourier multiplier of a circular convolution in space. See :class:`SpectralConvFrom2d`."""

    _form, _taps = "spectral", None


class CellConv1d(_LatticeConv, nn.Conv1d):
    """Patch embedding on a line. See :class:`CellConv2d`."""

    _form, _taps = "cells", staticmethod(box_taps)


class CellConv2d(_LatticeConv, nn.Conv2d):
    """Patch embedding: a patch is a part of space, its kernel constant on the cells of the reference.

    The number of patches does not change with the lattice.
    """

    _form, _taps = "cells", staticmethod(box_taps)


class CellConv3d(_LatticeConv, nn.Conv3d):
    """Patch embedding in space. See :class:`CellConv2d`."""

    _form, _taps = "cells", staticmethod(box_taps)


_CLASSES: dict[str, tuple[type[_LatticeConv], ...]] = {
    "hat": (HatConv1d, HatConv2d, HatConv3d),
    "cubic": (CubicConv1d, CubicConv2d, CubicConv3d),
    "stencil": (StencilConv1d, StencilConv2d, StencilConv3d),
    "differential": (DifferentialConv1d, DifferentialConv2d, DifferentialConv3d),
    "spectral": (SpectralConvFrom1d, SpectralConvFrom2d, SpectralConvFrom3d),
    "cells": (CellConv1d, CellConv2d, CellConv3d),
}


def conv_class(form: str, dim: int) -> type[_LatticeConv]:
    """The converted class of a form for kernels with ``dim`` axes."""
    return _CLASSES[form][dim - 1]
