"""Padding modules whose widths are lengths."""

from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.extension import extend
from sciml.operators.convert.site import Site

__all__ = ["pad_class"]

_MODES = {
    "Constant": "zeros",
    "Zero": "zeros",
    "Reflection": "reflect",
    "Replication": "replicate",
    "Circular": "circular",
}
_CLASSES: dict[type[nn.Module], type[nn.Module]] = {}


class _LatticePad(nn.Module):
    """A torch padding whose width is a length."""

    site: Site
    _mode: str

    def forward(self, input: Tensor) -> Tensor:
        """Pad ``(batch, channels, *points)``."""
        padding = self.padding
        dim = len(padding) // 2  # type: ignore[arg-type]
        call = self.site.call()
        scales = self.site.scales(input.shape[-dim:], call.inputs[-dim:])
        pairs = list(zip(padding[::2], padding[1::2], strict=True))[::-1]  # type: ignore[index]
        amounts = []
        for s, (left, right) in zip(scales, pairs, strict=True):
            width = (s * left, s * right)
            if any(w.denominator != 1 for w in width):
                raise ConversionError(f"{self.site.path} pads {(left, right)} points, at scale {s} that is not whole.")
            amounts.append((int(width[0]), int(width[1])))
        return extend(input, amounts, [self._mode] * dim, getattr(self, "value", 0.0))


def pad_class(module: nn.Module) -> type[nn.Module]:
    """The converted class of a torch padding module."""
    kind = next(cls for cls in type(module).__mro__ if cls.__module__ == "torch.nn.modules.padding")
    if kind not in _CLASSES:
        mode = next(mode for name, mode in _MODES.items() if kind.__name__.startswith(name))
        _CLASSES[kind] = type(f"Lattice{kind.__name__}", (_LatticePad, kind), {"_mode": mode})
    return _CLASSES[kind]
