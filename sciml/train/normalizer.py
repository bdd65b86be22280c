"""Standardisation of named fields, fitted on the training split and independent of the resolution."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from sciml.data import Batch, Split
from sciml.errors import ConfigError

__all__ = ["FieldNormalizer", "Standardize"]


class Standardize(nn.Module):
    r"""Channelwise shift and scale: :math:`(u - \mu) / \sigma`.

    Mean and standard deviation are taken over samples and points, not per point, so they hold on any grid.

    Args:
        channels: Number of channels.

    Shapes:
        - **u**: ``(batch, channels, *points)``, or ``(batch, points)`` and ``(batch,)`` with ``channels=1``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, u: Tensor, mask: Tensor | None = None) -> "Standardize":
        """Set mean and standard deviation; a constant channel keeps the scale 1.

        Args:
            u: The values.
            mask: Which points ``(batch, points)`` are no padding.
        """
        return self._set(*self._moments(u, mask))

    def fit_sets(self, sets: Sequence[tuple[Tensor, Tensor | None]]) -> "Standardize":
        """Set mean and standard deviation of several sets of samples together, such as several resolutions.

        Every sample counts alike, however many points it has.

        Args:
            sets: Values and mask of each, as for :meth:`fit`.
        """
        shares = torch.tensor([len(u) for u, _ in sets], dtype=torch.float64, device=self.mean.device)
        shares = (shares / shares.sum())[:, None]
        means, spreads = (torch.stack(part) for part in zip(*(self._moments(*each) for each in sets), strict=True))
        mean = (shares * means).sum(0)
        variance = (shares * (spreads.square() + (means - mean).square())).sum(0)
        return self._set(mean, variance.sqrt())

    def _moments(self, u: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        channels = len(self.mean)
        flat = u.to(torch.float64).reshape(len(u), channels, -1).movedim(1, 0)
        flat = flat.flatten(1) if mask is None else flat[:, mask]
        mean = flat.mean(1)
        return mean, (flat - mean[:, None]).square().mean(1).sqrt()

    def _set(self, mean: Tensor, std: Tensor) -> "Standardize":
        # A channel constant up to rounding carries nothing to scale.
        constant = std <= 1e-12 * mean.abs().clamp(min=1e-300)
        self.mean = mean.to(self.mean)
        self.std = torch.where(constant, torch.ones_like(std), std).to(self.std)
        return self

    def _shape(self, u: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.mean) == 1:
            return self.mean.to(u.dtype), self.std.to(u.dtype)
        shape = (-1,) + (1,) * (u.dim() - 2)
        return self.mean.to(u.dtype).view(shape), self.std.to(u.dtype).view(shape)

    def forward(self, u: Tensor) -> Tensor:
        mean, std = self._shape(u)
        return (u - mean) / std

    def inverse(self, u: Tensor) -> Tensor:
        """Back to the units of the data."""
        mean, std = self._shape(u)
        return u * std + mean


class FieldNormalizer(nn.Module):
    """Standardises the fields of a batch by name; fields it does not know pass through.

    Args:
        channels: Field name to number of channels.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.fields = nn.ModuleDict({name: Standardize(num) for name, num in channels.items()})

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def __getitem__(self, name: str) -> Standardize:
        module = self.fields[name]
        assert isinstance(module, Standardize)
        return module

    @classmethod
    def fit(
        cls, split: Split | Sequence[Split], names: Iterable[str], channels: Mapping[str, int | None]
    ) -> "FieldNormalizer":
        """Fit on the samples of a split, or of several resolutions, in which every sample counts alike.

        Raises:
            ConfigError: If a field does not exist or holds no floating-point numbers.
        """
        normalizer = cls({name: channels.get(name) or 1 for name in names})
        splits = [split] if isinstance(split, Split) else list(split)
        for name in normalizer.fields:
            sets = [(part[name], part.tensors.get(f"{name}.mask")) for part in splits]
            dtype = sets[0][0].dtype
            if not dtype.is_floating_point:
                raise ConfigError(f"field {name!r} has dtype {dtype}: only floating-point fields are standardised.")
            field = normalizer[name].to(dtype)
            # One set goes its own way: pooling it would round its numbers once more.
            field.fit(*sets[0]) if len(sets) == 1 else field.fit_sets(sets)
        return normalizer

    @classmethod
    def like(cls, state: Mapping[str, Tensor], prefix: str = "fields.") -> "FieldNormalizer":
        """An empty normalizer with the fields that a state dictionary names."""
        means = {key: value for key, value in state.items() if key.startswith(prefix) and key.endswith(".mean")}
        normalizer = cls({key[len(prefix) : -len(".mean")]: len(value) for key, value in means.items()})
        for key, value in means.items():
            normalizer[key[len(prefix) : -len(".mean")]].to(value.dtype)
        return normalizer

    def encode(self, batch: Batch) -> Batch:
        """A batch with the known fields standardised."""
        return {name: self[name](value) if name in self.fields else value for name, value in batch.items()}
