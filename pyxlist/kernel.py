"""One LIST in the C core: a kernel with what its callbacks need, and a pool of kernels that are not at work.

The kernel (csrc/listing.c) asks for blocks and for what a server knows through the callbacks here, which find
everything in the kernel object that their handle leads to.
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

from pyxlist._pxl import ffi, lib
from pyxlist.callbacks import ask_metadata, ask_status, pack_answers
from pyxlist.cyrusdb import raise_core_error
from pyxlist.index.read import BlockReader
from pyxlist.query import Query

__all__ = ["KEPT_BYTES", "Kernel", "Plan", "PlanOfThree", "copy_of", "give_back", "pool", "take"]

KEPT_BYTES: Final = 1 << 20  # a kernel that has written more in one piece gives its memory back
_OK, _ABSENT, _FAILED = int(lib.PXL_OK), int(lib.PXL_ABSENT), int(lib.PXL_E_FETCH)
_STATUS: Final = lib.PXL_RETURN_STATUS
_point: Final = lib.pxl_slice_point


@functools.lru_cache(maxsize=64)
def _numbers(lists: tuple[tuple[int, int], ...]) -> tuple[Any, Callable[..., bytes]]:
    """What plans of the same lists have in common: the core's array of them, and how their lengths are told it."""
    return ffi.new("pxl_list[]", lists), struct.Struct(f"={len(lists)}I").pack


class Plan:
    """Which lists an answer reads: the arguments to get the first block of each, and what the kernel calls them.

    `tables` are the handles that the arguments hold; once the store has others the plan is to be made anew.
    """

    __slots__ = ("ids", "keys", "pack", "pointer", "tables")

    def __init__(self, view: Any, tables: dict[str, Any], lists: list[tuple[int, int, str, bytes]]) -> None:
        self.tables = tables
        self.keys: tuple[Any, ...] = tuple((owner, b"", tables[table]) for _role, _number, table, owner in lists)
        self.ids, self.pack = _numbers(tuple((role, number) for role, number, _table, _owner in lists))
        self.pointer = ffi.new("pxl_plan *", (view, self.ids, len(lists)))

    def read(self, get: Callable[..., bytes]) -> tuple[bytes, bytes]:
        """The first blocks in one, and the length of each as the kernel wants them."""
        blocks = [get(*key) for key in self.keys]
        return b"".join(blocks), self.pack(*map(len, blocks))


class PlanOfThree(Plan):
    """A user without groups reads three lists.  Nearly all do, and without loops it takes a third less time.

    The arguments lie side by side: looking for them all over the memory is what costs time with many users.
    """

    __slots__ = ()

    def __init__(self, view: Any, tables: dict[str, Any], lists: list[tuple[int, int, str, bytes]]) -> None:
        super().__init__(view, tables, lists)
        self.keys = tuple(part for owner, _absent, table in self.keys for part in (owner, table))

    def read(self, get: Callable[..., bytes]) -> tuple[bytes, bytes]:
        owner, table, everybody, everybodys_table, user, uses_table = self.keys
        own, everybodys, uses = (
            get(owner, b"", table),
            get(everybody, b"", everybodys_table),
            get(user, b"", uses_table),
        )
        return b"".join((own, everybodys, uses)), self.pack(len(own), len(everybodys), len(uses))


class Kernel:
    """One C listing with what its callbacks need: used by one answer at a time, of any view, then pooled."""

    __slots__ = (
        "error", "failure", "handle", "held", "lister", "listing", "octets", "query", "reader", "room", "sought",
        "told", "txn",
    )  # fmt: skip

    def __init__(self) -> None:
        self.lister: Any = None
        self.error = ffi.new("pxl_error *")
        self.handle = ffi.new_handle(self)
        self.listing = ffi.gc(lib.pxl_listing_new(_CALLBACKS, self.handle, self.error), lib.pxl_listing_free)
        if not self.listing:
            raise MemoryError("out of memory")
        sought = lib.pxl_listing_sought(self.listing)
        self.sought = ffi.buffer(sought.data, sought.len)
        self.reader: BlockReader | None = None
        self.failure: BaseException | None = None
        self.query: Query | None = None
        self.txn: Any = None
        self.held: Any = None  # first blocks of the lists
        self.told: dict[int, tuple[bytes, bytes]] = {}  # what callbacks answered last
        self.note_room()

    def note_room(self) -> None:
        """Look where the next answer will stand: it moves when one was longer."""
        piece = lib.pxl_listing_room(self.listing)
        if not piece.len:
            raise MemoryError("out of memory")
        self.room: int = piece.len
        self.octets = ffi.buffer(piece.data, piece.len)

    def long_answer(self, size: int) -> bytes:
        """The answer of a call that returned `size`, beyond the room or negative.  Raises what went wrong."""
        if size < 0:
            self.fail()
        return copy_of(lib.pxl_listing_output(self.listing))

    def fail(self) -> NoReturn:
        """Raise what stopped the kernel: a callback's own error, or the kernel's."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        raise_core_error(self.error, str(self.lister.store.path))
        raise AssertionError("a kernel failed without an error")

    def blocks(self) -> BlockReader:
        """The reader of this snapshot's blocks, made when the first one is asked for."""
        if self.reader is None:
            self.reader = BlockReader(self.txn, self.lister.list_of, lib.PXL_PROBE)
        return self.reader


