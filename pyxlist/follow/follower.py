"""One look at a source: nothing new, the appended records applied, or the index built by difference.

A file that only grew is read from the checkpoint's offset on.  Everything else ends in a build by
difference, which asks nothing of the past: another generation, identity or history (repack,
replacement, a restored backup), a file that became shorter, a header that cannot be read, a stretch
that is not made of whole transactions, a delete whose key cannot be told, an index somebody else
wrote to.  That is one transaction too, so a reader sees the state before or the state after.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import time
from typing import Any, Final

from pyxlist.config import Config
from pyxlist.cyrusdb import Source
from pyxlist.cyruslog import LOG_FORMATS, Header, Log, has_changed, is_wholly_marked
from pyxlist.errors import CorruptSourceError, GapError, StoreError, UnsupportedSourceError
from pyxlist.index.build import BuildReport, build
from pyxlist.index.checkpoint import Checkpoint, read_checkpoint
from pyxlist.index.durability import Durability
from pyxlist.index.env import Store
from pyxlist.index.opening import open_store
from pyxlist.index.replay import Replayed, replay
from pyxlist.index.rescan import forget_rescan, read_rescan
from pyxlist.index.workplace import is_vacant
from pyxlist.index.writing import write

__all__ = ["FollowReport", "Follower"]

_CREDIBLE_LAG_S: Final = 60.0
_DURABLE: Final = Durability.within(200)
_log = logging.getLogger("pyxlist")


@dataclasses.dataclass(frozen=True, slots=True)
class FollowReport:
    """What one look at the source did.

    `mode`     "none" (nothing new), "tail" (appended records applied) or "rebuild" (by difference)
    `reason`   why a rebuild was needed, empty otherwise
    `added`, `changed`, `removed`   mailboxes
    `end`      committed octets of the source that the index stands for
    `seconds`  wall time;  `lag_s` from the file's last write to our commit, None when nothing was done
    """

    mode: str
    reason: str = ""
    added: int = 0
    changed: int = 0
    removed: int = 0
    end: int = 0
    seconds: float = 0.0
    lag_s: float | None = None

    @property
    def total(self) -> int:
        """Mailboxes that are not what they were."""
        return self.added + self.changed + self.removed


class _Raced(Exception):
    """Somebody else moved the checkpoint, or put another index in place, while we read."""


class Follower:
    """Keeps an index equal to a source, one `step` at a time; a context manager.

    It holds the source open between steps and the index open as any reader does; not for several threads.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        index_path: str | os.PathLike[str],
        config: Config | None = None,
        rescan_s: float = 3600.0,
    ) -> None:
        self.source = os.fspath(source)
        self.index_path = pathlib.Path(index_path)
        self._config = config
        self._rescan_s = rescan_s
        self._built_at = time.monotonic()
        self._source_log: Log | None = None
        self._store: Store | None = None
        self._trusted: tuple[Log, Source] | None = None
        self.source_format = ""

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let source and index go.  Twice does no harm."""
        if self._source_log is not None:
            self._source_log.close()
            self._source_log = None
        if self._store is not None:
            self._store.close()
            self._store = None

    # --- one step ---

    def step(self) -> FollowReport:
        """Make the index equal to the source's last commit.

        Raises SourceError when the source cannot be read now, with the index left as it was, and StoreError
        when the index cannot be written.  Cost when nothing changed: a stat, one small read, one lookup.
        """
        started = time.monotonic()
        try:
            report = self._tail()
        except GapError as gap:
            report = self._rebuild(str(gap))
        if report.mode == "none":
            return report
        seconds = time.monotonic() - started
        return dataclasses.replace(report, seconds=seconds, lag_s=self._lag_s(seconds))

    def _lag_s(self, seconds: float) -> float:
        """Since the source was last written to; `seconds` where its time cannot be meant (a copy, a clock set)."""
        try:
            lag = time.time() - os.stat(self.source).st_mtime
        except OSError:
            return seconds
        return lag if 0 <= lag < _CREDIBLE_LAG_S else seconds

    def _tail(self) -> FollowReport:
        while True:
            try:
                return self._tail_once()
            except _Raced:
                continue

    def _tail_once(self) -> FollowReport:
        store = self.opened_store()
        with store.read() as txn:
            checkpoint = read_checkpoint(txn, store.tables)
            settled = checkpoint is not None and checkpoint.is_settled(txn.id())
            rescan = read_rescan(txn, store.tables)
        if checkpoint is None:
            raise GapError("the index has no checkpoint")
        if rescan:
            raise GapError(f"a rescan was asked for: {', '.join(rescan)}")
        self.source_format = checkpoint.source.format
        if not settled and time.monotonic() - self._built_at > self._rescan_s:
            raise GapError("the index was written to by something else")
        if checkpoint.source.format not in LOG_FORMATS:
            return self._by_time(checkpoint.source)
        log, header = self._opened_log(checkpoint.source)
        if header.end == checkpoint.source.end:
            return FollowReport("none", end=header.end)
        changes, end = log.changes(checkpoint.source.end, header)
        if end == checkpoint.source.end:
            return FollowReport("none", end=end)
        reached = log.source(header, end)
        done = self._apply(store, checkpoint, changes, reached)
        self._trusted = (log, reached)
        return FollowReport("tail", "", done.added, done.changed, done.removed, end)

    def _apply(self, store: Store, checkpoint: Checkpoint, changes: list[Any], reached: Source) -> Replayed:
        """One write transaction; the source was read before it and is not touched in it.

        It need not wait for the disk: what a power loss takes of it is in the source still.
        """
        try:
            with write(store, durability=_DURABLE) as txn:
                if read_checkpoint(txn, store.tables) != checkpoint:
                    raise _Raced
                return replay(txn, store.tables, checkpoint, changes, reached)
        except StoreError:
            if store.is_current():
                raise
            raise _Raced from None

    def opened_store(self) -> Store:
        """The index, opened again if another stands in its place now.  Raises GapError when there is none."""
        if self._store is not None and not self._store.is_current():
            self._store.close()
            self._store = None
        if self._store is None:
            if is_vacant(self.index_path):
                raise GapError("there is no index yet")
            self._store = open_store(self.index_path)
        return self._store

    # --- is it the file we know? ---

    def _opened_log(self, known: Source) -> tuple[Log, Header]:
        """The source as a log with the history of `known`.  Raises GapError when it has another."""
        if self._source_log is not None and not self._source_log.is_current():
            self._source_log.close()
            self._source_log = None
        try:
            log = self._source_log = self._source_log or Log(self.source)
            header = log.header()
        except UnsupportedSourceError as error:
            raise GapError("the source is of another format now") from error
        except CorruptSourceError as error:
            raise GapError(f"the source's header cannot be read: {error.message}") from error
        _refuse_other_history(log, header, known)
        if self._trusted != (log, known) or header.end != known.end:
            if not log.has_mark(known):
                raise GapError("the source has another history")
            moved = (log.inode, log.device) != (known.inode, known.device)
            if moved and not is_wholly_marked(known):
                raise GapError("the source was replaced")
            self._trusted = (log, known)
        return log, header

    def _by_time(self, known: Source) -> FollowReport:
        """A format that every write replaces whole: nothing to read but whether it changed."""
        if known.path == self.source and not has_changed(known):
            return FollowReport("none", end=known.end)
        report = self._rebuild("the source was written anew")
        return report if report.total else dataclasses.replace(report, mode="none", reason="")

    # --- by difference ---

    def _rebuild(self, reason: str) -> FollowReport:
        token = self._rescan_token()
        built = build(self.source, self.index_path, config=self._config)
        self._built_at = time.monotonic()
        self._forget(token)
        _log.log(
            logging.INFO if built.mode != "create" else logging.DEBUG,
            "%s: built by difference, because %s: %d added, %d changed, %d removed",
            self.index_path,
            reason,
            built.added,
            built.changed,
            built.removed,
        )
        return self._rebuilt(reason, built)

    def _rebuilt(self, reason: str, built: BuildReport) -> FollowReport:
        store = self.opened_store()
        with store.read() as txn:
            checkpoint = read_checkpoint(txn, store.tables)
        end = checkpoint.source.end if checkpoint is not None else 0
        self.source_format = built.source_format
        return FollowReport("rebuild", reason, built.added, built.changed, built.removed, end)

    def _rescan_token(self) -> list[str]:
        """What rescans were asked for before the build looks at the source; later requests stay."""
        if is_vacant(self.index_path):
            return []
        store = self.opened_store()
        with store.read() as txn:
            return read_rescan(txn, store.tables)

    def _forget(self, token: list[str]) -> None:
        if token:
            store = self.opened_store()
            with write(store) as txn:
                forget_rescan(txn, store.tables, token)


def _refuse_other_history(log: Log, header: Header, known: Source) -> None:
    for word, had, has in (
        ("format", known.format, header.format),
        ("generation", known.generation, header.generation),
        ("identity", known.identity, header.identity),
    ):
        if had != has:
            raise GapError(f"the source has another {word}", path=log.path, expected=had, got=has)
    if header.end < known.end:
        raise GapError("the source became shorter", path=log.path, expected=known.end, got=header.end)
