"""LMDB's pitfalls: truncation, versions, forks, double opening, stale readers, writers that wait."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import pyxlist
from pyxlist.index.datafile import promised_bytes
from pyxlist.index.env import create_store
from pyxlist.index.layout import pack_meta
from pyxlist.index.opening import open_store
from pyxlist.index.writing import write
from tests.sources import value, write_flat

WORLD = {b"user\x1fu%03d" % n: value(f"u{n:03} lrswipkxtecdan anyone l", uniqueid=f"id{n}") for n in range(300)}


@pytest.fixture
def index_path(tmp_path: pathlib.Path) -> pathlib.Path:
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index")
    return tmp_path / "index"


def test_opening_nothing(tmp_path: pathlib.Path) -> None:
    """No index: a StoreError that says how to make one."""
    with pytest.raises(pyxlist.StoreError, match="pyxlist build"):
        pyxlist.open(tmp_path / "none")


def test_truncated_files_are_refused(index_path: pathlib.Path) -> None:
    """At any length below its own an index is refused; the process is not killed by a missing page."""
    data = index_path / "data.mdb"
    whole = data.read_bytes()[: promised_bytes(data)]
    for length in (0, 1, 100, 4095, 4096, 8191, 8192, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        data.write_bytes(whole[:length])
        with pytest.raises(pyxlist.StoreDamagedError):
            pyxlist.open(index_path)
    data.write_bytes(whole)
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []


def test_another_layout_is_refused(tmp_path: pathlib.Path) -> None:
    """An index of another version is refused with both versions, and not touched."""
    (tmp_path / "index").mkdir()
    store = create_store(tmp_path / "index")
    with store.env.begin(write=True) as txn:
        txn.put(b"version", pack_meta(99), db=store.tables["meta"])
    store.close()
    with pytest.raises(pyxlist.StoreVersionError) as caught:
        pyxlist.open(tmp_path / "index")
    assert caught.value.got == 99


def test_opened_twice_in_one_process(index_path: pathlib.Path) -> None:
    """Two openings, one through a symbolic link, share one environment; closing one leaves the other."""
    link = index_path.parent / "link"
    link.symlink_to(index_path)
    with pyxlist.open(index_path) as first:
        with pyxlist.open(link) as second:
            assert second._store is first._store
        assert first.lookup("user.u001") is not None
    first.close()


def _list_in_child(index: pyxlist.Index, queue: multiprocessing.Queue[int]) -> None:
    queue.put(len(list(index.view("u001").list())))


def test_an_open_index_survives_a_fork(index_path: pathlib.Path) -> None:
    """A child that inherited an open index answers from an environment of its own, and so does its parent."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with pyxlist.open(index_path) as index:
        expected = len(list(index.view("u001").list()))
        child = context.Process(target=_list_in_child, args=(index, queue))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert queue.get(timeout=5) == expected == len(list(index.view("u001").list()))


HOLD_READER = """
import sys, time, pyxlist
index = pyxlist.open(sys.argv[1])
entries = index.entries()
next(entries)
print("reading", flush=True)
time.sleep(60)
"""


def test_a_killed_reader_is_cleared(index_path: pathlib.Path) -> None:
    """The slot of a reader that was killed is free again after the next opening."""
    child = subprocess.Popen([sys.executable, "-c", HOLD_READER, index_path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"reading\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with pyxlist.open(index_path) as index:
        assert index._store.oldest_reader()[1] == 0
        assert index._store.env.reader_check() == 0


HOLD_WRITER = """
import sys, time
from pyxlist.index.opening import open_store
from pyxlist.index.writing import write
store = open_store(sys.argv[1])
with write(store):
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_waiting_writer_says_who_holds_the_lock(index_path: pathlib.Path) -> None:
    """A writer that waited long enough gets StoreBusyError with the other's pid; a killed one frees the lock."""
    child = subprocess.Popen([sys.executable, "-c", HOLD_WRITER, index_path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"writing\n"
    store = open_store(index_path)
    try:
        with pytest.raises(pyxlist.StoreBusyError, match=f"pid {child.pid}"), write(store, timeout_s=0.2):
            pass
        child.kill()
        child.wait()
        child.stdout.close()
        begun = time.monotonic()
        with write(store, timeout_s=5):
            pass
        assert time.monotonic() - begun < 5
    finally:
        store.close()


def test_reading_needs_no_write_permission_on_the_data(index_path: pathlib.Path) -> None:
    """An index whose files cannot be written is still listed; asking to write it is refused."""
    if os.geteuid() == 0:
        pytest.skip("root may write anything")
    (index_path / "data.mdb").chmod(0o400)
    with pyxlist.open(index_path) as index:
        assert index.lookup("user.u001") is not None
    with pytest.raises(pyxlist.StoreError):
        pyxlist.open(index_path, readonly=False)
