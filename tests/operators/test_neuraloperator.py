"""Weight for weight against the neuraloperator package: same weights, same function, same gradients."""

import itertools
import warnings

import pytest
import torch

from sciml.errors import CheckpointError, ConfigError
from sciml.operators import FNO, TFNO, from_neuraloperator, load_neuraloperator_state_dict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    reference = pytest.importorskip("neuralop.models", reason="compares with the package neuraloperator")


def build(cls, n_modes, in_channels=1, out_channels=2, hidden_channels=6, **options):
    return cls(n_modes, in_channels, out_channels, hidden_channels, **options)


def gradients_in_our_layout(theirs, ours):
    """Their gradients under our names: gradients change layout as weights do."""
    twin = from_neuraloperator(theirs)
    state = {name: p.grad for name, p in theirs.named_parameters()}
    load_neuraloperator_state_dict(twin, state)
    return dict(twin.named_parameters())


def assert_same_function(theirs, grids):
    ours = from_neuraloperator(theirs)
    for grid in grids:
        x = torch.randn(3, theirs.in_channels, *grid)
        theirs.zero_grad()
        ours.zero_grad()
        expected, y = theirs(x), ours(x)
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
        seed = torch.randn_like(y)
        expected.backward(seed)
        y.backward(seed)
        for name, gradient in gradients_in_our_layout(theirs, ours).items():
            torch.testing.assert_close(
                ours.get_parameter(name).grad,
                gradient.detach(),
                rtol=1e-4,
                atol=1e-4,
                msg=lambda m, n=name: f"{n}: {m}",
            )  # gradients sum over some hundred points: ten times the tolerance of the values


@pytest.mark.parametrize(
    ("n_modes", "grids"),
    [
        ((8,), [(16,), (15,), (6,), (5,)]),
        ((8, 8), [(16, 16), (16, 15), (8, 8), (6, 8), (8, 6), (4, 4)]),
        ((7, 8), [(16, 16), (6, 8), (4, 8)]),
        ((8, 7), [(16, 16), (16, 15), (6, 5)]),
        ((4, 6, 4), [(8, 8, 8), (8, 6, 9), (4, 4, 4)]),
    ],
)
def test_fno_equals_the_reference_at_several_resolutions(n_modes, grids):
    assert_same_function(build(reference.FNO, n_modes, n_layers=2), grids)


@pytest.mark.parametrize("options", [{}, {"rank": 0.42}, {"rank": 0.02, "hidden_channels": 16}])
@pytest.mark.parametrize(("n_modes", "grids"), [((6,), [(16,), (4,)]), ((8, 6), [(16, 15), (6, 8), (8, 4)])])
def test_tfno_equals_the_reference(options, n_modes, grids):
    assert_same_function(build(reference.TFNO, n_modes, n_layers=2, **options), grids)


@pytest.mark.parametrize(
    "options",
    [
        {"positional_embedding": None},
        {"domain_padding": 0.25},
        {"domain_padding": [0.1, 0.3]},
        {"fno_skip": "soft-gating", "channel_mlp_skip": "linear"},
        {"fno_skip": "identity", "channel_mlp_skip": "identity"},
        {"fno_skip": None, "channel_mlp_skip": None},
        {"use_channel_mlp": False},
        {"channel_mlp_expansion": 1.0, "lifting_channel_ratio": 3, "projection_channel_ratio": 1, "in_channels": 3},
        {"non_linearity": torch.tanh},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_equal_those_of_the_reference(options):
    assert_same_function(build(reference.FNO, (6, 6), n_layers=2, **options), [(12, 10)])


def test_double_precision_agrees_to_double_precision():
    theirs = build(reference.FNO, (6, 6), n_layers=2)
    ours = from_neuraloperator(theirs).double()
    for parameter in theirs.parameters():
        parameter.data = parameter.data.to(torch.complex128 if parameter.is_complex() else torch.float64)
    x = torch.randn(2, 1, 12, 12, dtype=torch.float64)
    # The reference rounds its spectra to single precision whatever the weights are.
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


def test_on_odd_leading_axes_the_reference_shifts_its_modes_by_one(monkeypatch):
    theirs = build(reference.FNO, (6, 6), n_layers=2)
    ours = from_neuraloperator(theirs)
    x = torch.randn(2, 1, 11, 12)
    assert (theirs(x) - ours(x)).abs().max() > 1e-3  # a hundred times the rounding
    # Every second call is the shift back, for which the reference uses the forward shift; they differ for odd sizes.
    forward, backward = torch.fft.fftshift, torch.fft.ifftshift
    calls = itertools.cycle([forward, backward])
    monkeypatch.setattr(torch.fft, "fftshift", lambda x, dim: next(calls)(x, dim=dim))
    torch.testing.assert_close(theirs(x), ours(x), rtol=1e-4, atol=1e-5)


def test_default_fno_has_the_layout_and_the_initial_scale_of_the_reference():
    ours, theirs = FNO(2, 1, (8, 8), 24), build(reference.FNO, (8, 8), 2, 1, 24)
    loaded = from_neuraloperator(theirs)
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in loaded.named_parameters()}
    for name, parameter in ours.named_parameters():
        if parameter.numel() > 200:  # fewer draws do not tell the scale
            scale, expected = (p.detach().std().item() for p in (parameter, loaded.get_parameter(name)))
            assert scale / expected == pytest.approx(1, abs=5 / parameter.numel() ** 0.5), name


@pytest.mark.parametrize("n_modes", [(8,), (8, 8), (12, 7), (4, 6, 4)])
@pytest.mark.parametrize("rank", [0.02, 0.1, 0.42, 1.0])
def test_tucker_ranks_are_those_of_the_reference(n_modes, rank):
    theirs = build(reference.TFNO, n_modes, hidden_channels=24, n_layers=1, rank=rank)
    ours = TFNO(1, 2, n_modes, 24, num_layers=1, rank=rank)
    loaded = from_neuraloperator(theirs)
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in loaded.named_parameters()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "group_norm"}, "uses norm, which this FNO does not have"),
        ({"preactivation": True}, "preactivation=True; only False"),
        ({"stabilizer": "tanh"}, "uses stabilizer"),
        ({"separable": True}, "separable=True"),
        ({"factorization": "CP", "rank": 0.5}, "factorization='CP'; only dense and Tucker"),
        ({"non_linearity": torch.cos}, "activation cos"),
    ],
)
def test_options_that_this_fno_lacks_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        from_neuraloperator(build(reference.FNO, (4, 4), n_layers=1, **options))


def test_weights_of_another_layout_are_refused():
    state = build(reference.FNO, (4, 4), n_layers=1).state_dict()
    with pytest.raises(CheckpointError, match="not those of a model of this layout"):
        load_neuraloperator_state_dict(FNO(1, 2, (4, 4), 8, num_layers=1), state)
    with pytest.raises(CheckpointError, match=r"blocks\.1\."):
        load_neuraloperator_state_dict(FNO(1, 2, (4, 4), 6, num_layers=2), state)
