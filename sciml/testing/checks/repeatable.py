"""Check that a trained model is a function: in eval mode, the same input gives the same output."""

import copy

import torch
from torch import Tensor, nn

from sciml.testing import batches
from sciml.testing.assertions import assert_close
from sciml.testing.candidate import Candidate, NotBuilt
from sciml.testing.check import SkipCheck

__all__ = ["eval_output_is_repeatable", "needs_repeatable_output"]


def eval_output_is_repeatable(candidate: Candidate) -> None:
    """In eval mode, the output depends only on the input: not on random draws, nor on earlier calls."""
    model, batch = candidate.shaken(), candidate.batch()
    state = copy.deepcopy(model.state_dict())
    expected = candidate.predict(model, batch)
    model = _fresh(candidate, state)
    with torch.no_grad():
        other = candidate.run(model, batch, seed=1)
    _same(
        other,
        expected,
        "the output in eval mode changes with the seed, so it holds random draws. Switch dropout and noise off in eval "
        "mode: nn.Dropout does it by itself, F.dropout(x, p) only with training=self.training.",
    )
    model = _fresh(candidate, state)
    candidate.predict(model, batches.disturb(batch, scale=0.5, seed=1))
    _same(
        candidate.predict(model, batch),
        expected,
        "the output in eval mode changes after an earlier call. Nothing of a call may stay behind for the next one, be "
        "it a counter, a hidden state, a generator or a result kept for another input: compute it anew, or key it by "
        "all that it depends on.",
    )


def needs_repeatable_output(candidate: Candidate) -> None:
    """Skip a check that compares outputs for several inputs, where those for one input differ already."""
    try:
        eval_output_is_repeatable(candidate)
    except NotBuilt:
        raise
    except AssertionError as error:
        raise SkipCheck(f"one input gives several outputs, see {eval_output_is_repeatable.__name__}.") from error


def _fresh(candidate: Candidate, state: dict[str, Tensor]) -> nn.Module:
    """A model that was never called, with given weights."""
    model = candidate.build()
    model.load_state_dict(state)
    return model


def _same(actual: Tensor, expected: Tensor, message: str) -> None:
    # Values that are not finite are the matter of another check.
    assert_close(actual.nan_to_num(), expected.nan_to_num(), message=message)
