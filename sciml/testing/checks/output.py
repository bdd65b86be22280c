"""Checks of what ``forward`` gives, and of what it must leave alone."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout

import torch
from torch import Tensor

from sciml.data import Batch
from sciml.testing import batches
from sciml.testing.assertions import assert_close
from sciml.testing.candidate import Candidate
from sciml.testing.check import SkipCheck
from sciml.testing.checks.repeatable import needs_repeatable_output
from sciml.train.randomness import seed_all

__all__ = [
    "INVARIANCES",
    "batch_independence",
    "declared_invariances",
    "forward_is_quiet",
    "forward_keeps_inputs",
    "forward_keeps_parameters",
    "output_shape",
]


def output_shape(candidate: Candidate) -> None:
    """The output has the shape of the target, its dtype, and finite values.

    A target of class numbers ``(batch, ...)`` goes with an output ``(batch, classes, ...)``.
    """
    target = candidate.batch()[batches.TARGET]
    output = candidate.predict(candidate.build())
    shape, expected = tuple(output.shape), tuple(target.shape)
    if target.is_floating_point():
        assert output.dtype == target.dtype, (
            f"the output is {output.dtype}, the target {target.dtype}: make them equal."
        )
    else:
        shape, expected = (*shape[:1], *shape[2:]), tuple(target.shape)
    assert shape == expected, (
        f"the output has shape {tuple(output.shape)}, the target y of the example {tuple(target.shape)}. "
        "Correct forward, or the target in example()."
    )
    assert output.isfinite().all(), (
        "the output holds NaN or infinite values. Check the example's inputs and the weights."
    )


def batch_independence(candidate: Candidate) -> None:
    """In eval mode, the output for a sample depends neither on the other samples nor on their number."""
    needs_repeatable_output(candidate)
    model, batch = candidate.shaken(), candidate.batch()
    output = candidate.predict(model, batch)
    advice = "Take statistics over points or channels, not over the batch (or running ones in eval mode)."
    alone = candidate.predict(model, batches.take(batch, slice(0, 1)))
    assert alone.shape[1:] == output.shape[1:], (
        f"one sample alone gives {tuple(alone.shape)}, in a batch {tuple(output.shape)}. "
        "Do not squeeze the batch axis: name the axis to squeeze."
    )
    assert_close(alone, output[:1], message=f"the output for a sample changes when the others are dropped. {advice}")
    changed = batches.disturb(batch, scale=0.5, seed=1)
    first = {name: value[:1] for name, value in batches.take(batch, slice(0, 1)).items()}
    mixed = {
        name: value if name in batches.shared_names(batch) else torch.cat([first[name], value[1:]])
        for name, value in changed.items()
    }
    assert_close(
        candidate.predict(model, mixed)[:1], output[:1], message=f"the output changes with other samples. {advice}"
    )


def declared_invariances(candidate: Candidate) -> None:
    """What the model class declares in ``invariances = ("query_order",)`` holds."""
    model = candidate.shaken()
    declared = getattr(model, "invariances", ())
    if not declared:
        raise SkipCheck("the class declares no invariances.")
    needs_repeatable_output(candidate)
    for name in declared:
        assert name in INVARIANCES, f"invariances names {name!r}, known: {', '.join(INVARIANCES)}."
        INVARIANCES[name](candidate)


def query_order(candidate: Candidate) -> None:
    """Permuting the query points permutes the last axis of the output in the same way."""
    model, batch = candidate.shaken(), candidate.batch()
    assert "coords" in batch, "query_order is declared, but the example batch has no query points 'coords'."
    order = torch.arange(batch["coords"].shape[-2]).flip(0).roll(1)
    expected = candidate.predict(model, batch)[..., order]
    actual = candidate.predict(model, batches.permute_queries(batch, order))
    assert_close(
        actual, expected, message="query_order is declared, but permuted query points do not permute the output:"
    )


# Declared name to check; graph models add the order of nodes here.
INVARIANCES: dict[str, Callable[[Candidate], None]] = {"query_order": query_order}


def forward_keeps_inputs(candidate: Candidate) -> None:
    """``forward`` does not change its input tensors in place."""
    for training in (True, False):
        model = candidate.build().train(training)
        batch = candidate.batch()
        given = batches.to(batch)
        _call(candidate, model, given)
        changed = sorted(name for name in batch if not torch.equal(batch[name], given[name]))
        assert not changed, (
            f"forward changes {', '.join(changed)} in place. Write x = x + ... instead of x += ..., or clone first."
        )


def forward_keeps_parameters(candidate: Candidate) -> None:
    """``forward`` changes no parameters, and in eval mode no buffers either."""
    for training in (True, False):
        model = candidate.build().train(training)
        watched = {**dict(model.named_parameters()), **({} if training else dict(model.named_buffers()))}
        before = {name: value.detach().clone() for name, value in watched.items()}
        _call(candidate, model, candidate.batch())
        changed = sorted(name for name, value in watched.items() if not torch.equal(value, before[name]))
        mode = "training" if training else "eval"
        assert not changed, (
            f"forward changes {', '.join(changed)} in {mode} mode. Let the optimizer change parameters; statistics of "
            "training belong into buffers, and are only updated when self.training is true."
        )


def forward_is_quiet(candidate: Candidate) -> None:
    """Building and calling the model prints nothing."""
    with redirect_stdout(io.StringIO()) as printed:
        model = candidate.build()
        _call(candidate, model, candidate.batch())
        _call(candidate, model.train(), candidate.batch())
    text = printed.getvalue().strip()
    assert not text, f"the model prints {text[:60]!r}. Use logging or warnings."


@torch.no_grad()
def _call(candidate: Candidate, model: torch.nn.Module, batch: Batch) -> Tensor:
    """Call with the very tensors of the batch."""
    seed_all(0)
    return candidate.binding(model, batch)(model, batch)
