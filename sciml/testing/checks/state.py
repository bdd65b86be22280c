"""Checks of what a model consists of: it can be saved, loaded, copied, and drawn again from its seed."""

import copy
import io
import pickle

import torch
from torch import Tensor, nn

from sciml.testing.candidate import Candidate, differing_state
from sciml.testing.checks.repeatable import needs_repeatable_output

__all__ = [
    "deepcopy_is_independent",
    "deterministic_under_seed",
    "pickle_round_trip",
    "safetensors_round_trip",
    "state_dict_round_trip",
]


def state_dict_round_trip(candidate: Candidate) -> None:
    """A new instance with the state of another one gives the same output, bit for bit."""
    model = candidate.shaken(seed=0)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = candidate.build(seed=1)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    _same_output(
        candidate,
        model,
        other,
        "a new instance with the same state_dict gives another output. Something outside of it matters: register "
        "random or fitted tensors with register_buffer.",
    )


def safetensors_round_trip(candidate: Candidate) -> None:
    """The state can be written as safetensors, as a run folder does it, and loads back bit for bit."""
    from safetensors.torch import load, save

    model, other = candidate.shaken(seed=0), candidate.build(seed=1)
    state = model.state_dict()
    odd = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
    assert not odd, (
        f"the state holds {', '.join(odd)}, no tensors. Keep extra state in buffers or constructor arguments."
    )
    # Tied weights share memory, which the format refuses; each name gets its own copy, as in a run folder.
    tensors = {name: value.detach().contiguous().clone() for name, value in state.items()}
    try:
        data = save(tensors)
    except Exception as error:
        kinds = sorted({str(value.dtype) for value in tensors.values()})
        raise AssertionError(
            f"safetensors cannot store the state ({error!r}), which holds {', '.join(kinds)}. Store complex weights as "
            "real pairs: torch.view_as_complex(self.weight)."
        ) from error
    other.load_state_dict(load(data), strict=True)
    differing = differing_state(model, other)
    assert not differing, f"{', '.join(differing[:3])} differ after a round trip through safetensors."


def deterministic_under_seed(candidate: Candidate) -> None:
    """The same seed gives the same parameters, the same output, and in training the same random draws."""
    model, again = candidate.build(seed=3), candidate.build(seed=3)
    differing = differing_state(model, again)
    advice = "Draw from torch's global generator, or from a torch.Generator with a seed that is an argument."
    assert not differing, f"two models of one seed have different {', '.join(differing[:3])}. {advice}"
    _same_output(candidate, model, again, f"two models of one seed give different outputs. {advice}")
    batch = candidate.batch()
    with torch.no_grad():
        outputs = [candidate.run(each.train(), batch, seed=4) for each in (model, again)]
    assert _identical(*outputs), f"in training, two runs of one seed give different outputs. {advice}"


def pickle_round_trip(candidate: Candidate) -> None:
    """The model can be pickled, as loaders and launchers of several processes do."""
    model = candidate.shaken()
    try:
        other = pickle.loads(pickle.dumps(model))
    except Exception as error:
        raise AssertionError(
            f"pickle raised {type(error).__name__}: {error}. Do not keep lambdas, local functions, open files or "
            "generators as attributes; define functions and classes at the top of the module."
        ) from error
    _same_output(candidate, model, other, "the output changes after pickling. Check __getstate__ and __reduce__.")


def deepcopy_is_independent(candidate: Candidate) -> None:
    """A deep copy gives the same output and shares no memory with the model."""
    model = candidate.shaken()
    try:
        other = copy.deepcopy(model)
    except Exception as error:
        raise AssertionError(
            f"copy.deepcopy raised {type(error).__name__}: {error}. Register tensors as parameters or buffers, and do "
            "not keep results of a computation with gradients as attributes."
        ) from error
    _same_output(candidate, model, other, "a deep copy gives another output. Check __deepcopy__.")
    shared = _storages(model) & _storages(other)
    assert not shared, "a deep copy shares parameters with the model. Check __deepcopy__ and tensors outside the state."


def _storages(model: nn.Module) -> set[int]:
    return {value.data_ptr() for value in [*model.parameters(), *model.buffers()] if value.numel()}


def _same_output(candidate: Candidate, model: nn.Module, other: nn.Module, message: str) -> None:
    if not _identical(candidate.predict(model), candidate.predict(other)):
        needs_repeatable_output(candidate)
        raise AssertionError(message)


def _identical(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())
