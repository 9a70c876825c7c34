"""Open an index that exists, and finish what a power loss left undone."""

from __future__ import annotations

import os

from pyxlist.errors import StoreError
from pyxlist.index.env import Store, shared_store
from pyxlist.index.generations import touch
from pyxlist.index.layout import DIRECTORY
from pyxlist.index.redo import pending
from pyxlist.index.transaction import Writing

__all__ = ["open_store"]


def open_store(path: str | os.PathLike[str]) -> Store:
    """The store of an existing index directory, shared within this process; `close` it when done.

    Raises StoreError when nothing is there, StoreVersionError for another layout, StoreDamagedError for a
    truncated or damaged file.
    """
    store = shared_store(path)
    try:
        if pending(store.data) is not None:
            _finish(store)
    except BaseException:
        store.close()
        raise
    return store


def _finish(store: Store) -> None:
    """Make the last change before a power loss once more (redo.py)."""
    if not os.access(store.data, os.W_OK):
        raise StoreError(
            "the power failed right after a change, which only a writer can finish",
            path=store.path,
            remedy="open it once as a user who may write there",
        )
    with Writing(store, lambda transaction: transaction) as transaction:
        waiting = pending(store.data)
        if waiting is None:  # another was faster
            return
        transaction.put_rows(waiting.rows)
        touch(transaction.txn, transaction.tables, {DIRECTORY})  # it takes up its number, whatever it changes
        store.redo.settle(store.identity, waiting.transaction, store.page_bytes)
        transaction.rows = None  # what is kept stays until this is durable
