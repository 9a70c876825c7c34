"""One LIST in the C core: a kernel with what its callbacks need, and a pool of kernels that are not at work.

The kernel (csrc/listing.c) gets its blocks from a block reader (index/_blocks.c), and asks for what a server knows
through the callbacks here, which find everything in the kernel object that their handle leads to.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, Final, NoReturn, cast

from pyxlist._pxl import ffi, lib
from pyxlist.callbacks import ask_metadata, ask_status, pack_answers
from pyxlist.cyrusdb import raise_core_error
from pyxlist.index._blocks import FETCH, BlockReader
from pyxlist.query import Query, address_of

__all__ = ["Kernel", "Plan", "copy_of", "pool", "take"]

_OK, _ABSENT, _FAILED = int(lib.PXL_OK), int(lib.PXL_ABSENT), int(lib.PXL_E_FETCH)
_STATUS: Final = lib.PXL_RETURN_STATUS
_point: Final = lib.pxl_slice_point


@functools.lru_cache(maxsize=64)
def _numbers(lists: tuple[tuple[int, int], ...]) -> Any:
    """The core's array of a plan's lists, which plans of the same lists have in common."""
    return ffi.new("pxl_list[]", lists)


class Plan:
    """Which lists an answer reads: the keys of their first blocks, and what the kernel calls them.

    `reads` says which they are, as READS_… bits.  `tables` are the handles that stand among the keys; once the
    store has others the plan is to be made anew.
    """

    __slots__ = ("_pointer", "address", "keys", "reads", "tables")

    def __init__(self, reads: int, view: Any, tables: dict[str, Any], lists: list[tuple[int, int, str, bytes]]) -> None:
        self.reads = reads
        self.tables = tables
        # They lie side by side: looking for them all over the memory is what costs time with many users.
        self.keys = tuple(part for _role, _number, table, owner in lists for part in (owner, tables[table]))
        numbers = _numbers(tuple((role, number) for role, number, _table, _owner in lists))
        self._pointer = ffi.new("pxl_plan *", (view, numbers, len(lists))), numbers
        self.address = address_of(self._pointer[0])


class Kernel:
    """One C listing with what its callbacks need: used by one answer at a time, of any view, then pooled."""

    __slots__ = ("error", "failure", "handle", "lister", "listing", "query", "reader", "told")

    def __init__(self) -> None:
        self.lister: Any = None
        self.error = ffi.new("pxl_error *")
        self.handle = ffi.new_handle(self)
        self.reader = BlockReader(address_of(lib.pxl_listing_table()))
        blocks = ffi.cast("void *", self.reader.address)
        self.listing = ffi.gc(lib.pxl_listing_new(_CALLBACKS, blocks, self.handle, self.error), lib.pxl_listing_free)
        if not self.listing:
            raise MemoryError("out of memory")
        self.reader.serve(address_of(self.listing))
        self.failure: BaseException | None = None
        self.query: Query | None = None
        self.told: dict[int, tuple[bytes, bytes]] = {}  # what callbacks answered last

    def release(self) -> None:
        """Let go of what an answer was about, before another has this kernel."""
        self.failure = self.lister = None
        self.told.clear()

    def fail(self, path: str) -> NoReturn:
        """Raise what stopped the kernel: a callback's own error, or the kernel's about the index at `path`."""
        if self.failure is not None:
            raise self.failure
        raise_core_error(self.error, path)
        raise AssertionError("a kernel failed without an error")


def _interrupted(_kind: Any, error: BaseException, trace: Any) -> None:
    """Keep what was raised in a callback but outside its own try, such as Ctrl-C at its first line."""
    kernel: Kernel = ffi.from_handle(trace.tb_frame.f_locals["handle"])
    kernel.failure = error


def _names(asked: Any) -> list[bytes]:
    """Key names of the mailboxes that a kernel asks about."""
    octets = copy_of(asked.keys)
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
        packed, lengths = kernel.told[what] = pack_answers(answers)
    except BaseException as error:
        kernel.failure = error
        return _FAILED
    # Both are held by the kernel until it asks the same again.
    _point(octets, packed, len(packed))
    _point(sizes, lengths, len(lengths))
    return _OK


_CALLBACKS: Final = ffi.new("pxl_callbacks *", {"fetch": ffi.cast("void *", FETCH), "tell": lib.pxl_py_tell})


pool: Final[list[Kernel]] = []  # kernels that no answer is using; shared, so that they stay in the cache


def take() -> Kernel:
    """A kernel of its own for an answer: one from the pool, or a new one."""
    try:
        return pool.pop()
    except IndexError:
        return Kernel()


def copy_of(piece: Any) -> bytes:
    """A copy of what a slice of the core points to."""
    return ffi.buffer(piece.data, piece.len)[:] if piece.len else b""
