"""FNO and TFNO: symmetries, limits, resolutions, state, bad input, and that they learn."""

import copy
import inspect
import math
import pickle
import warnings

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import functional as F

from sciml.operators import FNO, TFNO
from sciml.spaces import DataSpec, FieldSpec
from sciml.train import build_model

MODELS = [FNO, TFNO]


def small(cls=FNO, modes=(4, 4), in_channels=1, out_channels=2, **options):
    return cls(in_channels, out_channels, modes, 6, **{"num_layers": 2, **options})


def slow_fno(model, x):
    """The default network in two dimensions with concatenated coordinates, einsum, full FFTs and separate additions."""
    n, m = x.shape[2:]
    s, t = torch.meshgrid(torch.arange(n).double() / n, torch.arange(m).double() / m, indexing="ij")
    linear = lambda layer, x: torch.einsum("oi,bi...->bo...", layer.weight, x)  # noqa: E731
    affine = lambda layer, x: linear(layer, x) + layer.bias[:, None, None]  # noqa: E731
    network = lambda net, x: affine(net.layers[1], F.gelu(affine(net.layers[0], x)))  # noqa: E731
    with_grid = torch.cat([x, torch.stack([s, t]).to(x).expand(len(x), -1, -1, -1)], 1)
    first, second = model.lifting.layers
    weight = torch.cat([first.weight, model.grid_weight], 1)
    y = affine(second, F.gelu(torch.einsum("oi,bixy->boxy", weight, with_grid) + first.bias[:, None, None]))
    for index, block in enumerate(model.blocks):
        k1, k2 = block.conv.modes
        rows, columns = torch.arange(-(k1 // 2), k1 - k1 // 2) % n, torch.arange(k2 // 2 + 1)
        spectrum = torch.fft.rfft2(y, norm="forward")
        mixed = torch.zeros_like(spectrum)
        place = (slice(None), slice(None), rows[:, None], columns[None])
        mixed[place] = torch.einsum("bixy,xyio->boxy", spectrum[place], torch.complex(*block.conv.weight))
        spectral = torch.fft.irfft2(mixed, s=(n, m), norm="forward") + block.conv.bias[:, None, None]
        activation = F.gelu if index < len(model.blocks) - 1 else lambda x: x
        h = activation(spectral + linear(block.skip, y))
        y = activation(network(block.channel_mlp, h) + block.channel_mlp_skip.weight[:, None, None] * y)
    return network(model.projection, y)


@pytest.mark.parametrize("grid", [(8, 8), (9, 10), (7, 5)])
def test_fno_equals_the_network_written_out(grid):
    model = small(in_channels=3).double()
    with torch.no_grad():
        for block in model.blocks:
            block.channel_mlp_skip.weight.normal_()
    x = torch.randn(3, 3, *grid, dtype=torch.float64)
    torch.testing.assert_close(model(x), slow_fno(model, x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cls", MODELS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_fno_commutes_with_translations_without_grid_embedding(cls, dim):
    model = small(cls, (4,) * dim, grid_embedding=False).double()
    x = torch.randn(2, 1, *(7, 6, 5)[:dim], dtype=torch.float64)
    shift, axes = (2, 3, 1)[:dim], tuple(range(2, 2 + dim))
    torch.testing.assert_close(model(x.roll(shift, axes)), model(x).roll(shift, axes), rtol=1e-10, atol=1e-12)


def test_fno_does_not_commute_with_translations_with_grid_embedding():
    model = small()
    x = torch.randn(2, 1, 8, 8)
    assert not torch.allclose(model(x.roll(3, -1)), model(x).roll(3, -1), atol=1e-4)


@pytest.mark.parametrize("cls", MODELS)
@pytest.mark.parametrize("fine", [32, 48])
def test_linear_fno_is_resolution_invariant_for_band_limited_input(cls, fine):
    model = small(cls, (8, 8), activation="identity", channel_mlp=False, grid_embedding=False).double()
    wave = lambda n: torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)  # noqa: E731
    sample = lambda n: (torch.sin(2 * wave(n)[:, None] - wave(n)) + torch.cos(3 * wave(n)))[None, None]  # noqa: E731
    every = fine // 16
    torch.testing.assert_close(model(sample(fine))[..., ::every, ::every], model(sample(16)), rtol=1e-10, atol=1e-12)


def test_nonlinear_fno_converges_under_refinement_for_smooth_periodic_input():
    model = small(modes=(8,), grid_embedding=False).double()
    sample = lambda n: torch.exp(torch.sin(2 * math.pi * torch.arange(n, dtype=torch.float64) / n))[None, None]  # noqa: E731
    outputs = [model(sample(n))[..., :: n // 8] for n in (8, 16, 32, 64)]
    errors = [(y - outputs[-1]).abs().max().item() for y in outputs[:-1]]
    assert errors[1] < 0.1 * errors[0]  # aliasing of a smooth function decays faster than any power
    assert errors[2] < 0.1 * errors[1]


def test_fno_is_linear_when_the_activation_is():
    model = small(activation="identity", channel_mlp=False).double()
    x, y, zero = (*torch.randn(2, 2, 1, 8, 8, dtype=torch.float64), torch.zeros(2, 1, 8, 8, dtype=torch.float64))
    expected = 2 * model(x) - 3 * model(y) + 2 * model(zero)
    torch.testing.assert_close(model(2 * x - 3 * y), expected, rtol=1e-10, atol=1e-12)


def test_padding_makes_room_for_functions_that_are_not_periodic():
    model = small(modes=(6,), padding=0.25, grid_embedding=False, num_layers=1).double()
    plain = copy.deepcopy(model)
    plain._padding = (0.0,)
    x = torch.randn(2, 1, 16, dtype=torch.float64)
    expected = plain.lifting(x)
    for block in plain.blocks:  # 4 points on each side
        expected = block(F.pad(expected, (4, 4)))[..., 4:-4]
    torch.testing.assert_close(model(x), plain.projection(expected), rtol=1e-10, atol=1e-12)


def test_a_field_without_channel_axis_gives_a_field_without_channel_axis():
    model = small(out_channels=1)
    x = torch.randn(3, 8, 8)
    assert torch.equal(model(x), model(x[:, None])[:, 0])


@pytest.mark.parametrize("cls", MODELS)
def test_all_parameters_are_real_and_get_gradients(cls):
    model = small(cls)
    model(torch.randn(2, 1, 8, 8)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32, name
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("cls", MODELS)
def test_state_survives_copies_pickles_and_safetensors(cls):
    model, other = small(cls), small(cls)
    x = torch.randn(2, 1, 9, 8)
    expected = model(x)
    other.load_state_dict(load(save(model.state_dict())))
    for copied in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(copied(x), expected)


@pytest.mark.parametrize("cls", MODELS)
def test_arguments_are_attributes_that_build_the_same_model_again(cls):
    model = small(cls, padding=0.1, dropout=0.2)
    arguments = {name: getattr(model, name) for name in inspect.signature(cls).parameters}
    again = cls(**arguments)
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize("cls", MODELS)
def test_fno_exports_and_the_exported_program_agrees(cls):
    model = small(cls)
    x = torch.randn(2, 1, 8, 8)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-4, atol=1e-5)


def test_forward_mode_and_vmap_agree_with_finite_differences_and_loops():
    model = small().double()
    x, v = torch.randn(2, 1, 8, 8, dtype=torch.float64), torch.randn(2, 1, 8, 8, dtype=torch.float64)
    _, derivative = torch.func.jvp(model, (x,), (v,))
    difference = (model(x + 1e-5 * v) - model(x - 1e-5 * v)) / 2e-5
    torch.testing.assert_close(derivative, difference, rtol=1e-6, atol=1e-8)  # error of the difference 1e-10 relative
    torch.testing.assert_close(torch.vmap(lambda x: model(x[None])[0])(x), model(x), rtol=1e-10, atol=1e-12)


def test_mixed_precision_runs_and_stays_close():
    model = small()
    x = torch.randn(2, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    y.float().sum().backward()
    torch.testing.assert_close(y.float(), model(x), rtol=0.05, atol=0.05)  # bfloat16 keeps 8 bits


@pytest.mark.parametrize("cls", MODELS)
def test_from_spec_takes_channels_and_dimension_from_the_data(cls):
    fields = {
        "x": FieldSpec("x", "input", 3, (16, 16)),
        "y": FieldSpec("y", "target", None, (16, 16)),
    }
    model = cls.from_spec(DataSpec(fields), modes=4, hidden_channels=6)
    assert (model.in_channels, model.out_channels, model.modes) == (3, 1, (4, 4))
    assert cls.from_spec(DataSpec(fields), modes=[4, 6], out_channels=2).out_channels == 2


def on_grid(*shape):
    return DataSpec({name: FieldSpec(name, role, 1, shape) for name, role in (("x", "input"), ("y", "target"))})


@pytest.mark.parametrize("cls", MODELS)
def test_modes_that_the_training_grid_lacks_are_reported_once(cls):
    message = r"modes is \[24, 8\], but the training grid of 16 x 16 points .* Take modes=\[16, 8\] or fewer"
    with pytest.warns(UserWarning, match=message) as seen:
        model = build_model("fno" if cls is FNO else "tfno", on_grid(16, 16), modes=[24, 8], hidden_channels=4)
    assert len(seen) == 1
    # The warning tells the truth: beyond the first 16 of the 24 wave numbers nothing is trained.
    if cls is FNO:
        model(torch.randn(2, 1, 16, 16)).sum().backward()
        used = [weight.grad.abs().amax((0, 2, 3, 4)) > 0 for weight in (block.conv.weight for block in model.blocks)]
        assert all(rows.sum() == 16 for rows in used)


@pytest.mark.parametrize(
    ("shape", "options"),
    [((16, 16), {"modes": 16}), ((16, 9), {"modes": [16, 9]}), ((16,), {"modes": 24, "padding": 0.25}), ((16,), {})],
)
def test_modes_that_the_training_grid_has_are_not_reported(shape, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FNO.from_spec(on_grid(*shape), hidden_channels=4, **options)


@pytest.mark.parametrize("cls", MODELS)
def test_example_fits_the_model(cls):
    arguments, batch = cls.example()
    assert cls(**arguments)(batch["x"]).shape == batch["y"].shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modes": 4}, "modes is 4 for every axis, but dim is missing"),
        ({"modes": (4, 4), "dim": 3}, r"modes names 2 axes \(\(4, 4\)\), but dim is 3"),
        ({"modes": (4, 0)}, r"modes is \(4, 0\), expected one to three positive numbers"),
        ({"modes": (4, 4), "skip": "conv"}, "skip is 'conv', expected one of linear, gate, identity, none"),
        ({"modes": (4, 4), "padding": (0.1,)}, r"padding is \(0.1,\), expected one non-negative fraction"),
        ({"modes": (4, 4), "activation": "gellu"}, "unknown activation 'gellu'. Did you mean 'gelu'"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises((ValueError, LookupError), match=message):
        FNO(1, 1, **arguments)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (8, 8), (2, 1, 8, 8, 8)])
def test_input_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"this FNO takes \(batch, 1, n1, n2\)"):
        small()(torch.zeros(shape))


def heat_pairs(num, n, generator):
    """Random periodic functions with 4 wave numbers, and the same after the heat equation has run for a short time."""
    wave = torch.arange(1, 5)
    amplitude = torch.randn(num, 2, 4, generator=generator) / wave
    phase = 2 * math.pi * torch.outer(wave.float(), torch.arange(n) / n)
    waves = torch.stack([phase.cos(), phase.sin()])
    decay = torch.exp(-0.1 * wave.float() ** 2)
    return [torch.einsum("bck,ckn->bn", amplitude * factor, waves)[:, None] for factor in (torch.ones(4), decay)]


# The worst of five seeds at these three resolutions are 0.022 and 0.026.
@pytest.mark.parametrize(("cls", "bound"), [(FNO, 0.04), (TFNO, 0.045)])
def test_fno_learns_the_heat_equation_and_keeps_the_error_at_other_resolutions(cls, bound):
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    x, y = heat_pairs(128, 16, generator)
    options = {} if cls is FNO else {"rank": 0.5}
    model = cls(1, 1, (8,), 12, num_layers=2, grid_embedding=False, **options)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=200)
    for _ in range(200):
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
        schedule.step()
    for n in (16, 33, 64):
        x, y = heat_pairs(64, n, generator)
        error = ((model(x) - y).flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1)).mean()
        assert error < bound, n
