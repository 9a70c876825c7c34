"""kill -9 at random moments of a build: what stood there before still stands, whole."""

from __future__ import annotations

import pathlib
import random
import signal
import subprocess
import sys
import time

import pyxlist
from tests.sources import value, write_flat

ROUNDS = 50
BUILD = "import sys, pyxlist; pyxlist.build(sys.argv[1], sys.argv[2])"


def world(mailboxes: int, rights: str) -> dict[bytes, bytes]:
    return {
        b"user\x1fu%05d" % n: value(f"u{n:05} lrswipkxtecdan anyone {rights}", uniqueid=f"id{n:06}")
        for n in range(mailboxes)
    }


def state_of(index_path: pathlib.Path) -> list[bytes]:
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        return [entry.pack() for entry in index.entries()]


def run_and_kill(source: pathlib.Path, index_path: pathlib.Path, after_s: float) -> None:
    child = subprocess.Popen([sys.executable, "-c", BUILD, source, index_path], stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_killed_builds_leave_the_old_or_the_new_index(tmp_path: pathlib.Path) -> None:
    """Fifty builds by difference and from nothing, killed at random: never a state between, never damage."""
    chance = random.Random(20260101)
    old, new = write_flat(tmp_path / "old", world(4000, "l")), write_flat(tmp_path / "new", world(4200, "lr"))
    states = []
    for source in (old, new):
        pyxlist.build(source, tmp_path / "reference")
        states.append(state_of(tmp_path / "reference"))
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", BUILD, new, tmp_path / "timed"], check=True)
    whole_s = time.monotonic() - began

    pyxlist.build(old, tmp_path / "index")
    for number in range(ROUNDS // 2):
        run_and_kill((old, new)[number % 2], tmp_path / "index", chance.uniform(0, 2 * whole_s))
        assert state_of(tmp_path / "index") in states
    for number in range(ROUNDS // 2):
        fresh = tmp_path / f"fresh{number}"
        run_and_kill(new, fresh, chance.uniform(0, 1.2 * whole_s))
        assert not fresh.exists() or state_of(fresh) == states[1]
    pyxlist.build(new, tmp_path / "fresh0")
    assert not list(tmp_path.glob(".fresh0.building-*"))
