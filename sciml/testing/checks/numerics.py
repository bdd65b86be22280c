"""Checks of numbers and gradients: every parameter learns, in every precision and on every device."""

import copy
import re

import torch
from torch import Tensor, nn

from sciml.testing import batches
from sciml.testing.candidate import Candidate
from sciml.testing.check import SkipCheck

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
    losses = [_loss_after(candidate, model, start, gradients, 10.0**-k) for k in range(1, 7)]
    assert min(losses) < loss.item(), (
        f"no step along the negative gradient lowers the loss {loss.item():.6g}; steps 1e-1 to 1e-6 give "
        f"{', '.join(f'{value:.6g}' for value in losses)}. Compare the gradient with torch.autograd.gradcheck."
    )


@torch.no_grad()
def _loss_after(
    candidate: Candidate, model: nn.Module, start: dict[str, Tensor], gradients: dict[str, Tensor], lr: float
) -> float:
    """Loss after one step, with the same random draws as before it."""
    model.load_state_dict(start)
    for name, parameter in model.named_parameters():
        if name in gradients:
            parameter.sub_(lr * gradients[name])
    batch = candidate.batch()
    return batches.example_loss(candidate.run(model, batch), batch[batches.TARGET]).item()
