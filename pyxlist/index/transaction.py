"""One write transaction on an index: what hooks and followers write through.

Changes are collected and applied in one sorted batch, because neighbours share blocks; every read
sees what was written before it, whether it has been applied yet or not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from pyxlist._pxl import lib
from pyxlist.config import Config
from pyxlist.entry import Entry
from pyxlist.index._store import find_row
from pyxlist.index.durability import Durability
from pyxlist.index.env import WRITE_TIMEOUT_S, Store
from pyxlist.index.generations import touch
from pyxlist.index.layout import LOOKUP, WHOLE_TABLE, pack_meta, unpack_meta
from pyxlist.index.redo import Rows
from pyxlist.index.rows import apply_rows, iter_below, iter_list, put_list, remove_list
from pyxlist.index.write import Change, apply_changes
from pyxlist.index.writing import Write
from pyxlist.names import HIERARCHY_SEPARATOR, octets_of

__all__ = ["Transaction", "Writing"]

Verbs = TypeVar("Verbs")

_REMEMBERED: Final = 4096  # rows that one transaction keeps at hand


class Transaction:
    """The one writer of an index.  Made by `Writing`; used by the thread that made it, until the block
    ends.

    Keys are key names, rows are directory rows (`Entry.pack`).  Raises what `apply_changes` raises.
    """

    def __init__(self, txn: Any, tables: dict[str, Any]) -> None:
        self.txn = txn
        self.tables = tables
        self.rows: Rows | None = {}  # all that was changed, if that is directory rows alone
        self._pending: dict[bytes, Change] = {}
        self._read: dict[bytes, bytes | None] = {}  # rows that were looked up and are stored so

    # --- reading ---

    @functools.cached_property
    def config(self) -> Config:
        """The configuration that the index answers by."""
        return _config_of(self.txn.get(b"config", db=self.tables["meta"]))

    @property
    def checkpoint(self) -> Any:
        """The source position that the index stands at, as `meta` has it."""
        return self._meta("checkpoint")

    def row(self, key: bytes) -> bytes | None:
        """The directory row of a key name; None without a record."""
        if key in self._pending:
            return self._pending[key][2]
        if key not in self._read:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            self._read[key] = find_row(self.txn, self.tables["directory"], WHOLE_TABLE, key)
        return self._read[key]

    def entry(self, key: bytes) -> Entry | None:
        """The entry of a key name, tombstones and intermediates included."""
        row = self.row(key)
        return None if row is None else Entry.unpack(key, row)

    def below(self, key: bytes) -> Iterator[Entry]:
        """Every entry below a key name, in key order, tombstones and intermediates included.

        Writing while it runs spoils it: take a list first.
        """
        self.flush()
        prefix = key + HIERARCHY_SEPARATOR
        for name, row in iter_below(self.txn, self.tables["directory"], WHOLE_TABLE, prefix):
            yield Entry.unpack(name, row)

    def has_children(self, key: bytes) -> bool:
        """Whether a live mailbox stands below.  Source: imap/mboxlist.c, mboxlist_haschildren."""
        return any(entry.is_live for entry in self.below(key))

    # --- writing ---

    def put(self, entry: Entry) -> None:
        """Write an entry, new or in place of the one with its key."""
        self.put_row(entry.key, entry.pack())

    def remove(self, key: bytes) -> None:
        """Remove a record; nothing happens when there is none."""
        self.put_row(key, None)

    def put_row(self, key: bytes, row: bytes | None) -> None:
        """Set or remove one directory row."""
        old = self._pending[key][1] if key in self._pending else self.row(key)
        self._pending[key] = key, old, row

    def put_rows(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Set or remove directory rows, in any number."""
        for key, row in rows.items():
            self.put_row(key, row)

    def set_checkpoint(self, checkpoint: Any) -> None:
        """Where in which source the index stands once this is committed; plain values."""
        self.rows = None
        self._put_meta("checkpoint", checkpoint)

    def flush(self) -> int:
        """Apply what is pending; how many mailboxes changed.  Done at the end of the block anyway."""
        changes, self._pending = list(self._pending.values()), {}
        rows, self.rows = self.rows, None  # what fails half-way is not to be made again
        self._read.clear()
        count = apply_changes(self.txn, self.tables, changes)
        if rows is not None:
            self.rows = rows | {key: row for key, old, row in changes if old != row}
        return count

    # --- what belongs to a user ---

    def owned_rows(self, table: str, userid: str) -> dict[bytes, bytes]:
        """A user's rows in `subscriptions` (as stored) or `specialuse` (key name -> attributes)."""
        return dict(iter_list(self.txn, self.tables[table], octets_of(userid) + LOOKUP))

    def change_owned_row(self, table: str, userid: str, name: bytes, payload: bytes | None) -> None:
        """Set or, with None, remove one row of a user in `subscriptions` or `specialuse`."""
        owner = octets_of(userid) + LOOKUP
        if find_row(self.txn, self.tables[table], owner, name) == payload:
            return
        self.rows = None
        first = self.txn.get(owner, db=self.tables[table])
        if first is None and payload is not None:
            put_list(self.txn, self.tables[table], owner, [(name, payload)], self._flags(table))
        else:
            apply_rows(self.txn, self.tables[table], owner, [(name, payload)])
        touch(self.txn, self.tables, [owner[: -len(LOOKUP)]])

    def move_owned_rows(self, table: str, userid: str, heir: str | None) -> None:
        """Give all rows of a user to another, in place of the other's; with None, remove them."""
        owner = octets_of(userid) + LOOKUP
        first = self.txn.get(owner, db=self.tables[table])
        if first is None:
            return
        self.rows = None
        rows = sorted(iter_list(self.txn, self.tables[table], owner))
        remove_list(self.txn, self.tables[table], owner)
        touch(self.txn, self.tables, [owner[: -len(LOOKUP)]])
        if heir is not None:
            new_owner = octets_of(heir) + LOOKUP
            remove_list(self.txn, self.tables[table], new_owner)
            put_list(self.txn, self.tables[table], new_owner, rows, first[0] & lib.PXL_FLAT_ORDER)
            touch(self.txn, self.tables, [new_owner[: -len(LOOKUP)]])

    def subscriptions_are_flat(self, userid: str) -> bool:
        """Whether a user's subscriptions are kept in the order of a flat file, with 0x01 for each dot."""
        first = self.txn.get(octets_of(userid) + LOOKUP, db=self.tables["subscriptions"])
        return bool((self._flags("subscriptions") if first is None else first[0]) & lib.PXL_FLAT_ORDER)

    def _flags(self, table: str) -> int:
        flat = table == "subscriptions" and self.config.subscription_db == "flat"
        return int(lib.PXL_FLAT_ORDER) if flat else 0

    def _meta(self, name: str) -> Any:
        raw = self.txn.get(name.encode(), db=self.tables["meta"])
        return None if raw is None else unpack_meta(raw)

    def _put_meta(self, name: str, value: Any) -> None:
        packed = pack_meta(value)
        if self.txn.get(name.encode(), db=self.tables["meta"]) != packed:
            self.txn.put(name.encode(), packed, db=self.tables["meta"])


