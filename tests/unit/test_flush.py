"""Input that ends where readable memory ends: the core reads no octet behind what it was given."""

from __future__ import annotations

import ctypes
import mmap
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyxlist._pxl import ffi, lib
from tests.sources import value
from tests.unit.test_readers import FORMATS, WORLD

DUMPS = {
    "dump-json": b'{"user.bob":{"name":"user.bob","acl":{"bob":"lrs\\u00e9"}},"a!b.c":{"x":[1,{"y":null}]}}',
    "dump-text": b"user.bob\t0 default bob\tlrswipkxtecda\t\npub\t1 srv!default anyone\tlrs\t\n",
}
SOURCES = {**{name: write(WORLD) for name, write in FORMATS.items()}, **DUMPS}
VALUES = [
    value("anyone lrs bob lrswi", uniqueid="cl4gckzt"),
    b'%(T e A %("joe smith" lr {3+}\r\nq"q lr))',
    b"%(T er P part S server M 1 A %(anyone lrs) H (%(N old M 1) %(N b)))",
    b"0 default anyone\tlrs\tbob\tl\t",
    b"(uniqueid X) 1 s!p anyone\tlrs\t",
]

Place = Callable[[bytes], Any]


@pytest.fixture
def place() -> Iterator[Place]:
    """Put octets so that they end where a page begins that nobody may read; gives their address, for cffi.

    A read behind them kills the process with SIGSEGV, which fails every test of the run.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    room = 4 * mmap.PAGESIZE
    pages = mmap.mmap(-1, room + mmap.PAGESIZE)
    start = int(ffi.cast("uintptr_t", ffi.from_buffer(pages)))
    assert libc.mprotect(ctypes.c_void_p(start + room), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0

    def put(octets: bytes) -> Any:
        address = start + room - len(octets)
        ctypes.memmove(address, octets, len(octets))
        return ffi.cast("uint8_t *", address)

    yield put
    assert libc.mprotect(ctypes.c_void_p(start + room), ctypes.c_size_t(mmap.PAGESIZE), 3) == 0


def drain(image: Any, size: int, options: int) -> int:
    """Read all records of an image; the last result."""
    out, error, records = ffi.new("pxl_reader **"), ffi.new("pxl_error *"), ffi.new("uint64_t *")
    result: int = lib.pxl_reader_open(out, image, size, options, error)
    if result == lib.PXL_OK:
        result = lib.pxl_reader_drain(out[0], records, error)
        lib.pxl_reader_close(out[0])
    assert result == lib.PXL_OK or (error.code == result and error.message)
    return result


@pytest.mark.parametrize("name", SOURCES)
def test_every_cut_of_a_source(place: Place, name: str) -> None:
    """A source that ends anywhere is read or refused, and nothing behind its end is touched."""
    whole = SOURCES[name]
    assert drain(place(whole), len(whole), 0) == lib.PXL_OK
    for size in range(len(whole)):
        for options in (0, lib.PXL_SALVAGE):
            drain(place(whole[:size]), size, options)


@pytest.mark.parametrize("name", ["twoskip", "skiplist", "twom"])
def test_every_cut_of_a_log(place: Place, name: str) -> None:
    """What was appended to a log may end anywhere too: whole records come out, then the end or an error."""
    whole, header, error = SOURCES[name], ffi.new("pxl_log_header *"), ffi.new("pxl_error *")
    for size in range(len(whole)):
        if lib.pxl_log_read_header(place(whole[:size]), size, header, error) < 0 or size < header.first:
            continue
        base, record = int(header.first), ffi.new("pxl_logged *")
        tail = lib.pxl_tail_new(header)
        assert lib.pxl_tail_start(tail, place(whole[base:size]), base, size - base) == lib.PXL_OK
        while lib.pxl_tail_next(tail, record, error) == lib.PXL_OK:
            pass
        assert lib.pxl_tail_at(tail) <= size
        lib.pxl_tail_free(tail)


@pytest.mark.parametrize("whole", VALUES)
def test_every_cut_of_a_value(place: Place, whole: bytes) -> None:
    """A mailboxes.db value that ends anywhere, its ACL walked as far as it goes."""
    entry, error = ffi.new("pxl_mbentry *"), ffi.new("pxl_error *")
    identifier, rights = ffi.new("pxl_slice *"), ffi.new("pxl_slice *")
    for size in range(len(whole) + 1):
        slice_ = ffi.new("pxl_slice *", {"data": place(whole[:size]), "len": size})[0]
        result = lib.pxl_mbentry_parse(slice_, entry, error)
        assert result == lib.PXL_OK or size < len(whole)
        acl = ffi.new("pxl_slice *", entry.acl)
        while result == lib.PXL_OK:
            result = lib.pxl_acl_next(acl, entry.acl_tabs, identifier, rights)


def test_checksums_of_every_length(place: Place) -> None:
    """CRC-32 is zlib's, by the processor's way and by the portable one, for every length up to 600 octets."""
    octets = random.Random(5).randbytes(600)
    for size in range(len(octets) + 1):
        address, expected = place(octets[:size]), zlib.crc32(octets[:size])
        assert lib.pxl_crc32(address, size) == expected, size
        assert lib.pxl_crc32_portable(address, size) == expected, size
