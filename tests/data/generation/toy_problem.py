"""A problem with an exact solution, as a module that worker processes can import."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sciml.problems.base import Problem, ProblemData
from sciml.spaces import RegularGrid


@dataclass(frozen=True)
class Decay(Problem):
    """Waves that decay, with random amplitudes.

    Args:
        rate: Rate of decay, in 1/s; 100 % of it counts.
        frames: Number of times.
        cut: Whether the result is cut off at zero.
        axis_name: Name of the axis.
        wait: Seconds that every sample takes.
        diverges_at: Sample whose solution is not finite.
        log: File to which every call adds its samples and process.
    """

    rate: float = 1.0
    frames: int = 3
    cut: bool = False
    axis_name: str = "x"
    wait: float = 0.0
    diverges_at: int = -1
    log: str = ""

    name: ClassVar[str] = "decay"
    equation: ClassVar[str] = "u_t = -rate u"
    scheme: ClassVar[str] = "exact"
    default_resolution: ClassVar[int] = 8
    layout: ClassVar[str] = "pdebench"

    def sampler(self) -> None:
        """It has none."""

    def solve(self, u: np.ndarray) -> np.ndarray:
        """Values ``(sample, time, x)`` for the initial values ``(sample, x)``."""
        times = 0.5 * np.arange(self.frames)
        return u[:, None] * np.exp(-self.rate * times)[:, None]

    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        """Samples ``start`` to ``start + num - 1``."""
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{start} {num} {os.getpid()}\n")
        time.sleep(self.wait * num)
        grid = RegularGrid((resolution or self.default_resolution,), ((0.0, 1.0),), periodic=True)
        x = grid.axes[0].numpy()
        amplitudes = np.stack([np.random.default_rng([seed, start + i]).standard_normal(2) for i in range(num)])
        u0 = amplitudes @ np.stack([np.sin(2 * np.pi * x), np.cos(2 * np.pi * x)])
        u = self.solve(u0)
        if start <= self.diverges_at < start + num:
            u[self.diverges_at - start, -1, 0] = np.nan
        return ProblemData(
            arrays={"u0": u0, "u": u},
            axes={"u0": ("sample", "x1"), "u": ("sample", "time", "x1")},
            coords={"x1": x, "time": 0.5 * np.arange(self.frames)},
            roles={"u0": "input", "u": "target"},
            units={"u": "m/s"},
            attrs={"equation": self.equation, "parameters": {"rate": self.rate, "nu": 0.1}},
            grid=grid,
        )
