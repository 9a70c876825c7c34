"""A view's LIST: which lists of rows it reads, and what a kernel makes of them as lines or items.

The kernel (kernel.py, csrc/listing.c) does the work.  This room hands it the first block of each list and
takes away what it wrote.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from pyxlist._named import rows
from pyxlist._pxl import ffi, lib
from pyxlist.acl import ANYONE, Asker, MostSpecificPolicy, Rights
from pyxlist.callbacks import MetadataCallback, StatusCallback
from pyxlist.index.env import Store
from pyxlist.index.layout import LOOKUP, QUIET, WHOLE_TABLE
from pyxlist.kernel import Kernel, Plan, copy_of, pool, take
from pyxlist.names import octets_of, text_of
from pyxlist.namespace import Namespace
from pyxlist.policy import CYRUS, Policy
from pyxlist.query import READS_DIRECTORY, READS_LOOKUPS, READS_RIGHTS, READS_SUBSCRIPTIONS, Query, compile_view

__all__ = ["Item", "Lister"]

_CHUNK_BYTES: Final = 1 << 16
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
_OUTPUT_IMAP: Final = int(lib.PXL_OUTPUT_IMAP)
_OUTPUT_ITEMS: Final = int(lib.PXL_OUTPUT_ITEMS)
_ANYONE: Final = octets_of(ANYONE)
_ANYONES: Final = _ANYONE + LOOKUP
_NEVER: Final = b"\xff"  # no key of the directory: its blocks are fetched where they are needed


class Item(NamedTuple):
    """One row of a LIST: external name, the view's rights, attributes as printed (``\\HasChildren`` …).

    `name` is text; octets that are not UTF-8 are surrogates.  `rights` is empty where there is no mailbox.
    """

    name: str
    rights: Rights
    attributes: tuple[str, ...]


def _attributes(key: tuple[int, str]) -> tuple[str, ...]:
    bits, uses = key
    return tuple(text for bit, text in _FLAGS if bits & bit) + tuple(uses.split())


class _Remembered(dict[Any, Any]):
    """Values of a function that has few: worked out once, then found as fast as a dict can."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: Any) -> Any:
        if len(self) >= 4096:
            self.clear()
        value = self[key] = self._function(key)
        return value


_rights_of: Final = _Remembered(Rights).__getitem__
_attributes_of: Final = _Remembered(_attributes).__getitem__
_flags_of: Final = _Remembered(lambda bits: _attributes((bits, ""))).__getitem__  # nearly no row has a use


