"""Running the checks: as pytest tests with readable names, or as a list of results; expected failures are strict."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sciml.errors import ConfigError, UnknownNameError
from sciml.registry import ModelSpec, registry
from sciml.testing import parametrize_with_checks, run_checks
from sciml.testing.checks import CHECKS

pytest_plugins = ["pytester"]


class Scale(nn.Module):
    """Multiplies by a number.

    Args:
        start: The number before training.
    """

    def __init__(self, start: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(start))

    def forward(self, x):
        return self.factor * x

    @staticmethod
    def example():
        x = torch.arange(6.0).reshape(3, 2)
        return {"start": 3.0}, {"x": x, "y": x}


class Noisy(Scale):
    def forward(self, x):
        print("called")
        return super().forward(x)


def statuses(*args, **kwargs) -> dict[str, str]:
    return {result.check: result.status for result in run_checks(*args, **kwargs)}


@pytest.fixture(autouse=True)
def _no_import_check(request, monkeypatch):
    """Importing a module in a new process takes a second; another file tests it."""
    monkeypatch.delitem(CHECKS, "import_side_effects")


def test_results_are_one_for_each_check():
    found = statuses(Noisy)
    assert list(found) == list(CHECKS)
    assert {name for name, status in found.items() if status == "failed"} == {"forward_is_quiet"}
    assert {name for name, status in found.items() if status == "skipped"} == {"from_spec", "declared_invariances"}
    (failed,) = (result for result in run_checks(Noisy) if not result.ok)
    assert "Use logging" in failed.message


def test_registered_names_classes_and_specs_are_models():
    registry("models").register("scale-of-test")(Scale)
    assert statuses("scale-of-test") == statuses(Scale) == statuses(ModelSpec(Scale))


def test_an_expected_failure_is_reported_with_its_reason():
    (result,) = (r for r in run_checks(Noisy, {"Noisy": {"forward_is_quiet": "it talks"}}) if r.status == "expected")
    assert (result.check, result.message, result.ok) == ("forward_is_quiet", "it talks", True)


def test_an_expected_failure_that_passes_is_a_failure():
    (result,) = (r for r in run_checks(Scale, {"Scale": {"forward_is_quiet": "it talks"}}) if r.status == "failed")
    assert result.message == "passes, but is expected to fail (it talks). Remove the expectation."


@pytest.mark.parametrize("run", [run_checks, lambda model, expected: parametrize_with_checks([model], expected)])
@pytest.mark.parametrize(
    ("expected", "error", "message"),
    [
        ({"Scale": {"forward_is_quiet": ""}}, ConfigError, "expected the reason in words"),
        ({"Scale": {"forward_is_quiet": None}}, ConfigError, "expected the reason in words"),
        ({"Scale": {"forward_is_quite": "typo"}}, UnknownNameError, "Did you mean 'forward_is_quiet'"),
        ({"Scal": {"forward_is_quiet": "typo"}}, UnknownNameError, "Did you mean 'Scale'"),
    ],
)
def test_expected_failures_need_reasons_and_names_that_exist(run, expected, error, message):
    with pytest.raises(error, match=message):
        run(Scale, expected)


def test_a_model_that_does_not_exist_is_refused_at_once():
    with pytest.raises(UnknownNameError, match="Did you mean 'fno'"):
        parametrize_with_checks(["fnoo"])
    with pytest.raises(UnknownNameError, match="Did you mean 'fno'"):
        run_checks("fnoo")


def test_a_model_that_cannot_be_loaded_fails_once(monkeypatch):
    broken = registry("models")
    monkeypatch.setattr(type(broken), "load", _raise)
    found = statuses("fno")
    assert found.pop("builds_from_example") == "failed"
    assert set(found.values()) == {"skipped"}


def _raise(self, name):
    from sciml.errors import PluginError

    raise PluginError(f"model {name} cannot be loaded")


@pytest.fixture
def suite(pytester: pytest.Pytester):
    """Run a test file that decorates one test with the given expected failures."""

    def run(expected: str) -> pytest.RunResult:
        source = Path(__file__).read_text(encoding="utf-8")
        models = source[source.index("class Scale") : source.index("def statuses")]
        pytester.makepyfile(
            "import torch\nfrom torch import nn\nfrom sciml.testing import parametrize_with_checks\n\n"
            f"{models}\n@parametrize_with_checks([Scale, Noisy], {expected})\n"
            "def test_contract(model, check):\n    check(model)\n"
        )
        return pytester.runpytest_inprocess("-v", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")

    return run


def test_pytest_shows_one_test_for_each_model_and_check(suite):
    result = suite("None")
    result.stdout.fnmatch_lines(["*::test_contract[[]Scale-output_shape[]] PASSED*"])
    result.stdout.fnmatch_lines(["*::test_contract[[]Noisy-forward_is_quiet[]] FAILED*"])
    result.assert_outcomes(passed=2 * len(CHECKS) - 5, failed=1, skipped=4)


def test_pytest_shows_an_expected_failure_as_xfail(suite):
    result = suite("{'Noisy': {'forward_is_quiet': 'it talks'}}")
    result.assert_outcomes(passed=2 * len(CHECKS) - 5, xfailed=1, skipped=4)


def test_pytest_fails_when_an_expected_failure_passes(suite):
    result = suite("{'Scale': {'forward_is_quiet': 'it talks'}, 'Noisy': {'forward_is_quiet': 'it talks'}}")
    result.stdout.fnmatch_lines(["*XPASS(strict)*it talks*"])
    result.assert_outcomes(passed=2 * len(CHECKS) - 6, failed=1, xfailed=1, skipped=4)
