"""Writes a whole twoskip file at once, octet for octet as Cyrus leaves one that it has just repacked.

A twoskip record points forward, to records that are not written yet.  Cyrus goes back and patches; here
everything is known beforehand, so the file is written once, from front to back, in three walks:

    measure   keys, values and levels give each record its offset (filler included)
    link      from the last record to the first: the next record of each level is the one just seen
    emit      header, dummy, records with their checksums, commit

The source of records is a function, called once for `measure` and once for `emit`, so that no record is
kept.  What is kept is 9 octets a record and 8 a link (two links a record on average).

    header  magic[20]  u32 version=1  u64 generation  u64 num_records  u64 repack_size  u64 current_size
            u32 flags=0  u32 crc32(0..59)
    record  u8 type  u8 level  u16 keylen  u32 vallen  (level + 1) x u64 pointer  u32 crc32(head)
            u32 crc32(tail)  key value, zero padded to 8 octets together
    filler  " BLANK\\x07\\xa0", as often as it takes to bring pointers and checksums into one 512-octet block

Pointers 0 and 1 are both links of level 0.  A repack has set each of them at most once, so in a fresh file
pointer 0 is zero and pointer 1 is the link.  `repack_size` is where the commit begins.

Source: files repacked by Cyrus 3.6.1; the format is described in cyrusdb_twoskip.c.
"""

from __future__ import annotations

import os
import random
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from zlib import crc32

__all__ = ["MAX_LEVEL", "Progress", "TwoskipFile", "random_levels", "write_twoskip"]

MAX_LEVEL: Final = 31

Records = Callable[[], Iterable[tuple[bytes, bytes]]]
Progress = Callable[[str, int], None]
"""Told now and then which walk is on ("measure", "link" or "emit") and how many records it has done."""

_MAGIC: Final = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"
_HEADER: Final = struct.Struct(">20sIQQQQI")
_HEAD: Final = struct.Struct(">BBHIQ")  # type, level, keylen, vallen, pointer 0
_CHECKSUMS: Final = struct.Struct(">II")
_FILLER: Final = b" BLANK\x07\xa0"
_PADDING: Final = tuple(bytes(n) for n in range(8))
_DUMMY, _ADD, _COMMIT = b"=+$"

_DUMMY_AT: Final = 64
_FIRST_AT: Final = _DUMMY_AT + 8 + 8 * (MAX_LEVEL + 1) + 8
_COMMIT_LEN: Final = 24
_LONG_KEY: Final = 0xFFFF
_LONG_VALUE: Final = 0xFFFFFFFF
_STEP: Final = 8192  # records between two writes, and between two words of progress


class TwoskipFile(NamedTuple):
    """What was written: how many live records, and the size of the file."""

    records: int
    size_bytes: int


class _Plan(NamedTuple):
    """Where everything goes.  `links` holds, record by record, `level` big-endian offsets: pointer 1 and up."""

    offsets: array[int]
    levels: array[int]
    links: memoryview
    first: bytes  # the dummy's pointers 1 to 31
    commit: int


def random_levels(rng: random.Random) -> Iterator[int]:
    """Levels without end: 1, and each time with one chance in two one more, up to `MAX_LEVEL`."""
    while True:
        bits = rng.getrandbits(MAX_LEVEL) | 1 << (MAX_LEVEL - 1)
        yield (bits & -bits).bit_length()


def write_twoskip(
    path: str | os.PathLike[str],
    records: Records,
    levels: Iterable[int],
    *,
    generation: int = 2,
    progress: Progress | None = None,
) -> TwoskipFile:
    """Write the records that `records()` yields, twice the same, in rising order of keys.

    `levels` gives one level (1 to 31) a record and may go on.  `generation` counts repacks from 1; a file
    that Cyrus has converted has 2.  The file takes its name only when it is whole.

    Raises: ValueError when keys do not rise, a key or value is too long, or the second walk differs.
    """
    report = progress or _silent
    offsets, heights, commit = _measure(records(), levels, report)
    links, first = _link(offsets, heights, report)
    plan = _Plan(offsets, heights, links, first, commit)
    part = Path(f"{os.fspath(path)}.part")
    try:
        with part.open("wb") as file:
            file.write(_header(plan, generation) + _dummy(plan))
            _emit(file, plan, records(), report)
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return TwoskipFile(len(offsets), commit + _COMMIT_LEN)


def _silent(walk: str, done: int) -> None:
    """Progress that nobody follows."""


def _placed(at: int, level: int) -> int:
    """The first offset from `at` on where a record's pointers and checksums lie in one 512-octet block.

    Cyrus writes that part again when a link changes, and one block goes to disk whole or not at all.
    """
    last = 8 * level + 23
    while (at + 8) >> 9 != (at + last) >> 9:
        at += 8
    return at


