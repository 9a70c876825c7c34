"""Every key and value octet of an index, and nothing that does I/O.

Tables are LMDB's named databases.  A *list of rows* is one or more row blocks (csrc/rows.c) under
keys `owner + separator`, where the separator of the first block is empty (LMDB's own keys end at
511 octets, and a block is only cut where they can):

    directory       0x00                           key name -> packed Entry
    postings        identifier + 0x00              key name -> mbtype, granted, denied: rows about lookup
                    identifier + 0x01              the same: rows that only complete somebody's rights
                    identifier + 0x02              no block, but the identifier's generation
    uniqueids       0x00                           uniqueid + 0x00 + key name -> nothing
    subscriptions   userid + 0x00                  stored name (own tree below "INBOX") -> nothing
    specialuse      userid + 0x00                  key name -> RFC 6154 attributes, as printed
    generations     0x02                           everybody's generation (generations.py)
                    0x03 + tree                    that of the records in a tree, whoever may see them
                    0x04 + key name                u64 little-endian: digest of a stretch of the source (stretches.py),
                                                   or nothing
    meta            fixed names                    msgpack

The table of these tables, LMDB's own, also has 0x01: the generation of the whole directory.  Behind LMDB's two meta
pages' own octets stands, from octet 512 of a page on, the change that followed that meta (redo.py).

`meta` holds `version`, `config`, `checkpoint` (where in which source the index stands), `counts`,
`groups` (userid -> names of its groups, where a group file was given), and `build` (an arbitrary id
that a fresh index gets once: two indexes never share state tokens).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import msgpack

__all__ = [
    "BLOCK_BYTES",
    "DIRECTORY",
    "EVERYBODY",
    "KEY_MAX",
    "LOOKUP",
    "MORE",
    "PAGE_BYTES",
    "QUIET",
    "STAMP",
    "STATUS_FILE",
    "STRETCH",
    "TABLES",
    "VERSION",
    "WHOLE_TABLE",
    "is_stamp",
    "iter_blocks",
    "iter_changes",
    "pack_changes",
    "pack_meta",
    "tree_generation",
    "unpack_meta",
]

VERSION: Final = 1
TABLES: Final = ("directory", "postings", "uniqueids", "subscriptions", "specialuse", "generations", "meta")
# A block fills one overflow page of LMDB: 4096 less its 16-octet header; when it is cut, and a little for growth.
PAGE_BYTES: Final = 4080
BLOCK_BYTES: Final = 4060
KEY_MAX: Final = 511
LOOKUP: Final = b"\x00"
QUIET: Final = b"\x01"
WHOLE_TABLE: Final = b"\x00"  # owner of a table that is one list; LMDB has no empty keys
STAMP: Final = b"\x02"
DIRECTORY: Final = b"\x01"  # what has a generation and is no identifier: those begin above 0x1f
EVERYBODY: Final = b"\x02"
STRETCH: Final = b"\x04"
STATUS_FILE: Final = "follower.json"  # beside the data file: what a follower says of itself (follow/status.py)
MORE: Final = 1  # in a block's first octet: another block of the list follows

_BLOCK_HEAD: Final = struct.Struct("<HI")
_CHANGE_HEAD: Final = struct.Struct("<HII")
_NONE: Final = 0xFFFFFFFF


def is_stamp(key: bytes) -> bool:
    """Whether this key in the postings table is that of a generation, and not of a block."""
    return key.endswith(STAMP) and LOOKUP not in key and QUIET not in key


def tree_generation(key: bytes) -> bytes:
    """Key in the generations table of the tree a mailbox is in: all of one user, or of one shared top name."""
    top, mark, rest = key.partition(b"\x1f")
    if top.rpartition(b"\x1d")[2] == b"user":
        top += mark + rest.partition(b"\x1f")[0]
    return (b"\x03" + top)[:KEY_MAX]


def iter_blocks(items: memoryview | bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, block) pairs of what pxl_cutter_take or pxl_inversion_take gave, copied."""
    at, end, size = 0, len(items), _BLOCK_HEAD.size
    while at < end:
        key_len, block_len = _BLOCK_HEAD.unpack_from(items, at)
        at += size
        key = bytes(items[at : at + key_len])
        at += key_len
        yield key, bytes(items[at : at + block_len])
        at += block_len


def iter_changes(items: memoryview) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """(key, old row or None, new row or None) of what pxl_inversion_changes gave, copied."""
    at, end = 0, len(items)
    while at < end:
        key_len, old_len, new_len = _CHANGE_HEAD.unpack_from(items, at)
        at += _CHANGE_HEAD.size
        key = bytes(items[at : at + key_len])
        at += key_len
        old = None if old_len == _NONE else bytes(items[at : at + old_len])
        at += 0 if old is None else old_len
        new = None if new_len == _NONE else bytes(items[at : at + new_len])
        at += 0 if new is None else new_len
        yield key, old, new


def pack_changes(changes: list[tuple[bytes, bytes | None]]) -> bytes:
    """Rows to set (or, with None, to remove) as pxl_cutter_merge takes them; keys ascending."""
    parts: list[bytes] = []
    for key, payload in changes:
        size = _NONE if payload is None else len(payload)
        parts += [_BLOCK_HEAD.pack(len(key), size), key, payload or b""]
    return b"".join(parts)


def pack_meta(value: Any) -> bytes:
    """A value of the meta table."""
    packed: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return packed


def unpack_meta(octets: bytes) -> Any:
    """Read `pack_meta`'s octets back.  Raises ValueError for octets that are none."""
    return msgpack.unpackb(octets, unicode_errors="surrogateescape")
