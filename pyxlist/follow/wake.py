"""When to look at the source again.

twoskip, skiplist and flat files are written with system calls, which raise inotify events, and a
repack or replacement shows as a new name in the directory.  twom writes through a memory map: no
event, no new length, perhaps not even a new time.  So a twom file, and any file where inotify is not
to be had, is looked at every few milliseconds: one stat and one read of its header, some hundredths of
a processor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Any, Final, Protocol

__all__ = ["POLL_S", "Polling", "Wake", "make_wake"]

POLL_S: Final = 0.005
_RELOOK_S: Final = 1.0  # with inotify: look at least this often, should an event get lost
_log = logging.getLogger("pyxlist")


class Wake(Protocol):
    """Something that waits until the source may have changed."""

    def wait(self, limit_s: float) -> bool:
        """Return when there may be something new, or after `limit_s` seconds; whether to look."""

    def close(self) -> None:
        """Let go of what it holds."""


class Polling:
    """Sleeps."""

    def __init__(self, poll_s: float = POLL_S) -> None:
        self._poll_s = poll_s

    def wait(self, limit_s: float) -> bool:
        time.sleep(min(self._poll_s, limit_s))
        return True

    def close(self) -> None:
        """Nothing is held."""


class Watching:
    """Waits for events of one file and of its name in its directory; where the name is a link, of both ends."""

    def __init__(self, path: str, module: Any) -> None:
        ends = {os.path.split(end) for end in (os.path.abspath(path), os.path.realpath(path))}
        self._names = {"", *(name for _folder, name in ends)}  # "": the queue overflowed
        flags = module.flags
        self._inotify = module.INotify()
        mask = flags.MODIFY | flags.MOVED_TO | flags.CREATE | flags.DELETE | flags.CLOSE_WRITE
        for folder, _name in ends:
            self._inotify.add_watch(folder, mask | flags.ONLYDIR)
        self._looked_at = 0.0

    def wait(self, limit_s: float) -> bool:
        limit = time.monotonic() + limit_s
        while (left := limit - time.monotonic()) > 0:
            events = self._inotify.read(timeout=max(1, int(left * 1000)))
            if any(event.name in self._names for event in events):
                return True
        due = time.monotonic() - self._looked_at >= _RELOOK_S
        if due:
            self._looked_at = time.monotonic()
        return due

    def close(self) -> None:
        self._inotify.close()


def make_wake(path: str, source_format: str, use_inotify: bool = True, poll_s: float = POLL_S) -> Wake:
    """The best way to wait for a source: inotify where the package is there and the format raises events."""
    if use_inotify and source_format != "twom":
        with contextlib.suppress(ImportError, OSError):
            import inotify_simple

            return Watching(path, inotify_simple)
        _log.info("%s: inotify is not available, looking every %g ms", path, poll_s * 1000)
    return Polling(poll_s)
