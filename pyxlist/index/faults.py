"""What LMDB's errors mean to a user of an index, and the limits some of them speak of."""

from __future__ import annotations

import errno
import os
import pathlib
from typing import Any, Final

import lmdb

from pyxlist.errors import StoreBusyError, StoreDamagedError, StoreError, StoreFullError, StoreVersionError
from pyxlist.index.datafile import REBUILD
from pyxlist.index.layout import VERSION, unpack_meta

__all__ = ["MAP_BYTES", "MAX_READERS", "damaged", "refuse_other_version", "store_error"]

MAP_BYTES: Final = 1 << 36
MAX_READERS: Final = 2048
_NO_ROOM: Final = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def store_error(error: lmdb.Error, directory: pathlib.Path) -> StoreError:
    """What an LMDB error means to a user of the index."""
    path = os.fspath(directory)
    if isinstance(error, lmdb.MapFullError):
        return StoreFullError("the index has reached its map size", path=path, got=MAP_BYTES)
    if isinstance(error, lmdb.DiskError) or any(words in str(error) for words in _NO_ROOM):
        return StoreFullError("no space left on the device", path=path, remedy="free some space and try again")
    if isinstance(error, lmdb.PanicError):
        return StoreError("an earlier write failed on the device", path=path, remedy="check the disk, try again")
    if isinstance(error, (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError)):
        return StoreDamagedError(f"LMDB finds it damaged: {error}", path=path, remedy=REBUILD)
    if isinstance(error, lmdb.NotFoundError):
        return StoreDamagedError("a table of the index is missing", path=path, remedy=REBUILD)
    if isinstance(error, lmdb.ReadersFullError):
        return StoreBusyError("all reader slots are taken", path=path, expected=f"below {MAX_READERS}")
    if os.strerror(errno.EACCES) in str(error):
        remedy = "let its readers write lock.mdb, where they say which pages they read"
        return StoreError("may not be opened here", path=path, remedy=remedy)
    return StoreError(str(error).removeprefix(f"{path}: "), path=path)


def damaged() -> StoreDamagedError:
    """What to raise for a block that cannot be walked."""
    return StoreDamagedError("a row block is damaged", remedy="delete the index and build it anew from its source")


def refuse_other_version(env: Any, meta: Any, path: pathlib.Path) -> None:
    """Raise StoreVersionError for an index in another layout, StoreDamagedError where that cannot be told."""
    try:
        with env.begin() as txn:
            raw = txn.get(b"version", db=meta)
        version = None if raw is None else unpack_meta(raw)
    except (lmdb.Error, ValueError) as error:
        raise StoreDamagedError("its meta table cannot be read", path=path, remedy=REBUILD) from error
    if version != VERSION:
        raise StoreVersionError("written in another layout", path=path, expected=VERSION, got=version, remedy=REBUILD)
