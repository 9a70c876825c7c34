"""An open index: what `pyxlist.open` returns."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from pyxlist.acl import Rights, canonical_userid
from pyxlist.changes import Changes, changes_since
from pyxlist.command import View, prepared_for
from pyxlist.config import Config
from pyxlist.entry import Entry
from pyxlist.follow.hooks import Hooks
from pyxlist.index import check
from pyxlist.index.durability import Durability
from pyxlist.index.env import WRITE_TIMEOUT_S, open_store
from pyxlist.index.read import Reader
from pyxlist.index.transaction import begin_write
from pyxlist.listing import MetadataCallback, StatusCallback
from pyxlist.names import key_from_internal
from pyxlist.namespace import Namespace
from pyxlist.policy import CYRUS, Policy

__all__ = ["Index", "open_index"]


class Index:
    """An index directory, open for reading by any number of threads; a context manager.

    It survives a fork: the child reopens what it inherited at its first use.  Cost of opening: O(1).
    """

    def __init__(self, path: str | os.PathLike[str], readonly: bool = True) -> None:
        self._store = open_store(path)
        self._reader = Reader(self._store)
        try:
            if not readonly:
                self._store.prepare_writing()
            self.config: Config = self._reader.config()
        except BaseException:
            self._store.close()
            raise
        self.readonly = readonly
        self._prepare = prepared_for(self.config)
        self._open = True

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index; its views must not be used any more.  Twice does no harm."""
        if self._open:
            self._open = False
            self._store.close()

    def view(
        self,
        userid: str,
        groups: Iterable[str] = (),
        admin: bool | None = None,
        status: StatusCallback | None = None,
        metadata: MetadataCallback | None = None,
        policy: Policy = CYRUS,
    ) -> View:
        """Who asks: a userid as the server knows it and its groups' bare names.

        `admin=None` lets the stored configuration decide.  `status(key, items)` supplies the item list of
        LIST RETURN (STATUS …), `metadata(key, entries, options)` complete METADATA lines; without them a
        mailbox answers as if it had no messages and no metadata.  A userid nobody has sees what `anyone`
        sees.  `policy` says where answers depart from Cyrus.  Raises ValueError for what is not a userid.
        """
        names = tuple(groups) if self.config.unix_group_enable else ()
        if admin is None:
            admin = self.config.is_admin(canonical_userid(userid, self.config), names)
        return View(self._reader, Namespace(self.config, userid, admin), names, self._prepare, status, metadata, policy)

    def groups_of(self, userid: str) -> tuple[str, ...]:
        """Bare names of a userid's groups, for `view`, as the group file given to `build` has them.

        For programs beside the server: a server knows its users' groups better.  Empty without such a
        file.  Raises ValueError for what is not a userid.
        """
        return self._reader.groups_of(canonical_userid(userid, self.config))

    @contextlib.contextmanager
    def write(
        self, timeout_s: float = WRITE_TIMEOUT_S, durability: Durability = Durability.EVERY_COMMIT
    ) -> Iterator[Hooks]:
        """One write transaction for a `with` block: Cyrus' mboxlist verbs, visible to all at once when it
        ends.

        Nothing of it is kept when the block raises.  The block belongs to its thread.  Raises
        StoreBusyError, which says who holds the lock, when others write for longer than `timeout_s`;
        StoreFullError without room; StoreError where the index may not be written.
        """
        with begin_write(self._store, timeout_s, durability) as transaction:
            yield Hooks(transaction)

    def changes(self, view: View, since: Changes | bytes | None = None) -> Changes:
        """Which external names of a view appeared, vanished, or changed rights or attributes since an
        earlier `Changes` of it; since a bare `view.state()`, whether a full LIST is needed.  Cost: one
        `view.state()` when nothing did, else one LIST.
        """
        return changes_since(view, since)

    def lookup(self, name: str) -> Entry | None:
        """The entry of an internal name; None if there is no record."""
        return self._reader.lookup(key_from_internal(name))

    def who(self, name: str) -> Iterator[tuple[str, Rights]]:
        """(identifier, rights) of those that can see a mailbox by its internal name, groups unexpanded, in
        ACL order; nothing for a mailbox that is not there.
        """
        entry = self.lookup(name)
        return iter(()) if entry is None or not entry.is_live else self._reader.who(entry)

    def entries(self) -> Iterator[Entry]:
        """Every entry in key order, tombstones and intermediates included; one snapshot."""
        return self._reader.entries()

    def verify(self, source: str | os.PathLike[str]) -> Iterator[check.Difference]:
        """Differences between this index and a source, streamed in key order."""
        return check.verify(self._store, source)

    def check(self) -> Iterator[str]:
        """Broken invariants in words, streamed; nothing when the index is healthy."""
        return check.check(self._store)

    def stat(self) -> dict[str, Any]:
        """Sizes, counts and the checkpoint, as plain values."""
        return self._reader.stat()


def open_index(path: str | os.PathLike[str], readonly: bool = True) -> Index:
    """Open an index directory.

    Raises StoreError when there is none, StoreVersionError for another layout, StoreDamagedError for one
    that is truncated.
    """
    return Index(path, readonly)
