"""LMDB's pitfalls, met once: everything else in the package gets transactions and table handles here.

* LMDB must not open one file twice in a process: a registry by inode shares one environment.
* An environment must not cross a fork: the child drops what it inherited and opens its own.
* A killed reader keeps its slot, and old pages with it: stale slots are cleared at every open and by writers.
* A reader that stands still keeps old pages too: writers name it in a warning.
* Another process may have grown the map: a transaction that says so is begun again.
* A data file shorter than its own meta page promises would be SIGBUS at first touch: refused.
* Network file systems break locks and maps: refused.
* The map is reserved large and stays sparse; no writemap, so a full disk is an error and no signal.

Source: the LMDB manual's caveats, py-lmdb's documentation.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import pathlib
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Final

import lmdb

from pyxlist.errors import StoreBusyError, StoreError, StoreFullError
from pyxlist.index._store import look_at
from pyxlist.index.datafile import DATA, identity_at, refuse_network, refuse_truncated, reserve_length
from pyxlist.index.durability import UNSYNCED, Durability, Syncer, keep_mark, refuse_unsynced
from pyxlist.index.faults import MAP_BYTES, MAX_READERS, refuse_other_version, store_error
from pyxlist.index.layout import TABLES, VERSION, pack_meta
from pyxlist.index.lock import WriterLock
from pyxlist.index.readers import ReaderWatch, oldest_reader, readers_of
from pyxlist.index.redo import Redo

__all__ = ["MAP_BYTES", "WRITE_TIMEOUT_S", "Store", "create_store", "shared_store"]

WRITE_TIMEOUT_S: Final = 10.0

_log = logging.getLogger("pyxlist")
_registry: dict[tuple[int, int], Store] = {}
_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_registry_lock = threading.RLock()


class Store:
    """One open index directory of this process; shared by all its users, closed when the last one is done.

    `env` is the live LMDB environment and `tables` its handles: fetched anew for every transaction, because
    a fork, or the first write, replaces them.
    """

    def __init__(self, path: pathlib.Path, *, create: bool = False) -> None:
        self.path = path.absolute()  # daemons change their directory
        self.data = self.path / DATA
        self._paths = os.fsencode(self.data), os.fsencode(self.path / UNSYNCED)
        self._octets = 0  # of the data file when it was last looked at
        self.lock = WriterLock(self.path)
        self.users = 0
        self.pid = os.getpid()
        self.env: Any = None
        self.tables: dict[str, Any] = {}
        self.page_bytes = 0
        self._writing = create
        self._syncing = not create  # whether commits order their pages on disk
        self._closed = False
        self.ready: Durability | None = None  # how a transaction may be begun at once; changed by who holds the lock
        self.newest = -1  # the transaction after which the file's length was reserved last
        self._broken = False  # a write failed so that LMDB wants to be opened again
        self.syncer = Syncer()
        self.redo = Redo(self.data)
        self.watch = ReaderWatch(self.path)
        _stores.add(self)
        if create:
            self._open(create)
        else:
            self._open_without_waiting()
        status = self.data.stat()
        self.identity = status.st_dev, status.st_ino

    # --- the environment ---

    def _open_without_waiting(self) -> None:
        """Open writable where this process may and nobody is writing right now, otherwise for reading.

        py-lmdb begins a write transaction for each table handle of a writable environment: it would wait for
        whoever is writing.
        """
        with contextlib.ExitStack() as stack:
            self._writing = os.access(self.data, os.W_OK)
            if self._writing:
                try:
                    stack.enter_context(self.lock.hold(0))
                except StoreError:
                    self._writing = False
            self._open()

    def _open(self, create: bool = False) -> None:
        options: dict[str, Any] = {"lib_version": 0} if lmdb.__version__ >= "3" else {}
        try:
            self.env = lmdb.open(
                os.fsencode(self.path),
                map_size=MAP_BYTES,
                max_dbs=len(TABLES),
                max_readers=MAX_READERS,
                readonly=not self._writing,
                create=create,
                # The meta page is not synced by LMDB but by make_durable, when that was promised and nothing stands
                # for it (redo.py).
                sync=self._syncing,
                metasync=False,
                mode=0o644,
                **options,
            )
            self.tables = {name: self.env.open_db(name.encode(), create=create) for name in TABLES}
            self.page_bytes = self.env.stat()["psize"]
            self.env.reader_check()
        except lmdb.Error as error:
            raise self.translate(error) from error
        self._broken, self.ready, self.newest = False, None, -1
        self.pid = os.getpid()

    def prepare_writing(self, durability: Durability = Durability.EVERY_COMMIT) -> None:
        """Make the environment one that writes so; StoreError where the files may not be written."""
        self._refuse_closed()
        self.check_fork()
        if self._writes_as(durability):
            return
        if not os.access(self.data, os.W_OK):
            self.refuse_replaced()
            raise StoreError("the index is read-only here", path=self.path, remedy="check the directory's permissions")
        with self.lock.hold(WRITE_TIMEOUT_S):
            self.make_ready(durability)

    def make_ready(self, durability: Durability) -> None:
        """The same for who holds the lock: `ready` is this when it is done."""
        if not self._writes_as(durability):
            self._reopen(durability)
        self.redo.settle(self.identity, self.env.info()["last_txnid"], self.page_bytes)
        self.ready = durability

    def _writes_as(self, durability: Durability) -> bool:
        return self._writing and self._syncing == (durability.within_ms is not None) and not self._broken

    def _reopen(self, durability: Durability) -> None:
        """Close and open again, while no read transaction of this process is alive; its readers wait at the door."""
        with _registry_lock:
            if self._writes_as(durability):
                return
            self.pid = 0
            try:
                self._await_own_readers()
                self.sync_now()
                self.syncer.close(self.env)
                self._writing, self._syncing = True, durability.within_ms is not None
                self._open()
            finally:
                self.pid = os.getpid()

    def _recover(self, env: Any) -> None:
        """Open again after LMDB gave an environment up, because its meta page could not be written."""
        with _registry_lock:
            if self.env is env:
                self.pid = 0
                try:
                    self._await_own_readers()
                    self.syncer.close(env)
                    self._open_without_waiting()
                finally:
                    self.pid = os.getpid()

    def _await_own_readers(self) -> None:
        limit = time.monotonic() + WRITE_TIMEOUT_S
        while any(pid == os.getpid() for pid, _ in readers_of(self.env)):
            if time.monotonic() > limit:
                raise StoreBusyError(
                    "this process is still reading it",
                    path=self.path,
                    remedy="open the index with readonly=False before reading, or finish reading first",
                )
            time.sleep(0.001)

    def check_fork(self) -> None:
        """Reopen what was inherited through a fork; called before every transaction."""
        if self.pid == os.getpid():
            return
        with _registry_lock:
            if self.pid != os.getpid():
                self._refuse_closed()
                self.syncer = Syncer()  # whoever was syncing is not in this process
                self.env.close()
                self._open_what_is_there()

    def _open_what_is_there(self) -> None:
        """Open what stands at the path, which may be another index by now: then this store is of that one."""
        identity = identity_at(self.path) or self.identity
        if _registry.get(identity, self) is not self:
            raise StoreError("the index was replaced while it was open", path=self.path, remedy="open it again")
        self._open_without_waiting()
        _registry.pop(self.identity, None)
        _registry[identity], self.identity = self, identity

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError("the index has been closed", path=self.path, remedy="open it again")

    def translate(self, error: lmdb.Error) -> StoreError:
        """What an LMDB error means to a user of the index."""
        self._refuse_closed()
        return store_error(error, self.path)

    # --- reading ---

    def begin_read(self) -> Any:
        """A read transaction; the caller aborts it.  Cost: under a microsecond.  Raises StoreError."""
        while True:
            if not self.pid:  # being opened again, or inherited through a fork
                self.check_fork()
            env = self.env
            try:
                txn = env.begin()
            except (lmdb.MapResizedError, lmdb.PanicError):
                # Opened again and not resized: that would move the map under other threads' transactions.
                self._recover(env)
                continue
            except lmdb.Error as error:
                if env is self.env and self.pid and not self._free_slots(error):
                    raise self.translate(error) from error
                continue
            if self.pid and env is self.env:
                return txn
            # Begun while another thread was about to close the environment.
            txn.abort()

    def _free_slots(self, error: lmdb.Error) -> bool:
        """Whether clearing the slots of dead readers helped."""
        return isinstance(error, lmdb.ReadersFullError) and self.env.reader_check() > 0

    @contextlib.contextmanager
    def read(self) -> Iterator[Any]:
        """A read transaction for a `with` block; raises StoreError for what LMDB raises in it."""
        txn = self.begin_read()
        try:
            yield txn
        except lmdb.Error as error:
            raise self.translate(error) from error
        finally:
            txn.abort()

    # --- the steps of writing (writing.py) ---

    def look_at_file(self, durability: Durability) -> None:
        """Before a transaction begins.  Raises StoreError for an index that was deleted or replaced."""
        marked = self.refuse_replaced()
        if marked or durability.within_ms is None:
            try:
                keep_mark(self.path, self.env, durability, marked)
            except OSError as error:
                raise self._unwritable(error) from error

    def refuse_replaced(self) -> bool:
        """Raise StoreError when what is open is not what stands at the path any more; whether it has the mark of one
        that is written without syncing.
        """
        try:
            device, inode, self._octets, marked = look_at(*self._paths)
        except OSError:
            raise StoreError("the index was deleted while it was open", path=self.path) from None
        if (device, inode) != self.identity:
            raise StoreError("the index was replaced while it was open", path=self.path, remedy="open it again")
        return marked

    def reserve(self) -> None:
        """After another process wrote, which may have died before it reserved.  Raises StoreFullError."""
        try:
            self._reserve_length(self.env.info())
        except OSError as error:
            raise self._unwritable(error) from error

    def look_after(self) -> int:
        """Reserve again, for a transaction that let go more than was reserved; the newest transaction that wrote."""
        info = self.env.info()
        newest: int = info["last_txnid"]
        try:
            self._reserve_length(info)
            self.newest = newest
        except OSError:
            self.newest = -1  # the next one will say so
        return newest

    def _reserve_length(self, info: dict[str, int]) -> None:
        self._octets = reserve_length(self.data, (info["last_pgno"] + 1) * self.page_bytes, self._octets)

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreFullError(f"cannot be written: {error.strerror}", path=self.path)

    def make_durable(self, durability: Durability, newest: int) -> None:
        """After the lock was let go, with all that was committed since."""
        if durability.within_ms == 0:
            if not self.syncer.sync(self.env, newest):
                with _registry_lock:  # whoever opens it again holds it
                    self.env.sync(True)
        elif durability.within_ms is not None:
            self.syncer.sync_later(durability.within_ms, self.sync_now)

    def sync_now(self) -> None:
        """Make durable what was promised for later."""
        try:
            self.syncer.sync_waiting(self.env)
        except lmdb.Error as error:
            self._broken, self.ready = True, None
            _log.error("%s: commits could not be made durable: %s", self.path, error)

    def failed(self, error: lmdb.Error) -> StoreError:
        """What an LMDB error means to who was writing; unless all was full, the environment is opened anew next."""
        if not isinstance(error, lmdb.MapFullError):
            self._broken, self.ready = True, None
        return self.translate(error)

    def oldest_reader(self) -> tuple[int | None, int]:
        """Process id of the oldest reader, and how many transactions behind the newest it is."""
        return oldest_reader(self.env)

    def is_current(self) -> bool:
        """Whether the path still leads to the file that is open here."""
        identity = identity_at(self.path)
        return identity is not None and _registry.get(identity) is self

    def close(self) -> None:
        """One user is done; the last one closes the environment."""
        with _registry_lock:
            self.users -= 1
            if self.users > 0:
                return
            self._closed, self.ready = True, None
            for key in [key for key, store in _registry.items() if store is self]:
                del _registry[key]
            self.lock.close()
            self.redo.close()
            if self.pid == os.getpid():
                self.sync_now()
                self.syncer.close(self.env)
            else:
                self.env.close()


def shared_store(path: str | os.PathLike[str]) -> Store:
    """The store of an existing index directory, shared within this process, as it is; see opening.py.

    Raises StoreError when nothing is there, StoreVersionError for another layout, StoreDamagedError for a
    truncated or damaged file.
    """
    directory = pathlib.Path(path)
    data = directory / DATA
    try:
        status = data.stat()
    except PermissionError as error:
        raise StoreError("may not be entered", path=path, remedy="let its readers into the directory") from error
    except OSError as error:
        raise StoreError("no index here", path=path, remedy="make one with `pyxlist build`") from error
    key = (status.st_dev, status.st_ino)
    with _registry_lock:
        store = _registry.get(key)
        if store is None:
            refuse_network(directory)
            refuse_truncated(data)
            refuse_unsynced(directory)
            store = Store(directory)
            with contextlib.ExitStack() as undo:
                undo.callback(store.env.close)
                refuse_other_version(store.env, store.tables["meta"], directory)
                undo.pop_all()
            _registry[key] = store
        store.users += 1
    store.check_fork()
    return store


def create_store(path: pathlib.Path) -> Store:
    """A new, empty store in an existing empty directory, not synced until it is told to; not shared."""
    refuse_network(path)
    store = Store(path, create=True)
    store.users = 1
    with store.env.begin(write=True) as txn:
        txn.put(b"version", pack_meta(VERSION), db=store.tables["meta"])
    return store


def _sync_all() -> None:
    """Keep what was promised for later when the interpreter ends first."""
    for store in list(_registry.values()):
        if store.pid == os.getpid():
            store.sync_now()


def _in_child() -> None:
    """After a fork: no store is this process's own, and the thread that may have held the lock is gone."""
    global _registry_lock
    _registry_lock = threading.RLock()
    for store in _stores:
        store.pid, store.ready = 0, None


atexit.register(_sync_all)
os.register_at_fork(after_in_child=_in_child)
