"""Interpolation between the lattices of two scales, one axis at a time."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import LatticeAxis
from sciml.operators.convert.site import Site

__all__ = ["LatticeUpsample", "between_scales", "sample_axis"]


@lru_cache(maxsize=512)
def sample_axis(n: int, count: int, first: Fraction, step: Fraction, periodic: bool, nearest: bool = False) -> Tensor:
    """Matrix ``(n, count)`` that samples the function through ``n`` points at ``first + i step``, float64.

    Between the points the function is linear (or the nearest value), beyond the ends it goes on as it ended.
    """
    places = torch.tensor([float(first + i * step) for i in range(count)], dtype=torch.float64)
    if nearest:
        low, share = torch.floor(places + 0.5).long(), torch.zeros_like(places)
    else:
        low, share = places.floor().long(), places - places.floor()
    columns, matrix = torch.arange(count), torch.zeros(n, count, dtype=torch.float64)
    for index, weight in ((low, 1 - share), (low + 1, share)):
        index = index % n if periodic else index.clamp(0, n - 1)
        matrix.index_put_((index, columns), weight, accumulate=True)
    return matrix


def between_scales(
    x: Tensor, axes: Sequence[LatticeAxis], old: Sequence[Fraction], new: Sequence[Fraction], counts: Sequence[int]
) -> Tensor:
    """Values on the last axes of a tensor, moved from the lattices of one scale to those of another; linear.

    Args:
        x: ``(..., *points)``.
        axes: Lattice per axis.
        old: Scales of the points.
        new: Scales of the result.
        counts: Points of the result, per axis.
    """
    first = x.dim() - len(axes)
    for number, (axis, s, t, count) in enumerate(zip(axes, old, new, counts, strict=True), first):
        if s == t and count == x.shape[number]:
            continue
        step = s / t
        begin = (step - 1) / 2 if axis.kind == "cell" else Fraction(0)
        matrix = sample_axis(x.shape[number], count, begin, step, axis.periodic)
        x = (x.movedim(number, -1) @ matrix.to(x)).movedim(-1, number)
    return x


class LatticeUpsample(nn.Upsample):
    """Interpolation to a lattice finer by a fixed factor, at any scale; a fixed size is that of the reference."""

    site: Site

    def forward(self, input: Tensor) -> Tensor:
        """Interpolate ``(batch, channels, *points)``."""
        dim = input.dim() - 2
        call = self.site.call()
        reference, output = call.inputs[-dim:], call.output[-dim:]
        scales = self.site.scales(input.shape[-dim:], reference)
        if all(s == 1 for s in scales):
            return super().forward(input)
        axes = self.site.lattice(dim)
        counts = [self.site.count(axis, n, s) for axis, n, s in zip(axes, output, scales, strict=True)]
        if all(axis.kind == ("closed" if self.align_corners else "cell") for axis in axes):
            return F.interpolate(input, size=counts, mode=self.mode, align_corners=self.align_corners)
        known = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear")
        if self.mode not in known or self.align_corners:
            raise ConversionError(
                f"{self.site.path} interpolates by mode {self.mode!r} with align_corners={self.align_corners}, which "
                "is known for cells, and with align_corners=True for closed nodes: reference=RegularGrid(..., "
                "alignment='cell'), or another mode."
            )
        for number, (s, n, m, count) in enumerate(zip(scales, reference, output, counts, strict=True), 2):
            step = Fraction(n, m)
            # The first output lies (step - 1)/2 reference points behind the first input, and stays there.
            matrix = sample_axis(
                input.shape[number], count, s * (step - 1) / 2, step, False, nearest=self.mode.startswith("nearest")
            )
            input = (input.movedim(number, -1) @ matrix.to(input)).movedim(-1, number)
        return input
