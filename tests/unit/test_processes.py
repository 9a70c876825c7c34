"""Many processes and threads on one index: forks, waiting writers, readers that stand still."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

import pyxlist
from pyxlist import opened
from pyxlist.index import readers
from tests.sources import value, write_flat

WORLD = {b"user\x1fu%03d" % n: value(f"u{n:03} lrswipkxtecdan anyone l", uniqueid=f"id{n}") for n in range(300)}


@pytest.fixture
def index_path(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index")
    yield tmp_path / "index"
    if (tmp_path / "index").exists():
        with pyxlist.open(tmp_path / "index") as index:
            assert list(index.check()) == []


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked child; its exit status."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# --- forks ---

WRITE_SOON = "import sys, pyxlist\nwith pyxlist.open(sys.argv[1], readonly=False).write(timeout_s=0.1): pass"


def test_a_fork_inside_a_write_block(index_path: pathlib.Path) -> None:
    """The child cannot commit its parent's transaction, nor release its lock; the parent can do both."""
    with pyxlist.open(index_path, readonly=False) as index:
        writing = index.write()
        hooks = writing.__enter__()
        hooks.mboxlist_createmailbox("parent")

        def commit_in_child() -> None:
            hooks.mboxlist_createmailbox("child")
            try:
                writing.__exit__(None, None, None)
            except pyxlist.StoreError as error:
                assert "fork" in str(error)
            else:
                raise AssertionError("the child committed")

        assert in_child(commit_in_child) == 0
        waiting = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, pyxlist\nwith pyxlist.open(sys.argv[1], readonly=False).write(timeout_s=0.1): pass",
                index_path,
            ],
            capture_output=True,
            check=False,
        )
        assert b"StoreBusyError" in waiting.stderr and f"pid {os.getpid()}".encode() in waiting.stderr
        writing.__exit__(None, None, None)
        assert index.lookup("parent") is not None and index.lookup("child") is None


def test_a_child_keeps_no_lock_of_a_parent_that_died(index_path: pathlib.Path) -> None:
    """A writer forked and was killed inside its block: its child, still alive, is not in the way."""
    script = (
        "import os, sys, time, pyxlist\n"
        "with pyxlist.open(sys.argv[1], readonly=False).write():\n"
        "    pid = os.fork()\n"
        "    if not pid: time.sleep(30)\n"
        "    print(pid, flush=True)\n"
        "    time.sleep(30)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, index_path], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        try:
            with pyxlist.open(index_path, readonly=False) as index, index.write(timeout_s=5) as hooks:
                hooks.mboxlist_createmailbox("free")
        finally:
            os.kill(child, signal.SIGKILL)


def test_workers_of_a_pre_fork_server(index_path: pathlib.Path) -> None:
    """Eight children of one process that has the index open list and write; every write is there."""
    with pyxlist.open(index_path, readonly=False) as index:
        list(index.view("u001").list())

        def work(number: int) -> None:
            for turn in range(5):
                with index.write() as hooks:
                    hooks.mboxlist_createmailbox(f"w{number}.{turn}")
                assert f"Shared Folders/w{number}/{turn}" in [item.name for item in index.view("u001").list()]

        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(number,)) for number in range(8)]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
            assert child.exitcode == 0
        assert all(index.lookup(f"w{number}.{turn}") for number in range(8) for turn in range(5))


def write_some(index_path: pathlib.Path, number: int) -> None:
    with pyxlist.open(index_path, readonly=False) as index:
        for turn in range(5):
            with index.write() as hooks:
                hooks.mboxlist_createmailbox(f"s{number}.{turn}")


def test_spawned_processes_write(index_path: pathlib.Path) -> None:
    """Processes that inherited nothing."""
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=write_some, args=(index_path, number)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    with pyxlist.open(index_path) as index:
        assert all(index.lookup(f"s{number}.{turn}") for number in range(2) for turn in range(5))


# --- threads ---


def test_threads_read_while_the_first_write_reopens(index_path: pathlib.Path) -> None:
    """Listing goes on in four threads while the environment is replaced under them, again and again."""
    failures: list[BaseException] = []
    stop = threading.Event()
    with pyxlist.open(index_path, readonly=False) as index:

        def read() -> None:
            view = index.view("u001")
            try:
                while not stop.is_set():
                    assert view.respond(b'LIST "" "INBOX"').untagged.startswith(b"* LIST")
                    assert index.lookup("user.u001") is not None
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(12):
            mode = pyxlist.Durability.REBUILDABLE if number % 2 else pyxlist.Durability.EVERY_COMMIT
            with index.write(durability=mode) as hooks:
                hooks.mboxlist_createmailbox(f"t{number}")
        stop.set()
        for thread in threads:
            thread.join(20)
        with index.write() as hooks:
            hooks.mboxlist_createmailbox("last")
    assert not failures
    assert not (index_path / "unsynced").exists()


