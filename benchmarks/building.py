"""What does it cost to read a mailboxes.db, to build the index, to bring it up to date?  How large is it?"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb

import pyxlist
from benchmarks.measure import Result, in_child, peak_memory, take_turns
from benchmarks.plan import Plan
from benchmarks.sqlite_index import SqliteIndex
from pyxlist._pxl import ffi, lib
from pyxlist.cyrusdb import open_source
from pyxlist.image import read_image
from pyxlist.index.opening import open_store

__all__ = ["run", "sqlite"]

Pairs = dict[str, list[tuple[bytes, bytes]]]


def read_and_check(source: Path) -> int:
    """Read a file whole, and one CRC over it: the least that a reader which trusts nothing can do."""
    with contextlib.closing(read_image(source)) as image:
        octets = ffi.from_buffer("uint8_t[]", image.data)
        lib.pxl_crc32(octets, image.size_bytes)
        ffi.release(octets)
    return 1


def parse(source: Path) -> int:
    """Read a file and step through its records, their checksums and their order."""
    records, error = ffi.new("uint64_t *"), ffi.new("pxl_error *")
    with open_source(source) as (reader, _header):
        assert lib.pxl_reader_drain(reader, records, error) == 0
    return 1


def pairs_of(index: Path) -> Pairs:
    """Everything an index holds, as LMDB keeps it."""
    store = open_store(index)
    with store.read() as txn:
        pairs = {name: list(txn.cursor(db=table)) for name, table in store.tables.items()}
    store.close()
    return pairs


def append(place: Path, pairs: Pairs) -> int:
    """Append finished pairs to a new environment, unsynced, then sync it: no build can cost less."""
    place.mkdir()
    environment = lmdb.open(str(place), map_size=1 << 36, max_dbs=len(pairs), sync=False, metasync=False)
    for name, rows in pairs.items():
        table = environment.open_db(name.encode())
        with environment.begin(write=True) as txn, txn.cursor(db=table) as cursor:
            cursor.putmulti(rows, append=True)
    environment.sync(True)
    environment.close()
    shutil.rmtree(place)
    return 1


def build_anew(plan: Plan) -> int:
    """Build the index of the main world from nothing."""
    place = plan.worlds.scratch("built")
    pyxlist.build(plan.worlds.source(plan.main), place, plan.worlds.config(plan.main))
    shutil.rmtree(place)
    return 1


def measured_build(source: str, index: str, conf: str) -> int:
    """Build once; the most memory this process ever had."""
    pyxlist.build(source, index, pyxlist.Config.from_imapd_conf(conf))
    return peak_memory()


def run(plan: Plan) -> Iterator[Result]:
    """Parse, build, memory, size, and builds by difference."""
    source, index = plan.worlds.source(plan.main), plan.worlds.index(plan.main)
    rounds = 5
    pairs = pairs_of(index)
    contenders: dict[str, Callable[[], int]] = {
        "read": lambda: read_and_check(source),
        "parse": lambda: parse(source),
        "append": lambda: append(plan.worlds.scratch("appended"), pairs),
        "build": lambda: build_anew(plan),
    }
    times = take_turns(contenders, rounds)
    seconds = {name: times.median(name) for name in contenders}
    least = [a + b for a, b in zip(times["read"], times["append"], strict=True)]
    ratio = statistics.median(a / b for a, b in zip(times["build"], least, strict=True))
    yield Result("build", "parse alone", seconds["parse"], "read and one CRC", seconds["read"],
                 times.ratio("parse", "read"), "s", 1.5)  # fmt: skip
    yield Result("build", "build", seconds["build"], "read, CRC, raw append", statistics.median(least), ratio, "s", 3.0)
    yield from _sizes(plan, source, index)
    yield from _differences(plan, source)


def _sizes(plan: Plan, source: Path, index: Path) -> Iterator[Result]:
    size = source.stat().st_size / 1e6
    place, conf = plan.worlds.scratch("measured"), source.parent / "imapd.conf"
    peak = in_child(measured_build, str(source), str(place), str(conf)) / 1e6
    shutil.rmtree(place)
    stored = (index / "data.mdb").stat().st_size / 1e6
    yield Result("build", "peak memory", peak, "mailboxes.db", size, peak / size, "MB", 1.5)
    yield Result("build", "index", stored, "mailboxes.db", size, stored / size, "MB", 0.4)


def change(path: Path, number: int, step: int) -> None:
    """Give somebody rights on `number` of the users' Work folders, in one transaction."""
    with pyxlist.open(path, readonly=False) as index, index.write() as hooks:
        for user in range(0, number * step, step):
            hooks.mboxlist_setacl(f"user.u{user:06d}.Work", "changed", "lrs")


def _differences(plan: Plan, source: Path) -> Iterator[Result]:
    """Builds by difference: the index is changed, and the source brings it back."""
    path = plan.worlds.copy(plan.main, "by-difference")
    for number in (0, 1, 1000):
        number = min(number, plan.main.users)
        seconds: dict[str, list[float]] = {"parse": [], "build": []}
        for _ in range(5):
            if number:
                change(path, number, plan.main.users // number)
            started = time.perf_counter()
            parse(source)
            parsed = time.perf_counter()
            report = pyxlist.build(source, path)
            seconds["build"].append(time.perf_counter() - parsed)
            seconds["parse"].append(parsed - started)
            assert report.changed == number, report
        ratio = statistics.median(a / b for a, b in zip(seconds["build"], seconds["parse"], strict=True))
        yield Result("build", f"build by difference, {number} changes", statistics.median(seconds["build"]),
                     "parse alone", statistics.median(seconds["parse"]), ratio, "s",
                     1.3 if number == 1 else None)  # fmt: skip


def sqlite(plan: Plan) -> Iterator[Result]:
    """The same inverted index in SQLite, from the same parser."""
    source = plan.worlds.source(plan.main)
    place = plan.worlds.scratch("sqlite")
    started = time.perf_counter()
    peer = SqliteIndex.build(place, source)
    seconds = time.perf_counter() - started
    peer.close()
    started = time.perf_counter()
    build_anew(plan)
    ours = time.perf_counter() - started
    size, own = place.stat().st_size / 1e6, (plan.worlds.index(plan.main) / "data.mdb").stat().st_size / 1e6
    yield Result("SQLite", "build", seconds, "pyxlist", ours, seconds / ours, "s", 10.0, at_least=True)
    yield Result("SQLite", "of that, inserting", peer.insert_seconds, "pyxlist, whole", ours,
                 peer.insert_seconds / ours, "s")  # fmt: skip
    yield Result("SQLite", "size", size, "pyxlist", own, size / own, "MB")
