"""Stretches of the source that the index is known to hold: digests by which a build passes over what is equal.

A stretch is about a thousand mailboxes in a row, from its lowest name to that of the next one.  Its digest
(csrc/compare.c) is of the source's octets, and stands as long as nobody changes a row there: whoever does
takes the digest away and leaves the stretch, so the next build looks at its rows and digests it again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyxlist._version import VERSION as RELEASE
from pyxlist.index._store import find_block
from pyxlist.index.layout import STRETCH, WHOLE_TABLE

__all__ = ["cut_stretches", "forget_digests", "pack_digest", "put_digests", "read_stretches", "seed_of"]

_DIGEST: Final = struct.Struct("<Q")
_BLOCKS: Final = 24  # in a stretch that is cut by the blocks of an index


def seed_of(build: bytes) -> int:
    """What an index's digests are keyed with, from its `build` id.

    Another release may understand the same octets otherwise, so it believes no other's digests.
    """
    return int.from_bytes(hashlib.blake2b(build + RELEASE.encode(), digest_size=8).digest(), "big")


def read_stretches(txn: Any, tables: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """(lowest name, packed digest or nothing) of every stretch, ascending; at least one, from the empty name on."""
    stretches = []
    with txn.cursor(db=tables["generations"]) as cursor:
        more = cursor.set_range(STRETCH)
        while more and cursor.key().startswith(STRETCH):
            stretches.append((cursor.key()[len(STRETCH) :], cursor.value()))
            more = cursor.next()
    return stretches if stretches and not stretches[0][0] else [(b"", b""), *stretches]


def pack_digest(digest: int) -> bytes:
    """A digest as it is stored."""
    return _DIGEST.pack(digest)


def put_digests(txn: Any, tables: dict[str, Any], digests: Mapping[bytes, bytes]) -> None:
    """Store digests by lowest name, in a write transaction that made the index equal to the source there."""
    for name, digest in digests.items():
        txn.put(STRETCH + name, digest, db=tables["generations"])


def forget_digests(txn: Any, tables: dict[str, Any], keys: Iterable[bytes]) -> None:
    """Take away the digests of the stretches that mailboxes with these key names, ascending, are in."""
    generations = tables["generations"]
    for key in keys:
        stretch = find_block(txn, generations, STRETCH, key)
        if stretch is not None and stretch[1]:
            txn.put(stretch[0], b"", db=generations)


def cut_stretches(txn: Any, tables: dict[str, Any]) -> None:
    """Cut the whole directory into stretches anew, without digests."""
    generations = tables["generations"]
    with txn.cursor(db=generations) as cursor:
        more = cursor.set_range(STRETCH)
        while more and cursor.key().startswith(STRETCH):
            more = cursor.delete()
    with txn.cursor(db=tables["directory"]) as cursor:
        for number, key in enumerate(cursor.iternext(values=False)):
            if number % _BLOCKS == 0:
                txn.put(STRETCH + key[len(WHOLE_TABLE) :], b"", db=generations)
