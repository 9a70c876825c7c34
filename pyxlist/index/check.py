"""Does an index agree with itself (`check`), and with a source (`verify`)?  Both stream what they find."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Generator, Iterator
from typing import Any, Final

from pyxlist.config import Config
from pyxlist.cyrusdb import open_source
from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import StoreDamagedError
from pyxlist.index._store import find_row
from pyxlist.index.compare import differences
from pyxlist.index.env import Store
from pyxlist.index.layout import MORE, VERSION, WHOLE_TABLE, is_stamp, unpack_meta
from pyxlist.index.rows import iter_blocks_of, iter_list, iter_rows
from pyxlist.index.write import lists_of
from pyxlist.names import internal_from_key, octets_of

__all__ = ["Difference", "check", "verify"]

_DUMPS: Final = ("dump", "text dump")
_MISSING: Final = "is missing"
_UNLIKE: Final = "is not what the directory implies"
_STRAY: Final = "is implied by no mailbox"


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """A mailbox that index and source disagree on; None where one of them has no such mailbox."""

    name: str
    in_index: Entry | None
    in_source: Entry | None

    def __str__(self) -> str:
        if self.in_index is None:
            return f"{self.name}: only in the source"
        if self.in_source is None:
            return f"{self.name}: only in the index"
        fields = [
            f"{field.name} is {getattr(self.in_index, field.name)!r} in the index, "
            f"{getattr(self.in_source, field.name)!r} in the source"
            for field in dataclasses.fields(Entry)
            if getattr(self.in_index, field.name) != getattr(self.in_source, field.name)
        ]
        return f"{self.name}: {'; '.join(fields)}"


def verify(store: Store, source: str | os.PathLike[str]) -> Iterator[Difference]:
    """Every mailbox whose entry in the index is not the source's, in key order, from one snapshot.

    Of a dump only what a dump can say is compared: none has intermediates unless it was made with -y, nor
    names that are not UTF-8 in JSON; a text dump has no more than names, types, locations and ACLs.
    """
    with store.read() as txn, open_source(source) as (reader, header):
        for key, old, new in differences(txn, store, reader, header):
            in_index = None if old is None else _as_said_by(header.format, Entry.unpack(key, old))
            in_source = None if new is None else Entry.unpack(key, new)
            left_out = in_source is None and _is_left_out_by(header.format, in_index)
            if in_index != in_source and not left_out:
                yield Difference(internal_from_key(key), in_index, in_source)


def _is_left_out_by(kind: str, entry: Entry | None) -> bool:
    """Whether a source of this format may well lack such a mailbox."""
    if entry is None or kind not in _DUMPS:
        return False
    return bool(entry.mbtype & Mbtype.INTERMEDIATE) or (kind == "dump" and not _is_utf8(entry.key))


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _as_said_by(kind: str, entry: Entry) -> Entry:
    """An entry as a source of this format would have it."""
    if kind == "dump":
        acl = tuple(dict(entry.acl).items())
        return dataclasses.replace(entry, uidvalidity=entry.uidvalidity & 0xFFFFFFFF, acl=acl)
    if kind == "text dump":
        mbtype = entry.mbtype & ~Mbtype.LEGACY_DIRS
        return Entry(entry.key, mbtype, partition=entry.partition, server=entry.server, acl=entry.acl)
    return entry


def check(store: Store) -> Iterator[str]:
    """Every broken invariant of an index, in words; nothing when it is healthy.

    Rows ascend within and across blocks, blocks are chained, every entry can be read, and postings and
    uniqueids are exactly what the directory implies: each row that an entry implies is looked up, and if
    there are others as well, or one is wrong, every row is asked for its entry.  Memory: a block.
    """
    with store.read() as txn:
        yield from _check_meta(txn, store.tables)
        rows = {}
        for name in ("directory", "uniqueids", "postings", "subscriptions", "specialuse"):
            rows[name] = yield from _check_blocks(txn, store.tables[name], name)
        yield from _check_derived(txn, store.tables, rows)


def _check_meta(txn: Any, tables: dict[str, Any]) -> Iterator[str]:
    for name in ("version", "build", "config", "counts", "checkpoint"):
        raw = txn.get(name.encode(), db=tables["meta"])
        if raw is None:
            yield f"meta: {name} is missing"
            continue
        try:
            value = unpack_meta(raw)
            if name == "version" and value != VERSION:
                yield f"meta: version {value}, expected {VERSION}"
            if name == "config":
                Config.from_dict(value)
        except (ValueError, TypeError) as error:
            yield f"meta: {name} cannot be read: {error}"


def _owner_of_block(table: str, key: bytes) -> bytes:
    """The owner prefix of a block's LMDB key."""
    if table in ("directory", "uniqueids"):
        return key[:1]
    return key[: next((at for at, octet in enumerate(key) if octet < 2), len(key) - 1) + 1]