class Lister:
    """The lists and the namespace of one view; answers queries.

    Any number of threads may use one lister: each answer has a kernel of its own.
    """

    __slots__ = (
        "_admin",
        "_always",
        "_keep",
        "_plans",
        "_recent",
        "identifiers",
        "metadata",
        "status",
        "store",
        "userid",
        "view",
    )

    def __init__(
        self,
        store: Store,
        namespace: Namespace,
        groups: tuple[str, ...],
        status: StatusCallback,
        metadata: MetadataCallback | None,
        policy: Policy = CYRUS,
    ) -> None:
        self.store = store
        self.status = status
        self.metadata = metadata
        self.userid = octets_of(namespace.userid)
        named = (namespace.userid, *[f"group:{group}" for group in groups], ANYONE)
        ranks = dict.fromkeys(named, 0)
        if policy.most_specific:
            ranks = MostSpecificPolicy.identifiers(Asker(namespace.userid, groups))
        self.identifiers = tuple(map(octets_of, ranks))
        self._admin = namespace.is_admin
        self.view, self._keep = compile_view(namespace)
        self._always = 0  # what every query reads besides
        if policy != CYRUS:
            self._follow(policy, list(ranks.values()))
        self._plans: dict[int, Plan] = {}
        self._recent: Plan | None = None  # the one used last is not looked for: with many users memory is what costs

    def _follow(self, policy: Policy, ranks: list[int]) -> None:
        """Make the kernel depart from Cyrus where the policy says so."""
        self.view.existing_ancestors = policy.existing_ancestors
        self.view.myrights_of_mailboxes = policy.myrights_of_mailboxes
        self.view.lsub_keeps_missing = policy.lsub_keeps_missing
        if policy.existing_ancestors or policy.most_specific:
            self._always = READS_LOOKUPS | READS_RIGHTS
        if policy.most_specific:
            by_number = bytes(_POSTINGS) + bytes(rank for rank in ranks for _list in range(2))
            self._keep = self._keep, ffi.from_buffer(by_number)
            self.view.ranks, self.view.owner_rank = self._keep[1], MostSpecificPolicy.OWNER_RANK

    def list_of(self, number: int) -> tuple[Any, bytes]:
        """Table and owner prefix of a list."""
        tables = self.store.tables
        if number >= _POSTINGS:
            place, quiet = divmod(number - _POSTINGS, 2)
            return tables["postings"], self.identifiers[place] + (QUIET if quiet else LOOKUP)
        if number == _DIRECTORY:
            return tables["directory"], WHOLE_TABLE
        return tables["specialuse" if number == _SPECIAL_USE else "subscriptions"], self.userid + LOOKUP

    def answer(self, query: Query) -> bytes:
        """The whole answer as untagged lines.  Raises StoreError, and what a callback raises."""
        if query.verbatim is not None:
            return query.verbatim
        kernel = take()
        if query.asks:
            kernel.lister, kernel.query = self, query
        store = self.store
        txn = store.begin_read()
        try:
            plan = self._recent
            if plan is None or plan.reads != query.reads or plan.tables is not store.tables:
                plan = self._plan(query.reads)
            answer = kernel.reader.answer(txn, self, plan.keys, plan.address, query.address)
            if answer is None:
                kernel.fail(str(store.path))
            return answer
        finally:
            txn.abort()
            if query.asks:
                kernel.release()
            pool.append(kernel)

    def stream(self, query: Query) -> Iterator[bytes]:
        """The answer in pieces of about 64 KiB.

        Each piece is read from a snapshot of its own, so that a slow client never holds old pages; what
        changes meanwhile is seen or not, name by name, as on a server that walks its table.
        """
        if query.verbatim is not None:
            yield query.verbatim
            return
        for kernel in self._pieces(query, _OUTPUT_IMAP):
            yield copy_of(lib.pxl_listing_output(kernel.listing))

    def items(self, query: Query) -> Iterator[Item]:
        """The answer as objects, in the same order."""
        # A generator that handed each of them on would cost as much as making them.
        return itertools.chain.from_iterable(map(_items_of, self._pieces(query, _OUTPUT_ITEMS)))

    def _pieces(self, query: Query, output: int) -> Iterator[Kernel]:
        """Let a kernel write one piece after the other; it is ready to be read each time it is yielded, and
        holds no snapshot then.
        """
        kernel = take()
        kernel.lister = self
        kernel.query = query
        txn = self.store.begin_read()
        try:
            code = self._start(kernel, txn, query, output)
            while code == lib.PXL_OK or code == lib.PXL_MORE:
                if (code := kernel.reader.run(_CHUNK_BYTES)) >= 0:
                    # Whoever takes the piece may be slow, or never come back.
                    kernel.reader.rewind()
                    txn.abort()
                    yield kernel
                if code == lib.PXL_MORE:
                    txn = self.store.begin_read()
                    kernel.reader.go_on(txn)
            if code < 0:
                kernel.fail(str(self.store.path))
        finally:
            kernel.reader.forget()
            txn.abort()
            kernel.release()
            pool.append(kernel)

    def _start(self, kernel: Kernel, txn: Any, query: Query, output: int) -> int:
        reads = query.reads | READS_RIGHTS if output == _OUTPUT_ITEMS else query.reads
        plan = self._plan(reads)
        return kernel.reader.start(txn, self, plan.keys, plan.address, query.address, output)

    def _plan(self, reads: int) -> Plan:
        """The lists of this view that a query with these READS_… bits needs."""
        plan = self._plans.get(reads)
        if plan is None or plan.tables is not self.store.tables:
            plan = self._plans[reads] = self._new_plan(reads)
        self._recent = plan
        return plan

    def _new_plan(self, wanted: int) -> Plan:
        lists: list[tuple[int, int, str, bytes]] = []
        reads = wanted | self._always
        own = self.userid + LOOKUP
        shared = {self.userid: own, _ANYONE: _ANYONES}  # one object for all that say the same: memory is what costs
        if (reads & READS_LOOKUPS and not self._admin) or reads & READS_RIGHTS:
            for number, identifier in enumerate(self.identifiers):
                owner = shared.get(identifier) or identifier + LOOKUP
                lists.append((lib.PXL_ROLE_LOOKUP, _POSTINGS + 2 * number, "postings", owner))
        if reads & READS_RIGHTS:
            for number, identifier in enumerate(self.identifiers):
                lists.append((lib.PXL_ROLE_QUIET, _POSTINGS + 2 * number + 1, "postings", identifier + QUIET))
        lists.append((lib.PXL_ROLE_SPECIAL_USE, _SPECIAL_USE, "specialuse", own))
        if reads & READS_SUBSCRIPTIONS:
            lists.append((lib.PXL_ROLE_SUBSCRIPTIONS, _SUBSCRIPTIONS, "subscriptions", own))
        if reads & READS_DIRECTORY or self._admin:
            lists.append((lib.PXL_ROLE_DIRECTORY, _DIRECTORY, "directory", _NEVER))
        return Plan(wanted, self.view, self.store.tables, lists)


def _items_of(kernel: Kernel) -> list[Item]:
    """The rows that a kernel has written; they are copied before the first is taken."""
    octets = copy_of(lib.pxl_listing_output(kernel.listing))
    numbers = memoryview(copy_of(lib.pxl_listing_numbers(kernel.listing))).cast("I")
    names, uses = _split(octets, numbers)
    bits = numbers[0::4]
    attributes = map(_attributes_of, zip(bits, uses, strict=True)) if any(uses) else map(_flags_of, bits)
    return rows(Item, names, list(map(_rights_of, numbers[1::4])), list(attributes))


def _split(octets: bytes, numbers: memoryview) -> tuple[list[str], list[str]]:
    """Names and special uses of the rows that a kernel wrote as items."""
    text = octets.decode("utf-8", "surrogateescape").split("\0")
    if 2 * len(text) == len(numbers) + 2:
        return text[0:-1:2], text[1::2]
    # Some name holds the octet that ends names: go by their lengths.
    names, uses, at = [], [], 0
    for name_len, use_len in zip(numbers[2::4], numbers[3::4], strict=True):
        names.append(text_of(octets[at : at + name_len]))
        at += name_len + 1
        uses.append(text_of(octets[at : at + use_len]))
        at += use_len + 1
    return names, uses