def _measure(
    records: Iterable[tuple[bytes, bytes]], levels: Iterable[int], report: Progress
) -> tuple[array[int], array[int], int]:
    """Offsets and levels of all records, and the offset of the commit."""
    offsets, heights = array("Q"), array("B")
    at, last_key = _FIRST_AT, b""
    # One loop body for millions of records: `_placed` is spelt out here, and called only to make a gap.
    for (key, value), level in zip(records, levels, strict=False):
        if (at + 8) >> 9 != (at + 8 * level + 23) >> 9:
            at = _placed(at, level)
        if key <= last_key or len(key) >= _LONG_KEY or len(value) >= _LONG_VALUE or not 0 < level <= MAX_LEVEL:
            raise ValueError(_refusal(len(offsets), last_key, key, value, level))
        offsets.append(at)
        heights.append(level)
        at += 24 + 8 * level + (len(key) + len(value) + 7 & -8)
        last_key = key
        if not len(offsets) % _STEP:
            report("measure", len(offsets))
    return offsets, heights, _placed(at, 0)


def _refusal(number: int, last_key: bytes, key: bytes, value: bytes, level: int) -> str:
    """Why record `number` (from 0) cannot be written."""
    if key <= last_key:
        return f"record {number}: key {key[:80]!r} does not follow {last_key[:80]!r}; give keys in rising order"
    if not 0 < level <= MAX_LEVEL:
        return f"record {number}: level {level}, expected 1 to {MAX_LEVEL}"
    return f"record {number}: key of {len(key)} or value of {len(value)} octets, the limits are 65534 and 4294967294"


def _link(offsets: array[int], levels: array[int], report: Progress) -> tuple[memoryview, bytes]:
    """The links of all records and of the dummy, as octets: walking backwards, `following[n]` is the next
    record that has level n + 1 or more."""
    at = sum(levels)
    links, following = array("Q", bytes(8 * at)), array("Q", bytes(8 * MAX_LEVEL))
    repeated = [array("Q", [0]) * level for level in range(MAX_LEVEL + 1)]
    for number in range(len(offsets) - 1, -1, -1):
        level = levels[number]
        links[at - level : at] = following[:level]
        at -= level
        if level == 1:  # half of all records
            following[0] = offsets[number]
        else:
            same = repeated[level]
            for n in range(level):
                same[n] = offsets[number]
            following[:level] = same
        if not number % _STEP:
            report("link", len(offsets) - number)
    if sys.byteorder == "little":
        links.byteswap()
        following.byteswap()
    return memoryview(links).cast("B"), following.tobytes()


def _header(plan: _Plan, generation: int) -> bytes:
    """The first 64 octets."""
    end = plan.commit + _COMMIT_LEN
    fields = _HEADER.pack(_MAGIC, 1, generation, len(plan.offsets), plan.commit, end, 0)
    return fields + crc32(fields).to_bytes(4, "big")


def _dummy(plan: _Plan) -> bytes:
    """The record before all records, where every list begins."""
    head = _HEAD.pack(_DUMMY, MAX_LEVEL, 0, 0, 0) + plan.first
    return head + _CHECKSUMS.pack(crc32(head), 0)


def _commit() -> bytes:
    """The record that makes the file's one transaction, from the first record on, count."""
    head = _HEAD.pack(_COMMIT, 0, 0, 0, _FIRST_AT)
    return head + _CHECKSUMS.pack(crc32(head), 0)


def _emit(file: BinaryIO, plan: _Plan, records: Iterable[tuple[bytes, bytes]], report: Progress) -> None:
    """Write records and commit, from `_FIRST_AT` to the end."""
    offsets, links = plan.offsets, plan.links
    head_of, checksums_of = _HEAD.pack, _CHECKSUMS.pack
    parts: list[bytes] = []
    end, taken, number = _FIRST_AT, 0, -1
    ends_of_links = accumulate(8 * level for level in plan.levels)
    planned = zip(records, offsets, plan.levels, ends_of_links, strict=True)
    for number, ((key, value), at, level, upto) in enumerate(planned):
        if at != end:
            parts.append(_FILLER * _gap(end, at))
        head = head_of(_ADD, level, len(key), len(value), 0) + links[taken:upto]
        tail = key + value
        tail += _PADDING[-len(tail) & 7]
        parts += (head, checksums_of(crc32(head), crc32(tail)), tail)
        end, taken = at + len(head) + 8 + len(tail), upto
        if not number % _STEP:
            file.write(b"".join(parts))
            parts.clear()
            report("emit", number)
    parts += (_FILLER * _gap(end, plan.commit), _commit())
    file.write(b"".join(parts))


def _gap(end: int, at: int) -> int:
    """How many words of filler lie between two records.  Raises: ValueError when they overlap."""
    if not 0 <= at - end < 512:
        raise ValueError(f"a record ends at {end} and the next was planned for {at}: the second walk differs")
    return (at - end) // 8
