"""The cyrusdb files of a server, read the slow and obvious way: whole file in, dict of records out.

Nothing here checks checksums or survives damage; the oracle is only given files a server wrote.
Formats as observed from Cyrus 3.6.1.
"""

from __future__ import annotations

import re
import struct

OWNER = "[.OwNeR.]"  # stands for the mailbox owner's userid in annotations.db

_TWOSKIP_MAGIC = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"
_SKIPLIST_MAGIC = b"\xa1\x02\x8b\x0dskiplist file\0\0\0"


def read_database(data: bytes) -> dict[bytes, bytes]:
    """The records of a twoskip, skiplist or flat file, told apart by their first octets."""
    if data.startswith(_TWOSKIP_MAGIC):
        return read_twoskip(data)
    if data.startswith(_SKIPLIST_MAGIC):
        return read_skiplist(data)
    return read_flat(data)


def read_twoskip(data: bytes) -> dict[bytes, bytes]:
    """The records of a twoskip file, found by walking its lowest level from the dummy record on."""
    (current_size,) = struct.unpack_from(">Q", data, 48)
    records = {}
    offset = 64
    while offset:
        kind, key, value, pointers = _twoskip_record(data, offset)
        if kind == b"+":
            records[key] = value
        # Level 0 has two pointers, written in turns: the larger one inside the committed part is valid.
        # A deletion has one pointer, to the record after the deleted one.
        valid = [pointer for pointer in pointers[: 1 if kind == b"-" else 2] if pointer < current_size]
        offset = max(valid, default=0)
    return records


def _twoskip_record(data: bytes, offset: int) -> tuple[bytes, bytes, bytes, list[int]]:
    """One record: type letter, key, value, all its pointers (one more than its level)."""
    kind = data[offset : offset + 1]
    level, key_size, value_size = struct.unpack_from(">BHI", data, offset + 1)
    offset += 8
    if key_size == 0xFFFF:
        (key_size,) = struct.unpack_from(">Q", data, offset)
        offset += 8
    if value_size == 0xFFFFFFFF:
        (value_size,) = struct.unpack_from(">Q", data, offset)
        offset += 8
    pointers = list(struct.unpack_from(f">{level + 1}Q", data, offset))
    offset += 8 * (level + 1) + 8  # two checksums follow the pointers
    key = data[offset : offset + key_size]
    return kind, key, data[offset + key_size : offset + key_size + value_size], pointers


def read_skiplist(data: bytes) -> dict[bytes, bytes]:
    """The records of a skiplist file: replay it as the log it is, from the first record on."""
    live: dict[int, tuple[bytes, bytes]] = {}  # offset of the record -> record
    offset = 48
    while offset < len(data):
        start = offset
        (kind,) = struct.unpack_from(">I", data, offset)
        offset += 4
        if kind in (1, 2, 257):  # in order, added, dummy
            key, offset = _skiplist_bytes(data, offset)
            value, offset = _skiplist_bytes(data, offset)
            if kind != 257:
                live[start] = key, value
            while data[offset : offset + 4] != b"\xff\xff\xff\xff":
                offset += 4
            offset += 4
        elif kind == 4:  # deleted: the offset of the record that goes away
            del live[struct.unpack_from(">I", data, offset)[0]]
            offset += 4
        elif kind != 255:  # 255 is a commit and carries nothing
            raise ValueError(f"skiplist record of unknown type {kind} at offset {start}")
    return dict(live.values())


def _skiplist_bytes(data: bytes, offset: int) -> tuple[bytes, int]:
    """One length-prefixed string padded to four octets, and the offset behind it."""
    (size,) = struct.unpack_from(">I", data, offset)
    return data[offset + 4 : offset + 4 + size], offset + 4 + (size + 3) // 4 * 4


def read_flat(data: bytes) -> dict[bytes, bytes]:
    """The records of a flat file: lines of key TAB value, awkward octets escaped by 0xFF."""
    records = {}
    for line in data.split(b"\n")[:-1]:
        key, _, value = line.partition(b"\t")
        records[_unescape(key)] = _unescape(value)
    return records


def _unescape(text: bytes) -> bytes:
    """0xFF 0xFF stands for 0xFF, 0xFF and any other octet for that octet without its top bit."""
    return re.sub(
        b"\xff(.)",
        lambda pair: pair[1] if pair[1] == b"\xff" else bytes([pair[1][0] & 0x7F]),
        text,
        flags=re.DOTALL,
    )


def read_subscriptions(data: bytes) -> tuple[list[bytes], bool]:
    """The stored keys of a sub.db without their leading N, in the file's octet order, and: is it flat?

    Only files of version 2 (Cyrus 3.6) have that N; the user's own tree is written as `INBOX...` in them.
    """
    flat = not data.startswith((_TWOSKIP_MAGIC, _SKIPLIST_MAGIC))
    return sorted(key[1:] for key in read_database(data) if key.startswith(b"N")), flat


def read_annotations(data: bytes) -> dict[tuple[bytes, str], bytes]:
    """{(uniqueid of the mailbox, userid or OWNER): special-use text} of an annotations.db."""
    found = {}
    for key, value in read_database(data).items():
        uniqueid, entry, userid, *_ = [*key.split(b"\0"), b"", b""]
        if entry == b"/specialuse":
            # The size is a C long, swapped as if it had four octets: it stands in the first four of eight.
            (size,) = struct.unpack_from(">I", value, 0)
            found[uniqueid, userid.decode()] = value[8 : 8 + size]
    return found
