"""Plain torch networks that know nothing of functions, as users bring them."""

import itertools

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two convolutions with batch normalisation and a shortcut."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = None
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.shortcut is None else self.shortcut(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + identity)


class ResNet18(nn.Module):
    """The 18 layers of He et al. (2016), at any width."""

    def __init__(self, channels: int = 3, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(BasicBlock(a, b, 1 if i == 0 else 2), BasicBlock(b, b))
                for i, (a, b) in enumerate(itertools.pairwise(widths))
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.pool(self.stages(self.stem(x))), 1))


class DoubleConv(nn.Module):
    """Two convolutions with group normalisation."""

    def __init__(self, channels: int, out: int, padding_mode: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1, padding_mode=padding_mode),
            nn.GroupNorm(2, out),
            nn.GELU(),
            nn.Conv2d(out, out, 3, padding=1, padding_mode=padding_mode),
            nn.GELU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class UNet(nn.Module):
    """Two levels, one brought back by a transposed convolution and one by interpolation."""

    def __init__(self, channels: int = 1, width: int = 4, padding_mode: str = "zeros") -> None:
        super().__init__()
        self.down1 = DoubleConv(channels, width, padding_mode)
        self.down2 = DoubleConv(width, 2 * width, padding_mode)
        self.bottom = DoubleConv(2 * width, 2 * width, padding_mode)
        self.pool = nn.MaxPool2d(2)
        self.mean = nn.AvgPool2d(2)
        self.up2 = nn.ConvTranspose2d(2 * width, 2 * width, 2, 2)
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear")
        self.join2 = DoubleConv(4 * width, 2 * width, padding_mode)
        self.join1 = DoubleConv(3 * width, width, padding_mode)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(self.pool(first))
        x = self.bottom(self.mean(second))
        x = self.join2(torch.cat([self.up2(x), second], 1))
        return self.head(self.join1(torch.cat([self.up1(x), first], 1)))


class TinyViT(nn.Module):
    """Patches, learned positions, a transformer, and back to pixels by a pixel shuffle."""

    def __init__(self, size: int = 16, patch: int = 4, width: int = 24, channels: int = 1) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.positions = nn.Parameter(0.1 * torch.randn(1, (size // patch) ** 2, width))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.decode = nn.Linear(width, patch * patch)
        self.shuffle = nn.PixelShuffle(patch)
        self.size = size // patch

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        tokens = self.decode(self.encoder(tokens)).transpose(1, 2)
        return self.shuffle(tokens.unflatten(2, (self.size, self.size)))
