"""Nothing runs silently wrong: every refusal names the module and the way out."""

import pytest
import torch
import torch.nn.functional as F
from foreign_networks import UNet
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert import (
    InterpolationWrapper,
    Rule,
    conversion_report,
    register_converter,
    to_operator,
    unregister_converter,
)
from sciml.spaces import Function, PointCloud, RegularGrid


class Calls(nn.Module):
    """A convolution, then something that the module does by itself."""

    def __init__(self, what: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.after = nn.Identity()
        self._what = what

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self._what(self.conv(x)))  # type: ignore[operator]


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (lambda x: F.max_pool2d(x, 2), r"max_pool2d\(\)"),
        (lambda x: F.avg_pool2d(x, 2), r"avg_pool2d\(\)"),
        (lambda x: F.pad(x, (1, 1, 1, 1)), r"pad\(\)"),
        (lambda x: F.interpolate(x, scale_factor=2), r"interpolate\(\)"),
        (lambda x: F.conv2d(x, torch.ones(2, 2, 3, 3)), r"conv2d\(\)"),
        (lambda x: x.cumsum(-1), r"cumsum\(\)"),
        (lambda x: x.roll(1, -1), r"roll\(\)"),
        (lambda x: torch.fft.rfft2(x).real, r"fft_rfft2\(\)"),
        (lambda x: x[..., ::2], "indexing of points"),
        (lambda x: x[..., 1:] - x[..., :-1], "indexing of points"),
        (lambda x: x + torch.linspace(0, 1, x.shape[-1]), r"linspace\(\)"),
    ],
)
def test_functions_that_count_points_are_found(what: object, name: str) -> None:
    with pytest.raises(ConversionError, match=f"the network calls {name}.*roles="):
        to_operator(Calls(what), (16, 16))
    assert to_operator(Calls(what), (16, 16), roles={"": "pointwise"}, check=False) is not None


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda x: x.view(len(x), -1, 16, 16), "the output has shape.*A size is fixed in the network's code"),
        (lambda x: x.reshape(2, 2, 256), "shape '.2, 2, 256.' is invalid.*in the network.*x.reshape"),
        (lambda x: x + torch.ones(16, 16), "must match the size.*torch.ones"),
    ],
)
def test_sizes_that_are_fixed_in_the_code_are_found_at_twice_the_resolution(what: object, message: str) -> None:
    with pytest.raises(ConversionError, match=f"{message}"):
        to_operator(Calls(what), (16, 16))


def test_a_module_without_a_rule_is_named_with_the_choices() -> None:
    network = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), Sine())
    with pytest.raises(ConversionError, match=r"1 is a Sine.*roles=\{'1': 'pointwise'\}.*'wrap'.*register_converter"):
        to_operator(network, (16,))
    x = torch.randn(1, 1, 32)
    expected = to_operator(network, (16,), roles={"1": "pointwise"})(x)
    assert torch.equal(to_operator(network, (16,), on_unknown="pointwise")(x), expected)
    assert torch.equal(to_operator(network, (16,), rules={Sine: Rule("pointwise")})(x), expected)
    wrapped = to_operator(network, (16,), on_unknown="wrap")
    assert torch.equal(wrapped(x[..., ::2]), network(x[..., ::2]))
    assert wrapped(x).shape == (1, 2, 32)
    assert "interpolation wrapper" in conversion_report(wrapped)


def test_a_subclass_with_a_forward_of_its_own_is_another_layer() -> None:
    class Standardised(nn.Conv1d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) / self.weight.std()

    class Named(nn.Conv1d):
        pass

    with pytest.raises(ConversionError, match=r"the network is a Standardised, for which there is no rule"):
        to_operator(Standardised(1, 1, 3), (16,))
    assert to_operator(Named(1, 1, 3, padding=1), (16,))(torch.zeros(1, 1, 64)).shape == (1, 1, 64)


def test_rules_can_be_added_by_class_or_by_name_and_taken_away() -> None:
    network = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), Sine())
    for kind in (Sine, f"{Sine.__module__}.{Sine.__qualname__}"):
        register_converter(kind, Rule("pointwise"))
        assert "pointwise" in conversion_report(to_operator(network, (16,)))
        unregister_converter(kind)
        with pytest.raises(ConversionError, match=r"no rule"):
            to_operator(network, (16,))
    with pytest.raises(TypeError, match=r"expected sciml.operators.convert.Rule"):
        register_converter(Sine, "pointwise")  # type: ignore[arg-type]


def test_another_domain_is_refused() -> None:
    grid = RegularGrid(shape=(16,), bounds=((0.0, 1.0),), periodic=True)
    operator = to_operator(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), grid)
    x = torch.zeros(1, 1, 32)
    with pytest.raises(ConversionError, match=r"bounds \(\(0.0, 2.0\),\).*the domain it was trained on"):
        operator(Function(x, RegularGrid(shape=(32,), bounds=((0.0, 2.0),), periodic=True)))
    with pytest.raises(ConversionError, match=r"periodic"):
        operator(Function(x, RegularGrid(shape=(32,), bounds=((0.0, 1.0),))))
    cloud = PointCloud(torch.rand(32, 1), weights="uniform", bounds=((0.0, 1.0),))
    with pytest.raises(ConversionError, match=r"lives on a PointCloud.*resample it to a grid"):
        operator(Function(x, cloud))


