"""Snapshots of a live mailboxes.db: each is exactly a state between two commits, and the server notices nothing.

Writers change what is theirs alone, one command after another, and every command changes it.  What a snapshot shows
of a writer must therefore be the state after one of his commands: none before the last one answered when the snapshot
began, none after the last one sent when it had ended.  Each N record must have its I record with the same name and ACL,
which one commit writes together; and tens of thousands of records that nobody touches, which must stay what they are,
make reading take long enough for commits and repacks to fall into it.

`PYXLIST_SNAPSHOTS` sets how many are taken (20 without it).
"""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import multiprocessing
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

import pyxlist
from benchmarks.spec import WorldSpec
from benchmarks.world import write_world
from pyxlist.cyrusdb import iter_records
from tests.oracle.entries import read_entry

from .imap import Session
from .server import TOOLS, Server, reachable_folder

pytestmark = pytest.mark.cyrus

SNAPSHOTS = int(os.environ.get("PYXLIST_SNAPSHOTS", "20"))
REPACK_EVERY = 10
PAUSE_S = 0.1
# A skiplist cannot be told to repack: it does so when its log has outgrown what a small world leaves.
BYSTANDERS = {
    "twoskip": WorldSpec(users=4000, shared=2000, groups=20),
    "skiplist": WorldSpec(users=60, shared=60, groups=20),
}
CONFIG = {"virtdomains": "off", "unixhierarchysep": "1", "altnamespace": "1"}
COMMON = {"delete_mode": "immediate", "defaultacl": "cyrus lrswipkxtecda"}
PARENT = "cyrus lrswipkxtecda"

State = dict[str, str]  # names of one writer's mailboxes -> their ACLs as stored
Spans = list[tuple[float, float]]  # of time.perf_counter()


