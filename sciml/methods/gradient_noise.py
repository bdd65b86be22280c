"""Annealed Gaussian noise on the gradient.

:func:`gradient_noise_std` is the schedule, :func:`add_gradient_noise_` one step of the method for a loop written by
hand, :class:`GradientNoise` the same as a method of the trainer.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.train.method import Method, StepContext, derive_seed

__all__ = ["GradientNoise", "add_gradient_noise_", "gradient_noise_std"]


def gradient_noise_std(step: int, eta: float = 0.01, gamma: float = 0.55) -> float:
    r"""Standard deviation of the noise at an optimizer step, :math:`\sigma_t = \sqrt{\eta / (1 + t)^\gamma}`.

    Args:
        step: Number of optimizer steps done before, from 0.
        eta: Variance at step 0.
        gamma: Rate of the decay; 0 keeps the variance constant.

    Raises:
        ConfigError: If ``step`` is negative, or ``eta`` or ``gamma`` is negative or not finite.

    Example:
        >>> gradient_noise_std(0, eta=0.01)
        0.1
    """
    for name, value in (("step", step), ("eta", eta), ("gamma", gamma)):
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} is {value}, expected a finite number that is not negative.")
    return math.sqrt(eta / (1 + step) ** gamma)


@torch.no_grad()
def add_gradient_noise_(
    params: Iterable[Tensor], step: int, eta: float, gamma: float, generator: torch.Generator
) -> float:
    """Add annealed Gaussian noise to gradients in place: after clipping, before ``optimizer.step()``.

    Args:
        params: Parameters; frozen ones and those without a gradient are left alone.
        step: Number of optimizer steps done before, from 0.
        eta: Variance at step 0.
        gamma: Rate of the decay.
        generator: Source of the noise, on the device of the gradients.

    Returns:
        The standard deviation that was used.

    Raises:
        ConfigError: If a gradient is sparse or lives on another device, or ``step``, ``eta`` or ``gamma`` is out of
            range.

    Example:
        >>> weight = nn.Parameter(torch.zeros(3))
        >>> weight.grad = torch.zeros(3)
        >>> add_gradient_noise_([weight], step=0, eta=0.01, gamma=0.55, generator=torch.Generator().manual_seed(0))
        0.1
    """
    std = gradient_noise_std(step, eta, gamma)
    _add_noise(_gradients(params), std, {generator.device: generator})
    return std


def _gradients(params: Iterable[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in params if parameter.requires_grad and parameter.grad is not None]


def _add_noise(
    grads: Sequence[Tensor], std: float, streams: Mapping[torch.device, torch.Generator], relative: bool = False
) -> None:
    if std == 0.0:
        return
    groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for grad in grads:
        if grad.layout is not torch.strided:
            raise ConfigError(
                "a gradient is sparse, and noise on all coordinates would make it dense. Build the embedding with "
                "sparse=False, or leave its parameter out."
            )
        groups.setdefault((grad.device, grad.dtype), []).append(grad)
    for (device, _), group in groups.items():
        if device not in streams:
            raise ConfigError(f"a gradient lives on {device}, the generator on {', '.join(map(str, streams))}.")
        noise = _standard_normal_like(group, streams[device])
        if relative:
            torch._foreach_mul_(noise, [_rms(grad) for grad in group])
        torch._foreach_add_(group, noise, alpha=std)


def _standard_normal_like(group: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Independent standard normal values in the shapes of tensors of one dtype and device.

    One draw for all of them: ``[torch.randn_like(t) for t in group]`` with less overhead. Complex values are circular,
    their total variance is 1 and that of each part 1/2. Values for half precision are drawn in single precision, so
    that only the sum with the gradient is rounded.
    """
    first = group[0]
    dtype = torch.float32 if first.dtype in (torch.float16, torch.bfloat16) else first.dtype
    sizes = [tensor.numel() for tensor in group]
    flat = torch.randn(sum(sizes), dtype=dtype, device=first.device, generator=generator)
    return [part.view(tensor.shape) for part, tensor in zip(flat.split(sizes), group, strict=True)]


def _rms(grad: Tensor) -> Tensor:
    return torch.linalg.vector_norm(grad) / math.sqrt(max(grad.numel(), 1))