@functools.lru_cache(maxsize=8)
def _config_of(packed: bytes) -> Config:
    """A stored configuration; the same for every transaction, as a rule."""
    return Config.from_dict(unpack_meta(packed))


class Writing(Generic[Verbs]):
    """The write transaction of a `with` block, as verbs on it: committed when the block ends, undone when it raises.

    Raises as `Write` does; nothing of the block is kept then.
    """

    __slots__ = ("_arguments", "_transaction", "_verbs", "_write")

    def __init__(
        self,
        store: Store,
        verbs: Callable[[Transaction], Verbs],
        timeout_s: float = WRITE_TIMEOUT_S,
        durability: Durability = Durability.EVERY_COMMIT,
    ) -> None:
        self._arguments = store, timeout_s, durability
        self._verbs = verbs

    def __enter__(self) -> Verbs:
        write = self._write = Write(*self._arguments)
        try:
            self._transaction = Transaction(write.txn, self._arguments[0].tables)
            return self._verbs(self._transaction)
        except BaseException as error:
            write.undo(error)
            raise

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: Any) -> None:
        if error is not None:
            self._write.undo(error)
            return
        try:
            self._transaction.flush()
        except BaseException as failure:
            self._write.undo(failure)
            raise
        self._write.commit(self._transaction.rows)
