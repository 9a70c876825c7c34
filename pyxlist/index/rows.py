"""Lists of rows in a table: find one, walk them, change some.  The blocks themselves are the C core's.

A list is addressed by its table and owner prefix (layout.py).  Reading needs the block that would
hold a key: the one with the largest separator not above it.  Changing rows rewrites the blocks they
fall into, and at most their neighbours, and keeps two promises: the list's first block has the empty
separator, and every block but the last says that more follow.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Container, Iterator
from typing import Any, Final

from pyxlist._pxl import ffi, lib
from pyxlist.index._store import edit_row
from pyxlist.index.faults import damaged
from pyxlist.index.layout import BLOCK_BYTES, KEY_MAX, MORE, PAGE_BYTES, iter_blocks, pack_changes

__all__ = [
    "Changes",
    "apply_rows",
    "block_at",
    "iter_below",
    "iter_list",
    "iter_rows",
    "new_inversion",
    "put_list",
    "remove_list",
    "row_before",
]

# (key, payload to set, or None to remove), keys ascending
Changes = list[tuple[bytes, bytes | None]]
_Block = tuple[bytes, bytes]  # LMDB key, octets

_JOINED_BYTES: Final = BLOCK_BYTES * 3 // 4  # blocks that shrink are joined below this
_MOVED_BYTES: Final = BLOCK_BYTES // 32  # what a block that is too large gives to the next one at least
_EDITED_BYTES: Final = _JOINED_BYTES, PAGE_BYTES  # what one changed row may leave of a block that another follows

_kept = threading.local()


def block_at(cursor: Any, owner: bytes, key: bytes) -> bytes | None:
    """The block that would hold `key`, None for an empty list; leaves the cursor on it."""
    sought = (owner + key)[:KEY_MAX]
    if cursor.set_range(sought):
        if cursor.key() == sought:
            return bytes(cursor.value())
        if not cursor.prev():
            return None
    elif not cursor.last():
        return None
    return bytes(cursor.value()) if cursor.key().startswith(owner) else None


def row_before(txn: Any, table: Any, owner: bytes, key: bytes | None, gone: Container[bytes] = ()) -> bytes | None:
    """The last key of a list below `key` (None: of all) that is not in `gone`; None if there is none.

    Cost: one descent, and a walk of one block, of more while all their rows are gone.
    """
    with txn.cursor(db=table) as cursor:
        block = _last_block(cursor, owner) if key is None else block_at(cursor, owner, key)
        while block is not None:
            found = [row for row, _payload in iter_rows(block) if (key is None or row < key) and row not in gone]
            if found:
                return found[-1]
            block = bytes(cursor.value()) if cursor.prev() and cursor.key().startswith(owner) else None
    return None


def _last_block(cursor: Any, owner: bytes) -> bytes | None:
    """The last block of a list; leaves the cursor on it.  An owner ends in an octet below 255."""
    beyond = owner[:-1] + bytes((owner[-1] + 1,))
    there = cursor.prev() if cursor.set_range(beyond) else cursor.last()
    return bytes(cursor.value()) if there and cursor.key().startswith(owner) else None


def iter_rows(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, payload) of every row of a block, ascending."""
    rows = ffi.gc(lib.pxl_rows_new(), lib.pxl_rows_free)
    data, key, payload = ffi.from_buffer(block), ffi.new("pxl_slice *"), ffi.new("pxl_slice *")
    lib.pxl_rows_start(rows, (data, len(block)))
    while not (code := lib.pxl_rows_next(rows, key, payload)):
        yield ffi.buffer(key.data, key.len)[:], ffi.buffer(payload.data, payload.len)[:] if payload.len else b""
    if code < 0:
        raise damaged()


