"""Each check finds a model that is bad in exactly its way, and leaves a good model alone."""

import random
import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.registry import ModelSpec
from sciml.testing import run_checks
from sciml.testing.checks import CHECKS
from sciml.testing.checks.construction import documented_names


class Good(nn.Module):
    """A branch and a trunk with one hidden layer.

    Args:
        sensors: Values of the input function.
        dim: Dimension of the query points.
        hidden: Widths.
        dropout: Probability of dropping a hidden value.
    """

    invariances: tuple[str, ...] = ("query_order",)

    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(sensors, hidden[0]), nn.Tanh(), nn.Dropout(dropout))
        self.trunk = nn.Sequential(nn.Linear(dim, hidden[0]), nn.Tanh())
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, u, coords):
        return self.branch(u) @ self.trunk(coords).mT + self.shift

    @classmethod
    def from_spec(cls, spec, **kwargs):
        return cls(**{"sensors": spec["x"].shape[0], **kwargs})

    @staticmethod
    def example():
        generator = torch.Generator().manual_seed(0)
        x, y = torch.randn(5, 6, generator=generator), torch.randn(5, 7, generator=generator)
        return {"sensors": 6, "hidden": [8], "dropout": 0.2}, {
            "x": x,
            "coords": torch.linspace(0, 1, 7)[:, None],
            "y": y,
        }


class Undocumented(Good):
    def __init__(self, sensors: int, hidden: Sequence[int] = (8,), dropout: float = 0.1, rank: int = 1) -> None:
        super().__init__(sensors, 1, hidden, dropout)


class NoTarget(Good):
    @staticmethod
    def example():
        arguments, batch = Good.example()
        return arguments, {name: value for name, value in batch.items() if name != "y"}


class ChangingExample(Good):
    @staticmethod
    def example():
        arguments, batch = Good.example()
        return arguments, {**batch, "x": torch.randn(5, 6)}


class ImpossibleExample(Good):
    @staticmethod
    def example():
        arguments, batch = Good.example()
        return {**arguments, "width": 3}, batch


