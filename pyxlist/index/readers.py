"""Who is reading an index, in any process, and who has stood still inside one snapshot for too long.

LMDB reuses no page that an open snapshot may still need, so a reader that was stopped makes the file grow.
"""

from __future__ import annotations

import logging
import pathlib
import time
from typing import Any, Final

__all__ = ["ReaderWatch", "oldest_reader", "readers_of"]

READER_PATIENCE_S: Final = 60.0  # how long a reader may keep one snapshot before writers warn of it

_log = logging.getLogger("pyxlist")


def readers_of(env: Any) -> list[tuple[int, int]]:
    """(process id, transaction id) of every read transaction alive in any process."""
    lines = (line.split() for line in env.readers().splitlines()[1:])
    return [(int(words[0]), int(words[2])) for words in lines if len(words) >= 3 and words[2].isdigit()]


def oldest_reader(env: Any) -> tuple[int | None, int]:
    """Process id of the oldest reader, and how many transactions behind the newest it is; None and 0 without."""
    newest = env.info()["last_txnid"]
    lag, pid = max(((newest - txnid, pid) for pid, txnid in readers_of(env)), default=(0, None))
    return pid, lag


class ReaderWatch:
    """A writer's eye on readers: frees the slots of dead ones, names those that keep one snapshot."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self.looked_s = 0.0
        self._held_since: dict[tuple[int, int], float] = {}
        self._warned_s: dict[int, float] = {}

    def look(self, env: Any) -> None:
        """Look, at most once a second; warn of one process at most once a minute."""
        now = time.monotonic()
        if now - self.looked_s < 1:
            return
        self.looked_s = now
        env.reader_check()
        newest = env.info()["last_txnid"]
        self._held_since = {reader: self._held_since.get(reader, now) for reader in readers_of(env)}
        for (pid, txnid), since in self._held_since.items():
            overdue = now - since >= READER_PATIENCE_S and now - self._warned_s.get(pid, -now) >= READER_PATIENCE_S
            if newest > txnid and overdue:
                self._warned_s[pid] = now
                _log.warning(
                    "%s: pid %d has kept one snapshot for %d s and is %d transactions behind; "
                    "the index grows until it goes on or is stopped",
                    self._path,
                    pid,
                    now - since,
                    newest - txnid,
                )
