"""With which arguments a constructor was reached, through whatever filled them in."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType
from typing import Any, TypeVar

__all__ = ["recorded"]

Result = TypeVar("Result")


def recorded(build: Callable[..., Any], call: Callable[[], Result]) -> tuple[Result, dict[str, Any]]:
    """Call a function, and keep the arguments with which it first reached ``build``, defaults included.

    Args:
        build: Class or function written in Python.
        call: Reaches ``build``, directly or not.

    Returns:
        What ``call`` gave, and the arguments; none if ``build`` was not reached, or a profiler is running.

    Example:
        >>> def build(sensors, modes=8): ...
        >>> recorded(build, lambda: build(100))[1]
        {'sensors': 100, 'modes': 8}
    """
    code = _code(build)
    if code is None or sys.getprofile() is not None:
        return call(), {}
    found: list[dict[str, Any]] = []

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is code and not found:
            found.append(_arguments(frame))

    sys.setprofile(watch)
    try:
        result = call()
    finally:
        sys.setprofile(None)
    arguments = found[0] if found else {}
    if inspect.isclass(_unwrapped(build)):
        arguments.pop(code.co_varnames[0], None)
    return result, arguments


def _unwrapped(build: Callable[..., Any]) -> Any:
    while isinstance(build, partial):
        build = build.func
    return inspect.unwrap(build)


def _code(build: Callable[..., Any]) -> CodeType | None:
    build = _unwrapped(build)
    function = inspect.unwrap(build.__init__) if inspect.isclass(build) else build
    return getattr(function, "__code__", None)


def _arguments(frame: FrameType) -> dict[str, Any]:
    names, _, keywords, values = inspect.getargvalues(frame)
    more = values[keywords] if keywords else {}
    return {**{name: values[name] for name in names}, **more}
