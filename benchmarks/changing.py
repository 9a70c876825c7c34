"""What does a change cost, and what do a million of them do to the file?  Four writers at once?"""

from __future__ import annotations

import itertools
import multiprocessing
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb

import pyxlist
from benchmarks.asking import list_times
from benchmarks.measure import ROUNDS, Result, take_turns
from benchmarks.plan import Plan
from benchmarks.sqlite_index import SqliteIndex
from benchmarks.worlds import random_users
from pyxlist.errors import StoreBusyError

__all__ = ["run"]

_RIGHTS = ("lr", "lrs", "lrsw", "lrswi")
_WRITERS = 4
Outcome = tuple[int, int, float]  # changes made, changes refused, seconds


def run(plan: Plan) -> Iterator[Result]:
    """One durable change, many changes, many writers; SQLite beside each."""
    peer = plan.worlds.scratch("sqlite-changed")
    SqliteIndex.build(peer, plan.worlds.source(plan.main)).close()
    yield from _one_change(plan, peer)
    yield from _writers(plan, peer)
    yield from _many_changes(plan, peer)


def _one_change(plan: Plan, peer: Path) -> Iterator[Result]:
    """A durable ACL change beside a durable put into an environment that holds the same octets.

    Every one changes something: what is there already is not synced again.
    """
    users, rights = itertools.cycle(random_users(plan.main, plan.main.users)), itertools.cycle(_RIGHTS)
    count = 20
    plain = plan.worlds.copy(plan.main, "put")
    environment = lmdb.open(str(plain), map_size=1 << 36, max_dbs=16)
    table = environment.open_db(b"postings")
    database = SqliteIndex(peer)
    with pyxlist.open(plan.worlds.copy(plan.main, "one"), readonly=False) as index:

        def put() -> int:
            for _ in range(count):
                with environment.begin(write=True) as txn:
                    txn.put(next(users).encode() + b"\x00", b"\x00" * 90, db=table)
            return count

        def change() -> int:
            for _ in range(count):
                with index.write() as hooks:
                    hooks.mboxlist_setacl(f"user.{next(users)}.Work", "changed", next(rights))
            return count

        def sqlite() -> int:
            for _ in range(count):
                user = next(users).encode()
                database.set_rights(b"changed", b"user\x1f" + user + b"\x1fWork", 7)
            return count

        contenders: dict[str, Callable[[], int]] = {"put": put, "change": change, "sqlite": sqlite}
        times = take_turns(contenders, ROUNDS if plan.main.users > 1000 else 3)
    environment.close()
    database.close()
    base = times.median("put") * 1e6
    yield Result("change", "one durable ACL change", times.median("change") * 1e6, "one durable py-lmdb put", base,
                 times.ratio("change", "put"), "us", 1.5)  # fmt: skip
    yield Result("change", "the same in SQLite (posting alone)", times.median("sqlite") * 1e6,
                 "one durable py-lmdb put", base, times.ratio("sqlite", "put"), "us")  # fmt: skip


def write_ours(path: str, number: int, users: list[str]) -> Outcome:
    """One of several writers: a durable change a transaction, as fast as it may."""
    done, refused, started = 0, 0, time.perf_counter()
    with pyxlist.open(path, readonly=False) as index:
        for user in users[number::_WRITERS]:
            try:
                with index.write() as hooks:
                    hooks.mboxlist_setacl(f"user.{user}.Work", f"writer{number}", "lrs")
                done += 1
            except StoreBusyError:
                refused += 1
    return done, refused, time.perf_counter() - started


def write_sqlite(path: str, number: int, users: list[str]) -> Outcome:
    """The same with SQLite, which waits five seconds for a lock by default."""
    done, refused, started = 0, 0, time.perf_counter()
    database = SqliteIndex(Path(path))
    for user in users[number::_WRITERS]:
        try:
            database.set_rights(b"writer%d" % number, b"user\x1f" + user.encode() + b"\x1fWork", 7)
            done += 1
        except sqlite3.OperationalError:
            refused += 1
    database.close()
    return done, refused, time.perf_counter() - started


