"""Checks of numbers and gradients: every parameter learns, in every precision and on every device."""

import copy
import re

import torch
from torch import Tensor, nn

from sciml.data import Batch
from sciml.testing import batches
from sciml.testing.candidate import Candidate
from sciml.testing.check import SkipCheck
from sciml.testing.checks.repeatable import needs_repeatable_output

__all__ = ["double_precision", "follows_device", "gradient_reaches_parameters", "training_step_lowers_loss"]


def gradient_reaches_parameters(candidate: Candidate) -> None:
    """Some input gives every trainable parameter a finite gradient that is not zero."""
    waiting = dict.fromkeys(_trainable(candidate.build()))
    for seed in range(3):
        for model in (candidate.build(seed), candidate.shaken(seed)):
            model.train()
            output = candidate.run(model, batches.disturb(candidate.batch(), scale=0.1 * seed, seed=seed))
            assert output.requires_grad, "the output has no gradient. Remove detach() and torch.no_grad() from forward."
            # Random weights, because a sum or a square may have a gradient that vanishes by symmetry.
            weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(output)
            (output * weights).sum().backward()
            _check_finite(model)
            reached = {name for name, p in _trainable(model).items() if p.grad is not None and p.grad.any()}
            waiting = {name: None for name in waiting if name not in reached}
    assert not waiting, (
        f"no gradient reaches {', '.join(waiting)}. Use them in forward, or leave them out: unused parameters waste "
        "memory and stop distributed training. Freeze what is not trained: requires_grad_(False)."
    )


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise SkipCheck("the model has no trainable parameters.")
    return found


def _check_finite(model: nn.Module) -> None:
    bad = sorted(n for n, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all())
    assert not bad, (
        f"the gradients of {', '.join(bad)} are NaN or infinite. Keep sqrt, log, division and norms away from zero."
    )


def double_precision(candidate: Candidate) -> None:
    """After ``.double()`` all of the model computes in float64, and agrees with float32 to 1e-4."""
    single, double = candidate.shaken(), candidate.build()
    double.load_state_dict(single.state_dict())
    needs_repeatable_output(candidate)
    batch = batches.to(candidate.batch(), torch.float64)
    output = candidate.predict(double.double(), batch)
    advice = "Create tensors in forward with the dtype and device of an input: x.new_zeros(...), torch.ones_like(x)."
    assert output.dtype == torch.float64, f"float64 inputs give a {output.dtype} output. {advice}"
    # Values that all fit into float32 have been computed there.
    in_single = output.numel() > 0 and bool(output.any()) and torch.equal(output.float().double(), output)
    assert not in_single, f"the output is float64, but computed in float32. {advice}"
    expected = candidate.predict(single, batches.to(batch, torch.float32)).double()
    error = (output - expected).abs().max() / expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    assert error <= 1e-4, (
        f"float64 and float32 differ by {error:.2g} of the largest value. Check for a loss of digits, for thresholds "
        "that depend on the dtype, and for buffers that are not converted."
    )
    noise = _rounding_noise(candidate, double, batch)
    assert noise <= _SMALLEST_NOISE, (
        f"the output is float64, but some of it is computed in float32: it jumps by {noise:.2g} of the largest value "
        f"where it should vary smoothly. Look for .float(), .to(torch.float32) and lists of numbers. {advice}"
    )


def _rounding_noise(candidate: Candidate, model: nn.Module, batch: Batch) -> float:
    r"""Rounding error in the output of a float64 model, relative to its largest value.

    Fourth differences along a line, :math:`f_1 - 4 f_2 + 6 f_3 - 4 f_4 + f_5` at steps of :math:`h = 3\cdot10^{-7}`,
    amplify rounding errors eight times, and shrink whatever varies smoothly to :math:`h^4` times its fourth
    derivative. The line goes through inputs and parameters, then, in a second run, through the query points.

    Args:
        candidate: How to call the model.
        model: A model in float64.
        batch: Its inputs in float64.

    Returns:
        The median of three random lines, so that a kink in one of them does not count; the larger one of both runs.
    """
    values = [_fourth_difference(candidate, model, batch, seed) for seed in range(3)]
    noise = sorted(values)[1]
    return max(noise, _query_noise(candidate, model, batch)) if "coords" in batch else noise


