"""Annealed Gaussian noise on the gradient."""

import math
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.train.method import Method, StepContext

__all__ = ["GradientNoise", "add_gradient_noise_", "gradient_noise_std"]

ParameterFilter = Callable[[str, Tensor], bool]


def gradient_noise_std(step: int, eta: float = 0.01, gamma: float = 0.55) -> float:
    r"""Standard deviation of the noise at an optimizer step, :math:`\sigma_t = \sqrt{\eta / (1 + t)^\gamma}`.

    Args:
        step: Number of optimizer steps done before, from 0.
        eta: Variance at step 0.
        gamma: Rate of the decay; 0 keeps the variance constant.

    Raises:
        ConfigError: If ``eta`` or ``gamma`` is negative or not finite.

    Example:
        >>> gradient_noise_std(0, eta=0.01)
        0.1
    """
    for name, value in (("eta", eta), ("gamma", gamma)):
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} is {value}, expected a finite number that is not negative.")
    return math.sqrt(eta / (1 + step) ** gamma)


@torch.no_grad()
def add_gradient_noise_(
    params: Iterable[Tensor],
    step: int,
    eta: float = 0.01,
    gamma: float = 0.55,
    generator: torch.Generator | None = None,
) -> float:
    """Add noise to the gradients of a hand-written loop, after clipping and before ``optimizer.step()``.

    Args:
        params: Parameters; those without a gradient are left alone.
        step: Number of optimizer steps done before.
        eta: Variance at step 0.
        gamma: Rate of the decay.
        generator: Where the noise is drawn; it must live on the device of the parameters. The global one when None.

    Returns:
        The standard deviation that was used.

    Raises:
        ConfigError: If a gradient is sparse, or ``eta`` or ``gamma`` is out of range.

    Example:
        >>> weight = nn.Parameter(torch.zeros(3))
        >>> weight.grad = torch.zeros(3)
        >>> add_gradient_noise_([weight], step=0, eta=0.01, generator=torch.Generator().manual_seed(0))
        0.1
    """
    std = gradient_noise_std(step, eta, gamma)
    _add_noise([p.grad for p in params if p.grad is not None], [std], {None: generator} if generator else {})
    return std


def _add_noise(
    grads: Sequence[Tensor], stds: Sequence[float], generators: dict[torch.device | None, torch.Generator]
) -> None:
    """Add independent noise to every coordinate; one standard deviation for all tensors, or one for each."""
    if not any(stds):
        return
    stds = stds if len(stds) == len(grads) else list(stds) * len(grads)
    for grad in grads:
        if grad.is_sparse:
            raise ConfigError("a gradient is sparse: gradient noise would make it dense. Use sparse=False.")
    for key in dict.fromkeys((grad.device, grad.dtype) for grad in grads):
        chosen = [(grad, std) for grad, std in zip(grads, stds, strict=True) if (grad.device, grad.dtype) == key]
        device, dtype = key
        generator = generators.get(device, generators.get(None))
        total = sum(grad.numel() for grad, _ in chosen)
        # torch draws complex normals with total variance 1, half of it in each part: circular, E|n|^2 = std^2.
        noise = torch.randn(total, dtype=dtype, device=device, generator=generator)
        parts = noise.split([grad.numel() for grad, _ in chosen])
        shaped = [part.view(grad.shape) for part, (grad, _) in zip(parts, chosen, strict=True)]
        torch._foreach_mul_(shaped, [std for _, std in chosen])
        torch._foreach_add_([grad for grad, _ in chosen], shaped)


