"""Arguments are recorded as the constructor was reached, whatever filled them in."""

import functools
import sys
from typing import Any

import pytest
from torch import nn

from sciml.registry import model_spec, registry
from sciml.testing.batches import data_spec
from sciml.train.build import build_model, origin_of
from sciml.train.record import recorded


class Base(nn.Module):
    def __init__(self, width: int, *, depth: int = 2, **more: Any) -> None:
        super().__init__()
        self.inner = None if depth == 0 else Base(width, depth=depth - 1)


class Derived(Base):
    pass


def test_the_outermost_call_counts_also_of_an_inherited_constructor() -> None:
    model, found = recorded(Derived, lambda: Derived(3, extra=[1]))
    assert isinstance(model, Derived)
    assert found == {"width": 3, "depth": 2, "extra": [1]}


def test_partial_and_wrapped_functions_are_seen_through() -> None:
    def build(width: int, depth: int = 1) -> int:
        cells = lambda: width  # noqa: E731
        return cells() + depth

    wrapped = functools.wraps(build)(lambda *args, **kwargs: build(*args, **kwargs))
    assert recorded(functools.partial(wrapped, 3), lambda: wrapped(3)) == (4, {"width": 3, "depth": 1})


def test_what_is_not_reached_or_not_python_records_nothing() -> None:
    assert recorded(Base, lambda: 5) == (5, {})
    assert recorded(dict, dict) == ({}, {})


def test_an_error_passes_and_nothing_goes_on_watching() -> None:
    with pytest.raises(ZeroDivisionError):
        recorded(Base, lambda: 1 / 0)
    assert sys.getprofile() is None


def test_a_profiler_that_runs_is_left_alone() -> None:
    seen: list[str] = []
    profiler = lambda frame, event, argument: seen.append(event)  # noqa: E731
    sys.setprofile(profiler)
    try:
        _, found = recorded(Base, lambda: Base(1))
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert found == {}
    assert seen


@pytest.mark.parametrize("name", [name for name, entry in registry("models").items() if entry.dist == "sciml"])
def test_every_model_of_the_core_knows_all_its_arguments(name: str) -> None:
    """Those of the constructor that it can be built again with, to equal shapes."""
    arguments, batch = model_spec(name).example()  # type: ignore[misc]
    try:
        model = build_model(name, data_spec(batch), **arguments)
    except ImportError as error:
        pytest.skip(str(error))
    complete = origin_of(model).complete  # type: ignore[union-attr]
    assert set(arguments) <= set(complete)
    again = build_model(name, **complete)
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in (model, again)]
    assert shapes[0] == shapes[1]
