"""The last change once more, kept beside the meta page that it follows: one sync makes a commit durable.

LMDB syncs the pages of a transaction N and then its meta page, which leads to them; the first sync orders the two,
the second makes the commit durable.  Each of the two meta pages has room behind its 152 octets.  Before N is
committed, its directory rows are written into the page of meta N - 1; the sync of N's pages then takes to the disk

    meta N - 1, whose pages have been there since their own sync, and what N changes in its rows

and that is N, whether meta N arrives or not.  If the power fails first, the next one who opens the index finds meta
N - 1 and the change that follows it, written in another boot, and makes it once more; what else N changed was a
function of its directory rows (write.py).  While N is synced only one of the meta pages is on its way to the disk, so
the other is whole even on a disk that tears what it is writing.

Within one boot nothing is ever made again: what a process that dies leaves in the page cache is the truth.  (So a disk
that drops out and comes back without a boot may miss the last change.)  A change that is too long, or of more than
directory rows, is made durable by the second sync.

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
from typing import Final, NamedTuple

from pyxlist.index.datafile import newest_meta
from pyxlist.index.durability import boot_id
from pyxlist.index.layout import pack_meta, unpack_meta

__all__ = ["Pending", "Redo", "Rows", "pending", "this_boot"]

# key name -> directory row or None, of every row that a transaction set or removed
Rows = dict[bytes, bytes | None]

_OFFSET: Final = 512  # in the meta page: a sector of its own
_ROOM: Final = 4096 - _OFFSET
_MOST_ROWS: Final = 8
_HEAD: Final = struct.Struct("<8s 16s Q I")  # magic, boot, transaction, length of the rows; their digest follows
_MAGIC: Final = b"pyxlredo"
_DIGEST_BYTES: Final = 16


def this_boot() -> bytes | None:
    """The boot as 16 octets; None where it is not known."""
    with contextlib.suppress(OSError, ValueError):
        return _this_boot()
    return None


@functools.cache
def _this_boot() -> bytes:
    return uuid.UUID(boot_id()).bytes


class Redo:
    """The room in the meta pages of one data file, used by who holds the writer lock.

    `identity` is the device and inode of the file that is meant, whatever stands at the path.
    """

    def __init__(self, data: pathlib.Path) -> None:
        self._data = data
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None

    def put(self, identity: tuple[int, int], transaction: int, page_bytes: int, rows: Rows) -> bool:
        """Keep the rows of a transaction that is about to be committed; False where they cannot be kept."""
        boot = this_boot()
        if boot is None or len(rows) > _MOST_ROWS:
            return False
        packed = pack_meta(list(rows.items()))
        record = _HEAD.pack(_MAGIC, boot, transaction, len(packed)) + packed
        record += _digest(record)
        if len(record) > _ROOM:
            return False
        try:
            return os.pwrite(self._file(identity), record, _place(transaction, page_bytes)) == len(record)
        except OSError:
            return False

    def take_back(self, identity: tuple[int, int], transaction: int, page_bytes: int) -> None:
        """Keep nothing of a transaction that has failed."""
        with contextlib.suppress(OSError):
            self._clear(self._file(identity), transaction, page_bytes)
            os.fdatasync(self._file(identity))

    def forget(self, identity: tuple[int, int], transaction: int, page_bytes: int) -> None:
        """Keep nothing of another transaction with this number, whose process died in it in this boot."""
        with contextlib.suppress(OSError):
            head = _read_head(self._file(identity), transaction, page_bytes)
            if head is not None and (head.transaction, head.boot) == (transaction, this_boot()):
                self._clear(self._file(identity), transaction, page_bytes)

    def settle(self, identity: tuple[int, int], newest: int, page_bytes: int) -> None:
        """Keep nothing of transactions that come after the newest, but for the one that is pending.

        Such ones were on their way when the power failed, or their processes died.  The numbers come again.
        """
        with contextlib.suppress(OSError):
            file = self._file(identity)
            waiting = pending(self._data)
            for transaction in (newest + 1, newest + 2):  # one for each of the two pages
                head = _read_head(file, transaction, page_bytes)
                if head is None or head.transaction <= newest:
                    continue
                if waiting is None or head.transaction != waiting.transaction:
                    self._clear(file, transaction, page_bytes)
                    os.fdatasync(file)

    def close(self) -> None:
        """Let go of the file, when nobody writes; it is opened again when it is needed."""
        descriptor, self._descriptor, self._identity = self._descriptor, -1, None
        if descriptor >= 0:
            os.close(descriptor)

    @staticmethod
    def _clear(file: int, transaction: int, page_bytes: int) -> None:
        os.pwrite(file, bytes(_HEAD.size), _place(transaction, page_bytes))

    def _file(self, identity: tuple[int, int]) -> int:
        if self._identity == identity:
            return self._descriptor
        self.close()
        descriptor = os.open(self._data, os.O_RDWR)
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != identity:
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "replaced", self._data)
        self._descriptor, self._identity = descriptor, identity
        return descriptor


class _Head(NamedTuple):
    """What a record begins with."""

    boot: bytes
    transaction: int
    length: int


def _read_head(file: int, transaction: int, page_bytes: int) -> _Head | None:
    """The head of what stands where this transaction's record would."""
    octets = os.pread(file, _HEAD.size, _place(transaction, page_bytes))
    if len(octets) < _HEAD.size or not octets.startswith(_MAGIC):
        return None
    return _Head(*_HEAD.unpack(octets)[1:])


class Pending(NamedTuple):
    """A transaction that was durable, and whose meta page the power took."""

    transaction: int
    rows: Rows


def pending(data: pathlib.Path) -> Pending | None:
    """The transaction that is to be made again; None if there is none."""
    with open(data, "rb", buffering=0) as file:
        meta = newest_meta(file.fileno())
        if meta is None:
            return None
        transaction = meta.transaction + 1
        head = _read_head(file.fileno(), transaction, meta.page_bytes)
        if head is None or head.transaction != transaction or head.boot == this_boot():
            return None
        octets = os.pread(file.fileno(), _ROOM, _place(transaction, meta.page_bytes))
    end = _HEAD.size + head.length
    if octets[end : end + _DIGEST_BYTES] != _digest(octets[:end]):
        return None
    return Pending(transaction, dict(unpack_meta(octets[_HEAD.size : end])))


def _place(transaction: int, page_bytes: int) -> int:
    """Where what a transaction changes is kept: in the page of the meta before it."""
    return (transaction - 1) % 2 * page_bytes + _OFFSET


def _digest(octets: bytes) -> bytes:
    return hashlib.blake2b(octets, digest_size=_DIGEST_BYTES).digest()