class GradientNoise(Method):
    r"""Adds zero-mean Gaussian noise of decaying variance to every gradient coordinate.

    .. math:: \tilde g_t = g_t + n_t, \qquad n_t \sim N(0, \sigma_t^2 I), \qquad \sigma_t^2 = \eta / (1 + t)^\gamma

    It helps very deep or badly initialised networks to leave plateaus, and does nothing for well initialised ones. For
    plain SGD a weight without gradient has after T steps the added variance
    :math:`\mathrm{lr}^2\,\eta\,T^{1-\gamma}/(1-\gamma)`: choose ``eta`` together with the learning rate. The noise comes
    before the optimizer's own scaling, so with Adam its effect on a weight is divided by the root of the second moment.

    Args:
        eta: Variance at step 0; the source searches 0.01, 0.3 and 1.
        gamma: Rate of the decay.
        schedule: Step to variance, instead of ``eta`` and ``gamma``.
        params: Name patterns of the parameters that receive noise, or a function of name and parameter; all when None.
        after_clip: Add the noise after clipping, so that it is not clipped itself.
        seed: Seed of the noise; derived from the run's seed when None.
        start_step: First step with noise, where the schedule begins at 0.
        stop_step: First step without noise again.
        relative: Scale the noise of each tensor by the root mean square of its gradient (not in the source).

    Raises:
        ConfigError: If an argument is out of range, or ``schedule`` gives a variance that is not finite.

    Reference:
        Neelakantan et al.: Adding Gradient Noise Improves Learning for Very Deep Networks (2015). The source does not
        say whether the noise comes before or after clipping; here it comes after, and ``after_clip=False`` changes it.
        Complex parameters get circular noise with :math:`E|n|^2 = \sigma_t^2`.

    Example:
        >>> GradientNoise(eta=0.3).std(0) ** 2
        0.3
    """

    name = "gradient-noise"
    priority: ClassVar[int] = 10

    def __init__(
        self,
        eta: float = 0.01,
        gamma: float = 0.55,
        *,
        schedule: Callable[[int], float] | None = None,
        params: list[str] | ParameterFilter | None = None,
        after_clip: bool = True,
        seed: int | None = None,
        start_step: int = 0,
        stop_step: int | None = None,
        relative: bool = False,
    ) -> None:
        gradient_noise_std(0, eta, gamma)
        if start_step < 0 or (stop_step is not None and stop_step < start_step):
            raise ConfigError(f"start_step {start_step} and stop_step {stop_step} are out of order.")
        self.eta, self.gamma, self.schedule, self.params = eta, gamma, schedule, params
        self.after_clip, self.seed, self.relative = after_clip, seed, relative
        self.start_step, self.stop_step = start_step, stop_step
        self.step = 0
        self._generators: dict[torch.device | None, torch.Generator] = {}
        self._parameters: list[Tensor] = []

    def std(self, step: int) -> float:
        """Standard deviation at an optimizer step of the run."""
        if step < self.start_step or (self.stop_step is not None and step >= self.stop_step):
            return 0.0
        if self.schedule is None:
            return gradient_noise_std(step - self.start_step, self.eta, self.gamma)
        variance = float(self.schedule(step - self.start_step))
        if not (math.isfinite(variance) and variance >= 0):
            raise ConfigError(f"schedule gives the variance {variance} at step {step}, expected finite and >= 0.")
        return math.sqrt(variance)

    def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
        named = [(name, parameter) for name, parameter in model.named_parameters() if self._wanted(name, parameter)]
        if not named:
            names = ", ".join(name for name, _ in model.named_parameters())
            raise ConfigError(f"params {self.params!r} matches no parameter. The model has {names}.")
        self._parameters = [parameter for _, parameter in named]
        self.step = 0
        seed = seed if self.seed is None else self.seed
        # The same stream on every rank: the gradient is averaged already, and replicas must stay equal.
        self._generators = {
            device: torch.Generator(device).manual_seed(seed) for device in {p.device for p in self._parameters}
        }

    def _wanted(self, name: str, parameter: Tensor) -> bool:
        if self.params is None:
            return True
        if callable(self.params):
            return self.params(name, parameter)
        return any(fnmatchcase(name, pattern) for pattern in self.params)

    @torch.no_grad()
    def _act(self) -> None:
        std = self.std(self.step)
        grads = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        scales = [std * _rms(grad) for grad in grads] if self.relative and std else [std]
        _add_noise(grads, scales, self._generators)
        self.step += 1

    def on_unscaled_gradients(self, context: StepContext) -> None:
        if not self.after_clip:
            self._act()

    def on_clipped_gradients(self, context: StepContext) -> None:
        if self.after_clip:
            self._act()

    def logs(self) -> dict[str, float]:
        return {"gradient_noise/std": self.std(max(self.step - 1, 0))}

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "generators": {str(device): generator.get_state() for device, generator in self._generators.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        for device, generator in self._generators.items():
            if str(device) in state["generators"]:
                generator.set_state(state["generators"][str(device)])


def _rms(grad: Tensor) -> float:
    return float(torch.linalg.vector_norm(grad)) / math.sqrt(max(grad.numel(), 1))
