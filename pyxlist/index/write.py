"""One mailbox changed -> rows changed: the only code that writes an existing index.

A change is (key name, old entry, new entry).  What it means for each table is a pure function of
the two entries, so applying it twice, or to an index that already has it, changes nothing, and any
sequence of changes ends where a fresh build of the result would.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from pyxlist._pxl import ffi, lib
from pyxlist.acl import Rights
from pyxlist.entry import Entry, Mbtype
from pyxlist.index.generations import touch
from pyxlist.index.layout import (
    DIRECTORY,
    EVERYBODY,
    WHOLE_TABLE,
    identifier_list,
    pack_meta,
    tree_generation,
    unpack_meta,
)
from pyxlist.index.rows import Changes, apply_rows, iter_below
from pyxlist.index.stretches import forget_digests
from pyxlist.names import octets_of

__all__ = ["Change", "apply_changes", "postings_of"]

# key name, directory row before, directory row after; None where there is no mailbox
Change = tuple[bytes, bytes | None, bytes | None]

_LOOKUP_MASK: Final = Rights.parse("l").mask
# Served to nobody, but answered in words of their own, whoever asks.
_TRANSIENT: Final = int(Mbtype.RESERVED | Mbtype.MOVING)
# Plain numbers: the flags of an enum cost more than all that is done with them.
_TOMBSTONE: Final = int(Mbtype.TOMBSTONE)
_INTERMEDIATE: Final = int(Mbtype.INTERMEDIATE)
_KIND_MASK: Final = lib.PXL_MBTYPE_MASK & ~int(Mbtype.LEGACY_DIRS)
# New or vanished records beyond which it is not worth while to find out whom each concerns.
_MANY: Final = 1000
_NOTHING: Final[Mapping[tuple[bytes, bytes], Entry]] = {}


def apply_changes(
    txn: Any, tables: dict[str, Any], changes: Iterable[Change], known: Mapping[tuple[bytes, bytes], Entry] = _NOTHING
) -> int:
    """Apply changes (any order, one a key) in a write transaction; how many there were.

    The old rows must be those that are stored.  `known` are entries by key name and row, so that they need
    not be read once more.  Counts and generations are kept; the checkpoint is the caller's.  Raises
    StoreDamagedError or ValueError for a directory row that cannot be read.
    """
    directory: Changes = []
    uniqueids: dict[bytes, bytes | None] = {}
    postings: dict[bytes, dict[bytes, bytes | None]] = collections.defaultdict(dict)
    effects = Effects()
    for key, old_row, new_row in changes:
        if old_row == new_row:
            continue
        old = None if old_row is None else known.get((key, old_row)) or Entry.unpack(key, old_row)
        new = None if new_row is None else known.get((key, new_row)) or Entry.unpack(key, new_row)
        directory.append((key, new_row))
        if old is not None and new is not None and _shown(old) == _shown(new):
            concerned = {_identifier(name)[0] for name, _rights in set(old.acl) ^ set(new.acl)}
            before, after = postings_of(old, concerned), postings_of(new, concerned)
        else:
            before = {} if old is None else postings_of(old)
            after = {} if new is None else postings_of(new)
            _change_uniqueid(uniqueids, old, new)
            effects.note(key, old, new, before.keys() | after.keys())
        for owner in before.keys() | after.keys():
            if before.get(owner) != after.get(owner):
                postings[owner][key] = after.get(owner)
    if not directory:
        return 0
    directory.sort()
    apply_rows(txn, tables["directory"], WHOLE_TABLE, directory)
    forget_digests(txn, tables, [key for key, _row in directory])
    if uniqueids:
        apply_rows(txn, tables["uniqueids"], WHOLE_TABLE, sorted(uniqueids.items()))
    for owner in sorted(postings):
        apply_rows(txn, tables["postings"], owner, sorted(postings[owner].items()))
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
        self._generations = {DIRECTORY}
        self._new_or_gone: list[bytes] = []

    def note(self, key: bytes, old: Entry | None, new: Entry | None, owners: Iterable[bytes]) -> None:
        """Take into account a change of what answers show besides the ACL; `owners` are the posting lists that one of
        the two entries stands in.
        """
        self.growth += (new is not None) - (old is not None)
        self._generations |= _owners_in(key)
        self._generations.add(tree_generation(key))
        self._generations.update(owner[:-1] for owner in owners)
        if any(entry is not None and int(entry.mbtype) & _TRANSIENT for entry in (old, new)):
            self._generations.add(EVERYBODY)
        if old is None or new is None:
            self._new_or_gone.append(key)

    def touched(self, txn: Any, tables: dict[str, Any]) -> set[bytes]:
        """What has another generation now, after the directory has been written."""
        if any(map(_is_shared, self._new_or_gone)) or len(self._new_or_gone) > _MANY:
            return self._generations | {EVERYBODY}
        for key in self._new_or_gone:
            for below, row in iter_below(txn, tables["directory"], WHOLE_TABLE, key + b"\x1f"):
                entry = Entry.unpack(below, row)
                self._generations.update(owner[:-1] for owner in postings_of(entry))
        return self._generations


def _owners_in(key: bytes) -> set[bytes]:
    """The userid that owns a mailbox, also one whose removal is delayed."""
    domain, mark, path = key.rpartition(b"\x1d")
    parts = path.split(b"\x1f")
    at = parts.index(b"user") + 1 if b"user" in parts[:2] else len(parts)
    owner = parts[at] + b"@" + domain if mark and at < len(parts) else b"".join(parts[at : at + 1])
    return {owner} if _is_matchable(owner) else set()


def _is_shared(key: bytes) -> bool:
    return b"user" not in key.rpartition(b"\x1d")[2].split(b"\x1f")[:2]


def _shown(entry: Entry) -> tuple[int | str | None, ...]:
    """What answers may show of an entry besides its ACL."""
    return entry.mbtype, entry.uniqueid, entry.uidvalidity, entry.createdmodseq, entry.foldermodseq


def _change_uniqueid(rows: dict[bytes, bytes | None], old: Entry | None, new: Entry | None) -> None:
    before, after = _uniqueid_row(old), _uniqueid_row(new)
    if before != after:
        rows.update({row: payload for row, payload in ((before, None), (after, b"")) if row is not None})


def _uniqueid_row(entry: Entry | None) -> bytes | None:
    """The row of an entry in the table of uniqueids, None if it has none there."""
    if entry is None or not entry.uniqueid or int(entry.mbtype) & _TOMBSTONE:
        return None
    return octets_of(entry.uniqueid) + b"\x00" + entry.key


def postings_of(entry: Entry, concerned: Container[bytes | None] | None = None) -> dict[bytes, bytes]:
    """Owner prefix of a posting list -> the payload of the entry's row in it; with `concerned`, of these identifiers.

    The same rule as the bulk build's (csrc/invert.c, which says why).
    """
    mbtype = int(entry.mbtype)
    if mbtype & _TOMBSTONE:
        return {}
    acl = entry.acl if concerned is None else [pair for pair in entry.acl if _identifier(pair[0])[0] in concerned]
    masks = _masks(acl)
    intermediate = mbtype & _INTERMEDIATE
    owner = _matchable_owner(entry) if intermediate else None
    if owner is not None and (concerned is None or owner in concerned):
        masks.setdefault(owner, (0, 0))
    return {
        identifier_list(identifier, quiet): _payload(mbtype & _KIND_MASK, granted, denied)
        for identifier, (granted, denied) in masks.items()
        if granted or denied or identifier == owner
        for quiet in (identifier != owner if intermediate else not (granted | denied) & _LOOKUP_MASK,)
    }


def _masks(acl: Iterable[tuple[str, str]]) -> dict[bytes, tuple[int, int]]:
    """Granted and denied mask of each identifier; several entries of one are united."""
    masks: dict[bytes, tuple[int, int]] = {}
    for name, rights in acl:
        identifier, negative = _identifier(name)
        if identifier is not None:
            granted, denied = masks.get(identifier, (0, 0))
            mask = _mask(rights)
            masks[identifier] = (granted, denied | mask) if negative else (granted | mask, denied)
    return masks


@functools.lru_cache(maxsize=1024)
def _identifier(name: str) -> tuple[bytes | None, bool]:
    """The octets of an ACL's identifier without its sign, None if no userid can match; whether it denies."""
    negative = name.startswith("-")
    identifier = octets_of(name[1:] if negative else name)
    return identifier if _is_matchable(identifier) else None, negative


@functools.lru_cache(maxsize=1024)
def _mask(rights: str) -> int:
    return Rights.parse(rights).mask


def _is_matchable(identifier: bytes) -> bool:
    return 0 < len(identifier) <= lib.PXL_IDENTIFIER_MAX and min(identifier) >= 0x20


def _matchable_owner(entry: Entry) -> bytes | None:
    owner = entry.acl_owner
    return octets_of(owner) if owner is not None and _is_matchable(octets_of(owner)) else None


@functools.lru_cache(maxsize=1024)
def _payload(kind: int, granted: int, denied: int) -> bytes:
    """A row's payload; there are few different ones."""
    out = ffi.new("uint8_t[15]")
    size = lib.pxl_posting_encode(kind, granted, denied, out)
    return bytes(ffi.buffer(out, size))
