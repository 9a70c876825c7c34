"""Durability modes: marks, timers, and what is left at the end."""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import lmdb
import pytest

import pyxlist
from pyxlist.index import durability
from pyxlist.index.env import Store
from pyxlist.index.lock import Held
from pyxlist.index.opening import open_store
from tests.sources import value, write_flat

WORLD = {b"user\x1fu%03d" % n: value(f"u{n:03} lrswipkxtecdan anyone l", uniqueid=f"id{n}") for n in range(20)}


@pytest.fixture
def index_path(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index")
    yield tmp_path / "index"
    with pyxlist.open(tmp_path / "index", readonly=False) as index:
        assert list(index.check()) == []


def churn(index: pyxlist.Index, changes: int) -> None:
    for number in range(changes):
        with index.write(durability=pyxlist.Durability.within(100)) as hooks:
            hooks.mboxlist_setacl(f"user.u{number % 10:03}", "staff", "lr" if number // 10 % 2 else "l")


def test_a_mark_from_before_the_boot_is_refused(index_path: pathlib.Path) -> None:
    """Unsynced writes are fine while the machine runs, and refused once it has started anew."""
    with pyxlist.open(index_path, readonly=False) as index:
        with index.write(durability=pyxlist.Durability.REBUILDABLE) as hooks:
            hooks.mboxlist_createmailbox("quick")
        assert (index_path / "unsynced").exists()
    with pyxlist.open(index_path) as index:
        assert index.lookup("quick") is not None
    (index_path / "unsynced").write_text("another boot")
    with pytest.raises(pyxlist.StoreDamagedError, match="REBUILDABLE"):
        pyxlist.open(index_path)
    (index_path / "unsynced").write_text(durability.boot_id())
    with pyxlist.open(index_path, readonly=False) as index, index.write():
        assert not (index_path / "unsynced").exists()


def test_what_is_promised_for_later_is_kept(index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`within` syncs once after its time however many commits there were, or when the index is closed."""
    synced = threading.Event()
    real = Store.sync_now
    calls = []

    def sync_now(store: Store) -> None:
        calls.append(store.syncer.timer)
        real(store)
        synced.set()

    monkeypatch.setattr(Store, "sync_now", sync_now)
    with pyxlist.open(index_path, readonly=False) as index:
        calls.clear()
        begun = time.monotonic()
        churn(index, 3)
        assert synced.wait(20) and time.monotonic() - begun >= 0.1
        assert len([timer for timer in calls if timer]) == 1
        churn(index, 1)
    assert calls[-1] is not None, "closed before its time"
    store = open_store(index_path)
    assert store.syncer.timer is None
    store.close()
    with pytest.raises(ValueError, match="millisecond"):
        pyxlist.Durability.within(0)


def test_a_turn_waited_for_is_written_as_it_was_asked_for(
    index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had the lock before may have opened the environment without syncing: the next commit orders its pages
    on disk all the same, since the mark is away.
    """
    with pyxlist.open(index_path, readonly=False) as index:
        store = index._store
        hold = store.lock.hold

        def hold_after_another(timeout_s: float) -> Held:
            monkeypatch.undo()
            with index.write(durability=pyxlist.Durability.REBUILDABLE):
                assert not store.env.flags()["sync"]
            return hold(timeout_s)

        monkeypatch.setattr(store.lock, "hold", hold_after_another)
        with index.write():
            assert store.env.flags()["sync"] and not (index_path / "unsynced").exists()


def test_a_commit_is_made_durable_though_its_environment_was_opened_again(
    index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next writer may open the environment in another mode before the former one has synced: that is no error."""
    with pyxlist.open(index_path, readonly=False) as index:
        store = index._store
        sync = store.syncer.sync

        def sync_too_late(env: object, transaction: int) -> bool:
            monkeypatch.undo()
            store.prepare_writing(pyxlist.Durability.REBUILDABLE)
            return sync(env, transaction)

        monkeypatch.setattr(store.syncer, "sync", sync_too_late)
        with index.write() as hooks:
            hooks.mboxlist_createmailbox("late")
            hooks.mboxlist_changesub("late", "u001", True, force=True)
        assert not store.env.flags()["sync"] and index.lookup("late") is not None


def test_what_is_durable_is_not_synced_again(index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that is there already costs no sync after one that is durable, and one after one that is not; one of
    directory rows alone is durable with the sync of its pages.
    """
    with pyxlist.open(index_path, readonly=False) as index:
        synced: list[int] = []
        real = durability.Syncer._sync

        def _sync(self: durability.Syncer, *arguments: Any) -> bool:
            before = self._synced
            result = real(self, *arguments)
            synced.append(self._synced - before)
            return result

        monkeypatch.setattr(durability.Syncer, "_sync", _sync)
        for _ in range(3):
            with index.write() as hooks:
                hooks.mboxlist_setacl("user.u001", "staff", "lr")
        with index.write(durability=pyxlist.Durability.within(60_000)) as hooks:
            hooks.mboxlist_setacl("user.u001", "staff", "lrs")
        with index.write() as hooks:
            hooks.mboxlist_setacl("user.u001", "staff", "lrs")
    assert [bool(moved) for moved in synced[:3]] == [False, False, True]


def test_a_sync_in_the_background_that_failed_is_made_up_for(index_path: pathlib.Path) -> None:
    """The next commit opens the environment anew, since LMDB forgets what it could not write, and is synced."""

    class Failing:
        def __init__(self, env: Any) -> None:
            self.env = env

        def __getattr__(self, name: str) -> Any:
            return getattr(self.env, name)

        def sync(self, _force: bool) -> None:
            raise lmdb.DiskError("no")

    soon = pyxlist.Durability.within(20)
    with pyxlist.open(index_path, readonly=False) as index:
        store = index._store
        for number in range(2):
            with index.write(durability=soon) as hooks:
                hooks.mboxlist_setacl("user.u001", f"staff{number}", "lr")
            if not number:
                store.env = Failing(store.env)
                store.sync_now()
        assert not isinstance(store.env, Failing)
        limit = time.monotonic() + 20
        while store.syncer._synced < store.env.info()["last_txnid"] and time.monotonic() < limit:
            time.sleep(0.01)
        assert store.syncer._synced == store.env.info()["last_txnid"]


def test_a_sync_covers_what_was_committed_before_it_began() -> None:
    """Whoever waits while another thread syncs finds his commit durable, if that thread began after it."""
    env, syncer = Environment(), durability.Syncer()
    env.newest = 3
    first = threading.Thread(target=syncer.sync, args=(env, 2))
    first.start()
    assert env.syncing.wait(20)
    env.newest = 5
    env.go_on.set()
    first.join(20)
    assert syncer.sync(env, 3) and env.done == ["synced"], "committed before the sync began"
    assert syncer.sync(env, 4) and env.done == ["synced"] * 2, "committed while it was under way"
    assert syncer.sync(env, 5) and env.done == ["synced"] * 2
    syncer.close(env)
    another = Environment()
    another.go_on.set()
    assert syncer.sync(another, 5) and another.done == ["synced"], "what was opened again is asked again"


class Environment:
    """Stands in for LMDB's, and notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.syncing, self.go_on = threading.Event(), threading.Event()
        self.newest = 0

    def info(self) -> dict[str, int]:
        return {"last_txnid": self.newest}

    def sync(self, _force: bool) -> None:
        self.syncing.set()
        assert self.go_on.wait(20)
        self.done.append("synced")

    def close(self) -> None:
        self.done.append("closed")


def test_closing_waits_for_what_the_timer_has_begun() -> None:
    """The timer's thread has taken the promise over and not yet kept it: the environment is not closed before."""
    env, syncer = Environment(), durability.Syncer()
    syncer.sync_later(1, lambda: syncer.sync_waiting(env))
    assert env.syncing.wait(20)
    threading.Timer(0.05, env.go_on.set).start()
    syncer.sync_waiting(env)
    syncer.close(env)
    assert env.done == ["synced", "closed"]
    assert not syncer.sync(env), "what is closed is not synced"


def test_pages_that_the_disk_refused_are_not_called_durable_by_the_next_sync() -> None:
    """The kernel tells of a page that it could not write once, and then forgets it: who syncs next has lost as much."""

    class Failing(Environment):
        def sync(self, force: bool) -> None:
            super().sync(force)
            if len(self.done) == 1:
                raise OSError(5, "Input/output error")

    env, syncer = Failing(), durability.Syncer()
    env.go_on.set()
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            syncer.sync(env)
    syncer.close(env)
    another = Environment()
    another.go_on.set()
    assert syncer.sync(another)
