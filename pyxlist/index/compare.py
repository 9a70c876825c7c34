"""A source and an index walked side by side: which mailboxes differ?

Stretches of the source that the index is known to hold (stretches.py) are passed over; of the others every
row is compared (csrc/compare.c).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from pyxlist._pxl import ffi, lib
from pyxlist.cyrusdb import Progress, Source, raise_core_error
from pyxlist.index.env import Store
from pyxlist.index.layout import WHOLE_TABLE, iter_changes
from pyxlist.index.rows import block_at, new_inversion
from pyxlist.index.stretches import cut_stretches, pack_digest, put_digests
from pyxlist.index.write import Change

__all__ = ["Comparison", "Told", "differences"]


class Told:
    """A progress callback that is not called too often."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._at = time.monotonic()

    def tell(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._progress and now - self._at >= 0.1:
            self._at = now
            self._progress(stage, done, total)


class Comparison:
    """A source and an index walked side by side, once."""

    def __init__(
        self, txn: Any, tables: dict[str, Any], inversion: Any, reader: Any, header: Source, told: Told
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._inversion = inversion
        self._reader = reader
        self._header = header
        self._told = told
        self._error = ffi.new("pxl_error *")
        self._fresh: dict[bytes, bytes] = {}  # digests of stretches that were compared row by row
        self._too_long = False

    def differences(self, stretches: list[tuple[bytes, bytes]]) -> Iterator[Change]:
        """Every mailbox whose row is not what the source says, in key order; stretches with the source's digest
        are passed over.
        """
        digest, ends = ffi.new("uint64_t *"), [lower for lower, _digest in stretches[1:]] + [b""]
        for (lower, known), upper in zip(stretches, ends, strict=True):
            code = lib.pxl_inversion_digest(self._inversion, self._reader, upper, len(upper), digest, self._error)
            self._check(code)
            self._too_long |= code == lib.PXL_MORE
            found = pack_digest(digest[0]) if code == lib.PXL_OK else b""
            if found and found == known:
                lib.pxl_inversion_pass(self._inversion)
                self._tell()
                continue
            if found:
                self._fresh[lower] = found
            yield from self.rows(lower, upper)

    def rows(self, lower: bytes, upper: bytes) -> Iterator[Change]:
        """The same of the names from `lower` on and below `upper` (empty: all), row by row."""
        with self._txn.cursor(db=self._tables["directory"]) as cursor:
            block = block_at(cursor, WHOLE_TABLE, lower) or b""
            while True:
                separator = cursor.key()[len(WHOLE_TABLE) :] if block and cursor.next() else b""
                inside = separator and (not upper or separator < upper)
                yield from self._compare(block, lower, separator if inside else upper)
                self._tell()
                if not inside:
                    return
                block = bytes(cursor.value())

    def keep_digests(self) -> None:
        """Store what was found out about stretches, once the index is equal to the source."""
        if self._too_long:
            cut_stretches(self._txn, self._tables)
        else:
            put_digests(self._txn, self._tables, self._fresh)

    def _compare(self, block: bytes, lower: bytes, upper: bytes) -> Iterator[Change]:
        sides = ((ffi.from_buffer(octets), len(octets)) for octets in (block, lower, upper))
        self._check(lib.pxl_inversion_compare(self._inversion, self._reader, *sides, self._error))
        found = lib.pxl_inversion_changes(self._inversion)
        if found.len:
            yield from iter_changes(memoryview(ffi.buffer(found.data, found.len)))

    def _check(self, code: int) -> None:
        if code < 0:
            raise_core_error(self._error, self._header.path)

    def _tell(self) -> None:
        self._told.tell("compare", lib.pxl_reader_at(self._reader), self._header.end)


def differences(txn: Any, store: Store, reader: Any, header: Source) -> Iterator[Change]:
    """Every mailbox whose directory row is not what the source says, in key order; for `verify`, so no digest
    is believed.
    """
    return Comparison(txn, store.tables, new_inversion(), reader, header, Told(None)).rows(b"", b"")
