"""Durability modes: marks, timers, and what is left at the end."""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Iterator

import pytest

import pyxlist
from pyxlist.index import durability
from pyxlist.index.env import Store, open_store
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
    (index_path / "unsynced").write_text(durability._boot_id())
    with pyxlist.open(index_path, readonly=False) as index, index.write():
        assert not (index_path / "unsynced").exists()


def test_what_is_promised_for_later_is_kept(index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`within` syncs once after its time however many commits there were, or when the index is closed."""
    synced = threading.Event()
    real = Store.sync_now
    calls = []

    def sync_now(store: Store) -> None:
        calls.append(store._syncer.timer)
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
    assert store._syncer.timer is None
    store.close()
    with pytest.raises(ValueError, match="millisecond"):
        pyxlist.Durability.within(0)
