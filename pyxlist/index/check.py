"""Does an index agree with itself (`check`), and with a source (`verify`)?  Both stream what they find."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

from pyxlist.config import Config
from pyxlist.cyrusdb import open_source
from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import StoreDamagedError
from pyxlist.index.build import differences
from pyxlist.index.env import Store
from pyxlist.index.layout import MORE, VERSION, WHOLE_TABLE, unpack_meta
from pyxlist.index.rows import iter_blocks_of, iter_list, iter_rows
from pyxlist.index.write import postings_of
from pyxlist.names import internal_from_key, octets_of

__all__ = ["Difference", "check", "verify"]


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
    """Every mailbox whose entry in the index is not the source's, in key order, from one snapshot."""
    with store.read() as txn, open_source(source) as (reader, header):
        for key, old, new in differences(txn, store, reader, header):
            yield Difference(
                internal_from_key(key),
                None if old is None else Entry.unpack(key, old),
                None if new is None else Entry.unpack(key, new),
            )


def check(store: Store) -> Iterator[str]:
    """Every broken invariant of an index, in words; nothing when it is healthy.

    Rows ascend within and across blocks, blocks are chained, every entry can be read, and postings and
    uniqueids are exactly what the directory implies.  Memory: the postings of the index, unpacked.
    """
    with store.read() as txn:
        yield from _check_meta(txn, store.tables)
        for name in ("directory", "uniqueids", "postings", "subscriptions", "specialuse"):
            yield from _check_blocks(txn, store.tables[name], name)
        yield from _check_derived(txn, store.tables)


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


def _check_blocks(txn: Any, table: Any, name: str) -> Iterator[str]:
    owner, last, more = b"", b"", False
    for key, block in iter_blocks_of(txn, table, b""):
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
        except StoreDamagedError:
            yield f"{name}: block {key!r} cannot be walked after row {last!r}"
    if more:
        yield f"{name}: list {owner!r} promises another block"


def _check_derived(txn: Any, tables: dict[str, Any]) -> Iterator[str]:
    """Postings and uniqueids against what the directory's entries imply."""
    postings: dict[bytes, dict[bytes, bytes]] = collections.defaultdict(dict)
    uniqueids: set[bytes] = set()
    count = 0
    try:
        for key, row in iter_list(txn, tables["directory"], WHOLE_TABLE):
            count += 1
            entry = Entry.unpack(key, row)
            for owner, payload in postings_of(entry).items():
                postings[owner][key] = payload
            if entry.uniqueid and not entry.mbtype & Mbtype.TOMBSTONE:
                uniqueids.add(octets_of(entry.uniqueid) + b"\x00" + key)
        counted = (unpack_meta(txn.get(b"counts", db=tables["meta"]) or b"\x80") or {}).get("mailboxes")
        if counted != count:
            yield f"meta: counts {counted} mailboxes, the directory has {count}"
        yield from _compare_postings(txn, tables["postings"], postings)
        found = {row for row, _payload in iter_list(txn, tables["uniqueids"], WHOLE_TABLE)}
    except (ValueError, StoreDamagedError) as error:
        yield f"directory: {error}"
        return
    for row in sorted(uniqueids ^ found):
        word = "missing" if row in uniqueids else "stray"
        yield f"uniqueids: {word} row {row!r}"


def _compare_postings(txn: Any, table: Any, expected: dict[bytes, dict[bytes, bytes]]) -> Iterator[str]:
    for key, block in iter_blocks_of(txn, table, b""):
        owner = _owner_of_block("postings", key)
        rows = expected.get(owner, {})
        for row, payload in iter_rows(block):
            if rows.pop(row, None) != payload:
                yield f"postings: row {row!r} of {owner!r} is not what the directory implies"
    for owner, rows in sorted(expected.items()):
        for row in sorted(rows):
            yield f"postings: row {row!r} of {owner!r} is missing"
