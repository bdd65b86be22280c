"""Differential equations with samplers of their data and reference solvers, one file each.

Start with :class:`~sciml.problems.base.Problem`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.problems.advection import Advection, VariableAdvection
    from sciml.problems.antiderivative import Antiderivative
    from sciml.problems.base import Problem, ProblemData
    from sciml.problems.burgers import Burgers
    from sciml.problems.burgers_pdebench import BurgersPDEBench
    from sciml.problems.darcy import Darcy, DarcyPDEBench
    from sciml.problems.darcy_triangle_notch import DarcyTriangleNotch
    from sciml.problems.diffusion_reaction import DiffusionReaction
    from sciml.problems.elasticity import Elasticity
    from sciml.problems.fitzhugh_nagumo import FitzHughNagumo
    from sciml.problems.navier_stokes import NavierStokes, NavierStokesForced
    from sciml.problems.nonlinear_ode import NonlinearODE
    from sciml.problems.pendulum import Pendulum
    from sciml.problems.poisson_irregular import PoissonIrregular
    from sciml.problems.reaction_diffusion import ReactionDiffusion
    from sciml.problems.shallow_water import ShallowWater

_WHERE = {
    "Advection": "advection",
    "Antiderivative": "antiderivative",
    "Burgers": "burgers",
    "BurgersPDEBench": "burgers_pdebench",
    "Darcy": "darcy",
    "DarcyPDEBench": "darcy",
    "DarcyTriangleNotch": "darcy_triangle_notch",
    "DiffusionReaction": "diffusion_reaction",
    "Elasticity": "elasticity",
    "FitzHughNagumo": "fitzhugh_nagumo",
    "NavierStokes": "navier_stokes",
    "NavierStokesForced": "navier_stokes",
    "NonlinearODE": "nonlinear_ode",
    "Pendulum": "pendulum",
    "PoissonIrregular": "poisson_irregular",
    "Problem": "base",
    "ProblemData": "base",
    "ReactionDiffusion": "reaction_diffusion",
    "ShallowWater": "shallow_water",
    "VariableAdvection": "advection",
}

__all__ = [
    "Advection",
    "Antiderivative",
    "Burgers",
    "BurgersPDEBench",
    "Darcy",
    "DarcyPDEBench",
    "DarcyTriangleNotch",
    "DiffusionReaction",
    "Elasticity",
    "FitzHughNagumo",
    "NavierStokes",
    "NavierStokesForced",
    "NonlinearODE",
    "Pendulum",
    "PoissonIrregular",
    "Problem",
    "ProblemData",
    "ReactionDiffusion",
    "ShallowWater",
    "VariableAdvection",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml.problems' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"sciml.problems.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
