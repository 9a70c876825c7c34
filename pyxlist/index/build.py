"""Make an index equal to a source: from nothing into a fresh directory, or by difference into an old one.

A fresh index is written beside its place, unsynced and in key order, then synced and renamed into
place: nobody ever sees half of it, and a build that dies leaves nothing but a directory that the
next build sweeps away.  An existing index is brought up to date in one transaction that writes only
what differs, so its readers go on with the old state until the new one is whole.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import secrets
import time
from collections.abc import Iterator
from typing import Any, Final

import lmdb

from pyxlist._pxl import ffi, lib
from pyxlist.ahead import made_ahead
from pyxlist.config import Config
from pyxlist.cyrusdb import Losses, Progress, Source, keys_found, losses_of, open_source, raise_core_error
from pyxlist.errors import CorruptSourceError
from pyxlist.index import companions
from pyxlist.index.checkpoint import write_checkpoint
from pyxlist.index.compare import Comparison, Told
from pyxlist.index.datafile import DATA, promised_bytes, reserve_length
from pyxlist.index.env import Store, create_store
from pyxlist.index.layout import iter_blocks, pack_meta, unpack_meta
from pyxlist.index.opening import open_store
from pyxlist.index.rows import new_inversion
from pyxlist.index.stretches import put_digests, read_stretches, seed_of
from pyxlist.index.workplace import is_vacant, place_of, publish, workplace
from pyxlist.index.write import apply_changes
from pyxlist.index.writing import write

__all__ = ["BuildReport", "build"]

_BATCH_RECORDS: Final = 8192
_BATCH_BYTES: Final = 1 << 22
_COMMIT_BYTES: Final = 1 << 22  # dirty pages LMDB holds in memory before a fresh build commits them
_TABLES: Final = ((lib.PXL_DIRECTORY, "directory"), (lib.PXL_POSTINGS, "postings"), (lib.PXL_UNIQUEIDS, "uniqueids"))


@dataclasses.dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    `mode`         "create", "update" or "none" (the index was equal already)
    `mailboxes`    entries in the source, tombstones and intermediates included
    `added`, `changed`, `removed`   mailboxes
    `skipped`      what was stepped over, by kind
    `seconds`      wall time;  `index_bytes` size of the data file afterwards
    `source_format`, `source_keys`   format of the source, and the generation of its keys: "typed", "plain"
    `subscribers`, `special_users`   users with subscriptions and with special uses; None: not asked for
    `lost`         damaged places of the source that a salvage stepped over
    """

    mode: str
    mailboxes: int
    added: int
    changed: int
    removed: int
    skipped: dict[str, int]
    seconds: float
    source_format: str
    index_bytes: int
    source_keys: str = ""
    subscribers: int | None = None
    special_users: int | None = None
    lost: Losses = dataclasses.field(default_factory=Losses)


def build(
    source: str | os.PathLike[str],
    index_path: str | os.PathLike[str],
    config: Config | None = None,
    subscriptions: str | os.PathLike[str] | None = None,
    annotations: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    groups: str | os.PathLike[str] | None = None,
    salvage: bool = False,
) -> BuildReport:
    """Create the index at `index_path`, or bring it up to date with `source`; atomic and idempotent.

    `config` is stored in the index (None: keep what is stored, or Cyrus' defaults).  `subscriptions` is a
    Cyrus configdirectory or a folder of `*.sub` and `*.sub.db` files, `annotations` an annotations.db,
    `groups` a group file, for `Index.groups_of`; None leaves what the index has of them.
    `progress(stage, done, total)` is called at most every 100 ms.  With `salvage` a damaged source gives what
    of it can be trusted: whole transactions whose records are sound.
    Raises SourceError for a source that cannot be used (the index stays as it was), StoreError for an
    index that cannot be written.
    """
    started = time.monotonic()
    path = place_of(index_path)
    if not isinstance(config, Config | None):
        raise TypeError(f"config: expected a Config, got {type(config).__name__}")
    beside = companions.Companions(subscriptions, annotations, groups)
    told = Told(progress)
    with open_source(source, told.tell, salvage) as (reader, header):
        if losses_of(reader).places:
            # A follower must not go on from here: the next one compares everything.
            header = dataclasses.replace(
                header, inode=0, generation=0, end=0, mtime_ns=0, identity="", mark_from=0, mark=0
            )
        if not header.size_bytes:
            # Cyrus takes such a file for a database of no mailboxes.  It is far more often an accident.
            raise CorruptSourceError("has no octets", path=header.path, remedy="give a mailboxes.db with records")
        if is_vacant(path):
            report = _create(reader, header, path, config, beside, told)
        else:
            report = _update(reader, header, path, config, beside, told)
        report = dataclasses.replace(report, lost=losses_of(reader))
    size = promised_bytes(path / DATA)
    return dataclasses.replace(report, seconds=time.monotonic() - started, index_bytes=size)


