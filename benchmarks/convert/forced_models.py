"""The networks of the table on random forcing, each of about 0.4 million parameters."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import UNet
from torch import Tensor, nn

from sciml.operators import FNO, OFormer

__all__ = ["MODELS", "ViT"]


class ViT(nn.Module):
    """Patches, learned positions, a transformer, and back to pixels by a pixel shuffle.

    Args:
        size: Points per axis.
        patch: Points per axis of a patch.
        width: Channels of a token.
        layers: Number of layers.
    """

    def __init__(self, size: int = 64, patch: int = 8, width: int = 96, layers: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 3 * width, dropout=0.0, batch_first=True, norm_first=True, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.decode = nn.Linear(width, patch * patch)
        self.shuffle = nn.PixelShuffle(patch)
        self.size = size // patch

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        tokens = self.decode(self.encoder(tokens)).transpose(1, 2)
        return self.shuffle(tokens.unflatten(2, (self.size, self.size)))


class PlainViT(ViT):
    """The same with patches of equally many points at any size: more tokens, positions interpolated between them."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x)
        table = self.positions.mT.unflatten(2, (self.size, self.size))
        tokens = tokens + F.interpolate(table, tokens.shape[-2:], mode="bicubic")
        shape = tokens.shape[-2:]
        tokens = self.decode(self.encoder(tokens.flatten(2).mT)).mT
        return self.shuffle(tokens.unflatten(2, shape))


def fno(**options: object) -> FNO:
    """A Fourier operator with 12 modes an axis, or 16 where nothing else is in its layers."""
    modes, width = ([12, 12], 22) if options else ([16, 16], 18)
    return FNO(in_channels=1, out_channels=1, modes=modes, hidden_channels=width, **options)  # type: ignore[arg-type]


MODELS: dict[str, Callable[[], nn.Module]] = {
    "FNO": fno,
    "FNO + differential": lambda: fno(local="differential"),
    "FNO + local integral": lambda: fno(local="integral", local_radius=1 / 16),
    "U-Net": lambda: UNet(width=15, levels=3, transposed=False),
    "ViT": PlainViT,
    "OFormer": lambda: OFormer(1, 1, hidden_channels=32, num_layers=4, modes=8),
}
