"""Differential equations with samplers of their data and reference solvers, one file each.

Start with :class:`~sciml.problems.base.Problem`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.problems.antiderivative import Antiderivative
    from sciml.problems.base import Problem, ProblemData
    from sciml.problems.nonlinear_ode import NonlinearODE
    from sciml.problems.pendulum import Pendulum

_WHERE = {
    "Antiderivative": "antiderivative",
    "NonlinearODE": "nonlinear_ode",
    "Pendulum": "pendulum",
    "Problem": "base",
    "ProblemData": "base",
}

__all__ = ["Antiderivative", "NonlinearODE", "Pendulum", "Problem", "ProblemData"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml.problems' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"sciml.problems.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
