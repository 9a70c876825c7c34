"""Reading an index: one mailbox, all of them, and the lists of rows that a view is made of."""

from __future__ import annotations

import hashlib
import json
import pathlib
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pyxlist.acl import ANYONE, Rights
from pyxlist.config import Config
from pyxlist.entry import Entry
from pyxlist.errors import StoreDamagedError
from pyxlist.index._store import find_row
from pyxlist.index.datafile import DATA, REBUILD, promised_bytes
from pyxlist.index.env import Store
from pyxlist.index.generations import generation_of
from pyxlist.index.groups import groups_of
from pyxlist.index.layout import (
    DIRECTORY,
    EVERYBODY,
    LOOKUP,
    STATUS_FILE,
    WHOLE_TABLE,
    tree_generation,
    unpack_meta,
)
from pyxlist.index.rows import iter_list
from pyxlist.names import internal_from_key, key_from_internal, octets_of

__all__ = ["Reader"]

_NIL: Final = b"\xc0"  # msgpack's None
_TREES_LIMIT: Final = 10_000  # users whose subscribed trees are remembered


class Reader:
    """Read access to one store.  Every method begins and ends its own snapshot."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._trees: dict[bytes, tuple[bytes, frozenset[bytes]]] = {}

    def meta(self, name: str) -> Any:
        """A value of the meta table, None if it is not there."""
        with self.store.read() as txn:
            raw = txn.get(name.encode(), db=self.store.tables["meta"])
        return None if raw is None else unpack_meta(raw)

    def packed_config(self) -> bytes | None:
        """The configuration that the index answers by, as it is stored."""
        with self.store.read() as txn:
            packed: bytes | None = txn.get(b"config", db=self.store.tables["meta"])
        return packed

    def config_of(self, packed: bytes | None) -> Config:
        """A stored configuration.  Raises StoreDamagedError if it cannot be understood."""
        try:
            return Config.from_dict(unpack_meta(packed or _NIL))
        except (TypeError, ValueError) as error:
            raise StoreDamagedError(
                f"its configuration cannot be read: {error}",
                path=self.store.path,
                remedy=REBUILD,
            ) from error

    def lookup(self, key: bytes) -> Entry | None:
        """The entry of a key name, tombstones and intermediates included.  Cost: one descent, one block."""
        with self.store.read() as txn:
            row = find_row(txn, self.store.tables["directory"], WHOLE_TABLE, key)
        return None if row is None else Entry.unpack(key, row)

    def entries(self) -> Iterator[Entry]:
        """Every entry in key order, from one snapshot that stays open while the caller iterates."""
        with self.store.read() as txn:
            for key, row in iter_list(txn, self.store.tables["directory"], WHOLE_TABLE):
                yield Entry.unpack(key, row)

    def groups_of(self, userid: str) -> tuple[str, ...]:
        """Bare names of the groups that the stored group file has a canonical userid in."""
        with self.store.read() as txn:
            return groups_of(txn, self.store.tables["meta"], userid)

    def special_use(self, userid: str, inbox: bytes, use: bytes) -> bytes | None:
        """Key name of the first live folder below the user's INBOX with an RFC 6154 attribute (any case), None if
        there is none.

        `inbox` is the key name of that INBOX, which is no folder, whatever it is annotated with.
        Source: imap/mboxlist.c, mboxlist_find_specialuse.
        """
        owner, below = octets_of(userid) + LOOKUP, inbox + b"\x1f"
        tables = self.store.tables
        with self.store.read() as txn:
            for key, uses in iter_list(txn, tables["specialuse"], owner):
                # Cyrus gets at an annotation through the text form of a name, which some keys do not survive.
                reachable = key.startswith(below) and key_from_internal(internal_from_key(key)) == key
                if reachable and use.lower() in uses.lower().split():
                    row = find_row(txn, tables["directory"], WHOLE_TABLE, key)
                    if row is not None and Entry.unpack(key, row).is_live:
                        return key
        return None

    def state(self, identifiers: Iterable[bytes], everything: bool = False) -> bytes:
        """An opaque token of what the first of these identifiers, a userid, sees by all of them: equal
        token, equal answers.

        `everything` is for admins, who see the whole directory.  Cost: one lookup an identifier, and one
        for each tree with mailboxes that the user has subscribed to.
        """
        digest = hashlib.blake2b(digest_size=16)
        tables = self.store.tables
        names = list(dict.fromkeys(identifiers))
        with self.store.read() as txn:
            for name in (b"build", b"config"):
                digest.update(txn.get(name, db=tables["meta"]) or b"")
            stamps = {name: generation_of(txn, tables, name) for name in (EVERYBODY, *names)}
            trees = {DIRECTORY} if everything else self._subscribed_trees(txn, names[0], stamps[names[0]])
            stamps.update((tree, generation_of(txn, tables, tree)) for tree in trees)
        for name, stamp in sorted(stamps.items()):
            digest.update(struct.pack("<HH", len(name), len(stamp)) + name + stamp)
        return digest.digest()

    def _subscribed_trees(self, txn: Any, userid: bytes, stamp: bytes) -> frozenset[bytes]:
        """The trees whose records decide how a user's subscriptions look; remembered while `stamp` stands."""
        known = self._trees.get(userid)
        if known is not None and known[0] == stamp:
            return known[1]
        local, at, domain = userid.rpartition(b"@")
        inbox = (domain + b"\x1d" if at else b"") + b"user\x1f" + (local if at else domain)
        found = set()
        for row, _payload in iter_list(txn, self.store.tables["subscriptions"], userid + LOOKUP):
            name = row.replace(b"\x01", b".")
            found.add(tree_generation(inbox + name[5:] if name.startswith(b"INBOX") else name))
        if len(self._trees) >= _TREES_LIMIT:
            self._trees.clear()
        self._trees[userid] = stamp, frozenset(found)
        return self._trees[userid][1]

    def stat(self) -> dict[str, Any]:
        """Sizes and counts: entries and octets of each table, mailboxes, readers, the source's checkpoint."""
        with self.store.read() as txn:
            tables = {}
            for name, table in self.store.tables.items():
                stat = txn.stat(table)
                pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
                tables[name] = {"blocks": stat["entries"], "bytes": pages * stat["psize"]}
        info = self.store.env.info()
        pid, lag = self.store.oldest_reader()
        return {
            "path": str(self.store.path),
            "version": self.meta("version"),
            "bytes": promised_bytes(self.store.path / DATA),
            "mailboxes": (self.meta("counts") or {}).get("mailboxes"),
            "tables": tables,
            "transaction": info["last_txnid"],
            "readers": info["num_readers"],
            "readers_lag": lag,
            "oldest_reader": pid,
            "checkpoint": self.meta("checkpoint"),
            "config": self.meta("config"),
            "rescan wanted": self.meta("rescan") or [],
            "follower": _follower(self.store.path),
        }

    def who(self, entry: Entry) -> Iterator[tuple[str, Rights]]:
        """(identifier, rights) of those whose own entries let them see the mailbox, groups unexpanded.

        Negative entries of the same identifier and of `anyone` are taken off; those of a group count only
        against its members, whom only the caller knows.
        """
        granted: dict[str, int] = {}
        denied: dict[str, int] = {}
        for name, rights in entry.acl:
            side, identifier = (denied, name[1:]) if name.startswith("-") else (granted, name)
            side[identifier] = side.get(identifier, 0) | Rights.parse(rights).mask
        everyone = denied.get(ANYONE, 0)
        for identifier, mask in granted.items():
            left = Rights(mask & ~denied.get(identifier, 0) & ~everyone)
            if "l" in left:
                yield identifier, left


def _follower(path: pathlib.Path) -> dict[str, Any] | None:
    """What the follower of an index last said of itself; None where there never was one."""
    try:
        status = json.loads((path / STATUS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None
