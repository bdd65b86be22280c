"""Tests that any model, built in or plugged in, takes over with one line.

:func:`parametrize_with_checks` makes pytest tests of the conformance checks, :func:`run_checks` runs them anywhere.
:func:`assert_close` compares with the tolerances of the project; ``sciml.testing.strategies`` (which needs hypothesis)
draws grids and functions.
"""

from sciml.testing.assertions import assert_close
from sciml.testing.checks import check_import_side_effects
from sciml.testing.conformance import CheckResult, parametrize_with_checks, run_checks

__all__ = ["CheckResult", "assert_close", "check_import_side_effects", "parametrize_with_checks", "run_checks"]
