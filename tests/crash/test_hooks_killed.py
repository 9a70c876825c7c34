"""kill -9 of writers, at named points and at random moments: nothing committed is lost, nothing is damaged."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

import pyxlist
from pyxlist import Durability
from pyxlist.index import env, lock, transaction, write
from tests.crash import workload

MODES = (Durability.EVERY_COMMIT, Durability.within(20), Durability.REBUILDABLE)
# Where a writer may die: a function, and whether before or after it has run.
POINTS: tuple[tuple[Any, str, bool], ...] = (
    (lock.WriterLock, "hold", False),
    (env.Store, "look_at_file", True),
    (env, "reserve_length", False),
    (env, "reserve_length", True),
    (write, "apply_rows", False),
    (write, "apply_rows", True),
    (write, "touch", False),
    (transaction, "apply_changes", True),
    (transaction, "put_list", True),
    (env.Store, "make_durable", False),
    (env.Store, "make_durable", True),
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def child(work: Callable[[int], None]) -> tuple[int, int]:
    """Fork and work, with a pipe for acknowledgements; the child's pid and the pipe's reading end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            work(writing)
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def acknowledged(pid: int, reading: int, before: int) -> int:
    """The last transaction a child said had ended, once it is dead."""
    os.waitpid(pid, 0)
    octets = b""
    while piece := os.read(reading, 65536):
        octets += piece
    os.close(reading)
    return int(octets.split()[-1]) if octets else before


def writer(index_path: pathlib.Path, first: int, last: int, mode: Durability) -> Callable[[int], None]:
    def work(pipe: int) -> None:
        with pyxlist.open(index_path, readonly=False) as index:
            for number in range(first, last):
                workload.run(index, number, number + 1, mode)
                os.write(pipe, b"%d " % (number + 1))

    return work


def killed_at(module: Any, name: str, after: bool, call: int, work: Callable[[int], None]) -> Callable[[int], None]:
    """`work`, by a process that dies at the call-th call of a function."""

    def patched(pipe: int) -> None:
        real, calls = getattr(module, name), 0

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call and not after:
                die()
            result = real(*arguments, **options)
            if calls == call:
                die()
            return result

        setattr(module, name, counted)
        work(pipe)

    return patched


def position(index_path: pathlib.Path, states: list[bytes]) -> int:
    """How many transactions a healthy index holds."""
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        assert index._store.oldest_reader()[1] == 0
        return states.index(workload.digest(index))


@pytest.mark.parametrize(("module", "name", "after"), POINTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_killed_at_a_named_point(tmp_path: pathlib.Path, module: Any, name: str, after: bool) -> None:
    """Each mode, the first and a later call of the function: the index is where it was or one further."""
    states = workload.states(tmp_path / "reference", 6)
    for number, (mode, call) in enumerate((mode, call) for mode in MODES for call in (1, 7)):
        folder = tmp_path / str(number)
        folder.mkdir()
        index_path = workload.make_index(folder)
        pid, pipe = child(killed_at(module, name, after, call, writer(index_path, 0, 6, mode)))
        acked = acknowledged(pid, pipe, 0)
        assert acked <= position(index_path, states) <= acked + 1
        with pyxlist.open(index_path, readonly=False) as index:
            workload.run(index, position(index_path, states), 6, Durability.EVERY_COMMIT)
        assert position(index_path, states) == 6


def rounds(tmp_path: pathlib.Path, count: int, seed: int) -> None:
    chance = random.Random(seed)
    length = 10 * min(count, 40)
    states = workload.states(tmp_path / "reference", length)
    index_path, at = workload.make_index(tmp_path), 0
    for number in range(count):
        if at > length * 3 // 4:
            index_path, at = restart(tmp_path / str(number))
        pid, pipe = child(writer(index_path, at, length, chance.choice(MODES)))
        time.sleep(chance.uniform(0.005, 0.06))
        os.kill(pid, signal.SIGKILL)
        acked = acknowledged(pid, pipe, at)
        at = position(index_path, states)
        assert acked <= at <= acked + 1


def restart(folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    folder.mkdir()
    return workload.make_index(folder), 0


def test_killed_at_random(tmp_path: pathlib.Path) -> None:
    """Twelve writers in all modes, one after another on one index."""
    rounds(tmp_path, 12, seed=1)


@pytest.mark.slow
def test_killed_at_random_a_thousand_times(tmp_path: pathlib.Path) -> None:
    """The same, a thousand times."""
    rounds(tmp_path, 1000, seed=2)


def test_killed_writers_and_readers_together(tmp_path: pathlib.Path) -> None:
    """Writers that are killed hand over to others that wait, while listing processes are killed as well."""
    chance = random.Random(3)
    index_path = workload.make_index(tmp_path)

    def listing(_pipe: int) -> None:
        with pyxlist.open(index_path) as index:
            while True:
                assert index.view("u001").respond(b'LIST "" "*"').status == "OK"

    def creating(name: str) -> Callable[[int], None]:
        def work(pipe: int) -> None:
            with pyxlist.open(index_path, readonly=False) as index:
                for number in range(10_000):
                    with index.write(durability=Durability.within(20)) as hooks:
                        hooks.mboxlist_createmailbox(f"{name}.{number}")
                    os.write(pipe, b"%d " % number)

        return work

    created = dict[str, int]()
    for turn in range(4):
        names = [f"w{turn}x{number}" for number in range(3)]
        children = [child(creating(name)) for name in names] + [child(listing) for _ in range(3)]
        time.sleep(0.3)
        chance.shuffle(children)
        for pid, _pipe in children:
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        for pid, pipe in children:
            acked = acknowledged(pid, pipe, -1)
            created[str(pid)] = acked
    with pyxlist.open(index_path, readonly=False) as index:
        assert list(index.check()) == []
        live = sum("." in entry.name and entry.name.startswith("w") for entry in index.entries())
        assert live >= sum(acked + 1 for acked in created.values())
        with index.write(timeout_s=5) as hooks:
            hooks.mboxlist_createmailbox("after")
        assert index.stat()["readers_lag"] == 0