def _fourth_difference(candidate: Candidate, model: nn.Module, batch: Batch, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    parameters = [p.data for p in model.parameters() if p.is_floating_point() or p.is_complex()]
    starts = [p.clone() for p in parameters]
    directions = [p * torch.randn(p.shape, generator=generator).to(p) for p in parameters]
    outputs = []
    for step in _LINE:
        for parameter, start, direction in zip(parameters, starts, directions, strict=True):
            parameter.copy_(start + step * direction)
        outputs.append(candidate.predict(model, batches.disturb(batch, scale=step, seed=seed)))
    for parameter, start in zip(parameters, starts, strict=True):
        parameter.copy_(start)
    return _noise(outputs)


def _query_noise(candidate: Candidate, model: nn.Module, batch: Batch) -> float:
    """Along a contraction of the query points, which leaves no domain and keeps a uniform grid uniform."""
    coords = batch["coords"]
    centre = coords.mean(-2, keepdim=True)
    try:
        outputs = [
            candidate.predict(model, {**batch, "coords": centre + (1 - step) * (coords - centre)}) for step in _LINE
        ]
    except Exception:  # A model may accept certain query points only, and then says nothing here.
        return 0.0
    return _noise(outputs)


def _noise(outputs: list[Tensor]) -> float:
    a, b, c, d, e = outputs
    largest = c.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    difference = ((a - 4 * b + 6 * c - 4 * d + e) / largest).abs()
    # A larger one is a jump of the model itself, as at a threshold or between nearest neighbours.
    return float(difference[difference < 1e-4].square().mean().sqrt().nan_to_num())


# Steps of 3e-7 are some roundings of float32 (6e-8); the first is not at 0, where grids meet cells and kinks.
_LINE = [3e-7 * k for k in range(1, 6)]
# Between float64 (1e-16 x 8 x a loss of digits up to 1e3, beyond which float32 fails above) and float32 (6e-8 x 8).
_SMALLEST_NOISE = 1e-10


def follows_device(candidate: Candidate) -> None:
    """The model computes where its parameters and inputs are.

    On a CUDA device if there is one, otherwise with torch's ``meta`` tensors, which hold no values: most operations
    refuse to mix these with a tensor that ``forward`` creates on the CPU.
    """
    device = "cuda" if torch.cuda.is_available() else "meta"
    batch = batches.to(candidate.batch(), device=device)
    expected = candidate.predict(candidate.build()).shape
    advice = "Create tensors in forward on the device of an input, and register constant ones with register_buffer."
    try:
        with torch.no_grad():
            output = candidate.run(candidate.build().to(device), batch)
    except Exception as error:
        if device == "meta" and not _MIXED_DEVICES.search(str(error)):
            raise SkipCheck(f"only a machine with a GPU can tell, meta tensors cannot: {error}") from error
        raise AssertionError(f"on {device}: {type(error).__name__}: {error} {advice}") from error
    assert output.device.type == device, f"inputs on {device} give an output on {output.device}. {advice}"
    assert output.shape == expected, f"on {device} the output has shape {tuple(output.shape)}, not {tuple(expected)}."


# What torch says when devices meet. Other errors of meta tensors come from operations that need values.
_MIXED_DEVICES = re.compile("expected device|same device|two devices|copy out of meta|convert meta device")


def training_step_lowers_loss(candidate: Candidate) -> None:
    """Some step of gradient descent, from 1e-1 to 1e-6, lowers the loss on the example batch."""
    model, batch = candidate.build().train(), candidate.batch()
    _trainable(model)
    start = copy.deepcopy(model.state_dict())
    loss = batches.example_loss(candidate.run(model, batch), batch[batches.TARGET])
    assert loss > 0, "the untrained model meets the example's target exactly. Take another target in example()."
    loss.backward()
    gradients = {name: p.grad for name, p in _trainable(model).items() if p.grad is not None}
    losses = [_loss_after(candidate, start, gradients, 10.0**-k) for k in range(1, 7)]
    assert min(losses) < loss.item(), (
        f"no step along the negative gradient lowers the loss {loss.item():.6g}; steps 1e-1 to 1e-6 give "
        f"{', '.join(f'{value:.6g}' for value in losses)}. Compare the gradient with torch.autograd.gradcheck."
    )


@torch.no_grad()
def _loss_after(candidate: Candidate, start: dict[str, Tensor], gradients: dict[str, Tensor], lr: float) -> float:
    """Loss after one step, with the same random draws as before it, and a new model, so that no call counts twice."""
    model, batch = candidate.build().train(), candidate.batch()
    model.load_state_dict(start)
    for name, parameter in model.named_parameters():
        if name in gradients:
            parameter.sub_(lr * gradients[name])
    return batches.example_loss(candidate.run(model, batch), batch[batches.TARGET]).item()
