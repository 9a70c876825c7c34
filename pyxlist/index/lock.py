"""The writer lock of an index: one writer at a time, in any thread of any process.

LMDB has a lock of its own, but no way to wait for it with a limit, or to learn who holds it.  Two files
are locked by flock(2), which the kernel releases with a process that dies: whoever waits in `turn.lock`
is next at `writer.lock`, so a writer that never pauses cannot shut the others out.  Nothing is written into
them: the kernel knows who holds a lock, and a change would pay for it every time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import time
import weakref
from typing import Final

from pyxlist.errors import StoreBusyError, StoreError
from pyxlist.index._store import take_turn

__all__ = ["Held", "WriterLock"]

_TURN: Final = "turn.lock"
_WRITER: Final = "writer.lock"
_LOCKS: Final = "/proc/locks"
_SPARES: Final = 4  # pairs of open files kept, for as many threads that write in turns
# How long between two looks at a lock that somebody has: an eighth of the time waited so far, so that short
# transactions of several processes follow each other closely and a long one is not asked for all the time.
_SHORTEST_S: Final = 0.00005
_LONGEST_S: Final = 0.001

# Every lock file that is open: a child that a fork makes must not keep its parent's locks alive.
_files: weakref.WeakSet[_File] = weakref.WeakSet()


class _File:
    """An open lock file: closed with the last reference, without a warning."""

    def __init__(self, path: str) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        _files.add(self)

    def fileno(self) -> int:
        return self.descriptor

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close


_Pair = tuple[_File, _File]  # turn.lock, writer.lock


class WriterLock:
    """The lock of one index directory.  Any number of threads may ask for it; each gets open files of its own,
    because flock(2) does not tell apart who shares one.  The files stay open between two uses.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._spares: list[_Pair] = []

    def hold(self, timeout_s: float) -> Held:
        """Hold the lock, until `let_go` or the end of a `with` block.

        Raises StoreBusyError after `timeout_s`, naming the holder; StoreError where the lock files cannot be
        opened.
        """
        pair = self._take()
        # What was not locked may be unlocked, so an interrupt can come at any moment of this.
        try:
            if not take_turn(pair[0].descriptor, pair[1].descriptor):
                self._wait_for(pair, time.monotonic() + timeout_s)
        except BaseException:
            Held(self, pair).let_go()
            raise
        return Held(self, pair)

    def close(self) -> None:
        """Close the files that nobody uses."""
        while self._spares:
            for file in self._spares.pop():
                file.close()

    def _take(self) -> _Pair:
        """Open files for one holder."""
        try:
            while True:
                pair = self._spares.pop()
                if pair[0].descriptor >= 0:
                    return pair
        except IndexError:  # also where another thread took the last
            return self._opened(_TURN), self._opened(_WRITER)

    def give_back(self, pair: _Pair) -> None:
        """Keep the files of one that holds the lock no more."""
        if len(self._spares) < _SPARES:
            self._spares.append(pair)

    def _opened(self, name: str) -> _File:
        try:
            return _File(f"{self._directory}/{name}")
        except OSError as error:
            gone = error.errno == errno.ENOENT
            message = "no index here any more" if gone else f"{name} cannot be locked: {error.strerror}"
            raise StoreError(message, path=self._directory) from error

    def _wait_for(self, pair: _Pair, limit: float) -> None:
        try:
            for file in pair:
                self.acquire(file, limit)
        finally:
            fcntl.flock(pair[0].descriptor, fcntl.LOCK_UN)

    def acquire(self, lock: _File, limit: float) -> None:
        """Lock one of the files, or raise StoreBusyError when time.monotonic() is beyond `limit`."""
        started = 0.0
        while True:
            try:
                fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                now = time.monotonic()
                started = started or now
                if now > limit:
                    raise StoreBusyError("another is writing", path=self._directory, got=self._holder()) from None
                time.sleep(min(max((now - started) / 8, _SHORTEST_S), _LONGEST_S))

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            pid = _holder_of((self._directory / _WRITER).stat().st_ino)
            if pid is not None:
                name = pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"pid {pid} ({name})"
        return "an unknown holder"


class Held:
    """The lock of one holder."""

    __slots__ = ("_lock", "_pair")

    def __init__(self, lock: WriterLock, pair: _Pair) -> None:
        self._lock = lock
        self._pair = pair

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        self.let_go()

    def let_go(self) -> None:
        """Hold the lock no more."""
        descriptor = self._pair[1].descriptor
        if descriptor >= 0:  # not closed in a child
            # Although closing would: a child may have inherited the open file.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._lock.give_back(self._pair)


def _holder_of(inode: int) -> int | None:
    """Process id of who has a file locked by flock(2), as far as the kernel shows it to this process."""
    with contextlib.suppress(OSError), open(_LOCKS, encoding="ascii") as lines:
        for words in map(str.split, lines):
            # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:1049731 0 EOF
            if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(f":{inode}") and int(words[4]) > 0:
                return int(words[4])
    return None


def _let_go_in_child() -> None:
    for file in _files:
        file.close()
    _files.clear()


os.register_at_fork(after_in_child=_let_go_in_child)
