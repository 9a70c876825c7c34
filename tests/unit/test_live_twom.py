"""A twom file read while a process of our own writes it: no server of the test machines writes that format yet.

The writer does what twom's head describes: it appends whole records and a commit behind the committed size, then
writes the header that counts them; and all the time it changes links in records long committed, as every insertion
does, so that heads and their sums are caught at any moment.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import random
import time

from pyxlist.cyrusdb import iter_records
from tests.unit.test_readers import Step, twom

TRANSACTIONS = 200
PAUSE_S = 0.002
LOG, HEADER = 368, 96


def transactions(seed: int) -> list[list[Step]]:
    """Puts, replacements and deletes of a few hundred keys, one to five a transaction, none of a key twice."""
    rng, live, made = random.Random(seed), set[bytes](), list[list[Step]]()
    for number in range(TRANSACTIONS):
        steps: list[Step] = []
        for key in rng.sample([b"Nuser\x1fu%03d" % n for n in range(300)], rng.randint(1, 5)):
            gone = key in live and rng.random() < 0.3
            steps.append((key, None if gone else b"%%(T e M %d A %%(u%d lrs))" % (number, rng.randrange(1 << 40))))
            live.discard(key) if gone else live.add(key)
        made.append(steps)
    return made


def states(made: list[list[Step]]) -> list[list[tuple[bytes, bytes]]]:
    """What the file says after each number of transactions."""
    live, after = dict[bytes, bytes](), [list[tuple[bytes, bytes]]()]
    for steps in made:
        for key, octets in steps:
            if octets is None:
                del live[key]
            else:
                live[key] = octets
        after.append(sorted(live.items()))
    return after


def write(path: str, seed: int) -> None:
    """Append one transaction after another, and rewrite links behind the reader's back."""
    made, rng = transactions(seed), random.Random(seed)
    file, size = os.open(path, os.O_RDWR), os.path.getsize(path)
    first = size
    for number in range(2, len(made) + 1):
        image = twom(made[:number])
        os.pwrite(file, image[size:], size)
        for _ in range(4):
            os.pwrite(file, rng.randbytes(16), LOG + 8)  # both links of the first record
        os.pwrite(file, image[:HEADER], 0)
        size = len(image)
        time.sleep(PAUSE_S)
    os.close(file)
    assert size > first


def test_every_snapshot_is_a_state_between_two_commits(tmp_path: pathlib.Path) -> None:
    """Whatever is being appended and rewritten: what is read is one of the states, none older than the one before."""
    seed, path = 20, tmp_path / "db"
    after = states(transactions(seed))
    path.write_bytes(twom(transactions(seed)[:1]))
    writer = multiprocessing.get_context("spawn").Process(target=write, args=(str(path), seed))
    writer.start()
    seen = [1]
    while writer.is_alive() or seen[-1] < TRANSACTIONS:
        shown = list(iter_records(path))
        matching = [number for number in range(seen[-1], TRANSACTIONS + 1) if after[number] == shown]
        assert matching, (seen[-1], len(shown))
        seen.append(matching[0])
        assert writer.is_alive() or not writer.exitcode
    writer.join()
    assert len(set(seen)) > 10
