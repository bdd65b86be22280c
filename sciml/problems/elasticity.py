"""A plate with a random hole under tension: linear elasticity in plane stress, by scikit-fem."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sciml.errors import ConfigError
from sciml.problems._fem import solve_positive
from sciml.problems._meshing import mesh_polygon, star_loop, straight_loop
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import Function, Mesh
from sciml.spaces.random import Stars, StarShape
from sciml.spaces.random.base import generators

__all__ = ["Elasticity", "plane_stress", "von_mises"]

Array = np.ndarray[Any, Any]
_CENTRE = (0.5, 0.5)
_SQUARE = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
_EDGE = 1e-9


def _skfem() -> Any:
    try:
        import skfem
    except ImportError as error:
        raise ImportError("the elasticity problem needs scikit-fem: pip install 'sciml[fem]'.") from error
    return skfem


def plane_stress(
    mesh: Mesh,
    *,
    young: float,
    poisson: float,
    fixed: Callable[[Array], Array],
    displacement: Callable[[Array], Array] | None = None,
    loaded: Callable[[Array], Array] | None = None,
    traction: tuple[float, float] = (0.0, 0.0),
) -> tuple[Array, Array]:
    """Displacement and stress of an elastic plate, by quadratic finite elements.

    Args:
        mesh: Triangles.
        young: Young's modulus E, in units of stress.
        poisson: Poisson's ratio nu.
        fixed: Which midpoints of boundary edges ``(2, n)`` belong to edges where the displacement is given.
        displacement: The displacement there, ``(2, n)`` at points ``(2, n)``; zero when None.
        loaded: Likewise, edges under traction.
        traction: Force on them per length, in units of stress.

    Returns:
        Displacement ``(n, 2)`` and stress ``(n, 3)``, xx, yy and xy, at the vertices. Stress is the mean over the
        triangles around a vertex, weighted by their areas.
    """
    fem = _skfem()
    from skfem.models.elasticity import linear_elasticity

    shear = young / (2 * (1 + poisson))
    # In plane stress the plate becomes thinner as it widens: not Lame's constant of the solid.
    spread = young * poisson / (1 - poisson**2)
    grid = fem.MeshTri(mesh.vertices.numpy().T.copy(), mesh.cells.numpy().T.copy())
    element = fem.ElementVector(fem.ElementTriP2())
    basis = fem.Basis(grid, element)
    matrix = fem.asm(linear_elasticity(spread, shear), basis)
    right = basis.zeros()
    if loaded is not None:
        side = fem.FacetBasis(grid, element, facets=grid.facets_satisfying(loaded, boundaries_only=True))
        right += fem.asm(fem.LinearForm(lambda v, w: traction[0] * v[0] + traction[1] * v[1]), side)
    dofs = basis.get_dofs(grid.facets_satisfying(fixed, boundaries_only=True))
    known = basis.zeros()
    if displacement is not None:
        for k, part in enumerate(("1", "2")):
            own = dofs.all(f"u^{part}")
            known[own] = displacement(basis.doflocs[:, own])[k]
    solution = fem.solve(*fem.condense(matrix, right, x=known, D=dofs), solver=solve_positive)
    stress = _nodal_stress(fem, grid, element, solution, shear, spread)
    return solution[basis.nodal_dofs].T, stress


def _nodal_stress(fem: Any, grid: Any, element: Any, solution: Array, shear: float, spread: float) -> Array:
    corners = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    basis = fem.Basis(grid, element, quadrature=(corners, np.full(3, 1 / 6)))
    gradient = basis.interpolate(solution).grad  # (component, direction, triangle, corner)
    spreading = spread * (gradient[0, 0] + gradient[1, 1])
    parts = (
        2 * shear * gradient[0, 0] + spreading,
        2 * shear * gradient[1, 1] + spreading,
        shear * (gradient[0, 1] + gradient[1, 0]),
    )
    nodes, areas = grid.t.T.ravel(), basis.dx.ravel()
    total = np.bincount(nodes, areas, grid.p.shape[1])
    return np.stack([np.bincount(nodes, areas * part.ravel(), len(total)) / total for part in parts], -1)


def von_mises(stress: Array) -> Array:
    """Von Mises stress ``(...)`` of plane stress ``(..., 3)``: xx, yy and xy.

    Example:
        >>> von_mises(np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]])).tolist()
        [2.0, 1.0]
    """
    xx, yy, xy = np.moveaxis(stress, -1, 0)
    return np.sqrt(xx**2 - xx * yy + yy**2 + 3 * xy**2)


@dataclass(frozen=True)
class Elasticity(Problem):
    r"""Linear elasticity: a square plate with a random hole, clamped below and pulled above; its von Mises stress.

    The hole lies in the middle of :math:`[0, 1]^2`, with radius :math:`R (1 + \sum_m a_m \cos(m \theta) + b_m
    \sin(m \theta))`, m from 2 to 5, R uniformly distributed. Stress grows without bound at the two clamped corners,
    where the values depend on the mesh.

    Args:
        young: Young's modulus E, in units of stress.
        poisson: Poisson's ratio nu, without units.
        traction: Upward force on the upper side per length, in units of stress.
        radius_min: Smallest R, in sides of the plate.
        radius_max: Largest R, likewise.
        amplitude: Largest absolute value of the coefficients a and b, in units of R.
        sensors: Number of equispaced angles, from 0, at which the radius of the hole is given.

    The data hold the ``hole`` (sample, sensors) and, one array a sample, ``points`` (n, 2), ``cells`` (c, 3),
    quadrature ``weights`` (n,), ``displacement`` (n, 2) and ``stress`` (n,), at the vertices of the mesh.

    Needs scikit-fem: ``pip install 'sciml[fem]'``.

    Example:
        >>> data = Elasticity().generate(1, seed=0, resolution=12)
        >>> data["hole"].shape
        (1, 64)
    """

    young: float = 1.0
    poisson: float = 0.3
    traction: float = 1.0
    radius_min: float = 0.15
    radius_max: float = 0.25
    amplitude: float = 0.1
    sensors: int = 64

    name = "elasticity"
    equation = "div sigma = 0 in a square plate with a hole, plane stress, clamped below, traction above"
    scheme = "quadratic finite elements on a Delaunay mesh (scikit-fem), stress averaged at the vertices"
    default_resolution = 32
    layout = "groups"

    def __post_init__(self) -> None:
        if not (self.young > 0 and -1 < self.poisson <= 0.5 and self.sensors >= 3):
            raise ConfigError(
                f"young is {self.young}, poisson {self.poisson} and sensors {self.sensors}; expected a positive "
                "modulus, a ratio in (-1, 0.5], and at least 3 sensors."
            )
        largest = self.radius_max * (1 + self.amplitude * math.sqrt(2) * (self.shapes().max_mode - 1))
        if not 0 < self.radius_min <= self.radius_max or largest >= 0.5:
            raise ConfigError(
                f"radius_min is {self.radius_min} and radius_max {self.radius_max}, expected positive numbers in "
                f"ascending order; with this amplitude the hole reaches up to {largest:.3g}, it must stay below 0.5."
            )

    def shapes(self) -> StarShape:
        """Where the shapes of the holes come from, before they are scaled."""
        return StarShape(self.amplitude)

    def mesh(self, hole: Stars, radius: float, resolution: int | None = None) -> Mesh:
        """Mesh of the plate around one hole, with edges of length 1 / resolution.

        Args:
            hole: Shape of the hole, a batch of one.
            radius: R.
            resolution: Edges along a side of the plate.
        """
        spacing = 1 / self._resolution(resolution, least=8)
        return mesh_polygon([straight_loop(_SQUARE, spacing), star_loop(hole, spacing, radius, _CENTRE)], spacing)

    def solve(self, mesh: Mesh) -> tuple[Function, Function]:
        """Displacement, with 2 channels, and von Mises stress at the vertices of a mesh of the plate, float64."""
        displacement, stress = plane_stress(
            mesh,
            young=self.young,
            poisson=self.poisson,
            fixed=lambda x: x[1] < _EDGE,
            loaded=lambda x: x[1] > 1 - _EDGE,
            traction=(0.0, self.traction),
        )
        mises = torch.from_numpy(von_mises(stress))
        return Function(torch.from_numpy(displacement).T, mesh, "displacement"), Function(mises[None], mesh, "stress")

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        shapes = self.shapes().sample(num, seed, start)
        rngs = generators(num, seed, start, stream=1)
        radii = np.array([rng.uniform(self.radius_min, self.radius_max) for rng in rngs])
        meshes = [self.mesh(shapes[i : i + 1], radius, resolution) for i, radius in enumerate(radii)]
        solutions = [self.solve(mesh) for mesh in meshes]
        angles = torch.arange(self.sensors, dtype=torch.float64) * (2 * math.pi / self.sensors)
        arrays = {
            "hole": radii[:, None] * shapes.radius(angles).numpy(),
            "points": [mesh.points.numpy() for mesh in meshes],
            "cells": [mesh.cells.numpy() for mesh in meshes],
            "weights": [mesh.weights.numpy() for mesh in meshes],
            "displacement": [u.values.T.numpy() for u, _ in solutions],
            "stress": [stress.values[0].numpy() for _, stress in solutions],
        }
        axes: dict[str, tuple[str, ...]] = {"hole": ("sample", "sensor"), "cells": ("sample", "cell", "corner")}
        axes |= dict.fromkeys(("points", "displacement"), ("sample", "point", "dim"))
        axes |= dict.fromkeys(("weights", "stress"), ("sample", "point"))
        roles = {"hole": "input", "points": "coords", "stress": "target"}
        return ProblemData(
            arrays,
            axes,
            {"sensor": angles.numpy()},
            {name: roles.get(name, "other") for name in arrays},
            attrs=self.attributes(),
        )
