"""What a benchmark compares: one dataset and training budget, and the models with their recommended settings."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from sciml.errors import ConfigError
from sciml.registry import registry

__all__ = ["BURGERS_SMALL", "DARCY_SMALL", "Suite"]

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Suite:
    """A benchmark: what all models share, and what each of them recommends for itself.

    Args:
        title: One line.
        config: Sections of a configuration that all models share: data, trainer, and usually task.
        models: Label to the sections of one competitor; ``model`` is required, it may bring its own optimizer,
            scheduler, methods and task.
        metric: The error that the table shows.

    Example:
        >>> suite = Suite("demo", {"data": {"name": "burgers-small"}}, {"mlp": {"model": {"name": "mlp"}}})
        >>> suite.run_config("mlp", seed=3, epochs=5)["trainer"]
        {'seed': 3, 'max_epochs': 5}
    """

    title: str
    config: Config
    models: Mapping[str, Config] = field(default_factory=dict)
    metric: str = "relative_l2"

    def run_config(self, label: str, seed: int, epochs: int | None = None) -> dict[str, Any]:
        """Complete configuration of one run.

        A label that the suite does not know is a registered model with its default settings.

        Raises:
            ConfigError: If there is neither.
        """
        if label not in self.models and label not in registry("models"):
            known = ", ".join(dict.fromkeys([*self.models, *registry("models")]))
            raise ConfigError(f"no model {label!r} in this suite or in the registry; there are {known}.")
        own = self.models.get(label, {"model": {"name": label}})
        config: dict[str, Any] = deepcopy({**self.config, **own})
        config["trainer"] = {**config.get("trainer", {}), **own.get("trainer", {}), "seed": seed}
        if epochs is not None:
            config["trainer"]["max_epochs"] = epochs
        return config


DARCY_SMALL = Suite(
    title="Darcy flow, 1000 samples at 16 x 16, tested there and at 32 x 32",
    config={
        "data": {"name": "darcy-small"},
        "task": {"name": "operator", "loss": "relative_l2+relative_h1"},
        "optimizer": {"name": "adamw", "lr": 1e-2, "weight_decay": 1e-4},
        "scheduler": {"name": "onecycle", "max_lr": 1e-2, "pct_start": 0.1},
        "methods": [{"name": "grid-symmetry", "per_sample": True}],
        "trainer": {"max_epochs": 40, "batch_size": 32},
    },
    models={
        "fno": {"model": {"name": "fno", "modes": [8, 8], "hidden_channels": 24}},
        "tfno": {"model": {"name": "tfno", "modes": [8, 8], "hidden_channels": 24, "rank": 0.42}},
        "deeponet": {
            "model": {"name": "deeponet"},
            "task": {"name": "operator"},
            "optimizer": {"name": "adam", "lr": 1e-3},
            "scheduler": None,
        },
        "mlp": {"model": {"name": "mlp"}, "optimizer": {"name": "adam", "lr": 1e-3}, "scheduler": None},
    },
)

BURGERS_SMALL = Suite(
    title="Burgers equation, 800 samples on 16 points, from the start to t = 0.96",
    config={
        "data": {"name": "burgers-small"},
        "task": {"name": "operator"},
        "optimizer": {"name": "adam", "lr": 1e-3},
        "trainer": {"max_epochs": 60, "batch_size": 32},
    },
    models={
        "fno": {"model": {"name": "fno", "modes": [8], "hidden_channels": 32}},
        "deeponet": {"model": {"name": "deeponet"}},
        "mlp": {"model": {"name": "mlp"}},
    },
)
