"""Changes of a source, in the order the server made them -> the same changes of the index.

Only records of names matter (key N + key name); uniqueid and reverse ACL records repeat what those
say.  A twoskip delete says which record followed the deleted one, so the deleted key is the last one
before it that is there at that moment, among *all* keys.  The directory has all names, but no other
key, and that is enough: octet order puts every key that starts below N before all names, so

* a key below N is preceded by no name: nothing to do;
* a name is preceded by the name before it, if there is one, and otherwise by no name;
* a key above all names, or the end, is preceded by the last name, unless the source has other keys up
  there.  Cyrus writes none; where some were seen the question has no answer here.

Names are looked up in the directory as the changes so far leave it, so the directory must have been
what the source was where the changes begin.  Where that is not sure, or there is no answer, GapError
is raised and a build by difference has to do it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from pyxlist._pxl import ffi, lib
from pyxlist.cyrusdb import Source, raise_core_error
from pyxlist.cyruslog import Change, Delete, DeleteBefore, Put
from pyxlist.errors import CorruptSourceError, GapError
from pyxlist.index import write
from pyxlist.index._store import find_row
from pyxlist.index.checkpoint import Checkpoint, write_checkpoint
from pyxlist.index.layout import WHOLE_TABLE
from pyxlist.index.rows import new_inversion, row_before

__all__ = ["Replayed", "replay"]

_NAME: Final = b"N"
_ABOVE_NAMES: Final = b"O"
_KNOWN: Final = (b"A", b"I", b"J")
_BATCH: Final = 1000  # names changed and not yet written


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    """What changes did to an index: mailboxes added, changed, removed."""

    added: int
    changed: int
    removed: int

    @property
    def total(self) -> int:
        return self.added + self.changed + self.removed


def replay(
    txn: Any, tables: dict[str, Any], checkpoint: Checkpoint, changes: Iterable[Change], source: Source
) -> Replayed:
    """Apply `changes`, which lead from `checkpoint` to `source`, in a write transaction, and move the checkpoint.

    Raises GapError when they cannot be applied one by one; the transaction must then be given up.
    """
    settled = checkpoint.is_settled(txn.id() - 1)
    if checkpoint.source.keys != "typed":
        raise GapError("the source's keys are of a former generation")
    work = _Replay(txn, tables, settled, checkpoint.others)
    for change in changes:
        work.apply(change)
    work.flush()
    done = Replayed(work.added, work.changed, work.removed)
    source = dataclasses.replace(source, keys=checkpoint.source.keys)
    write_checkpoint(txn, tables, source, checkpoint.others, settled)
    return done


class _Replay:
    """Changes gathered for one transaction; `pending` is what the directory does not say yet."""

    def __init__(self, txn: Any, tables: dict[str, Any], settled: bool, others: int) -> None:
        self.added = self.changed = self.removed = 0
        self._others = others
        self._txn = txn
        self._tables = tables
        self._settled = settled
        self._pending: dict[bytes, bytes | None] = {}
        self._inversion = new_inversion()

    def apply(self, change: Change) -> None:
        match change:
            case Put(key, value):
                self._put(key, value)
            case Delete(key):
                self._remove(key)
            case DeleteBefore(key):
                self._remove_before(key)
        if len(self._pending) >= _BATCH:
            self.flush()

    def _put(self, key: bytes, value: bytes) -> None:
        if key.startswith(_NAME):
            self._pending[key[1:]] = self._row(key[1:], value)
        elif not key.startswith(_KNOWN):
            raise GapError("a record of an unknown kind was written", got=key)

    def _remove(self, key: bytes) -> None:
        if key.startswith(_NAME):
            self._pending[key[1:]] = None

    def _remove_before(self, key: bytes | None) -> None:
        if key is not None and key < _NAME:
            return
        if not self._settled:
            raise GapError("a record was deleted, and the index was written to by something else meanwhile")
        above = key is None or key >= _ABOVE_NAMES
        if above and self._others:
            raise GapError("a record was deleted that may not be a mailbox's", got=f"{self._others} unknown records")
        name = self._name_before(None if above or key is None else key[1:])
        if name is not None:
            self._pending[name] = None

    def _name_before(self, name: bytes | None) -> bytes | None:
        """The last name below `name` (None: of all) that is there now."""
        gone = {key for key, row in self._pending.items() if row is None}
        stored = row_before(self._txn, self._tables["directory"], WHOLE_TABLE, name, gone)
        fresh = (key for key, row in self._pending.items() if row is not None and (name is None or key < name))
        return max((key for key in (stored, max(fresh, default=None)) if key is not None), default=None)

    def _row(self, name: bytes, value: bytes) -> bytes:
        row, error = ffi.new("pxl_slice *"), ffi.new("pxl_error *")
        name_slice = (ffi.from_buffer(name), len(name))
        value_slice = (ffi.from_buffer(value), len(value))
        if lib.pxl_inversion_row(self._inversion, name_slice, value_slice, row, error) < 0:
            try:
                raise_core_error(error, "")
            except CorruptSourceError as reason:
                raise GapError(f"a record cannot be understood: {reason.message}", got=name) from reason
        return bytes(ffi.buffer(row.data, row.len))

    def flush(self) -> None:
        """Write what is pending into the tables."""
        changes: list[write.Change] = []
        for name, new in self._pending.items():
            old = find_row(self._txn, self._tables["directory"], WHOLE_TABLE, name)
            if old != new:
                changes.append((name, old, new))
                self.added += old is None
                self.removed += new is None
                self.changed += old is not None and new is not None
        write.apply_changes(self._txn, self._tables, changes)
        self._pending.clear()
