"""The power fails between any two writes, with whatever had not been synced lost, whole or in part.

A process under a preloaded shim records every write, length and sync of data.mdb.  Each prefix of the
record is a moment at which the power may fail.  What was synced is on disk; of what was not, any sectors
may be: none, all, or a random part.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple
from unittest import mock

import pytest

import pyxlist
from pyxlist import Durability
from pyxlist.index import opening, redo
from tests.crash import workload

SECTOR = 512
HEAD = struct.Struct("<cQI")
SCRIPT = """
import os, sys, pyxlist
from tests.crash import workload
acks = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
durability = pyxlist.Durability(int(sys.argv[3]))
with pyxlist.open(sys.argv[1], readonly=False) as index:
    for number in range(int(sys.argv[4])):
        workload.run(index, number, number + 1, durability)
        os.write(acks, b"%d" % (number + 1))
"""


class Call(NamedTuple):
    """One recorded call; see shim.c."""

    kind: bytes
    offset: int
    octets: bytes


def record(shim: pathlib.Path, folder: pathlib.Path, within_ms: int, count: int) -> tuple[bytearray, list[Call]]:
    """The data file before, and the calls of `count` transactions."""
    index_path = workload.make_index(folder)
    before = bytearray((index_path / "data.mdb").read_bytes())
    environment = {"LD_PRELOAD": str(shim), "PXL_RECORD": str(folder / "record"), "PATH": "/usr/bin:/bin"}
    arguments = [sys.executable, "-c", SCRIPT, str(index_path), str(folder / "acks"), str(within_ms), str(count)]
    subprocess.run(arguments, check=True, env=environment)
    return before, list(parse((folder / "record").read_bytes()))


def parse(log: bytes) -> Iterator[Call]:
    at = 0
    while at < len(log):
        kind, offset, length = HEAD.unpack_from(log, at)
        at += HEAD.size
        yield Call(kind, offset, log[at : at + length])
        at += length


def apply(image: bytearray, call: Call) -> None:
    """A write or a new length, carried out."""
    if call.kind == b"T":
        del image[call.offset :]
        image.extend(bytes(call.offset - len(image)))
    else:
        image.extend(bytes(max(0, call.offset - len(image))))
        image[call.offset : call.offset + len(call.octets)] = call.octets


def sectors(call: Call) -> Iterator[Call]:
    """A write as the disk sees it."""
    if call.kind == b"T":
        yield call
    for at in range(0, len(call.octets), SECTOR):
        yield Call(call.kind, call.offset + at, call.octets[at : at + SECTOR])


def outcomes(durable: bytearray, waiting: list[Call], chance: random.Random) -> Iterator[bytearray]:
    """What may be on disk: nothing of what waits, all of it, or any sectors of it."""
    yield bytearray(durable)
    if not waiting:
        return
    for share in (1.0, 0.5, chance.random()):
        image = bytearray(durable)
        for call in waiting:
            for part in sectors(call):
                if chance.random() < share:
                    apply(image, part)
        yield image


def replay(before: bytearray, calls: list[Call], seed: int) -> Iterator[tuple[bytearray, int, int]]:
    """(image, transactions acknowledged, of those before the last sync) for every prefix and outcome."""
    chance = random.Random(seed)
    durable, waiting, acked, synced = bytearray(before), list[Call](), 0, 0
    for call in calls:
        if call.kind == b"A":
            acked = int(call.octets)
        elif call.kind == b"F":
            for late in waiting:
                apply(durable, late)
            waiting, synced = [], acked
        elif call.kind == b"S":
            apply(durable, call)
        else:
            waiting.append(call)
        for image in outcomes(durable, waiting, chance):
            yield image, acked, synced


def position(index_path: pathlib.Path, image: bytearray, states: list[bytes]) -> int:
    """How many transactions an image holds; it must open, be healthy, and be one of the states."""
    shutil.rmtree(index_path, ignore_errors=True)
    index_path.mkdir()
    (index_path / "data.mdb").write_bytes(image)
    with boot(1), pyxlist.open(index_path, readonly=False) as index:
        assert list(index.check()) == []
        found = states.index(workload.digest(index))
        with index.write() as hooks:
            hooks.mboxlist_setacl("user.u059", "later", "lr")
    with boot(2), pyxlist.open(index_path) as index:
        assert "later" in dict(index.who("user.u059")), "nothing is made again on top of what came later"
    return found


def boot(number: int) -> contextlib.AbstractContextManager[object]:
    """The machine has been started again so often."""
    return mock.patch.object(redo, "this_boot", return_value=bytes((number,)) * 16)


@pytest.mark.parametrize(("within_ms", "count"), [(0, 12), (5, 10)])
def test_every_moment(shim: pathlib.Path, tmp_path: pathlib.Path, within_ms: int, count: int) -> None:
    """Whenever the power fails the index opens, is healthy, and has every transaction it promised to keep.

    With EVERY_COMMIT those are all whose block had ended, with `within` those before the last sync.
    """
    states = workload.states(tmp_path / "reference", count)
    before, calls = record(shim, tmp_path, within_ms, count)
    assert sum(call.kind == b"F" for call in calls) >= count
    seen = set()
    for image, acked, synced in replay(before, calls, seed=20260101):
        found = position(tmp_path / "after", image, states)
        assert (synced if within_ms else acked) <= found <= acked + 1
        seen.add(found - acked)
    assert seen == {0, 1} if within_ms == 0 else {0, 1} <= seen


def test_the_replay_notices_a_missing_sync(shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Without the syncs in the record some moment is a damaged or an old index: the test above can fail."""
    states = workload.states(tmp_path / "reference", 8)
    before, calls = record(shim, tmp_path, 0, 8)
    calls = [call for call in calls if call.kind != b"F"]
    bad = (
        acked
        for image, acked, _synced in replay(before, calls, seed=1)
        if not holds_in_child(tmp_path / "after", image, states, acked)
    )
    assert next(bad, None) is not None


