"""The records of a mailboxes.db written out again in every other format that pyxlist reads.

Written front to back and read back by us alone, so the two logs have lists of one level, whose links are
known at once: the next record.  A server's files have two links a record on average, one more than here; what
a reader checks is the same.

Source: the grammars at the head of csrc/flat.c, skiplist.c, twom.c, dumpjson.c and dumptext.c.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyxlist
from pyxlist._pxl import lib
from pyxlist.cyrusdb import iter_records

__all__ = ["DATABASES", "DUMPS", "write_flat", "write_json", "write_skiplist", "write_text", "write_twom"]

_BUFFER: Final = 1 << 20
_SKIPLIST_HEADER: Final = struct.Struct(">20s7I")
_TWOM_HEADER: Final = struct.Struct("<16s16sIIQQQQQQI")
_TWOM_DUMMY: Final = struct.pack("<Q32Q", 1 | 31 << 8, *[0] * 32)
_TWOM_FLAGS: Final = 1 << 28  # sums are XXH3


def _flat_octets(octets: bytes) -> bytes:
    """Escaped; the octet that escapes first, so that none is escaped twice."""
    octets = octets.replace(b"\xff", b"\xff\xff")
    for octet in (b"\t", b"\r", b"\n", b"\0"):
        octets = octets.replace(octet, b"\xff" + bytes((octet[0] | 0x80,)))
    return octets


def write_flat(source: Path, path: Path) -> None:
    """A flat database."""
    with path.open("wb", _BUFFER) as file:
        for key, value in iter_records(source):
            file.write(_flat_octets(key) + b"\t" + _flat_octets(value) + b"\n")


def _skiplist_string(octets: bytes) -> bytes:
    return struct.pack(">I", len(octets)) + octets + bytes(-len(octets) % 4)


def write_skiplist(source: Path, path: Path) -> None:
    """A skiplist database as a checkpoint leaves one."""
    count, at = 0, _SKIPLIST_HEADER.size
    with path.open("wb", _BUFFER) as file:
        file.write(bytes(at))
        at += file.write(struct.pack(">3I20II", 257, 0, 0, at + 96, *[0] * 19, 0xFFFFFFFF))
        for key, value in iter_records(source):
            count += 1
            record = struct.pack(">I", 1) + _skiplist_string(key) + _skiplist_string(value)
            at += file.write(record + struct.pack(">II", at + len(record) + 8, 0xFFFFFFFF))
        file.write(struct.pack(">I", 255))
        file.seek(0)
        file.write(_SKIPLIST_HEADER.pack(b"\xa1\x02\x8b\x0dskiplist file\0\0\0", 1, 2, 20, 1, count, at, 0))


def _twom_sum(octets: bytes) -> int:
    return int(lib.pxl_xxh3(octets, len(octets))) & 0xFFFFFFFF if octets else 0


def _twom_record(head: bytes, tail: bytes) -> bytes:
    tail += bytes(-len(tail) % 8)
    return head + struct.pack("<II", _twom_sum(head), _twom_sum(tail)) + tail


def write_twom(source: Path, path: Path) -> None:
    """A twom database as a repack leaves one."""
    count, at = 0, _TWOM_HEADER.size + 4 + len(_TWOM_DUMMY) + 8
    start = at
    with path.open("wb", _BUFFER) as file:
        file.write(bytes(_TWOM_HEADER.size + 4) + _twom_record(_TWOM_DUMMY, b""))
        for key, value in iter_records(source):
            count += 1
            tail = key + b"\0" + value + b"\0"
            after = at + 32 + len(tail) + -len(tail) % 8
            head = struct.pack("<BBHIQQ", 2, 1, len(key), len(value), after, 0)
            at += file.write(_twom_record(head, tail))
        end = at + file.write(_twom_record(struct.pack("<QQ", 7, start), b""))
        header = _TWOM_HEADER.pack(
            b"\xa1\x02\x8b\x0dtwomfile\0\0\0\0", b"u" * 16, 1, _TWOM_FLAGS, 1, count, 1, 0, end, end, 1
        )
        file.seek(0)
        file.write(header + struct.pack("<I", _twom_sum(header)))


def _entries(index_path: Path) -> Iterator[pyxlist.Entry]:
    with pyxlist.open(index_path) as index:
        yield from index.entries()


def write_json(index_path: Path, path: Path) -> None:
    """What `pyxlist dump -y` prints of an index, and `ctl_mboxlist -d -y` of its source."""
    before = "{\n"
    with path.open("w", encoding="ascii") as file:
        for entry in _entries(index_path):
            file.write(f"{before}{json.dumps(entry.name)}: {json.dumps(entry.as_dump())}")
            before = ",\n"
        file.write("\n}\n")


def write_text(index_path: Path, path: Path) -> None:
    """What `ctl_mboxlist -d` of 3.2 would have printed."""
    with path.open("w", encoding="utf-8", errors="surrogateescape") as file:
        for entry in _entries(index_path):
            acl = "".join(f"{identifier}\t{rights}\t" for identifier, rights in entry.acl)
            file.write(f"{entry.name}\t0 {entry.partition or '(null)'} {acl}\n")


DATABASES: Final[dict[str, Callable[[Path, Path], None]]] = {
    "skiplist": write_skiplist,
    "flat": write_flat,
    "twom": write_twom,
}
"""Writers that take a source's records."""
DUMPS: Final[dict[str, Callable[[Path, Path], None]]] = {"JSON dump": write_json, "text dump": write_text}
"""Writers that take an index."""
