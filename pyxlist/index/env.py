"""LMDB's pitfalls, met once: everything else in the package gets transactions and table handles here.

* LMDB must not open one file twice in a process: a registry by inode shares one environment.
* An environment must not cross a fork: the child drops what it inherited and opens its own.
* A killed reader keeps its slot, and old pages with it: stale slots are cleared at every open.
* Another process may have grown the map: a transaction that says so is begun again.
* A data file shorter than its own meta page promises would be SIGBUS at first touch: refused.
* Network file systems break locks and maps: refused.
* The map is reserved large and stays sparse; no writemap, so a full disk is an error and no signal.

Source: the LMDB manual's caveats, py-lmdb's documentation.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import lmdb

from pyxlist.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreVersionError,
)
from pyxlist.index.layout import TABLES, VERSION, pack_meta, unpack_meta

__all__ = ["MAP_BYTES", "WRITE_TIMEOUT_S", "Store", "open_store"]

MAP_BYTES: Final = 1 << 36
WRITE_TIMEOUT_S: Final = 10.0
_MAX_READERS: Final = 2048
_DATA: Final = "data.mdb"
_WRITER_LOCK: Final = "writer.lock"
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "9p"})
_REBUILD: Final = "delete it and build it anew from its source"

_registry: dict[tuple[int, int], Store] = {}
_registry_lock = threading.Lock()


class Store:
    """One open index directory of this process; shared by all its users, closed when the last one is done.

    `env` is the live LMDB environment and `tables` its handles: fetched anew for every transaction, because
    a fork replaces them.
    """

    def __init__(self, path: pathlib.Path, *, create: bool = False) -> None:
        self.path = path
        self.users = 0
        self.pid = os.getpid()
        self.env: Any = None
        self.tables: dict[str, Any] = {}
        self._writing = create
        if create:
            self._open(create)
        else:
            self._open_without_waiting()

    def _open_without_waiting(self) -> None:
        """Open writable where this process may and nobody is writing right now, otherwise for reading.

        py-lmdb begins a write transaction for each table handle of a writable environment: it would wait for
        whoever is writing.
        """
        with contextlib.ExitStack() as stack:
            self._writing = os.access(self.path / _DATA, os.W_OK)
            if self._writing:
                try:
                    stack.enter_context(self._writer_lock(0))
                except (OSError, StoreBusyError):
                    self._writing = False
            self._open()

    def _open(self, create: bool = False) -> None:
        options: dict[str, Any] = {"lib_version": 0} if lmdb.__version__ >= "3" else {}
        try:
            self.env = lmdb.open(
                os.fspath(self.path),
                map_size=MAP_BYTES,
                max_dbs=len(TABLES),
                max_readers=_MAX_READERS,
                readonly=not self._writing,
                create=create,
                sync=not create,
                metasync=not create,
                mode=0o644,
                **options,
            )
            self.tables = {name: self.env.open_db(name.encode(), create=create) for name in TABLES}
            self.env.reader_check()
        except lmdb.Error as error:
            raise self.translate(error) from error
        self.pid = os.getpid()

    def prepare_writing(self) -> None:
        """Make the environment writable, as the first write does; StoreError where the files may not be written."""
        if not os.access(self.path / _DATA, os.W_OK):
            raise StoreError("the index is read-only here", path=self.path, remedy="check the directory's permissions")
        if not self._writing:
            with self._writer_lock(WRITE_TIMEOUT_S):
                self._reopen_for_writing()

    def _reopen_for_writing(self) -> None:
        """Close and open again, while no read transaction of this process is alive; its readers wait at the door."""
        with _registry_lock:
            if self._writing:
                return
            self.pid = 0
            try:
                self._await_own_readers()
                self.env.close()
                self._writing = True
                self._open()
            finally:
                self.pid = os.getpid()

    def _await_own_readers(self) -> None:
        limit = time.monotonic() + WRITE_TIMEOUT_S
        time.sleep(0.001)
        while any(pid == os.getpid() for pid, _ in self._readers()):
            if time.monotonic() > limit:
                raise StoreBusyError(
                    "this process is still reading it",
                    path=self.path,
                    remedy="open the index with readonly=False before reading, or finish reading first",
                )
            time.sleep(0.001)

    def _readers(self) -> list[tuple[int, int]]:
        """(process id, transaction id) of every read transaction alive in any process."""
        lines = (line.split() for line in self.env.readers().splitlines()[1:])
        return [(int(words[0]), int(words[2])) for words in lines if len(words) >= 3 and words[2].isdigit()]

    def translate(self, error: lmdb.Error) -> StoreError:
        """What an LMDB error means to a user of the index."""
        path = os.fspath(self.path)
        if isinstance(error, lmdb.MapFullError):
            return StoreFullError("the index has reached its map size", path=path, got=MAP_BYTES)
        if isinstance(error, lmdb.DiskError) or "No space left" in str(error):
            return StoreFullError("no space left on the device", path=path, remedy="free some space and try again")
        if isinstance(error, (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.PanicError)):
            return StoreDamagedError(f"LMDB finds it damaged: {error}", path=path, remedy=_REBUILD)
        if isinstance(error, lmdb.NotFoundError):
            return StoreDamagedError("a table of the index is missing", path=path, remedy=_REBUILD)
        if isinstance(error, lmdb.ReadersFullError):
            return StoreBusyError("all reader slots are taken", path=path, expected=f"below {_MAX_READERS}")
        return StoreError(str(error), path=path)

    def check_fork(self) -> None:
        """Reopen what was inherited through a fork; called before every transaction."""
        if self.pid == os.getpid():
            return
        with _registry_lock:
            if self.pid != os.getpid():
                self.env.close()
                self._open_without_waiting()

    def begin_read(self) -> Any:
        """A read transaction; the caller aborts it.  Cost: under a microsecond."""
        if self.pid != os.getpid():
            self.check_fork()
        try:
            return self.env.begin()
        except lmdb.MapResizedError:
            self.env.set_mapsize(0)
            return self.env.begin()
        except lmdb.ReadersFullError:
            self.env.reader_check()
            return self.env.begin()

    @contextlib.contextmanager
    def read(self) -> Iterator[Any]:
        """A read transaction for a `with` block; raises StoreError for what LMDB raises in it."""
        try:
            txn = self.begin_read()
            try:
                yield txn
            finally:
                txn.abort()
        except lmdb.Error as error:
            raise self.translate(error) from error

    @contextlib.contextmanager
    def write(self, timeout_s: float = WRITE_TIMEOUT_S) -> Iterator[Any]:
        """The one write transaction: durable when the block ends, undone when it raises.

        Raises StoreBusyError when another process holds the lock for longer than `timeout_s`, and says
        which; StoreFullError when there is no room, with nothing of the transaction kept.
        """
        self.check_fork()
        self.prepare_writing()
        with self._writer_lock(timeout_s):
            try:
                with self.env.begin(write=True) as txn:
                    yield txn
                self._settle_length()
            except lmdb.Error as error:
                raise self.translate(error) from error

    @contextlib.contextmanager
    def _writer_lock(self, timeout_s: float) -> Iterator[None]:
        path = self.path / _WRITER_LOCK
        limit = time.monotonic() + timeout_s
        with open(path, "a+", encoding="ascii") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise StoreBusyError("another process is writing", path=self.path, got=_holder(path)) from None
                    time.sleep(0.001)
            lock.truncate(0)
            lock.write(f"pid {os.getpid()}")
            lock.flush()
            yield

    def _settle_length(self) -> None:
        """Make the file as long as its meta page says.

        LMDB does not write pages that a transaction took at the end and let go again; without this a whole
        file could look truncated.
        """
        path = self.path / _DATA
        promised = _promised_bytes(path)
        if promised and path.stat().st_size < promised:
            os.truncate(path, promised)

    def readers_lag(self) -> int:
        """How many transactions behind the newest the oldest reader is, 0 without readers."""
        newest = self.env.info()["last_txnid"]
        return max((newest - txnid for _, txnid in self._readers()), default=0)

    def close(self) -> None:
        """One user is done; the last one closes the environment."""
        with _registry_lock:
            self.users -= 1
            if self.users > 0:
                return
            for key in [key for key, store in _registry.items() if store is self]:
                del _registry[key]
            self.env.close()


def _holder(path: pathlib.Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii") or "an unknown holder"
    return "an unknown holder"


def open_store(path: str | os.PathLike[str]) -> Store:
    """The store of an existing index directory, shared within this process; `close` it when done.

    Raises StoreError when nothing is there, StoreVersionError for another layout, StoreDamagedError for a
    truncated or damaged file.
    """
    directory = pathlib.Path(path)
    data = directory / _DATA
    try:
        status = data.stat()
    except OSError as error:
        raise StoreError("no index here", path=path, remedy="make one with `pyxlist build`") from error
    key = (status.st_dev, status.st_ino)
    with _registry_lock:
        store = _registry.get(key)
        if store is None:
            _refuse_network(directory)
            _refuse_truncated(data, status.st_size)
            store = Store(directory)
            _check_version(store)
            _registry[key] = store
        store.users += 1
    store.check_fork()
    return store


def _check_version(store: Store) -> None:
    try:
        with store.env.begin() as txn:
            raw = txn.get(b"version", db=store.tables["meta"])
        version = None if raw is None else unpack_meta(raw)
    except (lmdb.Error, ValueError) as error:
        store.env.close()
        raise StoreDamagedError("its meta table cannot be read", path=store.path, remedy=_REBUILD) from error
    if version != VERSION:
        store.env.close()
        raise StoreVersionError(
            "written in another layout", path=store.path, expected=VERSION, got=version, remedy=_REBUILD
        )


def create_store(path: pathlib.Path) -> Store:
    """A new, empty store in an existing empty directory, not synced until it is told to; not shared."""
    _refuse_network(path)
    store = Store(path, create=True)
    store.users = 1
    with store.env.begin(write=True) as txn:
        txn.put(b"version", pack_meta(VERSION), db=store.tables["meta"])
    return store


def _promised_bytes(path: pathlib.Path) -> int:
    """File length that the newer of LMDB's two meta pages implies; 0 when the file is not LMDB's 0.9 format.

    Source: mdb.c MDB_page, MDB_meta: magic, version, address, map size, two MDB_db (the first one's pad is
    the page size), last page, transaction id.
    """
    meta = struct.Struct("<16x I I Q Q I 44x 48x Q Q")
    with open(path, "rb") as file:
        head = file.read(1 << 17)
    found: list[tuple[int, int]] = []
    page = 4096
    for at in (0, page):
        if len(head) < at + meta.size:
            break
        magic, _version, _address, _map, page_size, last_page, txnid = meta.unpack_from(head, at)
        if magic != 0xBEEFC0DE:
            continue
        if at == 0 and page_size != page:
            page = page_size
        found.append((txnid, (last_page + 1) * page_size))
    return max(found, default=(0, 0))[1]


def _refuse_truncated(data: pathlib.Path, size: int) -> None:
    try:
        promised = _promised_bytes(data)
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", path=data) from error
    if not promised:
        raise StoreDamagedError("not an LMDB file", path=data, remedy=_REBUILD)
    if size < promised:
        raise StoreDamagedError("truncated", path=data, expected=f"{promised} octets", got=size, remedy=_REBUILD)


def _refuse_network(directory: pathlib.Path) -> None:
    kind = _file_system(directory)
    if kind in _NETWORK:
        raise StoreError(
            "is on a network file system, where LMDB's locks and maps do not work",
            path=directory,
            got=kind,
            remedy="put the index on a local disk",
        )


def _file_system(directory: pathlib.Path) -> str | None:
    """The type of the file system a directory is on, as the kernel's mount table names it; None if unknown."""
    try:
        device = directory.stat().st_dev
        table = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in table.splitlines():
        words = line.split()
        if len(words) > 4 and words[2] == wanted and "-" in words:
            return words[words.index("-") + 1]
    return None
