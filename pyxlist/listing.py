"""A view's LIST: which lists of rows it reads, and the kernel that turns them into lines or items.

The kernel (csrc/listing.c) does the work.  This room hands it the first block of each list, answers
when it asks for more, and takes away what it wrote.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from pyxlist._pxl import ffi, lib
from pyxlist.acl import ANYONE, Rights
from pyxlist.config import Config
from pyxlist.cyrusdb import raise_core_error
from pyxlist.index.env import Store
from pyxlist.index.layout import LOOKUP, QUIET, WHOLE_TABLE
from pyxlist.index.read import BlockReader
from pyxlist.names import octets_of, text_of
from pyxlist.namespace import Namespace
from pyxlist.query import Query

__all__ = ["Item", "Lister", "MetadataCallback", "StatusCallback"]

# key name, items the client asked for -> "(MESSAGES 3 ...)", or None if it cannot be told
StatusCallback = Callable[[bytes, tuple[bytes, ...]], bytes | None]
# key name, entries and options the client asked for -> complete "* METADATA …\r\n" lines
MetadataCallback = Callable[[bytes, tuple[bytes, ...], tuple[bytes, ...]], bytes | None]

_CHUNK_BYTES: Final = 1 << 16
_WHOLE: Final = 1 << 62
_ITEM: Final = struct.Struct("<HHII")
_FLAGS: Final = (
    (lib.PXL_NOINFERIORS, "\\Noinferiors"),
    (lib.PXL_NOSELECT, "\\Noselect"),
    (lib.PXL_NONEXISTENT, "\\NonExistent"),
    (lib.PXL_SUBSCRIBED, "\\Subscribed"),
    (lib.PXL_HASCHILDREN, "\\HasChildren"),
    (lib.PXL_HASNOCHILDREN, "\\HasNoChildren"),
)

# Numbers of a view's lists; posting lists follow, two an identifier.
_SPECIAL_USE, _DIRECTORY, _SUBSCRIPTIONS, _POSTINGS = range(4)
_OUTPUT_ITEMS: Final = lib.PXL_OUTPUT_ITEMS


class Item(NamedTuple):
    """One row of a LIST: external name, the view's rights, attributes as printed (``\\HasChildren`` …).

    `name` is text; octets that are not UTF-8 are surrogates.  `rights` is empty where there is no mailbox.
    """

    name: str
    rights: Rights
    attributes: tuple[str, ...]


@functools.lru_cache(maxsize=1024)
def _attributes(bits: int, uses: bytes) -> tuple[str, ...]:
    return tuple(text for bit, text in _FLAGS if bits & bit) + tuple(text_of(uses).split())


_rights = functools.lru_cache(maxsize=4096)(Rights)


class _Kernel:
    """One C listing with what its callbacks need; used by one answer at a time, then pooled."""

    __slots__ = ("answer", "error", "failure", "handle", "held", "lister", "listing", "query", "reader", "txn")

    def __init__(self, lister: Lister) -> None:
        self.lister = lister
        self.listing = ffi.gc(lib.pxl_listing_new(), lib.pxl_listing_free)
        self.error = ffi.new("pxl_error *")
        self.handle = ffi.new_handle(self)
        self.reader: BlockReader | None = None
        self.failure: BaseException | None = None
        self.query: Query | None = None
        self.txn: Any = None
        self.held: list[bytes] = []  # first blocks of the lists
        self.answer: bytes = b""  # what a callback answered last

    def blocks(self) -> BlockReader:
        """The reader of this snapshot's blocks, made when the first one is asked for."""
        if self.reader is None:
            self.reader = BlockReader(self.txn, self.lister.tables(), lib.PXL_PROBE)
        return self.reader


@ffi.def_extern(name="pxl_py_fetch", error=lib.PXL_E_FETCH)  # type: ignore[untyped-decorator]
def _fetch(handle: Any, number: int, key: Any, key_len: int, after: int, block: Any) -> int:
    kernel: _Kernel = ffi.from_handle(handle)
    try:
        found = kernel.blocks().fetch(number, ffi.buffer(key, key_len)[:] if key_len else b"", bool(after))
    except BaseException as error:
        kernel.failure = error
        return int(lib.PXL_E_FETCH)
    if found is None:
        return int(lib.PXL_ABSENT)
    # `found` is held by the reader until the next block of this list.
    block.data, block.len = ffi.from_buffer(found), len(found)
    return int(lib.PXL_OK)


def _ask(kernel: _Kernel, out: Any, question: Callable[[], bytes | None]) -> int:
    try:
        answer = question()
    except BaseException as error:
        kernel.failure = error
        return int(lib.PXL_E_FETCH)
    if answer is None:
        return int(lib.PXL_ABSENT)
    kernel.answer = answer
    out.data, out.len = ffi.from_buffer(answer), len(answer)
    return int(lib.PXL_OK)


