"""One write transaction of a store: the lock, a look at the file, LMDB's transaction, the promise kept at its end.

The steps stand here one after the other and not as blocks within blocks: they are run for every change, right after
a wait for the disk, and each frame of the interpreter costs then what it costs nowhere else (_store.c says why).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import lmdb

from pyxlist.errors import StoreError
from pyxlist.index.durability import Durability
from pyxlist.index.env import WRITE_TIMEOUT_S, Store
from pyxlist.index.redo import Rows

__all__ = ["Write", "write"]


class Write:
    """The one write transaction, from when it is made to `commit` or `undo`; `txn` is LMDB's.

    Raises StoreBusyError when another holds the lock for longer than `timeout_s`, and says which; StoreFullError when
    there is no room, with nothing of the transaction kept; StoreError for an index that was deleted or replaced.
    """

    __slots__ = ("_durability", "_held", "_pid", "_store", "txn")

    def __init__(self, store: Store, timeout_s: float, durability: Durability) -> None:
        self._store, self._durability = store, durability
        self.txn: Any = None
        if durability is not store.ready:
            store.prepare_writing(durability)
        self._held, self._pid = store.lock.hold(timeout_s), os.getpid()
        try:
            if durability is not store.ready:  # another thread, whose turn it was before, writes otherwise
                store.make_ready(durability)
            store.look_at_file(durability)
            store.watch.look(store.env)
            self.txn = store.env.begin(write=True)
            if self.txn.id() != store.newest + 1:
                store.reserve()
        except BaseException as error:
            self.undo(error)
            raise

    def commit(self, rows: Rows | None = None) -> None:
        """Commit, and return when it is as durable as was promised.

        `rows` are all that it changed, if it changed directory rows and what follows from them, and nothing else.
        Raises as the making does, and StoreError after a fork since then.
        """
        store, kept = self._store, False
        try:
            try:
                kept = self._commit(rows)
                newest = store.look_after()
            finally:
                self._held.let_go()
            # The next writer may begin: what it makes durable includes this.
            if kept:
                store.syncer.note(newest)
            else:
                store.make_durable(self._durability, newest)
        except lmdb.Error as error:
            raise store.failed(error) from error

    def _commit(self, rows: Rows | None) -> bool:
        """Whether it is durable now."""
        store = self._store
        if self._pid != os.getpid():
            raise StoreError("a write transaction does not cross a fork", path=store.path)
        place = store.identity, self.txn.id(), store.page_bytes
        keeps = bool(rows) and self._durability.within_ms == 0
        try:
            kept = keeps and store.redo.put(*place, rows or {})
            if not kept:
                store.redo.forget(*place)
            self.txn.commit()
        except BaseException:
            self.txn.abort()  # nothing, if it has been committed
            if keeps:
                store.redo.take_back(*place)
            raise
        return kept

    def undo(self, error: BaseException) -> None:
        """Keep nothing of it, because of an error.  Raises StoreError in place of one of LMDB's."""
        if self.txn is not None and self._pid == os.getpid():
            self.txn.abort()
        self._held.let_go()
        if isinstance(error, lmdb.Error):
            raise self._store.failed(error) from error


@contextlib.contextmanager
def write(
    store: Store, timeout_s: float = WRITE_TIMEOUT_S, durability: Durability = Durability.EVERY_COMMIT
) -> Iterator[Any]:
    """LMDB's transaction for a `with` block: committed when it ends, undone when it raises.  Raises as `Write`."""
    transaction = Write(store, timeout_s, durability)
    try:
        yield transaction.txn
    except BaseException as error:
        transaction.undo(error)
        raise
    transaction.commit()
