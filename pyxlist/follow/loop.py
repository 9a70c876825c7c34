"""Following for as long as a process lives: look, wait, look again; go on after whatever can pass."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from pyxlist.config import Config
from pyxlist.errors import SourceError, StoreBusyError, StoreFullError
from pyxlist.follow.beside import Beside
from pyxlist.follow.follower import Follower, FollowReport
from pyxlist.follow.status import Status
from pyxlist.follow.wake import POLL_S, Polling, Wake, make_wake

__all__ = ["follow"]

Stop = threading.Event | Callable[[], bool]
OnStep = Callable[[FollowReport], None]

_STOP_S: Final = 0.1  # how soon a request to stop is seen
_BACKOFF_S: Final = (0.1, 5.0)
_PASSING: Final = (SourceError, StoreBusyError, StoreFullError)
_log = logging.getLogger("pyxlist")


def follow(
    source: str | os.PathLike[str],
    index_path: str | os.PathLike[str],
    once: bool = False,
    *,
    config: Config | None = None,
    subscriptions: str | os.PathLike[str] | None = None,
    annotations: str | os.PathLike[str] | None = None,
    stop: Stop | None = None,
    on_step: OnStep | None = None,
    on_true: Callable[[], None] | None = None,
    use_inotify: bool = True,
    poll_s: float = POLL_S,
    rescan_s: float = 3600.0,
) -> FollowReport:
    """Apply to the index what the server changed in `source` since; `once`, or until `stop` says so.

    `stop` is an event or a callable and is asked about ten times a second.  `on_step(report)` is called after
    every step that changed something, `on_true()` once, when the index is true for the first time.
    `subscriptions` and `annotations` are followed too (see `build` for what they are).  An index that
    something else writes to as well is compared with the source every `rescan_s` seconds.  Returns the last
    report that is not "none", if there was one.

    Raises StoreError for an index that cannot be written; SourceError for an unusable source only when
    `once`, otherwise it waits for a better one and says so in the log.
    """
    with Follower(source, index_path, config, rescan_s) as follower:
        beside = Beside(index_path, subscriptions, annotations)
        if once:
            report = follower.step()
            beside.look()
            return report
        with beside, Status(follower.index_path, follower.source) as status:
            loop = _Loop(follower, beside, status, on_step, on_true, use_inotify, poll_s)
            return loop.run(_asker(stop))


def _asker(stop: Stop | None) -> Callable[[], bool]:
    if stop is None:
        return lambda: False
    return stop.is_set if isinstance(stop, threading.Event) else stop


class _Loop:
    def __init__(
        self,
        follower: Follower,
        beside: Beside,
        status: Status,
        on_step: OnStep | None,
        on_true: Callable[[], None] | None,
        use_inotify: bool,
        poll_s: float,
    ) -> None:
        self._follower = follower
        self._beside = beside
        self._status = status
        self._on_step = on_step
        self._on_true = on_true
        self._use_inotify = use_inotify
        self._poll_s = poll_s
        self._wake: tuple[str, Wake] = ("", Polling(poll_s))
        self._pause_s = 0.0
        self.last = FollowReport("none")

    def run(self, stopped: Callable[[], bool]) -> FollowReport:
        try:
            while not stopped():
                self._step()
                self._wait(stopped)
        finally:
            self._wake[1].close()
        return self.last

    def _step(self) -> None:
        try:
            report = self._follower.step()
            self._pause_s = 0.0
        except _PASSING as error:
            if not self._pause_s:
                _log.warning("%s; the index stays as it was, trying again", error)
            self._status.failed(error)
            self._pause_s = min(max(2 * self._pause_s, _BACKOFF_S[0]), _BACKOFF_S[1])
            return
        self._status.stepped(report)
        if self._on_true is not None:
            self._on_true()
            self._on_true = None
        if report.mode != "none":
            self.last = report
            if report.added or report.removed or report.mode == "rebuild":
                self._beside.note_names_changed()
            if self._on_step is not None:
                self._on_step(report)
        self._choose_wake()

    def _choose_wake(self) -> None:
        """The format decides how to wait; it can change under us."""
        name = self._follower.source_format
        if name != self._wake[0]:
            self._wake[1].close()
            self._wake = name, make_wake(self._follower.source, name, self._use_inotify, self._poll_s)

    def _wait(self, stopped: Callable[[], bool]) -> None:
        if self._pause_s:
            until = time.monotonic() + self._pause_s
            while time.monotonic() < until and not stopped():
                time.sleep(min(_STOP_S, self._pause_s))
            return
        while not self._wake[1].wait(_STOP_S) and not stopped():
            self._status.idle()