@ffi.def_extern(name="pxl_py_status", error=lib.PXL_E_FETCH)  # type: ignore[untyped-decorator]
def _status(handle: Any, key: Any, key_len: int, out: Any) -> int:
    kernel: _Kernel = ffi.from_handle(handle)
    name = ffi.buffer(key, key_len)[:]
    assert kernel.query is not None
    items = kernel.query.status_items
    return _ask(kernel, out, lambda: kernel.lister.status(name, items))


@ffi.def_extern(name="pxl_py_metadata", error=lib.PXL_E_FETCH)  # type: ignore[untyped-decorator]
def _metadata(handle: Any, key: Any, key_len: int, out: Any) -> int:
    kernel: _Kernel = ffi.from_handle(handle)
    name = ffi.buffer(key, key_len)[:]
    query = kernel.query
    assert query is not None
    ask = kernel.lister.metadata
    return _ask(kernel, out, lambda: ask(name, query.metadata_items, query.metadata_options) if ask else None)


_CALLBACKS: Final = ffi.new(
    "pxl_callbacks *", {"fetch": lib.pxl_py_fetch, "status": lib.pxl_py_status, "metadata": lib.pxl_py_metadata}
)


class Lister:
    """The lists and the namespace of one view; answers queries.

    Any number of threads may use one lister: each answer has a kernel of its own.
    """

    def __init__(
        self,
        store: Store,
        namespace: Namespace,
        groups: tuple[str, ...],
        status: StatusCallback,
        metadata: MetadataCallback | None,
    ) -> None:
        self.store = store
        self.status = status
        self.metadata = metadata
        self.userid = octets_of(namespace.userid)
        self.identifiers = tuple(
            dict.fromkeys((self.userid, *(octets_of(f"group:{group}") for group in groups), octets_of(ANYONE)))
        )
        self._lookups = [(_POSTINGS + 2 * n, identifier + LOOKUP) for n, identifier in enumerate(self.identifiers)]
        self._quiets = [(_POSTINGS + 2 * n + 1, identifier + QUIET) for n, identifier in enumerate(self.identifiers)]
        self._admin = namespace.is_admin
        self._keep: list[Any] = []
        self._view = _c_view(namespace, self._keep)
        self._pool: list[_Kernel] = []

    def tables(self) -> dict[int, tuple[Any, bytes]]:
        """Table and owner prefix of each list, by number."""
        tables = self.store.tables
        lists = {
            _SPECIAL_USE: (tables["specialuse"], self.userid + LOOKUP),
            _DIRECTORY: (tables["directory"], WHOLE_TABLE),
            _SUBSCRIPTIONS: (tables["subscriptions"], self.userid + LOOKUP),
        }
        lists.update((number, (tables["postings"], owner)) for number, owner in self._lookups + self._quiets)
        return lists

    def answer(self, query: Query) -> bytes:
        """The whole answer as untagged lines.  Raises StoreError, and what a callback raises."""
        if query.verbatim is not None:
            return query.verbatim
        kernel = self._start(query, lib.PXL_OUTPUT_IMAP)
        try:
            self._run(kernel, _WHOLE)
            return self._output(kernel)
        finally:
            self._stop(kernel)

    def stream(self, query: Query, output: int = lib.PXL_OUTPUT_IMAP) -> Iterator[bytes]:
        """The answer in pieces of about 64 KiB.

        Each piece is read from a snapshot of its own, so that a slow client never holds old pages; what
        changes meanwhile is seen or not, name by name, as on a server that walks its table.
        """
        if query.verbatim is not None:
            yield query.verbatim
            return
        kernel = self._start(query, output)
        try:
            while self._run(kernel, _CHUNK_BYTES):
                yield self._output(kernel)
                self._renew(kernel)
            yield self._output(kernel)
        finally:
            self._stop(kernel)

    def items(self, query: Query) -> Iterator[Item]:
        """The answer as objects, in the same order."""
        for piece in self.stream(query, _OUTPUT_ITEMS):
            at, end = 0, len(piece)
            while at < end:
                name_len, use_len, bits, mask = _ITEM.unpack_from(piece, at)
                at += 12
                name = piece[at : at + name_len]
                at += name_len
                use = piece[at : at + use_len]
                at += use_len
                yield Item(name.decode("utf-8", "surrogateescape"), _rights(mask), _attributes(bits, use))

    def _start(self, query: Query, output: int) -> _Kernel:
        kernel = self._pool.pop() if self._pool else _Kernel(self)
        kernel.query = query
        kernel.txn = txn = self.store.begin_read()
        try:
            lib.pxl_listing_start(kernel.listing, self._view, query.pointer, output)
            kernel.held = self._add_lists(kernel.listing, query, txn, query.rights or output == _OUTPUT_ITEMS)
        except BaseException:
            self._stop(kernel)
            raise
        return kernel

    def _add_lists(self, listing: Any, query: Query, txn: Any, rights: bool) -> list[bytes]:
        """Hand the kernel the first block of every list it may read; the octets, which must be held."""
        tables = self.store.tables
        held: list[bytes] = []
        if (query.lookups and not self._admin) or rights:
            self._add_postings(listing, txn, lib.PXL_ROLE_LOOKUP, self._lookups, held)
        if rights:
            self._add_postings(listing, txn, lib.PXL_ROLE_QUIET, self._quiets, held)
        block = txn.get(self.userid + LOOKUP, db=tables["specialuse"])
        if block is not None:
            held.append(block)
            lib.pxl_listing_add(listing, lib.PXL_ROLE_SPECIAL_USE, _SPECIAL_USE, block, len(block))
        if query.subscriptions:
            block = txn.get(self.userid + LOOKUP, db=tables["subscriptions"])
            if block is not None:
                held.append(block)
                lib.pxl_listing_add(listing, lib.PXL_ROLE_SUBSCRIPTIONS, _SUBSCRIPTIONS, block, len(block))
        if query.directory or self._admin:
            lib.pxl_listing_add(listing, lib.PXL_ROLE_DIRECTORY, _DIRECTORY, ffi.NULL, 0)
        return held

    def _add_postings(
        self, listing: Any, txn: Any, role: int, lists: list[tuple[int, bytes]], held: list[bytes]
    ) -> None:
        postings = self.store.tables["postings"]
        for number, owner in lists:
            block = txn.get(owner, db=postings)
            if block is not None:
                held.append(block)
                lib.pxl_listing_add(listing, role, number, block, len(block))

    def _run(self, kernel: _Kernel, limit: int) -> bool:
        """Write rows until about `limit` octets stand there; whether more are to come."""
        code = lib.pxl_listing_run(kernel.listing, limit, _CALLBACKS, kernel.handle, kernel.error)
        if code < 0:
            if kernel.failure is not None:
                failure, kernel.failure = kernel.failure, None
                raise failure
            raise_core_error(kernel.error, str(self.store.path))
        return bool(code == lib.PXL_MORE)

    def _output(self, kernel: _Kernel) -> bytes:
        output = lib.pxl_listing_output(kernel.listing)
        return ffi.buffer(output.data, output.len)[:] if output.len else b""

    def _renew(self, kernel: _Kernel) -> None:
        """Give up the snapshot between two pieces of a stream."""
        self._end_snapshot(kernel)
        lib.pxl_listing_rewind(kernel.listing)
        kernel.txn = self.store.begin_read()

    def _end_snapshot(self, kernel: _Kernel) -> None:
        kernel.reader = None
        if kernel.txn is not None:
            kernel.txn.abort()
            kernel.txn = None

    def _stop(self, kernel: _Kernel) -> None:
        self._end_snapshot(kernel)
        kernel.query, kernel.held = None, []
        self._pool.append(kernel)


