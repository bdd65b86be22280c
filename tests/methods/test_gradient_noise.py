"""Gradient noise: its law, where it goes, what it leaves alone, and that a run with it can be resumed."""

import copy
import math
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from sciml.data import Dataset
from sciml.errors import ConfigError
from sciml.methods import GradientNoise, add_gradient_noise_, gradient_noise_std
from sciml.tasks import OperatorRegression
from sciml.train import Method, StepContext, Trainer, derive_seed

FIVE_SIGMA = 2 * stats.norm.sf(5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    """A parameter whose gradient is zero, so that the gradient after a call is the noise."""
    parameter = nn.Parameter(torch.zeros(*shape, dtype=dtype))
    parameter.grad = torch.zeros_like(parameter)
    return parameter


def noise(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


# The schedule


@settings(deadline=None)
@given(step=st.integers(0, 10**7), eta=st.floats(1e-6, 1e3), gamma=st.floats(0, 2))
def test_the_variance_times_the_decay_is_eta_at_every_step(step: int, eta: float, gamma: float) -> None:
    std = gradient_noise_std(step, eta, gamma)
    assert std**2 * (1 + step) ** gamma == pytest.approx(eta, rel=1e-12)


@pytest.mark.parametrize("step", [0, 1, 7, 1000, 123456])
@pytest.mark.parametrize(("eta", "gamma"), [("0.01", "0.55"), ("0.3", "0.55"), ("1", "1")])
def test_the_schedule_is_that_of_optax_noisy_sgd(step: int, eta: str, gamma: str) -> None:
    # optax adds noise of variance eta / (1 + count)^gamma, with count from 0; here with 28 digits.
    variance = Decimal(eta) / Decimal(1 + step) ** Decimal(gamma)
    assert gradient_noise_std(step, float(eta), float(gamma)) == pytest.approx(float(variance.sqrt()), rel=1e-12)


def test_gamma_zero_keeps_the_variance() -> None:
    assert {gradient_noise_std(step, 0.3, 0.0) for step in (0, 5, 10**6)} == {math.sqrt(0.3)}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((0, -0.1, 0.5), "eta"), ((0, 0.1, -0.5), "gamma"), ((0, math.nan, 0.5), "eta"), ((-1, 0.1, 0.5), "step")],
)
def test_a_schedule_out_of_range_is_refused(arguments: tuple[int, float, float], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is"):
        gradient_noise_std(*arguments)


# The law of the noise


def test_a_million_coordinates_have_the_mean_the_variance_and_the_shape_of_the_normal_law() -> None:
    n = 10**6
    parameter = zeros(1000, 1000)
    std = add_gradient_noise_([parameter], 9, 0.3, 0.55, generator())
    values = (noise(parameter).double() / math.sqrt(0.3 / 10**0.55)).flatten()
    assert std == pytest.approx(math.sqrt(0.3 / 10**0.55))
    assert abs(values.mean()) < 5 / math.sqrt(n)
    statistic = float(values.square().sum())
    assert FIVE_SIGMA / 2 < stats.chi2.cdf(statistic, n) < 1 - FIVE_SIGMA / 2
    assert stats.kstest(values.numpy(), "norm").pvalue > FIVE_SIGMA


def test_tensors_of_equal_shape_and_successive_steps_get_independent_noise() -> None:
    n = 40_000
    stream = generator()
    first, second = zeros(200, 200), zeros(200, 200)
    draws = []
    for step in range(2):
        first.grad, second.grad = torch.zeros(200, 200), torch.zeros(200, 200)
        add_gradient_noise_([first, second], step, 1.0, 0.0, stream)
        draws += [noise(first).flatten(), noise(second).flatten()]
    correlation = torch.corrcoef(torch.stack(draws)) - torch.eye(4)
    assert correlation.abs().max() < 5 / math.sqrt(n)


def test_the_noise_of_all_tensors_is_one_draw_in_the_order_of_the_parameters() -> None:
    parameters = [zeros(3, 4), zeros(5), zeros(2, 2, 2)]
    add_gradient_noise_(parameters, 0, 0.25, 0.55, generator(3))
    flat = torch.cat([noise(parameter).flatten() for parameter in parameters])
    assert torch.equal(flat, 0.5 * torch.randn(25, generator=generator(3)))


def test_the_noise_is_added_to_the_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(50))
    gradient = torch.linspace(-1, 1, 50)
    parameter.grad = gradient.clone()
    add_gradient_noise_([parameter], 0, 0.25, 0.55, generator(1))
    torch.testing.assert_close(parameter.grad, gradient + 0.5 * torch.randn(50, generator=generator(1)))


