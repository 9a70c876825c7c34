"""How durable a commit is, named by what is promised when the power fails.

Whatever the mode, a commit is whole or absent, visible to every process at once, and survives the death
of any process; the modes differ in what a power loss or a crash of the kernel may take.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Final

from pyxlist.errors import StoreDamagedError
from pyxlist.index.datafile import REBUILD

__all__ = ["UNSYNCED", "Durability", "Syncer", "boot_id", "keep_mark", "refuse_unsynced", "sync_directory"]

UNSYNCED: Final = "unsynced"
_BOOT_ID: Final = pathlib.Path("/proc/sys/kernel/random/boot_id")


@dataclasses.dataclass(frozen=True, slots=True)
class Durability:
    """`within_ms`: milliseconds after the commit in which a power loss may still undo it; None: no promise.

    `EVERY_COMMIT`  durable before the block ends; the default
    `within(ms)`    durable that much later; the index is whole after a power loss, without the last commits
    `REBUILDABLE`   after a power loss the index is refused and has to be built anew
    """

    within_ms: int | None = 0

    EVERY_COMMIT: ClassVar[Durability]
    REBUILDABLE: ClassVar[Durability]

    @classmethod
    def within(cls, ms: int) -> Durability:
        """Durable within so many milliseconds, as long as this process lives; else by the next commit."""
        if ms < 1:
            raise ValueError("within: expected at least one millisecond")
        return cls(ms)


Durability.EVERY_COMMIT = Durability(0)
Durability.REBUILDABLE = Durability(None)


class Syncer:
    """Makes the commits of an environment durable, at once or later, and closes it at no moment in between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed: Any = None  # the environment that was closed last
        self._failure: Exception | None = None  # of the one that is open: what it could not write, it forgets
        self._synced = -1  # transactions of the one that is open up to this are durable
        self.timer: threading.Timer | None = None  # of the first commit that waits

    def sync(self, env: Any, transaction: int | None = None) -> bool:
        """Return when every commit is durable, or every one up to this; False if the environment has been closed.

        Whoever waited while another thread synced has nothing left to do if that came late enough.
        Raises lmdb.Error, and once it did, until the environment is closed.
        """
        with self._lock:
            return self._sync(env, transaction)

    def _sync(self, env: Any, transaction: int | None = None) -> bool:
        if env is self._closed:
            return False
        if self._failure is not None:
            raise self._failure
        if transaction is not None and transaction <= self._synced:
            return True
        try:
            newest = env.info()["last_txnid"]
            env.sync(True)
        except Exception as error:
            self._failure = error
            raise
        self._synced = newest
        return True

    def note(self, transaction: int) -> None:
        """Every commit up to this is durable, without having been synced here."""
        with self._lock:
            self._synced = max(self._synced, transaction)

    def close(self, env: Any) -> None:
        """Close an environment that nobody is syncing."""
        with self._lock:
            env.close()
            self._closed, self._failure, self._synced = env, None, -1

    def sync_later(self, within_ms: int, due: Callable[[], None]) -> None:
        """Call `due` from a thread in time for the first commit that waits."""
        if self.timer is None:
            self.timer = threading.Timer(within_ms / 1000, due)
            self.timer.daemon = True
            self.timer.start()

    def sync_waiting(self, env: Any) -> None:
        """The same as `sync` where any commit waited; nothing will be called for it any more."""
        with self._lock:  # whoever closes it next finds nothing waiting only when that is durable
            timer, self.timer = self.timer, None
            if timer is not None:
                timer.cancel()
                self._sync(env)


def sync_directory(path: pathlib.Path) -> None:
    """Make durable which names a directory has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# A directory that is written without syncing has a mark, with the boot it was made in.  After another
# boot nobody knows which pages have reached the disk.


def mark_unsynced(directory: pathlib.Path) -> None:
    """Note, durably, that from here on the file may not be whole after a power loss.

    The mark comes into being whole: one without its boot would refuse an index that nothing has happened to.
    """
    fresh = directory / f"{UNSYNCED}.new"
    with open(fresh, "w", encoding="ascii") as file:
        file.write(boot_id())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / UNSYNCED)
    sync_directory(directory)


def clear_unsynced(directory: pathlib.Path) -> None:
    """Take the mark away, after everything has been synced."""
    (directory / UNSYNCED).unlink(missing_ok=True)


def keep_mark(directory: pathlib.Path, env: Any, durability: Durability, marked: bool) -> None:
    """Set or, once all is synced, take away the mark, as the next commit needs it.  Raises OSError, lmdb.Error."""
    if durability.within_ms is None:
        if not marked:
            mark_unsynced(directory)
    elif marked:
        env.sync(True)
        clear_unsynced(directory)


def refuse_unsynced(directory: pathlib.Path) -> None:
    """Raise StoreDamagedError for an index whose mark is from before the machine last started."""
    try:
        marked = (directory / UNSYNCED).read_text(encoding="ascii")
    except OSError:
        return
    if marked != boot_id():
        raise StoreDamagedError(
            "the machine stopped while it was written with Durability.REBUILDABLE", path=directory, remedy=REBUILD
        )


def boot_id() -> str:
    """What tells this boot of the machine from every other.  Raises OSError where that is not known."""
    return _BOOT_ID.read_text(encoding="ascii").strip()
