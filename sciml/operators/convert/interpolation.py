"""Interpolation to a finer lattice, as a layer."""

from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import sample_axis
from sciml.operators.convert.site import Site

__all__ = ["LatticeUpsample"]


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
            return self.site.lifted(super().forward(input), output)
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