def test_complex_noise_is_circular_with_the_variance_in_both_parts_together() -> None:
    n = 200_000
    parameter = zeros(n, dtype=torch.complex128)
    add_gradient_noise_([parameter], 0, 4.0, 0.55, generator())
    values = noise(parameter)
    # |n|^2 / 2 is exponential with mean 2: standard error of the mean of |n|^2 is 4 / sqrt(n).
    assert float(values.abs().square().mean()) == pytest.approx(4.0, abs=5 * 4 / math.sqrt(n))
    for part in (values.real, values.imag):
        assert float(part.square().mean()) == pytest.approx(2.0, abs=5 * 2 * math.sqrt(2 / n))
    assert abs(values.square().mean()) < 5 * 4 * math.sqrt(2 / n)


def test_half_precision_gradients_are_rounded_once() -> None:
    gradient = torch.linspace(-1, 1, 64).bfloat16()
    parameter = nn.Parameter(torch.zeros(64, dtype=torch.bfloat16))
    parameter.grad = gradient.clone()
    add_gradient_noise_([parameter], 0, 0.01, 0.55, generator(2))
    expected = (gradient.float() + 0.1 * torch.randn(64, generator=generator(2))).bfloat16()
    assert parameter.grad.dtype == torch.bfloat16
    assert torch.equal(parameter.grad, expected)


def test_types_may_be_mixed_and_get_independent_noise() -> None:
    parameters = [zeros(20_000, dtype=dtype) for dtype in (torch.float32, torch.float64, torch.complex64)]
    add_gradient_noise_(parameters, 0, 1.0, 0.0, generator())
    parts = torch.stack([noise(p).real.double() if p.is_complex() else noise(p).double() for p in parameters])
    assert (torch.corrcoef(parts) - torch.eye(3)).abs().max() < 5 / math.sqrt(20_000)


# What it leaves alone


def test_eta_zero_changes_no_bit_and_draws_nothing() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    parameter.grad = torch.tensor([-0.0, 1e-45, math.inf, 0.1])
    before, stream = parameter.grad.clone(), generator()
    state = stream.get_state()
    assert add_gradient_noise_([parameter], 5, 0.0, 0.55, stream) == 0.0
    assert torch.equal(parameter.grad.view(torch.int32), before.view(torch.int32))
    assert torch.equal(stream.get_state(), state)


def test_frozen_parameters_and_those_without_gradient_are_left_alone() -> None:
    frozen, unused = zeros(3), nn.Parameter(torch.zeros(3))
    frozen.requires_grad_(False)
    add_gradient_noise_([frozen, unused, zeros(3)], 0, 1.0, 0.55, generator())
    assert torch.equal(noise(frozen), torch.zeros(3))
    assert unused.grad is None


def test_the_global_generator_is_not_used() -> None:
    method, _, context = attached(GradientNoise())
    state = torch.get_rng_state()
    add_gradient_noise_([zeros(100)], 0, 1.0, 0.55, generator())
    method.setup(context.model, 1, None)
    method.on_clipped_gradients(context)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sparse_gradient_is_refused() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1, 3])).sum().backward()
    with pytest.raises(ConfigError, match="sparse=False"):
        add_gradient_noise_(embedding.parameters(), 0, 0.1, 0.55, generator())


def test_a_generator_of_another_device_is_refused() -> None:
    parameter = nn.Parameter(torch.zeros(3, device="meta"))
    parameter.grad = torch.zeros(3, device="meta")
    with pytest.raises(ConfigError, match="lives on meta, the generator on cpu"):
        add_gradient_noise_([parameter], 0, 0.1, 0.55, generator())


