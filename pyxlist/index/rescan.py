"""A request, kept in the index, that the next follower or build look at the whole source.

Who learns that something changed, but not what (children of a rename, for one), records it here; the
request stands until a build that began after it is done.
"""

from __future__ import annotations

from typing import Any, Final

from pyxlist.index.checkpoint import keep_settled
from pyxlist.index.layout import pack_meta, unpack_meta

__all__ = ["forget_rescan", "read_rescan", "want_rescan"]

_KEY: Final = b"rescan"
_MOST: Final = 100  # reasons kept; more would tell nobody more


def read_rescan(txn: Any, tables: dict[str, Any]) -> list[str]:
    """Why a rescan is wanted, oldest reason first; empty: it is not."""
    raw = txn.get(_KEY, db=tables["meta"])
    return [] if raw is None else list(unpack_meta(raw))


def want_rescan(txn: Any, tables: dict[str, Any], reason: str) -> None:
    """Record in a write transaction that a rescan is wanted."""
    reasons = read_rescan(txn, tables)
    if reason not in reasons:
        txn.put(_KEY, pack_meta([*reasons, reason][-_MOST:]), db=tables["meta"])


def forget_rescan(txn: Any, tables: dict[str, Any], reasons: list[str]) -> None:
    """The rescan that `reasons` asked for is done; those recorded since stay."""
    left = [reason for reason in read_rescan(txn, tables) if reason not in reasons]
    if left:
        txn.put(_KEY, pack_meta(left), db=tables["meta"])
    else:
        txn.delete(_KEY, db=tables["meta"])
    keep_settled(txn, tables)