def test_writers_take_turns(index_path: pathlib.Path) -> None:
    """A thread that writes without a pause does not shut out one that comes now and then."""
    stop = threading.Event()
    with pyxlist.open(index_path, readonly=False) as index:
        greedy_turns = 0

        def greedy() -> None:
            nonlocal greedy_turns
            while not stop.is_set():
                with index.write(durability=pyxlist.Durability.within(50)) as hooks:
                    hooks.mboxlist_setacl("user.u001", "x", "lr" if greedy_turns % 2 else "l")
                greedy_turns += 1

        thread = threading.Thread(target=greedy)
        thread.start()
        for number in range(20):
            before = greedy_turns
            with index.write(durability=pyxlist.Durability.within(50)) as hooks:
                hooks.mboxlist_createmailbox(f"f{number}")
            assert greedy_turns - before < 50
        stop.set()
        thread.join(20)


# --- readers ---


def test_revocation_is_seen_by_the_next_call_of_another_process(index_path: pathlib.Path) -> None:
    """A process with the index open answers without the mailbox as soon as the other's block has ended."""
    script = (
        "import sys, pyxlist\n"
        "view = pyxlist.open(sys.argv[1], readonly=False).view('u002')\n"
        "for line in sys.stdin: print(view.rights(line.strip()), flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(index_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as reader:
        asked, told = reader.stdin, reader.stdout
        assert asked is not None and told is not None

        def ask() -> str:
            asked.write("Other Users/u001\n")
            return str(told.readline().strip())

        assert ask() == "l"
        with pyxlist.open(index_path, readonly=False) as index:
            for rights, expected in (("", "None"), ("lr", "lr")) * 3:
                with index.write() as hooks:
                    hooks.mboxlist_setacl("user.u001", "anyone", rights)
                assert ask() == expected
        asked.close()


def hold_reader(index_path: pathlib.Path) -> subprocess.Popen[bytes]:
    script = (
        "import sys, time, pyxlist\n"
        "entries = pyxlist.open(sys.argv[1]).entries()\n"
        "next(entries)\nprint(flush=True)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, index_path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    return child


def test_a_reader_that_stands_still_is_named(
    index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Writers warn of it, `stat` shows it, and once it is killed its pages are used again."""
    monkeypatch.setattr(readers, "READER_PATIENCE_S", 0.0)
    child = hold_reader(index_path)
    try:
        with pyxlist.open(index_path, readonly=False) as index:
            for number in range(3):
                index._store.watch.looked_s = 0.0
                with caplog.at_level(logging.WARNING, "pyxlist"), index.write() as hooks:
                    hooks.mboxlist_createmailbox(f"n{number}")
            assert index.stat()["oldest_reader"] == child.pid and index.stat()["readers_lag"] == 3
            assert f"pid {child.pid} has kept one snapshot" in caplog.text
            child.kill()
            child.wait()
            index._store.watch.looked_s = 0.0
            with index.write() as hooks:
                hooks.mboxlist_createmailbox("after")
            assert index.stat()["readers_lag"] == 0
    finally:
        child.kill()
        child.wait()


def test_readers_that_are_killed_do_not_let_the_file_grow(index_path: pathlib.Path) -> None:
    """Twenty readers die inside a snapshot each; two hundred writes afterwards need no new pages."""
    with pyxlist.open(index_path, readonly=False) as index:
        for _ in range(2):
            children = [hold_reader(index_path) for _ in range(10)]
            for child in children:
                child.kill()
                child.wait()
        churn(index, 50)
        before = index.stat()["bytes"]
        churn(index, 200)
        assert index.stat()["bytes"] <= before * 1.1


def churn(index: pyxlist.Index, changes: int) -> None:
    for number in range(changes):
        with index.write(durability=pyxlist.Durability.within(100)) as hooks:
            hooks.mboxlist_setacl(f"user.u{number % 10:03}", "staff", "lr" if number // 10 % 2 else "l")


# --- files that go away ---


def test_an_index_deleted_under_its_users(index_path: pathlib.Path) -> None:
    """Readers keep the last state, writers are told, and nothing is written to nowhere."""
    with pyxlist.open(index_path, readonly=False) as index:
        shutil.rmtree(index_path)
        assert index.lookup("user.u001") is not None
        with pytest.raises(pyxlist.StoreError, match="deleted"), index.write():
            pass
    with pytest.raises(pyxlist.StoreError, match="no index"):
        pyxlist.open(index_path)


def test_an_index_replaced_under_its_users(index_path: pathlib.Path) -> None:
    """Another index at the same path: a writer that has the old one open is told to open it again."""
    with pyxlist.open(index_path, readonly=False) as index:
        shutil.rmtree(index_path)
        pyxlist.build(index_path.parent / "db", index_path)
        with pytest.raises(pyxlist.StoreError, match="replaced"), index.write():
            pass
    with pyxlist.open(index_path, readonly=False) as index, index.write() as hooks:
        hooks.mboxlist_createmailbox("new")


def test_nested_writes_name_their_own_process(index_path: pathlib.Path) -> None:
    """A write block inside a write block times out and says who holds the lock."""
    with (
        pyxlist.open(index_path, readonly=False) as index,
        index.write(),
        pytest.raises(pyxlist.StoreBusyError, match=f"pid {os.getpid()}"),
        index.write(timeout_s=0.05),
    ):
        pass


def test_a_child_of_an_index_that_was_replaced(index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built anew before a child's first use: the child has the new index and writes it; a view that its parent turned
    away from says that its index is gone, and the others go on.
    """
    monkeypatch.setattr(opened, "_LOOK_S", 0.0)
    other = write_flat(index_path.parent / "other", {b"news": value("anyone lrs")})
    with pyxlist.open(index_path, readonly=False) as index:
        view = index.view("u001")
        shutil.rmtree(index_path)
        pyxlist.build(other, index_path)

        def write() -> None:
            assert [item.name for item in view.list()] == ["Shared Folders/news"]
            with index.write() as hooks:
                hooks.mboxlist_createmailbox("child")
            with pyxlist.open(index_path) as again:
                assert again.lookup("child") is not None and list(again.check()) == []

        assert in_child(write) == 0
        turned = index.view("u001")

        def read() -> None:
            with pytest.raises(pyxlist.StoreError, match="replaced"):
                list(view.list())
            assert len(list(turned.list())) == len(list(index.view("u001").list())) == 2
            with index.write() as hooks:
                hooks.mboxlist_deletemailbox("child")

        assert in_child(read) == 0


# --- rebuilds ---


def test_rebuilds_while_eight_processes_list(index_path: pathlib.Path) -> None:
    """Every answer is the old state or the new one, never a mixture, and no reader fails."""
    other = index_path.parent / "other"
    write_flat(other, {key: value("anyone lr", uniqueid=f"x{key!r}"[2:-1]) for key in list(WORLD)[:150]})
    script = (
        "import os, sys, pyxlist\n"
        "index = pyxlist.open(sys.argv[1])\n"
        "view, sizes = index.view('guest'), {len(list(index.view('guest').list()))}\n"
        "print(flush=True)\n"
        "while not os.path.exists(sys.argv[2]): sizes.add(len(list(view.list())))\n"
        "print(sorted(sizes))\n"
    )
    done = index_path.parent / "done"
    command = [sys.executable, "-c", script, str(index_path), str(done)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    for reader in readers:
        assert reader.stdout is not None
        reader.stdout.readline()
    for number in range(12):
        pyxlist.build((other, index_path.parent / "db")[number % 2], index_path)
    done.touch()
    for reader in readers:
        told, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0
        assert told.strip() in ("[150, 300]", "[300]")


def test_asyncio_writes_through_one_thread(index_path: pathlib.Path) -> None:
    """A block belongs to its thread: an executor of one thread serves a program that uses asyncio."""

    def grant(index: pyxlist.Index, number: int) -> None:
        with index.write() as hooks:
            hooks.mboxlist_setacl("user.u001", f"a{number}", "lrs")

    async def main(index: pyxlist.Index) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as writer:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(writer, grant, index, number) for number in range(10)))

    with pyxlist.open(index_path, readonly=False) as index:
        asyncio.run(main(index))
        entry = index.lookup("user.u001")
        assert entry is not None and len(entry.acl) == 12
