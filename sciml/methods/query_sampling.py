"""Training on a random part of the query points in every step."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.train.method import Method, StepContext

__all__ = ["QuerySampling", "sample_queries"]


class QuerySampling(Method):
    """Draws, in every step, some of the query points at which the target is compared.

    Where all functions share their query points, one draw serves the whole batch: its functions times the drawn points,
    a true block of the table of targets. Where every function has points of its own, each gets a draw of its own, and
    padding is drawn only for a function that has too few points. Together with the batch size this samples over
    functions and over points.

    Quadrature weights of the drawn points go with them. Points are drawn with equal probability, without repetition.

    Args:
        num: Query points per step and function.
        field: The target.
        coords: Its query points.

    Shapes:
        - **coords**: ``(points, dim)``, or ``(batch, points, dim)``.
        - **target**: ``(batch, points)``, ``(batch, channels, points)`` or ``(batch, channels, *grid)``.

    Raises:
        ConfigError: If ``num`` is not positive, or the batch lacks the target or its query points.

    Note:
        All processes of a run draw alike. A loss that needs the whole grid, such as ``relative_h1``, does not go with
        it.

    Example:
        >>> from sciml.train import StepContext
        >>> method = QuerySampling(num=2)
        >>> method.setup(nn.Identity(), seed=0, total_steps=None)
        >>> batch = {"coords": torch.arange(5.0)[:, None], "y": torch.arange(5.0).repeat(3, 1)}
        >>> context = StepContext(nn.Identity(), optimizer=None, batch=batch)
        >>> method.on_batch_start(context)
        >>> context.batch["y"].shape, torch.equal(context.batch["y"][0], context.batch["coords"][:, 0])
        (torch.Size([3, 2]), True)
    """

    name = "query-sampling"
    # After the methods that turn or change whole fields.
    priority: ClassVar[int] = 40

    def __init__(self, num: int, field: str = "y", coords: str = "coords") -> None:
        if num < 1:
            raise ConfigError(f"num is {num}, expected the number of query points a step, at least 1.")
        self.num, self.field, self.coords = num, field, coords
        self._generator = torch.Generator()

    def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
        self._generator.manual_seed(seed)

    def on_batch_start(self, context: StepContext) -> None:
        batch = context.batch
        if self.field not in batch or self.coords not in batch:
            raise ConfigError(
                f"query-sampling draws points of {self.coords!r} for {self.field!r}, the batch holds {sorted(batch)}. "
                "Set field and coords; a model that works on the whole grid has no query points to draw."
            )
        grid = context.grids.get(self.field)
        weights = None if grid is None or grid.uniform else grid.weights_nd().flatten()
        context.batch = sample_queries(batch, self.num, self._generator, self.field, self.coords, weights)

    def state_dict(self) -> dict[str, Tensor]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._generator.set_state(state["generator"])


def sample_queries(
    batch: dict[str, Tensor],
    num: int,
    generator: torch.Generator,
    field: str = "y",
    coords: str = "coords",
    weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """A batch with ``num`` of its query points; all of them when there are no more.

    Args:
        batch: Holds the target, its query points, and possibly ``FIELD.weight`` and ``FIELD.mask``.
        num: Query points per function.
        generator: On the CPU.
        field: The target.
        coords: Its query points, ``(points, dim)`` or ``(batch, points, dim)``.
        weights: Quadrature weights ``(points,)`` where the batch has none and they are not equal.

    Example:
        >>> batch = {"coords": torch.rand(3, 7, 2), "y": torch.rand(3, 1, 7)}
        >>> part = sample_queries(batch, 4, torch.Generator())
        >>> part["coords"].shape, part["y"].shape
        (torch.Size([3, 4, 2]), torch.Size([3, 1, 4]))
    """
    points = batch[coords]
    total = points.shape[-2]
    if num >= total:
        return batch
    target, weight_key, mask_key = batch[field], f"{field}.weight", f"{field}.mask"
    flat = target if target.dim() == 2 else target.flatten(2)
    if flat.shape[-1] != total:
        raise ConfigError(
            f"{field} has shape {tuple(target.shape)}, expected one value at each of the {total} points of {coords}."
        )
    if points.dim() == 2:
        index = torch.randperm(total, generator=generator)[:num].to(points.device)
        result = {**batch, coords: points[index], field: flat[..., index]}
        chosen = batch.get(weight_key, weights)
        if chosen is not None:
            result[weight_key] = chosen.to(target)[..., index.to(chosen.device)]
        if mask_key in batch:
            result[mask_key] = batch[mask_key][..., index]
        return result
    order = torch.rand(len(points), total, generator=generator).to(points.device)
    if mask_key in batch:
        # Valid points are below 1, padding above: it is drawn last.
        order = order + (~batch[mask_key]).to(order)
    rows = order.argsort(1)[:, :num]
    per_channel = rows if flat.dim() == 2 else rows[:, None].expand(-1, flat.shape[1], -1)
    result = {
        **batch,
        coords: points.gather(1, rows[..., None].expand(-1, -1, points.shape[-1])),
        field: flat.gather(-1, per_channel),
    }
    for key in (weight_key, mask_key):
        if key in batch:
            result[key] = batch[key].expand(len(rows), total).gather(1, rows)
    return result
