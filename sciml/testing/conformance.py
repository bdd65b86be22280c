"""Run the checks of a model, in pytest or without it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from unittest import SkipTest

from sciml.errors import ConfigError, unknown_name
from sciml.registry import registry
from sciml.testing.candidate import ModelLike, model_name
from sciml.testing.check import Check
from sciml.testing.checks import CHECKS

__all__ = ["CheckResult", "ExpectedFailures", "parametrize_with_checks", "run_checks"]

ExpectedFailures = Mapping[str, Mapping[str, str]]
Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Args:
        check: Name of the check.
        status: ``expected`` stands for a failure that was expected; one that did not come about is ``failed``.
        message: What to do, or why it was skipped or expected; empty when it passed.
    """

    check: str
    status: Literal["passed", "failed", "expected", "skipped"]
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return self.status != "failed"


def run_checks(model: ModelLike, expected_failures: ExpectedFailures | None = None) -> list[CheckResult]:
    """Run all checks on one model, without pytest.

    Args:
        model: Registered name, class or :class:`~sciml.registry.ModelSpec`.
        expected_failures: ``{model name: {check name: reason}}``; a check that passes after all counts as failed.

    Returns:
        One result per check.

    Raises:
        UnknownNameError: If a name in ``expected_failures`` or the model's own does not exist.
        ConfigError: If a reason is missing.

    Example:
        >>> [result.check for result in run_checks("fno") if not result.ok]
        []
    """
    expected = _expected([model], expected_failures)
    return [_result(check, model, expected.get(model_name(model), {}).get(name)) for name, check in CHECKS.items()]


def _result(check: Check, model: ModelLike, reason: str | None) -> CheckResult:
    try:
        check(model)
    except SkipTest as error:
        return CheckResult(check.name, "skipped", str(error))
    except AssertionError as error:
        if reason is None:
            return CheckResult(check.name, "failed", str(error))
        return CheckResult(check.name, "expected", reason)
    if reason is None:
        return CheckResult(check.name, "passed")
    return CheckResult(check.name, "failed", f"passes, but is expected to fail ({reason}). Remove the expectation.")


def parametrize_with_checks(
    models: Sequence[ModelLike], expected_failures: ExpectedFailures | None = None
) -> Callable[[Test], Test]:
    """Decorator that makes one pytest test of each model and check, for a function with arguments ``model, check``.

    Args:
        models: Registered names, classes or :class:`~sciml.registry.ModelSpec` objects.
        expected_failures: ``{model name: {check name: reason}}``. Such a test is ``xfail``, and fails if the check
            passes after all.

    Raises:
        UnknownNameError: If a model or a name in ``expected_failures`` does not exist.
        ConfigError: If a reason is missing.
        ImportError: If pytest is not installed.

    Example:
        >>> @parametrize_with_checks(["fno"])
        ... def test_model_keeps_the_contract(model, check):
        ...     check(model)
    """
    try:
        import pytest
    except ImportError as error:
        raise ImportError("parametrize_with_checks needs pytest: pip install pytest, or call run_checks.") from error
    expected = _expected(models, expected_failures)

    def case(model: ModelLike, check: Check) -> Any:
        reason = expected.get(model_name(model), {}).get(check.name)
        marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)]
        return pytest.param(model, check, id=f"{model_name(model)}-{check.name}", marks=marks)

    return pytest.mark.parametrize(("model", "check"), [case(m, check) for m in models for check in CHECKS.values()])


def _expected(models: Sequence[ModelLike], expected: ExpectedFailures | None) -> ExpectedFailures:
    """The expected failures, after a look at all names and reasons."""
    for model in models:
        if isinstance(model, str):
            _ = registry("models")[model]
    names = [model_name(model) for model in models]
    for name, checks in (expected or {}).items():
        if name not in names:
            raise unknown_name("tested model", name, names, hint="expected_failures names models under test.")
        for check, reason in checks.items():
            if check not in CHECKS:
                raise unknown_name("check", check, CHECKS)
            if not isinstance(reason, str) or not reason.strip():
                raise ConfigError(
                    f"expected_failures[{name!r}][{check!r}] is {reason!r}, expected the reason in words."
                )
    return expected or {}
