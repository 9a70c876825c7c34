"""One mailbox changed -> rows changed: the only code that writes an existing index.

A change is (key name, old entry, new entry).  What it means for each table is a pure function of
the two entries, so applying it twice, or to an index that already has it, changes nothing, and any
sequence of changes ends where a fresh build of the result would.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pyxlist._pxl import lib
from pyxlist.entry import Entry, Mbtype
from pyxlist.index._store import compare_rows
from pyxlist.index.generations import touch
from pyxlist.index.layout import (
    DIRECTORY,
    EVERYBODY,
    WHOLE_TABLE,
    pack_meta,
    tree_generation,
    unpack_meta,
)
from pyxlist.index.rows import Changes, apply_rows, iter_below
from pyxlist.index.stretches import forget_digests
from pyxlist.names import octets_of

__all__ = ["Change", "apply_changes", "lists_of"]

# key name, directory row before, directory row after; None where there is no mailbox
Change = tuple[bytes, bytes | None, bytes | None]

# Served to nobody, but answered in words of their own, whoever asks.
_TRANSIENT: Final = int(Mbtype.RESERVED | Mbtype.MOVING)
# Plain numbers: the flags of an enum cost more than all that is done with them.
_TOMBSTONE: Final = int(Mbtype.TOMBSTONE)
# New or vanished records beyond which it is not worth while to find out whom each concerns.
_MANY: Final = 1000


def apply_changes(txn: Any, tables: dict[str, Any], changes: Iterable[Change]) -> int:
    """Apply changes (any order, one a key) in a write transaction; how many there were.

    The old rows must be those that are stored.  Counts and generations are kept; the checkpoint is the caller's.
    Raises StoreDamagedError or ValueError for a directory row that cannot be read.
    """
    directory: Changes = []
    postings: dict[bytes, Changes] = {}
    effects = Effects()
    for key, old_row, new_row in sorted(changes):
        if old_row != new_row:
            directory.append((key, new_row))
            lists, shown = compare_rows(key, old_row, new_row)
            if shown:
                effects.note(key, old_row, new_row)
            for owner, payload in lists.items():
                postings.setdefault(owner, []).append((key, payload))
    if not directory:
        return 0
    apply_rows(txn, tables["directory"], WHOLE_TABLE, directory)
    forget_digests(txn, tables, [key for key, _row in directory])
    if effects.uniqueids:
        apply_rows(txn, tables["uniqueids"], WHOLE_TABLE, sorted(effects.uniqueids.items()))
    for owner in sorted(postings):
        apply_rows(txn, tables["postings"], owner, postings[owner])
    if effects.growth:
        _count(txn, tables, effects.growth)
    touch(txn, tables, effects.touched(txn, tables) | {owner[:-1] for owner in postings})
    return len(directory)


def _count(txn: Any, tables: dict[str, Any], growth: int) -> None:
    """Keep the number of mailboxes that `meta` states."""
    raw = txn.get(b"counts", db=tables["meta"])
    if raw is not None:
        counts = unpack_meta(raw)
        counts["mailboxes"] += growth
        txn.put(b"counts", pack_meta(counts), db=tables["meta"])


class Effects:
    """Whom a batch of changes concerns besides those whose posting lists it changes.

    An answer depends on more than rights: a subscription shows whether its mailbox is still there, an owner
    has implicit rights without being named, STATUS prints what the entry says, and the missing ancestors
    of a visible mailbox are looked up by name.
    """

    def __init__(self) -> None:
        self.growth = 0
        self.uniqueids: dict[bytes, bytes | None] = {}  # rows to set or remove
        self._generations = {DIRECTORY}
        self._new_or_gone: list[bytes] = []

    def note(self, key: bytes, old_row: bytes | None, new_row: bytes | None) -> None:
        """Take into account a change of what answers show besides the ACL."""
        old, new = _entry(key, old_row), _entry(key, new_row)
        self.growth += (new is not None) - (old is not None)
        self._generations |= _owners_in(key)
        self._generations.add(tree_generation(key))
        for row in (old_row, new_row):
            if row is not None:
                self._generations.update(owner[:-1] for owner in lists_of(key, row))
        if any(entry is not None and int(entry.mbtype) & _TRANSIENT for entry in (old, new)):
            self._generations.add(EVERYBODY)
        if old is None or new is None:
            self._new_or_gone.append(key)
        before, after = _uniqueid_row(old), _uniqueid_row(new)
        if before != after:
            self.uniqueids.update({row: mark for row, mark in ((before, None), (after, b"")) if row is not None})

    def touched(self, txn: Any, tables: dict[str, Any]) -> set[bytes]:
        """What has another generation now, after the directory has been written."""
        if any(map(_is_shared, self._new_or_gone)) or len(self._new_or_gone) > _MANY:
            return self._generations | {EVERYBODY}
        for key in self._new_or_gone:
            for below, row in iter_below(txn, tables["directory"], WHOLE_TABLE, key + b"\x1f"):
                self._generations.update(owner[:-1] for owner in lists_of(below, row))
        return self._generations


def _owners_in(key: bytes) -> set[bytes]:
    """The userid that owns a mailbox, also one whose removal is delayed."""
    domain, mark, path = key.rpartition(b"\x1d")
    parts = path.split(b"\x1f")
    at = parts.index(b"user") + 1 if b"user" in parts[:2] else len(parts)
    owner = parts[at] + b"@" + domain if mark and at < len(parts) else b"".join(parts[at : at + 1])
    return {owner} if 0 < len(owner) <= lib.PXL_IDENTIFIER_MAX and min(owner) >= 0x20 else set()


def _is_shared(key: bytes) -> bool:
    return b"user" not in key.rpartition(b"\x1d")[2].split(b"\x1f")[:2]


def _entry(key: bytes, row: bytes | None) -> Entry | None:
    return None if row is None else Entry.unpack(key, row)


def _uniqueid_row(entry: Entry | None) -> bytes | None:
    """The row of an entry in the table of uniqueids, None if it has none there."""
    if entry is None or not entry.uniqueid or int(entry.mbtype) & _TOMBSTONE:
        return None
    return octets_of(entry.uniqueid) + b"\x00" + entry.key


def lists_of(key: bytes, row: bytes) -> dict[bytes, bytes | None]:
    """Owner prefix of each posting list that a mailbox stands in -> the payload of its row there."""
    return compare_rows(key, None, row)[0]
