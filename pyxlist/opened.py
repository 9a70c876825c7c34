"""An open index: what `pyxlist.open` returns."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final

from pyxlist.acl import Rights, canonical_userid
from pyxlist.callbacks import MetadataCallback, StatusCallback
from pyxlist.changes import Changes, changes_since
from pyxlist.command import Asked, Prepared, View, prepared_for
from pyxlist.config import Config
from pyxlist.entry import Entry
from pyxlist.errors import StoreError
from pyxlist.follow.hooks import Hooks
from pyxlist.index import check
from pyxlist.index.datafile import identity_at
from pyxlist.index.durability import Durability
from pyxlist.index.env import WRITE_TIMEOUT_S, Store
from pyxlist.index.opening import open_store
from pyxlist.index.read import Reader
from pyxlist.index.transaction import Writing
from pyxlist.names import key_from_internal
from pyxlist.namespace import Namespace
from pyxlist.policy import CYRUS, Policy

__all__ = ["Index", "open_index"]

_LOOK_S: Final = 1.0  # how often it is looked at what stands at the path

_Meaning = tuple[bytes | None, Config, Callable[[Asked], Prepared]]  # as stored, as understood, its commands


class Index:
    """An index directory, open for reading by any number of threads; a context manager.

    It survives a fork: the child reopens what it inherited at its first use.  Cost of opening: O(1).
    """

    def __init__(self, path: str | os.PathLike[str], readonly: bool = True) -> None:
        self._path = os.path.abspath(path)  # daemons change their directory
        self.readonly = readonly
        self._store = self._opened()
        self._reader = Reader(self._store)
        try:
            self._meaning = self._read_meaning(self._reader)
        except BaseException:
            self._store.close()
            raise
        self._open = True
        self._former: list[Store] = []  # of indexes that stood here before; views made of them go on
        self._looked_s = time.monotonic()
        self._looking = threading.Lock()

    def __repr__(self) -> str:
        return f"<Index {str(self._store.path)!r}{'' if self._open else ', closed'}>"

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
            for store in (*self._former, self._store):
                store.close()

    def _opened(self) -> Store:
        """The store at the path, ready for what this was opened for."""
        store = open_store(self._path)
        try:
            if not self.readonly:
                store.prepare_writing()
        except BaseException:
            store.close()
            raise
        return store

    def _follow_path(self) -> None:
        """Turn to what stands at the path now, if the index was deleted and built anew; looked at once a second.

        Where nothing is there, or nothing that can be opened, the former index stays.
        """
        if time.monotonic() - self._looked_s < _LOOK_S or not self._looking.acquire(blocking=False):
            return
        try:
            self._looked_s = time.monotonic()
            if self._open and identity_at(self._path) not in (None, self._store.identity):
                with contextlib.suppress(StoreError):
                    store = self._opened()
                    self._former.append(self._store)
                    self._store, self._reader = store, Reader(store)
        finally:
            self._looking.release()

    @property
    def config(self) -> Config:
        """The configuration that the index answers by now; a build may store another while it is open."""
        return self._understood(self._reader)[1]

    def _understood(self, reader: Reader) -> _Meaning:
        """What is stored as configuration, understood; again if it has changed.  Cost otherwise: one lookup."""
        meaning = self._meaning
        if reader.packed_config() != meaning[0]:
            meaning = self._meaning = self._read_meaning(reader)
        return meaning

    def _read_meaning(self, reader: Reader) -> _Meaning:
        packed = reader.packed_config()
        config = reader.config_of(packed)
        return packed, config, prepared_for(config)

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
        mailbox answers as if it had no messages and no metadata.  Both are asked about some hundreds of rows,
        then these are written; one wrapped in `OfMany` answers for all of them in one call.

        A userid nobody has sees what `anyone` sees.  `policy` says where answers depart from Cyrus.  A view
        keeps the configuration of the moment it is made; make views anew, for each login or when `state()`
        changed, to follow a changed one.  Views made a second after the index was deleted and built anew at
        its path are of the new one.

        Raises ValueError for what is not a userid, TypeError for groups that are no names.
        """
        self._follow_path()
        reader = self._reader  # other threads may turn to another index
        _packed, config, prepare = self._understood(reader)
        names = _bare_names(groups) if config.unix_group_enable else ()
        return View(reader, Namespace(config, userid, admin, names), names, prepare, status, metadata, policy)

    def groups_of(self, userid: str) -> tuple[str, ...]:
        """Bare names of a userid's groups, for `view`, as the group file given to `build` has them.

        For programs beside the server: a server knows its users' groups better.  Empty without such a
        file.  Raises ValueError for what is not a userid.
        """
        return self._reader.groups_of(canonical_userid(userid, self.config))

    def write(
        self, timeout_s: float = WRITE_TIMEOUT_S, durability: Durability = Durability.EVERY_COMMIT
    ) -> contextlib.AbstractContextManager[Hooks]:
        """One write transaction for a `with` block: Cyrus' mboxlist verbs, visible to all at once when it
        ends.

        Nothing of it is kept when the block raises.  The block belongs to its thread.  Raises
        StoreBusyError, which says who holds the lock, when others write for longer than `timeout_s`;
        StoreFullError without room; StoreError for an index opened read-only, and where it may not be written.
        """
        if self.readonly:
            raise StoreError("opened read-only", path=self._store.path, remedy="open it with readonly=False")
        return Writing(self._store, Hooks, timeout_s, durability)

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


def _bare_names(groups: Iterable[str]) -> tuple[str, ...]:
    """Groups as given; one name alone would be taken for the groups that are called like its letters."""
    if isinstance(groups, (str, bytes)):
        raise TypeError(f"groups: expected a tuple of names, got {groups!r} alone")
    names = tuple(groups)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"groups: expected names as str, got {names!r}")
    return names


def open_index(path: str | os.PathLike[str], readonly: bool = True) -> Index:
    """Open an index directory, for reading only unless `readonly=False`: `Index.write` is refused then.  With
    `readonly=False` it is found out at once whether the files may be written.

    Raises StoreError when there is none, StoreVersionError for another layout, StoreDamagedError for one
    that is truncated.
    """
    return Index(path, readonly)