class Writer(threading.Thread):
    """Changes below `top` as fast as the server answers; `states[k]` is what k commands leave."""

    def __init__(self, session: Session, top: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.session, self.top = session, top
        self.random = random.Random(seed)
        self.states: list[State] = [{}]
        self.sent = self.answered = 0
        self.stop = threading.Event()
        self.failed: list[str] = []
        self.seconds: list[tuple[float, float]] = []  # when a command was sent, how long its answer took

    def run(self) -> None:
        while not self.stop.is_set() and not self.failed:
            command, state = self.next_step()
            self.states.append(state)
            self.sent += 1
            started = time.perf_counter()
            reply = self.session.ask(command.encode())
            self.seconds.append((started, time.perf_counter() - started))
            self.answered += 1
            if reply.status != "OK":
                self.failed.append(f"{command}: {reply}")

    def next_step(self) -> tuple[str, State]:
        """A command and what it leaves, which is never what was there."""
        number, state = self.sent, dict(self.states[-1])
        verb = self.random.choice(("CREATE", "SETACL", "SETACL", "SETACL", "RENAME", "DELETE"))
        if not state or (verb == "CREATE" and len(state) < 30):
            state[f"{self.top}/m{number}"] = PARENT
            return f'CREATE "{self.top}/m{number}"', state
        name = self.random.choice(sorted(state))
        if verb == "DELETE" and len(state) > 20:
            del state[name]
            return f'DELETE "{name}"', state
        if verb == "RENAME":
            state[f"{self.top}/r{number}"] = state.pop(name)
            return f'RENAME "{name}" "{self.top}/r{number}"', state
        state[name] += f" u{number} lrs"
        return f'SETACL "{name}" u{number} lrs', state


def snapshot(source: str, tops: list[str]) -> tuple[list[State], int, str]:
    """What is below each of `tops`, how many names have no I record like their own, a digest of all other records."""
    states: list[State] = [{} for _ in tops]
    by_id: dict[bytes, tuple[bytes, tuple[tuple[bytes, bytes], ...]]] = {}
    broken, others = 0, hashlib.sha256()
    for key, value in iter_records(source):
        name, mine = key[1:].replace(b"\x1f", b"/").decode("latin-1"), b"live" in key or b"live" in value
        if not mine:
            others.update(b"%d %s %d %s" % (len(key), key, len(value), value))
            continue
        entry = read_entry(value)
        if key.startswith(b"I"):
            by_id[key[1:]] = named(value), entry.acl
        if not key.startswith(b"N") or entry.tombstone:
            continue
        broken += by_id.get(entry.uniqueid) != (key[1:], entry.acl)
        for top, state in zip(tops, states, strict=True):
            if name.startswith(f"{top}/"):
                state[name] = b" ".join(word for pair in entry.acl for word in pair).decode("latin-1")
    return states, broken, others.hexdigest()


def named(value: bytes) -> bytes:
    """The name inside the value of an I record: its field N, an atom or a quoted string."""
    return value.partition(b" N ")[2].split(b" ")[0].strip(b'"')


def use_world(server: Server, backend: str) -> None:
    """Put a mailboxes.db with the bystanders in the place of the server's own, as a repack does: by rename."""
    source, made = server.directory / "mailboxes.db", server.root / "made.db"
    write_world(BYSTANDERS[backend], made)
    shutil.chown(made, "cyrus", "mail")
    if backend != "twoskip":
        server.tool("cvt_cyrusdb", made, "twoskip", server.root / "converted.db", backend)
        made = server.root / "converted.db"
    made.rename(source)


def repack(server: Server, backend: str) -> None:
    """Have Cyrus write the file anew, as its server's own user, where it can be told to."""
    if backend == "skiplist":
        return
    source = server.directory / "mailboxes.db"
    command = [str(TOOLS / "cyr_dbtool"), "-C", str(server.imapd_conf(0)), str(source), backend, "repack"]
    subprocess.run(command, check=True, capture_output=True, timeout=60, user="cyrus", group="mail", cwd="/")


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    """A directory that the server's own user may enter, unlike pytest's."""
    with reachable_folder() as path:
        yield path


@pytest.mark.parametrize("backend", BYSTANDERS)
def test_each_snapshot_is_a_state_between_two_commits(folder: pathlib.Path, backend: str) -> None:
    """Under two writers and repacks, every snapshot is one, no file is called damaged, no error is logged."""
    with Server(folder / "server", [CONFIG], {}, mboxlist_db=backend, **COMMON) as server:
        use_world(server, backend)
        writers = [Writer(server.session("cyrus"), f"live{n}", seed=n) for n in range(2)]
        for writer in writers:
            assert writer.session.ask(f'CREATE "{writer.top}"'.encode()).status == "OK"
        for writer in writers:
            writer.start()
        try:
            spans, inodes = take_snapshots(server, backend, writers, folder / "quiet")
        finally:
            for writer in writers:
                writer.stop.set()
                writer.join(30)
                writer.session.close()
        assert [writer.failed for writer in writers] == [[], []]
        assert_final(server, folder, writers)
        report(backend, writers, spans, len(inodes) - 1)
    assert server.syslog.lines
    assert server.syslog.errors == []


def read_for(seconds: float, source: str, tops: list[str]) -> None:
    """Snapshots of a file one after another, for at least so long."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        snapshot(source, tops)


def take_snapshots(
    server: Server, backend: str, writers: list[Writer], copy: pathlib.Path
) -> tuple[dict[str, Spans], list[int]]:
    """Take them in a process of their own and prove each.

    Returns the spans of time in which it reads the live file, in which it reads a copy that nobody writes for as long,
    and in which it does nothing; those in which we had the file repacked are left out.  Then the inodes of the file,
    one after another.
    """
    source, tops = str(server.directory / "mailboxes.db"), [writer.top for writer in writers]
    spans: dict[str, Spans] = {"live": [], "copy": [], "neither": []}
    seen, inodes = list[str](), [os.stat(source).st_ino]
    spawned = multiprocessing.get_context("spawn")
    shutil.copyfile(source, copy)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawned) as reader:
        seen.append(reader.submit(snapshot, source, tops).result()[2])
        for number in range(1, SNAPSHOTS + 1):
            repacks, least = number % REPACK_EVERY == 0, [writer.answered for writer in writers]
            started = time.perf_counter()
            future = reader.submit(snapshot, source, tops)
            if repacks:
                repack(server, backend)
            taken = future.result()
            ended = time.perf_counter()
            seen.append(prove(number, writers, taken, least))
            inodes += [inode for inode in [os.stat(source).st_ino] if inode != inodes[-1]]
            copying = time.perf_counter()
            reader.submit(read_for, ended - started, str(copy), tops).result()
            rested = time.perf_counter()
            time.sleep(max(PAUSE_S, ended - started))
            if not repacks:
                spans["live"].append((started, ended))
                spans["copy"].append((copying, rested))
                spans["neither"].append((rested, time.perf_counter()))
    assert collections.Counter(seen) == {seen[0]: SNAPSHOTS + 1}
    return spans, inodes


def prove(number: int, writers: list[Writer], taken: tuple[list[State], int, str], least: list[int]) -> str:
    """A snapshot just taken shows each writer's work between two of its commands; its digest of all the rest."""
    states, broken, others = taken
    assert not broken
    for writer, state, low, high in zip(writers, states, least, [writer.sent for writer in writers], strict=True):
        matching = [k for k in range(low, high + 1) if writer.states[k] == state]
        assert matching, (number, writer.top, low, high, difference(writer, state, low))
    return others


def difference(writer: Writer, state: State, number: int) -> object:
    """What a snapshot shows beyond and short of a state, for the report of a failure."""
    known = writer.states[number]
    return sorted(set(state.items()) - set(known.items())), sorted(set(known.items()) - set(state.items()))


def assert_final(server: Server, folder: pathlib.Path, writers: list[Writer]) -> None:
    """The quiet file: what it shows, and what an index built from it while the server runs holds, is the last state."""
    source = server.directory / "mailboxes.db"
    states, broken, _others = snapshot(str(source), [writer.top for writer in writers])
    assert not broken
    assert states == [writer.states[-1] for writer in writers]
    shutil.copyfile(source, folder / "copy")
    assert list(iter_records(source)) == list(iter_records(folder / "copy"))
    pyxlist.build(source, folder / "index", pyxlist.Config.from_imapd_conf(server.imapd_conf(0)))
    with pyxlist.open(folder / "index") as index:
        assert list(index.verify(folder / "copy")) == []
        assert list(index.check()) == []


def report(backend: str, writers: list[Writer], spans: dict[str, Spans], repacks: int) -> None:
    """Print how the server fared; times decide nothing."""
    took = {what: statistics.median(answered(writers, where)) * 1e3 for what, where in spans.items()}
    done = sum(writer.answered for writer in writers)
    length = statistics.median(ended - started for started, ended in spans["live"]) * 1e3
    print(
        f"\n{backend}: {SNAPSHOTS} snapshots of {length:.0f} ms, {done} changes, {repacks} repacks; a change took "
        + ", ".join(f"{ms:.3f} ms beside {what}" for what, ms in took.items())
        + f"; live to copy {took['live'] / took['copy']:.2f}, live to neither {took['live'] / took['neither']:.2f}"
    )


def answered(writers: list[Writer], spans: Spans) -> list[float]:
    """The seconds of the commands that were sent within one of the spans."""
    return [
        took
        for writer in writers
        for sent, took in writer.seconds
        if any(started <= sent <= ended for started, ended in spans)
    ]
