"""How far generating is: a bar in a terminal, a line every few seconds elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["make_progress"]

_EVERY = 5.0


@contextmanager
def make_progress(enabled: bool, name: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Give a function that takes the number of new samples; it may be called from several threads.

    Args:
        enabled: Show anything.
        name: What is generated.
        total: Number of samples.
        done: Samples that a run before left.
    """
    if enabled and done:
        print(f"{name}: {done} of {total} samples are there from a run before", file=sys.stderr, flush=True)
    if not enabled:
        yield lambda num: None
    elif sys.stderr.isatty():
        with _bar(name, total, done) as advance:
            yield advance
    else:
        yield _lines(name, total, done)


def _lines(name: str, total: int, done: int) -> Callable[[int], None]:
    begin = last = time.monotonic()
    first, lock = done, threading.Lock()

    def advance(num: int) -> None:
        nonlocal last, done
        with lock:
            done += num
            now = time.monotonic()
            if now - last < _EVERY:
                return
            last = now
            rate = (done - first) / max(now - begin, 1e-9)
            print(
                f"{name} {done}/{total} samples  {rate:.3g} samples/s  {(total - done) / rate:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    return advance


@contextmanager
def _bar(name: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(name), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("samples"), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), expand=True) as bar:
        task = bar.add_task(name, total=total, completed=done)
        yield lambda num: bar.advance(task, num)
