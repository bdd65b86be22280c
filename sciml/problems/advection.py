"""Advection at constant speed on a periodic interval, and at variable speed between boundaries."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid
from sciml.spaces.random import GaussianProcess, PDEBenchInitial, RandomFunctions, Sampler, cubic_splines

__all__ = ["Advection", "VariableAdvection"]


@dataclass(frozen=True)
class Advection(Problem):
    """Advection: u_t + beta u_x = 0 on [0, 1), periodic; the solution is the shifted initial state.

    Args:
        beta: Speed, in periods per unit of time; PDEBench has 0.1, 0.2, 0.4, 0.7, 1, 2, 4 and 7.
        duration: Final time T, in the same unit of time.
        frames: Number of times, from 0 to T.
        inputs: Sampler of the initial states instead of PDEBench's; its functions must have period 1.

    Reference:
        Takamoto et al.: PDEBench (2022): 201 frames to T = 2 at the centres of 1024 cells. Solved exactly.

    Example:
        >>> data = Advection(frames=3).generate(2, seed=0, resolution=16)
        >>> data["u"].shape  # time comes first
        (2, 3, 16)
    """

    beta: float = 1.0
    duration: float = 2.0
    frames: int = 201
    inputs: Sampler | None = None

    name = "advection"
    equation = "u_t + beta u_x = 0 on [0, 1), periodic"
    scheme = "exact shift of the initial state"
    default_resolution = 1024

    def __post_init__(self) -> None:
        if not math.isfinite(self.beta) or not self.duration > 0 or self.frames < 2:
            raise ConfigError(
                f"beta is {self.beta}, duration {self.duration} and frames {self.frames}; expected a number, a "
                "positive number, and at least 2."
            )

    def sampler(self) -> Sampler:
        """Where the initial states come from."""
        return self.inputs or PDEBenchInitial()

    def solve(self, inputs: RandomFunctions, x: Tensor, times: Tensor) -> Tensor:
        """Solution ``(num, times, n)`` at points ``x`` (n,)."""
        at = (x - self.beta * times[:, None]).remainder(1.0)
        return inputs(at.reshape(-1).double()).unflatten(1, at.shape)

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution)
        grid = RegularGrid((n,), ((0.0, 1.0),), periodic=True, alignment="cell")
        times = torch.linspace(0, self.duration, self.frames, dtype=torch.float64)
        solution = self.solve(self.sampler().sample(num, seed, start), grid.axes[0], times).numpy()
        return ProblemData(
            {"u0": solution[:, 0], "u": solution},
            {"u0": ("sample", "x1"), "u": ("sample", "time", "x1")},
            {"x1": grid.axes[0].numpy(), "time": times.numpy()},
            {"u0": "input", "u": "target"},
            attrs=self.attributes(),
            grid=grid,
        )

    def residual(self, u_t: Tensor, u_x: Tensor) -> Tensor:
        """u_t + beta u_x, zero for a solution; tensors of one shape."""
        return u_t + self.beta * u_x


@dataclass(frozen=True)
class VariableAdvection(Problem):
    """Advection driven by a random function V: u_t + a(x) u_x = 0 on [0, 1], in four cases, solved by characteristics.

    ====  ==============================  =====================  =====================
    case  a(x)                            u(x, 0)                at the boundary
    ====  ==============================  =====================  =====================
    I     1                               V(sin^2(pi x))         periodic
    II    1                               x V(x)                 u(0, t) = 0
    III   1 + 0.1 V(x)                    x^2                    u(0, t) = sin(pi t)
    IV    1 + 0.05 (V(x) + V(1 - x))      sin(2 pi x)            periodic
    ====  ==============================  =====================  =====================

    The input is V, at sensors; the target u on the whole square of space and time. With ``initial="random"`` case IV
    has two input functions: V, and an initial state of its own for every sample.

    Args:
        case: Which of the four.
        length_scale: Length-scale of the Gaussian process (squared exponential kernel) that V is drawn from, in lengths
            of the interval.
        duration: Final time T, in units of the time that speed 1 takes through the interval.
        inputs: Sampler of V instead of that process.
        initial: ``case`` as in the table, or ``random``: u(x, 0) is a second input, drawn apart from V from a Gaussian
            process of period 1.

    Raises:
        ConfigError: If there is no such case, or it has no random initial state, or a number is not positive.

    Reference:
        Lu et al.: A comprehensive and fair comparison of two neural operators (2022); the random initial state is ours.

    Example:
        >>> data = VariableAdvection("III").generate(2, seed=0, resolution=20)
        >>> data["v"].shape, data["u"].shape
        ((2, 20), (2, 20, 20))
    """

    case: Literal["I", "II", "III", "IV"] = "II"
    length_scale: float = 0.2
    duration: float = 1.0
    inputs: Sampler | None = None
    initial: Literal["case", "random"] = "case"

    name = "variable-advection"
    equation = "u_t + a(x) u_x = 0 on [0, 1], a and u(x, 0) by case"
    scheme = "characteristics, travel times by integrating a spline of 1 / a"
    default_resolution = 40

    def __post_init__(self) -> None:
        if self.case not in ("I", "II", "III", "IV"):
            raise ConfigError(f"case is {self.case!r}, expected 'I', 'II', 'III' or 'IV'.")
        if self.initial != "case" and (self.initial != "random" or self.case != "IV"):
            raise ConfigError(
                f"initial is {self.initial!r} in case {self.case!r}, expected 'case', or 'random' in case 'IV', the "
                "one whose speed depends on V and whose boundary takes all initial states of period 1."
            )
        if not (self.length_scale > 0 and self.duration > 0):
            raise ConfigError(
                f"length_scale is {self.length_scale} and duration {self.duration}, expected positive numbers."
            )

    def sampler(self) -> Sampler:
        """Where V comes from."""
        return self.inputs or GaussianProcess(length_scale=self.length_scale)

    def initial_states(self, num: int, seed: int, start: int) -> RandomFunctions | None:
        """The second input, independent of V; None where the case says what the initial state is."""
        if self.initial == "case":
            return None
        # The same seed would give both functions the same random numbers.
        own = int(np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(1, np.uint64)[0])
        return GaussianProcess("periodic", length_scale=1.0).sample(num, own, start)

    def _speed(self, v: RandomFunctions, x: Tensor) -> Tensor:
        if self.case == "III":
            return 1 + 0.1 * v(x)
        if self.case == "IV":
            return 1 + 0.05 * (v(x) + v(1 - x))
        return torch.ones(len(v), len(x), dtype=torch.float64)

    def _initial(self, v: RandomFunctions, x: Tensor, states: RandomFunctions | None = None) -> Tensor:
        """Initial state of each function at points of its own ``(num, n)``."""
        if states is not None:
            return _at_own_points(states, x)
        if self.case == "III":
            return x.square()
        if self.case == "IV":
            return torch.sin(2 * math.pi * x)
        if self.case == "I":
            return _at_own_points(v, torch.sin(math.pi * x).square())
        return x * _at_own_points(v, x)

    def solve(self, v: RandomFunctions, x: Tensor, times: Tensor, states: RandomFunctions | None = None) -> Tensor:
        """Solution ``(num, times, n)`` at points ``x`` (n,).

        Args:
            v: The functions V.
            x: Points.
            times: Times.
            states: Initial states of period 1, one for each V; None takes those of the case.

        Raises:
            ConfigError: If the speed is not positive everywhere.
        """
        nodes = torch.linspace(0, 1, 2001, dtype=torch.float64)
        speed = self._speed(v, nodes)
        if not bool((speed > 0).all()):
            raise ConfigError("the speed 1 + 0.1 V is not positive everywhere; give inputs of smaller values.")
        travel = cubic_splines(nodes, 1 / speed).antiderivative()
        total = travel(nodes[-1:])  # time from one end to the other
        # Time from the left end to where the characteristic through (x, t) was at time zero.
        start = (travel(x)[:, None] - times[:, None]).flatten(1)
        entered = start < 0
        if self.case in ("I", "IV"):
            start = start.remainder(total)
        origin = _inverse(travel(nodes), nodes, speed, start.clamp(min=0))
        values = self._initial(v, origin, states)
        if self.case in ("II", "III"):
            boundary = torch.sin(math.pi * -start) if self.case == "III" else torch.zeros_like(start)
            values = torch.where(entered, boundary, values)
        return values.unflatten(1, (len(times), len(x)))

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        n = self._resolution(resolution)
        grid = RegularGrid((n,), ((0.0, 1.0),))
        v, states = self.sampler().sample(num, seed, start), self.initial_states(num, seed, start)
        times = torch.linspace(0, self.duration, n, dtype=torch.float64)
        arrays = {"v": v.on(grid).values[:, 0].numpy()}
        if states is not None:
            arrays["u0"] = states.on(grid).values[:, 0].numpy()
        roles = dict.fromkeys(arrays, "input") | {"u": "target"}
        axes: dict[str, tuple[str, ...]] = dict.fromkeys(arrays, ("sample", "x1")) | {"u": ("sample", "time", "x1")}
        return ProblemData(
            arrays | {"u": self.solve(v, grid.axes[0], times, states).numpy()},
            axes,
            {"x1": grid.axes[0].numpy(), "time": times.numpy()},
            roles,
            attrs=self.attributes(),
            grid=grid,
        )


def _at_own_points(functions: RandomFunctions, x: Tensor) -> Tensor:
    """Values ``(num, n)`` of each function at the points of its own row of ``x`` ``(num, n)``."""
    return torch.cat([functions[i : i + 1](row) for i, row in enumerate(x)])


def _inverse(travel: Tensor, nodes: Tensor, speed: Tensor, times: Tensor) -> Tensor:
    """Points that are reached at given times, by cubic Hermite interpolation of the inverse, whose slope is the speed.

    Args:
        travel: Travel time to each node ``(num, k)``, ascending.
        nodes: ``(k,)``.
        speed: At the nodes ``(num, k)``.
        times: ``(num, n)``.
    """
    cell = (torch.searchsorted(travel, times.contiguous(), right=True) - 1).clamp(0, len(nodes) - 2)
    left, right = travel.gather(1, cell), travel.gather(1, cell + 1)
    h = right - left
    t = (times - left) / h
    return (
        (1 + 2 * t) * (1 - t) ** 2 * nodes[cell]
        + t * (1 - t) ** 2 * h * speed.gather(1, cell)
        + t**2 * (3 - 2 * t) * nodes[cell + 1]
        + t**2 * (t - 1) * h * speed.gather(1, cell + 1)
    )