def _writers(plan: Plan, peer: Path) -> Iterator[Result]:
    """Four processes at once.  Both sides' changes are durable: SQLite (WAL, synchronous=FULL) syncs its log once a
    commit, LMDB its pages and then its meta page, so two syncs stand against one.
    """
    path = plan.worlds.copy(plan.main, "writers")
    users = random_users(plan.main, 200 if plan.quick else 4000)
    outcomes = {}
    for name, function, place in (("pyxlist", write_ours, path), ("SQLite", write_sqlite, peer)):
        with multiprocessing.get_context("spawn").Pool(_WRITERS) as pool:
            parts = pool.starmap(function, [(str(place), number, users) for number in range(_WRITERS)])
        done, refused = sum(part[0] for part in parts), sum(part[1] for part in parts)
        outcomes[name] = done / max(part[2] for part in parts), refused
    base = outcomes["SQLite"][0]
    for name, (rate, refused) in outcomes.items():
        yield Result("four writers", f"{name}: durable changes a second, {refused} refused as locked", rate, "SQLite",
                     base, rate / base, "1/s")  # fmt: skip


def _many_changes(plan: Plan, peer: Path) -> Iterator[Result]:
    """Rights given, altered and taken away all over the world, a thousand in a transaction."""
    path = plan.worlds.copy(plan.main, "many")
    data, users = path / "data.mdb", random_users(plan.main, plan.main.users)
    before, asked = data.stat().st_size, users[: plan.sample]
    octets = list_times(plan.worlds.index(plan.main), asked)[0]
    started = time.perf_counter()
    with pyxlist.open(path, readonly=False) as index:
        for first in range(0, plan.changes, 1000):
            with index.write() as hooks:
                for number in range(first, min(first + 1000, plan.changes)):
                    user, other = users[number % len(users)], users[number * 7 % len(users)]
                    hooks.mboxlist_setacl(f"user.{user}.Work", other, _RIGHTS[number % 4] if number % 5 else "")
    seconds = (time.perf_counter() - started) / plan.changes * 1e6
    grown = data.stat().st_size
    what = f"after {plan.changes:,} changes"
    yield Result("many changes", f"index {what}", grown / 1e6, "before", before / 1e6, grown / before, "MB", 1.3)
    yield from _list_after(plan, path, asked, octets.median("octets"), what)
    yield from _sqlite_changes(plan, peer, users, seconds)


def _list_after(plan: Plan, path: Path, asked: list[str], before: float, what: str) -> Iterator[Result]:
    """LIST on both indexes in turns; users see a little more than before, so it is a little more work."""
    ratios, after = [], []
    for _ in range(3):
        before = list_times(plan.worlds.index(plan.main), asked)[0].median("octets")
        after.append(list_times(path, asked)[0].median("octets"))
        ratios.append(after[-1] / before)
    yield Result("many changes", f'LIST "" "*" {what}', statistics.median(after) * 1e6, "before", before * 1e6,
                 statistics.median(ratios), "us", 1.1)  # fmt: skip


def _sqlite_changes(plan: Plan, peer: Path, users: list[str], ours: float) -> Iterator[Result]:
    """A tenth as many with SQLite: one at a time, as `set_rights` does it, but not durable."""
    before, changes = peer.stat().st_size, max(1, plan.changes // 10)
    database = SqliteIndex(peer, synchronous="OFF")
    started = time.perf_counter()
    for number in range(changes):
        user, other = users[number % len(users)].encode(), users[number * 7 % len(users)].encode()
        database.set_rights(other, b"user\x1f" + user + b"\x1fWork", number % 8)
    seconds = (time.perf_counter() - started) / changes * 1e6
    database.close()
    grown = peer.stat().st_size
    yield Result("many changes", "one of a thousand changes in a transaction", ours, "SQLite, not durable", seconds,
                 ours / seconds, "us")  # fmt: skip
    yield Result("many changes", f"SQLite file after {changes:,}", grown / 1e6, "before", before / 1e6, grown / before,
                 "MB")  # fmt: skip