def iter_blocks_of(txn: Any, table: Any, owner: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(separator, block) of a list, ascending."""
    with txn.cursor(db=table) as cursor:
        more = cursor.set_range(owner)
        while more and cursor.key().startswith(owner):
            yield cursor.key()[len(owner) :], cursor.value()
            more = cursor.next()


def iter_list(txn: Any, table: Any, owner: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, payload) of every row of a list, ascending; valid while the transaction is."""
    for _separator, block in iter_blocks_of(txn, table, owner):
        yield from iter_rows(block)


def iter_below(txn: Any, table: Any, owner: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, payload) of every row of a list whose key begins with `prefix`, ascending.  Cost: one descent,
    and the blocks those rows are in.
    """
    with txn.cursor(db=table) as cursor:
        block = block_at(cursor, owner, prefix)
        while block is not None:
            for key, payload in iter_rows(block):
                if key.startswith(prefix):
                    yield key, payload
                elif key > prefix:
                    return
            block = bytes(cursor.value()) if _next_of_list(cursor, owner) else None


# --- changing ---


def apply_rows(txn: Any, table: Any, owner: bytes, changes: Changes) -> None:
    """Set and remove rows of one list.  Setting what is there, or removing what is not, changes nothing."""
    if len(changes) == 1 and edit_row(txn, table, owner, *changes[0], _EDITED_BYTES):
        return
    with txn.cursor(db=table) as cursor:
        at = 0
        while at < len(changes):
            block = block_at(cursor, owner, changes[at][0])
            if block is None:
                put_list(txn, table, owner, [(key, row) for key, row in changes[at:] if row is not None])
                return
            current = cursor.key(), block
            following = (cursor.key(), bytes(cursor.value())) if _next_of_list(cursor, owner) else None
            upper = None if following is None else following[0][len(owner) :]
            first = at
            while at < len(changes) and (upper is None or changes[at][0] < upper):
                at += 1
            if at - first > 1 or not edit_row(txn, table, owner, *changes[first], _EDITED_BYTES):
                _rewrite(txn, table, owner, current, following, changes[first:at])


def _next_of_list(cursor: Any, owner: bytes) -> bool:
    return bool(cursor.next()) and cursor.key().startswith(owner)


def put_list(
    txn: Any, table: Any, owner: bytes, rows: list[tuple[bytes, bytes]], flags: int = 0, append: bool = False
) -> None:
    """Write a list that does not exist yet; `flags` are set in the first octet of every block."""
    for key, block in cut(owner, rows):
        txn.put(key, bytes((block[0] | flags,)) + block[1:] if flags else block, db=table, append=append)


def cut(owner: bytes, rows: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """(LMDB key, block) pairs of a new list."""
    cutter, packed = _cutter(), pack_changes([(key, row) for key, row in rows])
    _check(lib.pxl_cutter_start(cutter, (ffi.from_buffer(owner), len(owner)), (ffi.NULL, 0), 0))
    _check(lib.pxl_cutter_merge(cutter, (ffi.NULL, 0), (ffi.from_buffer(packed), len(packed))))
    _check(lib.pxl_cutter_finish(cutter))
    done = lib.pxl_cutter_take(cutter)
    return list(iter_blocks(ffi.buffer(done.data, done.len)[:])) if done.len else []


def remove_list(txn: Any, table: Any, owner: bytes) -> None:
    """Remove every block of a list."""
    with txn.cursor(db=table) as cursor:
        more = cursor.set_range(owner)
        while more and cursor.key().startswith(owner):
            more = cursor.delete()


def _rewrite(txn: Any, table: Any, owner: bytes, current: _Block, following: _Block | None, changes: Changes) -> None:
    """Write a block anew, together with the one that follows if that keeps blocks few."""
    written = _cut_again(owner, current, changes)
    if following is not None and _should_join(written, following[1]):
        written = _cut_again(owner, current, changes, following[1], _target(written, following[1]))
        txn.delete(following[0], db=table)
    for key, block in written:
        if key != current[0] or block != current[1]:
            txn.put(key, block, db=table)
    if not written:
        _remove_last(txn, table, owner, current[0])


def _should_join(written: list[_Block], following: bytes) -> bool:
    """Whether the last block written and the one after it become one.

    What a full block cannot hold goes to its neighbour while there is room, so that a million changes leave
    blocks about as full as a build does; blocks that shrink are joined well before they fill one together,
    so that they are not cut again by the next change.
    """
    if not written:
        return True
    room = BLOCK_BYTES if len(written) > 1 else _JOINED_BYTES
    return len(written[-1][1]) + len(following) <= room


def _target(written: list[_Block], following: bytes) -> int:
    """How large the first block may be of what is joined.

    One that was too large moves more than it must, so that the next row does not find it full again: half of both
    where the other one has a page of its own anyway.
    """
    if len(written) != 2:
        return BLOCK_BYTES
    if len(following) < BLOCK_BYTES // 2:
        return BLOCK_BYTES - _MOVED_BYTES
    return min(BLOCK_BYTES, (len(written[0][1]) + len(written[1][1]) + len(following)) // 2 + _MOVED_BYTES)


def _cut_again(
    owner: bytes, current: _Block, changes: Changes, following: bytes = b"", target: int = BLOCK_BYTES
) -> list[_Block]:
    """The blocks that a changed block becomes, its flags kept; with the rows of the following one, if given."""
    (key, block), packed, done = current, pack_changes(changes), ffi.new("pxl_slice *")
    code = lib.pxl_cutter_rewrite(
        _kept_cutter(), target, key, len(key), len(owner),
        block, len(block), packed, len(packed), following, len(following), done,
    )  # fmt: skip
    _check(code)
    return list(iter_blocks(ffi.buffer(done.data, done.len)[:])) if done.len else []


def _remove_last(txn: Any, table: Any, owner: bytes, key: bytes) -> None:
    """The last block of a list lost all its rows: the one before it becomes the last."""
    with txn.cursor(db=table) as cursor:
        cursor.set_key(key)
        before = cursor.key() if cursor.prev() else b""
        last = cursor.value() if before.startswith(owner) else b""
    txn.delete(key, db=table)
    if last:
        txn.put(before, bytes((last[0] & ~MORE,)) + last[1:], db=table)


def _cutter() -> Any:
    return ffi.gc(lib.pxl_cutter_new(BLOCK_BYTES, KEY_MAX), lib.pxl_cutter_free)


def _kept_cutter() -> Any:
    """This thread's own, for one rewriting after the other."""
    try:
        return _kept.cutter
    except AttributeError:
        _kept.cutter = _cutter()
        return _kept.cutter


def new_inversion(seed: int | None = None) -> Any:
    """What turns records into the rows of an index (csrc/invert.c).  Hashes and digests are keyed with `seed`;
    without one, by what nobody can know.
    """
    number = int.from_bytes(os.urandom(8), "big") if seed is None else seed
    inversion = lib.pxl_inversion_new(BLOCK_BYTES, number)
    if not inversion:
        raise MemoryError("out of memory")
    return ffi.gc(inversion, lib.pxl_inversion_free)


def _check(code: int) -> None:
    if code == lib.PXL_E_MEMORY:
        raise MemoryError("out of memory")
    if code == lib.PXL_E_BLOCK:
        raise damaged()
    if code < 0:
        raise ValueError("rows out of order or too long")
