"""The writer lock of an index: one writer at a time, in any thread of any process.

LMDB has a lock of its own, but no way to wait for it with a limit, or to learn who holds it.  Two files
are locked by flock(2), which the kernel releases with a process that dies: whoever waits in `turn.lock`
is next at `writer.lock`, so a writer that never pauses cannot shut the others out.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import time
from collections.abc import Iterator
from typing import IO, Final

from pyxlist.errors import StoreBusyError, StoreError

__all__ = ["writer_lock"]

_TURN: Final = "turn.lock"
_WRITER: Final = "writer.lock"
_PAUSE_S: Final = 0.0005

# Files that are locked now: a child that a fork makes must not keep its parent's locks alive.
_held: set[IO[str]] = set()


@contextlib.contextmanager
def writer_lock(directory: pathlib.Path, timeout_s: float) -> Iterator[None]:
    """Hold the writer lock for a `with` block.

    Raises StoreBusyError after `timeout_s`, naming the holder; StoreError where the lock files cannot be
    opened.
    """
    limit = time.monotonic() + timeout_s
    with _open_lock(directory, _WRITER) as writer, _released(writer):
        with _open_lock(directory, _TURN) as turn, _released(turn):
            _acquire(turn, limit, directory)
            _acquire(writer, limit, directory)
        _sign(writer)
        yield


def _open_lock(directory: pathlib.Path, name: str) -> IO[str]:
    try:
        return open(os.open(f"{directory}/{name}", os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="ascii")
    except OSError as error:
        gone = error.errno == errno.ENOENT
        message = "no index here any more" if gone else f"{name} cannot be locked: {error.strerror}"
        raise StoreError(message, path=directory) from error


@contextlib.contextmanager
def _released(lock: IO[str]) -> Iterator[None]:
    """Unlock at the end, although closing would: a child may have inherited the open file."""
    pid = os.getpid()
    _held.add(lock)
    try:
        yield
    finally:
        _held.discard(lock)
        if pid == os.getpid():
            fcntl.flock(lock, fcntl.LOCK_UN)


def _acquire(lock: IO[str], limit: float, directory: pathlib.Path) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > limit:
                raise StoreBusyError("another is writing", path=directory, got=_holder(directory)) from None
            time.sleep(_PAUSE_S)


def _sign(lock: IO[str]) -> None:
    """Say who holds it; only for people, so a full disk does not matter.

    Written over what stands there: some file systems write a file that was truncated out at once, which
    costs as much as the commit.
    """
    with contextlib.suppress(OSError):
        os.pwrite(lock.fileno(), b"%10d %12d" % (os.getpid(), time.time()), 0)


def _holder(directory: pathlib.Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        pid, since = (directory / _WRITER).read_text(encoding="ascii").split()
        name = pathlib.Path(f"/proc/{int(pid)}/comm").read_text(encoding="utf-8", errors="replace").strip()
        return f"pid {pid} ({name}), for {max(0, int(time.time()) - int(since))} s"
    return "an unknown holder"


def _let_go_in_child() -> None:
    for lock in _held:
        lock.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)
