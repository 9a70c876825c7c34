"""Do readers slow each other down, or a writer them?  What memory does a reader need?"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pyxlist
from benchmarks.measure import Result, in_child, private_memory
from benchmarks.plan import Plan
from benchmarks.worlds import random_users

__all__ = ["run"]

_COMMAND = b'LIST "" "*"'
_RATE = 1000  # changes a second


def read_for(path: str, users: list[str], seconds: float, start: Any) -> float:
    """LISTs a second of one reader; all readers begin together."""
    with pyxlist.open(path) as index:
        views = [index.view(user) for user in users]
        start.wait()
        count, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            for view in views[:100]:
                view.respond(_COMMAND)
            count += 100
            views = views[100:] + views[:100]
    return count / seconds


def _reader(path: str, users: list[str], seconds: float, start: Any, out: Any) -> None:
    out.put(read_for(path, users, seconds, start))


def _writer(path: str, users: list[str], seconds: float, start: Any, out: Any) -> None:
    """A thousand changes a second, a hundred in a transaction."""
    with pyxlist.open(path, readonly=False) as index:
        start.wait()
        until, due, count = time.perf_counter() + seconds, time.perf_counter(), 0
        while time.perf_counter() < until:
            with index.write() as hooks:
                for number in range(count, count + 100):
                    user = users[number % len(users)]
                    hooks.mboxlist_setacl(f"user.{user}.Work", f"guest{number % 50}", "lrs" if number % 3 else "")
            count += 100
            due += 100 / _RATE
            time.sleep(max(0.0, due - time.perf_counter()))
    out.put(-count / seconds)


def together(path: str, users: list[str], seconds: float, readers: int, writers: int) -> tuple[float, float]:
    """LISTs a second of all readers, and changes a second, run side by side in processes of their own."""
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(readers + writers), context.Queue()
    roles = [_reader] * readers + [_writer] * writers
    processes = [context.Process(target=role, args=(path, users, seconds, start, out)) for role in roles]
    for process in processes:
        process.start()
    rates = [out.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(rate for rate in rates if rate > 0), -sum(rate for rate in rates if rate < 0)


def memory_of(path: str, users: list[str]) -> tuple[int, int]:
    """Private octets before an index is opened, and after LISTs of these users, map left out."""
    before = private_memory("data.mdb")
    with pyxlist.open(path) as index:
        for user in users:
            index.view(user).respond(_COMMAND)
        return before, private_memory("data.mdb")


def run(plan: Plan) -> Iterator[Result]:
    """Two readers and a writer beside one reader; memory."""
    path = str(plan.worlds.copy(plan.main, "sharing"))
    users = random_users(plan.main, min(plan.sample, 2000))
    pairs = []
    for _ in range(3 if plan.quick else 5):
        alone, _none = together(path, users, plan.seconds, 1, 0)
        both, changes = together(path, users, plan.seconds, 2, 1)
        pairs.append((both / alone, both, alone, changes))
    ratio = statistics.median(pair[0] for pair in pairs)
    both, alone, changes = (statistics.median(pair[n] for pair in pairs) for n in (1, 2, 3))
    yield Result("sharing", f"two readers, {changes:.0f} changes/s beside them", both, "one reader", alone, ratio,
                 "LIST/s", 1.8, at_least=True)  # fmt: skip
    before, after = in_child(memory_of, path, users)
    yield Result("sharing", "private memory of a reader", after / 1e6, "30 MB", 30.0, after / 30e6, "MB", 1.0)
    yield Result("sharing", "of that, Python and the imports", before / 1e6, "all", after / 1e6, before / after, "MB")