def _check_blocks(txn: Any, table: Any, name: str) -> Generator[str, None, int]:
    """Order and chaining of every list of a table; the number of rows."""
    owner, last, more, count = b"", b"", False, 0
    for key, block in iter_blocks_of(txn, table, b""):
        if name == "postings" and is_stamp(key):
            continue
        if not key.startswith(owner) or not owner or _owner_of_block(name, key) != owner:
            if more:
                yield f"{name}: list {owner!r} promises another block"
            owner, last = _owner_of_block(name, key), b""
            if key != owner:
                yield f"{name}: list {owner!r} begins at {key!r}"
        elif not more:
            yield f"{name}: block {key!r} is not announced by the one before"
        separator = key[len(owner) :]
        more = bool(block[:1] and block[0] & MORE)
        try:
            for row, _payload in iter_rows(block):
                if row <= last or row < separator:
                    yield f"{name}: row {row!r} out of order in block {key!r}"
                last = row
                count += 1
        except StoreDamagedError:
            yield f"{name}: block {key!r} cannot be walked after row {last!r}"
    if more:
        yield f"{name}: list {owner!r} promises another block"
    return count


def _check_derived(txn: Any, tables: dict[str, Any], rows: dict[str, int]) -> Iterator[str]:
    """Postings and uniqueids against what the directory's entries imply."""
    entries, implied, wrong = 0, {"postings": 0, "uniqueids": 0}, False
    try:
        for key, packed in iter_list(txn, tables["directory"], WHOLE_TABLE):
            entries += 1
            for name, owner, row, payload in _implied_by(key, packed):
                implied[name] += 1
                found = find_row(txn, tables[name], owner, row)
                if found != payload:
                    wrong = True
                    yield f"{name}: row {row!r} of {owner!r} {_MISSING if found is None else _UNLIKE}"
        counted = (unpack_meta(txn.get(b"counts", db=tables["meta"]) or b"\x80") or {}).get("mailboxes")
        if counted != entries:
            yield f"meta: counts {counted} mailboxes, the directory has {entries}"
        for name in ("postings", "uniqueids"):
            if wrong or rows[name] != implied[name]:
                yield from _stray_rows(txn, tables, name)
    except (ValueError, StoreDamagedError) as error:
        yield f"directory: {error}"


def _implied_by(key: bytes, packed: bytes) -> Iterator[tuple[str, bytes, bytes, bytes | None]]:
    """(table, owner prefix, row, payload) of every row that a directory row implies."""
    entry = Entry.unpack(key, packed)
    for owner, payload in lists_of(key, packed).items():
        yield "postings", owner, key, payload
    if entry.uniqueid and not entry.mbtype & Mbtype.TOMBSTONE:
        yield "uniqueids", WHOLE_TABLE, octets_of(entry.uniqueid) + b"\x00" + entry.key, b""


def _stray_rows(txn: Any, tables: dict[str, Any], name: str) -> Iterator[str]:
    """Rows that no entry implies."""
    for block_key, block in iter_blocks_of(txn, tables[name], b""):
        if name == "postings" and is_stamp(block_key):
            continue
        owner = _owner_of_block(name, block_key)
        for row, _payload in iter_rows(block):
            key = row if name == "postings" else row.partition(b"\x00")[2]
            packed = find_row(txn, tables["directory"], WHOLE_TABLE, key)
            implied = () if packed is None else _implied_by(key, packed)
            if not any((table, of, implied_row) == (name, owner, row) for table, of, implied_row, _ in implied):
                yield f"{name}: row {row!r} of {owner!r} {_STRAY}"
