"""The reverse index as one would write it with SQLite, done well: the peer that pyxlist is measured beside.

One covering row a posting in a WITHOUT ROWID table, rows inserted in key order in one transaction,
prepared statements, WAL, a large cache.  It holds what pyxlist's index holds: the entry of each mailbox,
who may see it with which rights, and uniqueids.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from pyxlist.acl import Rights
from pyxlist.cyrusdb import iter_records

__all__ = ["SqliteIndex"]

_SCHEMA = """
CREATE TABLE directory (name BLOB PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE postings (identifier BLOB, name BLOB, granted INTEGER NOT NULL, denied INTEGER NOT NULL,
                       PRIMARY KEY (identifier, name)) WITHOUT ROWID;
CREATE TABLE uniqueids (uniqueid BLOB PRIMARY KEY, name BLOB NOT NULL) WITHOUT ROWID;
"""
_LIST = "SELECT name, granted, denied FROM postings WHERE identifier IN (?, ?) ORDER BY name"
_SET = "INSERT INTO postings VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET granted = excluded.granted"


class SqliteIndex:
    """A database of one file.  `insert_seconds` is how long building it took without reading the source."""

    insert_seconds: float

    def __init__(self, path: Path, synchronous: str = "FULL", timeout_s: float = 5.0) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=timeout_s)
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "cache_size=-262144", "mmap_size=8589934592"):
            self._database.execute(f"PRAGMA {pragma}")

    @classmethod
    def build(cls, path: Path, source: Path) -> SqliteIndex:
        """Make the database of a source.  Rows are made first, then sorted, then inserted."""
        directory, postings, uniqueids = _rows(source)
        postings.sort()
        uniqueids.sort()
        peer = cls(path, synchronous="OFF")
        started = time.perf_counter()
        peer._database.executescript(_SCHEMA)
        peer._database.execute("BEGIN")
        peer._database.executemany("INSERT INTO directory VALUES (?, ?)", directory)
        peer._database.executemany("INSERT OR IGNORE INTO postings VALUES (?, ?, ?, ?)", postings)
        peer._database.executemany("INSERT INTO uniqueids VALUES (?, ?)", uniqueids)
        peer._database.execute("COMMIT")
        peer._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        peer.insert_seconds = time.perf_counter() - started
        return peer

    def list(self, user: bytes) -> bytes:
        """LIST "" "*" as octets: the rows merged, their names made external, lines written."""
        lines = []
        rights: dict[bytes, int] = {}
        for name, granted, denied in self._database.execute(_LIST, (user, b"anyone")):
            rights[name] = rights.get(name, 0) | (granted & ~denied)
        own = b"user\x1f" + user
        for name, mask in rights.items():
            if mask & 1:
                lines.append(b'* LIST (\\HasNoChildren) "/" ' + _external(name, own) + b"\r\n")
        return b"".join(lines)

    def set_rights(self, identifier: bytes, name: bytes, granted: int) -> None:
        """One change, durable when it returns."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute(_SET, (identifier, name, granted))
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _external(name: bytes, own: bytes) -> bytes:
    if name == own:
        return b"INBOX"
    if name.startswith(own + b"\x1f"):
        return b'"' + name[len(own) + 1 :].replace(b"\x1f", b"/") + b'"'
    prefix = b"Other Users/" if name.startswith(b"user\x1f") else b"Shared Folders/"
    return b'"' + prefix + name.removeprefix(b"user\x1f").replace(b"\x1f", b"/") + b'"'


def _grants(value: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Identifier and rights of each grant in a mailboxes.db value, as the world generator spells them."""
    words = value[value.rindex(b"A %(") + 4 : -2].split(b" ")
    yield from zip(words[0::2], words[1::2], strict=True)


def _rows(
    source: Path,
) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes, int, int]], list[tuple[bytes, bytes]]]:
    """Rows of the three tables, from the same C parser that pyxlist uses."""
    masks: dict[bytes, int] = {}
    directory, postings, uniqueids = [], [], []
    for key, value in iter_records(source):
        if not key.startswith(b"N"):
            continue
        name = key[1:]
        directory.append((name, value))
        uniqueids.append((value.split(b" ", 5)[3], name))
        for identifier, rights in _grants(value):
            mask = masks.get(rights)
            if mask is None:
                mask = masks[rights] = Rights.parse(rights.decode()).mask
            if identifier.startswith(b"-"):
                postings.append((identifier[1:], name, 0, mask))
            else:
                postings.append((identifier, name, mask, 0))
    return directory, postings, uniqueids
