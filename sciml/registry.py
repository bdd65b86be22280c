"""Named components: from an entry point, or a registration in a notebook, to the object behind the name.

The groups ``sciml.models``, ``sciml.tasks`` and so on hold the built-in components and those of plugins alike. Listing
reads package metadata only; a component's module is imported when it is loaded. Start with :func:`registry`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from typing import Any, TypeVar

from sciml._discovery import CORE, DISABLE, Entry, disabled, entries, normalized, providers, refresh
from sciml.errors import ConfigError, PluginError, UnknownNameError, unknown_name

__all__ = ["KINDS", "Entry", "ModelSpec", "PluginError", "Registry", "model_spec", "refresh", "registry"]

# Kind of component to the words for one of them.
KINDS = {
    "models": "model",
    "datasets": "dataset",
    "tasks": "task",
    "methods": "method",
    "problems": "problem",
    "formats": "format",
    "converters": "converter",
    "solvers": "solver",
    "metrics": "metric",
    "analyses": "analysis component",
    "benchmarks": "benchmark",
}
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """How to build and feed a model; registers a class that knows nothing of sciml, unmodified.

    Args:
        build: Class or function that returns the model.
        inputs: Argument of ``forward`` to batch key, where the names differ.
        from_spec: ``from_spec(spec, **kwargs)`` builds the model with sizes taken from a
            :class:`~sciml.spaces.DataSpec`.
        example: Returns ``(constructor arguments, small batch with the target y)``.
        task: Name of the usual task.

    Example:
        >>> ModelSpec(complex, inputs={"real": "x"}).build(1, 2)
        (1+2j)
    """

    build: Callable[..., Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    from_spec: Callable[..., Any] | None = None
    example: Callable[[], tuple[dict[str, Any], dict[str, Any]]] | None = None
    task: str | None = None


class Registry(Mapping[str, Entry]):
    """Components of one entry-point group: a read-only mapping from name to :class:`Entry`.

    ``distribution:name`` names a component of one distribution, also where another one takes the plain name.

    Args:
        group: Entry-point group, for example ``"sciml.models"``.

    Example:
        >>> colours = Registry("sciml.colours")
        >>> @colours.register("red")
        ... def red(level=255):
        ...     return (level, 0, 0)
        >>> list(colours), colours.create("red", level=9)
        (['red'], (9, 0, 0))
    """

    def __init__(self, group: str) -> None:
        self.group = group
        kind = group.rpartition(".")[2]
        self._word = KINDS.get(kind, kind.removesuffix("s"))
        self._registered: dict[str, tuple[Entry, Any]] = {}

    def __repr__(self) -> str:
        return f"Registry({self.group!r}: {', '.join(self)})"

    def _entries(self) -> dict[str, Entry]:
        return entries(self.group) | {name: entry for name, (entry, _) in self._registered.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries()))

    def __len__(self) -> int:
        return len(self._entries())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """The entry of this name, or ``default``."""
        entry = self._find(name)
        return default if entry is None else entry

    def __getitem__(self, name: str) -> Entry:
        entry = self._find(name)
        if entry is None:
            raise self._unknown(name)
        return entry

    def _find(self, name: str) -> Entry | None:
        known = self._entries()
        if name in known:
            return known[name]
        dist, _, bare = name.rpartition(":")
        named = (e for e in entries(self.group).values() if e.name.rpartition(":")[2] == bare)
        return next((entry for entry in named if normalized(entry.dist) == normalized(dist)), None)

    def _unknown(self, name: str) -> UnknownNameError:
        hint = ""
        if not any(normalized(provider.name) == CORE for provider in providers()):
            hint = "sciml itself is not installed, so its components are missing: run pip install in its folder."
        elif skipped := disabled():
            hint = f"{DISABLE} skips {', '.join(sorted(skipped))}."
        return unknown_name(self._word, str(name), self, hint)

    def load(self, name: str) -> Any:
        """The object behind a name.

        Raises:
            UnknownNameError: If nothing has this name.
            PluginError: If it cannot be loaded; the message names the distribution and the cause.
        """
        entry = self[name]
        if not entry.dist:
            return self._registered[entry.name][1]
        what = f"{self._word} {entry.name!r} of {entry.dist} {entry.version}"
        if entry.error is not None:
            raise PluginError(f"{what} is not loaded: {entry.error}")
        try:
            return metadata.EntryPoint(entry.name, entry.value, self.group).load()
        except (Exception, SystemExit) as error:
            # SystemExit too: a module may be a script that ends the interpreter.
            cause = f"{type(error).__name__}: {error}".rstrip(".")
            update = f"Update {entry.dist}, or skip it: {DISABLE}={entry.dist}."
            way_out = "Reinstall sciml." if entry.dist == CORE else update
            raise PluginError(f"{what} cannot be loaded from {entry.value}: {cause}. {way_out}") from error

    def create(self, name: str, **kwargs: Any) -> Any:
        """Build the component of this name with the given arguments.

        Raises:
            ConfigError: If the component is not something to build.
        """
        found = self.load(name)
        build = found.build if isinstance(found, ModelSpec) else found
        if not callable(build):
            raise ConfigError(f"{self._word} {name!r} is a finished {type(build).__name__}: load({name!r}) gives it.")
        return build(**kwargs)

    def register(self, name: str, *, override: bool = False) -> Callable[[T], T]:
        """Decorator that gives an object a name in this process, for notebooks and tests.

        Args:
            name: Name of the component. A name registered by hand before is replaced.
            override: Also replace an installed component; it stays reachable as ``distribution:name``.

        Raises:
            ValueError: If the name is empty or holds a colon, or an installed component has it.
        """
        if not name or ":" in name:
            raise ValueError(f"name is {name!r}, expected a non-empty name without a colon.")
        taken = entries(self.group).get(name)
        if taken is not None and not override:
            raise ValueError(
                f"{taken.dist} {taken.version} has a {self._word} {name!r}. Choose another name, or pass override=True."
            )

        def keep(obj: T) -> T:
            source: Any = obj.build if isinstance(obj, ModelSpec) else obj
            owner = source if hasattr(source, "__qualname__") else type(source)
            self._registered[name] = (Entry(name, f"{owner.__module__}:{owner.__qualname__}", "", ""), obj)
            return obj

        return keep


@cache
def registry(kind: str) -> Registry:
    """The registry of one kind of component: models, datasets, tasks, methods and so on (:data:`KINDS`).

    Raises:
        UnknownNameError: If there is no such kind.

    Example:
        >>> registry("models").group
        'sciml.models'
    """
    if kind not in KINDS:
        raise unknown_name("registry kind", kind, KINDS)
    return Registry(f"sciml.{kind}")


def model_spec(model: str | Callable[..., Any] | ModelSpec) -> ModelSpec:
    """How to build and feed a model, from its name, its class or a ModelSpec.

    What a :class:`ModelSpec` leaves open is taken from the class: the methods ``from_spec`` and ``example``, the
    attributes ``inputs`` and ``task``.

    Raises:
        UnknownNameError: If no model has the name.
        PluginError: If the model cannot be loaded.
        TypeError: If ``model`` is none of the three.

    Example:
        >>> model_spec(complex).build is complex
        True
    """
    if isinstance(model, str):
        loaded = registry("models").load(model)
        if not isinstance(loaded, ModelSpec) and not callable(loaded):
            raise PluginError(f"model {model!r} is a {type(loaded).__name__}, expected a class or a sciml.ModelSpec.")
        return model_spec(loaded)
    spec = model if isinstance(model, ModelSpec) else ModelSpec(model)
    if not callable(spec.build):
        raise TypeError(f"model is a {type(model).__name__}, expected a registered name, a class or a ModelSpec.")
    from_spec, example, inputs, task = (
        getattr(spec.build, a, None) for a in ("from_spec", "example", "inputs", "task")
    )
    return replace(
        spec,
        inputs=spec.inputs or (inputs if isinstance(inputs, Mapping) else {}),
        from_spec=spec.from_spec or (from_spec if callable(from_spec) else None),
        example=spec.example or (example if callable(example) else None),
        task=spec.task or (task if isinstance(task, str) else None),
    )