def test_sizes_that_do_not_divide_and_forms_that_cannot_be_are_refused() -> None:
    operator = to_operator(UNet(), (16, 16))
    with pytest.raises(
        ConversionError, match=r"the output of pool has 8 points.*8.5 at scale 17/16.*divides by the str"
    ):
        operator(torch.zeros(1, 1, 17, 17))
    latent = to_operator(nn.Conv1d(1, 1, 2, 2), (16,), resolution="latent", check=False)
    with pytest.raises(ConversionError, match=r"needs a stride of 5/2 points at scale 5/4"):
        latent(torch.zeros(1, 1, 20))
    with pytest.raises(ConversionError, match=r"even kernel \(4,\).*conv=\{'': 'hat'"):
        to_operator(nn.Conv1d(1, 1, 4, padding=1), (16,), conv="differential")
    with pytest.raises(ConversionError, match=r"padding_mode 'zeros'.*needs 'circular'"):
        to_operator(nn.Conv1d(1, 1, 3, padding=1), (16,), conv="spectral")


def test_wrong_arguments_name_themselves() -> None:
    conv = nn.Conv1d(1, 1, 3, padding=1)
    with pytest.raises(ConversionError, match=r"conv is 'hut', expected one of hat, cubic, spectral"):
        to_operator(conv, (16,), conv="hut")
    with pytest.raises(ConversionError, match=r"resolution is 'up', expected one of follow, latent"):
        to_operator(conv, (16,), resolution="up")  # type: ignore[arg-type]
    with pytest.raises(ConversionError, match=r"roles names 'head', which is no module or parameter"):
        to_operator(conv, (16,), roles={"head": "pointwise"})
    with pytest.raises(ConversionError, match=r"roles\[''\] is 'point', expected one of pointwise"):
        to_operator(conv, (16,), roles={"": "point"})
    with pytest.raises(ConversionError, match=r"reference is a str, expected a RegularGrid"):
        to_operator(conv, "16")
    with pytest.raises(ConversionError, match=r"does not tell the channels.*channels=..."):
        to_operator(nn.ReLU(), (16,))
    with pytest.raises(ConversionError, match=r"fails at the reference, on an input of shape.*channels and layout"):
        to_operator(nn.Sequential(conv, nn.Conv1d(3, 1, 1)), (16,))
    with pytest.raises(ConversionError, match=r"circular padding, axis 0 of the reference is not periodic"):
        to_operator(
            nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), RegularGrid(shape=(16,), bounds=((0.0, 1.0),))
        )
    with pytest.raises(ConversionError, match=r"the input has shape \(16,\), at the reference \(2, 1, 16\)"):
        to_operator(conv, (16,))(torch.zeros(16))


def test_linear_layers_whose_role_cannot_be_known_ask_for_it() -> None:
    network = nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.Linear(8, 8))  # 8 points, and 8 channels
    with pytest.raises(ConversionError, match=r"1 has 8 inputs.*may be channels or points.*'pointwise'.*or 'integral'"):
        to_operator(network, (8,))
    mixing = to_operator(network, (8,), roles={"1": "integral"}, check=False)
    assert mixing(torch.zeros(1, 1, 8)).shape == (1, 8, 8)


def test_the_wrapper_needs_an_output_on_its_grid() -> None:
    with pytest.raises(ConversionError, match=r"returns \(1, 1, 8\) on the grid \(16,\)"):
        InterpolationWrapper(nn.Conv1d(1, 1, 2, 2), (16,))(torch.zeros(1, 1, 32))


def test_the_network_is_left_as_it_is() -> None:
    network = UNet().train()
    network.down1.eval()
    modes = [m.training for m in network.modules()]
    classes = [type(m) for m in network.modules()]
    state = torch.random.get_rng_state()
    to_operator(network, (16, 16))
    assert [m.training for m in network.modules()] == modes
    assert [type(m) for m in network.modules()] == classes
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_sum_over_points_is_refused_and_a_mean_of_cells_is_not() -> None:
    class Pooled(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.conv, self.name = nn.Conv2d(1, 2, 3, padding=1), name

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return getattr(self.conv(x), self.name)(dim=(-2, -1), keepdim=True) + 0 * x

    assert to_operator(Pooled("mean"), (8, 8))(torch.rand(1, 1, 16, 16)).shape == (1, 2, 16, 16)
    with pytest.raises(ConversionError, match=r"calls sum\(\) in its forward, which depends on the lattice"):
        to_operator(Pooled("sum"), (8, 8))


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 1, 0, 0), (1, 1, 16)])
def test_inputs_of_other_axes_or_without_points_are_refused(shape: tuple[int, ...]) -> None:
    operator = to_operator(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1)), (8, 8))
    with pytest.raises(
        ConversionError, match=r"at the reference \(2, 1, 8, 8\): expected as many axes, none of them empty"
    ):
        operator(torch.zeros(shape))
