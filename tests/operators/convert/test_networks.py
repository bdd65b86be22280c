"""Whole networks, unchanged: exact at the reference in both modes with all gradients, convergent beyond it."""

from typing import Any

import pytest
import torch
from conversions import assert_same, grid
from foreign_networks import ResNet18, TinyViT, UNet
from torch import Tensor, nn

from sciml.operators.convert import conversion_report, discretization_error, to_operator
from sciml.spaces import Function, RegularGrid
from sciml.spaces.random import SpectralGRF

SMOOTH = SpectralGRF(gamma=5.0, tau=3.0, dim=2)


def settle(network: nn.Module, x: Tensor) -> nn.Module:
    """Running statistics of batch norms that are not those of the start."""
    network.train()
    with torch.no_grad():
        network(x)
    return network


def test_a_resnet_18_is_the_same_at_the_reference_and_converges() -> None:
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    network = settle(ResNet18(width=4).double(), x)
    assert_same(network, (32, 32), x)
    network.eval()
    operator = to_operator(network, (32, 32)).eval()
    outputs = []
    for n in (32, 64, 128, 512):
        t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        f = torch.stack([torch.sin(6 * t[:, None] + k * t) for k in range(3)])[None]
        with torch.no_grad():
            outputs.append(operator(f))
    errors = [(y - outputs[-1]).norm() / outputs[-1].norm() for y in outputs[:-1]]
    assert errors[2] < 0.5 * errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
def test_a_u_net_is_the_same_at_the_reference_and_converges(padding_mode: str) -> None:
    network = UNet(padding_mode=padding_mode).double()
    reference = grid((16, 16), periodic=padding_mode == "circular")
    assert_same(network, reference, torch.randn(2, 1, 16, 16, dtype=torch.float64))
    errors = discretization_error(to_operator(network, reference), SMOOTH, (1, 2, 4), finest=16, num=2)
    assert errors.limit[2] < 0.4 * errors.limit[1] < 0.4 * errors.limit[0]


@pytest.mark.parametrize("transposed", [False, True])
def test_the_lower_levels_of_a_latent_u_net_stay_on_the_lattice_of_the_reference(transposed: bool) -> None:
    network = UNet(padding_mode="circular").double()
    if transposed:
        network.up1 = nn.ConvTranspose2d(8, 8, 2, 2).double()
    reference = grid((16, 16), periodic=True)
    operator = to_operator(network, reference, resolution="latent")
    assert_same(network, reference, torch.randn(2, 1, 16, 16, dtype=torch.float64), resolution="latent")
    shapes = []
    for module in operator.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, output: shapes.append(output.shape[-1]))
    assert operator(torch.randn(1, 1, 64, 64, dtype=torch.float64)).shape[-1] == 64
    assert set(shapes) == {64, 8, 4}
    errors = discretization_error(operator, SMOOTH, (1, 2, 4), finest=16, num=2)
    assert errors.limit[2] < 0.4 * errors.limit[1] < 0.4 * errors.limit[0]


def test_a_vision_transformer_of_transformers_is_the_same_and_converges() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=4,
        num_channels=1,
    )

    class Tokens(nn.Module):
        """The model returns a mapping; its tokens are what is compared."""

        def __init__(self) -> None:
            super().__init__()
            self.vit = transformers.ViTModel(config, add_pooling_layer=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.vit(x).last_hidden_state

    network = Tokens().double()
    assert_same(network, (16, 16), torch.randn(2, 1, 16, 16, dtype=torch.float64))
    operator = to_operator(transformers.ViTModel(config, add_pooling_layer=False).double().eval(), (16, 16)).eval()
    outputs = []
    for n in (16, 32, 64, 256):
        t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        with torch.no_grad():
            outputs.append(operator(torch.sin(6 * t[:, None] + t)[None, None]).last_hidden_state)
    errors = [(y - outputs[-1]).norm() / outputs[-1].norm() for y in outputs[:-1]]
    assert errors[2] < 0.3 * errors[1] < 0.1 * errors[0]
    assert "convolution, cells" in conversion_report(operator)


def test_a_transformer_with_patches_and_a_decoder_is_the_same_and_follows_the_input() -> None:
    network = TinyViT().double()
    assert_same(network, (16, 16), torch.randn(2, 1, 16, 16, dtype=torch.float64))
    operator = to_operator(network, grid((16, 16)))
    assert operator(torch.randn(2, 1, 48, 48, dtype=torch.float64)).shape == (2, 1, 48, 48)
    errors = discretization_error(operator, SMOOTH, (1, 2, 4), finest=16, num=2)
    assert errors.limit[2] < 0.4 * errors.limit[1]


def test_functions_and_tensors_give_the_same_values() -> None:
    network = UNet().double()
    reference = grid((16, 16))
    operator = to_operator(network, reference)
    fine = reference.refine(2)
    x = torch.randn(2, 1, *fine.shape, dtype=torch.float64)
    result = operator(Function(x, fine))
    assert isinstance(result, Function)
    assert result.disc == fine
    assert torch.equal(result.values, operator(x))
    points = torch.rand(7, 2, dtype=torch.float64)
    assert operator.query(Function(x, fine), points).shape == (2, 1, 7)
    at_reference: Any = operator.at_reference(Function(x, fine), method="conservative")
    torch.testing.assert_close(at_reference, network(nn.functional.avg_pool2d(x, 2)), rtol=0, atol=1e-12)


def test_other_shapes_than_squares_have_a_scale_per_axis() -> None:
    operator = to_operator(UNet().double(), RegularGrid(shape=(16, 8), bounds=((0, 2), (0, 1)), alignment="cell"))
    assert operator(torch.randn(1, 1, 16, 24, dtype=torch.float64)).shape == (1, 1, 16, 24)
    assert [str(s) for s in operator.scale] == ["1", "3"]