# --- from nothing ---


def _create(
    reader: Any,
    header: Source,
    path: pathlib.Path,
    config: Config | None,
    beside: companions.Companions,
    told: Told,
) -> BuildReport:
    with workplace(path) as fresh:
        store = create_store(fresh)
        try:
            build_id = pack_meta(secrets.token_bytes(8))
            inversion = new_inversion(seed_of(build_id))
            _fill(store, inversion, reader, header, told)
            header, counts = dataclasses.replace(header, keys=keys_found(inversion)), _counts(inversion, reader)
            with store.env.begin(write=True) as txn:
                txn.put(b"build", build_id, db=store.tables["meta"])
                put_digests(txn, store.tables, _digests_of(inversion))
                _put_meta(txn, store, header, config or Config(), counts)
                outcome = companions.store(txn, store.tables, config or Config(), beside)
            reserve_length(fresh / DATA, promised_bytes(fresh / DATA), os.stat(fresh / DATA).st_size)
            store.env.sync(True)
        except lmdb.Error as error:
            raise store.translate(error) from error
        finally:
            store.close()
        publish(fresh, path)
    return _report("create", header, counts, (counts["mailboxes"], 0, 0), outcome)


def _fill(store: Store, inversion: Any, reader: Any, header: Source, told: Told) -> None:
    """Write directory, postings and uniqueids of every record."""
    writer = _Appender(store)
    with made_ahead(_batches(inversion, reader, header)) as batches:
        for table, items, at in batches:
            writer.put(table, items)
            told.tell(*(("read", at, header.end) if at else ("write", writer.written, 0)))
    writer.commit()


def _batches(inversion: Any, reader: Any, header: Source) -> Iterator[tuple[str, memoryview, int]]:
    """(table, finished blocks, how far the source was read or 0 when it was to its end), in key order by table.

    The blocks are good while the next ones are made.
    """
    error = ffi.new("pxl_error *")
    code = lib.PXL_MORE
    while code == lib.PXL_MORE:
        code = lib.pxl_inversion_feed(inversion, reader, _BATCH_RECORDS, error)
        if code < 0:
            raise_core_error(error, header.path)
        yield "directory", _taken(inversion, lib.PXL_DIRECTORY), lib.pxl_reader_at(reader)
    for number, table in _TABLES:
        code = lib.PXL_MORE
        while code == lib.PXL_MORE:
            code = lib.pxl_inversion_emit(inversion, number, _BATCH_BYTES, error)
            if code < 0:
                raise_core_error(error, header.path)
            yield table, _taken(inversion, number), 0


def _taken(inversion: Any, table: int) -> memoryview:
    """The blocks finished since the last taking; good until the next."""
    items = lib.pxl_inversion_take(inversion, table)
    return memoryview(ffi.buffer(items.data, items.len)) if items.len else memoryview(b"")


