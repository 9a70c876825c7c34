"""Generations: who could see something else since when, as eight random octets each, drawn by the transaction that
last changed it.

They stand where such a transaction writes anyway, because every page more costs a durable change a tenth of its
time: an identifier's beside its posting lists, the directory's in the table of tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

from pyxlist.index.layout import DIRECTORY, STAMP

__all__ = ["generation_of", "touch"]

_STAMP_BYTES: Final = 8


def touch(txn: Any, tables: dict[str, Any], concerned: Iterable[bytes]) -> None:
    """Note that what these identifiers see, or what else has a generation (layout.py), changed with this transaction.

    By a random number, not by the transaction's own: that may come again after one that a power loss undid.
    """
    stamp = os.urandom(_STAMP_BYTES)
    for name in sorted(concerned):
        table, key = _place(tables, name)
        txn.put(key, stamp, db=table)


def generation_of(txn: Any, tables: dict[str, Any], name: bytes) -> bytes:
    """The generation of an identifier, or of what else has one; empty if nothing changed since the index was built."""
    table, key = _place(tables, name)
    return txn.get(key, db=table) or b""


def _place(tables: dict[str, Any], name: bytes) -> tuple[Any, bytes]:
    """Table and key; None is the table of tables."""
    if name >= b" ":
        return tables["postings"], name + STAMP
    return (None if name == DIRECTORY else tables["generations"]), name