class GradientNoise(Method):
    r"""Adds zero-mean Gaussian noise of decaying variance to every gradient coordinate.

    .. math:: \tilde g_t = g_t + n_t, \qquad n_t \sim N(0, \sigma_t^2 I), \qquad \sigma_t^2 = \eta / (1 + t)^\gamma

    where t counts optimizer steps. It helps very deep or badly initialised networks to leave plateaus, and does nothing
    for well initialised ones.

    Choose ``eta`` together with the learning rate: with plain SGD, a weight that receives no gradient has after T steps
    the added variance :math:`\mathrm{lr}^2\,\eta\,T^{1-\gamma}/(1-\gamma)`. Too large an ``eta`` walks the weights of a
    deep network past the variance at which signals keep their size, and it stays at chance. The noise enters before the
    optimizer's own scaling: with Adam, its effect on a weight is divided by the root of the second moment.

    Args:
        eta: Variance at step 0; the source searches 0.01, 0.3 and 1.
        gamma: Rate of the decay; 0 keeps the variance constant.
        schedule: Step to variance, instead of ``eta`` and ``gamma``.
        params: Name patterns of the parameters that receive noise, where ``!`` in front leaves out, as in
            ``["layers.*", "!*.bias"]``; or a function of name and parameter. All when None.
        after_clip: Add the noise after clipping, so that it is not clipped itself.
        seed: Seed of the noise; derived from the run's seed when None.
        start_step: First optimizer step with noise; the schedule begins there with t = 0.
        stop_step: First optimizer step without noise again.
        relative: Multiply the noise of each tensor by the root mean square of its gradient (not in the source).

    Raises:
        ConfigError: If an argument is out of range, ``params`` selects nothing, a gradient is sparse, a parameter is
            sharded over processes, or ``schedule`` gives a variance that is negative or not finite.

    Reference:
        Neelakantan et al.: Adding Gradient Noise Improves Learning for Very Deep Networks (2015). The source does not
        say whether the noise comes before or after clipping; here it comes after, and ``after_clip=False`` changes it.
        Complex parameters get circular noise with :math:`E|n|^2 = \sigma_t^2`. All processes of a run add the same
        noise, because the gradient has been averaged already. With an optimizer that evaluates the loss several times
        per step (L-BFGS), every evaluation gets noise of its own, which its line search does not expect.

    Example:
        >>> noise = GradientNoise(eta=0.01, params=["*.weight"])
        >>> noise.std(0), round(noise.std(1000), 4)
        (0.1, 0.015)
    """

    name = "gradient-noise"
    priority: ClassVar[int] = 10

    def __init__(
        self,
        eta: float = 0.01,
        gamma: float = 0.55,
        *,
        schedule: Callable[[int], float] | None = None,
        params: list[str] | Callable[[str, Tensor], bool] | None = None,
        after_clip: bool = True,
        seed: int | None = None,
        start_step: int = 0,
        stop_step: int | None = None,
        relative: bool = False,
    ) -> None:
        gradient_noise_std(0, eta, gamma)
        if start_step < 0 or (stop_step is not None and stop_step < start_step):
            raise ConfigError(
                f"start_step is {start_step} and stop_step {stop_step}, expected 0 <= start_step <= stop_step."
            )
        if isinstance(params, str):
            raise ConfigError(f"params is the text {params!r}, expected a list of name patterns: [{params!r}].")
        self.eta, self.gamma, self.schedule, self.params = eta, gamma, schedule, params
        self.after_clip, self.seed, self.relative = after_clip, seed, relative
        self.start_step, self.stop_step = start_step, stop_step
        self._step = 0
        self._parameters: Sequence[Tensor] = ()
        self._streams: dict[torch.device, torch.Generator] = {}

    def std(self, step: int) -> float:
        """Standard deviation at an optimizer step of the run (a factor of it with ``relative=True``)."""
        if step < self.start_step or (self.stop_step is not None and step >= self.stop_step):
            return 0.0
        if self.schedule is None:
            return gradient_noise_std(step - self.start_step, self.eta, self.gamma)
        variance = float(self.schedule(step - self.start_step))
        if not (math.isfinite(variance) and variance >= 0):
            raise ConfigError(f"schedule gives the variance {variance} at step {step}, expected finite and >= 0.")
        return math.sqrt(variance)

    def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
        self._parameters = self._select(model)
        self._step = 0
        seed = seed if self.seed is None else self.seed
        # The same streams on all ranks, else replicas would diverge; another one for each device of this process, else
        # the noise on two devices would be the same numbers.
        devices = dict.fromkeys(parameter.device for parameter in self._parameters)
        self._streams = {
            device: torch.Generator(device).manual_seed(derive_seed(seed, str(index)) if index else seed)
            for index, device in enumerate(devices)
        }

    def _select(self, model: nn.Module) -> Sequence[Tensor]:
        chosen = [parameter for name, parameter in model.named_parameters() if self._wanted(name, parameter)]
        if not chosen:
            names = ", ".join(name for name, _ in model.named_parameters())
            raise ConfigError(f"params {self.params!r} selects no parameter. The model has: {names or 'none'}.")
        if any(hasattr(parameter, "device_mesh") for parameter in chosen):
            raise ConfigError("gradient noise does not support parameters that are sharded over processes; use ddp.")
        return chosen

    def _wanted(self, name: str, parameter: Tensor) -> bool:
        if self.params is None:
            return True
        if callable(self.params):
            return self.params(name, parameter)
        left_out = [pattern[1:] for pattern in self.params if pattern.startswith("!")]
        taken = [pattern for pattern in self.params if not pattern.startswith("!")]
        if not taken and left_out:
            taken = ["*"]
        return any(fnmatchcase(name, p) for p in taken) and not any(fnmatchcase(name, p) for p in left_out)

    @torch.no_grad()
    def _act(self, step: int) -> None:
        if not self._streams:
            raise ConfigError(
                "gradient-noise is not set up: call setup(model, seed, total_steps) before the first step."
            )
        self._step = step
        _add_noise(_gradients(self._parameters), self.std(step), self._streams, self.relative)

    def on_unscaled_gradients(self, context: StepContext) -> None:
        if not self.after_clip:
            self._act(context.step)

    def on_clipped_gradients(self, context: StepContext) -> None:
        if self.after_clip:
            self._act(context.step)

    def logs(self) -> dict[str, float]:
        return {f"{self.key}/std": self.std(self._step)}

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self._step,
            "streams": [[device.type, generator.get_state()] for device, generator in self._streams.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not self._streams:
            raise ConfigError("gradient-noise is not set up: call setup(model, seed, total_steps) before loading.")
        self._step = state["step"]
        saved = [kind for kind, _ in state["streams"]]
        here = [device.type for device in self._streams]
        if saved != here:
            # Generators of different kinds have no common state.
            warnings.warn(
                f"the gradient noise was saved on {saved} and goes on with new random numbers on {here}.", stacklevel=2
            )
            return
        for generator, (_, value) in zip(self._streams.values(), state["streams"], strict=True):
            generator.set_state(value)
