"""A lock on a file that the system releases when its process ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sciml.errors import ConfigError

__all__ = ["file_lock"]


@contextmanager
def file_lock(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock for the block.

    Args:
        path: The lock file; it stays, empty, when somebody waits for it, and is removed otherwise.
        wait: Wait for another process that holds it.

    Raises:
        ConfigError: If another process holds it and ``wait`` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            _acquire(handle, wait)
        except OSError as error:
            os.close(handle)
            raise ConfigError(f"another process is writing {path.with_suffix('')}: wait until it is done.") from error
        if _is_current(handle, path):
            break
        # The holder before us removed the file while we waited: lock the new one.
        os.close(handle)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _is_current(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _acquire(handle: int, wait: bool) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