# The method, by its hooks


def attached(method: GradientNoise, model: nn.Module | None = None) -> tuple[GradientNoise, nn.Module, StepContext]:
    """A method that is set up, its model with zero gradients, and the context of the first step."""
    model = model if model is not None else nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    method.setup(model, seed=7, total_steps=None)
    return method, model, StepContext(model, torch.optim.SGD(model.parameters(), lr=0.1))


def gradients(model: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def test_the_method_equals_the_function_in_a_hand_written_loop() -> None:
    method, model, context = attached(GradientNoise(eta=0.3, gamma=0.9))
    twin, stream = copy.deepcopy(model), generator(7)
    for parameter in twin.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for step in range(3):
        context.step = step
        method.on_clipped_gradients(context)
        add_gradient_noise_(twin.parameters(), step, 0.3, 0.9, stream)
    assert torch.equal(gradients(model), gradients(twin))
    assert gradients(model).abs().min() > 0


@pytest.mark.parametrize("after_clip", [True, False])
def test_the_noise_goes_in_at_one_of_the_two_hooks(after_clip: bool) -> None:
    method, model, context = attached(GradientNoise(after_clip=after_clip))
    method.on_unscaled_gradients(context)
    assert bool(gradients(model).any()) is not after_clip
    before = gradients(model)
    method.on_clipped_gradients(context)
    assert torch.equal(gradients(model), before) is not after_clip


@pytest.mark.parametrize(
    ("params", "chosen"),
    [
        (None, ["0.weight", "0.bias", "1.weight", "1.bias"]),
        (["*.weight"], ["0.weight", "1.weight"]),
        (["0.*", "1.bias"], ["0.weight", "0.bias", "1.bias"]),
        (["0.*", "!*.bias"], ["0.weight"]),
        (["!*.bias"], ["0.weight", "1.weight"]),
        (lambda name, parameter: parameter.dim() == 2, ["0.weight"]),
    ],
)
def test_params_chooses_by_pattern_or_function(params: Any, chosen: list[str]) -> None:
    method, model, context = attached(GradientNoise(params=params))
    method.on_clipped_gradients(context)
    assert [name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()] == chosen


def test_start_and_stop_bound_the_steps_with_noise() -> None:
    method, model, context = attached(GradientNoise(eta=0.04, gamma=0.5, start_step=2, stop_step=4))
    moved, stds = [], []
    for step in range(6):
        before = gradients(model)
        context.step = step
        method.on_clipped_gradients(context)
        moved.append(not torch.equal(gradients(model), before))
        stds.append(method.logs()["gradient-noise/std"])
    assert moved == [False, False, True, True, False, False]
    assert stds == pytest.approx([0, 0, 0.2, 0.2 / 2**0.25, 0, 0])


def test_a_schedule_gives_the_variance() -> None:
    method = GradientNoise(schedule=lambda step: 4.0 / (1 + step) ** 2)
    assert [method.std(step) for step in (0, 1, 3)] == [2.0, 1.0, 0.5]


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_schedule_that_gives_no_variance_is_refused(value: float) -> None:
    method, _, context = attached(GradientNoise(schedule=lambda step: value))
    with pytest.raises(ValueError, match="schedule gives the variance"):
        method.on_clipped_gradients(context)


def test_relative_noise_has_the_size_of_the_gradient_of_each_tensor() -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(100, 100)) for _ in range(3)])
    method, _, context = attached(GradientNoise(eta=0.25, relative=True), model)
    for parameter, size in zip(model, (0.0, 3.0, 1000.0), strict=True):
        parameter.grad = torch.full((100, 100), size)
    method.on_clipped_gradients(context)
    assert torch.equal(noise(model[0]), torch.zeros(100, 100))
    for parameter, size in ((model[1], 3.0), (model[2], 1000.0)):
        # Standard error of a standard deviation of n values: sigma / sqrt(2 n).
        assert float((noise(parameter) - size).std()) == pytest.approx(0.5 * size, rel=5 / math.sqrt(20_000))