class _Appender:
    """Appends finished blocks to the tables of a store nobody else sees, committing every 4 MiB."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._txn = store.env.begin(write=True)
        self._dirty = 0
        self.written = 0

    def put(self, table: str, items: memoryview) -> None:
        if not items:
            return
        with self._txn.cursor(db=self._store.tables[table]) as cursor:
            cursor.putmulti(iter_blocks(items), append=True)
        self._dirty += len(items)
        self.written += len(items)
        if self._dirty > _COMMIT_BYTES:
            self.commit()
            self._txn = self._store.env.begin(write=True)

    def commit(self) -> None:
        self._txn.commit()
        self._dirty = 0


def _digests_of(inversion: Any) -> dict[bytes, bytes]:
    """The digests of the stretches that were read, by lowest name."""
    digests = ffi.new("pxl_slice *")
    if lib.pxl_inversion_digests(inversion, digests) < 0:
        raise MemoryError("out of memory")
    return dict(iter_blocks(ffi.buffer(digests.data, digests.len)[:])) if digests.len else {}


def _counts(inversion: Any, reader: Any) -> dict[str, int]:
    counts = lib.pxl_inversion_counts(inversion)
    return {
        "mailboxes": counts.entries,
        "tombstones": counts.tombstones,
        "intermediates": counts.intermediates,
        "grants": counts.grants,
        "uniqueid records": counts.skipped_uniqueid,
        "reverse ACL records": counts.skipped_reverse_acl,
        "other records": counts.skipped_other,
        "unmatchable identifiers": counts.skipped_identifiers,
        "lost places": lib.pxl_reader_source(reader).lost,
    }


_SKIPPED: Final = ("uniqueid records", "reverse ACL records", "other records", "unmatchable identifiers", "lost places")


def _report(
    mode: str, header: Source, counts: dict[str, int], changed: tuple[int, int, int], outcome: companions.Outcome
) -> BuildReport:
    """`changed` is how many mailboxes were added, changed and removed."""
    skipped = {name: counts[name] for name in _SKIPPED if counts[name]} | outcome.skipped
    return BuildReport(
        mode,
        counts["mailboxes"],
        *changed,
        skipped,
        0.0,
        header.format,
        0,
        header.keys,
        outcome.subscribers,
        outcome.special_users,
    )


def _put_meta(txn: Any, store: Store, header: Source, config: Config, counts: dict[str, int]) -> None:
    meta = store.tables["meta"]
    txn.put(b"config", pack_meta(config.to_dict()), db=meta)
    txn.put(b"counts", pack_meta({"mailboxes": counts["mailboxes"]}), db=meta)
    write_checkpoint(txn, store.tables, header, counts["other records"])


# --- by difference ---


def _update(
    reader: Any,
    header: Source,
    path: pathlib.Path,
    config: Config | None,
    beside: companions.Companions,
    told: Told,
) -> BuildReport:
    store = open_store(path)
    try:
        with write(store) as txn:
            inversion = new_inversion(seed_of(txn.get(b"build", db=store.tables["meta"]) or b""))
            comparison = Comparison(txn, store.tables, inversion, reader, header, told)
            changes = list(comparison.differences(read_stretches(txn, store.tables)))
            apply_changes(txn, store.tables, changes)
            comparison.keep_digests()
            header, counts = dataclasses.replace(header, keys=keys_found(inversion)), _counts(inversion, reader)
            stored = Config.from_dict(unpack_meta(txn.get(b"config", db=store.tables["meta"])))
            outcome = companions.store(txn, store.tables, config or stored, beside)
            _update_meta(txn, store, header, config, counts)
    finally:
        store.close()
    added = sum(old is None for _key, old, _new in changes)
    removed = sum(new is None for _key, _old, new in changes)
    mode = "update" if changes or outcome.changed or config not in (None, stored) else "none"
    return _report(mode, header, counts, (added, len(changes) - added - removed, removed), outcome)


def _update_meta(txn: Any, store: Store, header: Source, config: Config | None, counts: dict[str, int]) -> None:
    """Write only what differs, so that an index that was equal stays untouched."""
    values: dict[bytes, Any] = {b"counts": {"mailboxes": counts["mailboxes"]}}
    if config is not None:
        values[b"config"] = config.to_dict()
    for name, value in values.items():
        packed = pack_meta(value)
        if txn.get(name, db=store.tables["meta"]) != packed:
            txn.put(name, packed, db=store.tables["meta"])
    write_checkpoint(txn, store.tables, header, counts["other records"])
