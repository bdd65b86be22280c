"""Every model of the core keeps the contract that plugins are held to."""

from sciml.operators.adapters import expected_failures
from sciml.registry import registry
from sciml.testing import parametrize_with_checks

CORE = [name for name, entry in registry("models").items() if entry.dist == "sciml"]
FAILURES = {name: checks for name, checks in expected_failures().items() if name in CORE}


@parametrize_with_checks(CORE, FAILURES)
def test_model_keeps_the_contract(model, check):
    check(model)