def test_the_seed_of_the_user_comes_before_that_of_the_run() -> None:
    results = []
    for given_seed, run_seed in ((5, 0), (5, 1), (None, 5), (None, 6)):
        method, model, context = attached(GradientNoise(seed=given_seed))
        method.setup(model, run_seed, None)
        method.on_clipped_gradients(context)
        results.append(gradients(model))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[2], results[3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eta": -1.0}, "eta is"),
        ({"gamma": -1.0}, "gamma is"),
        ({"start_step": -1}, "start_step is -1"),
        ({"start_step": 5, "stop_step": 4}, "start_step is 5 and stop_step 4"),
        ({"params": "*.weight"}, r"expected a list of name patterns: \['\*.weight'\]"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradientNoise(**arguments)


def test_params_that_select_nothing_are_an_error_that_lists_the_names() -> None:
    with pytest.raises(ConfigError, match=r"selects no parameter.*0\.weight, 0\.bias"):
        attached(GradientNoise(params=["branch.*"]))


def test_a_method_that_was_not_set_up_says_so() -> None:
    model = nn.Linear(1, 1)
    context = StepContext(model, torch.optim.SGD(model.parameters()))
    with pytest.raises(ConfigError, match="call setup"):
        GradientNoise().on_clipped_gradients(context)
    with pytest.raises(ConfigError, match="call setup"):
        GradientNoise().load_state_dict({"step": 0, "streams": []})


# State


def test_the_state_restores_the_stream_and_is_plain_enough_for_a_checkpoint(tmp_path: Path) -> None:
    method, model, context = attached(GradientNoise())
    method.on_clipped_gradients(context)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    other, twin, twin_context = attached(GradientNoise())
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    context.step = twin_context.step = 1
    method.on_clipped_gradients(context)
    other.on_clipped_gradients(twin_context)
    assert torch.equal(gradients(model), gradients(twin))
    assert other.logs() == method.logs()


def test_a_state_of_another_kind_of_device_goes_on_with_a_warning() -> None:
    method, _, _ = attached(GradientNoise())
    with pytest.warns(UserWarning, match=r"saved on \['cuda'\].*on \['cpu'\]"):
        method.load_state_dict({"step": 3, "streams": [["cuda", torch.zeros(16, dtype=torch.uint8)]]})


def test_the_method_can_be_copied_and_pickled() -> None:
    method, *_ = attached(GradientNoise(eta=0.3, params=["*.weight"]))
    for twin in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        assert torch.equal(twin.state_dict()["streams"][0][1], method.state_dict()["streams"][0][1])
        assert twin.std(3) == method.std(3)


# In the trainer


def fit(model: nn.Module, data: Dataset, methods: list[Method], **kwargs: Any) -> Any:
    settings: dict[str, Any] = {"batch_size": 5, "progress": False, "accelerator": "cpu", **kwargs}
    resume = settings.pop("resume", None)
    task = OperatorRegression(loss="mse", normalize=False)
    return Trainer(**settings).fit(model, data, task, methods, optimizer={"name": "sgd", "lr": 1.0}, resume=resume)


class Idle(nn.Module):
    """A model whose parameter has the gradient zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(30))

    def forward(self, x: Tensor) -> Tensor:
        """Fields as they are."""
        return x + 0.0 * self.weight.sum()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_noise_is_added_once_per_update_however_many_batches_are_accumulated(
    line_data: Dataset, accumulate: int
) -> None:
    model = Idle()
    method = GradientNoise(eta=0.3)
    assert fit(model, line_data, [method], accumulate=accumulate, max_steps=4).steps == 4
    # With a learning rate of 1 the weights are minus the sum of the noise of four steps.
    stream = generator(derive_seed(0, "gradient-noise"))
    expected = -sum(math.sqrt(0.3 / (1 + t) ** 0.55) * torch.randn(30, generator=stream) for t in range(4))
    torch.testing.assert_close(model.weight.detach(), expected)
    assert method.state_dict()["step"] == 3


class Watch(Method):
    """Keeps the gradient of every step."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def on_clipped_gradients(self, context: StepContext) -> None:
        self.seen.append(gradients(context.model))


class WatchBefore(Watch):
    name = "before"
    priority: ClassVar[int] = 5


class WatchAfter(Watch):
    name = "after"
    priority: ClassVar[int] = 15


@pytest.mark.parametrize("after_clip", [True, False])
def test_clipping_bounds_the_gradient_but_not_the_noise_that_comes_after_it(
    line_data: Dataset, make_net: Any, after_clip: bool
) -> None:
    before, after = WatchBefore(), WatchAfter()
    methods = [after, GradientNoise(eta=1.0, after_clip=after_clip), before]
    fit(make_net(), line_data, methods, max_steps=5, clip_norm=0.1)
    rounding = 0.1 * (1 + 1e-5)
    for clipped, final in zip(before.seen, after.seen, strict=True):
        assert clipped.norm() <= rounding
        if after_clip:
            # 280 coordinates with a variance of at least 0.4: the noise alone is far longer than 0.1.
            assert final.norm() > 1.0
        else:
            assert torch.equal(final, clipped)


def test_batches_and_dropout_masks_are_those_of_the_run_without_noise(line_data: Dataset, make_net: Any) -> None:
    class Batches(Method):
        def __init__(self) -> None:
            self.seen: list[Tensor] = []

        def on_batch_start(self, context: StepContext) -> None:
            self.seen.append(context.batch["x"].clone())

    start = make_net(dropout=0.4)
    records = []
    for noisy in (False, True):
        model, batches, masks = copy.deepcopy(start), Batches(), []
        model.layers[3].register_forward_hook(lambda module, inputs, output, masks=masks: masks.append(output == 0))
        fit(model, line_data, [batches, *([GradientNoise(eta=0.01)] if noisy else [])], max_steps=9, clip_norm=0.1)
        records.append((batches.seen, masks, model))
    for a, b in zip(records[0][0], records[1][0], strict=True):
        assert torch.equal(a, b)
    for a, b in zip(records[0][1], records[1][1], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(records[0][2].layers[1].weight, records[1][2].layers[1].weight)


@pytest.mark.parametrize("stop", [3, 5])
def test_a_resumed_run_equals_the_unbroken_run(line_data: Dataset, make_net: Any, stop: int, tmp_path: Path) -> None:
    # 22 samples in batches of 5: step 3 lies within the first epoch, step 5 at its end.
    def methods() -> list[Method]:
        return [GradientNoise(eta=0.01), GradientNoise(eta=0.001, gamma=0.0, params=["*.weight"], after_clip=False)]

    whole, parts = make_net(dropout=0.3), make_net(dropout=0.3)
    parts.load_state_dict(whole.state_dict())
    common: dict[str, Any] = {"clip_norm": 0.1}
    fit(whole, line_data, methods(), max_steps=12, **common)
    fit(parts, line_data, methods(), max_steps=stop, run_dir=tmp_path / "run", **common)
    fit(parts, line_data, methods(), max_steps=12, run_dir=tmp_path / "run", resume="auto", **common)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)


def test_hidden_weights_that_start_at_zero_move_only_with_noise(line_data: Dataset) -> None:
    def train(methods: list[Method]) -> nn.Sequential:
        model = nn.Sequential(
            nn.Flatten(),
            nn.Linear(8, 8),
            nn.ReLU(),
            nn.Linear(8, 8),
            nn.ReLU(),
            nn.Linear(8, 8),
            nn.Unflatten(1, (1, 8)),
        )
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        trainer = Trainer(max_steps=20, batch_size=5, progress=False, accelerator="cpu")
        task = OperatorRegression(loss="mse")
        trainer.fit(model, line_data, task, methods, optimizer={"name": "sgd", "lr": 0.1}, inputs={"input": "x"})
        return model

    plain, noisy = train([]), train([GradientNoise(eta=0.1)])
    for layer in (1, 3, 5):
        assert not plain[layer].weight.any()
        assert noisy[layer].weight.all()
