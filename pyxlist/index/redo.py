"""The last change once more, kept beside the meta page that it follows: one sync makes a commit durable.

LMDB syncs the pages of a transaction N and then its meta page, which leads to them; the first sync orders the two,
the second makes the commit durable.  Each of the two meta pages has room behind its 152 octets.  Before N is
committed, its directory rows are written into the page of meta N - 1; the sync of N's pages then takes to the disk

    meta N - 1, whose pages have been there since their own sync, and what N changes in its rows

and that is N, whether meta N arrives or not.  If the power fails first, the next one who opens the index finds meta
N - 1 and the change that follows it, written in another boot, and makes it once more; everything else in an index
is a function of its directory's rows (write.py).  At no time are both meta pages on their way to the disk, so one is
whole even on a disk that tears what it is writing.

Within one boot nothing is ever made again: what a process that dies leaves in the page cache is the truth.  A change
that is too long, or of more than directory rows, is made durable by the second sync.

Source: mdb.c, mdb_env_write_meta and mdb_page_alloc (pages that meta N - 1 leads to are not used again by N + 1).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import pathlib
import struct
import uuid
from typing import Final

from pyxlist.index.datafile import newest_meta
from pyxlist.index.durability import boot_id
from pyxlist.index.layout import pack_meta, unpack_meta

__all__ = ["Redo", "Rows", "pending", "this_boot"]

# (key name, directory row or None) of every row that a transaction set or removed
Rows = list[tuple[bytes, bytes | None]]

_OFFSET: Final = 512  # in the meta page: a sector of its own
_ROOM: Final = 4096 - _OFFSET
_MOST_ROWS: Final = 8
_HEAD: Final = struct.Struct("<8s 16s Q I")  # magic, boot, transaction, length of the rows; their digest follows
_MAGIC: Final = b"pyxlredo"
_DIGEST_BYTES: Final = 16


@functools.cache
def this_boot() -> bytes | None:
    """The boot as 16 octets; None where it is not known."""
    with contextlib.suppress(OSError, ValueError):
        return uuid.UUID(boot_id()).bytes
    return None


class Redo:
    """The room in the meta pages of one data file, used by who holds the writer lock."""

    def __init__(self, data: pathlib.Path) -> None:
        self._data = data
        self._descriptor = -1

    def put(self, identity: tuple[int, int], transaction: int, page_bytes: int, rows: Rows) -> bool:
        """Keep the rows of a transaction that is about to be committed to the file with this device and inode; False
        where they cannot be kept.
        """
        boot = this_boot()
        if boot is None or len(rows) > _MOST_ROWS:
            return False
        packed = pack_meta(rows)
        record = _HEAD.pack(_MAGIC, boot, transaction, len(packed)) + packed
        record += _digest(record)
        if len(record) > _ROOM:
            return False
        try:
            if self._descriptor < 0:
                self._open(identity)
            return os.pwrite(self._descriptor, record, _place(transaction, page_bytes)) == len(record)
        except OSError:
            return False

    def take_back(self, transaction: int, page_bytes: int) -> None:
        """Keep nothing of a transaction that has failed."""
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, bytes(_HEAD.size), _place(transaction, page_bytes))
            os.fdatasync(self._descriptor)

    def forget_unfinished(self, identity: tuple[int, int], transaction: int, page_bytes: int) -> None:
        """Keep nothing of a transaction that would be the next one, if a process of this boot died in it."""
        with contextlib.suppress(OSError):
            if self._descriptor < 0:
                self._open(identity)
            head = os.pread(self._descriptor, _HEAD.size, _place(transaction, page_bytes))
            if len(head) == _HEAD.size and _HEAD.unpack(head)[:3] == (_MAGIC, this_boot(), transaction):
                self.take_back(transaction, page_bytes)

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self, identity: tuple[int, int]) -> None:
        descriptor = os.open(self._data, os.O_RDWR)
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != identity:
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "replaced", self._data)
        self._descriptor = descriptor


def pending(data: pathlib.Path) -> Rows | None:
    """The rows of a transaction that was durable and whose meta page the power took; None if there is none."""
    with open(data, "rb", buffering=0) as file:
        meta = newest_meta(file.fileno())
        if meta is None:
            return None
        octets = os.pread(file.fileno(), _ROOM, _place(meta.transaction + 1, meta.page_bytes))
    if len(octets) < _HEAD.size:
        return None
    magic, boot, transaction, length = _HEAD.unpack_from(octets)
    if magic != _MAGIC or transaction != meta.transaction + 1 or boot == this_boot():
        return None
    end = _HEAD.size + length
    if octets[end : end + _DIGEST_BYTES] != _digest(octets[:end]):
        return None
    return [(key, row) for key, row in unpack_meta(octets[_HEAD.size : end])]


def _place(transaction: int, page_bytes: int) -> int:
    """Where what a transaction changes is kept: in the page of the meta before it."""
    return (transaction - 1) % 2 * page_bytes + _OFFSET


def _digest(octets: bytes) -> bytes:
    return hashlib.blake2b(octets, digest_size=_DIGEST_BYTES).digest()
