"""Every model of the core keeps the contract that plugins are held to."""

from sciml.registry import registry
from sciml.testing import parametrize_with_checks

CORE = [name for name, entry in registry("models").items() if entry.dist == "sciml"]


@parametrize_with_checks(CORE)
def test_model_keeps_the_contract(model, check):
    check(model)
