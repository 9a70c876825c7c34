# What every change does some times over (_store.c): transactions and tables are py-lmdb's.
from typing import Any

def find_block(txn: Any, table: Any, owner: bytes, key: bytes, /) -> tuple[bytes, bytes] | None:
    """LMDB key and octets of the block of a list that would hold `key`, None for an empty list."""

def find_row(txn: Any, table: Any, owner: bytes, key: bytes, /) -> bytes | None:
    """The payload of one row.  Cost: one descent and a scan of one block.  Raises StoreDamagedError."""

def edit_row(txn: Any, table: Any, owner: bytes, key: bytes, payload: bytes | None, limits: tuple[int, int], /) -> bool:
    """Set or, with None, remove one row in its block, where that leaves one block that may stay: one shorter than the
    first of `limits` must be its list's last, none is longer than the second.  False: nothing done.
    """

def file_at(path: bytes, /) -> tuple[int, int]:
    """Device and inode of a file, without asking for its times.  Raises OSError."""

def look_at(path: bytes, mark: bytes, /) -> tuple[int, int, int, bool]:
    """Device, inode and octets of a file, and whether there is another one.  Raises OSError for the first."""

def compare_rows(key: bytes, old: bytes | None, new: bytes | None, /) -> tuple[dict[bytes, bytes | None], bool]:
    """What becomes of a mailbox's posting rows when its directory row does: owner prefix of each list that changes ->
    the row's payload or None; and whether anything else that answers show changes.  Raises ValueError for octets that
    are no directory row.
    """

def take_turn(turn: int, writer: int, /) -> bool:
    """Lock the second of two open files by flock(2), if both are free; the first is left unlocked."""