class ChangesArguments(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        hidden.append(1)


class NotBound(Good):
    def forward(self, field, coords):
        return super().forward(field, coords)


class WrongShape(Good):
    def forward(self, u, coords):
        return super().forward(u, coords)[:, None]


class NotFinite(Good):
    def forward(self, u, coords):
        return super().forward(u, coords) + torch.where(coords[:, 0] == 0, torch.inf, 0)


class WrongSpec(Good):
    @classmethod
    def from_spec(cls, spec, **kwargs):
        return cls(**{"sensors": spec["y"].shape[0], **kwargs})


class StubbornSpec(Good):
    @classmethod
    def from_spec(cls, spec, **kwargs):
        return cls(**{**kwargs, "sensors": spec["x"].shape[0], "hidden": (9,)})


class BatchStatistics(Good):
    def forward(self, u, coords):
        return super().forward(u - u.mean(0), coords)


class Squeezes(Good):
    def forward(self, u, coords):
        return super().forward(u, coords).squeeze()


class Ordered(Good):
    def forward(self, u, coords):
        return super().forward(u, coords).cumsum(-1)


class UnknownInvariance(Good):
    invariances = ("query_ordr",)


class EntropyInParameters(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.shift, generator=generator)


class EntropyInTraining(Good):
    def forward(self, u, coords):
        generator = torch.Generator()
        generator.seed()
        noise = 1e-6 * torch.randn(u.shape, generator=generator).to(u.device) if self.training else 0
        return super().forward(u + noise, coords)


class DropoutInEval(Good):
    def forward(self, u, coords):
        return super().forward(functional.dropout(u, 0.2), coords)


class NoiseOfItsOwn(Good):
    def forward(self, u, coords):
        generator = torch.Generator()
        generator.seed()
        return super().forward(u, coords) + 0.1 * torch.randn((), generator=generator)


class CountsCalls(Good):
    calls = 0

    def forward(self, u, coords):
        self.calls += 1
        return super().forward(u, coords) * self.calls


class KeepsFirstResult(Good):
    kept = None

    def forward(self, u, coords):
        if self.training:
            return super().forward(u, coords)
        self.kept = super().forward(u, coords) if self.kept is None else self.kept
        return self.kept[: len(u)]


class SeedsConstructor(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        torch.manual_seed(0)
        super().__init__(sensors, dim, hidden, dropout)


class SeedsFromEntropy(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        random.seed()


class SeedsForward(Good):
    def forward(self, u, coords):
        if self.training:
            np.random.seed(7)  # noqa: NPY002
        return super().forward(u, coords)


class RewindsGenerator(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        self.state = torch.get_rng_state()

    def forward(self, u, coords):
        torch.set_rng_state(self.state)
        return super().forward(u, coords)


class SetsThreads(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        torch.set_num_threads(torch.get_num_threads() + 1)
        super().__init__(sensors, dim, hidden, dropout)


class SetsDefaultDtype(Good):
    def forward(self, u, coords):
        torch.set_default_dtype(torch.float64)
        return super().forward(u, coords)


class SetsGradientMode(Good):
    def forward(self, u, coords):
        y = super().forward(u, coords)
        if not self.training:
            torch.set_grad_enabled(False)
        return y


class SetsDeterministic(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        torch.use_deterministic_algorithms(True, warn_only=True)
        super().__init__(sensors, dim, hidden, dropout)


class ChangesInput(Good):
    def forward(self, u, coords):
        u *= 2
        return super().forward(u, coords)


class ChangesParameters(Good):
    def forward(self, u, coords):
        if self.training:
            self.shift.data += 1
        return super().forward(u, coords)


class CountsInEval(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, u, coords):
        self.calls += 1
        return super().forward(u, coords)


class Prints(Good):
    def forward(self, u, coords):
        print("shape of u:", u.shape)
        return super().forward(u, coords)


class Unused(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        self.scale = nn.Parameter(torch.ones(3))


class Detached(Good):
    def forward(self, u, coords):
        return super().forward(u, coords).detach()


class InfiniteGradient(Good):
    def forward(self, u, coords):
        return super().forward(u, coords) + 0 * self.shift.abs().sqrt()


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class Uphill(Good):
    def forward(self, u, coords):
        return Reverse.apply(super().forward(u, coords))


class PerfectExample(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, 0)
        nn.init.zeros_(self.branch[0].weight)
        nn.init.zeros_(self.branch[0].bias)

    @staticmethod
    def example():
        arguments, batch = Good.example()
        return arguments, {**batch, "y": torch.zeros(5, 7)}


class SingleOutput(Good):
    def forward(self, u, coords):
        return super().forward(u, coords).float()


class SingleInside(Good):
    def forward(self, u, coords):
        return super().forward(u, coords).float().to(u.dtype)


class RoundsInput(Good):
    def forward(self, u, coords):
        return super().forward(u.float().to(u.dtype), coords)


class RoundsQueries(Good):
    def forward(self, u, coords):
        return super().forward(u, coords.float().to(coords.dtype))


class RoundsHidden(Good):
    def forward(self, u, coords):
        b, t = self.branch(u), self.trunk(coords)
        return b @ t.mT + 0.01 * (b.float() @ t.float().mT).to(b.dtype) + self.shift


class RoundsWeights(Good):
    def forward(self, u, coords):
        return super().forward(u, coords) + self.shift.float().to(u.dtype) * u.sum(-1, keepdim=True)


class OtherInDouble(Good):
    def forward(self, u, coords):
        return super().forward(u, coords) * (1 if u.dtype == torch.float32 else 1.001)


class OnCpu(Good):
    def forward(self, u, coords):
        return super().forward(u, coords) + torch.zeros(len(coords))


class OutsideOfState(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        self.offset = torch.rand(())

    def forward(self, u, coords):
        return super().forward(u, coords) + self.offset


class ExtraState(Good):
    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


class Unpicklable(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        self.activation = lambda x: x


class CopiesToItself(Good):
    def __deepcopy__(self, memo):
        return self


class KeepsGraph(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)
        self.kept = 2 * self.shift


class WrongHint(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: int = 8, dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, hidden, dropout)


class NotPlain(Good):
    @staticmethod
    def example():
        arguments, batch = Good.example()
        return {**arguments, "dropout": torch.tensor(0.2)}, batch


class NeedsTuple(Good):
    def __init__(self, sensors: int, dim: int = 1, hidden: Sequence[int] = (8,), dropout: float = 0.1) -> None:
        super().__init__(sensors, dim, (8,) if isinstance(hidden, tuple) else (9,), dropout)

    @staticmethod
    def example():
        arguments, batch = Good.example()
        return {**arguments, "hidden": (8,)}, batch


# Model, the check that it fails, its advice, and further checks that cannot hold for such a model.
BAD: list[tuple[type[nn.Module], str, str, set[str]]] = [
    (Undocumented, "documented_arguments", "does not describe rank. Add a line 'rank: What it is.'", set()),
    (NoTarget, "builds_from_example", "the example batch holds x, coords", set()),
    (ChangingExample, "builds_from_example", "two calls of example.. give different x", set(CHECKS)),
    (ImpossibleExample, "builds_from_example", "unexpected keyword argument 'width'", set()),
    (ChangesArguments, "builds_from_example", "the constructor changes its arguments", set()),
    (NotBound, "builds_from_example", "nothing for field. Name the keys with model.inputs", set(CHECKS)),
    (WrongShape, "output_shape", r"the output has shape \(5, 1, 7\), the target y of the example \(5, 7\)", set()),
    (NotFinite, "output_shape", "NaN or infinite", {"training_step_lowers_loss", "double_precision"}),
    (WrongSpec, "from_spec", "from_spec", set()),
    (StubbornSpec, "from_spec", "What the user gives must win", set()),
    (BatchStatistics, "batch_independence", "Take statistics over points or channels", set()),
    (Squeezes, "batch_independence", "Do not squeeze the batch axis", set()),
    (Ordered, "declared_invariances", "query_order is declared", set()),
    (UnknownInvariance, "declared_invariances", "known: query_order", set()),
    (
        EntropyInParameters,
        "deterministic_under_seed",
        "different shift. Draw from torch's global generator",
        {"from_spec", "configuration_round_trip"},
    ),
    (DropoutInEval, "eval_output_is_repeatable", "only with training=self.training", set()),
    (NoiseOfItsOwn, "eval_output_is_repeatable", "random draws", {"deterministic_under_seed"}),
    (CountsCalls, "eval_output_is_repeatable", "after an earlier call.*a counter", set()),
    (KeepsFirstResult, "eval_output_is_repeatable", "after an earlier call.*kept for another input", set()),
    (SeedsConstructor, "global_state_is_kept", "the constructor sets torch's random state", set()),
    (SeedsFromEntropy, "global_state_is_kept", "the constructor sets Python's random state", set()),
    (SeedsForward, "global_state_is_kept", "forward in training mode sets numpy's random state", set()),
    (RewindsGenerator, "global_state_is_kept", "forward in training mode sets torch's random state", set()),
    (SetsThreads, "global_state_is_kept", "the constructor changes torch's number of threads", set()),
    (SetsDefaultDtype, "global_state_is_kept", "training mode changes torch's default dtype", set(CHECKS)),
    (SetsGradientMode, "global_state_is_kept", "eval mode changes torch's gradient mode", set()),
    (SetsDeterministic, "global_state_is_kept", "changes torch's deterministic algorithms", set()),
    (EntropyInTraining, "deterministic_under_seed", "in training, two runs of one seed", set()),
    (ChangesInput, "forward_keeps_inputs", "forward changes x in place", set()),
    (ChangesParameters, "forward_keeps_parameters", "forward changes shift in training mode", set()),
    (CountsInEval, "forward_keeps_parameters", "forward changes calls in eval mode", set()),
    (Prints, "forward_is_quiet", "the model prints 'shape of u:", set()),
    (Unused, "gradient_reaches_parameters", "no gradient reaches scale", set()),
    (Detached, "gradient_reaches_parameters", "Remove detach", {"training_step_lowers_loss"}),
    (InfiniteGradient, "gradient_reaches_parameters", "the gradients of shift are NaN", {"training_step_lowers_loss"}),
    (Uphill, "training_step_lowers_loss", "no step along the negative gradient lowers the loss", set()),
    (PerfectExample, "training_step_lowers_loss", "Take another target", set()),
    (SingleOutput, "double_precision", "float64 inputs give a torch.float32 output", set()),
    (SingleInside, "double_precision", "the output is float64, but computed in float32", set()),
    (RoundsInput, "double_precision", "some of it is computed in float32", set()),
    (RoundsQueries, "double_precision", "some of it is computed in float32", set()),
    (RoundsHidden, "double_precision", "some of it is computed in float32", set()),
    (RoundsWeights, "double_precision", "some of it is computed in float32", set()),
    (OtherInDouble, "double_precision", "float64 and float32 differ by 0.001", set()),
    (OnCpu, "follows_device", "Create tensors in forward on the device of an input", set()),
    (OutsideOfState, "state_dict_round_trip", "register_buffer", set()),
    (ExtraState, "safetensors_round_trip", "the state holds _extra_state, no tensors", set()),
    (Unpicklable, "pickle_round_trip", "Do not keep lambdas", set()),
    (CopiesToItself, "deepcopy_is_independent", "a deep copy shares parameters", set()),
    (KeepsGraph, "deepcopy_is_independent", "copy.deepcopy raised", set()),
    (WrongHint, "configuration_round_trip", r"model.hidden is \[8\], expected an integer", set()),
    (NotPlain, "configuration_round_trip", "are not plain data", set()),
    (NeedsTuple, "configuration_round_trip", "must treat a list from YAML as it treats a tuple", set()),
]


@pytest.fixture(autouse=True)
def _no_import_check(monkeypatch):
    """Importing a module in a new process takes a second; tests/testing/test_side_effects.py does it."""
    monkeypatch.delitem(CHECKS, "import_side_effects")


def failures(model) -> dict[str, str]:
    return {result.check: result.message for result in run_checks(model) if result.status == "failed"}


def test_a_good_model_passes_every_check():
    assert failures(Good) == {}


@pytest.mark.parametrize(("model", "check", "advice", "others"), BAD, ids=[row[0].__name__ for row in BAD])
def test_a_bad_model_fails_its_check_with_advice_and_no_other(model, check, advice, others):
    found = failures(model)
    assert re.search(advice, found.pop(check))
    assert set(found) <= others


def test_every_check_has_a_bad_model():
    assert {check for _, check, _, _ in BAD} == set(CHECKS)


def test_every_check_says_what_it_requires():
    for check in CHECKS.values():
        assert check.requirement.endswith(".")
        assert len(check.requirement) > 40


def linear_example():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    return {"in_features": 3, "out_features": 2}, {"x": x, "y": x[:, :2]}


def test_an_unmodified_class_of_torch_passes_but_for_its_docstring():
    found = failures(ModelSpec(nn.Linear, inputs={"input": "x"}, example=linear_example))
    assert set(found) == {"documented_arguments"}
    assert "does not describe device, dtype" in found["documented_arguments"]


def test_a_function_that_builds_is_a_model_too():
    def linear(in_features: int, out_features: int) -> nn.Module:
        """A linear map.

        Args:
            in_features: Input features.
            out_features: Output features.
        """
        return nn.Linear(in_features, out_features)

    assert failures(ModelSpec(linear, inputs={"input": "x"}, example=linear_example)) == {}


class Classifier(nn.Linear):
    """Class scores, zero at the start.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(3, classes)
        nn.init.zeros_(self.weight)

    def forward(self, x):
        return super().forward(x)

    @staticmethod
    def example():
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
        return {"classes": 5}, {"x": x, "y": torch.tensor([0, 4, 2, 2])}


def test_a_target_of_class_numbers_goes_with_class_scores():
    assert failures(Classifier) == {}


class ZeroHead(Good):
    """A last layer that starts at zero, behind which no gradient arrives before the first step.

    Args:
        sensors: Values of the input function.
    """

    def __init__(self, sensors: int) -> None:
        super().__init__(sensors)
        nn.init.zeros_(self.trunk[0].weight)
        nn.init.zeros_(self.trunk[0].bias)

    @staticmethod
    def example():
        return {"sensors": 6}, Good.example()[1]


def test_a_layer_that_starts_at_zero_is_no_missing_gradient():
    assert failures(ZeroHead) == {}


class Normalized(nn.Module):
    """Batch normalisation, and tied weights.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.first, self.last = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.last.weight = self.first.weight

    def forward(self, x):
        return self.last(self.norm(self.first(x)).tanh())

    @staticmethod
    def example():
        x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
        return {"channels": 3}, {"x": x, "y": 2 * x + 1}


class Unusual(nn.Module):
    """What may look suspicious and is not.

    A cache of each resolution, statistics of the first training batch, lower precision where it cannot matter, rare
    jumps, kinks, high frequencies, a generator of its own, and random numbers drawn in a fork.

    Args:
        channels: Number of channels.
        seed: Of the fixed random features.
    """

    cached_by_process: tuple[Tensor, ...] = ()

    def __init__(self, channels: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("features", torch.randn(channels, 16, generator=generator))
        self.register_buffer("scale", torch.zeros(()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.linear = nn.Linear(32, channels)
        self.grids: dict[tuple, Tensor] = {}
        if not Unusual.cached_by_process:
            Unusual.cached_by_process = (torch.randn(3),)

    def forward(self, x):
        if self.training and not self.scale:
            self.scale.copy_(x.std() + torch.rand(()).abs())
        key = (x.shape[-1], x.dtype, x.device)
        if key not in self.grids:
            self.grids[key] = torch.arange(x.shape[-1]).to(x) / x.shape[-1]
        nearest = (x.detach().float()[:, :, None] - x.detach().float()[:, None]).abs().argmax(-1)
        phase = 200 * ((x + self.grids[key] + 0.1 * x.gather(1, nearest)) @ self.features.to(x.dtype))
        phase = phase + torch.tensor([0.5, 2.0]).to(x).mean() * (x.sum(-1, keepdim=True) > 0)
        return self.linear(torch.cat([phase.sin(), phase.abs() / 200], -1))

    @staticmethod
    def example():
        x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
        return {"channels": 3}, {"x": x, "y": 2 * x + 1}


def test_caches_thresholds_and_high_frequencies_are_no_faults():
    assert failures(Unusual) == {}


def test_settings_that_a_model_changes_are_as_before_afterwards():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype()
    for model in (SetsThreads, SetsDeterministic, SetsDefaultDtype):
        CHECKS["output_shape"](ModelSpec(model, example=Good.example))
    assert before == (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_default_dtype(),
    )


def test_batch_normalisation_and_tied_weights_are_allowed():
    assert failures(Normalized) == {}


class Frozen(nn.Flatten):
    """No parameters."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x):
        return super().forward(x)

    @staticmethod
    def example():
        return {}, {"x": torch.ones(3, 2, 2), "y": torch.zeros(3, 4)}


def test_checks_of_training_are_skipped_without_trainable_parameters():
    skipped = {result.check for result in run_checks(Frozen) if result.status == "skipped"}
    assert {"gradient_reaches_parameters", "training_step_lowers_loss", "from_spec", "declared_invariances"} <= skipped


def test_the_random_numbers_of_the_caller_are_not_touched():
    def draw() -> list[float]:
        return [torch.rand(()).item(), random.random(), float(np.random.rand())]  # noqa: NPY002

    def seed() -> None:
        torch.manual_seed(5)
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002

    seed()
    expected = draw()
    seed()
    failures(Good)
    assert draw() == expected


@pytest.mark.parametrize(
    ("docstring", "names"),
    [
        ("No arguments.", set()),
        (
            "Title.\n\nArgs:\n    a: One.\n        detail: of a.\n    b (int): Two.\n\nReturns:\n    c: Three.",
            {"a", "b"},
        ),
        ("Title.\n\nArguments:\n    *widths: All.\n    x, y:\n        Both.\n", {"widths", "x", "y"}),
        ("Title.\n\n    Args:\n        a: One.\n    Shapes:\n        b: Two.\n", {"a"}),
    ],
)
def test_names_are_read_from_google_docstrings(docstring, names):
    assert documented_names(docstring) == names