def _c_view(namespace: Namespace, keep: list[Any]) -> Any:
    """The C struct of a namespace; what it points to is appended to `keep`."""
    config = namespace.config

    def piece(octets: bytes) -> tuple[Any, int]:
        keep.append(octets)
        data = ffi.from_buffer(octets)
        keep.append(data)
        return data, len(octets)

    hidden = [octets_of(name) for name in config.dav_folders]
    array = ffi.new("pxl_slice[]", [piece(name) for name in hidden])
    keep.append(array)
    alt = namespace.is_alt
    return ffi.new(
        "pxl_view *",
        {
            "separator": namespace.separator[0],
            "alt": alt,
            "admin": namespace.is_admin,
            "own": namespace.lists_own,
            "admin_domains": namespace.is_admin and config.virtdomains != "off",
            "crossdomains": namespace.crossdomains,
            "crossdomains_onlyother": config.crossdomains_onlyother,
            "other_users": not config.disable_user_namespace,
            "shared": not config.disable_shared_namespace,
            "allow_deleted": config.allowdeleted,
            "special_use_always": config.specialusealways,
            "local": piece(namespace.localpart),
            "domain": piece(namespace.domain or b""),
            "filter_domain": piece(octets_of(namespace.userid.partition("@")[2])),
            "default_domain": piece(octets_of(config.defaultdomain)),
            "owner": piece(namespace.owner_prefix),
            "user_prefix": piece(octets_of(config.userprefix) if alt else b"user"),
            "shared_prefix": piece(octets_of(config.sharedprefix) if alt else b""),
            "alt_prefix": piece(octets_of(config.altprefix)),
            "deleted_prefix": piece(octets_of(config.deletedprefix)),
            "hidden": array,
            "hidden_count": len(hidden),
            "hidden_recursive": len(config.dav_folders_recursivematch),
            "owner_rights": _implicit(config).mask,
            "admin_rights": Rights.parse("la").mask,
        },
    )


def _implicit(config: Config) -> Rights:
    return Rights.parse(config.implicit_owner_rights, config.deleteright)
