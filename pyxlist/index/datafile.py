"""The file under LMDB, looked at before and after LMDB does: its length, its promises, its file system.

LMDB maps its file and trusts it: a page that is missing is SIGBUS at first touch.
"""

from __future__ import annotations

import os
import pathlib
import struct
from typing import Final, NamedTuple

from pyxlist.errors import StoreDamagedError, StoreError
from pyxlist.index._store import file_at

__all__ = [
    "DATA",
    "REBUILD",
    "Meta",
    "identity_at",
    "newest_meta",
    "promised_bytes",
    "refuse_network",
    "refuse_truncated",
    "reserve_length",
]

DATA: Final = "data.mdb"
REBUILD: Final = "delete it and build it anew from its source"
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "9p"})
_SLACK_BYTES: Final = 1 << 19
# magic, version, address, map size, two MDB_db (the first one's pad is the page size), last page, transaction id
_META: Final = struct.Struct("<16x I I Q Q I 44x 48x Q Q")


def identity_at(directory: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Device and inode of the data file of an index directory; None where there is none."""
    try:
        return file_at(os.fsencode(os.path.join(directory, DATA)))
    except OSError:
        return None


class Meta(NamedTuple):
    """One of LMDB's two meta pages, as far as it is read here."""

    transaction: int
    last_page: int
    page_bytes: int


def newest_meta(descriptor: int) -> Meta | None:
    """The newer of a file's two meta pages; None when the file is not LMDB's 0.9 format.

    Source: mdb.c MDB_page, MDB_meta.
    """
    found: list[Meta] = []
    at, page = 0, 4096
    for _ in range(2):
        head = os.pread(descriptor, _META.size, at)
        if len(head) == _META.size:
            magic, _version, _address, _map, page_size, last_page, transaction = _META.unpack(head)
            if magic == 0xBEEFC0DE:
                page = page_size
                found.append(Meta(transaction, last_page, page_size))
        at = page
    return max(found, default=None)


def promised_bytes(path: pathlib.Path) -> int:
    """File length that the newer meta page implies; 0 when the file is not LMDB's 0.9 format."""
    with open(path, "rb", buffering=0) as file:
        meta = newest_meta(file.fileno())
    return 0 if meta is None else (meta.last_page + 1) * meta.page_bytes


def reserve_length(path: pathlib.Path, promised: int, length: int) -> int:
    """Let a file of `length` octets end, sparse, well behind what its meta page promises; its length then.

    LMDB does not write pages that a transaction took at the end and let go again, so its file may end before
    its last page.  The length is reserved before a transaction, and synced with its pages before its meta
    page is written, so a whole file never looks truncated, whenever the power fails.
    """
    if length >= promised + _SLACK_BYTES // 2:
        return length
    os.truncate(path, promised + _SLACK_BYTES)
    return promised + _SLACK_BYTES


def refuse_truncated(data: pathlib.Path) -> None:
    """Raise StoreDamagedError for a file that is shorter than it should be, or no LMDB file."""
    try:
        promised = promised_bytes(data)
        size = os.stat(data).st_size  # after the promise: a writer lets the file grow first
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", path=data) from error
    if not promised:
        raise StoreDamagedError("not an LMDB file", path=data, remedy=REBUILD)
    if size < promised:
        raise StoreDamagedError("truncated", path=data, expected=f"{promised} octets", got=size, remedy=REBUILD)


def refuse_network(directory: pathlib.Path) -> None:
    """Raise StoreError on a file system where neither locks nor maps are those of one machine."""
    kind = _file_system(directory)
    if kind in _NETWORK:
        raise StoreError(
            "is on a network file system, where LMDB's locks and maps do not work",
            path=directory,
            got=kind,
            remedy="put the index on a local disk",
        )


def _file_system(directory: pathlib.Path) -> str | None:
    """The type of the file system a directory is on, as the kernel's mount table names it; None if unknown."""
    try:
        device = directory.stat().st_dev
        table = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in table.splitlines():
        words = line.split()
        if len(words) > 4 and words[2] == wanted and "-" in words:
            return words[words.index("-") + 1]
    return None
