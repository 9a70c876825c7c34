"""What a LIST does not read, and what it does not keep: counted, not timed."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import pytest

import pyxlist
from pyxlist.kernel import pool
from tests.sources import value, write_flat

ROWS = 50_000
_CHILD = """
import pathlib, sys, pyxlist

def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

with pyxlist.open(sys.argv[1]) as index:
    view = index.view("bob")
    before = [sum(len(piece) for piece in view.stream(b'LIST (SUBSCRIBED) "" "*"')), peak()]
    lines = sum(piece.count(b"\\n") for piece in view.stream(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "*"'))
    print(lines, peak() - before[1])
"""


def build(folder: pathlib.Path, keys: list[bytes], subscribed: list[bytes]) -> pathlib.Path:
    """An index where everybody has rights on everything and bob is subscribed."""
    write_flat(folder / "db", {key: value("anyone lrs bob lrs") for key in keys})
    (folder / "subscriptions").mkdir()
    lines = b"".join(b"N%b\t\n" % name for name in subscribed)
    (folder / "subscriptions" / "bob.sub").write_bytes(b"\x1fVER\x1f\t2\n" + lines)
    config = pyxlist.Config(admins=("cyrus",))
    pyxlist.build(folder / "db", folder / "index", config=config, subscriptions=folder / "subscriptions")
    return folder / "index"


def fetched() -> int:
    """How many blocks were asked for by a key, in all answers since the pool of kernels was emptied."""
    return sum(kernel.reader.fetched for kernel in pool)


def test_recursivematch_keeps_little(tmp_path: pathlib.Path) -> None:
    """Events are sorted by name, so all are kept: in well under 300 octets each, buffers that grew included."""
    own = [b"A%05d" % number for number in range(ROWS)]
    keys = [b"user\x1fbob", *(b"user\x1fbob\x1f" + name for name in own)]
    index = build(tmp_path, keys, [b"INBOX\x1f" + name for name in own])
    done = subprocess.run([sys.executable, "-c", _CHILD, str(index)], capture_output=True, text=True, check=True)
    lines, kibibytes = map(int, done.stdout.split())
    assert lines == ROWS
    assert kibibytes * 1024 < 300 * ROWS


def test_recursivematch_answers_in_the_order_of_names(tmp_path: pathlib.Path) -> None:
    """A name once, all names ascending, whatever the passes over the view's namespaces found first."""
    keys = [b"user\x1fbob", b"user\x1fbob\x1fz", b"user\x1fann\x1fx", b"Lists\x1fb", b"Lists\x1fa"]
    index = build(tmp_path, keys, [b"INBOX", b"INBOX\x1fz", b"Lists\x1fa", b"Lists\x1fb", b"user\x1fann\x1fx"])
    with pyxlist.open(index) as opened:
        view = opened.view("bob")
        for pattern in ("*", "%", "%/%", "%/%/%", "*%"):
            command = f'LIST (SUBSCRIBED RECURSIVEMATCH) "" ("{pattern}" "Shared Folders/%")'.encode()
            answer = view.respond(command).untagged
            names = [line.split(b'"/" ')[1].split(b" (")[0].strip(b'"') for line in answer.splitlines()]
            assert names == sorted(set(names))
            assert names
            assert b"".join(view.stream(command)) == answer


@pytest.mark.parametrize("command", ['LIST "" "user/u2000*"', 'LIST "" "user/u2000/%"', 'LIST "" "user/u2000"'])
def test_an_admins_list_of_one_user_reads_little(tmp_path: pathlib.Path, command: str) -> None:
    """Neither shared mailboxes nor other users' are walked, however many there are."""
    shared = [
        b"%c%04d\x1f%02d" % (letter, number, at) for letter in b"AEx" for number in range(100) for at in range(10)
    ]
    users = [b"user\x1fu%04d%b" % (number, folder) for number in range(1000, 4000) for folder in (b"", b"\x1fSent")]
    index = build(tmp_path, sorted(shared + users), [])
    pool.clear()
    with pyxlist.open(index) as opened:
        rows = opened.view("cyrus").respond(command.encode()).untagged.count(b"\n")
    assert rows == (2 if command.endswith('*"') else 1)
    assert 0 < fetched() < 25


@pytest.mark.parametrize(
    "command", ['LSUB "" "%"', 'LIST (RECURSIVEMATCH SUBSCRIBED) "" "%"', 'LIST (SUBSCRIBED) "" "%"']
)
def test_a_level_of_subscriptions_reads_little(tmp_path: pathlib.Path, command: str) -> None:
    """Subscriptions below what a `%` printed are leapt over, and their mailboxes not looked up."""
    own = [b"%c\x1f%05d" % (letter, number) for letter in b"abcd" for number in range(3000)]
    keys = [b"user\x1fbob", *(b"user\x1fbob\x1f" + name for name in own)]
    index = build(tmp_path, keys, [b"INBOX", *(b"INBOX\x1f" + name for name in own)])
    pool.clear()
    with pyxlist.open(index) as opened:
        answer: Any = opened.view("bob").respond(command.encode())
    assert answer.untagged.count(b"\n") == (1 if "(SUBSCRIBED)" in command else 5)
    assert 0 < fetched() < 40
