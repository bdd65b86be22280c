"""A check: a function of a model that says what to do when the model does not meet a requirement."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import SkipTest

from sciml.errors import ConfigError, PluginError
from sciml.testing._import_probe import settings
from sciml.testing.candidate import Candidate, ModelLike, NotBuilt
from sciml.train.randomness import restore_rng, rng_state

__all__ = ["PREREQUISITE", "Check", "SkipCheck"]

# The check that reports an unusable example; all others need one.
PREREQUISITE = "builds_from_example"


class SkipCheck(SkipTest):
    """The check says nothing about this model; pytest shows it as skipped."""


@dataclass(frozen=True)
class Check:
    """One requirement on models.

    Args:
        function: Raises AssertionError for a model that does not meet it; its docstring begins with the requirement.
    """

    function: Callable[[Candidate], None]

    @property
    def name(self) -> str:
        """Name of the check."""
        return self.function.__name__

    @property
    def requirement(self) -> str:
        """What must hold, in one line."""
        return (self.function.__doc__ or "").splitlines()[0]

    def __call__(self, model: ModelLike) -> None:
        """Check a model, given by its registered name, its class or a ModelSpec.

        Raises:
            AssertionError: If it does not meet the requirement; the message says what to do.
            unittest.SkipTest: If the requirement does not concern this model.
        """
        if not __debug__:
            raise ConfigError("the checks are assertions, which python -O leaves out. Run without -O.")
        with _same_global_state_afterwards():
            try:
                self.function(Candidate.of(model))
            except (NotBuilt, PluginError) as error:
                if self.name == PREREQUISITE:
                    raise AssertionError(str(error)) from error
                raise SkipCheck(f"the model is not built, see {PREREQUISITE}: {error}") from error
            except (AssertionError, SkipTest):
                raise
            except Exception as error:
                cause = f"{type(error).__name__}: {error}".rstrip(".")
                raise AssertionError(f"{cause}. Required: {self.requirement}") from error

    def __repr__(self) -> str:
        return f"Check({self.name})"


@contextmanager
def _same_global_state_afterwards() -> Iterator[None]:
    """A bad model must not change what the next check, or the caller, finds."""
    state, table = rng_state(), settings()
    before = {name: get() for name, (get, _) in table.items()}
    try:
        yield
    finally:
        restore_rng(state)
        for name, (get, restore) in table.items():
            if get() != before[name]:
                restore(before[name])
