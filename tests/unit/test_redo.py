"""What is kept beside a meta page: when it is kept, when it counts, and who may finish it."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

import lmdb
import pytest

import pyxlist
from pyxlist.index import redo
from pyxlist.index.datafile import newest_meta
from tests.sources import value, write_flat

OTHER_BOOT = bytes(16)
PAGE = 4096


@pytest.fixture
def index_path(tmp_path: pathlib.Path) -> pathlib.Path:
    """An index of one user."""
    world = {b"user\x1fann": value("ann lrswipkxtecdan", uniqueid="id")}
    pyxlist.build(write_flat(tmp_path / "db", world), tmp_path / "index")
    return tmp_path / "index"


def grant(index_path: pathlib.Path, identifier: str, rights: str = "lr") -> None:
    with pyxlist.open(index_path, readonly=False) as index, index.write() as hooks:
        hooks.mboxlist_setacl("user.ann", identifier, rights)


def lose_meta(index_path: pathlib.Path) -> pathlib.Path:
    """A copy of the index as a power loss may leave it: without the newest meta page, but with what is beside the one
    before it.
    """
    image = bytearray((index_path / "data.mdb").read_bytes())
    meta = newest_meta(os.open(index_path / "data.mdb", os.O_RDONLY))
    assert meta is not None and meta.page_bytes == PAGE
    at = meta.transaction % 2 * PAGE
    image[at + 16 : at + 152] = image[PAGE - at + 16 : PAGE - at + 152]
    copy = index_path.with_name("after")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    (copy / "data.mdb").write_bytes(image)
    return copy


@pytest.fixture
def next_boot() -> Iterator[None]:
    """The machine has been started again."""
    with mock.patch.object(redo, "this_boot", return_value=OTHER_BOOT):
        yield


def acl_of(index_path: pathlib.Path) -> list[str]:
    with pyxlist.open(index_path) as index:
        entry = index.lookup("user.ann")
        assert entry is not None and list(index.check()) == []
        return [identifier for identifier, _rights in entry.acl]


def test_the_last_change_is_made_again(index_path: pathlib.Path) -> None:
    """It was durable, and its meta page was not; opened twice it is made once."""
    grant(index_path, "bob")
    grant(index_path, "carol")
    after = lose_meta(index_path)
    with mock.patch.object(redo, "this_boot", return_value=OTHER_BOOT):
        for _ in range(2):
            assert acl_of(after) == ["ann", "bob", "carol"]
        with pyxlist.open(after) as index:
            assert b"INBOX" not in index.view("carol").respond(b'LIST "" "*"').untagged
            assert index.view("carol").respond(b'LIST "" "*"').untagged


def test_nothing_is_made_again_in_the_same_boot(index_path: pathlib.Path) -> None:
    """What a process that dies leaves in the page cache is the truth."""
    grant(index_path, "bob")
    assert acl_of(lose_meta(index_path)) == ["ann"]


@pytest.mark.usefixtures("next_boot")
def test_what_is_torn_or_of_another_transaction_does_not_count(index_path: pathlib.Path) -> None:
    """Any octet of it that is another one makes it nothing; so does the meta page that it led to."""
    with mock.patch.object(redo, "this_boot", return_value=b"b" * 16):
        grant(index_path, "bob")
    assert acl_of(index_path) == ["ann", "bob"] and redo.pending(index_path / "data.mdb") is None
    after = lose_meta(index_path)
    data = after / "data.mdb"
    meta = newest_meta(os.open(data, os.O_RDONLY))
    assert meta is not None and redo.pending(data) is not None
    image, place = data.read_bytes(), meta.transaction % 2 * PAGE + 512
    end = image.index(bytes(32), place + 60)
    assert b"bob" in image[place:end]
    for at in range(place, end):
        torn = bytearray(image)
        torn[at] ^= 1
        data.write_bytes(torn)
        assert redo.pending(data) is None


def test_a_change_of_more_than_rows_is_synced(index_path: pathlib.Path) -> None:
    """Subscriptions, too many rows, too long ones: the second sync makes them durable, and nothing is kept."""
    with pyxlist.open(index_path, readonly=False) as index:
        store = index._store
        with mock.patch.object(store, "make_durable", wraps=store.make_durable) as synced:
            with index.write() as hooks:
                hooks.mboxlist_changesub("user.ann", "ann", True)
            with index.write() as hooks:
                for number in range(20):
                    hooks.mboxlist_createmailbox(f"pub{number}")
            with index.write() as hooks:
                hooks.mboxlist_setacls("pub1", [(f"someone{number}", "lrs") for number in range(500)])
            assert synced.call_count == 3
            with index.write() as hooks:
                hooks.mboxlist_setacl("pub2", "bob", "l")
            assert synced.call_count == 3


def test_a_change_that_failed_is_not_made_again(index_path: pathlib.Path) -> None:
    """What the caller was told has failed does not come back after a power loss."""
    with pyxlist.open(index_path, readonly=False) as index:
        write = index.write()
        hooks = write.__enter__()
        hooks.mboxlist_setacl("user.ann", "bob", "lr")
        transaction = write._write  # type: ignore[attr-defined]
        number, txn = transaction.txn.id(), transaction.txn
        failing = mock.Mock(wraps=txn, **{"commit.side_effect": lmdb.DiskError("no"), "id.return_value": number})
        transaction.txn = failing
        write._transaction.txn = txn  # type: ignore[attr-defined]
        with pytest.raises(pyxlist.StoreError):
            write.__exit__(None, None, None)
        txn.abort()
    with mock.patch.object(redo, "this_boot", return_value=OTHER_BOOT):
        assert redo.pending(index_path / "data.mdb") is None and acl_of(index_path) == ["ann"]


def test_who_may_not_write_is_told_who_may(index_path: pathlib.Path) -> None:
    """Without the last change the index is older than was promised: it is not served."""
    grant(index_path, "bob")
    after = lose_meta(index_path)
    with (
        mock.patch.object(redo, "this_boot", return_value=OTHER_BOOT),
        mock.patch.object(os, "access", return_value=False),
        pytest.raises(pyxlist.StoreError, match="may write there"),
    ):
        pyxlist.open(after)


def test_finishing_leaves_what_is_kept_until_it_is_durable(index_path: pathlib.Path) -> None:
    """The power may fail again in the middle of it."""
    grant(index_path, "bob")
    after = lose_meta(index_path)
    kept = (after / "data.mdb").read_bytes()[512:PAGE], (after / "data.mdb").read_bytes()[PAGE + 512 : 2 * PAGE]
    with mock.patch.object(redo, "this_boot", return_value=OTHER_BOOT):
        assert acl_of(after) == ["ann", "bob"]
    image = (after / "data.mdb").read_bytes()
    assert (image[512:PAGE], image[PAGE + 512 : 2 * PAGE]) == kept


def test_what_a_process_left_that_died_is_forgotten_by_the_next_writer(index_path: pathlib.Path) -> None:
    """The caller was told nothing; the next one who writes sees the index without the change, and so it stays."""
    with pyxlist.open(index_path, readonly=False) as index:
        write = index.write()
        write.__enter__().mboxlist_setacl("user.ann", "bob", "lr")
        transaction = write._write  # type: ignore[attr-defined]
        rows: redo.Rows = {b"user\x1fann": b""}
        assert index._store.redo.put(index._store.identity, transaction.txn.id(), PAGE, rows)
        write.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with mock.patch.object(redo, "this_boot", return_value=OTHER_BOOT):
        found = redo.pending(index_path / "data.mdb")
        assert found is not None and found.rows == rows
    with pyxlist.open(index_path, readonly=False) as index, index.write():
        pass
    with mock.patch.object(redo, "this_boot", return_value=OTHER_BOOT):
        assert redo.pending(index_path / "data.mdb") is None


def keep(index_path: pathlib.Path, transaction: int, boot: bytes, rows: redo.Rows) -> None:
    """A record as a transaction of that number and boot leaves it."""
    status = (index_path / "data.mdb").stat()
    kept = redo.Redo(index_path / "data.mdb")
    with mock.patch.object(redo, "this_boot", return_value=boot):
        assert kept.put((status.st_dev, status.st_ino), transaction, PAGE, rows)
    kept.close()


def newest(index_path: pathlib.Path) -> int:
    with open(index_path / "data.mdb", "rb") as file:
        meta = newest_meta(file.fileno())
    assert meta is not None
    return meta.transaction


def test_a_number_that_comes_again_is_another_transaction(index_path: pathlib.Path) -> None:
    """Of the transaction after the lost one the power may leave a record alone, which follows what is not there."""
    stale: redo.Rows = {b"user\x1fann": None}
    for ahead in (1, 2):
        keep(index_path, newest(index_path) + ahead, OTHER_BOOT, stale if ahead > 1 else {})
    with pyxlist.open(index_path, readonly=False) as index, index.write() as hooks:
        hooks.mboxlist_setacl("user.ann", "carol", "lr")
    with mock.patch.object(redo, "this_boot", return_value=b"b" * 16):
        assert acl_of(index_path) == ["ann", "carol"]


def test_a_change_that_changes_nothing_is_finished_once(index_path: pathlib.Path) -> None:
    """It takes up its number like any other."""
    keep(index_path, newest(index_path) + 1, OTHER_BOOT, {b"nothing": None})
    assert redo.pending(index_path / "data.mdb") is not None
    before = newest(index_path)
    for _ in range(2):
        assert acl_of(index_path) == ["ann"]
    assert newest(index_path) == before + 1 and redo.pending(index_path / "data.mdb") is None


def test_an_interrupt_before_the_commit_leaves_nothing(index_path: pathlib.Path) -> None:
    """Neither LMDB's lock, which would shut out the next writer, nor the change."""
    kept = []

    def block(index: pyxlist.Index, identifier: str) -> None:
        with index.write(timeout_s=2) as hooks:
            kept.append(hooks)
            hooks.mboxlist_setacl("user.ann", identifier, "lr")

    with pyxlist.open(index_path, readonly=False) as index:
        real = index._store.redo.put

        def interrupted(*arguments: Any) -> bool:
            assert real(*arguments)
            raise KeyboardInterrupt

        with mock.patch.object(index._store.redo, "put", interrupted), pytest.raises(KeyboardInterrupt):
            block(index, "bob")
        block(index, "carol")
    assert acl_of(index_path) == ["ann", "carol"] and len(kept) == 2