def test_the_replay_notices_a_change_that_is_not_made_again(
    shim: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the transactions are synced once: without what is kept beside the meta page, the last can be missing."""
    states = workload.states(tmp_path / "reference", 8)
    before, calls = record(shim, tmp_path, 0, 8)
    assert sum(call.kind == b"F" for call in calls) < 2 * 8
    monkeypatch.setattr(opening, "pending", lambda _data: None)
    missing = {
        acked - position(tmp_path / "after", image, states) for image, acked, _synced in replay(before, calls, seed=2)
    }
    assert missing == {-1, 0, 1}, "the index is whole, but older than was promised"


def holds_in_child(index_path: pathlib.Path, image: bytearray, states: list[bytes], acked: int) -> bool:
    """Whether an image is a healthy index that is new enough; asked in a process that may crash."""
    pid = os.fork()
    if not pid:
        faulthandler.disable()
        status = 1
        try:
            status = int(position(index_path, image, states) < acked)
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def test_unsynced_writes_are_marked_first(shim: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """With REBUILDABLE nothing is synced, and the mark that refuses the index after a power loss stands."""
    index_path = workload.make_index(tmp_path)
    script = SCRIPT.replace("pyxlist.Durability(int(sys.argv[3]))", "pyxlist.Durability.REBUILDABLE")
    environment = {"LD_PRELOAD": str(shim), "PXL_RECORD": str(tmp_path / "record"), "PATH": "/usr/bin:/bin"}
    arguments = [sys.executable, "-c", script, str(index_path), str(tmp_path / "acks"), "0", "5"]
    subprocess.run(arguments, check=True, env=environment)
    calls = list(parse((tmp_path / "record").read_bytes()))
    first = next(at for at, call in enumerate(calls) if call.kind == b"W" and call.offset)
    assert not [call for call in calls[first:] if call.kind == b"F"]
    assert (index_path / "unsynced").exists()
    with pyxlist.open(index_path, readonly=False) as index:
        workload.run(index, 5, 6, Durability.EVERY_COMMIT)
        assert list(index.check()) == []
    assert not (index_path / "unsynced").exists()
