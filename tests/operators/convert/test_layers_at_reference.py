"""Every layer, converted, computes what it computed: values, gradients, state, in both modes."""

from collections.abc import Callable

import pytest
import torch
from conversions import assert_same, grid
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

CONV: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Callable[..., nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@settings(max_examples=60)
@given(
    dim=st.sampled_from([1, 1, 2, 2, 3]),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 2),
    groups=st.sampled_from([1, 2]),
    mode=st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
    form=st.sampled_from(["hat", "cubic", "stencil"]),
    alignment=st.sampled_from(["cell", "node"]),
)
def test_convolutions(
    dim: int, kernel: int, stride: int, dilation: int, padding: int, groups: int, mode: str, form: str, alignment: str
) -> None:
    n = 9 if dim < 3 else 8
    layer = CONV[dim](2, 4, kernel, stride, padding, dilation, groups, padding_mode=mode).double()
    x = torch.randn(2, 2, *[n] * dim, dtype=torch.float64)
    assert_same(layer, grid((n,) * dim, alignment, mode == "circular"), x, conv=form, check=False)


@settings(max_examples=40)
@given(
    dim=st.sampled_from([1, 2, 3]),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 1),
    groups=st.sampled_from([1, 2]),
)
def test_transposed_convolutions(dim: int, kernel: int, stride: int, dilation: int, padding: int, groups: int) -> None:
    layer = TRANSPOSED[dim](2, 4, kernel, stride, padding, 0, groups, True, dilation).double()
    assert_same(layer, grid((6,) * dim), torch.randn(2, 2, *[6] * dim, dtype=torch.float64), check=False)


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "same padding of an even kernel": (nn.Conv1d(2, 3, 4, padding="same"), (2, 12)),
    "average pool": (nn.AvgPool2d(3, 2, 1), (2, 8, 8)),
    "average pool, ceil": (nn.AvgPool1d(3, 2, ceil_mode=True, count_include_pad=False), (2, 10)),
    "max pool": (nn.MaxPool2d(3, 2, 1), (2, 8, 8)),
    "max pool in space": (nn.MaxPool3d(2), (2, 4, 4, 4)),
    "adaptive pool": (nn.AdaptiveAvgPool2d((2, 1)), (2, 8, 8)),
    "adaptive max pool": (nn.AdaptiveMaxPool1d(3), (2, 8)),
    "batch norm": (nn.BatchNorm2d(2), (2, 4, 4)),
    "group norm": (nn.GroupNorm(2, 4), (4, 6)),
    "instance norm": (nn.InstanceNorm2d(2, affine=True, track_running_stats=True), (2, 5, 5)),
    "layer norm over points": (nn.LayerNorm([2, 8]), (2, 8)),
    "upsample": (nn.Upsample(scale_factor=2, mode="bicubic"), (2, 4, 4)),
    "upsample to a size": (nn.Upsample(size=9), (2, 4)),
    "pixel shuffle": (nn.PixelShuffle(2), (8, 4, 4)),
    "reflection": (nn.ReflectionPad2d((1, 2, 0, 1)), (2, 5, 5)),
    "zeros around": (nn.ZeroPad2d(1), (2, 5, 5)),
    "flatten and linear": (nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(24, 5)), (2, 8)),
    "linear to a grid": (
        nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 8), nn.Unflatten(1, (1, 8))),
        (2, 8),
    ),
    "output padding": (nn.ConvTranspose2d(2, 3, 3, 2, 1, 1), (2, 4, 4)),
    "dropout of channels": (nn.Sequential(nn.Conv1d(2, 4, 3), nn.Dropout1d(0.5)), (2, 8)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # torch, of its own padding
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_layers(name: str, dtype: torch.dtype) -> None:
    layer, shape = LAYERS[name]
    layer = layer.to(dtype)
    assert_same(layer, grid(shape[1:]), torch.randn(3, *shape, dtype=dtype), channels=shape[0], check=False)


@pytest.mark.parametrize("form", ["hat", "cubic", "stencil", "differential", "spectral"])
def test_all_forms_agree_at_the_reference(form: str) -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular").double()
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    assert_same(layer, grid((8, 8), "node", True), x, conv=form)