def _interrupted(_kind: Any, error: BaseException, trace: Any) -> None:
    """Keep what was raised in a callback but outside its own try, such as Ctrl-C at its first line."""
    kernel: Kernel = ffi.from_handle(trace.tb_frame.f_locals["handle"])
    kernel.failure = error


@ffi.def_extern(name="pxl_py_fetch", error=lib.PXL_E_FETCH, onerror=_interrupted)  # type: ignore[untyped-decorator]
def _fetch(handle: Any, number: int, key_len: int, after: int, block: Any) -> int:
    kernel: Kernel = ffi.from_handle(handle)
    try:
        reader = kernel.reader or kernel.blocks()
        found = reader.following(number) if after else reader.fetch(number, kernel.sought[:key_len])
    except BaseException as error:
        kernel.failure = error
        return _FAILED
    if found is None:
        return _ABSENT
    # `found` is held by the reader until the next block of this list.
    _point(block, found, len(found))
    return _OK


def _names(asked: Any) -> list[bytes]:
    """Key names of the mailboxes that a kernel asks about."""
    octets = ffi.buffer(asked.keys.data, asked.keys.len)[:]
    names: list[bytes] = octets.split(b"\0")
    if len(names) != asked.count:  # some name holds the octet that stands between names: go by their lengths
        ends = [0, *itertools.accumulate(size + 1 for size in ffi.unpack(asked.sizes, asked.count))]
        names = [octets[start : end - 1] for start, end in itertools.pairwise(ends)]
    return names


@ffi.def_extern(name="pxl_py_tell", error=lib.PXL_E_FETCH, onerror=_interrupted)  # type: ignore[untyped-decorator]
def _tell(handle: Any, what: int, asked: Any, octets: Any, sizes: Any) -> int:
    kernel: Kernel = ffi.from_handle(handle)
    try:
        lister, query = kernel.lister, cast(Query, kernel.query)
        if what == _STATUS:
            answers = ask_status(lister.status, _names(asked), query.status_items)
        elif lister.metadata:
            answers = ask_metadata(lister.metadata, _names(asked), query.metadata_items, query.metadata_options)
        else:
            return _ABSENT
        told = kernel.told[what] = pack_answers(answers)
    except BaseException as error:
        kernel.failure = error
        return _FAILED
    # `told` is held by the kernel until it asks the same again.
    for slice_, text in zip((octets, sizes), told, strict=True):
        _point(slice_, text, len(text))
    return _OK


_CALLBACKS: Final = ffi.new("pxl_callbacks *", {"fetch": lib.pxl_py_fetch, "tell": lib.pxl_py_tell})


pool: Final[list[Kernel]] = []  # kernels that no answer is using; shared, so that they stay in the cache


def take() -> Kernel:
    """A kernel of its own for an answer: one from the pool, or a new one."""
    try:
        return pool.pop()
    except IndexError:
        return Kernel()


def give_back(kernel: Kernel) -> None:
    """Let another answer have a kernel whose buffer may have moved, and which may have been interrupted."""
    kernel.failure = None
    kernel.told.clear()
    kernel.note_room()
    pool.append(kernel)


def copy_of(piece: Any) -> bytes:
    """A copy of what a slice of the core points to."""
    return ffi.buffer(piece.data, piece.len)[:] if piece.len else b""
