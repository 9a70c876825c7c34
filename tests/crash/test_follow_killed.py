"""kill -9 of a follower at random moments: the next one goes on where the last commit was."""

from __future__ import annotations

import os
import pathlib
import random
import subprocess
import sys
import time

import pyxlist
from tests.sources import value
from tests.twoskip import Twoskip

ROUNDS = int(os.environ.get("PYXLIST_KILL_ROUNDS", "8"))
FOLLOW = "import sys, pyxlist; print('begun', flush=True); pyxlist.follow(sys.argv[1], sys.argv[2], poll_s=0.001)"


def change(database: Twoskip, chance: random.Random) -> None:
    """One transaction: some mailboxes set, some removed."""
    for _ in range(chance.randrange(1, 12)):
        name = b"user\x1fu%02d\x1fbox%d" % (chance.randrange(40), chance.randrange(8))
        if chance.random() < 0.3:
            database.delete(b"N" + name)
        else:
            rights = chance.choice(("l", "lr", "lrs"))
            database.put(b"N" + name, value(f"anyone {rights}", uniqueid=name.hex()))
    database.commit()


def test_killed_followers(tmp_path: pathlib.Path) -> None:
    """Under a writing server, killed again and again: the index is always sound, and true in the end."""
    chance = random.Random(20260102)
    database, source, index_path = Twoskip(seed=6), tmp_path / "db", tmp_path / "index"
    for user in range(40):
        database.put(b"Nuser\x1fu%02d" % user, value(f"u{user:02} lrswipkxtecdan", uniqueid=f"id{user}"))
    database.commit()
    pyxlist.build(database.write(source), index_path)
    for _ in range(ROUNDS):
        with subprocess.Popen([sys.executable, "-c", FOLLOW, source, index_path], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline()
            until = time.monotonic() + chance.uniform(0.0, 0.25)
            while time.monotonic() < until:
                change(database, chance)
                database.write(source)
            child.kill()
        with pyxlist.open(index_path) as index:
            assert list(index.check()) == []
    assert pyxlist.follow(source, index_path, once=True).mode in ("tail", "none")
    with pyxlist.open(index_path) as index:
        assert list(index.verify(source)) == []
        assert list(index.check()) == []
