"""What a person sees while a run trains: a bar in a terminal, plain lines elsewhere.

What cannot be shown, because the terminal is gone or the disk behind a log is full, never stops a run.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol

__all__ = ["NoProgress", "Progress", "make_progress"]


class Progress(Protocol):
    """Shows how far a run is."""

    def start(self, done: int, total: int) -> None:
        """Begin with ``done`` of ``total`` optimizer steps."""

    def update(self, step: int, loss: float) -> None:
        """Called about ten times a second."""

    def epoch(self, epoch: int, row: dict[str, float]) -> None:
        """Called after each epoch with what is logged."""

    def stop(self) -> None:
        """Finish, also after an error."""


P = ParamSpec("P")


def _unshown(method: Callable[Concatenate[Any, P], None]) -> Callable[Concatenate[Any, P], None]:
    """A method that does nothing where the stream is closed, full or cannot show a character."""

    @wraps(method)
    def safe(self: Any, *args: P.args, **kwargs: P.kwargs) -> None:
        with suppress(OSError, ValueError):
            method(self, *args, **kwargs)

    return safe


class NoProgress:
    """Shows nothing."""

    def start(self, done: int, total: int) -> None: ...

    def update(self, step: int, loss: float) -> None: ...

    def epoch(self, epoch: int, row: dict[str, float]) -> None: ...

    def stop(self) -> None: ...


def _summary(row: dict[str, float]) -> str:
    shown = {name: value for name, value in row.items() if name == "train/loss" or name.startswith("val")}
    return "  ".join(f"{name} {value:.4g}" for name, value in shown.items())


class LineProgress:
    """One line at most every few seconds, for logs and pipes."""

    def __init__(self, every: float = 5.0) -> None:
        self._every = every
        self._last = 0.0

    def start(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        self._begin = self._last = time.monotonic()

    @_unshown
    def update(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        rate = (step - self._done) / max(now - self._begin, 1e-9)
        left = (self._total - step) / rate if rate > 0 else float("inf")
        print(
            f"step {step}/{self._total}  {rate:.1f} steps/s  loss {loss:.4g}  {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def epoch(self, epoch: int, row: dict[str, float]) -> None:
        self._row = row

    @_unshown
    def stop(self) -> None:
        row = getattr(self, "_row", None)
        if row is not None:
            print(f"epoch {int(row['epoch'])}  {_summary(row)}", file=sys.stderr, flush=True)


class RichProgress:
    """A bar with rate, loss and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("training"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[summary]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            expand=True,
        )

    @_unshown
    def start(self, done: int, total: int) -> None:
        self._done = done
        self._begin = time.monotonic()
        self._task = self._bar.add_task("", total=total, completed=done, rate="", loss="", summary="")
        self._bar.start()

    @_unshown
    def update(self, step: int, loss: float) -> None:
        rate = (step - self._done) / max(time.monotonic() - self._begin, 1e-9)
        self._bar.update(self._task, completed=step, rate=f"{rate:.1f} steps/s", loss=f"loss {loss:.4g}")

    @_unshown
    def epoch(self, epoch: int, row: dict[str, float]) -> None:
        shown = [f"{name} {value:.4g}" for name, value in row.items() if name.startswith("val")]
        self._bar.update(self._task, summary=shown[0] if shown else f"epoch {epoch}")

    @_unshown
    def stop(self) -> None:
        self._bar.stop()


def make_progress(enabled: bool | Any) -> Progress:
    """The bar for a terminal, lines for anything else, nothing when switched off; or the object given."""
    if not isinstance(enabled, bool):
        return enabled
    if not enabled:
        return NoProgress()
    with suppress(OSError, ValueError):  # a closed stream does not say what it was
        if sys.stderr is not None and sys.stderr.isatty():
            return RichProgress()
    return LineProgress()
