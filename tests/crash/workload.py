"""Numbered transactions that always do the same, and the states they lead through.

`step` n is a function of n and of the index after step n - 1, so the state of an index says how many
transactions it holds: exactly the one whose digest it has.
"""

from __future__ import annotations

import hashlib
import pathlib

import pyxlist
from pyxlist import Durability, Hooks, Index
from tests.sources import value, write_flat

WORLD = {b"user\x1fu%03d" % n: value(f"u{n:03} lrswipkxtecdan anyone l", uniqueid=f"id{n}") for n in range(60)}


def make_index(folder: pathlib.Path) -> pathlib.Path:
    """A small index, the state before transaction 0."""
    pyxlist.build(write_flat(folder / "db", WORLD), folder / "index")
    return folder / "index"


def step(hooks: Hooks, number: int) -> None:
    """One transaction: creates, grants, renames and deletes that build on the ones before."""
    hooks._clock = lambda: 1000.0 + number
    top = f"t{number:05}"
    hooks.mboxlist_createmailbox(top, uniqueid=top, uidvalidity=number + 1)
    hooks.mboxlist_createmailbox(f"{top}.a", uniqueid=f"{top}a", uidvalidity=number + 1)
    hooks.mboxlist_setacl(f"user.u{number % 60:03}", f"g{number % 7}", "lrs" if number % 2 else "")
    if number >= 3:
        hooks.mboxlist_renamemailbox(f"t{number - 3:05}", f"user.u{number % 60:03}.{number}")
    if number >= 9:
        old = number - 6
        hooks.mboxlist_deletemailbox(f"user.u{old % 60:03}.{old}.a", tombstone=number % 3 == 0)
        hooks.mboxlist_deletemailbox(f"user.u{old % 60:03}.{old}", tombstone=number % 3 == 0)
    if number % 3 == 0:  # the others change directory rows and what follows from them, and nothing else
        hooks.mboxlist_changesub(f"t{number:05}", f"u{number % 60:03}", True)


def run(index: Index, first: int, last: int, durability: Durability) -> None:
    """Transactions first to last - 1."""
    for number in range(first, last):
        with index.write(durability=durability) as hooks:
            step(hooks, number)


def digest(index: Index) -> bytes:
    """What all entries and the last writer's subscriptions say."""
    seen = hashlib.sha256()
    for entry in index.entries():
        seen.update(b"%d " % len(entry.key) + entry.key + entry.pack())
    for userid in range(60):
        seen.update(index.view(f"u{userid:03}").respond(b'LSUB "" "*"').untagged)
    return seen.digest()


def states(folder: pathlib.Path, count: int) -> list[bytes]:
    """Digests after 0, 1, ... count transactions."""
    folder.mkdir()
    with pyxlist.open(make_index(folder), readonly=False) as index:
        found = [digest(index)]
        for number in range(count):
            run(index, number, number + 1, Durability.within(1000))
            found.append(digest(index))
    return found
