"""Subscriptions and special-use attributes, followed: small files that change apart from mailboxes.db.

There may be hundreds of thousands of subscription files, too many to watch, so they are looked at in
passes: one stat a file, and only what changed is read.  A pass is followed by a rest of many times
its own length, which bounds the cost whatever the number of files.  Files are read in a read
transaction; the write transaction that follows only writes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import threading
import time
from typing import Any, Final

from pyxlist.config import Config
from pyxlist.errors import PyxlistError
from pyxlist.index import companions
from pyxlist.index.checkpoint import keep_settled
from pyxlist.index.env import Store
from pyxlist.index.layout import LOOKUP, unpack_meta
from pyxlist.index.opening import open_store
from pyxlist.index.subscriptions import SubscriptionFile, find_files
from pyxlist.index.workplace import is_vacant
from pyxlist.index.writing import write
from pyxlist.names import octets_of

__all__ = ["Beside"]

_SHARE: Final = 20  # a pass takes at most one part in so many of the time
_REST_S: Final = 0.5
_log = logging.getLogger("pyxlist")

Stamp = tuple[int, int, int]


class Beside:
    """Keeps the subscriptions and specialuse tables equal to their sources; None is not followed.

    `run` does it in a thread of its own until `close`; `look` once.
    """

    def __init__(
        self,
        index_path: str | os.PathLike[str],
        subscriptions: str | os.PathLike[str] | None = None,
        annotations: str | os.PathLike[str] | None = None,
        rest_s: float = _REST_S,
    ) -> None:
        self._index_path = pathlib.Path(index_path)
        self._subscriptions = subscriptions
        self._annotations = annotations
        self._rest_s = rest_s
        self._files: list[SubscriptionFile] = []
        self._users: dict[str, str] = {}
        self._stamps: dict[str, tuple[str, Stamp]] | None = None
        self._annotations_stamp: Stamp | None = None
        self._names_changed = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Beside:
        if self._subscriptions is not None or self._annotations is not None:
            self._thread = threading.Thread(target=self.run, name="pyxlist-beside", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def note_names_changed(self) -> None:
        """Mailboxes came, went or were renamed: whose a file is, and what an annotation is about, may differ."""
        self._names_changed = True

    def run(self) -> None:
        """Pass after pass until the end; what fails is logged and tried again."""
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self.look()
            except (PyxlistError, OSError) as error:
                _log.warning("subscriptions and annotations: %s", error)
                self._names_changed = True
            self._stop.wait(max(self._rest_s, (_SHARE - 1) * (time.monotonic() - began)))

    def look(self) -> bool:
        """One pass; whether it changed the index."""
        if (self._subscriptions is None and self._annotations is None) or is_vacant(self._index_path):
            return False
        names_changed, self._names_changed = self._names_changed, False
        store = open_store(self._index_path)
        try:
            changed = self._look_at_subscriptions(store, names_changed)
            return self._look_at_annotations(store, names_changed) or changed
        finally:
            store.close()

    def _look_at_annotations(self, store: Store, names_changed: bool) -> bool:
        if self._annotations is None:
            return False
        stamp = _stamp(self._annotations)
        if stamp == self._annotations_stamp and not names_changed:
            return False
        with store.read() as txn:
            config = _config(txn, store)
            lists = companions.read_annotations(txn, store.tables, config, self._annotations, companions.Outcome())
        changed = _write(store, "specialuse", lists, [b""])
        self._annotations_stamp = stamp
        return changed

    def _look_at_subscriptions(self, store: Store, names_changed: bool) -> bool:
        if self._subscriptions is None:
            return False
        with store.read() as txn:
            config = _config(txn, store)
            files = sorted(find_files(self._subscriptions, config))
            if names_changed or files != self._files:
                self._users = companions.files_by_user(txn, store.tables, config, files, companions.Outcome())
                self._files = files
        old, new = self._stamps, self._stamped()
        users = new.keys() if old is None else {user for user, stamp in new.items() ^ old.items()}
        lists = companions.read_lists(
            {user: new[user][0] for user in users if user in new}, config, companions.Outcome()
        )
        only = [b""] if old is None else [octets_of(user) + LOOKUP for user in users]
        changed = bool(only) and _write(store, "subscriptions", lists, only)
        self._stamps = new
        return changed

    def _stamped(self) -> dict[str, tuple[str, Stamp]]:
        """Where each user's file is, and its time; without those that are gone."""
        stamps: dict[str, tuple[str, Stamp]] = {}
        for userid, path in self._users.items():
            with contextlib.suppress(OSError):
                stamps[userid] = path, _stamp(path)
        return stamps


def _write(store: Store, table: str, lists: companions.Lists, only: list[bytes]) -> bool:
    with write(store) as txn:
        changed = companions.replace_lists(txn, store.tables, table, lists, only)
        if changed:
            keep_settled(txn, store.tables)
    return changed


def _config(txn: Any, store: Store) -> Config:
    return Config.from_dict(unpack_meta(txn.get(b"config", db=store.tables["meta"])))


def _stamp(path: str | os.PathLike[str]) -> Stamp:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_ino, status.st_size
