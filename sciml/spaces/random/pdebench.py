"""Initial states of PDEBench: few sine waves, some folded, some cut off by a window."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.random.base import RandomFunctions, Sampler, generators

__all__ = ["PDEBenchInitial"]


@dataclass(frozen=True)
class PDEBenchInitial(Sampler):
    r"""Sums of sine waves on a periodic interval, as PDEBench starts advection and Burgers from.

    .. math:: u(x) = \sum_{i=1}^{N} A_i \sin(2 \pi k_i x / L + \phi_i), \quad A_i \in [0, 1],\; \phi_i \in [0, 2\pi]

    with wave numbers :math:`k_i` drawn from 1 to ``max_wave_number``. One in ten functions is replaced by its absolute
    value with a random sign, one in ten is multiplied by a window that is one between two random points.

    Args:
        num_waves: N.
        max_wave_number: Largest wave number.
        bounds: Interval, of length L.
        fold_probability: Share of functions of which the absolute value is taken.
        window_probability: Share of functions with a window.
        window_width: Width of the flanks of the window, relative to L.

    Raises:
        ConfigError: If a number is not positive, or a probability not between 0 and 1.

    Reference:
        Takamoto et al.: PDEBench (2022).

    Example:
        >>> waves = PDEBenchInitial(window_probability=0.0).sample(4, seed=0)
        >>> bool(torch.allclose(waves(torch.zeros(1)), waves(torch.ones(1)), atol=1e-6))
        True
    """

    num_waves: int = 2
    max_wave_number: int = 8
    bounds: tuple[float, float] = (0.0, 1.0)
    fold_probability: float = 0.1
    window_probability: float = 0.1
    window_width: float = 0.01
    dim = 1

    def __post_init__(self) -> None:
        if self.num_waves < 1 or self.max_wave_number < 1 or not self.window_width > 0:
            raise ConfigError(
                f"num_waves is {self.num_waves}, max_wave_number {self.max_wave_number} and window_width "
                f"{self.window_width}; expected positive numbers."
            )
        if not (0 <= self.fold_probability <= 1 and 0 <= self.window_probability <= 1):
            raise ConfigError(
                f"fold_probability is {self.fold_probability} and window_probability {self.window_probability}; "
                "expected numbers from 0 to 1."
            )

    def sample(self, num: int, seed: int = 0, start: int = 0) -> "_Waves":
        rows = [self._draw(rng) for rng in generators(num, seed, start)]
        return _Waves(self, torch.from_numpy(np.stack(rows)))

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        """Wave numbers, amplitudes, phases; fold, sign; window, begin, end."""
        waves = [
            rng.integers(1, self.max_wave_number + 1, self.num_waves).astype(float),
            rng.uniform(0, 1, self.num_waves),
            rng.uniform(0, 2 * math.pi, self.num_waves),
        ]
        fold, window = rng.uniform() < self.fold_probability, rng.uniform() < self.window_probability
        # All numbers are drawn always, so that the probabilities do not change the waves.
        sign = rng.choice([-1.0, 1.0])
        begin, end = rng.uniform(0.1, 0.45), rng.uniform(0.55, 0.9)
        return np.concatenate([*waves, [fold, sign if fold else 1.0, window, begin, end]])


@dataclass(frozen=True, eq=False)
class _Waves(RandomFunctions):
    sampler: PDEBenchInitial
    table: Tensor
    dim = 1

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: slice) -> "_Waves":
        return _Waves(self.sampler, self.table[index])

    def _evaluate(self, points: Tensor) -> Tensor:
        begin, end = self.sampler.bounds
        table = self.table.to(points.device)
        n = self.sampler.num_waves
        k, amplitude, phase = table[:, : 3 * n].unflatten(1, (3, n)).unbind(1)
        fold, sign, window, left, right = table[:, 3 * n :, None].unbind(1)
        z = (points[:, 0] - begin) / (end - begin)
        u = (amplitude[..., None] * torch.sin(2 * math.pi * k[..., None] * z + phase[..., None])).sum(1)
        u = sign * torch.where(fold > 0, u.abs(), u)
        width = self.sampler.window_width
        flank = 0.5 * (torch.tanh((z - left) / width) - torch.tanh((z - right) / width))
        return torch.where(window > 0, u * flank, u)
